"""Elementary functions without a rounding error that their usual formula has; each states the error it removes.

They know nothing of labels or losses. Four have a derivative rule, for autodiff would differentiate the correction too:

| name | value | derivative | the rounding error it removes |
|---|---|---|---|
| `_exponential` | e = exp(z - shift) | e dz | of z - shift, which exp multiplies by its size |
| `power` | v = b^n, given log b | v (n dlog b + log b dn) | of n log b, where n is near 0, 1 or 2 |
| `box_cox` | (1 - p^q) / q, c at q = 0, c = -log p | p^q dc + dq by series | of 1 - p^q, and 0 / 0 |
| `replace_value` | that of one expression | that of another | of the first in the second one's derivative |
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Rows = Float[Array, "..."]

LARGE = 1e30  # stands in for an infinite logarithm: times 0 it is 0


def subtract_exactly(a: Array, b: Array) -> tuple[Array, Array]:
    """Returns the rounded difference of a and b and its rounding error, which is itself a floating-point number.

    Knuth's two-sum (The Art of Computer Programming, vol. 2, 4.2.2): difference + error == a - b, whatever the order
    of the magnitudes. The error is NaN where a or b is not finite.
    """
    difference = a - b
    b_used = a - difference
    a_used = difference + b_used
    return difference, (a - a_used) + (b_used - b)


class _Format(NamedTuple):
    """What the exponential needs to know of a floating-point format beside its bits."""

    integer: jnp.dtype
    series: tuple[float, ...]  # of exp(r) for |r| <= log(2) / 2, but for the 1
    log2_high: float  # log(2) in two parts; this one has so few bits that k log2_high is exact for every exponent k
    log2_low: float


# Minimax, off by 1.05e-7 of (exp(r) - 1) / r at most: two terms less than Taylor's.
_MINIMAX = (1, 0.499992311, 0.166671142, 0.041890200, 0.008312516)
_TAYLOR = tuple(1 / math.factorial(n) for n in range(1, 14))
_FLOAT32 = _Format(jnp.int32, _MINIMAX, 0.693359375, -2.1219444005469058e-4)
_FLOAT64 = _Format(jnp.int64, _TAYLOR, 0.693145751953125, 1.4286068203094172e-6)


def headroom(dtype: jnp.dtype) -> float:
    """How far below the label logit to shift: exp(headroom) times any number of classes is far from overflow.

    In float32 without it, a margin of 80 leaves terms down to e^-7 of the largest one before they are flushed to 0.
    """
    return 256.0 if dtype == jnp.float64 else 24.0


def _polynomial(coefficients: Sequence[int | float], x: Rows) -> Rows:
    """The sum of coefficients[n] x^n, by Horner's rule."""
    value = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = c + value * x
    return value


def exponential_from(z: Rows, shift: Rows, rest: Rows, *, whole: bool = False) -> Rows:
    """exp(z - shift), to about two units in the last place; `rest` where that is below the normal numbers or NaN.

    The library exponential sees the rounded difference: at z = -40, shift = 37.7 that alone costs 32 units. `shift` and
    `rest` are row quantities, constant under differentiation. Cheaper if all shifts are `whole` numbers.
    """
    difference = z - shift
    # Dekker's fast two-sum: a whole shift is a multiple of the last place of z, or close to z. It asks no more.
    error = z - (difference + shift) if whole else subtract_exactly(z, shift)[1]
    return _exponential(difference, error, rest)


@jax.custom_jvp
def _exponential(difference: Rows, error: Rows, rest: Rows) -> Rows:
    """exp(difference + error), where the second is the rounding error of the first."""
    f, info = _FLOAT64 if difference.dtype == jnp.float64 else _FLOAT32, jnp.finfo(difference.dtype)
    # Rounding by a magic number: between 2^23 and 2^24 neighbours in float32 are 1 apart, so that adding 1.5 * 2^23
    # rounds to the nearest integer k. With the bias added too, the lowest bits of the sum are the exponent bits of 2^k.
    magic = np.asarray(1.5 * 2.0**info.nmant + info.maxexp - 1, difference.dtype)
    bits = lax.bitcast_convert_type(difference * (1 / math.log(2)) + magic, f.integer)
    scale = lax.bitcast_convert_type(bits << info.nmant, difference.dtype)
    # Not by subtracting `magic` again: XLA would add the two constants up and round nothing.
    k = (bits - int(magic.view(f.integer))).astype(jnp.int32).astype(difference.dtype)
    # Cody and Waite, Software Manual for the Elementary Functions (1980), ch. 6: k log2_high is close to the difference
    # and exact, so that no digit of r is lost to cancellation.
    r = (difference - k * f.log2_high) + (error - k * f.log2_low)
    return jnp.where(difference > math.log(info.tiny), _polynomial((1, *f.series), r) * scale, rest)


@_exponential.defjvp
def _exponential_jvp(primals, tangents):
    power = _exponential(*primals)
    return power, power * tangents[0]


