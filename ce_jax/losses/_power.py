"""The power score, a one-parameter family that leads from cross-entropy (b = 0) to SSR (b = 1).

It is written so that nothing is divided by b, which may be 0, and so that both ends are as exact as the losses found
there. b may be traced: the whole bridge trains in one compiled program. The score of a distribution p at the outcome y
(Basu et al.'s density power divergence up to a constant) is

    L = sum_k p_k^(1+b) + (1 - (1+b) p_y^b) / b
    dL/dz_i = (1+b) [p_i (p_i^b - G + p_y^b) - [i = y] p_y^b],   G = sum_k p_k^(1+b)

by dp_k/dz_i = p_k ([i = k] - p_i). With u = 1 - p_y, q the softmax of the other classes, Q = sum_j q_j^(1+b):

    L = F(p_y) + u^(1+b) Q,   F = (1 - p_y^b) / b - p_y^b u = (1+b) int_0^u v (1-v)^(b-1) dv
    dL/dz_y = -(1+b) [p_y^b u^2 + p_y u^(1+b) Q]
    dL/dz_j = (1+b) u q_j [u^b (q_j^b - Q) + p_y u^b Q + p_y^b u]

Every term in the brackets is positive but q_j^b - Q, which is taken from differences as in `ce_jax.losses._ssr`. F is
the sum of its Taylor series in u where u is small, for its two terms cancel there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import box_cox, deviations, exponential_minus, power
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._odds import Odds, odds
from ce_jax.losses._parameters import check_number

Rows = Float[Array, "..."]

_SERIES_BELOW = 0.25  # u from which F is computed as a difference


def _small_power_score(beta: Rows, wrong: Rows) -> Rows:
    """F by its series (1+b) u^2 sum_n (1-b)(2-b)..(n-b) / n! u^n / (n+2), for u < 1/4."""
    # u^n falls below a rounding error: 4^-26 = 2^-52, 4^-12 = 2^-24.
    terms = 26 if wrong.dtype == jnp.float64 else 12
    coefficient, coefficients = jnp.ones_like(beta), []
    for n in range(terms):
        coefficients.append(coefficient / (n + 2))
        coefficient = coefficient * ((n + 1) - beta) / (n + 1)
    total = jnp.zeros_like(wrong)
    for c in reversed(coefficients):
        total = total * wrong + c
    return (1 + beta) * wrong * wrong * total


def power_score_of_label(surprise: Rows, right: Rows, wrong: Rows, beta: Rows) -> Rows:
    """F, given -log p_y, p_y, u and b; not to be differentiated by these, `_label_score` is."""
    # From u = 1/4 on the subtraction costs three bits at most: at b = 0 it is 0.288 - 0.25.
    near = wrong < _SERIES_BELOW
    small = _small_power_score(beta, jnp.where(near, wrong, 0))
    return jnp.where(near, small, box_cox(surprise, right, beta) - power(right, -surprise, beta) * wrong)


@jax.custom_jvp
def _label_score(surprise: Rows, right: Rows, wrong: Rows, beta: Rows) -> Rows:
    """F, with the derivative (1+b) p^b u by the surprise."""
    return power_score_of_label(surprise, right, wrong, beta)


def _label_score_jvp(primals, tangents):
    surprise, right, wrong, beta = primals
    by_surprise, *_, by_beta = tangents
    value = _label_score(*primals)
    tangent = jnp.zeros_like(value)
    if not isinstance(by_surprise, SymbolicZero):
        tangent += (1 + beta) * power(right, -surprise, beta) * wrong * by_surprise
    if not isinstance(by_beta, SymbolicZero):  # a third of all equations, and b is seldom differentiated by
        tangent += jax.jvp(lambda b: power_score_of_label(surprise, right, wrong, b), (beta,), (by_beta,))[1]
    return value, tangent


_label_score.defjvp(_label_score_jvp, symbolic_zeros=True)


class _Lifted(NamedTuple):
    """The classes other than the label, raised to b."""

    log_q: Rows  # any number where q_j = 0
    raised: Rows  # q_j^b
    difference: Rows  # q_j^b - Q
    total: Rows  # Q = sum_j q_j^(1+b)


def _lift(o: Odds, beta: Rows) -> _Lifted:
    """Not to be differentiated, `_lifted` is."""
    # Where another class leads, powers are measured from it: q_j^b = (exp(z_j - z_a)^b - 1) T^-b + T^-b, whose first
    # term is small near ties; the constant T^-b drops out of q_j^b - Q.
    behind = o.gap > 0
    powers = o.powers() / jnp.where(behind, o.leader(), 1)
    total = jnp.sum(powers, o.axis, keepdims=True)
    total = jnp.where(total > 0, total, 1)
    # A class without probability has no finite logarithm; any will do, for it is multiplied by q_j = 0.
    alive = (powers > 0) & ~o.bad
    exponent = jnp.where(alive, o.logits - jnp.where(behind, o.peak, o.shift), 0)
    q, log_q = o.softmax_of_others(), jnp.where(alive, exponent - jnp.log(total), 0)
    lifted = power(jnp.where(behind, powers, q), jnp.where(behind, exponent, log_q), beta)
    # Not where the label leads, for T is tiny there.
    at_least_one = jnp.where(behind, total, 1)
    largest = power(1 / at_least_one, -jnp.log(at_least_one), beta)
    residual = jnp.where(behind, exponential_minus(lifted, jnp.ones_like(lifted), beta * exponent) * largest, lifted)
    mean, constant = jnp.sum(q * residual, o.axis, keepdims=True), jnp.where(behind, largest, 0)
    return _Lifted(log_q, residual + constant, residual - mean, constant + mean)


@jax.custom_jvp
def _lifted(o: Odds, beta: Rows, known: _Lifted) -> _Lifted:
    """`known`, with its derivatives.

    dlog q_j = dz_j - sum_k q_k dz_k, dq_j^b = q_j^b (b dlog q_j + log q_j db) and
    dQ = (1+b) sum_j q_j (q_j^b - Q) dz_j + sum_j q_j^(1+b) log q_j db.
    """
    del o, beta
    return known


@_lifted.defjvp
def _lifted_jvp(primals, tangents):
    o, beta, _ = primals
    by_z, by_beta = tangents[0].logits, tangents[1]
    values, q = _lifted(*primals), o.softmax_of_others()
    log_q = deviations(q, by_z, o.axis)
    raised = values.raised * (beta * log_q + values.log_q * by_beta)
    along_z = jnp.sum(q * values.difference * by_z, o.axis, keepdims=True)
    along_beta = jnp.sum(q * values.raised * values.log_q, o.axis, keepdims=True)
    total = (1 + beta) * along_z + along_beta * by_beta
    return values, _Lifted(log_q, raised, raised - total, total)


def _lifted_of(o: Odds, beta: Rows) -> _Lifted:
    return _lifted(o, beta, _lift(*lax.stop_gradient((o, beta))))


@answers_unknown_keywords
def power_loss(
    logits: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 0.5, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """The power score sum_k p_k^(1+b) + (1 - (1+b) p_y^b) / b: cross-entropy for b -> 0, SSR for b = 1.

    A proper score for every b > 0. b = 0 is cross-entropy itself, with the derivative by b continuous there. Value and
    gradient are as exact as those of `cross_entropy` at b = 0 and of `ssr` at b = 1; in between, logarithms of
    probabilities cost a few digits (relative error below 1e-4 in float32). For the gradient see `power_loss_grad`.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      beta: number b >= 0, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..1+1/b, float32 for half precision. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> [round(float(power_loss(jnp.array([0.0, 0.0]), jnp.array(0), beta=b)), 4) for b in (0.0, 0.5, 1.0)]
    [0.6931, 0.5858, 0.5]

    Source: Basu, Harris, Hjort and Jones, Robust and efficient estimation by minimising a density power divergence
    (1998); as a score, Dawid, Musio and Ventura, Minimum Scoring Rule Inference (2016).
    """
    o = odds(logits, labels, axis, where)
    b = check_number(beta, o.logits, "beta")
    of_label = _label_score(o.surprise, o.right(), o.wrong(), b)
    return o.finish(of_label + o.wrong() * o.power_of_wrong(b) * _lifted_of(o, b).total)


@answers_unknown_keywords
def power_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 0.5, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `power_loss` with respect to the logits, derived at the top of this module, written by hand.

    Args and errors as in `power_loss`; the shape is that of `logits`.

    >>> power_loss_grad(jnp.array([0.0, 0.0]), jnp.array(0), beta=1.0)
    Array([-0.5,  0.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    b = check_number(beta, o.logits, "beta")
    right, wrong, lifted = o.right(), o.wrong(), _lifted_of(o, b)
    p_b, u_b = o.power_of_right(b), o.power_of_wrong(b)
    scale = o.mark((1 + b) * wrong)
    pull = right * u_b * lifted.total + p_b * wrong
    for_others = scale * o.softmax_of_others() * (u_b * lifted.difference + pull)
    return o.labels.place(for_others, -scale * pull)
