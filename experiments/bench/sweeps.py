"""Suite `sweep`: classifier-steps a second of plain SGD on cross-entropy, beside what a user would write instead."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from ce_jax.comparing import lane_cost, on_cpu
from ce_jax.losses import LOSSES
from ce_jax.sweeping import Checkpoint, compile_wave, evaluate_block, plan_waves, row_block
from ce_jax.training import Hyperparameters, make_train

from . import peers
from .networks import flops
from .tasks import Task, chosen_tasks
from .timing import Call, Point, noise, ratio_to_best, take_turns


class Ours(NamedTuple):
    """Our way of training a task."""

    call: Call
    """All lanes, wave after wave."""
    wave: Call
    """The first wave alone."""
    compile_seconds: float
    temp_bytes: int | None


def sweep_points(runs: int, limits: dict[str, float], names: Sequence[str] = ()) -> Iterator[Point]:
    """Measure every sweep point, or those named, one at a time."""
    for task in chosen_tasks(names):
        yield _point(task, runs, limits)


def _point(task: Task, runs: int, limits: dict[str, float]) -> Point:
    prepared = prepare_ours(task)
    # What runs one model after another is timed on one lane: its rate does not depend on how many follow.
    calls: dict[str, tuple[Call | None, int]] = {
        "ours": (prepared.call, task.lanes * task.steps),
        "PyTorch loop": (peers.torch_loop(task) if peers.torch_device() else None, task.steps),
        "PyTorch vmap": (peers.torch_vmap(task) if peers.torch_device() else None, task.lanes * peers.FEW_STEPS),
        "JAX loop": (peers.jax_loop(task), task.steps),
        "jax.vmap of optax scan": (peers.jax_vmap(task), task.lanes * peers.vmap_steps(task)),
    }
    timings = take_turns({name: call for name, (call, _) in calls.items()}, runs)
    rates = {name: timing and calls[name][1] / timing.seconds for name, timing in timings.items()}
    rate = rates.pop("ours") or float("nan")
    return Point(
        suite="sweep",
        name=task.name,
        unit="classifier-steps/s",
        ours=rate,
        peers=rates,
        ratio_to_best_peer=ratio_to_best(rate, rates, more_is_better=True),
        fraction_of_limit=rate / step_limit(task, limits),
        temp_bytes={"ours": prepared.temp_bytes},
        compile_seconds=prepared.compile_seconds,
        runs=runs,
        **noise(timings),
    )


def step_limit(task: Task, limits: dict[str, float]) -> float:
    """Classifier-steps a second if products and exponentials ran at the machine's best rate and all else was free."""
    samples = task.batch or len(task.inputs)
    products = flops(task.network.products, samples) / (limits["gemm_gflops"] * 1e9)
    return 1 / (products + samples * task.num_classes / (limits["exp_gps"] * 1e9))


def prepare_ours(
    task: Task, *, segment_steps: int | None = None, save: Callable[[Checkpoint], None] | None = None
) -> Ours:
    """The lanes as a sweep arranges them: many rates for each seed, in waves of the planner's shape."""
    batch, cpu = task.batch or len(task.inputs), on_cpu()
    train = make_train(
        task.network.ours,
        LOSSES["cross_entropy"],
        num_classes=task.num_classes,
        evaluate_at=(0, task.steps),
        batch_size=task.batch,
        row_block=row_block(batch) if cpu else None,
        evaluate_block=evaluate_block(task.network.ours, batch) if cpu else None,
        evaluation_rows=1,  # what others write does not evaluate
    )
    one = Hyperparameters(jax.ShapeDtypeStruct((), np.float32), {})
    cost = lane_cost(train, one, task.data)
    lane, step = (cost.step, cost.step) if cpu else (cost.temporary, 0)
    cut = partial(plan_waves, bytes_per_lane=lane, bytes_per_step=step, devices=len(jax.devices()))
    rates = cut((task.lanes,), 16).rates_per_wave
    plan = cut((-(-task.lanes // rates),), rates)._replace(segment_steps=segment_steps)
    hyper = Hyperparameters(np.geomspace(0.01, 0.3, plan.rates_per_wave).astype(np.float32), {})
    begin = time.perf_counter()
    program = compile_wave(train, plan, hyper, task.data)
    seconds = time.perf_counter() - begin

    def wave(first: int = 0) -> None:
        program.run(range(first, first + plan.seeds_per_wave), hyper, task.data, save=save)

    def call() -> None:
        for first in range(0, task.lanes, plan.seeds_per_wave * plan.rates_per_wave):
            wave(first)

    return Ours(call, wave, seconds, program.memory and program.memory.temp_size_in_bytes)
