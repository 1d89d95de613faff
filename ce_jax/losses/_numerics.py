"""Error-free steps that the losses are built from.

Each function states the rounding error it removes. The derivative rules here are those of one elementary operation
(an exponential, a sum of exponentials); the derivative of a loss is left to autodiff.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._checks import Labels

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]

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


def knob(value: ArrayLike, like: Array, name: str) -> Array:
    """A parameter of a loss as a scalar of the dtype of `like`.

    Raises:
      ValueError: it is not a scalar.
    """
    scalar = jnp.asarray(value, like.dtype)
    if scalar.ndim:
        raise ValueError(f"{name} must be a number, got shape {scalar.shape}: use jax.vmap for several of them")
    return scalar


class _Format(NamedTuple):
    """What the exponential needs to know of a floating-point format."""

    integer: jnp.dtype
    fraction_bits: int
    bias: int
    terms: int  # the first Taylor term left out is below a quarter unit for |r| <= log(2) / 2
    log2_high: float  # log(2) in two parts; k log2_high is exact for every exponent k
    log2_low: float
    cutoff: float  # exp(cutoff) is just above the smallest normal number
    headroom: float


_FLOAT32 = _Format(jnp.int32, 23, 127, 7, 0.693359375, -2.1219444005469058e-4, -87.34, 24.0)
_FLOAT64 = _Format(jnp.int64, 52, 1023, 13, 0.693145751953125, 1.4286068203094172e-6, -708.4, 256.0)


def _format(dtype: jnp.dtype) -> _Format:
    return _FLOAT64 if dtype == jnp.float64 else _FLOAT32


def headroom(dtype: jnp.dtype) -> float:
    """How far below the label logit to shift: exp(headroom) times any number of classes is far from overflow.

    In float32 without it, a margin of 80 leaves terms down to e^-7 of the largest one before they are flushed to 0.
    """
    return _format(dtype).headroom


@jax.custom_jvp
def exponential_from(z: Rows, shift: Rows, rest: Rows) -> Rows:
    """exp(z - shift), to about one unit in the last place.

    The library exponential sees the rounded difference: at z = -40, shift = 37.7 that alone costs 32 units. Here the
    rounding error of the difference is added to the reduced argument r = z - shift - k log 2 (Cody and Waite), and the
    result is 2^k exp(r) by the Taylor series. `shift` and `rest` are row quantities, constant under differentiation.
    Where z - shift is below the range of the format or NaN the result is `rest`, so that nothing but finite numbers
    goes on from here.
    """
    f = _format(z.dtype)
    difference, error = subtract_exactly(z, shift)
    # Adding 1.5 * 2^fraction_bits rounds to an integer and leaves it in the low bits, there for the taking.
    magic = 1.5 * 2.0**f.fraction_bits
    magic_bits = int(np.asarray(magic, z.dtype).view(f.integer))
    exponent = lax.bitcast_convert_type(difference * (1 / math.log(2)) + magic, f.integer) - magic_bits
    k = exponent.astype(jnp.int32).astype(z.dtype)
    r = (difference - k * f.log2_high) + (error - k * f.log2_low)
    series = jnp.full_like(r, 1 / math.factorial(f.terms))
    for n in range(f.terms - 1, 1, -1):
        series = 1 / math.factorial(n) + series * r
    expm1 = r + (r * r) * series
    scale = lax.bitcast_convert_type((exponent + f.bias) << f.fraction_bits, z.dtype)
    return jnp.where(difference > f.cutoff, (1 + expm1) * scale, rest)


@exponential_from.defjvp
def _exponential_from_jvp(primals, tangents):
    power = exponential_from(*primals)
    return power, power * tangents[0]


def exponentials_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels) -> Rows:
    """exp(z - shift) for the classes other than the label, and `rest` for that."""
    return labels.place(exponential_from(z, shift, rest), rest)


def sum_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels) -> Rows:
    """T, the sum of `exponentials_of_others`; not to be differentiated, `balance` is."""
    powers = exponentials_of_others(*lax.stop_gradient((z, shift, rest)), labels)
    return jnp.sum(powers, labels.axis, keepdims=True)


@jax.custom_jvp
def softmax_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels) -> Rows:
    """q = exp(z - shift) / T, 0 for the label and where there is no other class."""
    powers = exponentials_of_others(z, shift, rest, labels)
    total = jnp.sum(powers, labels.axis, keepdims=True)
    return powers * jnp.where(total > 0, 1 / total, 0)


@softmax_of_others.defjvp
def _softmax_of_others_jvp(primals, tangents):
    q = softmax_of_others(*primals)
    return q, q * deviations(q, tangents[0], primals[3].axis)


def deviations(q: Rows, v: Rows, axis: int) -> Rows:
    """v_j - sum_k q_k v_k, the derivative of log q_j along v.

    As q_a tends to 1 the two terms cancel for the largest class a. Measured from v_a they do not; ties share.
    """
    largest = q == jnp.max(q, axis, keepdims=True)
    share = largest / jnp.sum(largest, axis, keepdims=True, dtype=q.dtype)
    v = v - jnp.sum(share * v, axis, keepdims=True)
    return v - jnp.sum(q * v, axis, keepdims=True)


@jax.custom_jvp
def balance(known: Rows, z: Rows, shift: Rows, rest: Rows, labels: Labels) -> Rows:
    """log T - (z_y - shift), given its value; its derivative is sum_j q_j dz_j - dz_y."""
    del z, shift, rest, labels
    return known


@balance.defjvp
def _balance_jvp(primals, tangents):
    # One array of the size of the logits is kept for the reverse pass, and the label needs no scatter there.
    labels = primals[4]
    weights = jnp.where(labels.mask(primals[1].shape), -1, softmax_of_others(*primals[1:]))
    return balance(*primals), jnp.sum(weights * tangents[1], labels.axis, keepdims=True)


# tanh(x) / x in powers of x^2
_TANH = (1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075, -929569 / 638512875)


def exponential_minus_one(power: Rows, exponent: Rows) -> Rows:
    """exp(t) - 1 for t <= 0, given exp(t): near 0 as (exp(t) + 1) tanh(t / 2), to about two units in the last place.

    Several times cheaper than expm1, and it needs no constants of its own for exp(t).
    """
    near = exponent > -0.25
    half = jnp.where(near, exponent, 0) / 2
    terms = _TANH if power.dtype == jnp.float64 else _TANH[:4]  # enough for |t| < 1/4
    series = jnp.full_like(half, terms[-1])
    for term in terms[-2::-1]:
        series = term + series * (half * half)
    return jnp.where(near, (power + 1) * (half * series), power - 1)


@jax.custom_jvp
def log1p_odds(balance: Rows, others: Rows, label: Rows, gap: Rows) -> Rows:
    """c = log(1 + T / B) for T = others and B = label, by two formulas that join at gap = 0.

    `gap` is 0 where the label has the largest logit. Elsewhere it is the distance to the largest, T has a term that
    is exactly 1, and log(1 + T / B) = gap + log(T + B). With balance = log T - log B, the derivative is u dbalance.
    """
    del balance
    behind = gap > 0
    ratio = jnp.where(behind, (others - 1) + label, others / label)
    return gap + jnp.log1p(ratio)


@log1p_odds.defjvp
def _log1p_odds_jvp(primals, tangents):
    _, others, label, _ = primals
    surprise, total = log1p_odds(*primals), others + label
    return surprise, rise(surprise, others / total, label / total) * tangents[0]


@jax.custom_jvp
def log_share(balance: Rows, surprise: Rows, others: Rows, label: Rows) -> Rows:
    """log u = log(T / (T + B)), finite even for T = 0; its derivative is p dbalance."""
    del balance, surprise
    others = jnp.where(others > 0, others, jnp.finfo(others.dtype).tiny)
    favoured = others <= label
    ratio = jnp.where(favoured, others, label) / jnp.where(favoured, label, others)
    return jnp.where(favoured, jnp.log(ratio), 0) - jnp.log1p(ratio)


@log_share.defjvp
def _log_share_jvp(primals, tangents):
    _, surprise, others, label = primals
    return log_share(*primals), decay(surprise, label / (others + label)) * tangents[0]


@jax.custom_jvp
def power(base: Rows, log_base: Rows, exponent: Rows) -> Rows:
    """base ** exponent for 0 <= base <= 1, 0 <= exponent, given log(base); dv = v (exponent dlog + log dexponent).

    base^n exp((exponent - n) log base) with n the nearest of 0, 1, 2: no digit is lost to the logarithm at these three,
    where exp(exponent log base) alone would lose as many as log(base) has before the point.
    """
    whole = jnp.clip(jnp.round(exponent), 0, 2)
    start = jnp.where(whole == 0, 1, jnp.where(whole == 1, base, base * base))
    lost = start < jnp.finfo(start.dtype).tiny
    start, whole = jnp.where(lost, 1, start), jnp.where(lost, 0, whole)
    return start * jnp.exp((exponent - whole) * jnp.maximum(log_base, -LARGE))


@power.defjvp
def _power_jvp(primals, tangents):
    value = power(*primals)
    slope = value * primals[2] * tangents[1] + value * jnp.maximum(primals[1], -LARGE) * tangents[2]
    return value, slope


@jax.custom_jvp
def replace_value(x: Array, value: Array) -> Array:
    """`value`, with the derivative of `x`: for two expressions that are equal but round differently."""
    del x
    return value


@replace_value.defjvp
def _replace_value_jvp(primals, tangents):
    return replace_value(*primals), tangents[0]


@jax.custom_jvp
def decay(surprise: Rows, right: Rows) -> Rows:
    """p = exp(-c), given its exact value; dp = -p dc."""
    del surprise
    return right


@decay.defjvp
def _decay_jvp(primals, tangents):
    right = decay(*primals)
    return right, -right * tangents[0]


@jax.custom_jvp
def rise(surprise: Rows, wrong: Rows, right: Rows) -> Rows:
    """u = 1 - exp(-c), given its exact value; du = p dc."""
    del surprise, right
    return wrong


@rise.defjvp
def _rise_jvp(primals, tangents):
    return rise(*primals), decay(primals[0], primals[2]) * tangents[0]


def replace_bad(x: Array, bad: Mask, instead: Array | float = 0.0) -> Array:
    """A harmless number where bad, `x` elsewhere; the derivative is 1 everywhere, for `poison` to make NaN."""
    return replace_value(x, jnp.where(bad, instead, x))


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
    x, bad = primals
    info = jnp.finfo(x.dtype)
    small, large, none = (jnp.where(bad, jnp.asarray(c, x.dtype), 1) for c in (info.tiny, info.max, 0))
    # Two factors reach infinity even from the smallest normal number; inf * 0 is NaN, 0 * 0 is 0. The transpose goes
    # through the same factors from the other end. Dividing last keeps XLA from repeating all this for every class.
    return poison(x, bad), tangents[0] / small * large * none * large / small


@jax.custom_jvp
def logarithm(x: Rows) -> Rows:
    """log(x); at x = 0 a tangent or cotangent of 0 stays 0, and every other becomes infinite."""
    return jnp.log(x)


@logarithm.defjvp
def _logarithm_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    huge = jnp.where(x == 0, jnp.finfo(x.dtype).max, 1)
    return logarithm(x), tangent / jnp.where(x == 0, 1, x) * huge * huge


def count(where: Mask | None, shape: tuple[int, ...], axis: int, dtype: jnp.dtype) -> Array:
    """The number of visible classes of every row, with the class axis kept."""
    if where is None:
        return jnp.asarray(shape[axis], dtype)
    return jnp.sum(where, axis, keepdims=True, dtype=dtype)
