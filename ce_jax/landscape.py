"""What a loss surface is like where gradient descent goes: gradient walks and the curvature met on them.

A walk samples the surface instead of optimising on it: every step goes downhill in each coordinate by a random length,
so that two losses are looked at in the same way although their gradients differ in scale. Both functions take any
`value(params) -> scalar`, a training loss for instance, and are pure, so that many walks are one `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

__all__ = ["Walk", "gradient_walk", "hessian_eigenvalues"]


class Walk(NamedTuple):
    """A gradient walk of T steps."""

    points: Any
    """Parameters before each step, leaves [T, ...]."""
    gradient_norms: Array
    """[T] Euclidean norm of the gradient there."""


def gradient_walk(
    value: Callable[[Any], Array], start: Any, key: Array, *, steps: int, step_size: Array | float
) -> Walk:
    """A progressive gradient walk: each coordinate moves against the sign of its derivative by a random length.

    w <- w - s * sign(dvalue/dw), s uniform in [0, step_size), drawn for each coordinate and step.

    Args:
      value: function of the parameters whose surface is sampled.
      start: parameters, any pytree of floating-point arrays.
      key: consumed, one subkey a step.
      steps: number of steps T.
      step_size: the largest length of a step in each coordinate; may be traced.

    Returns:
      Points and gradient norms, `start` being the first point.

    Source: Bosman, Engelbrecht & Helbig 2020, "Visualising basins of attraction for the cross-entropy and the squared
    error neural network loss functions", section on gradient walks.

    >>> walk = gradient_walk(lambda w: jnp.sum(w**2), jnp.array([3.0, -3.0]), jax.random.key(0), steps=5, step_size=1.0)
    >>> walk.points.shape, bool(walk.gradient_norms[-1] < walk.gradient_norms[0])
    ((5, 2), True)
    """
    flat, restore = ravel_pytree(start)  # one vector, so that the norm is over all parameters together
    slope = jax.grad(lambda weights: value(restore(weights)))

    def step(weights: Array, key: Array) -> tuple[Array, tuple[Array, Array]]:
        gradient = slope(weights)
        length = jax.random.uniform(key, weights.shape, weights.dtype) * step_size
        # The sign alone: a loss with larger gradients takes no longer steps.
        return weights - jnp.sign(gradient) * length, (weights, jnp.linalg.norm(gradient))

    _, (path, norms) = jax.lax.scan(step, flat, jax.random.split(key, steps))
    return Walk(jax.vmap(restore)(path), norms)


def hessian_eigenvalues(value: Callable[[Any], Array], params: Any) -> Array:
    """All P eigenvalues of the Hessian of `value` at `params`, ascending: their signs tell a basin from a saddle.

    The Hessian [P, P] is formed whole, so this is for some hundreds of parameters; use float64 where eigenvalues near 0
    matter.

    Args:
      value: function of the parameters.
      params: any pytree of floating-point arrays with P numbers in all.

    Returns:
      [P] eigenvalues of the symmetric Hessian.

    >>> print(hessian_eigenvalues(lambda w: w[0] ** 2 - 3 * w[1] ** 2, jnp.array([1.0, 1.0])))
    [-6.  2.]
    """
    # Flattened first: of a pytree jax.hessian would give a tree of blocks instead of one matrix.
    flat, restore = ravel_pytree(params)
    return jnp.linalg.eigvalsh(jax.hessian(lambda weights: value(restore(weights)))(flat))
