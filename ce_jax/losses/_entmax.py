"""The alpha-entmax, a softmax that can give exact zeros, and its implicit derivative.

With b = alpha - 1 and a the class of the largest logit,

    p_k = [1 - b (z_a - z_k + theta)]_+^(1/b),   theta >= 0 such that sum_k p_k = 1

b -> 0 is the softmax, where theta = logsumexp(z) - z_a. The equation is solved for theta, measured from the largest
logit, in the form sum_{j != a} p_j = 1 - p_a, so that a small theta keeps its relative precision. It decreases in
theta and is convex for alpha <= 2, where Newton's method from theta = 0 neither overshoots nor stalls; a bracket guards
it elsewhere. For alpha = 3/2 and 2 it is a quadratic and a linear equation in the classes that have a probability,
found by sorting.

The derivative follows from the equation: with s_k = p_k^(1-b) on the support and w = s / sum(s),
dp_k = s_k (dz_k - sum_j w_j dz_j), and by b, with x_k = z_a - z_k + theta held, dp_k = c_k - w_k sum_j c_j, with
c_k = p_k d(log(1 - b x_k) / b)/db.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._arithmetic import LARGE, box_cox, deviations, headroom, subtract_exactly
from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels, class_index
from ce_jax.losses._parameters import check_number, check_range
from ce_jax.losses._softmax import softmax_along, visible_logits

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]

SORTED = (1.5, 2.0)  # the alphas that are solved by sorting where they are not traced


class Entmax(NamedTuple):
    """The alpha-entmax of every row; not to be differentiated."""

    leader: Labels  # where the largest logit stands, the first of several
    shares: Rows  # of the other classes in 1 - p_a; 0 at the leader
    missing: Rows  # 1 - p_a
    right: Rows  # p_a
    surprise: Rows  # -log p_a

    def probs(self) -> Rows:
        """p."""
        return self.leader.place(self.shares * self.missing, self.right)


class _Reach(NamedTuple):
    """How far the classes are behind the leader; a class without probability is `LARGE` behind."""

    gap: Rows  # z_a - z_k, LARGE at the leader itself, which is kept apart
    reach: Rows  # 1 - b gap, with the rounding error of the gap
    beta: Rows


def static_alpha(alpha: ArrayLike) -> float | None:
    """alpha as a number, None where it is an array.

    Raises:
      ValueError: it is concrete and out of its range.
    """
    check_range(alpha, "alpha")
    if not isinstance(alpha, int | float):
        return None
    return float(alpha)


def _slowed(v: Rows) -> Rows:
    """-log(1 - v) / v for 0 <= v < 1, 1 at v = 0."""
    small = v < 1e-3
    safe = jnp.where(small, 0.5, v)
    return jnp.where(small, 1 + v * (1 / 2 + v * (1 / 3 + v * (1 / 4 + v / 5))), -jnp.log1p(-safe) / safe)


def _log_powers(r: _Reach, theta: Rows) -> tuple[Rows, Mask]:
    """log p_k = log(1 - b (gap + theta)) / b at a trial theta, and where there is one."""
    base = r.reach - r.beta * theta
    x = r.gap + theta
    near = r.beta * x < 0.5
    # Far out 1 - b x is small, and `reach` has its digits; near by b x has those of the logarithm.
    v = jnp.where(near, r.beta * x, 0)
    far = jnp.log(jnp.where(near | (base <= 0), 1, base)) / jnp.where(r.beta > 0, r.beta, 1)
    return jnp.where(near, -x * _slowed(v), far), (base > 0) & (x < LARGE)


def _search(r: _Reach, axis: int) -> Rows:
    """theta for any alpha: Newton's method inside a bracket; where it stalls the bracket is halved."""
    classes, dtype = r.gap.shape[axis], r.gap.dtype
    beta = jnp.broadcast_to(r.beta, jnp.max(r.gap, axis, keepdims=True).shape)
    log_k, room = jnp.log(jnp.asarray(classes, dtype)), jnp.asarray(headroom(dtype), dtype)
    top = box_cox(log_k, jnp.asarray(1 / classes, dtype), beta) * (1 + 8 * jnp.finfo(dtype).eps)

    def excess(theta: Rows) -> tuple[Rows, Rows]:
        log_p, alive = _log_powers(r, theta)
        log_a = -theta * _slowed(beta * theta)
        # With headroom: many classes below the smallest normal number have a sum above it.
        total = jnp.sum(jnp.where(alive, jnp.exp(log_p + room), 0), axis, keepdims=True) * jnp.exp(-room)
        slope = jnp.sum(jnp.where(alive, jnp.exp((1 - r.beta) * log_p), 0), axis, keepdims=True)
        return total + jnp.expm1(log_a), slope + jnp.exp((1 - beta) * log_a)

    def step(_: Array, state: tuple[Rows, ...]) -> tuple[Rows, ...]:
        theta, low, high, before, best, least = state
        f, slope = excess(theta)
        better = jnp.abs(f) < least
        best, least = jnp.where(better, theta, best), jnp.where(better, jnp.abs(f), least)
        low, high = jnp.where(f >= 0, theta, low), jnp.where(f < 0, theta, high)
        newton = theta + f / slope
        fine = (newton >= low) & (newton <= high) & (jnp.abs(f) <= before / 2)
        return jnp.where(fine, newton, (low + high) / 2), low, high, jnp.abs(f), best, least

    none, much = jnp.zeros_like(top), jnp.full_like(top, jnp.inf)
    steps = 96 if dtype == jnp.float64 else 48
    return lax.fori_loop(0, steps, step, (none, none, top, much, none, much))[4]


