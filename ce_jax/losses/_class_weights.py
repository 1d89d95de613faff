"""Weights that let every class count the same, however often it occurs."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._checks import check_num_classes, check_where, validate_labels
from ce_jax.losses._labels import fitting_labels, given_labels


def class_weights(
    labels: ArrayLike, num_classes: int | None = None, *, where: ArrayLike | None = None
) -> Float[Array, "K"]:
    """Balanced class weights N / (K n_k): the rows of every class weigh N / K together.

    With them `mean_over(loss, weights=class_weights(labels, K)[labels])` is the mean over classes of each class's mean.
    scikit-learn's "balanced" is the same where every class occurs; a class without examples gets the weight 0 here, and
    K counts it (scikit-learn raises or leaves it out of K).

    Args:
      labels: integers, any shape [...], N in all.
      num_classes: number of classes K, static under `jax.jit`; None takes the largest label plus one, which needs
        concrete labels.
      where: boolean [...]; rows where it is False are not counted.

    Returns:
      A weight per class [K], float32. Under `jax.jit` a label out of range makes all of them NaN.

    Raises:
      TypeError: labels are not integers, or they are traced and `num_classes` is None, or that is no whole number.
      ValueError: a concrete label is out of range, or there is none to take the number of classes from.

    >>> class_weights(jnp.array([0, 0, 0, 1]))
    Array([0.6666667, 2.       ], dtype=float32)

    Source: King and Zeng, Logistic Regression in Rare Events Data (2001).
    """
    y = jnp.asarray(fitting_labels(labels))
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise TypeError(f"labels: expected integers, got {y.dtype}; pass the index of the class of every row")
    mask = check_where(where, y.shape)
    mask = jnp.ones(y.shape, bool) if mask is None else mask
    concrete = not isinstance(y, jax.core.Tracer) and not isinstance(mask, jax.core.Tracer)
    if num_classes is None:
        if not concrete:
            raise TypeError("num_classes: expected a number for traced labels, got None; pass the number of classes")
        counted = np.asarray(y)[np.asarray(mask)]
        if not counted.size:
            raise ValueError("num_classes: expected a number where no row counts, got None; pass the number of classes")
        num_classes = max(int(counted.max()), 0) + 1
    num_classes = check_num_classes(num_classes)
    if concrete:
        validate_labels(given_labels(labels), num_classes, where=np.asarray(mask))
    wrong = jnp.any(mask & ((y < 0) | (y >= num_classes)))
    index = jnp.where(mask, y, num_classes).astype(jnp.int32)  # what does not count falls behind the last class
    counts = jnp.zeros(num_classes, jnp.int32).at[index.ravel()].add(1, mode="drop").astype(jnp.float32)
    weights = jnp.where(counts > 0, jnp.sum(counts) / (num_classes * jnp.maximum(counts, 1)), 0)
    return jnp.where(wrong, jnp.nan, weights)
