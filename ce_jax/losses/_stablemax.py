"""Cross-entropy of the stablemax, which takes the place of the softmax and overflows nowhere."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._checks import check_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


def _stable(x: Rows) -> Rows:
    return jnp.where(x >= 0, 1 + jnp.where(x >= 0, x, 0), 1 / (1 + jnp.abs(x)))


def _stable_slope(x: Rows) -> Rows:
    return jnp.where(x >= 0, 1, _stable(x) ** 2)


@jax.custom_jvp
def _stable_sum(z: Rows, labels: Labels, bad: Mask) -> Rows:
    """sum_{j != y} s(z_j), 1 more in bad rows; a reverse pass keeps its slope and no mask."""
    return jnp.sum(labels.place(_stable(z), bad), labels.axis, keepdims=True)


@_stable_sum.defjvp
def _stable_sum_jvp(primals, tangents):
    z, labels, _ = primals
    slope = labels.place(_stable_slope(z), 0)
    return _stable_sum(*primals), jnp.sum(slope * tangents[0], labels.axis, keepdims=True)


@answers_unknown_keywords
def stablemax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy of the stablemax s(z_y) / sum_k s(z_k), with s(x) = 1 + x for x >= 0 and 1 / (1 - x) below.

    s grows linearly where exp explodes, so that nothing overflows and tails decay like 1/|x|. The gradient is
    s'(z_k) / sum s - [k = y] s'(z_y) / s(z_y), with s' = 1 for x >= 0 and s^2 below.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(stablemax_cross_entropy(jnp.array([2.0, -1.0]), jnp.array(0))), 4)  # -log(3 / 3.5)
    0.1542

    Source: Prieto, Barsbey, Mediano and Birdal, Grokking at the Edge of Numerical Stability (2025).
    """
    z, y, label_logit, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & jnp.isfinite(jnp.max(z, y.axis, keepdims=True)))
    z, label_logit = replace_bad(z, bad), replace_bad(label_logit, bad)
    others, label = _stable_sum(z, y, bad), _stable(label_logit)
    # -log(B / (T + B)) as log1p(T / B) where the label leads, and as log(T + B) - log B where that does not cancel.
    ahead = others <= label
    ratio = others / jnp.where(ahead, label, 1)
    # log s(x) = log(1 + |x|) with the sign of x; the quotient would be 0 / 0 under autodiff for x = -inf.
    log_label = jnp.where(label_logit >= 0, 1, -1) * jnp.log1p(jnp.abs(label_logit))
    value = jnp.where(ahead, jnp.log1p(jnp.where(ahead, ratio, 0)), jnp.log(others + label) - log_label)
    return jnp.squeeze(poison(value, bad), y.axis)


@answers_unknown_keywords
def stablemax_cross_entropy_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `stablemax_cross_entropy` with respect to the logits, written by hand.

    s'(z_j) / sum s at the wrong classes; at the label the two terms are joined to -(s'/s)(z_y) times the share of the
    others, with s'/s = 1 / (1 + |x|). Args and errors as in `stablemax_cross_entropy`; the shape is that of `logits`.

    >>> stablemax_cross_entropy_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.5,  0.5], dtype=float32)
    """
    z, y, label_logit, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & jnp.isfinite(jnp.max(z, y.axis, keepdims=True)))
    others = _stable_sum(z, y, bad)
    total = jnp.where(bad, jnp.nan, others + _stable(label_logit))
    return y.place(_stable_slope(z) / total, -(others / total) / (1 + jnp.abs(label_logit)))
