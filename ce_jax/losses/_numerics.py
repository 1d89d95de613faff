"""Error-free steps that the losses are built from.

Each function states the rounding error it removes. The derivative rules here are those of one elementary operation
(an exponential, a sum of exponentials); the derivative of a loss is left to autodiff.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


def subtract_exactly(a: Array, b: Array) -> tuple[Array, Array]:
    """Returns the rounded difference of a and b and its rounding error, which is itself a floating-point number.

    Knuth's two-sum (The Art of Computer Programming, vol. 2, 4.2.2): difference + error == a - b, whatever the order
    of the magnitudes. The error is NaN where a or b is not finite.
    """
    difference = a - b
    b_used = a - difference
    a_used = difference + b_used
    return difference, (a - a_used) + (b_used - b)


def vanishing_exponent(dtype: jnp.dtype) -> float:
    """A number whose exponential is 0 in `dtype`, subnormal numbers included."""
    return -760.0 if dtype == jnp.float64 else -120.0


def headroom(dtype: jnp.dtype) -> float:
    """How far below the label logit to shift: exp(headroom) times any number of classes is far from overflow.

    In float32 without it, a margin of 80 leaves terms down to e^-7 of the largest one before they are flushed to 0.
    """
    return 256.0 if dtype == jnp.float64 else 32.0


@jax.custom_jvp
def exponential_from(z: Rows, shift: Rows, floor: Rows, excluded: Mask) -> Rows:
    """exp(z - shift) with the rounding error of the difference put back; exp(floor) where excluded.

    At z = -40, shift = 37.7 that error alone is worth 32 units in the last place of the exponential. `shift` and
    `floor` are row quantities. The exponent is `floor` wherever it would be smaller, NaN or excluded, so that nothing
    but finite numbers comes out; `floor` is the vanishing exponent, or 0 in rows that are to be made NaN later.
    """
    exponent, error = subtract_exactly(z, shift)
    kept = (exponent > floor) & ~excluded
    power = jnp.exp(jnp.where(kept, exponent, floor))
    return power * (1 + jnp.where(kept, error, 0))


@exponential_from.defjvp
def _exponential_from_jvp(primals, tangents):
    power = exponential_from(*primals)
    return power, power * (tangents[0] - tangents[1])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def sum_exponentials_from(axis: int, z: Rows, shift: Rows, floor: Rows, excluded: Mask) -> Rows:
    """The sum of `exponential_from` along the class axis, whose length becomes 1."""
    return jnp.sum(exponential_from(z, shift, floor, excluded), axis, keepdims=True)


@sum_exponentials_from.defjvp
def _sum_exponentials_from_jvp(axis, primals, tangents):
    # One array of the size of the logits is kept for the reverse pass, and the shift costs no sum of its own.
    powers = exponential_from(*primals)
    total = jnp.sum(powers, axis, keepdims=True)
    return total, jnp.sum(powers * tangents[0], axis, keepdims=True) - total * tangents[1]


@jax.custom_jvp
def replace_value(x: Array, value: Array) -> Array:
    """`value`, with the derivative of `x`: for two expressions that are equal but round differently."""
    del x
    return value


@replace_value.defjvp
def _replace_value_jvp(primals, tangents):
    return replace_value(*primals), tangents[0]


def replace_bad(x: Array, bad: Mask, instead: Array | float = 0.0) -> Array:
    """A harmless number where bad, `x` elsewhere; the derivative is 1 everywhere, for `poison` to make NaN."""
    return replace_value(x, jnp.where(bad, instead, x))


def _scale_where(where: Mask, tangent: Array, *factors: float) -> Array:
    """Multiplies by one factor after the other where asked; written so that no compiler joins the factors."""
    for factor in factors:
        tangent = jnp.where(where, tangent * factor, tangent)
    return tangent


@jax.custom_jvp
def poison(x: Rows, bad: Mask) -> Rows:
    """NaN where bad, `x` elsewhere; the derivative is NaN where bad too, except that 0 stays 0.

    A row that is left out of a reduction has cotangent 0. Scaling by NaN, or any derivative that is NaN by itself,
    would turn that into NaN. So bad rows hold harmless numbers up to this point, and the derivative here is the linear
    map that keeps 0 and sends everything else to NaN; it is its own transpose.
    """
    return jnp.where(bad, jnp.nan, x)


@poison.defjvp
def _poison_jvp(primals, tangents):
    huge = float(jnp.finfo(tangents[0].dtype).max)
    # Two steps reach infinity from the smallest normal number; inf * 0 is NaN, 0 * 0 is 0. The transpose goes through
    # the factors from the other end.
    return poison(*primals), _scale_where(primals[1], tangents[0], huge, huge, 0.0, huge, huge)


@jax.custom_jvp
def logarithm(x: Rows) -> Rows:
    """log(x); at x = 0 a tangent or cotangent of 0 stays 0, and every other becomes infinite."""
    return jnp.log(x)


@logarithm.defjvp
def _logarithm_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    huge = float(jnp.finfo(x.dtype).max)
    return logarithm(x), _scale_where(x == 0, tangent / jnp.where(x == 0, 1, x), huge, huge)


def count(where: Mask | None, shape: tuple[int, ...], axis: int, dtype: jnp.dtype) -> Array:
    """The number of visible classes of every row, with the class axis kept."""
    if where is None:
        return jnp.asarray(shape[axis], dtype)
    return jnp.sum(where, axis, keepdims=True, dtype=dtype)
