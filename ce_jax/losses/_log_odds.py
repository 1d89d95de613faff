"""The log-odds of the label as a function of their own: unlike a loss they may be infinite on either side."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import exponential_from, subtract_exactly
from ce_jax.losses._bad_rows import poison
from ce_jax.losses._checks import check_classes
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._odds import balance


@answers_unknown_keywords
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
    z, y, label_logit, label_ok = check_classes(logits, labels, axis, where)
    # The largest of the others, for here the label may lead or trail by an infinite margin.
    peak = jnp.max(y.place(lax.stop_gradient(z), -jnp.inf), y.axis, keepdims=True)
    alone = peak == -jnp.inf
    bad = ~(label_ok & (peak < jnp.inf) & (label_logit < jnp.inf)) | (alone & (label_logit == -jnp.inf))
    rest = (bad | alone).astype(z.dtype)
    shift = jnp.where(bad | alone, jnp.nan, peak)
    powers = exponential_from(*lax.stop_gradient((z, shift, rest)))
    others = jnp.sum(y.place(powers, rest), y.axis, keepdims=True)
    lead, error = subtract_exactly(jnp.where(bad, 0, lax.stop_gradient(label_logit)), jnp.where(bad | alone, 0, peak))
    known = lead + (jnp.where(jnp.isfinite(lead), error, 0) - jnp.log(others))
    known = jnp.where(alone & ~bad, jnp.inf, known)
    return jnp.squeeze(poison(-balance(-known, z, jnp.floor(shift), rest, y), bad), y.axis)
