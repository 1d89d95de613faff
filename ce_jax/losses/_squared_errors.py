"""Other squared errors: of the true class alone, of given probabilities, and of the logits without softmax."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._checks import check_classes, check_probs
from ce_jax.losses._numerics import poison, replace_bad
from ce_jax.losses._odds import odds

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class LogitResiduals(NamedTuple):
    """Residuals of logits, 0 where a class is left out."""

    residual: Rows  # z_y - target at the label, z_j elsewhere
    is_label: Mask
    visible: Mask  # neither hidden nor -inf
    bad: Mask
    impossible: Mask  # the label has the logit -inf
    axis: int


def residuals_on_logits(
    logits: ArrayLike, labels: ArrayLike, target: ArrayLike, axis: int, where: ArrayLike | None
) -> LogitResiduals:
    """Checks the arguments of a squared error of the logits and computes its residuals."""
    c = check_classes(logits, labels, axis, where)
    peak = jnp.max(c.logits, c.axis, keepdims=True)
    bad = ~(c.label_ok & (peak < jnp.inf))
    visible = c.logits > -jnp.inf
    z = jnp.where(visible | bad, c.logits, 0)
    desired = jnp.where(c.is_label, jnp.asarray(target, z.dtype), 0)
    residual = jnp.where(visible | bad, replace_bad(z - desired, bad, 1.0), 0)
    return LogitResiduals(residual, c.is_label, visible, bad, ~bad & (c.label_logit == -jnp.inf), c.axis)


def true_class_ssr(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Squared residual of the true class alone, (1 - p_y)^2 with p the softmax of `logits`: the textbook form.

    Its range is 0..1; SSR over all classes lies between K/(K-1) and 2 times of it. See `true_class_ssr_grad`.

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
    slope = 2 * o.wrong() ** 2 * o.right()
    return o.finish_grad(-slope, slope * o.softmax_of_others())


def ssr_on_logits(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    target: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Squared error of the logits themselves, without softmax: scale (z_y - target)^2 + sum_{j != y} z_j^2.

    The rescaled square loss of Hui and Belkin; `scale` is their k and `target` their M.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      scale: weight of the true class, number >= 0, may be traced.
      target: value that the true class is drawn to, number, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A wrong class of logit -inf is left out like a hidden one; a
      row whose label has the logit -inf is +inf and has gradient 0. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_on_logits(jnp.array([0.5, 0.5]), jnp.array(0))
    Array(0.5, dtype=float32)

    Source: Hui and Belkin, Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy (2021).
    """
    r = residuals_on_logits(logits, labels, target, axis, where)
    squares = jnp.where(r.is_label, jnp.asarray(scale, r.residual.dtype), 1) * r.residual**2
    total = jnp.sum(squares, r.axis, keepdims=True)
    return jnp.squeeze(poison(jnp.where(r.impossible, jnp.inf, total), r.bad), r.axis)


def ssr_on_logits_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    target: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of `ssr_on_logits`: 2 scale (z_y - target) at the label, 2 z_j elsewhere.

    Args and errors as in `ssr_on_logits`; the shape is that of `logits`.

    >>> ssr_on_logits_grad(jnp.array([0.5, 0.5]), jnp.array(0))
    Array([-1.,  1.], dtype=float32)
    """
    r = residuals_on_logits(logits, labels, target, axis, where)
    grad = 2 * jnp.where(r.is_label, jnp.asarray(scale, r.residual.dtype), 1) * r.residual
    return jnp.where(r.bad, jnp.nan, jnp.where(r.impossible, 0, grad))


def ssr_from_probs(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Sum of squared residuals of given probabilities, sum_k (p_k - [k = y])^2.

    Args:
      probs: floating point [..., K]; neither checked to sum to one nor normalised.
      labels: integers [...].
      axis: the class axis of `probs`.

    Returns:
      One value per row [...], float32 for half precision; NaN for a label out of range and for a row that holds NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_from_probs(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array(0.375, dtype=float32)
    """
    residual, bad, _, axis = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(jnp.sum(residual**2, axis, keepdims=True), bad), axis)


def ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `ssr_from_probs` with respect to the probabilities, 2 (p_k - [k = y]).

    Args and errors as in `ssr_from_probs`; the shape is that of `probs`.

    >>> ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1. ,  0.5,  0.5], dtype=float32)
    """
    residual, bad, _, _ = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, 2 * residual)


def true_class_ssr_from_probs(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Squared residual of the true class alone, (1 - p_y)^2, of given probabilities: the textbook form.

    Args:
      probs: floating point [..., K]; neither checked to sum to one nor normalised.
      labels: integers [...].
      axis: the class axis of `probs`.

    Returns:
      One value per row [...], float32 for half precision; NaN for a label out of range and for a row that holds NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> true_class_ssr_from_probs(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array(0.25, dtype=float32)
    """
    residual, bad, is_label, axis = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(jnp.sum(jnp.where(is_label, residual, 0) ** 2, axis, keepdims=True), bad), axis)


def true_class_ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `true_class_ssr_from_probs` with respect to the probabilities: -2 (1 - p_y) at the label, else 0.

    Args and errors as in `true_class_ssr_from_probs`; the shape is that of `probs`.

    >>> true_class_ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1.,  0.,  0.], dtype=float32)
    """
    residual, bad, is_label, _ = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, 2 * jnp.where(is_label, residual, 0))


def _probability_residuals(probs: ArrayLike, labels: ArrayLike, axis: int) -> tuple[Rows, Mask, Mask, int]:
    c = check_probs(probs, labels, axis)
    bad = ~(c.label_ok & jnp.isfinite(jnp.sum(c.logits, c.axis, keepdims=True)))
    residual = c.logits - c.is_label.astype(c.logits.dtype)
    return replace_bad(residual, bad, 1.0), bad, c.is_label, c.axis
