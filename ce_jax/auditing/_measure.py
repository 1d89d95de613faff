"""How wrong a result is: in units of the last place, relative to its row, and in the sum of its row."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax.auditing._oracle import Exact

Floats = NDArray[np.float64]
FLUSHED = float(np.finfo(np.float32).smallest_normal)  # of half precision, too, which is computed in float32


class Errors(NamedTuple):
    """The worst errors of a batch of results.

    ulp: of any entry, in units of the last place of the rounded truth
    relative: largest error in a row over the largest entry of the row
    row_sum: error of the sum of a row, in units of the last place of its largest entry; NaN for a value
    """

    ulp: float
    relative: float
    row_sum: float


def last_place(numbers: Floats, dtype: Any) -> Floats:
    """One unit in the last place of each number, rounded to `dtype` first; that of the smallest normal number below it.

    >>> [float(x) for x in last_place(np.array([1.0, 3.0, 0.0]), "float32") * 2**23] == [1.0, 2.0, 2.0**-126]
    True
    """
    info = jnp.finfo(dtype)
    with np.errstate(over="ignore"):
        rounded = np.abs(numbers.astype(dtype).astype(np.float64))
    _, exponent = np.frexp(np.clip(rounded, float(info.smallest_normal), float(info.max)))
    return np.asarray(np.ldexp(1.0, exponent - 1 - info.nmant))


def absolute_errors(computed: NDArray[Any], truth: Exact) -> Floats:
    """|computed - truth|; infinite where the result is not finite.

    An error of up to four times the smallest normal number counts as none: there a result has to be finite and small,
    and processors flush subnormal numbers to 0, be they results or terms on the way to them (autodiff adds the terms of
    several paths, each of which may vanish). A truth of NaN means unknown.
    """
    smallest = min(float(jnp.finfo(computed.dtype).smallest_normal), FLUSHED)
    x = computed.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs((x - truth.high) - truth.low)
    error = np.where(np.isfinite(x), error, np.inf)
    return np.where(np.isnan(truth.high) | (error <= 4 * smallest), 0.0, error)


def relative_errors(computed: NDArray[Any], truth: Exact) -> Floats:
    """Largest error over largest entry, but at least the smallest normal number, of every row [N, ...]."""
    n = len(computed)
    largest = np.max(np.abs(np.nan_to_num(truth.high)).reshape(n, -1), axis=1)
    error = np.max(absolute_errors(computed, truth).reshape(n, -1), axis=1)
    return error / np.maximum(largest, float(jnp.finfo(computed.dtype).smallest_normal))


def measure(computed: NDArray[Any], truth: Exact) -> Errors:
    """The worst errors of results [N, ...] against the truth, in units of the dtype the results come in.

    >>> measure(np.float32([1 + 2**-22]), Exact(np.array([1.0]), np.array([0.0])))
    Errors(ulp=2.0, relative=2.384185791015625e-07, row_sum=nan)
    """
    ulps = absolute_errors(computed, truth) / last_place(np.nan_to_num(truth.high), computed.dtype)
    relative = relative_errors(computed, truth)
    sums = max(map(_sum_error, computed, truth.high, truth.low)) if computed.ndim == 2 else math.nan
    return Errors(float(np.max(ulps)), float(np.max(relative)), float(sums))


def _sum_error(row: NDArray[Any], high: Floats, low: Floats) -> float:
    info = jnp.finfo(row.dtype)
    numbers = row.astype(np.float64)
    largest = np.max(np.abs(high))
    # Near the smallest normal number the entries that vanish below it are missing from the sum.
    if np.isnan(largest) or largest < info.smallest_normal / info.eps:
        return 0.0
    if not np.isfinite(numbers).all():
        return math.inf
    unit = last_place(np.asarray(largest), row.dtype)
    return abs(math.fsum([*numbers, *-high, *-low])) / float(unit)
