"""How a learning rate goes over a run: shapes with a peak of 1, times the (traced) rate."""

import math
from collections.abc import Callable
from typing import Any

import optax


def _warmup_cosine(horizon: int) -> optax.Schedule:
    warmup = max(1, horizon // 10)
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup, max(horizon, warmup + 1))


def _step(horizon: int) -> optax.Schedule:
    return optax.piecewise_constant_schedule(1.0, {math.ceil(horizon / 2): 0.1, math.ceil(3 * horizon / 4): 0.1})


SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda horizon: optax.constant_schedule(1.0),
    "cosine": lambda horizon: optax.cosine_decay_schedule(1.0, horizon),
    "linear": lambda horizon: optax.linear_schedule(1.0, 0.0, horizon),
    "exponential": lambda horizon: optax.exponential_decay(1.0, horizon, 0.01),
    "warmup_cosine": _warmup_cosine,
    "step": _step,
}
"""{name: horizon -> factor of the rate by steps made so far}. `constant` is 1. `cosine` and `linear` fall to 0 at the
horizon, `exponential` to 1/100. `warmup_cosine` rises linearly from 0 over the first tenth (at least one step), then
falls as a cosine to 0. `step` is 1, a tenth from half of the run on, a hundredth from three quarters on."""


def scheduled(name: str, peak: Any, horizon: int) -> Any:
    """The learning rate for an optax optimizer: `peak` itself where it is constant, else a function of the steps made.

    Args:
      name: one of `SCHEDULES`.
      peak: the largest rate, which may be traced.
      horizon: steps of the run.

    >>> [round(float(scheduled("cosine", 2.0, 10)(step)), 3) for step in (0, 5, 10)]
    [2.0, 1.0, 0.0]
    """
    if name == "constant":
        return peak
    factor = SCHEDULES[name](max(horizon, 1))
    return lambda step: peak * factor(step)
