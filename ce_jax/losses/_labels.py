"""Labels before JAX truncates them, and where they point: reading and writing the entry of every row at its label."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Int

# From so many classes on, one gather per row beats a comparison with every class; measured on CPU.
MANY_CLASSES = 64

Shape = tuple[Any, ...]  # integers, or symbols under `jax.export`
INT32 = np.iinfo(np.int32)


def given_labels(labels: Any) -> Any:
    """Labels as they were given: a JAX array as it is, anything else as a numpy array that has lost nothing.

    Python integers that fit no integer type stay Python integers, in an array of objects.
    """
    if isinstance(labels, jax.Array) or hasattr(labels, "__jax_array__"):
        return labels
    if np.ma.is_masked(labels) and labels.dtype.kind in "iu":  # what a mask hides is no class
        labels = labels.astype(object).filled(-1).tolist()
    if not isinstance(labels, np.ndarray | np.generic):
        leaves = jax.tree.leaves(labels)
        if any(isinstance(leaf, jax.Array) for leaf in leaves):
            return jnp.asarray(labels)
        if leaves and all(type(leaf) is int for leaf in leaves):
            exact = np.array(labels, object)
            fits = all(INT32.min <= leaf <= INT32.max for leaf in leaves)
            return exact.astype(np.int32) if fits else exact
    return np.asarray(labels)


def fitting_labels(labels: Any) -> Any:
    """Labels with -1, which is no class, in place of those that do not fit int32.

    Without x64 JAX keeps the lower 32 bits of an integer: NaN cast to int64 would become class 0, and 2^32 + 1 class 1.
    Only what is still a numpy array or a Python integer can be looked at. An argument of a function under `jax.jit` or
    `jax.vmap` has lost its upper bits before the function is entered.
    """
    array = given_labels(labels)
    if isinstance(array, np.ndarray) and not array.dtype.isnative:  # which JAX does not take
        array = array.astype(array.dtype.newbyteorder("="))
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuO" or np.can_cast(array.dtype, np.int32):
        return array
    if array.dtype.kind == "O" and not all(type(one) is int for one in array.flat):
        return array
    if not array.size or (INT32.min <= array.min() and array.max() <= INT32.max):
        return array
    outside = np.asarray((array < INT32.min) | (array > INT32.max), bool)
    fitting = np.where(outside, 0, array).astype(np.int32)
    fitting[outside] = -1
    return fitting


def is_many(classes: Any) -> bool:
    """Whether there are `MANY_CLASSES` or more; a symbolic number, under `jax.export`, counts as few."""
    return isinstance(classes, int) and classes >= MANY_CLASSES


def class_index(shape: Shape, axis: int) -> Int[Array, "..."]:
    """The index of every entry along the class axis."""
    return lax.broadcasted_iota(jnp.int32, shape, axis)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Labels:
    """Where the labels of an array of logits point; rows keep the class axis with length 1.

    Labels out of range point somewhere in range: whether they are valid is kept apart.
    """

    index: Array | np.ndarray  # integers, or their float0 tangents
    axis: int = field(metadata={"static": True})

    def mask(self, shape: Shape) -> Bool[Array, "..."]:
        """True at the label of every row."""
        if not isinstance(shape[self.axis], int):
            return class_index(shape, self.axis) == self.index
        # On CPU an iota makes a comparison of 64 bits, a constant row does not; one that starts at 0 becomes an iota.
        numbers = np.arange(1, shape[self.axis] + 1, dtype=np.int32)
        row = jnp.expand_dims(numbers, [i for i in range(len(shape)) if i != self.axis])
        return row == self.index + 1

    def pick(self, values: Array) -> Array:
        """The entry of every row at its label."""
        if self.axis < values.ndim - 1 and not is_many(values.shape[self.axis]):
            picked = jnp.where(self.mask(values.shape), values, jnp.zeros((), values.dtype))
            return jnp.sum(picked, self.axis, keepdims=True)
        return jnp.take_along_axis(values, self.index, self.axis, mode="promise_in_bounds")

    def place(self, values: Array, at_label: ArrayLike) -> Array:
        """`values` with the entry at the label of every row replaced."""
        return jnp.where(self.mask(values.shape), jnp.asarray(at_label, values.dtype), values)
