"""What a learning-rate search costs: the best to expect from a budget, and how wide the good rates lie."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce_jax.analysis._times import Scalar, Values


def expected_best(scores: ArrayLike, budgets: ArrayLike, *, replace: bool = True) -> NDArray[np.float64]:
    """Expected best score after trying k settings drawn at random from those tried.

    With the scores sorted, v_1 <= ... <= v_n: E[max] = sum_i v_i (F_k(i) - F_k(i-1)), where F_k(i), the probability
    that all k draws fall among the i worst, is (i/n)^k when drawn with replacement (Dodge et al. 2019, the default),
    and C(i, k) / C(n, k) without.

    Args:
        scores: [..., n] one score per setting, more being better; negate a loss. Give a diverged run the worst score
            possible, not NaN: a search that meets it has spent a trial on it. NaN is contagious.
        budgets: [B] numbers of trials k, integers from 1.
        replace: True treats the n scores as the whole distribution, is defined for any k, and is biased downwards as an
            estimate for the distribution they were drawn from; False is unbiased for it, and needs k <= n.

    Returns:
        [..., B]; k = 1 is the mean, and without replacement k = n the maximum.

    Raises:
        ValueError: no score, a budget that is no positive integer, or one above n without replacement.

    Source: Dodge et al. 2019, "Show Your Work"; without replacement: Tang et al. 2020.

    >>> expected_best([0.6, 0.9], [1, 2, 3])
    array([0.75  , 0.825 , 0.8625])
    >>> expected_best([0.6, 0.9], [1, 2], replace=False)
    array([0.75, 0.9 ])
    """
    ordered = np.sort(np.asarray(scores, np.float64), axis=-1)
    budgets = np.asarray(budgets)
    n = ordered.shape[-1] if ordered.ndim else 0
    if not n or budgets.ndim != 1:
        raise ValueError(f"expected scores [..., n] and budgets [B], got shapes {ordered.shape} and {budgets.shape}")
    if not np.issubdtype(budgets.dtype, np.integer) or np.any(budgets < 1):
        raise ValueError(f"budgets: expected numbers of trials, integers from 1, got {budgets.tolist()}")
    if not replace and np.any(budgets > n):
        raise ValueError(
            f"budgets: expected at most {n}, got {budgets.max()}; without replacement only {n} trials can be drawn"
        )
    below = np.arange(n + 1)[:, None]
    if replace:
        chance = (below / n) ** budgets
    else:
        # C(i, k) / C(n, k) factor by factor, because the binomials themselves overflow.
        drawn = np.arange(n)
        factors = np.maximum(below - drawn, 0) / (n - drawn)
        chance = np.cumprod(factors, axis=-1)[:, budgets - 1]
    return ordered @ np.diff(chance, axis=0)


def rate_band(rates: ArrayLike, scores: ArrayLike, within: Scalar) -> Values:
    """Width in decades of the widest unbroken band of learning rates that are about as good as the best one.

    max over bands of log10(r_last / r_first), a band being neighbouring rates with score >= max(scores) - within. A
    hole ends a band, for a search that lands in it fails. A band that touches an end of the grid may be wider than
    measured.

    Args:
        rates: [R] learning rates, positive and increasing.
        scores: [..., R] one score per rate, more being better; NaN (diverged) is never good.
        within: how far below the best still counts as good, in units of the score. A ten-thousandth of it is added for
            rounding, so that float32 accuracies exactly one point apart are within one point.

    Returns:
        [...] decades; 0 for a single good rate, and where every rate diverged.

    Raises:
        ValueError: rates that are not positive and increasing, shapes that do not fit, or a negative `within`.

    >>> float(rate_band([0.001, 0.01, 0.1, 1.0, 10.0], [0.5, 0.895, 0.9, 0.9, np.nan], 0.01))
    2.0
    """
    rates, scores = np.asarray(rates, np.float64), np.asarray(scores, np.float64)
    if rates.ndim != 1 or not rates.size or scores.shape[-1:] != rates.shape:
        raise ValueError(f"expected rates [R] and scores [..., R], got shapes {rates.shape} and {scores.shape}")
    if not np.all(rates > 0) or np.any(np.diff(rates) <= 0):
        raise ValueError(f"rates: expected positive and increasing numbers, got {rates.tolist()}")
    if not within >= 0:
        raise ValueError(f"within: expected a distance below the best score, at least 0, got {within}")
    best = np.max(scores, axis=-1, keepdims=True, where=~np.isnan(scores), initial=-np.inf)
    # A comparison with NaN is false, so that a rate that diverged is not good.
    good = scores >= best - 1.0001 * within
    gaps = np.diff(np.log10(rates))
    band = widest = np.zeros(scores.shape[:-1])
    for i, gap in enumerate(gaps):
        band = np.where(good[..., i] & good[..., i + 1], band + gap, 0.0)
        widest = np.maximum(widest, band)
    return widest[()]
