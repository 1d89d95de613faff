"""How a workload is cut into waves and segments, and how its grid grows.

All of it depends on sizes and measurements alone, so that a continued run is cut the same."""

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from ce_jax.sweep import Plan, lane_bytes, plan_waves, step_bytes
from ce_jax.training import Hyperparameters
from experiments.errors import UserError
from experiments.store import write_json
from experiments.workload import Workload, on_cpu


class Speed(NamedTuple):
    """How fast a device trains small classifiers: operations in products and logits, both a second."""

    products: float
    logits: float


# A core of an ordinary CPU, fitted to `bench sweep`; an accelerator full of lanes, fitted to digits on one NVIDIA H100.
CPU, ACCELERATOR = Speed(2e11, 2e8), Speed(2e13, 5e10)
SEGMENT_SECONDS = 10.0
"""What a kill costs at most, roughly; storing a checkpoint takes milliseconds."""
WIDEN_BY = 4
"""Learning rates added past an edge at a time."""
LOOKS = 8
"""Segments of a run, at least, where rates may be retired; with fewer, little is left to save when they are."""


def plan_for(workload: Workload, budget: int | None = None) -> Plan:
    """The waves and segments of a workload on the devices present.

    Args:
      workload: what is trained.
      budget: bytes that the lanes of a wave may take on each device; a quarter of what is free if None.

    Raises:
      UserError: not even two lanes fit, the fewest that a wave is ever cut to.
    """
    sweep, train = workload.config.sweep, workload.config.train
    lane = memory_of_lane(workload)
    if budget is not None and budget < 2 * lane:
        raise UserError(
            f"--memory: expected at least {2 * lane / 2**20:.3g} MiB, what two classifiers of this config take, "
            f"came {budget / 2**20:.3g}"
        )
    plan = plan_waves(
        (sweep.tuning_seeds, sweep.seeds),
        sweep.learning_rates.count,
        lane,
        bytes_per_step=bytes_of_step(workload),
        budget=memory_budget() if budget is None else budget,
        devices=len(jax.devices()),
    )
    lanes = plan.seeds_per_wave * plan.rates_per_wave / plan.devices
    steps = int(SEGMENT_SECONDS / (lanes * seconds_per_step(workload)))
    if sweep.retire_reached:
        steps = min(steps, -(-train.steps // LOOKS))
    return plan if steps >= train.steps else plan._replace(segment_steps=max(1, steps))


def memory_budget() -> int:
    """A quarter of the free memory of a device, for one wave on it."""
    device = jax.local_devices()[0]
    if device.platform != "cpu" and (known := device.memory_stats()):
        return (known["bytes_limit"] - known["bytes_in_use"]) // 4
    shared = len(jax.local_devices())  # devices of the CPU share one memory
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        free = 2**32
    return free // 4 // shared


def bytes_of_step(workload: Workload) -> int:
    """Estimated bytes that a step of one run touches, for `plan_waves`."""
    return step_bytes(sizes_of(workload), workload.batch, workload.splits.train.inputs.itemsize) if on_cpu() else 0


def memory_of_lane(workload: Workload) -> int:
    """Estimated bytes of one run: temporary memory, and its state twice, before a segment and after it."""
    train = workload.splits.train.inputs
    key = jax.eval_shape(lambda: jax.random.key(0))
    one = jax.ShapeDtypeStruct((), train.dtype)
    data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[train.ndim - 2 :], leaf.dtype), workload.splits)
    states = []
    for arm in workload.arms:
        hyper = Hyperparameters(one, dict.fromkeys(arm.options, one))
        leaves = jax.tree.leaves(jax.eval_shape(workload.train(arm).begin, key, hyper, data))
        states.append(sum(leaf.size * leaf.dtype.itemsize for leaf in leaves))
    return lane_bytes(sizes_of(workload), train.shape[-2], train.itemsize) + 2 * max(states)


def memory_of_wave(workload: Workload, plan: Plan) -> int:
    """Estimated bytes of one wave, its data included."""
    data = sum(leaf.nbytes for leaf in jax.tree.leaves(workload.splits))
    if workload.splits.train.inputs.ndim == 3:
        data = data * plan.seeds_per_wave // len(workload.seeds)
    return memory_of_lane(workload) * plan.seeds_per_wave * plan.rates_per_wave + data


def seconds_per_step(workload: Workload) -> float:
    """Estimated seconds of one lane's step: a layer is one product forward and two backward."""
    sizes, speed = sizes_of(workload), CPU if on_cpu() else ACCELERATOR
    products = 6 * sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    return workload.batch * (products / speed.products + sizes[-1] / speed.logits)


def sizes_of(workload: Workload) -> tuple[int, ...]:
    """Widths of all layers, features first and classes last."""
    return (workload.splits.train.inputs.shape[-1], *workload.model.hidden, workload.num_classes)


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


def rates_beyond(rates: Sequence[float], edges: set[int], count: int) -> list[float]:
    """`count` more rates past each of the `edges` (-1 low, 1 high), at the grid's own logarithmic spacing."""
    factor = (rates[-1] / rates[0]) ** (1 / (len(rates) - 1))
    below = [rates[0] / factor**step for step in range(1, count + 1)] if -1 in edges else []
    above = [rates[-1] * factor**step for step in range(1, count + 1)] if 1 in edges else []
    return sorted(below + above)
