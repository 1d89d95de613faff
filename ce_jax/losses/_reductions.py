"""Reducing one value per row to a number."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._checks import broadcast, check_where


def mean_over(
    losses: ArrayLike, *, where: ArrayLike | None = None, weights: ArrayLike | None = None
) -> Float[Array, ""]:
    """Mean of the losses over the rows that count, sum(w l) / sum(w).

    A row where `where` is False contributes exactly nothing to the value, and together with the losses of this package
    nothing to gradient, jvp or Hessian, even where it holds NaN or an invalid label. (The cotangent of such a row is 0;
    a loss of your own must map that to a gradient of 0.) PyTorch divides by the sum of the weights for integer labels,
    as here, and by the number of rows for dense targets.

    Args:
      losses: floating point, any shape [...].
      where: boolean, broadcast to the losses; the rows that count, all by default.
      weights: number or array, broadcast to the losses; 1 by default. Weights of rows left out are not looked at.

    Returns:
      A scalar, float32 for half precision; 0 where no row counts or the weights sum to 0.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> mean_over(jnp.array([1.0, 3.0, jnp.nan]), where=jnp.array([True, True, False]))
    Array(2., dtype=float32)
    """
    values = jnp.asarray(losses)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(f"losses: expected floating point, got {values.dtype}; convert with losses.astype(jnp.float32)")
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    mask = check_where(where, values.shape)
    if weights is None:
        scale = jnp.ones(values.shape, values.dtype)
    else:
        scale = broadcast(jnp.asarray(weights, values.dtype), values.shape, "weights")
    if mask is not None:
        values, scale = jnp.where(mask, values, 0), jnp.where(mask, scale, 0)
    total = jnp.sum(scale)
    return jnp.sum(values * scale) / jnp.where(total == 0, 1, total) * (total != 0)
