"""Losses that look at the logits themselves, besides or instead of their softmax."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._checks import Labels, check_classes, check_logits
from ce_jax.losses._numerics import poison, replace_bad
from ce_jax.losses._odds import odds
from ce_jax.losses._softmax import logsumexp_along, softmax_along, visible_logits
from ce_jax.losses._squared_errors import residuals_on_logits

Rows = Float[Array, "..."]


def squentropy(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy plus the mean square of the wrong logits, -log p_y + sum_{j != y} z_j^2 / (K - 1).

    The gradient is p_k - [k = y], plus 2 z_j / (K - 1) at the wrong classes.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out, and K counts the others.

    Returns:
      One value per row [...], float32 for half precision. A wrong class of logit -inf is left out like a hidden one; a
      row whose label has the logit -inf is +inf and has gradient 0. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(squentropy(jnp.array([1.0, 1.0]), jnp.array(0))), 4)  # log 2 + 1
    1.6931

    Source: Hui, Belkin and Wright, Cut your Losses with Squentropy (2023).
    """
    logits, axis = check_logits(logits, axis)  # once: the two parts of a derivative are not rounded before they meet
    o = odds(logits, labels, axis, where)
    r = residuals_on_logits(logits, labels, 0.0, axis, where)
    return r.finish(o.surprise + r.squares() / r.wrong_classes)


def squentropy_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `squentropy` with respect to the logits, written by hand.

    Args and errors as in `squentropy`; the shape is that of `logits`.

    >>> squentropy_grad(jnp.array([1.0, 1.0]), jnp.array(0))
    Array([-0.5,  2.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    r = residuals_on_logits(logits, labels, 0.0, axis, where)
    wrong = o.wrong()
    return r.finish_grad(-wrong, wrong * o.softmax_of_others() + 2 / r.wrong_classes * r.elsewhere())


def z_loss(
    logits: ArrayLike, labels: ArrayLike | None = None, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Square of the log-normaliser, logsumexp(z)^2: added to cross-entropy it keeps the logits from drifting.

    The gradient is 2 logsumexp(z) p_k. It does not depend on a label.

    Args:
      logits: floating point [..., K].
      labels: integers [...] or None. They are only checked, so that the loss can stand in the table with the others.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. NaN for a row that holds NaN or +inf or no class, and, if
      there are labels, for one that is out of range or hidden.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(z_loss(jnp.array([0.0, 0.0]))), 4)  # (log 2)^2
    0.4805

    Source: Chowdhery et al., PaLM: Scaling Language Modeling with Pathways (2022), with coefficient 1e-4.
    """
    z, axis, bad = _unlabelled(logits, labels, axis, where)
    return jnp.squeeze(poison(logsumexp_along(axis, replace_bad(z, bad)) ** 2, bad), axis)


def z_loss_grad(
    logits: ArrayLike, labels: ArrayLike | None = None, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `z_loss` with respect to the logits, 2 logsumexp(z) p_k, written by hand.

    Args and errors as in `z_loss`; the shape is that of `logits`.

    >>> z_loss_grad(jnp.array([1.0, 1.0])).round(4)
    Array([1.6931, 1.6931], dtype=float32)
    """
    z, axis, bad = _unlabelled(logits, labels, axis, where)
    size = jnp.where(bad, jnp.nan, 2 * logsumexp_along(axis, z))
    return size * softmax_along(axis, z)


def _unlabelled(
    logits: ArrayLike, labels: ArrayLike | None, axis: int, where: ArrayLike | None
) -> tuple[Rows, int, Array]:
    if labels is None:
        z, axis, _ = visible_logits(logits, axis, where)
        return z, axis, ~jnp.isfinite(jnp.max(z, axis, keepdims=True))
    z, place, _, label_ok = check_classes(logits, labels, axis, where)
    return z, place.axis, ~(label_ok & jnp.isfinite(jnp.max(z, place.axis, keepdims=True)))


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
    z, place, label_logit, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & jnp.isfinite(jnp.max(z, place.axis, keepdims=True)))
    z, label_logit = replace_bad(z, bad), replace_bad(label_logit, bad)
    others, label = _stable_sum(z, place, bad), _stable(label_logit)
    ahead = others <= label
    ratio = others / jnp.where(ahead, label, 1)
    # log s(x) = log(1 + |x|) with the sign of x; the quotient would be 0 / 0 under autodiff for x = -inf.
    log_label = jnp.where(label_logit >= 0, 1, -1) * jnp.log1p(jnp.abs(label_logit))
    value = jnp.where(ahead, jnp.log1p(jnp.where(ahead, ratio, 0)), jnp.log(others + label) - log_label)
    return jnp.squeeze(poison(value, bad), place.axis)


def stablemax_cross_entropy_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `stablemax_cross_entropy` with respect to the logits, written by hand.

    s'(z_j) / sum s at the wrong classes; at the label the two terms are joined to -(s'/s)(z_y) times the share of the
    others, with s'/s = 1 / (1 + |x|). Args and errors as in `stablemax_cross_entropy`; the shape is that of `logits`.

    >>> stablemax_cross_entropy_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.5,  0.5], dtype=float32)
    """
    z, place, label_logit, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & jnp.isfinite(jnp.max(z, place.axis, keepdims=True)))
    others = _stable_sum(z, place, bad)
    total = jnp.where(bad, jnp.nan, others + _stable(label_logit))
    return place.place(_stable_slope(z) / total, -(others / total) / (1 + jnp.abs(label_logit)))


def _stable(x: Rows) -> Rows:
    return jnp.where(x >= 0, 1 + jnp.where(x >= 0, x, 0), 1 / (1 + jnp.abs(x)))


def _stable_slope(x: Rows) -> Rows:
    return jnp.where(x >= 0, 1, _stable(x) ** 2)


@jax.custom_jvp
def _stable_sum(z: Rows, labels: Labels, bad: Array) -> Rows:
    """sum_{j != y} s(z_j), 1 more in bad rows; a reverse pass keeps its slope and no mask."""
    return jnp.sum(labels.place(_stable(z), bad), labels.axis, keepdims=True)


@_stable_sum.defjvp
def _stable_sum_jvp(primals, tangents):
    z, labels, _ = primals
    slope = labels.place(_stable_slope(z), 0)
    return _stable_sum(*primals), jnp.sum(slope * tangents[0], labels.axis, keepdims=True)
