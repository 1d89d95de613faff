"""The textbook forms: losses of probabilities that are given, with gradients with respect to them.

A probability near 1 has lost the digits of 1 - p to rounding before it comes here; the losses of logits have not.
"""

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
def logarithm(x: Rows) -> Rows:
    """log(x); at x = 0 a tangent or cotangent of 0 stays 0, and every other becomes infinite."""
    return jnp.log(x)


@logarithm.defjvp
def _logarithm_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    huge = jnp.where(x == 0, jnp.finfo(x.dtype).max, 1)
    return logarithm(x), tangent / jnp.where(x == 0, 1, x) * huge * huge


@answers_unknown_keywords
def cross_entropy_from_probs(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Cross-entropy of given probabilities, L = -log p_y, the textbook form.

    Prefer `cross_entropy`: a probability of the label near 1 has already lost the digits of this loss to rounding.

    Args:
      probs: floating point [..., K]; neither checked to sum to one nor normalised.
      labels: integers [...].
      axis: the class axis of `probs`.

    Returns:
      One value per row [...], float32 for half precision; p_y = 0 gives +inf, a label out of range NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(cross_entropy_from_probs(jnp.array([0.57, 0.20, 0.23]), jnp.array(0))), 2)
    0.56
    """
    c = check_classes(probs, labels, axis, None, name="probs")
    bad = ~c.label_ok | jnp.isnan(c.at_label)
    at_label = replace_bad(c.for_every_class(bad), bad, 1.0)
    return jnp.squeeze(poison(-logarithm(at_label), bad), c.labels.axis)


@answers_unknown_keywords
def cross_entropy_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `cross_entropy_from_probs` with respect to the probabilities, -1/p_y at the label, 0 elsewhere.

    Args and errors as in `cross_entropy_from_probs`; the shape is that of `probs`.

    >>> cross_entropy_from_probs_grad(jnp.array([0.5, 0.5]), jnp.array(0))
    Array([-2.,  0.], dtype=float32)
    """
    c = check_classes(probs, labels, axis, None, name="probs")
    bad = ~c.label_ok | jnp.isnan(c.at_label)
    return jnp.where(bad, jnp.nan, c.labels.place(jnp.zeros_like(c.values), -1 / c.at_label))


def _probability_residuals(probs: ArrayLike, labels: ArrayLike, axis: int) -> tuple[Rows, Rows, Mask, Labels]:
    c = check_classes(probs, labels, axis, None, name="probs")
    bad = ~(c.label_ok & jnp.isfinite(jnp.sum(c.values, c.labels.axis, keepdims=True)))
    residual = replace_bad(c.labels.place(c.values, c.at_label - 1), bad, 1.0)
    return residual, replace_bad(c.for_every_class(bad) - 1, bad, 1.0), bad, c.labels


@answers_unknown_keywords
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
    residual, _, bad, y = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(jnp.sum(residual**2, y.axis, keepdims=True), bad), y.axis)


@answers_unknown_keywords
def ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `ssr_from_probs` with respect to the probabilities, 2 (p_k - [k = y]).

    Args and errors as in `ssr_from_probs`; the shape is that of `probs`.

    >>> ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1. ,  0.5,  0.5], dtype=float32)
    """
    residual, _, bad, _ = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, 2 * residual)


@answers_unknown_keywords
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
    _, at_label, bad, y = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(at_label**2, bad), y.axis)


@answers_unknown_keywords
def true_class_ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `true_class_ssr_from_probs` with respect to the probabilities: -2 (1 - p_y) at the label, else 0.

    Args and errors as in `true_class_ssr_from_probs`; the shape is that of `probs`.

    >>> true_class_ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1.,  0.,  0.], dtype=float32)
    """
    residual, at_label, bad, y = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, y.place(jnp.zeros_like(residual), 2 * at_label))