def _by_sorting(r: _Reach, alpha: float, axis: int) -> Rows:
    """delta = b theta for alpha = 2 or 3/2, from the sums over the classes that have a probability."""
    m = -jnp.sort(-jnp.maximum(r.reach, 0), axis)
    count = class_index(m.shape, axis).astype(m.dtype) + 2  # the first so many, and the leader
    total = jnp.cumsum(m, axis)
    if alpha == 2.0:
        delta = total / count  # sum_j (m_j - delta) = delta
    else:
        # sum_j (m_j - delta)^2 = 1 - (1 - delta)^2, the smaller root without a difference of equal numbers
        squares = jnp.cumsum(m * m, axis)
        delta = squares / ((total + 1) + jnp.sqrt(jnp.maximum((total + 1) ** 2 - count * squares, 0)))
    delta = jnp.max(jnp.where(m > delta, delta, 0), axis, keepdims=True)
    if alpha == 1.5:  # a Newton step, for the root of a sum over many classes has lost digits
        left = jnp.maximum(r.reach - delta, 0)
        excess = jnp.sum(left * left, axis, keepdims=True) - delta * (2 - delta)
        delta = delta + excess / (2 * (jnp.sum(left, axis, keepdims=True) + (1 - delta)))
    return delta


def solve(z: Rows, beta: Rows, axis: int, alpha: float | None) -> Entmax:
    """The entmax of rows with a finite largest logit; `alpha` is 1 + beta where that is static, else None."""
    peak = jnp.max(z, axis, keepdims=True)
    leader = Labels(jnp.argmax(z, axis, keepdims=True).astype(jnp.int32), axis)
    gap, error = subtract_exactly(peak, z)
    gap = leader.place(jnp.minimum(gap, LARGE), LARGE)
    error = jnp.where(jnp.isfinite(error) & (gap < LARGE), error, 0)
    r = _Reach(gap, jnp.where(gap < LARGE, (1 - beta * gap) - beta * error, -1), beta)
    if alpha in SORTED:
        delta = _by_sorting(r, alpha, axis)
        left = jnp.maximum(r.reach - delta, 0)
        powers, right, missing = left, 1 - delta, delta
        if alpha == 1.5:
            powers, right, missing = left * left, right * right, delta * (2 - delta)
        surprise = -jnp.log1p(-delta) / beta
    else:
        theta = _search(r, axis)
        log_p, alive = _log_powers(r, theta)
        surprise = theta * _slowed(beta * theta)
        powers = jnp.where(alive, jnp.exp(log_p + headroom(z.dtype)), 0)  # up to a factor, see below
        right, missing = jnp.exp(-surprise), -jnp.expm1(-surprise)
    total = jnp.sum(powers, axis, keepdims=True)
    return Entmax(leader, powers / jnp.where(total > 0, total, 1), missing, right, surprise)


