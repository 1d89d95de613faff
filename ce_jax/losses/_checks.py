"""Checks made while a loss is traced, and the label policy.

Misuse that shows in a dtype, rank or shape raises at trace time. A label whose *value* is wrong cannot raise under
`jax.jit`: it gives NaN instead, unless `validate_labels` is called on concrete labels first.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

# Gathering one entry per row beats a masked sum where rows are contiguous or long; measured on CPU.
_GATHER_FROM = 64


class Classes(NamedTuple):
    """Logits with their class axis, and where the labels point, all checked. Rows keep the class axis with length 1."""

    logits: Float[Array, "..."]
    axis: int
    is_label: Bool[Array, "..."]
    label_logit: Float[Array, "..."]
    label_ok: Bool[Array, "..."]


def check_logits(logits: ArrayLike, axis: int, *, name: str = "logits") -> tuple[Float[Array, "..."], int]:
    """Returns `logits` as an array of at least float32 and the class axis counted from the front."""
    array = jnp.asarray(logits)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating point, got {array.dtype}: convert with {name}.astype(jnp.float32)")
    if array.ndim == 0:
        raise ValueError(f"{name} must have a class axis, got a scalar: pass an array of shape [..., K]")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis {axis} is out of range for {name} of shape {array.shape}")
    axis %= array.ndim
    if array.shape[axis] == 0:
        raise ValueError(f"{name} has no classes: axis {axis} of shape {array.shape} has length 0")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32)), axis


def check_where(where: ArrayLike | None, shape: tuple[int, ...], *, name: str = "where") -> Bool[Array, "..."] | None:
    """Returns the mask as a boolean array broadcast to `shape`, or None."""
    if where is None:
        return None
    mask = jnp.asarray(where)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"{name} must be boolean, got {mask.dtype}: pass a comparison such as {name} != 0")
    if mask.ndim > len(shape) or np.broadcast_shapes(mask.shape, shape) != shape:
        raise ValueError(f"{name} of shape {mask.shape} does not broadcast to the shape {shape}")
    return jnp.broadcast_to(mask, shape)


def check_labels(labels: ArrayLike, shape: tuple[int, ...], axis: int) -> Int[Array, "..."]:
    """Returns integer labels with a class axis of length 1; they are never broadcast."""
    array = jnp.asarray(labels)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"labels must be integers, got {array.dtype}: for soft targets use the _with_targets form")
    expected = shape[:axis] + shape[axis + 1 :]
    if array.shape != expected:
        raise ValueError(
            f"labels must have the shape of the logits without the class axis, {expected}, got {array.shape}: "
            "labels are never broadcast"
        )
    if array.dtype.itemsize < 4:  # 1000 classes do not fit in a comparison with int8
        array = array.astype(jnp.int32)
    return jnp.expand_dims(array, axis)


def check_targets(targets: ArrayLike, logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns targets in the dtype of the logits; they have the shape of the logits."""
    array = jnp.asarray(targets)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"targets must be floating point, got {array.dtype}: for class indices use the integer form")
    if array.shape != logits.shape:
        raise ValueError(f"targets must have the shape of the logits, {logits.shape}, got {array.shape}")
    return array.astype(logits.dtype)


def class_index(shape: tuple[int, ...], axis: int) -> Int[Array, "..."]:
    """The index of every entry along the class axis."""
    return lax.broadcasted_iota(jnp.int32, shape, axis)


def pick(values: Array, is_label: Bool[Array, "..."], labels: Int[Array, "..."], axis: int) -> Array:
    """The entry of every row that its label names; anything where the label names none."""
    num_classes = values.shape[axis]
    if axis == values.ndim - 1 or num_classes > _GATHER_FROM:
        index = jnp.clip(labels, 0, num_classes - 1)
        return jnp.take_along_axis(values, index, axis, mode="promise_in_bounds")
    return jnp.sum(jnp.where(is_label, values, 0), axis, keepdims=True, dtype=values.dtype)


def check_classes(logits: ArrayLike, labels: ArrayLike, axis: int, where: ArrayLike | None) -> Classes:
    """Checks the arguments that most losses share and finds the label of every row.

    Hidden classes become -inf, which is a class of probability 0. A row whose label is out of range or hidden has
    `label_ok` False; nothing is hidden in it, so that its NaN reaches every entry of the gradient.
    """
    z, axis = check_logits(logits, axis)
    y = check_labels(labels, z.shape, axis)
    num_classes = z.shape[axis]
    label_ok = (y >= 0) & (y < num_classes)
    is_label = class_index(z.shape, axis) == y.astype(jnp.int32)
    visible = check_where(where, z.shape)
    if visible is not None:
        label_ok &= jnp.any(is_label & visible, axis, keepdims=True)
        z = jnp.where(visible | ~label_ok, z, -jnp.inf)
    return Classes(z, axis, is_label, pick(z, is_label, y, axis), label_ok)


def check_probs(probs: ArrayLike, labels: ArrayLike, axis: int) -> Classes:
    """Checks probabilities and labels; as `check_classes`, with the probability of the label in place of its logit."""
    p, axis = check_logits(probs, axis, name="probs")
    y = check_labels(labels, p.shape, axis)
    label_ok = (y >= 0) & (y < p.shape[axis])
    is_label = class_index(p.shape, axis) == y.astype(jnp.int32)
    return Classes(p, axis, is_label, pick(p, is_label, y, axis), label_ok)


def validate_labels(labels: ArrayLike, num_classes: int, *, where: ArrayLike | None = None) -> None:
    """Raises ValueError naming the first label outside 0..num_classes-1.

    The losses cannot raise on a value under `jax.jit`; they return NaN for such a row. Call this once on concrete
    labels, before training.

    Args:
      labels: integers, any shape [...].
      num_classes: number of classes K.
      where: boolean [...]; rows where it is False are not looked at.

    Raises:
      TypeError: labels are not integers, or they are traced.
      ValueError: a label is out of range; the message names its index and value.

    >>> validate_labels(np.array([0, 2, 1]), 3)
    >>> validate_labels(np.array([0, 3, -1]), 3)
    Traceback (most recent call last):
    ...
    ValueError: labels[1] is 3, expected 0..2: 2 of 3 labels are out of range
    """
    if isinstance(labels, jax.core.Tracer):
        raise TypeError("validate_labels needs concrete labels, got a traced array: call it outside jit, vmap and grad")
    array = np.asarray(labels)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"labels must be integers, got {array.dtype}")
    wrong = (array < 0) | (array >= num_classes)
    if where is not None:
        mask = check_where(where, array.shape)
        wrong &= np.asarray(mask)
    if wrong.any():
        index = np.unravel_index(np.flatnonzero(wrong)[0], array.shape)
        place = f"[{', '.join(map(str, index))}]" if array.ndim else ""
        raise ValueError(
            f"labels{place} is {array[index]}, expected 0..{num_classes - 1}: "
            f"{int(wrong.sum())} of {array.size} labels are out of range"
        )
