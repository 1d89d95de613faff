"""Where the labels of an array of logits point: reading and writing the entry of every row at its label."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Int

# From so many classes on, one gather or scatter per row beats a comparison with every class; measured on CPU.
MANY_CLASSES = 64


def class_index(shape: tuple[int, ...], axis: int) -> Int[Array, "..."]:
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
