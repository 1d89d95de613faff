"""Checks made while a loss is traced, and the label policy.

Misuse that shows in a dtype, rank or shape raises at trace time. A label whose *value* is wrong cannot raise under
`jax.jit`: it gives NaN instead, unless `validate_labels` is called on concrete labels first. That holds for labels that
do not fit int32, too, see `fitting_labels`, unless JAX truncates them before a loss sees them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Integer

from ce_jax.losses._labels import Labels, Shape, fitting_labels, given_labels


class Classes(NamedTuple):
    """Logits or probabilities with their labels, all checked. Rows keep the class axis with length 1."""

    values: Float[Array, "..."]
    labels: Labels
    at_label: Float[Array, "..."]
    label_ok: Bool[Array, "..."]

    def for_every_class(self, bad: Bool[Array, "..."]) -> Float[Array, "..."]:
        """The entry at the label; in bad rows the sum of all, for a NaN to reach every entry of the gradient."""
        return jnp.where(bad, jnp.sum(self.values, self.labels.axis, keepdims=True), self.at_label)


def check_logits(logits: ArrayLike, axis: int, *, name: str = "logits") -> tuple[Float[Array, "..."], int]:
    """Returns `logits` as an array of at least float32 and the class axis counted from the front."""
    array = jnp.asarray(logits)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name}: expected floating point, got {array.dtype}; convert with {name}.astype(jnp.float32)")
    if array.ndim == 0:
        raise ValueError(f"{name}: expected a class axis, got a scalar; pass an array of shape [..., K]")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(
            f"axis: expected {-array.ndim}..{array.ndim - 1} for {name} of shape {array.shape}, got {axis}; "
            "pass the position of the class axis"
        )
    axis %= array.ndim
    if array.shape[axis] == 0:
        raise ValueError(
            f"{name}: expected at least one class, got shape {array.shape}; pass the class axis as axis, here {axis}"
        )
    return array.astype(jnp.promote_types(array.dtype, jnp.float32)), axis


def check_where(where: ArrayLike | None, shape: Shape) -> Bool[Array, "..."] | None:
    """Returns the mask as a boolean array broadcast to `shape`, or None."""
    if where is None:
        return None
    mask = jnp.asarray(where)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"where: expected boolean, got {mask.dtype}; pass a comparison such as where != 0")
    return broadcast(mask, shape, "where")


def count_classes(where: Bool[Array, "..."] | None, shape: Shape, axis: int, dtype: jnp.dtype) -> Array:
    """The number of visible classes of every row, with the class axis kept."""
    if where is None:
        return jnp.asarray(shape[axis], dtype)
    return jnp.sum(where, axis, keepdims=True, dtype=dtype)


def broadcast(array: Array, shape: Shape, name: str) -> Array:
    """Returns `array` repeated to `shape`."""
    try:
        return jnp.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected a shape that broadcasts to {shape}, got {array.shape}; "
            "give it an axis of length 1 wherever it is to be repeated"
        ) from None


def check_labels(labels: ArrayLike, shape: Shape, axis: int) -> Integer[Array, "..."]:
    """Returns integer labels with a class axis of length 1; they are never broadcast."""
    fitting = fitting_labels(labels)
    if isinstance(fitting, np.ndarray) and fitting.dtype.kind in "OSUMm":  # of which JAX's own error is about tracing
        raise TypeError(f"labels: expected integers, got {fitting.dtype}; pass the index of the class of every row")
    array = jnp.asarray(fitting)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"labels: expected integers, got {array.dtype}; for soft targets use the _with_targets form")
    expected = shape[:axis] + shape[axis + 1 :]
    if array.shape != expected:
        raise ValueError(
            f"labels: expected the shape of the logits without the class axis, {expected}, got {array.shape}; "
            "labels are never broadcast"
        )
    if array.dtype.itemsize < 4:  # 1000 classes do not fit in a comparison with int8
        array = array.astype(jnp.int32)
    return jnp.expand_dims(array, axis)


def check_targets(targets: ArrayLike, logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns targets in the dtype of the logits; they have the shape of the logits."""
    array = jnp.asarray(targets)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"targets: expected floating point, got {array.dtype}; for class indices use the integer form")
    if array.shape != logits.shape:
        raise ValueError(
            f"targets: expected the shape of the logits, {logits.shape}, got {array.shape}; "
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
    index = check_labels(labels, z.shape, axis)
    last = z.shape[axis] - 1
    label_ok = (index >= 0) & (index <= last)
    # Clipped, for a gather must not leave the row; what it finds for a label out of range is not used.
    y = Labels(jnp.clip(index, 0, last).astype(jnp.int32), axis)
    visible = check_where(where, z.shape)
    if visible is not None:
        label_ok &= y.pick(visible.astype(jnp.int32)) != 0
        z = jnp.where(visible | ~label_ok, z, -jnp.inf)
    return Classes(z, y, y.pick(z), label_ok)


def check_num_classes(num_classes: Any) -> int:
    """The number of classes as a Python integer.

    Raises:
      TypeError: it is no whole number, or traced; ValueError: it is below 1.
    """
    whole = isinstance(num_classes, int | np.integer) and not isinstance(num_classes, bool)
    if not whole:
        came = num_classes if isinstance(num_classes, bool | float) else type(num_classes).__name__
        raise TypeError(f"num_classes: expected a whole number, got {came}; pass the length of the class axis")
    if num_classes < 1:
        raise ValueError(f"num_classes: expected at least 1, got {num_classes}; pass the length of the class axis")
    return int(num_classes)


def validate_labels(labels: ArrayLike, num_classes: int, *, where: ArrayLike | None = None) -> None:
    """Raises ValueError naming the first label outside 0..num_classes-1.

    The losses cannot raise on a value under `jax.jit`; they return NaN for such a row. Call this once on concrete
    labels, before training: labels of 64 bits that are arguments of a jitted function have lost their upper half when
    a loss sees them, 2^32 + 1 is 1 there.

    Args:
      labels: integers, any shape [...].
      num_classes: number of classes K.
      where: boolean [...]; rows where it is False are not looked at.

    Raises:
      TypeError: labels are not integers, or they are traced; `num_classes` is no whole number.
      ValueError: a label is out of range; the message names its index and value. `num_classes` is below 1.

    >>> validate_labels(np.array([0, 2, 1]), 3)
    >>> validate_labels(np.array([0, 3, -1]), 3)
    Traceback (most recent call last):
    ...
    ValueError: labels[1]: expected 0..2, got 3; 2 of 3 labels are out of range
    """
    if isinstance(labels, jax.core.Tracer):
        raise TypeError(
            "labels: expected concrete values, got a traced array; call validate_labels outside jit, vmap and grad"
        )
    num_classes = check_num_classes(num_classes)
    array = np.asarray(given_labels(labels))
    if not jnp.issubdtype(fitting_labels(array).dtype, jnp.integer):
        raise TypeError(f"labels: expected integers, got {array.dtype}; pass the index of the class of every row")
    wrong = np.asarray((array < 0) | (array >= num_classes), bool)
    if where is not None:
        mask = check_where(where, array.shape)
        wrong &= np.asarray(mask)
    if wrong.any():
        index = np.unravel_index(np.flatnonzero(wrong)[0], array.shape)
        place = f"[{', '.join(map(str, index))}]" if array.ndim else ""
        raise ValueError(
            f"labels{place}: expected 0..{num_classes - 1}, got {array[index]}; "
            f"{int(wrong.sum())} of {array.size} labels are out of range"
        )
