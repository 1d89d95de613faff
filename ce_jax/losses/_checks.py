"""Checks made while a loss is traced, and the label policy.

Misuse that shows in a dtype, rank or shape raises at trace time. A label whose *value* is wrong cannot raise under
`jax.jit`: it gives NaN instead, unless `validate_labels` is called on concrete labels first.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Integer

# From so many classes on, one gather or scatter per row beats a comparison with every class; measured on CPU.
MANY_CLASSES = 64


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Labels:
    """Where the labels of an array of logits point; rows keep the class axis with length 1.

    Labels out of range point somewhere in range: whether they are valid is kept apart.
    """

    index: Array | np.ndarray  # integers, or their float0 tangents
    axis: int = field(metadata={"static": True})

    def mask(self, shape: tuple[int, ...]) -> Bool[Array, "..."]:
        """True at the label of every row."""
        return class_index(shape, self.axis) == self.index

    def pick(self, values: Array) -> Array:
        """The entry of every row at its label."""
        if self.axis < values.ndim - 1 and values.shape[self.axis] < MANY_CLASSES:
            picked = jnp.where(self.mask(values.shape), values, jnp.zeros((), values.dtype))
            return jnp.sum(picked, self.axis, keepdims=True)
        return jnp.take_along_axis(values, self.index, self.axis, mode="promise_in_bounds")

    def place(self, values: Array, at_label: ArrayLike) -> Array:
        """`values` with the entry at the label of every row replaced."""
        at_label = jnp.asarray(at_label, values.dtype)
        if values.shape[self.axis] < MANY_CLASSES:
            return jnp.where(self.mask(values.shape), at_label, values)
        rows = jnp.broadcast_to(at_label, self.index.shape)
        return jnp.put_along_axis(values, self.index, rows, self.axis, inplace=False, mode="promise_in_bounds")


class Classes(NamedTuple):
    """Logits or probabilities with their labels, all checked. Rows keep the class axis with length 1."""

    values: Float[Array, "..."]
    labels: Labels
    at_label: Float[Array, "..."]
    label_ok: Bool[Array, "..."]

    def for_every_class(self, bad: Bool[Array, "..."]) -> Float[Array, "..."]:
        """The entry at the label; in bad rows the sum of all, for a NaN to reach every entry of the gradient."""
        return jnp.where(bad, jnp.sum(self.values, self.labels.axis, keepdims=True), self.at_label)


def class_index(shape: tuple[int, ...], axis: int) -> Int[Array, "..."]:
    """The index of every entry along the class axis."""
    return lax.broadcasted_iota(jnp.int32, shape, axis)


def check_logits(logits: ArrayLike, axis: int, *, name: str = "logits") -> tuple[Float[Array, "..."], int]:
    """Returns `logits` as an array of at least float32 and the class axis counted from the front."""
    array = jnp.asarray(logits)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating point, got {array.dtype}: convert with {name}.astype(jnp.float32)")
    if array.ndim == 0:
        raise ValueError(f"{name} must have a class axis, got a scalar: pass an array of shape [..., K]")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(
            f"axis must be in {-array.ndim}..{array.ndim - 1} for {name} of shape {array.shape}, got {axis}: "
            "pass the position of the class axis"
        )
    axis %= array.ndim
    if array.shape[axis] == 0:
        raise ValueError(
            f"{name} must have at least one class, got shape {array.shape}: pass the class axis as axis, here {axis}"
        )
    return array.astype(jnp.promote_types(array.dtype, jnp.float32)), axis


def check_where(where: ArrayLike | None, shape: tuple[int, ...]) -> Bool[Array, "..."] | None:
    """Returns the mask as a boolean array broadcast to `shape`, or None."""
    if where is None:
        return None
    mask = jnp.asarray(where)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"where must be boolean, got {mask.dtype}: pass a comparison such as where != 0")
    try:
        return jnp.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"where must broadcast to the shape {shape}, got {mask.shape}: "
            "give it an axis of length 1 wherever it is to be repeated"
        ) from None


def check_labels(labels: ArrayLike, shape: tuple[int, ...], axis: int) -> Integer[Array, "..."]:
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
        raise ValueError(
            f"targets must have the shape of the logits, {logits.shape}, got {array.shape}: "
            "targets are never broadcast, use jnp.broadcast_to"
        )
    return array.astype(logits.dtype)


def check_classes(
    values: ArrayLike, labels: ArrayLike, axis: int, where: ArrayLike | None, *, name: str = "logits"
) -> Classes:
    """Checks the arguments that most losses share and finds the label of every row.

    Hidden classes become -inf, which is a class of probability 0. A row whose label is out of range or hidden has
    `label_ok` False; nothing is hidden in it, so that its NaN reaches every entry of the gradient.
    """
    z, axis = check_logits(values, axis, name=name)
    y = check_labels(labels, z.shape, axis)
    last = z.shape[axis] - 1
    label_ok = (y >= 0) & (y <= last)
    place = Labels(jnp.clip(y, 0, last).astype(jnp.int32), axis)
    visible = check_where(where, z.shape)
    if visible is not None:
        label_ok &= place.pick(visible.astype(jnp.int32)) != 0
        z = jnp.where(visible | ~label_ok, z, -jnp.inf)
    return Classes(z, place, place.pick(z), label_ok)


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
