"""Binary cross-entropy of every class against the rest: K logistic regressions in place of one softmax.

With s_y = -z_y and s_j = z_j elsewhere, L = sum_k softplus(s_k), softplus(s) = log(1 + exp(s)). Its derivative is
sigmoid(s), and that of sigmoid(s) is sigmoid(s) sigmoid(-s): s (1 - s), as autodiff has it, is 0 beyond s = 17.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._checks import check_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


@jax.custom_jvp
def sigmoid(x: Rows) -> Rows:
    """1 / (1 + exp(-x)) with full relative precision on both sides; its derivative is sigmoid(x) sigmoid(-x)."""
    small = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0, 1, small) / (1 + small)


@sigmoid.defjvp
def _sigmoid_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    value = sigmoid(x)
    return value, value * sigmoid(-x) * dx


def _signed(z: Rows, labels: Labels) -> Rows:
    """s: the logits, that of the label negated."""
    return labels.place(z, -labels.pick(z))


def _slope(z: Rows, labels: Labels) -> Rows:
    at_label = -sigmoid(-labels.pick(z))
    return labels.place(sigmoid(z), at_label)


@jax.custom_jvp
def _sum_of_softplus(z: Rows, labels: Labels) -> Rows:
    """sum_k softplus(s_k), with the derivative sum_k sigmoid(s_k) ds_k; a reverse pass keeps its slope and no mask."""
    s = _signed(z, labels)
    return jnp.sum(jnp.maximum(s, 0) + jnp.log1p(jnp.exp(-jnp.abs(s))), labels.axis, keepdims=True)


@_sum_of_softplus.defjvp
def _sum_of_softplus_jvp(primals, tangents):
    z, labels = primals
    return _sum_of_softplus(*primals), jnp.sum(_slope(z, labels) * tangents[0], labels.axis, keepdims=True)


class _Rows(NamedTuple):
    """Checked logits, with harmless numbers in bad rows."""

    logits: Rows
    labels: Labels
    bad: Mask


def _rows(logits: ArrayLike, labels: ArrayLike, axis: int, where: ArrayLike | None) -> _Rows:
    z, y, _, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & (jnp.max(z, y.axis, keepdims=True) < jnp.inf))
    return _Rows(replace_bad(z, bad), y, bad)


@answers_unknown_keywords
def sigmoid_binary_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Sum over classes of the binary cross-entropies of one class against the rest, without softmax.

    L = softplus(-z_y) + sum_{j != y} softplus(z_j) with softplus(x) = log(1 + exp(x)); not divided by K. The gradient
    is sigmoid(z_k) - [k = y]. A number added to all logits changes it, unlike the losses of a softmax. Value and
    gradient keep their relative precision in both tails of every class.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A wrong class of logit -inf contributes nothing; a label
      logit of -inf gives +inf. A label that is out of range or hidden gives NaN, and so does a row that holds NaN or
      +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(sigmoid_binary_cross_entropy(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # 2 log 2
    1.3863

    Source: Wightman, Touvron and Jegou, ResNet strikes back (2021), for classification by this loss.
    """
    r = _rows(logits, labels, axis, where)
    return jnp.squeeze(poison(_sum_of_softplus(r.logits, r.labels), r.bad), r.labels.axis)


@answers_unknown_keywords
def sigmoid_binary_cross_entropy_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `sigmoid_binary_cross_entropy` with respect to the logits, written by hand.

    -sigmoid(-z_y) at the label and sigmoid(z_j) elsewhere, the derivative of softplus being sigmoid. Args and errors as
    in `sigmoid_binary_cross_entropy`; the shape is that of `logits`.

    >>> sigmoid_binary_cross_entropy_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.5,  0.5], dtype=float32)
    """
    r = _rows(logits, labels, axis, where)
    return jnp.where(r.bad, jnp.nan, _slope(r.logits, r.labels))
