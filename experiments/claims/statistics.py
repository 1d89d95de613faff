"""Arrays over seeds as measurements with intervals; the statistics themselves are those of `ce_jax.analysis`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ce_jax.analysis import Estimate, bootstrap_ci
from experiments.claims.record import Measurement
from experiments.pages.canvas import Array

RESAMPLES = 4999


def measured(estimate: Estimate, unit: str = "") -> Measurement:
    """An estimate of `ce_jax.analysis` as a measurement."""
    return Measurement(float(estimate.value), (float(estimate.low), float(estimate.high)), unit)


def mean(values: Array, unit: str = "") -> Measurement:
    """Mean over seeds [S]."""
    return bootstrapped(np.mean, [values], unit)


def mean_difference(a: Array, b: Array, unit: str = "") -> Measurement:
    """Mean over seeds of a - b, paired: entry i of both is the same seed."""
    return bootstrapped(lambda a, b, axis: (a - b).mean(axis), [a, b], unit)


def share_closed(reference: Array, stalled: Array, remedy: Array) -> Measurement:
    """The share of the gap between a reference and what falls behind it that a remedy closes; 0 where there is none."""

    def statistic(a: Array, b: Array, c: Array, axis: int) -> Array:
        gap = (a - b).mean(axis)
        return np.where(gap > 0, (c - b).mean(axis) / np.where(gap > 0, gap, 1.0), 0.0)

    return bootstrapped(statistic, [reference, stalled, remedy], "share of the gap")


def bootstrapped(statistic: Callable[..., Any], samples: Sequence[Array], unit: str = "") -> Measurement:
    """A statistic `f(*samples, axis)` of samples [..., S] paired by seed, with its interval."""
    low, high = bootstrap_ci(statistic, *samples, resamples=RESAMPLES, rng=0)
    return Measurement(float(statistic(*samples, axis=-1)), (float(low), float(high)), unit)
