"""Losses of p_y alone: whatever the other classes share among them does not matter.

Each is L = f(c) with c = -log p_y, so that its gradient is f'(c) (p_k - [k = y]): -f'(c) u at the label and f'(c) u q_j
elsewhere, with u = 1 - p_y and q the softmax of the other classes, see `ce_jax.losses._odds`.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import LARGE, box_cox, replace_value
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._odds import odds
from ce_jax.losses._parameters import check_number


@answers_unknown_keywords
def true_class_ssr(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Squared residual of the true class alone, (1 - p_y)^2 with p the softmax of `logits`: the textbook form.

    Its range is 0..1; SSR over all classes lies between K/(K-1) and 2 times of it. Its gradient is
    `true_class_ssr_grad`.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..1, float32 for half precision. A label that is out of range or hidden gives NaN, and
      so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> true_class_ssr(jnp.array([0.0, 0.0]), jnp.array(0))
    Array(0.25, dtype=float32)

    Source: Starmer, StatQuest, Neural Networks part 6: Cross Entropy (2021).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(o.wrong() ** 2)


@answers_unknown_keywords
def true_class_ssr_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `true_class_ssr` with respect to the logits: -2 u^2 p_y at the label, 2 u^2 p_y q_j elsewhere.

    From u = sigmoid(-m), du/dm = -u p_y, with m the log-odds, dm = dz_y - sum_j q_j dz_j. Args and errors as in
    `true_class_ssr`; the shape is that of `logits`.

    >>> true_class_ssr_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.25,  0.25], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark(2 * o.wrong() ** 2 * o.right())
    return o.labels.place(slope * o.softmax_of_others(), -slope)


@answers_unknown_keywords
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


@answers_unknown_keywords
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


@answers_unknown_keywords
def lq_loss(
    logits: ArrayLike, labels: ArrayLike, *, q: ArrayLike = 0.7, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """The generalised cross-entropy (1 - p_y^q) / q: cross-entropy for q -> 0, 1 - p_y for q = 1.

    The gradient is p_y^q (p_k - [k = y]): cross-entropy's, damped where the label has a small probability. q = 0 is
    cross-entropy itself, with the derivative by q continuous there. At q = 1 the gradient is that of cross-entropy
    weighted by p_y held constant, which is known as dynamic fine-tuning (DFT).

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      q: number >= 0, may be traced; 0.7 is the authors' choice.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..1/q, float32 for half precision. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> [round(float(lq_loss(jnp.array([0.0, 0.0]), jnp.array(0), q=q)), 4) for q in (0.0, 0.5, 1.0)]
    [0.6931, 0.5858, 0.5]

    Source: Zhang and Sabuncu, Generalized Cross Entropy Loss for Training Deep Networks with Noisy Labels (2018); q = 1
    as DFT: Wu et al., On the Generalization of SFT (arXiv 2508.05629).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(box_cox(o.surprise, o.right(), check_number(q, o.logits, "q")))


@answers_unknown_keywords
def lq_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, q: ArrayLike = 0.7, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `lq_loss` with respect to the logits, p_y^q (p_k - [k = y]), written by hand.

    Args and errors as in `lq_loss`; the shape is that of `logits`.

    >>> lq_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), q=1.0)
    Array([-0.25,  0.25], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark(o.power_of_right(check_number(q, o.logits, "q")) * o.wrong())
    return o.labels.place(slope * o.softmax_of_others(), -slope)


@answers_unknown_keywords
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
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> round(float(focal_loss(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # 0.5^2 log 2
    0.1733

    Source: Lin, Goyal, Girshick, He and Dollar, Focal Loss for Dense Object Detection (2017).
    """
    o = odds(logits, labels, axis, where)
    damping = o.power_of_wrong(check_number(gamma, o.logits, "gamma"))
    # An infinite surprise is finite in the product rule, where it meets a derivative of the damping that is 0.
    finite = replace_value(o.surprise, jnp.minimum(o.surprise, LARGE))
    return o.finish(replace_value(damping * finite, damping * o.surprise))


@answers_unknown_keywords
def focal_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, gamma: ArrayLike = 2.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `focal_loss` with respect to the logits, written by hand: -u^g (u + g c p_y) at the label.

    The other entries are u^g (u + g c p_y) q_j. Args and errors as in `focal_loss`; the shape is that of `logits`.

    >>> focal_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), gamma=0.0)
    Array([-0.5,  0.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    g = check_number(gamma, o.logits, "gamma")
    damped = jnp.where(o.right() > 0, o.surprise * o.right(), 0)  # inf 0 where the label has the logit -inf
    slope = o.mark(o.power_of_wrong(g) * (o.wrong() + g * damped))
    return o.labels.place(slope * o.softmax_of_others(), -slope)


@answers_unknown_keywords
def poly1_loss(
    logits: ArrayLike, labels: ArrayLike, *, epsilon: ArrayLike = 1.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy with its first polynomial coefficient raised by e: -log p_y + e (1 - p_y).

    The gradient is (1 + e p_y) (p_k - [k = y]).

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      epsilon: number e >= -1, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> round(float(poly1_loss(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # log 2 + 1/2
    1.1931

    Source: Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions (2022).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(o.surprise + check_number(epsilon, o.logits, "epsilon") * o.wrong())


@answers_unknown_keywords
def poly1_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, epsilon: ArrayLike = 1.0, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `poly1_loss` with respect to the logits, (1 + e p_y) (p_k - [k = y]), written by hand.

    Args and errors as in `poly1_loss`; the shape is that of `logits`.

    >>> poly1_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), epsilon=2.0)
    Array([-1.,  1.], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark((1 + check_number(epsilon, o.logits, "epsilon") * o.right()) * o.wrong())
    return o.labels.place(slope * o.softmax_of_others(), -slope)
