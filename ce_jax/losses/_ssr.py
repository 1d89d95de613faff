"""The sum of squared residuals (SSR) on probabilities, its derivation and its hand-written gradient.

    SSR = sum_k (p_k - [k = y])^2,  p = softmax(z);   dSSR/dz_i = 2 p_i (e_i - sum_k p_k e_k),  e_k = p_k - [k = y]

from de_k/dz_i = p_k ([i = k] - p_i). Evaluated like that it rounds to 0 where the model is confidently wrong. With
u = 1 - p_y and q the softmax of the other classes, so that p_j = u q_j, and with S = sum_j q_j^2, it becomes

    SSR = u^2 (1 + S)      dSSR/dz_y = -2 p_y u^2 (1 + S)      dSSR/dz_j = 2 u^2 q_j [(q_j - S) + (1 + S) p_y]

The one difference left, q_j - S = sum_k q_k (q_j - q_k), is taken from residuals r_j = q_j - c that are computed as
such: q_j - S = r_j - sum_k q_k r_k for every constant c. Where another class leads, c is its q and
r_j = c expm1(z_j - z_a), exact at ties and near them; where the label leads, p_y outweighs the difference and c = 0.

With label smoothing e the target is t_k = (1 - e) [k = y] + e / K, and with D = u (1 + S) - e

    SSR = u^2 (1 + S) - 2 e u + e^2 (1 - 1/K)   dSSR/dz_y = -2 p_y u D   dSSR/dz_j = 2 u q_j [u (q_j - S) + p_y D]

for e / K drops out of every difference of residuals. The value is taken as the sum of the squares that it is, of
p_j - t_j = u q_j - e / K and t_y - p_y = u - e (1 - 1/K). In the tails neither a residual nor D cancels: u is tiny, or
near 1 and then D is near 1 + S - e. Where the model predicts the target, residuals and D are 0 and have the rounding
error of e: value and gradient are exact relative to their size nearby.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import deviations, exponential_minus, replace_value
from ce_jax.losses._bad_rows import poison
from ce_jax.losses._checks import check_where, count_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import is_many
from ce_jax.losses._odds import Odds, odds, sum_along
from ce_jax.losses._parameters import check_number, is_zero
from ce_jax.losses._softmax import soft_targets, softmax_along, softmax_with_peak

Rows = Float[Array, "..."]


class Others(NamedTuple):
    """The classes other than the label, among themselves; q is their softmax, 0 at the label."""

    difference: Rows  # q_j - S
    slope: Rows  # q_j (q_j - S)
    squares: Rows  # S


def _measured(o: Odds) -> Others:
    """Computes the differences of q for the rows of `o`; not to be differentiated, `_others` is."""
    powers, leader = o.powers(), o.leader()
    # T = 0 where no other class has a probability; all powers are 0 then, and any scale will do.
    scale = 1 / jnp.where(o.others > 0, o.others, 1)
    q = powers * scale
    residual = jnp.where(leader > 0, exponential_minus(powers, leader, o.logits - o.peak), powers)  # T r_j
    # XLA would join a sum with what stands before and after it, and store the residuals for that: a 0 that is there
    # already is placed before the sum, and bad rows are looked at after it.
    product = o.labels.place(q * residual, 0)
    mean = jnp.where(o.bad, 0, sum_along(product, o.axis))
    difference, slope = residual - mean, product - q * mean
    if is_many(o.logits.shape[o.axis]):
        # Near ties the entries of the gradient are as small as q_j times the rounding error of the mean is large.
        excess = jnp.where(o.bad, 0, sum_along(slope, o.axis))
        difference, slope = difference - excess, slope - q * excess
    # S = sum_k q_k (c + r_k) = c + sum_k q_k r_k
    return Others(difference * scale, slope * scale, (leader + mean) * scale)


@jax.custom_jvp
def _others(o: Odds, known: Others) -> Others:
    """`known`, with its derivatives: dq_j = q_j (dz_j - sum_k q_k dz_k), dS = 2 sum_j q_j (q_j - S) dz_j."""
    del o
    return known


@_others.defjvp
def _others_jvp(primals, tangents):
    o, dz = primals[0], tangents[0].logits
    values, q = _others(*primals), o.softmax_of_others()
    dq, squares = q * deviations(q, dz, o.axis), 2 * jnp.sum(values.slope * dz, o.axis, keepdims=True)
    difference = dq - squares
    return values, Others(difference, dq * values.difference + q * difference, squares)


def others_of(o: Odds) -> Others:
    """What the loss and its gradient need to know of the classes other than the label."""
    return _others(o, _measured(lax.stop_gradient(o)))


@answers_unknown_keywords
def ssr(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """Sum of squared residuals between the softmax of `logits` and the one-hot label.

    SSR = sum_k (p_k - [k = y])^2, over all classes, without a factor 1/2 or 1/K: 0 when right, 2 when another class has
    probability 1. (The Brier score of two classes that counts one output is half of this; the textbook form that looks
    at the true class alone is `true_class_ssr`.) The gradient is 2 p_i (e_i - sum_k p_k e_k) with e = p - onehot, see
    `ssr_grad`. Value and gradient keep their precision however far the label is ahead or behind. With `label_smoothing`
    e the target is (1 - e) [k = y] + e / K over all K visible classes, as in `cross_entropy`; then they keep it but
    where the prediction is the target, and have the rounding error of the target there.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.
      label_smoothing: number e in 0..1, may be traced.

    Returns:
      One value per row [...] in 0..2, float32 for half precision. A label that is out of range or hidden gives NaN, and
      so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> [f"{loss:.5g}" for loss in ssr(jnp.array([[0.0, 0.0], [20.0, 0.0]]), jnp.array([0, 0]))]
    ['0.5', '8.4967e-18']

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability (1950).
    """
    o = odds(logits, labels, axis, where)
    squares, wrong = others_of(o).squares, o.wrong()
    if is_zero(label_smoothing):
        return o.finish(wrong**2 * (1 + squares))
    e, visible = check_number(label_smoothing, o.logits, "label_smoothing"), check_where(where, o.logits.shape)
    e = jnp.where(o.bad, 0, e)  # for `poison` to find a slope other than 0
    spread = e / jnp.maximum(count_classes(visible, o.logits.shape, o.axis, e.dtype), 1)
    moved = wrong**2 * (1 + squares) - 2 * e * wrong + e * (e - spread)
    u, q, e, spread = lax.stop_gradient((wrong, o.softmax_of_others(), e, spread))
    residual = o.labels.place(u * q - spread, u - (e - spread))
    shown = residual if visible is None else jnp.where(visible, residual, 0)
    return o.finish(replace_value(moved, jnp.sum(shown**2, o.axis, keepdims=True)))


@answers_unknown_keywords
def ssr_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """Gradient of `ssr` with respect to the logits, written by hand.

    -2 p_y u^2 (1 + S) at the label and 2 u^2 q_j [(q_j - S) + (1 + S) p_y] elsewhere, derived at the top of this
    module, with what label smoothing adds. Args and errors as in `ssr`.

    Returns:
      Array of the shape of `logits`; 0 at hidden classes, NaN in rows whose loss is NaN.

    >>> [f"{slope:.5g}" for slope in ssr_grad(jnp.array([0.0, 20.0]), jnp.array(0))]  # the textbook formula: 0 twice
    ['-8.2446e-09', '8.2446e-09']
    """
    o = odds(logits, labels, axis, where)
    others = others_of(o)
    if is_zero(label_smoothing):
        size = o.mark(2 * o.wrong() ** 2)
        pull = (1 + others.squares) * o.right()
        return o.labels.place(size * o.softmax_of_others() * (others.difference + pull), -size * pull)
    e = check_number(label_smoothing, o.logits, "label_smoothing")
    wrong = o.wrong()
    size = o.mark(2 * wrong)
    pull = (wrong * (1 + others.squares) - e) * o.right()
    return o.labels.place(size * o.softmax_of_others() * (wrong * others.difference + pull), -size * pull)


@answers_unknown_keywords
def ssr_with_targets(
    logits: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Sum of squared residuals between the softmax of `logits` and a distribution, sum_k (p_k - t_k)^2.

    The gradient is 2 p_i (r_i - sum_k p_k r_k) with r = p - t. Targets are used as they are, not renormalised.

    Args:
      logits: floating point [..., K].
      targets: floating point [..., K], the target of every class.
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A row is NaN where a hidden class has a target other than 0,
      and where it holds NaN, an infinite target or a +inf logit.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_with_targets(jnp.array([0.0, 0.0]), jnp.array([0.25, 0.75]))
    Array(0.125, dtype=float32)
    """
    z, t, bad, axis = soft_targets(logits, targets, axis, where)
    p = softmax_along(axis, z)
    residual, relative = _soft_residuals(lax.stop_gradient(z), lax.stop_gradient(t), axis)
    # sum_k dp_k = 0, so that 2 sum_k r_k dp_k = 2 sum_k (r_k - r_a) dp_k; the targets are not moved by a.
    moved = replace_value(p, relative) ** 2 + replace_value(-t, residual) ** 2
    value = jnp.sum(residual**2, axis, keepdims=True)
    return jnp.squeeze(poison(replace_value(jnp.sum(moved, axis, keepdims=True), value), bad), axis)


