"""The log-odds of the label against all other classes: the quantity that every loss on this page is written in.

With z the logits of one row, y its label and a the class with the largest logit,

    B = exp(z_y - shift)   T = sum_{j != y} exp(z_j - shift)   q_j = exp(z_j - shift) / T
    p_y = B / (B + T)      u = 1 - p_y = T / (B + T)

where p is the softmax of all classes and q that of the other classes alone. No two nearly equal numbers are
subtracted: u keeps its full relative precision when the model is confidently right (T is tiny), and p_y when it is
confidently wrong (B is tiny). Any constant shift will do. Where another class leads it is z_a; where the label leads it
is z_a less some headroom, so that no term of a tiny T is lost to underflow.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._checks import Labels, check_classes
from ce_jax.losses._numerics import (
    balance,
    decay,
    exponentials_of_others,
    headroom,
    log1p_odds,
    log_share,
    poison,
    power,
    rise,
    softmax_of_others,
    subtract_exactly,
    sum_of_others,
)

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class Odds(NamedTuple):
    """What a loss needs to know of its rows; `logits` are full, every other array has one class.

    Rows with an invalid label or without a finite largest logit are `bad`. They hold harmless finite numbers here, as
    if all logits were equal; `finish` and `mark` turn them into NaN.
    """

    logits: Rows
    labels: Labels
    bad: Mask
    peak: Rows  # the largest logit
    gap: Rows  # the largest logit minus that of the label
    shift: Rows
    rest: Rows  # 0, and 1 in bad rows
    label: Rows  # B
    others: Rows  # T
    balance: Rows  # log T - log B
    surprise: Rows  # -log p_y

    @property
    def axis(self) -> int:
        """The class axis, counted from the front."""
        return self.labels.axis

    def powers(self) -> Rows:
        """exp(z_j - shift) for the classes other than the label, 0 for the label."""
        return exponentials_of_others(self.logits, self.shift, self.rest, self.labels)

    def softmax_of_others(self) -> Rows:
        """q, 0 for the label and where there is no other class."""
        return softmax_of_others(self.logits, self.shift, self.rest, self.labels)

    def right(self) -> Rows:
        """p_y, the probability of the label."""
        return decay(self.surprise, self.label / (self.others + self.label))

    def wrong(self) -> Rows:
        """u = 1 - p_y."""
        total = self.others + self.label
        return rise(self.surprise, self.others / total, self.label / total)

    def log_wrong(self) -> Rows:
        """log u, finite even where u is 0."""
        return log_share(self.balance, self.surprise, self.others, self.label)

    def power_of_right(self, exponent: Rows) -> Rows:
        """p_y ** exponent."""
        return power(self.right(), -self.surprise, exponent)

    def power_of_wrong(self, exponent: Rows) -> Rows:
        """u ** exponent."""
        return power(self.wrong(), self.log_wrong(), exponent)

    def finish(self, rows: Rows) -> Rows:
        """Turns bad rows of a loss into NaN and drops the class axis."""
        return jnp.squeeze(poison(rows, self.bad), self.axis)

    def mark(self, rows: Rows) -> Rows:
        """Turns bad rows of a hand-written gradient into NaN."""
        return jnp.where(self.bad, jnp.nan, rows)


def odds(logits: ArrayLike, labels: ArrayLike, axis: int, where: ArrayLike | None) -> Odds:
    """Checks the arguments of a loss and computes the odds of every row."""
    z, place, label_logit, label_ok = check_classes(logits, labels, axis, where)
    peak = lax.stop_gradient(jnp.max(z, place.axis, keepdims=True))
    bad = ~(label_ok & jnp.isfinite(peak))
    gap = jnp.where(bad, 0, peak - label_logit)
    shift = jnp.where(gap > 0, peak, peak - headroom(z.dtype))
    lead, error = subtract_exactly(lax.stop_gradient(label_logit), shift)
    lead, error = jnp.where(bad, 0, lead), jnp.where(jnp.isfinite(lead), error, 0)
    label = jnp.exp(lead) * (1 + error)
    shift, rest = jnp.where(bad, jnp.nan, shift), bad.astype(z.dtype)
    others = sum_of_others(z, shift, rest, place)
    # All derivatives but that of `gap` come in here.
    against = balance(jnp.log(others) - lead, z, shift, rest, place)
    surprise = log1p_odds(against, others, label, gap)
    return Odds(z, place, bad, peak, gap, shift, rest, label, others, against, surprise)


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
    z, place, label_logit, label_ok = check_classes(logits, labels, axis, where)
    peak = jnp.max(place.place(lax.stop_gradient(z), -jnp.inf), place.axis, keepdims=True)
    alone = peak == -jnp.inf
    bad = ~(label_ok & (peak < jnp.inf) & (label_logit < jnp.inf)) | (alone & (label_logit == -jnp.inf))
    rest = (bad | alone).astype(z.dtype)
    shift = jnp.where(bad | alone, jnp.nan, peak)
    others = sum_of_others(z, shift, rest, place)
    lead, error = subtract_exactly(jnp.where(bad, 0, lax.stop_gradient(label_logit)), jnp.where(bad | alone, 0, peak))
    known = lead + (jnp.where(jnp.isfinite(lead), error, 0) - jnp.log(others))
    known = jnp.where(alone & ~bad, jnp.inf, known)
    return jnp.squeeze(poison(-balance(-known, z, shift, rest, place), bad), place.axis)
