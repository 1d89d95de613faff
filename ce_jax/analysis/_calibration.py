"""Whether predicted probabilities mean what they say."""

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ce_jax.analysis._times import Scalar


def expected_calibration_error(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Average gap between how sure a classifier is and how often it is right.

    ECE = sum_b (n_b / N) |accuracy_b - confidence_b|, over `bins` equally wide bins (lo, hi] of the confidence
    max_k p_k; accuracy_b is the fraction of right predictions, confidence_b the mean confidence in bin b.

    Args:
        probs: [N, K] predicted probabilities (not logits); NaN is contagious.
        labels: [N] integers in 0..K-1.
        bins: number of bins. The figure depends on it and is biased upwards in small samples: compare at equal N and
            bins.

    Returns:
        ECE in 0..1.

    Raises:
        TypeError: labels that are no integers.
        ValueError: probabilities outside 0..1, labels outside 0..K-1, shapes that do not fit, or no bin.

    Source: Naeini et al. 2015; Guo et al. 2017.

    >>> expected_calibration_error([[0.75, 0.25], [0.25, 0.75]], [0, 0])  # sure to 0.75, right half of the time
    0.25
    """
    probs, labels = _checked(probs, labels, "probs")
    outside = (probs < 0) | (probs > 1 + 1e-5)  # a softmax in float32 may exceed 1 by rounding
    if outside.any():
        raise ValueError(f"probs: expected numbers in 0..1, got {probs[outside][0]}; apply softmax to logits first")
    if bins < 1:
        raise ValueError(f"bins: expected at least one bin, got {bins}")
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    upper_edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    # n_b (accuracy_b - confidence_b) is the sum of right - confidence over bin b; searchsorted's "left" is (lo, hi].
    gaps = np.bincount(np.searchsorted(upper_edges, confidence), weights=right - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, bounds: tuple[Scalar, Scalar] = (0.01, 100.0)) -> float:
    """The one temperature T that makes softmax(logits / T) predict the labels best.

    T = argmin_T mean_n -log softmax(z_n / T)_{y_n}. In b = 1/T this is convex, with derivative
    mean_n sum_k p_nk (z_nk - z_ny), p = softmax(b z), so the minimum is the one place where that changes sign.

    Args:
        logits: [N, K]; -inf marks a class as impossible, other than the label's. Fit on data not trained on.
        labels: [N] integers in 0..K-1.
        bounds: smallest and largest T. Rows that are all predicted right push T to the lower bound, logits that say
            nothing about the labels push it to the upper.

    Returns:
        T, above 1 for an overconfident classifier; 1 if T makes no difference (all logits of a row equal).

    Raises:
        TypeError: labels that are no integers.
        ValueError: NaN or +inf logits, -inf on a label, labels outside 0..K-1, shapes that do not fit, bad bounds.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; root by `scipy.optimize.brentq`.

    >>> logits = np.log([[0.9, 0.1]] * 4)  # sure to 0.9, right 3 times in 4
    >>> round(fit_temperature(logits, [0, 0, 0, 1]), 6)  # log 9 / log 3
    2.0
    """
    logits, labels = _checked(logits, labels, "logits")
    coolest, hottest = bounds
    if not 0 < coolest <= hottest < np.inf:
        raise ValueError(f"bounds: expected positive and finite numbers, the smaller one first, got {bounds}")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    if not np.isfinite(own).all() or np.isnan(logits).any() or np.isposinf(logits).any():
        raise ValueError(
            "logits: expected finite numbers, or -inf for classes other than the label's, "
            "got NaN, +inf or -inf on a label; leave such rows out"
        )
    lead = logits - own

    def slope(log_temperature: float) -> float:
        p = scipy.special.softmax(lead / np.exp(log_temperature), axis=1)
        # A class at -inf has p = 0 and adds nothing; 0 times -inf would be NaN.
        return float((p * np.where(np.isneginf(lead), 0.0, lead)).sum(axis=1).mean())

    if not np.any(np.where(np.isneginf(lead), 0.0, lead)):
        return 1.0
    # Sought in log T, in which 0.01 and 100 are equally far from 1. A slope that has not changed its sign at an end of
    # the bounds means that the minimum lies beyond that end.
    low, high = np.log(coolest), np.log(hottest)
    if slope(low) <= 0:
        return float(coolest)
    if slope(high) >= 0:
        return float(hottest)
    return float(np.exp(scipy.optimize.brentq(slope, low, high, xtol=1e-12)))


def _checked(table: ArrayLike, labels: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """The table as float64 [N, K] and the labels as integers [N] in 0..K-1, or an error that says what is wrong."""
    if np.ma.is_masked(table) or np.ma.is_masked(labels):
        raise ValueError(f"expected {name} and labels without masked values; leave those rows out")
    table, labels = np.asarray(table, np.float64), np.asarray(labels)
    if table.ndim != 2 or labels.shape != table.shape[:1] or not table.size:
        raise ValueError(f"expected {name} [N, K] and labels [N], got shapes {table.shape} and {labels.shape}")
    if labels.dtype.kind not in "iu":  # numpy counts durations among the integers
        raise TypeError(f"labels: expected integers, got {labels.dtype}; pass the index of the class of every row")
    outside = (labels < 0) | (labels >= table.shape[1])
    if outside.any():
        first = int(outside.argmax())
        raise ValueError(f"labels: expected 0..{table.shape[1] - 1}, got {labels[first]} at index {first}")
    return table, labels