@answers_unknown_keywords
def ssr_with_targets_grad(
    logits: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `ssr_with_targets` with respect to the logits, 2 p_i (r_i - sum_k p_k r_k), written by hand.

    With a the largest class, r_i - sum_k p_k r_k = (r_i - r_a) - sum_k p_k (r_k - r_a), which does not cancel as p_a
    tends to 1. Args and errors as in `ssr_with_targets`; the shape is that of `logits`.

    >>> ssr_with_targets_grad(jnp.array([0.0, 0.0]), jnp.array([0.25, 0.75]))
    Array([ 0.25, -0.25], dtype=float32)
    """
    z, t, bad, axis = soft_targets(logits, targets, axis, where)
    p, _, _ = softmax_with_peak(z, axis)
    _, relative = _soft_residuals(z, t, axis)
    return jnp.where(bad, jnp.nan, 2 * p * (relative - jnp.sum(p * relative, axis, keepdims=True)))


def _soft_residuals(z: Rows, t: Rows, axis: int) -> tuple[Rows, Rows]:
    """p_k - t_k, and the same minus its value at the largest class a.

    At a, the residual is (1 - t_a) - (1 - p_a). Where t_k = t_a, the second one is p_k - p_a = p_a expm1(z_k - z_a).
    """
    p, is_peak, missing = softmax_with_peak(z, axis)
    residual = jnp.where(is_peak, (1 - t) - missing, p - t)

    def at_peak(x: Rows) -> Rows:
        return jnp.sum(jnp.where(is_peak, x, 0), axis, keepdims=True)

    drop = z - jnp.max(z, axis, keepdims=True)
    relative = jnp.where(t == at_peak(t), at_peak(p) * jnp.expm1(drop), residual - at_peak(residual))
    return residual, relative
