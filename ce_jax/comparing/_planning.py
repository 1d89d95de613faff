"""How a task is cut into waves and segments; all of it depends on sizes alone, so a continued run is cut the same."""

import math
from typing import NamedTuple

import jax

from ce_jax.comparing._points import first_points
from ce_jax.comparing._task import Task, on_cpu
from ce_jax.sweeping import Plan, plan_waves
from ce_jax.training import evaluated_rows


class DeviceSpeed(NamedTuple):
    """How fast a device trains small classifiers: operations in products and logits, both a second."""

    products: float
    logits: float


# A core of an ordinary CPU, fitted to `bench sweep`; an accelerator full of lanes, fitted to digits on one NVIDIA H100.
CPU, ACCELERATOR = DeviceSpeed(2e11, 2e8), DeviceSpeed(2e13, 5e10)
SEGMENT_SECONDS = 10.0
"""What a kill costs at most, roughly; storing a checkpoint takes milliseconds."""
LOOKS = 8
"""Segments of a run, at least, where rates may be retired; with fewer, little is left to save when they are."""


def plan_task(
    task: Task,
    budget: int,
    *,
    rates: int | None = None,
    seeds: tuple[int, ...] | None = None,
    data: bool = True,
) -> Plan:
    """The waves and segments of a task on the devices present.

    Args:
      task: what is trained.
      budget: bytes that the lanes of a wave may take on each device, and their data.
      rates: how many hyperparameters train together at most; None for as many as there are points.
      seeds: sizes of the groups of seeds; None for tuning seeds and fresh ones.
      data: whether the data that each seed has of its own count.
    """
    sweep, training = task.sweep, task.training
    plan = plan_waves(
        seeds or (sweep.tuning_seeds, sweep.seeds),
        rates or len(first_points(sweep)),
        lane_memory(task),
        bytes_per_step=step_memory(task),
        bytes_per_seed=data_memory(task) if data and task.per_seed else 0,
        budget=budget,
        devices=len(jax.devices()),
    )
    lanes = plan.seeds_per_wave * plan.rates_per_wave / plan.devices
    steps = int(SEGMENT_SECONDS / (lanes * seconds_per_step(task)))
    if sweep.retire_reached:
        steps = min(steps, -(-training.steps // LOOKS))
    return plan if steps >= training.steps else plan._replace(segment_steps=max(1, steps))


def step_memory(task: Task) -> int:
    """Estimated bytes that a step of one run touches, for `plan_waves`."""
    return task.cost.step if on_cpu() else 0


def lane_memory(task: Task) -> int:
    """Estimated bytes of one run: temporary memory, and its state twice, before a segment and after it."""
    return task.cost.temporary + 2 * task.state_size


def wave_memory(task: Task, plan: Plan) -> int:
    """Estimated bytes of one wave, its data included."""
    data = data_memory(task) * (plan.seeds_per_wave if task.per_seed else 1)
    return lane_memory(task) * plan.seeds_per_wave * plan.rates_per_wave + data


def data_memory(task: Task) -> int:
    """Bytes of the parts of one seed."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(task.example))


def seconds_per_step(task: Task) -> float:
    """Estimated seconds of one lane's step: a layer is one product forward and two backward."""
    speed = CPU if on_cpu() else ACCELERATOR
    return task.cost.products / speed.products + task.batch * task.num_classes / speed.logits


def expected_seconds(task: Task, classifiers: int) -> float:
    """Roughly how long it takes to train so many classifiers on the devices present; compiling comes on top.

    By the rates of an ordinary device of this kind, not of this one: right within a factor of a few.
    """
    train, *others = (len(part.labels) for part in task.example)
    # Of the training part an evaluation takes the gradient, three products a layer; of the others one.
    rows = evaluated_rows(train, task.training.evaluation_rows) + sum(others) / 3
    steps = task.training.steps + len(task.evaluate_at) * rows / task.batch
    return classifiers * steps * seconds_per_step(task) / len(jax.devices())
