"""Cross-entropy of logits adjusted by the logarithm of a prior: the loss for classes of unequal frequency.

    L = -log softmax(z + tau log prior)_y = log(1 + sum_{j != y} (prior_j / prior_y)^tau exp(z_j - z_y))

z + tau log prior is never formed: at logits near 10,000 the sum would round away the adjustment. The exponentials
exp(z_j - shift), exact as in `ce_jax.losses._odds`, are multiplied by w_j = (prior_j / prior_r)^tau instead, with r the
class that leads after the adjustment, so that the quantities T, B, u and q of that module have their usual meaning and
their usual rules. With them dL/dz_y = -u and dL/dz_j = u q_j.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import headroom, replace_value, subtract_exactly
from ce_jax.losses._checks import Classes, check_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels
from ce_jax.losses._odds import Odds, balance, log1p_odds, odds, sum_of_others
from ce_jax.losses._parameters import check_number, check_prior

Rows = Float[Array, "..."]


def _along(axis: int, prior: ArrayLike, z: Rows) -> Rows:
    """The prior as an array that broadcasts to the logits."""
    array, classes = jnp.asarray(prior), z.shape[axis]
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise TypeError(f"prior: expected numbers, got {array.dtype}; pass the frequency of every class")
    if array.shape != (classes,):
        raise ValueError(
            f"prior: expected one number per class, shape ({classes},), got {array.shape}; use jax.vmap for several"
        )
    check_prior(prior)
    return jnp.expand_dims(array.astype(z.dtype), [i for i in range(z.ndim) if i != axis])


def _adjusted_odds(classes: Classes, prior: Rows, tau: Rows) -> Odds:
    """The odds of z + tau log prior; the adjustment has its derivatives by tau and by the prior."""
    z, y, label_logit, label_ok = classes
    tau = jnp.reshape(tau, (1,) * z.ndim)
    possible = (prior > 0) | (tau == 0)
    adjust = jnp.broadcast_to(tau * jnp.log(jnp.where(prior > 0, prior, 1)), z.shape)
    # A class of prior 0 has the logit -inf; its derivative is that of any class of probability 0.
    z = replace_value(z + adjust, jnp.where(possible, z, -jnp.inf))
    given, adjust = lax.stop_gradient((z, adjust))
    label_logit, label_adjust = y.pick(given), y.pick(adjust)
    # Which class leads is found from rounded sums: it may be any of those that nearly tie.
    leader = Labels(jnp.argmax(given + adjust, y.axis, keepdims=True).astype(jnp.int32), y.axis)
    peak, peak_adjust = leader.pick(given), leader.pick(adjust)
    bad = ~(label_ok & jnp.isfinite(peak) & jnp.all(prior >= 0, y.axis, keepdims=True) & jnp.isfinite(tau))
    whole = jnp.floor(peak)
    gap = jnp.where(bad, 0, jnp.maximum((whole - label_logit) + (peak_adjust - label_adjust), 0))
    behind = gap > 0
    shift = jnp.where(behind, whole, jnp.floor(label_logit) - headroom(z.dtype))
    reference = jnp.where(behind, peak_adjust, label_adjust)
    weights = jnp.where(bad, 1, jnp.exp(adjust - reference))
    lead, error = subtract_exactly(label_logit, shift)
    lead, error = jnp.where(bad, 0, lead), jnp.where(jnp.isfinite(lead), error, 0)
    label = jnp.exp(lead) * (1 + error) * jnp.where(bad, 1, jnp.exp(label_adjust - reference))
    shift, rest = jnp.where(bad, jnp.nan, shift), bad.astype(z.dtype)
    others = sum_of_others(given, shift, rest, y, weights)
    known = jnp.log(others) - (lead + jnp.where(bad, 0, label_adjust - reference))
    against = balance(known, z, shift, rest, y, weights)
    return Odds(
        logits=z,
        labels=y,
        bad=bad,
        peak=peak,
        gap=gap,
        shift=shift,
        rest=rest,
        label=label,
        others=others,
        balance=against,
        surprise=log1p_odds(against, others, label, gap),
        weights=weights,
    )


def _odds(
    logits: ArrayLike, labels: ArrayLike, prior: ArrayLike | None, tau: ArrayLike, axis: int, where: ArrayLike | None
) -> Odds:
    if prior is None:
        o = odds(logits, labels, axis, where)
        check_number(tau, o.logits, "tau")
        return o
    classes = check_classes(logits, labels, axis, where)
    z = classes.values
    return _adjusted_odds(classes, _along(classes.labels.axis, prior, z), check_number(tau, z, "tau"))


@answers_unknown_keywords
def logit_adjusted_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    tau: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Cross-entropy of the logits plus tau log prior: a rare class has to win by more during training.

    L = -log softmax(z + tau log prior)_y, whose gradient is softmax(z + tau log prior)_k - [k = y], for the adjustment
    is a constant added to every logit. Predictions are made with the logits alone. Without a prior, or with a uniform
    one, it is `cross_entropy`. Value and gradient keep their relative precision in both tails and at common offsets;
    the weight (prior_j / prior_y)^tau itself is good to |tau log(prior_j / prior_y)| units in the last place.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      prior: numbers >= 0 [K], the frequency of every class, may be traced; any multiple will do, so counts do. None is
        uniform. A class of prior 0 has probability 0: it is no competitor, and as a label it costs +inf.
      tau: number, may be traced; 1 is consistent for the balanced error, 0 leaves the logits alone.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A label that is out of range or hidden gives NaN, and so does
      a row that holds NaN or +inf, and a traced prior that is negative or NaN; a label logit of -inf gives +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit (a prior that is negative, infinite,
        NaN or 0 throughout); raised when traced.

    >>> z, y = jnp.array([0.0, 0.0]), jnp.array(1)
    >>> round(float(logit_adjusted_cross_entropy(z, y, prior=jnp.array([0.75, 0.25]))), 4)  # -log 1/4
    1.3863

    Source: Menon et al., Long-tail Learning via Logit Adjustment (2021).
    """
    o = _odds(logits, labels, prior, tau, axis, where)
    return o.finish(o.surprise)


@answers_unknown_keywords
def logit_adjusted_cross_entropy_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    tau: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of `logit_adjusted_cross_entropy` with respect to the logits, -u at the label and u q_j elsewhere.

    u and q are those of the adjusted logits. Args and errors as in `logit_adjusted_cross_entropy`; the shape is that of
    `logits`.

    >>> logit_adjusted_cross_entropy_grad(jnp.array([0.0, 0.0]), jnp.array(1), prior=jnp.array([0.75, 0.25])).round(4)
    Array([ 0.75, -0.75], dtype=float32)
    """
    o = _odds(logits, labels, prior, tau, axis, where)
    wrong = o.mark(o.wrong())
    return o.labels.place(wrong * o.softmax_of_others(), -wrong)
