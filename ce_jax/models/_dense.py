"""Dense networks: a linear model and a multilayer perceptron, also with layer normalisation."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from ce_jax.models._activations import ACTIVATIONS
from ce_jax.models._backward import backward
from ce_jax.models._precision import exactly
from ce_jax.models._records import Model, Params, Start
from ce_jax.models._starts import check_start, initial

NORMALIZATIONS = ("none", "layer")
EPSILON = 1e-5
"""Added to the variance by every normalisation."""


class NormalizedLayer(NamedTuple):
    """An affine map whose outputs are normalised over the units of a sample, then scaled and shifted."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]
    scale: Float[Array, " outputs"]
    shift: Float[Array, " outputs"]


def linear(*, start: Start = "he") -> Model:
    """Softmax regression: one affine map from features to logits.

    Args:
      start: how parameters begin, see `mlp`.

    Returns:
      A `Model` without hidden layers.

    >>> import jax
    >>> params = linear(start="gentle").init(jax.random.key(0), jnp.ones((1, 4)), 3)
    >>> params[0].weight.shape, float(abs(params[0].weight).max()) < 0.1
    ((4, 3), True)
    """
    return mlp((), start=start)


def mlp(
    hidden: Sequence[int] = (16,), *, activation: str = "relu", normalization: str = "none", start: Start = "he"
) -> Model:
    """Multilayer perceptron: affine maps with an elementwise activation between them, logits at the end.

    Args:
      hidden: widths of the hidden layers, input side first.
      activation: a key of `ACTIVATIONS`: `relu`, `tanh`, `sigmoid`, `gelu`, `silu`, `elu`, `leaky_relu`, `softplus`.
      normalization: `none`, or `layer`: each hidden layer's values are normalised over its units before the activation
        (Ba et al. 2016), with a scale that begins at 1 and a shift that begins at 0.
      start: `he` (N(0, gain/fan_in), where the gain is that of the activation, 2 for relu, and 1 for every output
        layer), `glorot` (uniform, variance 2/(fan_in + fan_out)), `gentle` or `saturated` (hidden layers as `he`,
        output weights N(0, 0.01^2) or N(0, 4^2)), a sequence of standard deviations (one per layer), or explicit
        parameters. Biases start at zero except with explicit parameters.

    Returns:
      A `Model`. Its `init` takes inputs [N, ...], which it flattens, or the number of features; its parameters are a
      tuple with a `Layer` for each affine map.

    Raises:
      ValueError: unknown name, or a number of standard deviations or layers other than the model's.

    >>> import jax
    >>> model = mlp((3, 2), activation="tanh", start=(0.5, 0.5, 0.1))
    >>> [layer.bias.shape for layer in model.init(jax.random.key(1), 4, 3)]
    [(3,), (2,), (3,)]
    """
    hidden = tuple(int(width) for width in hidden)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization: expected one of {', '.join(NORMALIZATIONS)}, got {normalization!r}")
    normalized = normalization == "layer" and bool(hidden)
    check_start(start, len(hidden) + 1, explicit=not normalized)
    # Functions of the module rather than closures: a model can then be sent to another process.
    form = "normalized " if normalized else ""
    return Model(
        init=functools.partial(_init, hidden, start, ACTIVATIONS[activation].gain, normalized),
        apply=functools.partial(exactly, functools.partial(_apply, activation)),
        columns=functools.partial(_columns, activation),
        packed=transposed,
        unpacked=transposed,
        backward=None if normalized else functools.partial(_backward, activation),
        hidden=None if normalized else hidden,
        activation=activation,
        name=f"{form}mlp" if hidden else "linear",
        start=start,
    )


def features_of(inputs: Any) -> int:
    """How many numbers an example has: of inputs [N, ...], or given as such."""
    return int(inputs) if jnp.ndim(inputs) == 0 else math.prod(inputs.shape[1:])


def flat(inputs: Array) -> Array:
    """Inputs [N, ...] as [N, D]."""
    return inputs.reshape(len(inputs), -1)


def transposed(params: Params) -> Params:
    """Weights [in, out] as [out, in], and back: W x then needs no transpose, and that of many lanes is one product."""
    return tuple(layer._replace(weight=layer.weight.T) for layer in params)


def normalized_over(values: Array, axis: Any) -> Array:
    """Mean 0 and variance 1 over some axes."""
    centred = values - values.mean(axis, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(axis, keepdims=True) + EPSILON)


def _init(
    hidden: tuple[int, ...],
    start: Start,
    gain: float,
    normalized: bool,
    key: Key[Array, ""],
    inputs: Any,
    num_classes: int,
) -> Params:
    shapes = list(itertools.pairwise((features_of(inputs), *hidden, num_classes)))
    layers = initial(key, shapes, start, gain)
    if not normalized:
        return layers
    ones = [jnp.ones_like(layer.bias) for layer in layers[:-1]]
    begun = (NormalizedLayer(*layer, one, 0 * one) for layer, one in zip(layers[:-1], ones, strict=True))
    return (*begun, layers[-1])


def _apply(activation: str, params: Params, inputs: Float[Array, "samples ..."]) -> Float[Array, "samples classes"]:
    inputs = flat(inputs)
    for layer in params[:-1]:
        inputs = inputs @ layer.weight + layer.bias[None, :]
        if isinstance(layer, NormalizedLayer):
            inputs = normalized_over(inputs, 1) * layer.scale[None, :] + layer.shift[None, :]
        inputs = ACTIVATIONS[activation].value(inputs)
    return inputs @ params[-1].weight + params[-1].bias[None, :]


def _columns(activation: str, params: Params, inputs: Float[Array, "samples ..."]) -> Float[Array, "classes samples"]:
    values = flat(inputs).T
    params = transposed(params)
    for layer in params[:-1]:
        values = layer.weight.T @ values + layer.bias[:, None]
        if isinstance(layer, NormalizedLayer):
            values = normalized_over(values, 0) * layer.scale[:, None] + layer.shift[:, None]
        values = ACTIVATIONS[activation].value(values)
    return params[-1].weight.T @ values + params[-1].bias[:, None]


def _backward(activation: str, params: Params, inputs: Array, value_and_logit_gradient: Any) -> tuple:
    unit = ACTIVATIONS[activation]
    mean, gradients, logits = backward(transposed(params), unit, value_and_logit_gradient, flat(inputs).T)
    return mean, transposed(gradients), logits
