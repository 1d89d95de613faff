"""The log-odds of the label against all other classes: the quantity that the losses are written in.

With z the logits of one row, y its label and a the class with the largest logit,

    B = exp(z_y - shift)   T = sum_{j != y} exp(z_j - shift)   q_j = exp(z_j - shift) / T
    p_y = B / (B + T)      u = 1 - p_y = T / (B + T)

where p is the softmax of all classes and q that of the other classes alone. No two nearly equal numbers are
subtracted: u keeps its full relative precision when the model is confidently right (T is tiny), and p_y when it is
confidently wrong (B is tiny). Any constant shift will do; that of a whole number has a rounding error that is cheap to
find. It is z_a rounded down if the label is below that, which is what "another class leads" means from here on; else it
is less by some headroom, so that no term of a tiny T is lost to underflow.

The derivatives are given by rules, for autodiff of these values would subtract nearly equal numbers again. With the
surprise c = -log p_y and the balance g = log T - log B, whose derivative is dg = sum_j q_j dz_j - dz_y:

| name | value | derivative | the rounding error it removes |
|---|---|---|---|
| `softmax_of_others` | q_j | q_j (dz_j - sum_k q_k dz_k) | of that difference as q_j tends to 1 |
| `balance` | g, given | dg | of 0 / 0 at T = 0; every derivative by z comes in here |
| `log1p_odds` | c = log(1 + T / B) | u dg | of log(T + B) - log B at a tiny T |
| `log_share` | log u | p_y dg | of log(1 - p_y); finite at u = 0 |
| `known_right` | p_y, given | -p_y dc | of 1 - u |
| `known_wrong` | u, given | p_y dc | of 1 - p_y |

Further rules, each one beside its derivation: `_exponential`, `power`, `box_cox` and `replace_value` in `_arithmetic`;
`poison` in `_bad_rows`; `softmax_along`, `log_softmax_along` and `logsumexp_along` in `_softmax`; `_others` in `_ssr`;
`logarithm` in `_from_probs`; `_label_score` and `_lifted` in `_power`; `sum_of_squared_logits` in `_on_logits`;
`_stable_sum` in `_stablemax`; `_half_balance` and `_one_minus_cosine` in `_spherical`; `sigmoid` and `_sum_of_softplus`
in `_one_against_rest`; `entmax_along` in `_entmax`; `_value_at` in `_fenchel_young`; `entropy_along` in `_entropy`; and
`ruled` in `_registry`, which makes a rule of a hand-written gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._arithmetic import deviations, exponential_from, headroom, power, subtract_exactly
from ce_jax.losses._bad_rows import poison
from ce_jax.losses._checks import check_classes
from ce_jax.losses._labels import Labels, is_many

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


def sum_along(x: Rows, axis: int) -> Rows:
    """The sum along an axis, which is kept."""
    if axis < x.ndim - 1 or is_many(x.shape[axis]):
        return jnp.sum(x, axis, keepdims=True)
    # On CPU a sum over a few neighbours costs more than all else; a product with ones does not.
    return jnp.matmul(x, jnp.ones((x.shape[axis], 1), x.dtype), precision="highest")


def exponentials_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels, weights: Rows | None = None) -> Rows:
    """exp(z - shift), times the weights of the classes if there are any, and `rest` for the label."""
    powers = exponential_from(z, shift, rest, whole=True)
    return labels.place(powers if weights is None else powers * weights, rest)


def sum_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels, weights: Rows | None = None) -> Rows:
    """T, the sum of `exponentials_of_others`; not to be differentiated, `balance` is."""
    powers = exponentials_of_others(*lax.stop_gradient((z, shift, rest)), labels, lax.stop_gradient(weights))
    return sum_along(powers, labels.axis)


@jax.custom_jvp
def softmax_of_others(z: Rows, shift: Rows, rest: Rows, labels: Labels, weights: Rows | None = None) -> Rows:
    """q = exp(z - shift) / T, 0 for the label and where there is no other class."""
    powers = exponentials_of_others(z, shift, rest, labels, weights)
    total = sum_along(powers, labels.axis)
    # T = 0 where no other class has a probability; the powers and q are 0 then.
    return powers * (1 / jnp.where(total > 0, total, 1))


@softmax_of_others.defjvp
def _softmax_of_others_jvp(primals, tangents):
    q = softmax_of_others(*primals)
    return q, q * deviations(q, tangents[0], primals[3].axis)


@jax.custom_jvp
def balance(known: Rows, z: Rows, shift: Rows, rest: Rows, labels: Labels, weights: Rows | None = None) -> Rows:
    """log T - (z_y - shift), given its value; its derivative is sum_j q_j dz_j - dz_y."""
    del z, shift, rest, labels, weights
    return known


@balance.defjvp
def _balance_jvp(primals, tangents):
    # One array of the size of the logits is kept for the reverse pass, and the label needs no scatter there.
    labels = primals[4]
    weights = jnp.where(labels.mask(primals[1].shape), -1, softmax_of_others(*primals[1:]))
    return balance(*primals), jnp.sum(weights * tangents[1], labels.axis, keepdims=True)


@jax.custom_jvp
def known_right(surprise: Rows, right: Rows) -> Rows:
    """p = exp(-c), given its exact value; dp = -p dc."""
    del surprise
    return right


@known_right.defjvp
def _known_right_jvp(primals, tangents):
    right = known_right(*primals)
    return right, -right * tangents[0]


@jax.custom_jvp
def known_wrong(surprise: Rows, wrong: Rows, right: Rows) -> Rows:
    """u = 1 - exp(-c), given its exact value; du = p dc."""
    del surprise, right
    return wrong


@known_wrong.defjvp
def _known_wrong_jvp(primals, tangents):
    return known_wrong(*primals), known_right(primals[0], primals[2]) * tangents[0]


@jax.custom_jvp
def log1p_odds(balance: Rows, others: Rows, label: Rows, gap: Rows) -> Rows:
    """c = log(1 + T / B) for T = others and B = label, by two formulas that join at gap = 0.

    `gap` is 0 unless another class leads. Then it is the distance of the label to the shift, T has a term of at least
    1, and log(1 + T / B) = gap + log(T + B). With balance = log T - log B, the derivative is u dbalance.
    """
    del balance
    behind = gap > 0
    # Behind, both terms of (T - 1) + B are at least 0, so that log1p keeps the digits of T + B near 1.
    ratio = jnp.where(behind, (others - 1) + label, others / jnp.where(behind, 1, label))  # B can be flushed to 0
    return gap + jnp.log1p(ratio)


@log1p_odds.defjvp
def _log1p_odds_jvp(primals, tangents):
    _, others, label, _ = primals
    surprise, total = log1p_odds(*primals), others + label
    return surprise, known_wrong(surprise, others / total, label / total) * tangents[0]


@jax.custom_jvp
def log_share(balance: Rows, surprise: Rows, others: Rows, label: Rows) -> Rows:
    """log u = log(T / (T + B)), finite even for T = 0; its derivative is p dbalance."""
    del balance, surprise
    # A finite stand-in for log 0, for it meets factors that are 0.
    others = jnp.where(others > 0, others, jnp.finfo(others.dtype).tiny)
    # log u = log(T / B) - log1p(T / B) or -log1p(B / T), with the ratio that is at most 1.
    favoured = others <= label
    ratio = jnp.where(favoured, others, label) / jnp.where(favoured, label, others)
    return jnp.where(favoured, jnp.log(ratio), 0) - jnp.log1p(ratio)


@log_share.defjvp
def _log_share_jvp(primals, tangents):
    _, surprise, others, label = primals
    return log_share(*primals), known_right(surprise, label / (others + label)) * tangents[0]


class Odds(NamedTuple):
    """What a loss needs to know of its rows; `logits` are full, every other array has one class.

    Rows with an invalid label or without a finite largest logit are `bad`. They hold harmless finite numbers here, as
    if all logits were equal; `finish` and `mark` turn them into NaN.
    """

    logits: Rows
    labels: Labels
    bad: Mask
    peak: Rows  # the largest logit
    gap: Rows  # how far the label is below `shift` where another class leads, else 0
    shift: Rows
    rest: Rows  # 0, and 1 in bad rows
    label: Rows  # B
    others: Rows  # T
    balance: Rows  # log T - log B
    surprise: Rows  # -log p_y
    weights: Rows | None = None  # what the exponentials are multiplied by, constant; see `_adjusted`

    @property
    def axis(self) -> int:
        """The class axis, counted from the front."""
        return self.labels.axis

    def powers(self) -> Rows:
        """exp(z_j - shift) for the classes other than the label, 0 for the label."""
        return exponentials_of_others(self.logits, self.shift, self.rest, self.labels, self.weights)

    def leader(self) -> Rows:
        """exp(z_a - shift) where a class a other than the label leads, else 0."""
        behind = self.gap > 0
        return jnp.where(behind, jnp.exp(jnp.where(behind, self.peak - self.shift, 0)), 0)

    def softmax_of_others(self) -> Rows:
        """q, 0 for the label and where there is no other class."""
        return softmax_of_others(self.logits, self.shift, self.rest, self.labels, self.weights)

    def right(self) -> Rows:
        """p_y, the probability of the label."""
        return known_right(self.surprise, self.label / (self.others + self.label))

    def wrong(self) -> Rows:
        """u = 1 - p_y."""
        total = self.others + self.label
        return known_wrong(self.surprise, self.others / total, self.label / total)

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
    z, y, label_logit, label_ok = check_classes(logits, labels, axis, where)
    peak = lax.stop_gradient(jnp.max(z, y.axis, keepdims=True))
    bad = ~(label_ok & jnp.isfinite(peak))
    constant, whole = lax.stop_gradient(label_logit), jnp.floor(peak)
    behind = constant < whole
    shift = jnp.where(behind, whole, whole - headroom(z.dtype))
    gap = jnp.where(bad, 0, jnp.where(behind, whole, constant) - label_logit)
    lead, error = subtract_exactly(constant, shift)
    # A lead of -inf has the error NaN. Bad rows get a lead of 0, which makes B about 1.
    lead, error = jnp.where(bad, 0, lead), jnp.where(jnp.isfinite(lead), error, 0)
    # exp(lead + error) to first order: the error is at most half a unit in the last place of lead.
    label = jnp.exp(lead) * (1 + error)
    # A shift of NaN turns every term of a bad row into `rest`, so that T = K there.
    shift, rest = jnp.where(bad, jnp.nan, shift), bad.astype(z.dtype)
    others = sum_of_others(z, shift, rest, y)
    # Everything so far is constant under differentiation but `gap`; what is computed from here on depends on z by this.
    against = balance(jnp.log(others) - lead, z, shift, rest, y)
    surprise = log1p_odds(against, others, label, gap)
    return Odds(z, y, bad, peak, gap, shift, rest, label, others, against, surprise)
