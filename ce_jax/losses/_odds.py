"""The log-odds of the label against all other classes: the quantity that every loss on this page is written in.

With z the logits of one row, y its label and a the class with the largest logit,

    B = exp(z_y - shift)   T = sum_{j != y} exp(z_j - shift)   q_j = exp(z_j - shift) / T
    p_y = B / (B + T)      u = 1 - p_y = T / (B + T)

where p is the softmax of all classes and q that of the other classes alone. No two nearly equal numbers are
subtracted: u keeps its full relative precision when the model is confidently right (T is tiny), and p_y when it is
confidently wrong (B is tiny). Where another class leads, shift is the constant z_a. Where the label leads, shift is
z_y less some headroom, so that no term of a tiny T is lost to underflow; it moves with z_y, so that B is a constant
and autodiff sees only T. Either way the derivative by each logit is one product, without a cancellation.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._checks import check_classes
from ce_jax.losses._numerics import (
    exponential_from,
    headroom,
    poison,
    replace_bad,
    subtract_exactly,
    sum_exponentials_from,
    vanishing_exponent,
)

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class Odds(NamedTuple):
    """What a loss needs to know of its rows; `logits` and `is_label` are full, everything else has one class.

    Rows with an invalid label or without a finite largest logit are `bad`. They hold harmless finite numbers here;
    `finish` turns them into NaN at the end.
    """

    logits: Rows
    axis: int
    is_label: Mask
    bad: Mask
    behind: Mask  # another class has a larger logit than the label
    peak: Rows  # the largest logit
    shift: Rows
    floor: Rows  # the smallest exponent that is looked at; 0 where bad
    lead: Rows  # z_y - shift
    label: Rows  # B
    others: Rows  # T

    def powers(self) -> Rows:
        """exp(z_j - shift) for the classes other than the label, 0 for the label."""
        return exponential_from(self.logits, self.shift, self.floor, self.is_label)

    def softmax_of_others(self) -> Rows:
        """q, 0 for the label and where there is no other class."""
        return self.powers() * jnp.where(self.others > 0, 1 / self.others, 0)

    def ratio(self) -> tuple[Mask, Rows]:
        """Whether the odds favour the label (T <= B), and the smaller of B and T over the larger."""
        favoured = self.others <= self.label
        smaller = jnp.where(favoured, self.others, self.label)
        return favoured, smaller / jnp.where(favoured, self.label, self.others)

    def right(self) -> Rows:
        """p_y, the probability of the label."""
        favoured, ratio = self.ratio()
        return jnp.where(favoured, 1, ratio) / (1 + ratio)

    def wrong(self) -> Rows:
        """u = 1 - p_y."""
        favoured, ratio = self.ratio()
        return jnp.where(favoured, ratio, 1) / (1 + ratio)

    def log_total(self) -> Rows:
        """log sum_k exp(z_k - peak); B or the largest term of T is the peak's."""
        ratio = self.others / jnp.where(self.behind, 1, self.label)  # where unused, it must not overflow
        return jnp.log1p(jnp.where(self.behind, (self.others - 1) + self.label, ratio))

    def surprise(self) -> Rows:
        """-log p_y."""
        return jnp.where(self.behind, -self.lead, 0) + self.log_total()

    def finish(self, rows: Rows) -> Rows:
        """Turns bad rows into NaN and drops the class axis."""
        return jnp.squeeze(poison(rows, self.bad), self.axis)

    def finish_grad(self, for_label: Rows, for_others: Rows) -> Rows:
        """Joins the two kinds of entries of a gradient; bad rows become NaN."""
        return jnp.where(self.bad, jnp.nan, jnp.where(self.is_label, for_label, for_others))


def odds(logits: ArrayLike, labels: ArrayLike, axis: int, where: ArrayLike | None) -> Odds:
    """Checks the arguments of a loss and computes the odds of every row."""
    z, axis, is_label, label_logit, label_ok = check_classes(logits, labels, axis, where)
    peak = lax.stop_gradient(jnp.max(z, axis, keepdims=True))
    bad = ~(label_ok & jnp.isfinite(peak))
    peak, label_logit = jnp.where(bad, 0, peak), jnp.where(bad, 0, label_logit)
    behind = label_logit < peak
    peak = jnp.where(behind, peak, label_logit)
    shift = jnp.where(behind, peak, label_logit - headroom(z.dtype))
    lead, error = subtract_exactly(lax.stop_gradient(label_logit), lax.stop_gradient(shift))
    error = jnp.where(jnp.isfinite(lead), error, 0)
    lead = jnp.where(behind, label_logit - peak, lead)
    shift = jnp.where(bad, jnp.inf, shift)
    floor = jnp.where(bad, 0, jnp.asarray(vanishing_exponent(z.dtype), z.dtype))
    others = sum_exponentials_from(axis, z, shift, floor, is_label)
    return Odds(z, axis, is_label, bad, behind, peak, shift, floor, lead, jnp.exp(lead) * (1 + error), others)


def log_odds(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """The log-odds of the label, m = z_y - log sum_{j != y} exp(z_j).

    The probability of the label is sigmoid(m), cross-entropy is softplus(-m). The derivative is dz_y - sum_j q_j dz_j
    with q the softmax of the other classes.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision; +inf where the label has no visible competitor. A label that
      is out of range or hidden gives NaN, and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> log_odds(jnp.array([3.0, 0.0, 0.0]), jnp.array(0))  # 3 - log 2
    Array(2.3068528, dtype=float32)
    """
    z, axis, is_label, label_logit, label_ok = check_classes(logits, labels, axis, where)
    competitors = lax.stop_gradient(jnp.where(is_label, -jnp.inf, z))
    peak = jnp.max(competitors, axis, keepdims=True)
    bad = ~(label_ok & (peak < jnp.inf) & (label_logit < jnp.inf)) | ((peak == -jnp.inf) & (label_logit == -jnp.inf))
    alone = peak == -jnp.inf
    shift = jnp.where(bad, jnp.inf, jnp.where(alone, 0, peak))
    floor = jnp.where(bad, 0, jnp.asarray(vanishing_exponent(z.dtype), z.dtype))
    total = sum_exponentials_from(axis, z, shift, floor, is_label)
    lead, error = subtract_exactly(replace_bad(label_logit, bad), jnp.where(bad | alone, 0, peak))
    error = lax.stop_gradient(jnp.where(jnp.isfinite(lead), error, 0))
    known = lead + (error - jnp.log(jnp.where(alone, 1, total)))
    return jnp.squeeze(poison(jnp.where(alone & ~bad, jnp.inf, known), bad), axis)
