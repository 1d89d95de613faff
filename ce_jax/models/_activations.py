"""What hidden units compute, each beside its derivative, which `ce_jax.backprop` uses."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr


class Activation(NamedTuple):
    """A hidden unit's function `value(a)` and its derivative `slope(a, h)`, which may use the output h = value(a)."""

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    gain: float
    """Squared gain of the usual initialisation: Var(weight) = gain / fan_in (He et al. 2015)."""
    monotone: bool = True
    """Whether the maximum of several values is the value of the maximum."""


_LEAK = 0.01


def _gelu(a: Array) -> Array:
    return jax.nn.gelu(a, approximate=False)


def _normal_density(a: Array) -> Array:
    return jnp.exp(-a * a / 2) / math.sqrt(2 * math.pi)


# Gains: 2 for relu (He et al. 2015) and 1 for tanh and sigmoid (Glorot and Bengio 2010); for the others 1 / E[h^2] at
# a ~ N(0, 1), which keeps the mean square of what a layer passes on, and is 2 for relu.
ACTIVATIONS: dict[str, Activation] = {
    # At a = 0 relu'(0) = 0, the convention of jax.nn.relu.
    "relu": Activation(jax.nn.relu, lambda a, h: (h > 0).astype(h.dtype), 2.0),
    "tanh": Activation(jnp.tanh, lambda a, h: 1 - h * h, 1.0),
    "sigmoid": Activation(jax.nn.sigmoid, lambda a, h: h * (1 - h), 1.0),
    # a Phi(a), without the approximation by tanh.
    "gelu": Activation(_gelu, lambda a, h: ndtr(a) + a * _normal_density(a), 2.352, monotone=False),
    # a sigmoid(a), where sigmoid(a) + h (1 - sigmoid(a)) needs no division by a.
    "silu": Activation(jax.nn.silu, lambda a, h: jax.nn.sigmoid(a) + h * jax.nn.sigmoid(-a), 2.811, monotone=False),
    "elu": Activation(jax.nn.elu, lambda a, h: jnp.where(a > 0, 1, h + 1), 1.551),
    # At a = 0 the slope is 1, the convention of jax.nn.leaky_relu.
    "leaky_relu": Activation(
        lambda a: jax.nn.leaky_relu(a, _LEAK),
        lambda a, h: jnp.where(a >= 0, jnp.ones_like(a), _LEAK),
        2 / (1 + _LEAK**2),
    ),
    "softplus": Activation(jax.nn.softplus, lambda a, h: jax.nn.sigmoid(a), 1.085),
}
