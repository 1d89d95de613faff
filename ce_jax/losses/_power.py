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


@_label_score.defjvp
def _label_score_jvp(primals, tangents):
    surprise, right, wrong, beta = primals
    value, by_beta = jax.jvp(lambda b: power_score_of_label(surprise, right, wrong, b), (beta,), (tangents[3],))
    return value, (1 + beta) * power(right, -surprise, beta) * wrong * tangents[0] + by_beta


class _Lifted(NamedTuple):
    """The classes other than the label, raised to b; q_j^b = residual + constant."""

    q: Rows
    log_q: Rows
    residual: Rows
    mean: Rows  # sum_k q_k residual_k
    constant: Rows  # the largest q_j^b where another class leads, 0 where the label leads

    def total(self) -> Rows:
        """Q = sum_j q_j^(1+b)."""
        return self.constant + self.mean


def _lift(o: Odds, beta: Rows) -> _Lifted:
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
    # Not where the label leads: T is tiny there, and 1/T^2, which a second derivative would need, overflows.
    at_least_one = jnp.where(behind, total, 1)
    largest = power(1 / at_least_one, -jnp.log(at_least_one), beta)
    residual = jnp.where(behind, exponential_minus(lifted, jnp.ones_like(lifted), beta * exponent) * largest, lifted)
    mean = jnp.sum(q * residual, o.axis, keepdims=True)
    return _Lifted(q, log_q, residual, mean, jnp.where(behind, largest, 0))


@jax.custom_jvp
def _sum_of_powers(o: Odds, beta: Rows) -> Rows:
    """Q, whose derivative by the logits is (1+b) sum_j q_j (q_j^b - Q) dz_j."""
    return _lift(o, beta).total()


@_sum_of_powers.defjvp
def _sum_of_powers_jvp(primals, tangents):
    o, beta = primals
    q = o.softmax_of_others()
    by_logits = jnp.sum(q * _difference(o, beta) * tangents[0].logits, o.axis, keepdims=True)
    lifted = _lift(o, beta)
    # dQ/db = sum_j q_j^(1+b) log q_j
    by_beta = jnp.sum(q * (lifted.residual + lifted.constant) * lifted.log_q, o.axis, keepdims=True)
    return _sum_of_powers(o, beta), (1 + beta) * by_logits + by_beta * tangents[1]


@jax.custom_jvp
def _difference(o: Odds, beta: Rows) -> Rows:
    """q_j^b - Q, with the derivative b q_j^b (dz_j - sum_k q_k dz_k) - dQ by the logits."""
    lifted = _lift(o, beta)
    return lifted.residual - lifted.mean


@_difference.defjvp
def _difference_jvp(primals, tangents):
    (o, beta), (o_dot, beta_dot) = primals, tangents
    lifted = _lift(o, beta)
    # d q_j^b = q_j^b (b dlog q_j + log q_j db)
    relative = beta * deviations(lifted.q, o_dot.logits, o.axis) + lifted.log_q * beta_dot
    _, of_sum = jax.jvp(
        lambda z, b: _sum_of_powers(o._replace(logits=z), b), (o.logits, beta), (o_dot.logits, beta_dot)
    )
    return _difference(o, beta), (lifted.residual + lifted.constant) * relative - of_sum


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
    return o.finish(of_label + o.wrong() * o.power_of_wrong(b) * _sum_of_powers(o, b))


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
    right, wrong = o.right(), o.wrong()
    p_b, u_b = o.power_of_right(b), o.power_of_wrong(b)
    scale = o.mark((1 + b) * wrong)
    pull = right * u_b * _sum_of_powers(o, b) + p_b * wrong
    for_others = scale * o.softmax_of_others() * (u_b * _difference(o, b) + pull)
    return o.labels.place(for_others, -scale * pull)
