"""Cross-entropy: the loss, its derivation and its hand-written gradient.

    L = -log p_y = log sum_k exp(z_k) - z_y,   p = softmax(z)
    dL/dz_k = exp(z_k) / sum_j exp(z_j) - [k = y] = p_k - [k = y]

In the quantities of `ce_jax.losses._odds` the gradient reads dL/dz_y = -u and dL/dz_j = u q_j, with u = 1 - p_y and q
the softmax of the other classes: no difference of nearly equal numbers is left to round. The Hessian is
diag(p) - p p^T; it does not depend on the label.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import replace_value
from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._checks import check_where, count_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._odds import Odds, odds
from ce_jax.losses._parameters import check_number, is_zero
from ce_jax.losses._softmax import log_softmax_along, soft_targets, softmax_with_peak


def _mean_surprise(o: Odds, where: ArrayLike | None) -> Float[Array, "..."]:
    """-log p_k averaged over the visible classes: log sum exp(z - top) plus the mean of top - z_k."""
    visible = check_where(where, o.logits.shape)
    # What `surprise - gap` below is measured from.
    top = lax.stop_gradient(jnp.where(o.gap > 0, o.shift, o.labels.pick(o.logits)))
    drop = replace_bad(top - o.logits, o.bad)
    if visible is not None:
        drop = jnp.where(visible, drop, 0)
    classes = count_classes(visible, drop.shape, o.axis, drop.dtype)
    return jnp.sum(drop, o.axis, keepdims=True) / jnp.maximum(classes, 1) + (o.surprise - o.gap)


@answers_unknown_keywords
def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """Cross-entropy of the softmax of `logits` with the label, L = -log p_y.

    The gradient is p_k - [k = y], see `cross_entropy_grad`. Value and gradient keep their relative precision however
    far the label is ahead or behind. With `label_smoothing` e the target is (1 - e) [k = y] + e / K over all K visible
    classes, the label included (as in PyTorch, optax and Keras; T5X and MaxText spread over the K - 1 others: their e'
    is e (K - 1) / K here). The loss is unbounded; natural logarithm, so nats.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.
      label_smoothing: number e in 0..1, may be traced.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> losses = cross_entropy(jnp.array([[2.0, 0.0], [20.0, 0.0]]), jnp.array([0, 0]))
    >>> [f"{loss:.5g}" for loss in losses]  # the usual formula gives 0 for the second
    ['0.12693', '2.0612e-09']

    Source: Good, Rational Decisions (1952); Bishop, Pattern Recognition and Machine Learning, 4.3.4.
    """
    o = odds(logits, labels, axis, where)
    if is_zero(label_smoothing):
        return o.finish(o.surprise)
    e = check_number(label_smoothing, o.logits, "label_smoothing")
    mean = _mean_surprise(o, where)
    mean = jnp.where((e == 0) & (mean == jnp.inf), 0, mean)  # 0 inf is 0 here: no target is spread
    return o.finish((1 - e) * o.surprise + e * mean)


@answers_unknown_keywords
def cross_entropy_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """Gradient of `cross_entropy` with respect to the logits, p_k - target_k, written by hand.

    Args and errors as in `cross_entropy`.

    Returns:
      Array of the shape of `logits`; 0 at hidden classes, NaN in rows whose loss is NaN.

    >>> cross_entropy_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.5,  0.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    wrong = o.mark(o.wrong())
    for_others, for_label = wrong * o.softmax_of_others(), -wrong
    if is_zero(label_smoothing):
        return o.labels.place(for_others, for_label)
    e = check_number(label_smoothing, o.logits, "label_smoothing")
    visible = check_where(where, o.logits.shape)
    spread = e / jnp.maximum(count_classes(visible, o.logits.shape, o.axis, e.dtype), 1)
    for_label = (1 - e) * for_label + e * o.right()
    grad = o.labels.place(for_others, for_label) - spread
    return grad if visible is None else jnp.where(visible | o.bad, grad, 0)


@answers_unknown_keywords
def cross_entropy_with_targets(
    logits: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy with a distribution over classes, L = -sum_k t_k log p_k.

    The gradient is p_k sum_j t_j - t_k. Targets are used as they are, not renormalised; 0 log 0 is 0.

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

    >>> cross_entropy_with_targets(jnp.array([0.0, 0.0]), jnp.array([0.3, 0.7]))
    Array(0.6931472, dtype=float32)
    """
    z, t, bad, axis = soft_targets(logits, targets, axis, where)
    log_p = log_softmax_along(axis, z)
    log_p = replace_value(log_p, jnp.where((t == 0) & (log_p == -jnp.inf), 0, log_p))
    return jnp.squeeze(poison(-jnp.sum(t * log_p, axis, keepdims=True), bad), axis)


@answers_unknown_keywords
def cross_entropy_with_targets_grad(
    logits: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `cross_entropy_with_targets` with respect to the logits, p_k sum_j t_j - t_k, written by hand.

    At the largest class a it is p_a sum_{j != a} t_j - (1 - p_a) t_a, which keeps its precision as p_a tends to 1.
    Args and errors as in `cross_entropy_with_targets`; the shape is that of `logits`.

    >>> cross_entropy_with_targets_grad(jnp.array([0.0, 0.0]), jnp.array([0.25, 0.75]))
    Array([ 0.25, -0.25], dtype=float32)
    """
    z, t, bad, axis = soft_targets(logits, targets, axis, where)
    p, is_peak, missing = softmax_with_peak(z, axis)
    t_rest = jnp.sum(jnp.where(is_peak, 0, t), axis, keepdims=True)
    t_peak = jnp.sum(jnp.where(is_peak, t, 0), axis, keepdims=True)
    grad = jnp.where(is_peak, p * t_rest - missing * t, p * (t_rest + t_peak) - t)
    return jnp.where(bad, jnp.nan, grad)
