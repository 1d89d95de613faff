"""How a workload is cut into waves and segments: from its sizes alone, so that a continued run is cut the same."""

import itertools
import json
from pathlib import Path

import jax

from ce_jax.sweep import Plan, lane_bytes, plan_waves
from experiments.store import write_json
from experiments.workload import Workload

# Seconds that one lane's step takes on a core of an ordinary CPU: products and elementwise work; fitted to bench sweep.
FLOPS_PER_SECOND = 2e11
LOGITS_PER_SECOND = 2e8
SEGMENT_SECONDS = 10.0
"""What a kill costs at most, roughly; storing a checkpoint takes milliseconds."""


def plan_for(workload: Workload) -> Plan:
    """The waves and segments of a workload on the devices present."""
    sweep, train = workload.config.sweep, workload.config.train
    bytes_per_lane, bytes_per_step = memory_of_lane(workload)
    plan = plan_waves(
        (sweep.tuning_seeds, sweep.seeds),
        sweep.learning_rates.count,
        bytes_per_lane,
        bytes_per_step=bytes_per_step,
        devices=len(jax.devices()),
    )
    lanes = plan.seeds_per_wave * plan.rates_per_wave / plan.devices
    steps = int(SEGMENT_SECONDS / (lanes * seconds_per_step(workload)))
    return plan if steps >= train.steps else plan._replace(segment_steps=max(1, steps))


def memory_of_lane(workload: Workload) -> tuple[int, int]:
    """Estimated bytes of one run, its share of the data included, and of one of its training steps."""
    train = workload.splits.train.inputs
    evaluated, batch, sizes = train.shape[-2], batch_of(workload), sizes_of(workload)
    own_data = train[0].nbytes // 2 if train.ndim == 3 else 0
    return (
        own_data + lane_bytes(sizes, batch, evaluated, train.itemsize),
        lane_bytes(sizes, batch, batch, train.itemsize),
    )


def seconds_per_step(workload: Workload) -> float:
    """Estimated seconds of one lane's step: a layer is one product forward and two backward."""
    sizes = sizes_of(workload)
    products = 6 * sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    return batch_of(workload) * (products / FLOPS_PER_SECOND + sizes[-1] / LOGITS_PER_SECOND)


def sizes_of(workload: Workload) -> tuple[int, ...]:
    """Widths of all layers, features first and classes last."""
    return (workload.splits.train.inputs.shape[-1], *workload.model.hidden, workload.num_classes)


def batch_of(workload: Workload) -> int:
    """Examples in a training step."""
    batch = workload.config.train.batch_size
    return workload.splits.train.inputs.shape[-2] if batch == "full" else batch


def kept_plan(folder: Path, plan: Plan) -> Plan:
    """The plan that an unfinished run in `folder` began with; `plan`, from now on kept there, if it has just begun.

    Only the number of devices may differ: fewer ones that divide the wave's seeds compute the same lanes.
    """
    path = folder / "plan.json"
    if not path.exists():
        write_json(path, plan._asdict())
        return plan
    kept = Plan(**json.loads(path.read_text(encoding="utf-8")))
    devices = max(n for n in range(1, len(jax.devices()) + 1) if kept.seeds_per_wave % n == 0)
    return kept._replace(devices=min(devices, kept.devices))
