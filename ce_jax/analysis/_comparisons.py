"""Two losses against each other: how much faster, and how surely."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ce_jax.analysis._intervals import Estimate, bootstrap_ci
from ce_jax.analysis._times import Scalar, Values, censored, restricted


class LogRank(NamedTuple):
    """Log-rank test: `statistic` is standard normal under equal survival, positive where the first group is faster."""

    statistic: float
    p_value: float


def rmst_ratio(
    times_a: ArrayLike,
    times_b: ArrayLike,
    horizon: Scalar,
    *,
    confidence_level: float = 0.95,
    resamples: int = 9999,
    rng: np.random.Generator | int,
) -> Estimate:
    """RMST_a(H) / RMST_b(H) with its paired bootstrap interval: below 1, a is faster.

    Args:
        times_a: [..., n] steps to the target, +inf where never reached; entry i is seed i, as in `times_b`.
        times_b: [..., n] likewise.
        horizon: H, common to both. The more runs are censored the closer the ratio is to 1.
        confidence_level: of the interval.
        resamples: number of bootstrap resamples of the seeds.
        rng: generator or integer seed.

    Returns:
        Value and interval, each [...]. Two groups that all start at the target (0 / 0 steps) have ratio 1; against one
        that does, the ratio is +inf.

    Raises:
        ValueError: as `rmst`, or different numbers of seeds.

    Source: Royston and Parmar 2013; interval as in `bootstrap_ci`.

    >>> ratio = rmst_ratio([10.0, 20.0, 30.0], [20.0, 40.0, np.inf], 50.0, rng=0)
    >>> round(float(ratio.value), 4)
    0.5455
    >>> bool(0.5 <= ratio.low <= ratio.value <= ratio.high <= 0.6)
    True
    """
    return _compare_rmst(
        _ratio, times_a, times_b, horizon, confidence_level=confidence_level, resamples=resamples, rng=rng
    )


def rmst_difference(
    times_a: ArrayLike,
    times_b: ArrayLike,
    horizon: Scalar,
    *,
    confidence_level: float = 0.95,
    resamples: int = 9999,
    rng: np.random.Generator | int,
) -> Estimate:
    """RMST_a(H) - RMST_b(H) in steps, with its paired bootstrap interval: below 0, a is faster.

    Args, Returns and Raises are those of `rmst_ratio`.

    Source: Royston and Parmar 2013; interval as in `bootstrap_ci`.

    >>> difference = rmst_difference([10.0, 20.0, 30.0], [20.0, 40.0, np.inf], 50.0, rng=0)
    >>> round(float(difference.value), 4)
    -16.6667
    """
    return _compare_rmst(
        np.subtract, times_a, times_b, horizon, confidence_level=confidence_level, resamples=resamples, rng=rng
    )


def _ratio(a: Values, b: Values) -> Values:
    """a / b of two means that are never negative, with 0 / 0 = 1: neither is ahead of the other."""
    # `out` holds what stands where `where` keeps NumPy from dividing by 0; [()] makes a scalar of a single value.
    return np.divide(a, b, out=np.where(np.asarray(a) > 0, np.inf, 1.0), where=np.asarray(b) > 0)[()]


def _compare_rmst(
    combine: Callable[[Values, Values], Values], times_a: ArrayLike, times_b: ArrayLike, horizon: Scalar, **options: Any
) -> Estimate:
    """A function of the two RMSTs with its paired bootstrap interval."""

    def statistic(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> Values:
        return combine(a.mean(axis), b.mean(axis))

    samples = restricted(times_a, horizon), restricted(times_b, horizon)
    return Estimate(statistic(*samples, axis=-1), *bootstrap_ci(statistic, *samples, **options))


def probability_of_improvement(
    times_a: ArrayLike,
    times_b: ArrayLike,
    *,
    lower_is_better: bool = True,
    confidence_level: float = 0.95,
    resamples: int = 9999,
    rng: np.random.Generator | int,
) -> Estimate:
    """Probability that a run of a beats an independent run of b, ties counted half.

    P = (1 / n^2) sum_i sum_j [a_i < b_j] + [a_i = b_j] / 2, the Mann-Whitney form over **all** pairs of runs, not only
    those of one seed: the question is about a new run, whose seed nobody shares. Two censored runs (+inf) tie.

    The interval resamples seeds, a_i and b_i together. Within each resample it leaves out the pairs in which a seed
    meets itself (drawing a seed twice makes more of them, and with well-paired seeds a_i against b_i is far from
    independent): with them a correlation of .99 between the losses brings the coverage at n = 20 from 98 % to 73 %.

    Args:
        times_a: [n] steps to the target or any other figure; +inf where never reached; entry i is seed i.
        times_b: [n] likewise.
        lower_is_better: False for figures of which more is better, such as accuracy.
        confidence_level: of the interval.
        resamples: number of bootstrap resamples of the seeds.
        rng: generator or integer seed.

    Returns:
        Value and interval in 0..1; 0.5 is no difference. An interval of 1..1 says that no pair spoke against a.

    Raises:
        ValueError: NaN, no runs, or different numbers of runs.

    Source: Agarwal et al. 2021 (rliable); Mann and Whitney 1947.

    >>> result = probability_of_improvement([10.0, 20.0, np.inf], [20.0, 30.0, np.inf], rng=0)
    >>> round(float(result.value), 4)  # 5 pairs won, 2 tied, 2 lost
    0.6667
    """
    a, b = np.asarray(times_a, np.float64), np.asarray(times_b, np.float64)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"expected the same number of runs [n] for both, got shapes {a.shape} and {b.shape}")
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(
            "expected numbers, got NaN; put +inf for a target never reached, the worst value for a failed score"
        )
    n = a.size

    def distinct_pairs(seed_positions: NDArray[np.float64], axis: int) -> Values:
        rows = seed_positions.astype(np.intp).reshape(-1, n)
        # How often each resample has drawn each seed, by one bincount: row r counts from r n on.
        counts = np.bincount((rows + n * np.arange(len(rows))[:, None]).ravel(), minlength=n * len(rows))
        chances = meetings(a, b, counts.reshape(len(rows), n), lower_is_better=lower_is_better)
        return chances.reshape(seed_positions.shape[:-1])

    interval = bootstrap_ci(
        distinct_pairs, np.arange(n), confidence_level=confidence_level, resamples=resamples, rng=rng
    )
    value = _credit(a, b, lower_is_better).mean()
    # Leaving the own pairs out moves the centre by up to 1/n; the interval is widened to hold the value it belongs to.
    return Estimate(value, np.minimum(interval.low, value), np.maximum(interval.high, value))


def meetings(
    a: NDArray[np.float64], b: NDArray[np.float64], counts: NDArray[Any], *, lower_is_better: bool = True
) -> NDArray[np.float64]:
    """How often a beats b in resamples of paired runs, seeds that meet themselves left out; ties count half.

    Args:
      a: [n] figures of one loss; b: [n] of the other, entry i of the same seed.
      counts: [B, n] how often each seed was drawn.
      lower_is_better: as in `probability_of_improvement`.

    Returns:
      [B] fractions in 0..1.

    >>> meetings(np.array([1.0, 5.0]), np.array([2.0, 3.0]), np.array([[1, 1]]))
    array([0.5])
    """
    n, credit = len(a), _credit(a, b, lower_is_better)
    counts = counts.astype(np.float64)
    # A seed drawn c times meets itself in c^2 pairs, which leave both the pairs and the wins.
    squares = counts**2
    pairs = n * n - squares.sum(axis=1)
    own = np.diagonal(credit)
    won = ((counts @ credit) * counts).sum(axis=1) - squares @ own
    # One seed drawn n times has no other seed to meet; its own pair is all there is.
    return np.where(pairs > 0, won / np.maximum(pairs, 1), counts @ own / n)


def _credit(a: NDArray[np.float64], b: NDArray[np.float64], lower_is_better: bool) -> NDArray[np.float64]:
    wins = (a[:, None] < b) if lower_is_better else (a[:, None] > b)
    return wins + 0.5 * (a[:, None] == b)


def log_rank(times_a: ArrayLike, times_b: ArrayLike, horizon: Scalar) -> LogRank:
    """Log-rank test of equal survival curves, censoring at the horizon: a second opinion beside the RMST.

    Z = (O_a - E_a) / sqrt(V), summed over the steps at which some run arrives: O_a arrivals of a, E_a those expected if
    both groups shared one curve, V the hypergeometric variance. It treats the groups as independent, so with
    positively correlated seeds its p-value is on the safe side, and it loses power where the curves cross.

    Args:
        times_a: [n] steps to the target, +inf where never reached.
        times_b: [m] likewise.
        horizon: H, common to both.

    Returns:
        The statistic and its two-sided p-value; 0 and 1 where no arrival tells the groups apart (V = 0).

    Raises:
        ValueError: NaN among the times, no times, or a horizon that is not positive and finite.

    Source: Mantel 1966 (`scipy.stats.logrank`).

    >>> result = log_rank([10.0, 12.0, 15.0, 18.0], [20.0, 30.0, 40.0, np.inf], 50.0)
    >>> round(result.statistic, 2), round(result.p_value, 4)
    (2.71, 0.0067)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        test = scipy.stats.logrank(censored(times_a, horizon), censored(times_b, horizon))
    # V = 0 only where O_a = E_a at every arrival.
    return LogRank(float(test.statistic), float(test.pvalue)) if np.isfinite(test.statistic) else LogRank(0.0, 1.0)
