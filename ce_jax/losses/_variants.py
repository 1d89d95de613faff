"""Other losses of the literature, each with its source, formula and hand-written gradient.

Most are functions of p_y alone, L = f(c) with c = -log p_y. Their gradient is f'(c) (p_k - [k = y]), and u q_j stands
for p_j where that is exact: see `ce_jax.losses._odds`.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._numerics import LARGE, knob, replace_value
from ce_jax.losses._odds import odds

Rows = Float[Array, "..."]


def focal_loss(
    logits: ArrayLike, labels: ArrayLike, *, gamma: ArrayLike = 2.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy damped where the model is right already, (1 - p_y)^g (-log p_y), without class weights.

    The gradient is u^(g-1) (u + g c p_y) (p_k - [k = y]) with u = 1 - p_y and c = -log p_y: du/dc = p_y. g = 0 is
    cross-entropy.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      gamma: number g >= 0, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(focal_loss(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # 0.5^2 log 2
    0.1733

    Source: Lin, Goyal, Girshick, He and Dollar, Focal Loss for Dense Object Detection (2017).
    """
    o = odds(logits, labels, axis, where)
    damping = o.power_of_wrong(knob(gamma, o.logits, "gamma"))
    # An infinite surprise is finite in the product rule, where it meets a derivative of the damping that is 0.
    finite = replace_value(o.surprise, jnp.minimum(o.surprise, LARGE))
    return o.finish(replace_value(damping * finite, damping * o.surprise))


def focal_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, gamma: ArrayLike = 2.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `focal_loss` with respect to the logits, written by hand: -u^g (u + g c p_y) at the label.

    The other entries are u^g (u + g c p_y) q_j. Args and errors as in `focal_loss`; the shape is that of `logits`.

    >>> focal_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), gamma=0.0)
    Array([-0.5,  0.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    g = knob(gamma, o.logits, "gamma")
    damped = jnp.where(o.right() > 0, o.surprise * o.right(), 0)  # inf 0 where the label has the logit -inf
    slope = o.mark(o.power_of_wrong(g) * (o.wrong() + g * damped))
    return o.labels.place(slope * o.softmax_of_others(), -slope)


def poly1_loss(
    logits: ArrayLike, labels: ArrayLike, *, epsilon: ArrayLike = 1.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy with its first polynomial coefficient raised by e: -log p_y + e (1 - p_y).

    The gradient is (1 + e p_y) (p_k - [k = y]).

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      epsilon: number e, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(poly1_loss(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # log 2 + 1/2
    1.1931

    Source: Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions (2022).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(o.surprise + knob(epsilon, o.logits, "epsilon") * o.wrong())


def poly1_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, epsilon: ArrayLike = 1.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `poly1_loss` with respect to the logits, (1 + e p_y) (p_k - [k = y]), written by hand.

    Args and errors as in `poly1_loss`; the shape is that of `logits`.

    >>> poly1_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), epsilon=2.0)
    Array([-1.,  1.], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark((1 + knob(epsilon, o.logits, "epsilon") * o.right()) * o.wrong())
    return o.labels.place(slope * o.softmax_of_others(), -slope)


def mean_absolute_error(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Sum of absolute residuals of the softmax, sum_k |p_k - [k = y]| = 2 (1 - p_y).

    (The name is the literature's; there is no division by K.) The gradient is 2 p_y (p_k - [k = y]).

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..2, float32 for half precision. A label that is out of range or hidden gives NaN, and
      so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> mean_absolute_error(jnp.array([0.0, 0.0]), jnp.array(0))
    Array(1., dtype=float32)

    Source: Ghosh, Kumar and Sastry, Robust Loss Functions under Label Noise for Deep Neural Networks (2017).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(2 * o.wrong())


def mean_absolute_error_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `mean_absolute_error` with respect to the logits, 2 p_y (p_k - [k = y]), written by hand.

    Args and errors as in `mean_absolute_error`; the shape is that of `logits`.

    >>> mean_absolute_error_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.5,  0.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark(2 * o.right() * o.wrong())
    return o.labels.place(slope * o.softmax_of_others(), -slope)
