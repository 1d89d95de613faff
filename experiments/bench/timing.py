"""Timing that survives a noisy machine: all in one process, taking turns, medians, the machine's limits."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Call = Callable[[], Any]
"""Runs once and returns when the work is done."""


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


def median_seconds(calls: Mapping[str, Call | None], runs: int) -> dict[str, float | None]:
    """Median seconds of each call over `runs` rounds in which all take turns, so that drift hits all alike.

    Each call warms up once; a missing one (None) stays None.
    """
    present = {name: call for name, call in calls.items() if call is not None}
    for call in present.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(runs):
        for name, call in present.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds[name]) if name in present else None for name in calls}


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
