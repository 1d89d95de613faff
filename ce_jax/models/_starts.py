"""Where the layers of a network begin."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.models._records import Layer, Start

OUTPUT_STD = {"gentle": 0.01, "saturated": 4.0}
"""Standard deviation of the output weights under the two named starts: p nearly uniform, or confidently wrong."""

STARTS = ("he", "glorot", *OUTPUT_STD)
"""Names accepted by `start`."""


def is_explicit(start: Any) -> bool:
    """Whether a start holds parameters: a `Layer` is a tuple and a standard deviation a number."""
    return not isinstance(start, str) and isinstance(start[0], tuple)


def check_start(start: Start, layers: int, *, explicit: bool = True) -> None:
    """Raise a ValueError where a start does not fit a network of so many layers.

    Args:
      start: a name, standard deviations or parameters.
      layers: how many layers have weights.
      explicit: whether parameters may be given.
    """
    expected = f"one of {', '.join(STARTS)}, standard deviations{' or parameters' * explicit}"
    if isinstance(start, str):
        if start not in STARTS:
            raise ValueError(f"start: expected {expected}, got {start!r}")
    elif len(start) != layers:
        raise ValueError(f"start: expected one entry for each of the {layers} layers, got {len(start)}")
    elif is_explicit(start) and not explicit:
        raise ValueError(f"start: expected {expected}, got parameters")


def initial(key: Array, shapes: list[tuple[int, int]], start: Start, gain: float) -> tuple[Layer, ...]:
    """Draw (or check and return) layers with weights of these shapes [fan_in, fan_out]."""
    if is_explicit(start):
        given = [tuple(layer.weight.shape) for layer in start]  # type: ignore[union-attr]
        if given != shapes:
            raise ValueError(f"start: expected weights of shapes {shapes}, got {given}")
        return tuple(Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in start)  # type: ignore[misc, str-unpack]
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