# The Taylor series of tanh(x) / x in powers of x^2
_TANH = (1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075, -929569 / 638512875)


def exponential_minus(power: Rows, start: Rows, t: Rows) -> Rows:
    """start (exp(t) - 1) for t <= 0, given power = start exp(t), to about two units in the last place.

    Near t = 0, where the subtraction cancels, as (power + start) tanh(t / 2), for tanh(t / 2) is
    (exp(t) - 1) / (exp(t) + 1). Several times cheaper than expm1, and without constants of its own for exp(t).
    """
    near = t > -0.25
    half = jnp.where(near, t, 0) / 2
    terms = _TANH if power.dtype == jnp.float64 else _TANH[:4]  # enough for |t| < 1/4
    return jnp.where(near, (power + start) * (half * _polynomial(terms, half * half)), power - start)


@jax.custom_jvp
def power(base: Rows, log_base: Rows, exponent: Rows) -> Rows:
    """base ** exponent for 0 <= base <= 1, 0 <= exponent, given log(base); dv = v (exponent dlog + log dexponent).

    base^n exp((exponent - n) log base) with n the nearest of 0, 1, 2: no digit is lost to the logarithm at these three,
    where exp(exponent log base) alone would lose as many as log(base) has before the point.
    """
    whole = jnp.clip(jnp.round(exponent), 0, 2)
    start = jnp.where(whole == 0, 1, jnp.where(whole == 1, base, base * base))
    # A number below the normal range has lost digits that its logarithm still has.
    lost = start < jnp.finfo(start.dtype).tiny
    start, whole = jnp.where(lost, 1, start), jnp.where(lost, 0, whole)
    return start * jnp.exp((exponent - whole) * jnp.maximum(log_base, -LARGE))


@power.defjvp
def _power_jvp(primals, tangents):
    value = power(*primals)
    slope = value * primals[2] * tangents[1] + value * jnp.maximum(primals[1], -LARGE) * tangents[2]
    return value, slope


def _relative_exponential(x: Rows) -> tuple[Rows, Rows]:
    """(exp(x) - 1) / x and its derivative, for x <= 0; 1 and 1/2 at x = 0."""
    # sum_n x^(n-1) / n! and sum_n n x^(n-1) / (n+1)!; what is left out is below a rounding error.
    orders = range(1, 20 if x.dtype == jnp.float64 else 12)
    near = jnp.where(x > -1, x, 0)
    value = _polynomial([1 / math.factorial(n) for n in orders], near)
    slope = _polynomial([n / math.factorial(n + 1) for n in orders], near)
    # Of the two branches, the one not taken is given a harmless argument: 0 / 0 would be NaN in a second derivative.
    far = jnp.where(x > -1, -1, jnp.maximum(x, -LARGE))
    small = jnp.exp(far)
    value = jnp.where(x > -1, value, (small - 1) / far)
    return value, jnp.where(x > -1, slope, (small + (1 - small) / far) / far)


@jax.custom_jvp
def box_cox(surprise: Rows, right: Rows, q: Rows) -> Rows:
    """(1 - p^q) / q = c E(-q c) with c = -log p and E(x) = (exp(x) - 1) / x; c at q = 0."""
    x = jnp.where(q == 0, 0, -q * surprise)
    far = (1 - jnp.exp(x)) / jnp.where(q == 0, 1, q)
    return jnp.where(x > -1, surprise * _relative_exponential(x)[0], far)


@box_cox.defjvp
def _box_cox_jvp(primals, tangents):
    surprise, right, q = primals
    x = jnp.where(q == 0, 0, -q * surprise)
    # -c^2 E'(-q c), with c held where its square is finite: at c = inf it would be inf times 0.
    by_q = -(jnp.minimum(surprise, math.sqrt(LARGE)) ** 2) * _relative_exponential(x)[1]
    value = box_cox(*primals)
    return value, power(right, -surprise, q) * tangents[0] + by_q * tangents[2]


def deviations(q: Rows, v: Rows, axis: int) -> Rows:
    """v_j - sum_k q_k v_k, the derivative of log q_j along v.

    As q_a tends to 1 the two terms cancel for the largest class a. The q_k sum to 1, so that a constant subtracted from
    every v changes nothing; with v_a as that constant the terms do not cancel. Ties share.
    """
    largest = q == jnp.max(q, axis, keepdims=True)
    share = largest / jnp.sum(largest, axis, keepdims=True, dtype=q.dtype)
    v = v - jnp.sum(share * v, axis, keepdims=True)
    return v - jnp.sum(q * v, axis, keepdims=True)


@jax.custom_jvp
def replace_value(x: Array, value: Array) -> Array:
    """`value`, with the derivative of `x`: for two expressions that are equal but round differently."""
    del x
    return value


@replace_value.defjvp
def _replace_value_jvp(primals, tangents):
    return replace_value(*primals), tangents[0]
