"""Many problems or many levels in one figure: interquartile mean, performance profile, rank correlation."""

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ce_jax.analysis._intervals import Estimate, bootstrap_ci
from ce_jax.analysis._times import Values


def iqm(values: ArrayLike, axis: int | None = -1) -> Values:
    """Interquartile mean: the mean of what is left when the lowest and the highest quarter are cut off.

    Of n values floor(n / 4) are cut at each end. It withstands outliers like the median and wastes less of the sample.

    Args:
        values: [..., n, ...]; NaN is contagious.
        axis: the axis reduced; None pools all values.

    Returns:
        `values` without `axis`. For an interval pass it on: `bootstrap_ci(iqm, values, rng=0)`.

    Raises:
        ValueError: no values.

    Source: Agarwal et al. 2021 (rliable); `scipy.stats.trim_mean`.

    >>> float(iqm([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 700.0]))
    3.5
    """
    values = np.asarray(values, np.float64)
    if not values.size:
        raise ValueError(f"expected at least one value, got shape {values.shape}")
    # Sorting puts NaN last, where older SciPy would cut it off unseen.
    return np.where(np.isnan(values).any(axis), np.nan, scipy.stats.trim_mean(values, 0.25, axis=axis))[()]


def performance_profile(times: ArrayLike, taus: ArrayLike) -> NDArray[np.float64]:
    """Fraction of the problems each method solves within a factor tau of the fastest method there.

    rho_m(tau) = (1 / P) #{ p : t_mp <= tau min_m' t_m'p }, unsolved problems (+inf) never counting. rho_m(1) is the
    share of problems on which m is the fastest (or tied), and the right end of the curve the share it solves at all.

    Args:
        times: [methods, problems] steps to the target, +inf where never reached.
        taus: [T] factors, finite and at least 1 (AlgoPerf looks at 1 to 4).

    Returns:
        [methods, T] fractions of all problems, those that nobody solved included.

    Raises:
        ValueError: NaN or negative times, a tau below 1 or infinite, a wrong rank, or no problem.

    Source: Dolan and More 2002; Dahl et al. 2023 (AlgoPerf).

    >>> performance_profile([[10.0, 30.0, np.inf], [20.0, 10.0, np.inf]], [1.0, 2.0, 3.0])
    array([[0.33333333, 0.33333333, 0.66666667],
           [0.33333333, 0.66666667, 0.66666667]])
    """
    times, taus = np.asarray(times, np.float64), np.asarray(taus, np.float64)
    if times.ndim != 2 or taus.ndim != 1 or not times.size:
        raise ValueError(f"expected times [methods, problems] and taus [T], got {times.shape} and {taus.shape}")
    if not np.all(times >= 0):
        wrong = times[~(times >= 0)][0]  # written this way round, it finds NaN too
        raise ValueError(f"times: expected steps, at least 0, got {wrong}; a target never reached is +inf, not NaN")
    if not np.all((taus >= 1) & np.isfinite(taus)):
        raise ValueError(
            f"taus: expected factors relative to the fastest method, finite and at least 1, got {taus.tolist()}"
        )
    # A product, because a quotient would be 0 / 0 where the fastest starts at its target.
    limits = taus[:, None, None] * times.min(axis=0)
    return np.mean(np.isfinite(times) & (times <= limits), axis=-1).T


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    confidence_level: float = 0.95,
    resamples: int = 9999,
    rng: np.random.Generator | int,
) -> Estimate:
    """Spearman's rank correlation with its bootstrap interval.

    rho = Pearson correlation of the ranks, ties at their mean rank: 1 where y always rises with x, -1 where it falls.

    For replicates of a fixed design the interval answers whether there is a trend: with six levels of equal means, 8 or
    20 replicates, it leaves 0 out in 3 to 4 % of all samples. How strong the trend is it tells only where the order of
    the means is clear. Noise in the ranks draws rho towards 0: where a true 0.6 rests on steps of a quarter of a
    standard error, the interval holds it 87 % of the time.

    Args:
        x: [n] observations or the n levels of a parameter.
        y: [n] observed together with x: the pairs (x_i, y_i) are resampled. Or [n, S], S replicates (seeds) of a fixed
            design: rho is between x and the mean of y over the replicates, and the S columns are resampled, so that one
            seed stays together over all levels. With y = min(T, H) those means are the RMSTs.
        confidence_level: of the interval.
        resamples: number of bootstrap resamples.
        rng: generator or integer seed.

    Returns:
        Value and interval in -1..1. Where x or y is constant nothing rises or falls, and rho is 0.

    Raises:
        ValueError: shapes that do not fit, or fewer than two points.

    Source: Spearman 1904 (`scipy.stats.spearmanr`, here over all resamples at once); interval as in `bootstrap_ci`.

    >>> float(spearman([1.0, 2.0, 3.0, 4.0], [10.0, 30.0, 20.0, 40.0], rng=0).value)
    0.8
    >>> steps = [[10.0, 12.0], [11.0, 15.0], [30.0, 14.0]]  # [levels, seeds]
    >>> tuple(float(part) for part in spearman([0.0, 0.5, 1.0], steps, rng=0))
    (1.0, 0.5, 1.0)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or y.shape[:1] != x.shape or y.ndim > 2 or not y.size:
        raise ValueError(f"expected x [n] and y [n] or [n, S], got shapes {x.shape} and {y.shape}")
    if len(x) < 2:
        raise ValueError(f"expected at least two points, got {len(x)}: a single one has no correlation")

    def of_means(*levels: NDArray[np.float64], axis: int) -> Values:
        return _rank_correlation(x, np.stack([level.mean(axis) for level in levels], axis=-1), axis=-1)

    statistic: Callable[..., Values] = _rank_correlation if y.ndim == 1 else of_means
    samples = (x, y) if y.ndim == 1 else tuple(y)
    interval = bootstrap_ci(statistic, *samples, confidence_level=confidence_level, resamples=resamples, rng=rng)
    return Estimate(statistic(*samples, axis=-1), *interval)


def _rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> Values:
    """Pearson correlation of the ranks along an axis, 0 where one of them is constant, NaN where one holds NaN."""
    rank_x, rank_y = scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis)
    rank_x, rank_y = rank_x - rank_x.mean(axis, keepdims=True), rank_y - rank_y.mean(axis, keepdims=True)
    spread = np.sqrt((rank_x**2).sum(axis) * (rank_y**2).sum(axis))
    covariance = (rank_x * rank_y).sum(axis)
    # NaN != 0 holds, so that NaN is divided and stays NaN; the sum only lends `out` the shape of both.
    return np.divide(covariance, spread, out=np.zeros_like(covariance + spread), where=spread != 0)[()]
