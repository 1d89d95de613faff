"""The softmax and its logarithm, exact for every class, with their hand-written derivatives.

With a the class of the largest logit and s = sum_{j != a} exp(z_j - z_a):

    log softmax(z)_k = (z_k - z_a) - log1p(s)        softmax(z)_k = exp(z_k - z_a) / (1 + s)
    logsumexp(z) = z_a + log1p(s)                    1 - softmax(z)_a = s / (1 + s)

Subtracting a rounded logsumexp from z_k would cost its rounding error in every class: 8,000 units in the last place
of log p_k at logits near 10,000. The derivative of log softmax is d log p_k = dz_k - sum_j p_j dz_j. For k = a the
two terms nearly cancel once p_a is near 1, so that it is taken as (1 - p_a) dz_a - sum_{j != a} p_j dz_j there.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._arithmetic import exponential_from, subtract_exactly
from ce_jax.losses._bad_rows import replace_bad
from ce_jax.losses._checks import check_logits, check_targets, check_where
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels, class_index

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class Peak(NamedTuple):
    """The largest logit of every row, and exponentials relative to it."""

    place: Labels  # where the largest logit stands, the first of several
    is_peak: Mask  # True there
    peak: Rows
    powers: Rows  # exp(z_k - z_a), 0 at a
    rest: Rows  # s
    known: Mask  # the row has a finite largest logit and no NaN


def find_peak(z: Rows, axis: int) -> Peak:
    """Computes the parts of the softmax of `z`; not to be differentiated."""
    z = lax.stop_gradient(z)
    peak = jnp.max(z, axis, keepdims=True)
    index = class_index(z.shape, axis)
    # One class alone is left out of s, the first of those that share the largest logit.
    first = jnp.min(jnp.where(z == peak, index, z.shape[axis]), axis, keepdims=True)
    is_peak = index == first
    powers = jnp.where(is_peak, 0, exponential_from(z, peak, jnp.zeros_like(peak)))
    # In a row with NaN no logit equals the peak, and `first` is one too many.
    at = Labels(jnp.minimum(first, z.shape[axis] - 1), axis)
    return Peak(at, is_peak, peak, powers, jnp.sum(powers, axis, keepdims=True), jnp.isfinite(peak))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def softmax_along(axis: int, z: Rows) -> Rows:
    """`softmax` of checked logits."""
    top = find_peak(z, axis)
    return jnp.where(top.known, jnp.where(top.is_peak, 1, top.powers) / (1 + top.rest), jnp.nan)


@softmax_along.defjvp
def _softmax_jvp(axis, primals, tangents):
    p = softmax_along(axis, *primals)
    change, below, at_peak, is_peak = _relative_change(axis, p, primals[0], tangents[0])
    return p, jnp.where(is_peak, at_peak * change, below * change)


def _relative_change(axis: int, p: Rows, z: Rows, dz: Rows) -> tuple[Rows, Rows, Rows, Mask]:
    """d log p_k = dz_k - sum_j p_j dz_j; p_j but for the largest, p_a, the largest, and where that stands.

    Of the size of the logits, a reverse pass keeps only `below` and `is_peak`.
    """
    top = find_peak(z, axis)
    is_peak = top.is_peak
    below = jnp.where(is_peak, 0, p)
    at_peak = jnp.sum(jnp.where(is_peak, p, 0), axis, keepdims=True)
    drift = jnp.sum(below * dz, axis, keepdims=True)
    # 1 - p_a as the sum of the others keeps its precision, and it can be differentiated again.
    missing = jnp.sum(below, axis, keepdims=True)
    # At a: (1 - p_a) dz_a - sum_{j != a} p_j dz_j. Elsewhere: dz_k - p_a dz_a - sum_{j != a} p_j dz_j.
    pull = at_peak * top.place.pick(dz)
    return jnp.where(is_peak, missing * dz, dz - pull) - drift, below, at_peak, is_peak


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_softmax_along(axis: int, z: Rows) -> Rows:
    """`log_softmax` of checked logits."""
    top = find_peak(z, axis)
    drop, error = subtract_exactly(z, top.peak)
    # The rounding error of z_k - z_a joins the smaller term; for z_k = -inf it is NaN.
    exact = drop + (jnp.where(jnp.isfinite(drop), error, 0) - jnp.log1p(top.rest))
    return jnp.where(top.known, exact, jnp.nan)


@log_softmax_along.defjvp
def _log_softmax_jvp(axis, primals, tangents):
    (z,), (dz,) = primals, tangents
    return log_softmax_along(axis, z), _relative_change(axis, softmax_along(axis, z), z, dz)[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def logsumexp_along(axis: int, z: Rows) -> Rows:
    """`logsumexp` of checked logits, class axis kept."""
    top = find_peak(z, axis)
    # Without a finite peak the sum is the peak: -inf, +inf or NaN.
    return jnp.where(top.known, top.peak + jnp.log1p(top.rest), top.peak)


@logsumexp_along.defjvp
def _logsumexp_jvp(axis, primals, tangents):
    slope = softmax_along(axis, *primals)
    return logsumexp_along(axis, *primals), jnp.sum(slope * tangents[0], axis, keepdims=True)


def visible_logits(logits: ArrayLike, axis: int, where: ArrayLike | None) -> tuple[Rows, int, Mask | None]:
    """Checks logits, and gives hidden classes the logit -inf."""
    z, axis = check_logits(logits, axis)
    visible = check_where(where, z.shape)
    return (z if visible is None else jnp.where(visible, z, -jnp.inf)), axis, visible


def softmax_with_peak(z: Rows, axis: int) -> tuple[Rows, Mask, Rows]:
    """Probabilities p, where the largest of them stands, and 1 - p there; for hand-written gradients."""
    top = find_peak(z, axis)
    scale = 1 / (1 + top.rest)
    return jnp.where(top.is_peak, 1, top.powers) * scale, top.is_peak, top.rest * scale


def soft_targets(
    logits: ArrayLike, targets: ArrayLike, axis: int, where: ArrayLike | None
) -> tuple[Rows, Rows, Mask, int]:
    """Checks logits and targets. Rows that cannot be scored are returned as bad and hold harmless numbers."""
    z, axis, visible = visible_logits(logits, axis, where)
    t = check_targets(targets, z)
    bad = ~jnp.isfinite(jnp.max(z, axis, keepdims=True)) | ~jnp.isfinite(jnp.sum(t, axis, keepdims=True))
    if visible is not None:
        bad |= jnp.any(~visible & (t != 0), axis, keepdims=True)
        z = jnp.where(visible | bad, check_logits(logits, axis)[0], -jnp.inf)  # NaN reaches hidden classes too
    # Logits 0 and the first class as target: every entry of the gradient is other than 0, for `poison` to find.
    first = (class_index(z.shape, axis) == 0).astype(t.dtype)
    return replace_bad(z, bad), replace_bad(t, bad, first), bad, axis


@answers_unknown_keywords
def softmax(logits: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """Probabilities p_k = exp(z_k) / sum_j exp(z_j) over the visible classes.

    The derivative is dp_k = p_k (dz_k - sum_j p_j dz_j), written without the cancellation at the largest class.

    Args:
      logits: floating point [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False have probability 0.

    Returns:
      Probabilities [..., K], float32 for half precision. A row of -inf only, or with +inf or NaN, is NaN.

    >>> softmax(jnp.array([0.0, 0.0]))
    Array([0.5, 0.5], dtype=float32)
    """
    z, axis, _ = visible_logits(logits, axis, where)
    return softmax_along(axis, z)


@answers_unknown_keywords
def log_softmax(logits: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """Logarithms of `softmax`, exact even where the probability rounds to 1.

    log p_k = (z_k - z_a) - log1p(s), with the derivative dz_k - sum_j p_j dz_j.

    Args:
      logits: floating point [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False have log-probability -inf.

    Returns:
      Log-probabilities [..., K], float32 for half precision. A row of -inf only, or with +inf or NaN, is NaN.

    >>> f"{log_softmax(jnp.array([20.0, 0.0]))[0]:.5g}"  # z_k - logsumexp gives 0
    '-2.0612e-09'
    """
    z, axis, _ = visible_logits(logits, axis, where)
    return log_softmax_along(axis, z)


@answers_unknown_keywords
def logsumexp(logits: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """log sum_k exp(z_k) over the visible classes, with the softmax as its derivative.

    Args:
      logits: floating point [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision; -inf for a row of -inf only, +inf for one with +inf.

    >>> round(float(logsumexp(jnp.array([1000.0, 1000.0]))), 3)
    1000.693
    """
    z, axis, _ = visible_logits(logits, axis, where)
    return jnp.squeeze(logsumexp_along(axis, z), axis)
