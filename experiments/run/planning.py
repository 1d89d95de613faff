"""The plan of a run, kept with it, and the memory it may use."""

import os
from collections.abc import Callable
from pathlib import Path

import jax

from ce_jax.comparing import Task, lane_memory, plan_task
from ce_jax.sweeping import Plan

from ..errors import UserError
from ..files import read_sealed, set_aside, write_sealed
from .fitting import Need, machine_memory, refuse_beyond
from .folder import PLAN


def plan_for(task: Task, budget: int | None = None) -> Plan:
    """The waves and segments of a task on the devices present.

    Args:
      task: what is trained.
      budget: bytes that the lanes of a wave may take on each device; a quarter of what is free if None.

    Raises:
      UserError: one lane takes more than there is, or not even two fit the budget, the fewest that a wave is ever cut
        to.
    """
    lane = lane_memory(task)
    one = Need("the training of one classifier", lane, "the network or data.examples")
    refuse_beyond([one], device_memory())
    if budget is None:
        return plan_task(task, memory_budget())
    if budget < 2 * lane:
        raise UserError(
            f"--memory: expected at least {2 * lane / 2**20:.3g} MiB, what two classifiers of this config take, "
            f"got {budget / 2**20:.3g}"
        )
    return plan_task(task, budget, data=False)


def in_bytes(memory: float | None) -> int | None:
    """What --memory says in MiB as a budget in bytes."""
    return None if memory is None else int(memory * 2**20)


def device_memory() -> int:
    """All memory of a device; that of the machine where it computes on its CPU."""
    device = jax.local_devices()[0]
    known = device.memory_stats() if device.platform != "cpu" else None
    return known["bytes_limit"] if known else machine_memory()


def memory_budget() -> int:
    """A quarter of the free memory of a device, for one wave on it."""
    device = jax.local_devices()[0]
    if device.platform != "cpu" and (known := device.memory_stats()):
        return (known["bytes_limit"] - known["bytes_in_use"]) // 4
    shared = len(jax.local_devices())  # devices of the CPU share one memory
    try:
        free = min(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), machine_memory())
    except (AttributeError, ValueError, OSError):
        free = 2**32
    return free // 4 // shared


def kept_plan(folder: Path, plan: Plan, warn: Callable[[str], None] = lambda message: None) -> Plan:
    """The plan that an unfinished run in `folder` began with; `plan`, from now on kept there, if it has just begun.

    Only the number of devices may differ: fewer ones that divide the wave's seeds compute the same lanes. A damaged
    plan is set aside: what is stored of waves that the new one cuts alike is still of use.
    """
    path = folder / PLAN
    try:
        kept = Plan(**read_sealed(path))
    except FileNotFoundError:
        kept = None
    except (ValueError, TypeError, OSError):
        warn(f"damaged, set aside, and made anew: {set_aside(path)}")
        kept = None
    if kept is None:
        write_sealed(path, plan._asdict())
        return plan
    devices = max(n for n in range(1, len(jax.devices()) + 1) if kept.seeds_per_wave % n == 0)
    return kept._replace(devices=min(devices, kept.devices))
