"""Small convolutional networks in a form in which many of them train side by side on a CPU.

`vmap` of a convolution over different filters is a grouped convolution, which CPUs compute slowly. A convolution is
also one product of its filters [out, k k in] with patches [k k in, positions x samples] ("im2col", Chellapilla et al.
2006), and the patches of the first layer are those of the images, the same for all lanes of a seed. Samples stay
innermost throughout: values are [channels, height, width, samples].
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from ce_jax.models._activations import ACTIVATIONS
from ce_jax.models._dense import NormalizedLayer, normalized_over, transposed
from ce_jax.models._records import Layer, Model, Params, Start
from ce_jax.models._starts import check_start, initial

CNN_NORMALIZATIONS = ("none", "layer", "group")
_GROUPS = 4


class _Shape(NamedTuple):
    """What shapes a network: see `cnn`."""

    channels: tuple[int, ...]
    kernel: int
    pool: int
    hidden: tuple[int, ...]
    activation: str
    normalization: str
    residual: bool


def cnn(
    channels: Sequence[int] = (8, 16),
    *,
    kernel: int = 3,
    pool: int = 2,
    hidden: Sequence[int] = (32,),
    activation: str = "relu",
    normalization: str = "none",
    residual: bool = False,
    start: Start = "he",
) -> Model:
    """Convolutional network: blocks of convolution, activation and maximum pooling, then dense layers.

    Args:
      channels: of each block's outputs; zero padding keeps the size of the image.
      kernel: height and width of the filters, odd.
      pool: height and width of what one maximum is taken over; a rest at the edge is left out, and an image that is
        smaller is not pooled. 1 for none.
      hidden: widths of the dense hidden layers after the blocks.
      activation: a key of `ACTIVATIONS`.
      normalization: of each convolution's outputs, before the activation, with a scale and a shift for each channel:
        `none`; `layer`, over all channels and positions of a sample; `group`, over each of 4 groups of channels (or
        the most that divide the channels evenly; Wu and He 2018).
      residual: each block is activation(convolution(activation(convolution(x))) + x), with normalisation after either
        convolution; where channels differ, x goes through a 1 x 1 convolution (He et al. 2016).
      start: as in `mlp`; standard deviations one for each convolution and dense layer, no explicit parameters.

    Returns:
      A `Model`; `init` and `apply` take images [N, H, W, C]. Its parameters are a tuple of layers in the order in
      which they are used, filters as weights [kernel * kernel * in, out].

    Raises:
      ValueError: an unknown name, an even kernel, a width below 1.

    >>> import jax
    >>> model = cnn((2, 3), hidden=())
    >>> params = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 1)), 10)
    >>> [layer.weight.shape for layer in params]
    [(9, 2), (18, 3), (12, 10)]
    >>> model.apply(params, jnp.ones((5, 8, 8, 1))).shape
    (5, 10)
    """
    for name, value, known in (
        ("activation", activation, ACTIVATIONS),
        ("normalization", normalization, CNN_NORMALIZATIONS),
    ):
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
    widths = {"channels": tuple(channels), "hidden": tuple(hidden), "pool": (pool,), "kernel": (kernel,)}
    for name, values in widths.items():
        if (not values and name == "channels") or not all(int(width) == width >= 1 for width in values):
            raise ValueError(f"{name}: expected whole numbers from 1, got {values}")
    if kernel % 2 == 0:
        raise ValueError(f"kernel: expected an odd number, got {kernel}")
    shape = _Shape(
        channels=tuple(map(int, channels)),
        kernel=int(kernel),
        pool=int(pool),
        hidden=tuple(map(int, hidden)),
        activation=activation,
        normalization=normalization,
        residual=residual,
    )
    if isinstance(start, str):  # how many standard deviations it takes is known with the image
        check_start(start, 0, explicit=False)
    else:
        start = tuple(start)  # type: ignore[assignment]
    return Model(
        init=functools.partial(_init, shape, start),
        apply=functools.partial(_apply, shape),
        columns=functools.partial(_columns, shape),
        packed=transposed,
        unpacked=transposed,
        activation=activation,
        name="residual cnn" if residual else "cnn",
        start=start,
    )


def _init(shape: _Shape, start: Start, key: Key[Array, ""], inputs: Any, num_classes: int) -> Params:
    if len(getattr(inputs, "shape", ())) != 4:
        came = list(getattr(inputs, "shape", ()))[1:]
        raise ValueError(f"model: cnn: expected images [N, height, width, channels], got examples of shape {came}")
    _, height, width, channels = inputs.shape
    sizes, normalized = [], []
    for wide in shape.channels:
        sizes.append((shape.kernel**2 * channels, wide))
        normalized.append(True)
        if shape.residual:
            sizes.append((shape.kernel**2 * wide, wide))
            normalized.append(True)
            if channels != wide:
                sizes.append((channels, wide))
                normalized.append(False)
        channels = wide
        if min(height, width) >= shape.pool:
            height, width = height // shape.pool, width // shape.pool
    dense = (height * width * channels, *shape.hidden, num_classes)
    sizes += list(itertools.pairwise(dense))
    normalized += [False] * (len(dense) - 1)
    check_start(start, len(sizes), explicit=False)
    layers = initial(key, sizes, start, ACTIVATIONS[shape.activation].gain)
    if shape.normalization == "none":
        return layers
    return tuple(
        NormalizedLayer(*layer, jnp.ones_like(layer.bias), jnp.zeros_like(layer.bias)) if own else layer
        for layer, own in zip(layers, normalized, strict=True)
    )


def _apply(shape: _Shape, params: Params, inputs: Array) -> Float[Array, "samples classes"]:
    return _columns(shape, transposed(params), inputs).T


def _columns(shape: _Shape, params: Params, inputs: Array) -> Float[Array, "classes samples"]:
    activation, layers = ACTIVATIONS[shape.activation].value, iter(params)
    values = inputs.transpose(3, 1, 2, 0)
    for wide in shape.channels:
        block = _convolved(values, next(layers), shape)
        if shape.residual:
            block = _convolved(activation(block), next(layers), shape)
            block += values if len(values) == wide else _product(next(layers), values)
        values = _pooled(activation(block), shape.pool)
    values = values.reshape(-1, values.shape[-1])
    *hidden, last = layers
    for layer in hidden:
        values = activation(_product(layer, values))
    return _product(last, values)


def _product(layer: Layer | NormalizedLayer, values: Array) -> Array:
    """W x + b over the first axis; W is [out, in]."""
    product = layer.weight @ values.reshape(len(values), -1) + layer.bias[:, None]
    return product.reshape(-1, *values.shape[1:])


def _convolved(values: Array, layer: Layer | NormalizedLayer, shape: _Shape) -> Array:
    """A convolution of [channels, height, width, samples], normalised if its layer is."""
    _, height, width, _ = values.shape
    around = shape.kernel // 2
    padded = jnp.pad(values, ((0, 0), (around, around), (around, around), (0, 0)))
    shifts = itertools.product(range(shape.kernel), repeat=2)
    # Row major over the filter's rows, its columns and channels: the order of a filter [height, width, in, out].
    patches = jnp.concatenate([padded[:, i : i + height, j : j + width] for i, j in shifts])
    convolved = _product(layer, patches)
    if not isinstance(layer, NormalizedLayer):
        return convolved
    channels, *rest = convolved.shape
    groups = math.gcd(channels, _GROUPS) if shape.normalization == "group" else 1
    grouped = normalized_over(convolved.reshape(groups, channels // groups, *rest), (1, 2, 3))
    scale, shift = (one[:, None, None, None] for one in (layer.scale, layer.shift))
    return grouped.reshape(convolved.shape) * scale + shift


def _pooled(values: Array, pool: int) -> Array:
    """Maxima over squares of `pool` by `pool` pixels."""
    channels, height, width, samples = values.shape
    if pool == 1 or min(height, width) < pool:
        return values
    cropped = values[:, : height - height % pool, : width - width % pool]
    squares = cropped.reshape(channels, height // pool, pool, width // pool, pool, samples)
    # One part for each place in a square: a maximum of arrays has a cheaper derivative than one over axes, and parts
    # along axes of their own a cheaper one than strided parts.
    places = itertools.product(range(pool), repeat=2)
    return functools.reduce(jnp.maximum, [squares[:, :, i, :, j] for i, j in places])
