"""Steps to a target, and what may be said about them when some runs never get there.

A run that misses the target by the horizon H is a *right-censored* observation: all that is known is T > H. It stays in
every figure below; dropping it would reward the loss that fails most.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

# A reduction of [n] gives a NumPy scalar, of [..., n] an array. A number given may be whole: steps[-1] is an integer.
Values = np.float64 | NDArray[np.float64]
Scalar = int | float | np.number


ROUNDING = 2.0**-22
"""How far below a target, relative to it, a value still meets it: four roundings of float32, in which accuracies are
computed. Two accuracies over fewer than 40,000 examples, or one and a target in whole percents, lie further apart."""


class Survival(NamedTuple):
    """A Kaplan-Meier curve: at `steps[i]`, and until `steps[i + 1]`, the share `probability[i]` is still on its way.

    Attributes:
        steps: [P] increasing, from 0 to the horizon.
        probability: [P] P(T > step), non-increasing.
        low: [P] lower end of the pointwise confidence interval.
        high: [P] upper end of it.
    """

    steps: NDArray[np.float64]
    probability: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def steps_to_target(values: ArrayLike, steps: ArrayLike, target: Scalar, *, sustained: int = 1) -> Values:
    """First evaluation step at which a run meets a target, infinity when it never does.

    T = min { steps[e] : values[e], ..., values[e + sustained - 1] >= target }, the minimum of nothing being +inf.

    Args:
        values: [..., E] a metric of which more is better (accuracy), in the order of `steps`. NaN, as left behind by a
            diverged run, meets no target.
        steps: [E] the steps at which the metric was evaluated, increasing.
        target: the level to be met; equality counts, up to a relative `ROUNDING`: 54 right of 60 meet 0.9 in whatever
            precision they were divided and stored.
        sustained: how many evaluations in a row have to meet it. The step reported is the first of them, so a run that
            meets the target only in its last `sustained - 1` evaluations has not reached it.

    Returns:
        [...] float64 steps; +inf is "censored at the last step".

    Raises:
        ValueError: `values` and `steps` disagree, `steps` does not increase, or `sustained` is below 1.

    >>> accuracy = [[0.3, 0.9, 0.8, 0.9, 0.95], [0.3, 0.4, 0.5, 0.6, 0.7]]
    >>> steps_to_target(accuracy, [0, 10, 20, 30, 40], 0.9)
    array([10., inf])
    >>> steps_to_target(accuracy, [0, 10, 20, 30, 40], 0.9, sustained=2)
    array([30., inf])
    """
    values, steps = np.asarray(values), np.asarray(steps, np.float64)
    if steps.ndim != 1 or values.shape[-1:] != steps.shape:
        raise ValueError(f"expected values [..., E] and steps [E], got shapes {values.shape} and {steps.shape}")
    if np.any(np.diff(steps) <= 0):
        raise ValueError(
            f"steps: expected steps that increase, got {steps.tolist()}; sort the evaluations by step first"
        )
    if sustained < 1:
        raise ValueError(f"sustained: expected at least 1 evaluation, got {sustained}")
    if len(steps) < sustained:
        return np.full(values.shape[:-1], np.inf)[()]
    # meets[..., e]: all of the `sustained` evaluations from e on; argmax of booleans is the first that is true.
    met = values >= target - ROUNDING * np.abs(target)
    meets = np.lib.stride_tricks.sliding_window_view(met, sustained, axis=-1).all(axis=-1)
    return np.where(meets.any(axis=-1), steps[meets.argmax(axis=-1)], np.inf)[()]


def restricted(times: ArrayLike, horizon: Scalar) -> NDArray[np.float64]:
    """min(T, H), the part of each run's time that was watched (private to this package).

    >>> restricted([3.0, np.inf], 10.0)
    array([ 3., 10.])
    """
    times = np.asarray(times, np.float64)
    if not 0 < horizon < np.inf:
        raise ValueError(f"horizon: expected a positive, finite number of steps, got {horizon}")
    if np.isnan(times).any():
        raise ValueError(
            "times: expected numbers, got NaN; a run that never reached the target, diverged or not, is +inf"
        )
    if times.shape[-1:] == (0,):
        raise ValueError(f"expected at least one run, got times of shape {times.shape}")
    return np.minimum(times, horizon)


def censored(times: ArrayLike, horizon: Scalar) -> "scipy.stats.CensoredData":
    """The same runs as SciPy's record of observed and right-censored times (private to this package).

    >>> censored([3.0, 10.0, np.inf], 10.0).num_censored()
    1
    """
    watched = restricted(times, horizon)
    if watched.ndim != 1:
        raise ValueError(f"expected times [n] of one group of runs, got shape {watched.shape}")
    missed = np.asarray(times, np.float64) > horizon  # a run that arrives at the horizon itself has been seen to arrive
    return scipy.stats.CensoredData(uncensored=watched[~missed], right=watched[missed])


def survival(times: ArrayLike, horizon: Scalar, *, confidence_level: float = 0.95) -> Survival:
    """Kaplan-Meier estimate of P(T > step), the share of runs still short of the target.

    S(t) = prod_{t_i <= t} (1 - d_i / n_i), d_i runs reaching the target at t_i out of n_i still on their way. Runs are
    censored at one common horizon only, so before it S(t) is a plain binomial proportion, and the confidence interval
    is the exact one of Clopper and Pearson. Greenwood's formula, made for censoring along the way, has width 0 or is
    undefined where no run or every run has arrived; with 10 to 50 runs that is most of the curve.

    Args:
        times: [n] steps to the target; +inf, or anything above `horizon`, is censored at `horizon`.
        horizon: H, the last step watched.
        confidence_level: of the band, at each step by itself (pointwise, not for the whole curve at once).

    Returns:
        A step function from step 0 to the horizon. Its integral is `rmst(times, horizon)`.

    Raises:
        ValueError: NaN among the times, no times, or a horizon that is not positive and finite.

    Source: Kaplan and Meier 1958 (`scipy.stats.ecdf`); Clopper and Pearson 1934.

    >>> curve = survival([10.0, 10.0, 30.0, np.inf], 40.0)
    >>> curve.steps
    array([ 0., 10., 30., 40.])
    >>> curve.probability
    array([1.  , 0.5 , 0.25, 0.25])
    >>> curve.low.round(3)
    array([0.398, 0.068, 0.006, 0.006])
    """
    data = censored(times, horizon)
    estimate = scipy.stats.ecdf(data).sf
    steps = np.unique(np.concatenate([[0.0], estimate.quantiles, [horizon]]))
    probability = estimate.evaluate(steps)
    n = len(data)
    waiting = np.rint(n * probability)  # whole runs again: a product of fractions is off by rounding
    tail = (1 - confidence_level) / 2
    # The beta quantiles below are undefined for 0 of n and n of n, where the interval ends at 0 and at 1.
    low = np.where(waiting > 0, scipy.stats.beta.ppf(tail, np.maximum(waiting, 1), n - waiting + 1), 0.0)
    high = np.where(waiting < n, scipy.stats.beta.isf(tail, waiting + 1, np.maximum(n - waiting, 1)), 1.0)
    return Survival(steps, probability, low, high)


def rmst(times: ArrayLike, horizon: Scalar, axis: int = -1) -> Values:
    """Restricted mean survival time, RMST(H) = mean(min(T, H)): the average number of steps spent short of the target.

    Unlike the median or a hazard ratio it exists however many runs are censored, and needs no proportional hazards.

    Args:
        times: [..., n, ...] steps to the target, +inf where it was never reached.
        horizon: H, the same for all groups compared.
        axis: the axis of the runs.

    Returns:
        `times` without `axis`, in steps, between 0 and H.

    Raises:
        ValueError: NaN among the times, no times, or a horizon that is not positive and finite.

    Source: Royston and Parmar 2013.

    >>> float(rmst([10.0, 10.0, 30.0, np.inf], 40.0))
    22.5
    """
    return restricted(times, horizon).mean(axis=axis)