def raised(p: Rows, exponent: Rows) -> Rows:
    """p ** exponent, 0 where p is 0 whatever the exponent; differentiable there."""
    alive = p > 0
    return jnp.where(alive, jnp.exp(exponent * jnp.log(jnp.where(alive, p, 1))), 0)


def _by_beta(p: Rows, s: Rows, beta: Rows) -> Rows:
    """c_k = p_k x^2 R(b x) with R(v) = -log(1 - v) / v^2 - 1 / (v (1 - v)) = -1/2 - 2 v / 3 - ..."""
    surprise = -jnp.log(jnp.where(p > 0, p, 1))
    x = box_cox(surprise, p, beta)
    v = jnp.where(p > 0, beta * x, 0)
    small = v < 0.03
    safe = jnp.where(small, 0.5, v)
    series = -p * (1 / 2 + v * (2 / 3 + v * (3 / 4 + v * (4 / 5 + v * (5 / 6 + v * 6 / 7)))))
    return jnp.where(p > 0, x * x * jnp.where(small, series, (p * beta * surprise / safe - s) / safe), 0)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def entmax_along(axis: int, alpha: float | None, z: Rows, beta: Rows) -> Rows:
    """`entmax` of rows with a finite largest logit."""
    return solve(z, beta, axis, alpha).probs()


@entmax_along.defjvp
def _entmax_jvp(axis, alpha, primals, tangents):
    z, beta = primals
    p = entmax_along(axis, alpha, z, beta)
    s = raised(p, 1 - beta)
    w = s / jnp.sum(s, axis, keepdims=True)
    moved = _by_beta(p, s, beta)
    moved = moved - w * jnp.sum(moved, axis, keepdims=True)
    return p, s * deviations(w, tangents[0], axis) + moved * tangents[1]


@answers_unknown_keywords
def entmax(
    logits: ArrayLike, *, alpha: ArrayLike = 1.5, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Probabilities [(alpha - 1) z_k - tau]_+^(1 / (alpha - 1)), which can be exactly 0; tau makes their sum 1.

    alpha = 1 is the softmax, 2 the sparsemax, the projection onto the simplex. The Jacobian is diag(s) - s s^T / sum s
    with s_k = p_k^(2 - alpha) where p_k > 0, see the top of this module; at a border of the support it is one-sided.

    Args:
      logits: floating point [..., K].
      alpha: number >= 1, may be traced. 3/2 and 2 are solved by sorting where they are plain numbers, all others by
        iteration, which rounds the reach 1 - (alpha - 1) (z_a - z_k) of a class to a unit in the last place of 1. The
        largest probability to the power alpha - 1 is rounded to that in any case.
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False have probability 0.

    Returns:
      Probabilities [..., K], float32 for half precision. A row of -inf only, or with +inf or NaN, is NaN, and so is
      every row for a traced alpha below 1.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete alpha does not fit; raised when traced.

    >>> entmax(jnp.array([1.0, 0.5, -3.0]), alpha=2)
    Array([0.75, 0.25, 0.  ], dtype=float32)

    Source: Peters, Niculae and Martins, Sparse Sequence-to-Sequence Models (2019); Martins and Astudillo (2016).
    """
    z, axis, _ = visible_logits(logits, axis, where)
    known = static_alpha(alpha)
    if known == 1.0:
        return softmax_along(axis, z)
    beta = check_number(alpha, z, "alpha") - 1
    bad = ~(jnp.isfinite(jnp.max(z, axis, keepdims=True)) & (beta >= 0))
    p = entmax_along(axis, known, replace_bad(z, bad), jnp.maximum(beta, 0))
    return poison(p, jnp.broadcast_to(bad, p.shape))
