"""Timing that survives a noisy machine: all in one process, taking turns, medians, the machine's limits."""

import random
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Call = Callable[[], Any]
"""Runs once and returns when the work is done."""


class Timing(NamedTuple):
    """What one call took, by its turns."""

    seconds: float
    """The median."""
    spread: float
    """How noisy the run was: the middle half of the turns lies this far apart, as a fraction of the median."""
    page_faults: float
    """The median. Memory that is touched for the first time costs more than the arithmetic on it."""


class Point(NamedTuple):
    """One line of `bench.json`. `ours` and `peers` are in `unit`; None is a peer that is not installed."""

    suite: str
    name: str
    unit: str
    ours: float
    peers: dict[str, float | None]
    ratio_to_best_peer: float | None
    fraction_of_limit: float | None
    temp_bytes: dict[str, int | None] | None
    compile_seconds: float | None
    runs: int
    spread: dict[str, float]
    """Of whoever is present, "ours" included, as in `Timing`."""
    page_faults: dict[str, float]
    """Of one call, likewise."""


def take_turns(calls: Mapping[str, Call | None], runs: int, *, calls_a_turn: int = 1) -> dict[str, Timing | None]:
    """Times each call over `runs` rounds in which all take turns, so that drift hits all alike.

    The order of a round is drawn, always the same way: whether a call finds its memory in use depends on who ran before
    it. Each call warms up once; a missing one (None) stays None.
    """
    present = {name: call for name, call in calls.items() if call is not None}
    for call in present.values():
        call()
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in present}
    order = random.Random(0)
    for _ in range(runs):
        for name in order.sample(list(present), len(present)):
            turns[name].append(_turn(present[name], calls_a_turn))
    return {name: _timing(turns[name]) if name in present else None for name in calls}


def _turn(call: Call, times: int) -> tuple[float, float]:
    """Seconds and page faults of one call among so many."""
    faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    for _ in range(times):
        call()
    seconds = time.perf_counter() - begin
    return seconds / times, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / times


def _timing(turns: list[tuple[float, float]]) -> Timing:
    seconds, faults = zip(*turns, strict=True)
    middle = statistics.median(seconds)
    low, _, high = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else (middle,) * 3
    return Timing(middle, (high - low) / middle, statistics.median(faults))


def median_seconds(calls: Mapping[str, Call | None], runs: int) -> dict[str, float | None]:
    """The medians of `take_turns` alone."""
    return {name: timing and timing.seconds for name, timing in take_turns(calls, runs).items()}


def noise(timings: Mapping[str, Timing | None]) -> dict[str, dict[str, float]]:
    """The fields of a `Point` that tell how noisy it is."""
    present = {name: timing for name, timing in timings.items() if timing is not None}
    return {
        "spread": {name: timing.spread for name, timing in present.items()},
        "page_faults": {name: timing.page_faults for name, timing in present.items()},
    }


def ratio_to_best(ours: float, peers: Mapping[str, float | None], *, more_is_better: bool) -> float | None:
    """How many times faster we are than the fastest peer present; above 1 we are faster.

    >>> ratio_to_best(2.0, {"a": 3.0, "b": 5.0, "c": None}, more_is_better=False)
    1.5
    >>> ratio_to_best(2.0, {"a": 3.0, "b": 5.0}, more_is_better=True)
    0.4
    """
    present = [value for value in peers.values() if value is not None]
    if not present:
        return None
    return ours / max(present) if more_is_better else min(present) / ours


def machine_limits(runs: int) -> dict[str, float]:
    """What this machine can do now: float32 matrix products, copying, exponentials, each in billions a second."""
    size, long = 2048, 2**25
    matrix, vector = jnp.ones((size, size)), jnp.linspace(-5.0, 5.0, long)
    product, copy, exponential = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1), jax.jit(jnp.exp)
    seconds = median_seconds(
        {
            "gemm": lambda: product(matrix, matrix).block_until_ready(),
            "copy": lambda: copy(vector).block_until_ready(),
            "exp": lambda: exponential(vector).block_until_ready(),
        },
        runs,
    )
    gemm, copied, exps = (seconds[name] or float("nan") for name in ("gemm", "copy", "exp"))
    return {
        "gemm_gflops": 2 * size**3 / gemm / 1e9,
        "copy_gbps": 2 * 4 * long / copied / 1e9,
        "exp_gps": long / exps / 1e9,
    }
