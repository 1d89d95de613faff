"""Small classifiers as records of pure functions: a linear model and a multilayer perceptron.

A model is `Model(init, apply, columns, ...)`; its parameters are a tuple of `Layer(weight, bias)`, one per
affine map, so that gradients, optimizer states and stored arrays all have the same plain shape.

>>> import jax
>>> model = mlp((16,), activation="relu")
>>> params = model.init(jax.random.key(0), 4, 3)
>>> [layer.weight.shape for layer in params]
[(4, 16), (16, 3)]
>>> model.apply(params, jax.numpy.ones((5, 4))).shape
(5, 3)
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

__all__ = ["ACTIVATIONS", "STARTS", "Activation", "Layer", "Model", "Params", "linear", "mlp"]


class Layer(NamedTuple):
    """One affine map `x @ weight + bias`: weight [in, out], bias [out]."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


Params = tuple[Layer, ...]
Start = str | Sequence[float] | Params


class Activation(NamedTuple):
    """A hidden unit's function `value(a)` and its derivative `slope(h)` written in terms of the output h."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]  # in h, so that the backward pass needs nothing but the outputs
    gain: float
    """Squared gain of the usual initialisation: Var(weight) = gain / fan_in (He et al. 2015)."""


ACTIVATIONS: dict[str, Activation] = {
    # At a = 0 relu'(0) = 0, the convention of jax.nn.relu.
    "relu": Activation(jax.nn.relu, lambda h: (h > 0).astype(h.dtype), 2.0),
    "tanh": Activation(jnp.tanh, lambda h: 1 - h * h, 1.0),
    "sigmoid": Activation(jax.nn.sigmoid, lambda h: h * (1 - h), 1.0),
}

OUTPUT_STD = {"gentle": 0.01, "saturated": 4.0}
"""Standard deviation of the output weights under the two named starts: p nearly uniform, or confidently wrong."""

STARTS = ("he", "glorot", *OUTPUT_STD)
"""Names accepted by `start`."""


class Model(NamedTuple):
    """A classifier as pure functions.

    `init(key, num_features, num_classes) -> params` consumes `key` (one subkey per layer).
    `apply(params, inputs [N, D]) -> logits [N, K]`.
    `columns(params, inputs [D, N]) -> logits [K, N]`: the same map with samples innermost, which vectorises over
    samples instead of over the handful of classes and is what the training engine uses.
    `hidden` and `activation` describe the hidden layers, for `ce_jax.backprop`; `name` and `start` say in results what
    was trained and where it began.
    """

    init: Callable[[Array, int, int], Params]
    apply: Callable[[Params, Array], Array]
    columns: Callable[[Params, Array], Array]
    hidden: tuple[int, ...]
    activation: str
    name: str
    start: Start


def linear(*, start: Start = "he") -> Model:
    """Softmax regression: one affine map from features to logits.

    Args:
      start: how parameters begin, see `mlp`.

    Returns:
      A `Model` without hidden layers.

    >>> import jax
    >>> params = linear(start="gentle").init(jax.random.key(0), 4, 3)
    >>> params[0].weight.shape, float(abs(params[0].weight).max()) < 0.1
    ((4, 3), True)
    """
    return mlp((), start=start)


def mlp(hidden: Sequence[int] = (16,), *, activation: str = "relu", start: Start = "he") -> Model:
    """Multilayer perceptron: affine maps with an elementwise activation between them, logits at the end.

    Args:
      hidden: widths of the hidden layers, input side first.
      activation: `relu`, `tanh` or `sigmoid`.
      start: `he` (N(0, 2/fan_in) for relu, N(0, 1/fan_in) for tanh, sigmoid and every
        output layer), `glorot` (uniform, variance 2/(fan_in + fan_out)), `gentle` or `saturated` (hidden layers
        as `he`, output weights N(0, 0.01^2) or N(0, 4^2)), a sequence of standard deviations (one per layer), or
        explicit parameters. Biases start at zero except with explicit parameters.

    Returns:
      A `Model`.

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
    if isinstance(start, str) and start not in STARTS:
        raise ValueError(
            f"start: expected one of {', '.join(STARTS)}, standard deviations or parameters, got {start!r}"
        )
    if not isinstance(start, str) and len(start) != len(hidden) + 1:
        raise ValueError(f"start: expected one entry for each of the {len(hidden) + 1} layers, got {len(start)}")
    # Functions of the module rather than closures: a model can then be sent to another process.
    init = functools.partial(_init, hidden, start, ACTIVATIONS[activation].gain)
    return Model(
        init=init,
        apply=functools.partial(_apply, activation),
        columns=functools.partial(_columns, activation),
        hidden=hidden,
        activation=activation,
        name="mlp" if hidden else "linear",
        start=start,
    )


def _init(
    hidden: tuple[int, ...], start: Start, gain: float, key: Key[Array, ""], num_features: int, num_classes: int
) -> Params:
    return _initial(key, (num_features, *hidden, num_classes), start, gain)


def _apply(
    activation: str, params: Params, inputs: Float[Array, "samples features"]
) -> Float[Array, "samples classes"]:
    for layer in params[:-1]:
        inputs = ACTIVATIONS[activation].value(inputs @ layer.weight + layer.bias[None, :])
    return inputs @ params[-1].weight + params[-1].bias[None, :]


def _columns(
    activation: str, params: Params, inputs: Float[Array, "features samples"]
) -> Float[Array, "classes samples"]:
    for layer in params[:-1]:
        inputs = ACTIVATIONS[activation].value(layer.weight.T @ inputs + layer.bias[:, None])
    return params[-1].weight.T @ inputs + params[-1].bias[:, None]


def _initial(key: Array, sizes: tuple[int, ...], start: Start, gain: float) -> Params:
    """Draw (or check and return) the layers for the widths `sizes`."""
    shapes = list(itertools.pairwise(sizes))
    # A `Layer` is a tuple and a standard deviation a number, which tells the two kinds of sequences apart.
    if not isinstance(start, str) and isinstance(start[0], tuple):
        given = [tuple(layer.weight.shape) for layer in start]  # type: ignore[union-attr]
        if given != shapes:
            raise ValueError(f"start: expected weights of shapes {shapes}, got {given}")
        return tuple(Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in start)  # type: ignore[misc]
    keys = jax.random.split(key, len(shapes))
    weights = []
    for index, (subkey, shape) in enumerate(zip(keys, shapes, strict=True)):
        if start == "glorot":
            weights.append(jax.nn.initializers.glorot_uniform()(subkey, shape))
            continue
        last = index == len(shapes) - 1
        if not isinstance(start, str):
            std = start[index]
        elif last and start in OUTPUT_STD:
            std = OUTPUT_STD[start]
        else:  # "he": the gain belongs to the units that a layer feeds; logits are linear, so theirs is 1
            std = ((1.0 if last else gain) / shape[0]) ** 0.5
        weights.append(jnp.asarray(std * jax.random.normal(subkey, shape)))
    return tuple(Layer(weight, jnp.zeros(weight.shape[1], weight.dtype)) for weight in weights)
