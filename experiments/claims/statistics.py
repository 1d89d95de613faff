"""Arrays over seeds as measurements with intervals; the statistics themselves are those of `ce_jax.analysis`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_jax.analysis import bootstrap_ci
from ce_jax.comparing import Redrawn

from ..pages.canvas import Array
from .record import Measurement

RESAMPLES = 4999


class TunedFigure(NamedTuple):
    """A figure of the whole procedure: its value, and what it is on each set of redrawn seeds, rates chosen anew."""

    value: float
    draws: Array
    redrawn: Redrawn


def combined(
    statistic: Callable[..., Any], *figures: TunedFigure, unit: str = "", low: float = -np.inf, high: float = np.inf
) -> Measurement:
    """`statistic` of figures of the same redrawn seeds, with an interval that covers the tuning.

    Args:
      statistic: elementwise, of numbers and of arrays [B] alike.
      figures: of one config, or of several with the same numbers of seeds: these are redrawn alike, so pairs stay.
      unit: of the result; low, high: the range that it can have.
    """
    low, high = float(low), float(high)
    draws = np.asarray(statistic(*(figure.draws for figure in figures)), float)
    ends = figures[0].redrawn.interval(draws, low, high)
    return Measurement(float(statistic(*(figure.value for figure in figures))), ends, unit)


def tuned(figure: TunedFigure, unit: str = "", low: float = -np.inf, high: float = np.inf) -> Measurement:
    """A figure as a measurement."""
    return combined(lambda value: value, figure, unit=unit, low=low, high=high)


def difference(a: TunedFigure, b: TunedFigure, unit: str = "") -> Measurement:
    """a - b, paired."""
    return combined(np.subtract, a, b, unit=unit)


def ratio(a: TunedFigure, b: TunedFigure, unit: str = "") -> Measurement:
    """a / b of two figures above 0; its interval is that of the logarithm."""
    log = combined(lambda a, b: np.log(a) - np.log(b), a, b)
    assert log.ci is not None
    return Measurement(a.value / b.value, (float(np.exp(log.ci[0])), float(np.exp(log.ci[1]))), unit)


def share_of_gap(reference: TunedFigure, stalled: TunedFigure, remedy: TunedFigure) -> Measurement:
    """The share of the gap between a reference and what falls behind it that a remedy closes; 0 where there is none."""

    def share(a: Any, b: Any, c: Any) -> Any:
        gap = np.asarray(a - b)
        return np.where(gap > 0, (c - b) / np.where(gap > 0, gap, 1.0), 0.0)

    return combined(share, reference, stalled, remedy, unit="share of the gap")


def mean(values: Array, unit: str = "") -> Measurement:
    """Mean over seeds [S]."""
    return bootstrapped(np.mean, [values], unit)


def mean_difference(a: Array, b: Array, unit: str = "") -> Measurement:
    """Mean over seeds of a - b, paired: entry i of both is the same seed."""
    return bootstrapped(lambda a, b, axis: (a - b).mean(axis), [a, b], unit)


def bootstrapped(statistic: Callable[..., Any], samples: Sequence[Array], unit: str = "") -> Measurement:
    """A statistic `f(*samples, axis)` of samples [..., S] paired by seed, with its interval."""
    low, high = bootstrap_ci(statistic, *samples, resamples=RESAMPLES, rng=0)
    return Measurement(float(statistic(*samples, axis=-1)), (float(low), float(high)), unit)
