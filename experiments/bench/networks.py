"""The networks that are timed: ours, and as a user would write them in plain JAX and in PyTorch."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.models import Model, NormalizedLayer, as_model, cnn, linear, mlp


class Product(NamedTuple):
    """A layer's matrix product for each sample: so many rows, [rows, fan_in] times [fan_in, fan_out]."""

    rows: int
    fan_in: int
    fan_out: int


class Network(NamedTuple):
    """A network in three versions that compute the same."""

    ours: Model
    written: Callable[[Any, Array], Array]
    """`apply(params, inputs) -> logits [N, K]` on our parameters, the way a user of JAX would write it."""
    torch: Callable[[], Any]
    """A new `torch.nn.Module` of inputs [N, ...], images channels first."""
    products: tuple[Product, ...]
    """The first layer's first: its inputs need no gradient."""


def dense(features: int, widths: tuple[int, ...]) -> Network:
    """ReLU layers; `widths` are those of the hidden layers and of the output."""
    return _dense(features, widths, mlp(widths[:-1]) if len(widths) > 1 else linear(), normalized=False)


def opaque(features: int, widths: tuple[int, ...]) -> Network:
    """The same given as a pair of functions of which nothing is known."""
    built_in = dense(features, widths)
    pair = (built_in.ours.init, lambda params, inputs: written_dense(params, inputs))
    return built_in._replace(ours=as_model(pair, widths[-1], (features,)))


def deep(features: int, widths: tuple[int, ...]) -> Network:
    """ReLU layers with layer normalisation."""
    return _dense(features, widths, mlp(widths[:-1], normalization="layer"), normalized=True)


def _dense(features: int, widths: tuple[int, ...], ours: Model, *, normalized: bool) -> Network:
    pairs = tuple(itertools.pairwise((features, *widths)))

    def torch() -> Any:
        from torch import nn

        layers: list[Any] = []
        for fan_in, fan_out in pairs:
            layers += [nn.Linear(fan_in, fan_out), *[nn.LayerNorm(fan_out)] * normalized, nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *layers[: -2 if normalized else -1])

    return Network(ours, written_dense, torch, tuple(Product(1, *pair) for pair in pairs))


def written_dense(params: Any, inputs: Array) -> Array:
    """Rows times weights, layer after layer."""
    x = inputs.reshape(len(inputs), -1)
    for layer in params[:-1]:
        x = x @ layer.weight + layer.bias[None, :]
        if isinstance(layer, NormalizedLayer):
            x = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
            x = x * layer.scale[None, :] + layer.shift[None, :]
        x = jax.nn.relu(x)
    return x @ params[-1].weight + params[-1].bias[None, :]


def convolutional(image: tuple[int, ...], channels: tuple[int, ...], hidden: int, classes: int) -> Network:
    """Convolutions of 3 x 3 with ReLU and pooling by 2, a hidden layer, logits."""
    height, width, inputs = image
    sizes = [(height >> i, width >> i) for i in range(len(channels) + 1)]
    pixels = [height * width for height, width in sizes]
    steps = itertools.pairwise((inputs, *channels))
    products = [Product(rows, 9 * fan_in, fan_out) for rows, (fan_in, fan_out) in zip(pixels, steps, strict=False)]
    flat = pixels[-1] * channels[-1]
    products += [Product(1, flat, hidden), Product(1, hidden, classes)]

    def written(params: Any, x: Array) -> Array:
        layers = iter(params)
        for _ in channels:
            layer = next(layers)
            kernel = layer.weight.reshape(3, 3, x.shape[-1], -1)
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x + layer.bias[None, None, None, :])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        # Our dense layers see channels first.
        return written_dense(tuple(layers), x.transpose(0, 3, 1, 2))

    def torch() -> Any:
        from torch import nn

        layers: list[Any] = []
        for fan_in, fan_out in itertools.pairwise((inputs, *channels)):
            layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    return Network(cnn(channels, hidden=(hidden,)), written, torch, tuple(products))


def flops(products: tuple[Product, ...], samples: int) -> float:
    """Operations of a step: a layer is one product forward and two backward, the first only one."""
    return sum(2 * samples * math.prod(product) * (3 if number else 2) for number, product in enumerate(products))
