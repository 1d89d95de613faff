"""Intervals for what comes after a choice that the data made: bootstrap means and their infinitesimal jackknife."""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ce_jax.analysis._intervals import Interval


def redraw(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n observations is drawn in each resample of n, with replacement.

    Args:
      n: number of observations.
      resamples: number of resamples.
      rng: the generator that is drawn from.

    Returns:
      Counts [resamples, n]; each row sums to n.

    >>> redraw(5, 2, np.random.default_rng(0)).sum(axis=1).tolist()
    [5, 5]
    """
    return rng.multinomial(n, np.full(n, 1 / n), resamples)


def bagged_interval(
    values: ArrayLike, counts: Sequence[np.ndarray], *, confidence_level: float = 0.95, n: int | None = None
) -> Interval:
    """Interval of a figure that rests on a choice, such as the best of several learning rates, made anew each time.

    A figure computed after a choice jumps where the choice changes. Its resamples then fall into heaps, and neither
    their percentiles (98 to 99 % of the truth where 95 are promised) nor those at the one choice that was made (76 to
    92 %) keep their word. The mean over the resamples has no jumps, and its standard deviation follows from how each
    observation's count goes along with the figure (Efron 2014):

        sd^2 = sum_i cov_b(counts_bi, values_b)^2 - n var(values) / B,

    summed over all samples; the second term is the noise of finitely many resamples. The interval is the mean plus and
    minus t_{n-1} sqrt(n / (n - 1)) sd, as in `bootstrap_ci`.

    Args:
      values: [B] the figure in each resample, everything chosen anew from it.
      counts: [B, n_i] for each independent sample (tuning seeds, fresh seeds), see `redraw`.
      confidence_level: in (0, 1).
      n: observations behind the figure, for the t quantile; the last sample's size if None.

    Returns:
      Low and high. Where values are not finite, the plain percentiles.

    Source: Efron 2014, "Estimation and Accuracy After Model Selection"; finite-B correction: Wager, Hastie, Efron 2014.

    >>> rng = np.random.default_rng(0)
    >>> sample = rng.normal(size=40)
    >>> counts = redraw(40, 4000, rng)
    >>> low, high = bagged_interval(counts @ sample / 40, [counts])
    >>> expected = 2.02 * sample.std(ddof=1) / 40**0.5
    >>> bool(abs((high - low) / 2 / expected - 1) < 0.1)
    True
    """
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        tail = (1 - confidence_level) / 2
        return Interval(*np.quantile(values, [tail, 1 - tail], method="inverted_cdf"))
    n = counts[-1].shape[1] if n is None else n
    deviations, variance = values - values.mean(), 0.0
    for sample in counts:
        covariances = (sample - sample.mean(axis=0)).T @ deviations / len(values)
        size = sample.shape[1]
        variance += np.sum(covariances**2) - (size - 1) * deviations.var() / len(values)
    if n < 2:
        return Interval(values.mean(), values.mean())
    width = scipy.stats.t.ppf((1 + confidence_level) / 2, n - 1) * np.sqrt(n / (n - 1) * max(variance, 0.0))
    return Interval(values.mean() - width, values.mean() + width)
