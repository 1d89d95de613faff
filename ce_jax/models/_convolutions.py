"""Small convolutional networks in a form in which many of them train side by side on a CPU.

`vmap` of a convolution over different filters is a grouped convolution, which CPUs compute slowly. A convolution is
also a product of matrices ("im2col", Chellapilla et al. 2006), and that of the first layer's patches is the same for
all lanes of a seed. Copying each value into all patches it is in takes longer than the product, so only the shifts
along the width are copied: those along the height are in the filters, as a banded matrix with a row for each row of
outputs. It multiplies zeros too, and is still faster. Images of more than 8 rows are cut into tiles of 4.

Pooling goes before the bias and the activation where the activation is monotone: max(phi(x + b)) = phi(max(x) + b).
Each place in a pooled square is then a product of its own, of every other row of filters with every other column of
patches, and their maximum is one of whole matrices: no strided reads forward, no strided writes backward.

Samples stay innermost throughout: values are [height, channels, width, samples].
"""

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
from ce_jax.models._dense import NormalizedLayer, normalized_over, transposed
from ce_jax.models._precision import exactly
from ce_jax.models._records import Layer, Model, Params, Start
from ce_jax.models._starts import check_start, initial

CNN_NORMALIZATIONS = ("none", "layer", "group")
_GROUPS = 4
_WHOLE, _TILE = 8, 4
"""Rows of the largest image that is one banded matrix, and about how many a larger one has in each."""


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
        apply=functools.partial(exactly, functools.partial(_apply, shape)),
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
    unit, layers = ACTIVATIONS[shape.activation], iter(params)
    values = inputs.transpose(1, 3, 2, 0)
    for wide in shape.channels:
        pool = shape.pool if min(values.shape[0], values.shape[2]) >= shape.pool else 1
        if unit.monotone and not shape.residual and shape.normalization == "none":
            values = unit.value(_convolved(values, next(layers), shape.kernel, pool))
            continue
        block = _normalized(values, next(layers), shape)
        if shape.residual:
            block = _normalized(unit.value(block), next(layers), shape)
            block += values if values.shape[1] == wide else _convolved(values, next(layers), 1)
        values = _pooled(unit.value(block), pool)
    values = values.swapaxes(0, 1).reshape(-1, values.shape[-1])  # dense layers see channels first
    *hidden, last = layers
    for layer in hidden:
        values = unit.value(layer.weight @ values + layer.bias[:, None])
    return last.weight @ values + last.bias[:, None]


def _convolved(values: Array, layer: Layer | NormalizedLayer, kernel: int, pool: int = 1) -> Array:
    """A convolution of [height, channels, width, samples], and its maxima over squares of `pool` by `pool` pixels."""
    height, channels, width, samples = values.shape
    tile = height if height <= _WHOLE else pool * max(1, _TILE // pool)
    tiles, across = -(-height // tile), width // pool
    around, row = kernel // 2, kernel * channels
    halo = around if tiles > 1 else 0  # rows of zeros above and below need not be multiplied
    below = tiles * tile - height + halo
    padded = jnp.pad(values, ((halo, below), (0, 0), (around, around), (0, 0)))
    # [rows of a tile, tiles, channels, padded width, samples].
    rows = [padded[i : i + tile * (tiles - 1) + 1 : tile] for i in range(tile + 2 * halo)]
    cut = jnp.stack(rows) if tiles > 1 else padded[:, None]
    bands = _banded(layer.weight, tile, row)[:, :, (around - halo) * row : (tile + around + halo) * row]
    bands = bands[: tile - tile % pool].reshape(tile // pool, pool, len(layer.bias), -1)
    last = pool * (across - 1) + 1
    shifts = [[cut[..., i : i + last : pool, :] for i in range(j, j + kernel)] for j in range(pool)]
    patches = [jnp.stack(one, 1).swapaxes(2, 3).reshape(len(cut) * row, -1) for one in shifts]
    # Row major over a square's places, so that ties go where they go in `lax.reduce_window`.
    parts = [bands[:, i].reshape(-1, len(own)) @ own for i in range(pool) for own in patches]
    largest = _largest(*parts).reshape(tile // pool, len(layer.bias), tiles, across, samples)
    convolved = jnp.moveaxis(largest, 2, 0).reshape(-1, len(layer.bias), across, samples)[: height // pool]
    return convolved + layer.bias[None, :, None, None]


def _banded(weight: Array, height: int, row: int) -> Array:
    """Filters [out, kernel x row] as matrices [height, out, padded height x row]: each row's begins one row further."""
    out, size = weight.shape
    length = size + (height - 1) * row
    # Repeated with a period of one row more than is cut off each time, the filter moves on by a row.
    repeated = jnp.tile(jnp.pad(weight, ((0, 0), (0, length + row - size))), (1, height))
    return repeated[:, : height * length].reshape(out, height, length).swapaxes(0, 1)


@jax.custom_jvp
def _largest(*parts: Array) -> Array:
    """Elementwise maximum; the derivative is that of the first of the largest, where JAX's would share it out."""
    return functools.reduce(jnp.maximum, parts)


@_largest.defjvp
def _largest_jvp(parts: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    so_far, tangent = parts[0], tangents[0]
    for part, own in zip(parts[1:], tangents[1:], strict=True):
        larger = part > so_far
        so_far, tangent = jnp.where(larger, part, so_far), jnp.where(larger, own, tangent)
    return _largest(*parts), tangent


def _normalized(values: Array, layer: Layer | NormalizedLayer, shape: _Shape) -> Array:
    """A convolution, normalised if its layer is."""
    convolved = _convolved(values, layer, shape.kernel)
    if not isinstance(layer, NormalizedLayer):
        return convolved
    height, channels, *rest = convolved.shape
    groups = math.gcd(channels, _GROUPS) if shape.normalization == "group" else 1
    grouped = normalized_over(convolved.reshape(height, groups, channels // groups, *rest), (0, 2, 3))
    scale, shift = (one[None, :, None, None] for one in (layer.scale, layer.shift))
    return grouped.reshape(convolved.shape) * scale + shift


def _pooled(values: Array, pool: int) -> Array:
    """Maxima over squares of `pool` by `pool` pixels."""
    height, channels, width, samples = values.shape
    if pool == 1:
        return values
    cropped = values[: height - height % pool, :, : width - width % pool]
    squares = cropped.reshape(height // pool, pool, channels, width // pool, pool, samples)
    # One part for each place in a square: a maximum of arrays has a cheaper derivative than one over axes, and parts
    # along axes of their own a cheaper one than strided parts.
    places = itertools.product(range(pool), repeat=2)
    return functools.reduce(jnp.maximum, [squares[:, i, :, :, j] for i, j in places])
