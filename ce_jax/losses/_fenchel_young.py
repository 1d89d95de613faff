"""The Fenchel-Young losses of the Tsallis entropies: cross-entropies of the entmax, which reach 0.

    L = max_p [sum_k p_k z_k - Omega(p)] - z_y,   Omega(p) = (sum_k p_k^alpha - 1) / (alpha (alpha - 1))

The maximum is at p = entmax(z), so that dL/dz_k = p_k - [k = y] (the derivative of a maximum is that at its place).
With a the class of the largest logit, b = alpha - 1 and P_j = p_j^(1+b), L is the gap z_a - z_y plus the loss of the
label a, and inserting b z_k = p_k^b + const makes that the power score of p (`ce_jax.losses._power`) over alpha:

    L = (z_a - z_y) + (F(p_a) + sum_{j != a} P_j) / alpha,   F = (1 - p_a^b) / b - p_a^b (1 - p_a)

No term is negative, so nothing cancels; F is taken from 1 - p_a. For b = 1 it is (1 - p_a)^2, and for b = 1/2, with
p_a = (1 - delta)^2, it is delta^2 (3 - delta).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._arithmetic import box_cox, replace_value
from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._checks import check_classes
from ce_jax.losses._cross_entropy import cross_entropy, cross_entropy_grad
from ce_jax.losses._entmax import Entmax, entmax_along, raised, solve, static_alpha
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels
from ce_jax.losses._parameters import check_number
from ce_jax.losses._power import power_score_of_label

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class _Rows(NamedTuple):
    """Checked logits, with harmless numbers in bad rows."""

    logits: Rows
    label_logit: Rows
    labels: Labels
    bad: Mask
    beta: Rows

    def slope(self, e: Entmax, alpha: float | None) -> Rows:
        """p_k - [k = y], at the label as minus the sum of the others, with the derivative of the entmax."""
        axis = self.labels.axis
        p = e.probs()
        # Where the label leads the sum is known, even of classes that are below the smallest number one by one.
        leads = e.leader.index == self.labels.index
        wrong = jnp.where(leads, e.missing, jnp.sum(self.labels.place(p, 0), axis, keepdims=True))
        # 1 more in bad rows, lest the only class of a row has a slope of 0.
        known = self.labels.place(p, -(wrong + self.bad))
        moving = entmax_along(axis, alpha, self.logits, self.beta)
        others = jnp.sum(self.labels.place(moving, 0), axis, keepdims=True)
        return replace_value(self.labels.place(moving, -others), known)


def _rows(logits: ArrayLike, labels: ArrayLike, alpha: ArrayLike, axis: int, where: ArrayLike | None) -> _Rows:
    z, y, label_logit, label_ok = check_classes(logits, labels, axis, where)
    beta = check_number(alpha, z, "alpha") - 1
    bad = ~(label_ok & jnp.isfinite(jnp.max(z, y.axis, keepdims=True)) & (beta >= 0))
    return _Rows(replace_bad(z, bad), jnp.where(bad, 0, label_logit), y, bad, jnp.maximum(beta, 0))


def _score_of_leader(e: Entmax, beta: Rows, alpha: float | None) -> Rows:
    """F(p_a)."""
    if alpha == 2.0:
        return e.missing**2
    if alpha == 1.5:
        # 1 - delta = sqrt(p_a), delta = (1 - p_a) / (1 + sqrt(p_a))
        delta = e.missing / (1 + jnp.sqrt(e.right))
        return delta * delta * (3 - delta)
    return power_score_of_label(e.surprise, e.right, e.missing, beta)


@jax.custom_jvp
def _value_at(known: Rows, z: Rows, beta: Rows, slope: Rows, by_beta: Rows, labels: Labels) -> Rows:
    """L, given its value, with its derivatives by the logits and by b given, too."""
    del z, beta, slope, by_beta, labels
    return known


@_value_at.defjvp
def _value_at_jvp(primals, tangents):
    _, _, _, slope, by_beta, labels = primals
    moved = jnp.sum(slope * tangents[1], labels.axis, keepdims=True) + by_beta * tangents[2]
    return _value_at(*primals), moved


def _value(r: _Rows, alpha: float | None) -> Rows:
    axis = r.labels.axis
    z, beta = lax.stop_gradient((r.logits, r.beta))
    e = solve(z, beta, axis, alpha)
    shares = jnp.sum(e.shares * raised(e.shares, beta), axis, keepdims=True)
    spread = e.missing * raised(e.missing, beta) * shares
    gap = jnp.max(z, axis, keepdims=True) - r.label_logit
    known = gap + (_score_of_leader(e, beta, alpha) + spread) / (1 + beta)
    p = replace_value(entmax_along(axis, alpha, r.logits, r.beta), e.probs())  # solved once

    def negentropy(b: Rows) -> Rows:
        """-Omega at a given p: sum_k p_k (1 - p_k^b) / b / (1 + b)."""
        safe = jnp.where(p > 0, p, 1)
        return jnp.sum(p * box_cox(-jnp.log(safe), safe, b), axis, keepdims=True) / (1 + b)

    by_beta = jax.jvp(negentropy, (r.beta,), (jnp.ones_like(r.beta),))[1]
    return _value_at(lax.stop_gradient(known), r.logits, r.beta, r.slope(e, alpha), by_beta, r.labels)


@answers_unknown_keywords
def fenchel_young_loss(
    logits: ArrayLike, labels: ArrayLike, *, alpha: ArrayLike = 1.5, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """The entmax loss, max_p [p . z - Omega(p)] - z_y: cross-entropy for alpha = 1, the sparsemax loss for alpha = 2.

    Omega = (sum_k p_k^alpha - 1) / (alpha (alpha - 1)). For alpha > 1 loss and gradient are exactly 0 once the label
    leads every other logit by 1 / (alpha - 1), which is right: there is a margin, as in a support vector machine. The
    gradient is entmax(z)_k - [k = y], see `fenchel_young_loss_grad`.

    A plain 1 is `cross_entropy` itself, and for a plain 1.5 and 2 value and gradient keep their relative precision up
    to the margin and however far the label is behind. Any other alpha, and a traced one, is solved by iteration: a
    class whose lead over the margin m = 1 - (alpha - 1) (z_a - z_k) is small has its probability to about 1e-7 / m
    (float32) of itself. As a traced alpha approaches 1 loss and gradient approach cross-entropy's, exact to 1e-5 where
    the label leads or trails by 80.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      alpha: number >= 1, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf, or a traced alpha below 1; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete alpha does not fit; raised when traced.

    >>> [round(float(fenchel_young_loss(jnp.array([0.5, 0.0]), jnp.array(0), alpha=a)), 4) for a in (1, 1.5, 2)]
    [0.4741, 0.1844, 0.0625]

    Source: Blondel, Martins and Niculae, Learning with Fenchel-Young Losses (2020); Peters, Niculae and Martins, Sparse
    Sequence-to-Sequence Models (2019).
    """
    known = static_alpha(alpha)
    if known == 1.0:
        return cross_entropy(logits, labels, axis=axis, where=where)
    r = _rows(logits, labels, alpha, axis, where)
    return jnp.squeeze(poison(_value(r, known), r.bad), r.labels.axis)


@answers_unknown_keywords
def fenchel_young_loss_grad(
    logits: ArrayLike, labels: ArrayLike, *, alpha: ArrayLike = 1.5, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `fenchel_young_loss` with respect to the logits, entmax(z)_k - [k = y], written by hand.

    At the label it is minus the sum of the other probabilities: 1 - p_y would round to 0. Args and errors as in
    `fenchel_young_loss`; the shape is that of `logits`.

    >>> fenchel_young_loss_grad(jnp.array([0.5, 0.0]), jnp.array(0), alpha=2)
    Array([-0.25,  0.25], dtype=float32)
    """
    known = static_alpha(alpha)
    if known == 1.0:
        return cross_entropy_grad(logits, labels, axis=axis, where=where)
    r = _rows(logits, labels, alpha, axis, where)
    e = solve(*lax.stop_gradient((r.logits, r.beta)), r.labels.axis, known)
    return jnp.where(r.bad, jnp.nan, r.slope(e, known))
