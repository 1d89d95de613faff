"""What is asked of a language model besides a loss: the log-probability of a token, the entropy of the prediction.

With a the class of the largest logit, d_k = z_a - z_k >= 0, s = sum_{j != a} exp(-d_j) and D = sum_j p_j d_j:

    H = -sum_k p_k log p_k = log1p(s) + D      dH/dz_k = -p_k (log p_k + H) = p_k (d_k - D)

since -log p_k = d_k + log1p(s). As one class comes to dominate, H and its gradient shrink with s, and they are sums of
terms of that size: no 1 is subtracted from anything.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import class_index
from ce_jax.losses._odds import odds
from ce_jax.losses._softmax import find_peak, softmax_along, visible_logits

Rows = Float[Array, "..."]


def _drops(axis: int, z: Rows) -> Rows:
    """d, 0 for a class without probability."""
    top = find_peak(z, axis)
    return jnp.where(top.powers > 0, top.place.pick(z) - z, 0)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def entropy_along(axis: int, z: Rows) -> Rows:
    """`entropy` of rows with a finite largest logit, class axis kept."""
    top = find_peak(z, axis)
    mean_drop = jnp.sum(top.powers * _drops(axis, z), axis, keepdims=True) / (1 + top.rest)
    return jnp.log1p(top.rest) + mean_drop


@entropy_along.defjvp
def _entropy_jvp(axis, primals, tangents):
    (z,), (dz,) = primals, tangents
    p, d = softmax_along(axis, z), _drops(axis, z)
    slope = p * (d - jnp.sum(p * d, axis, keepdims=True))
    return entropy_along(axis, z), jnp.sum(slope * dz, axis, keepdims=True)


@answers_unknown_keywords
def entropy(logits: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """Entropy of the softmax of `logits`, H = -sum_k p_k log p_k, in nats.

    The gradient is -p_k (log p_k + H). Value, gradient and Hessian keep their precision as one class comes to dominate,
    where H goes to 0. A class of probability 0 contributes nothing, to the derivatives either.

    Args:
      logits: floating point [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..log K, float32 for half precision. A row of -inf only, or with +inf or NaN, is NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> [f"{h:.5g}" for h in entropy(jnp.array([[0.0, 0.0], [20.0, 0.0]]))]  # -sum p log p gives 4.1223e-08
    ['0.69315', '4.3284e-08']

    Source: Shannon, A Mathematical Theory of Communication (1948).
    """
    z, axis, _ = visible_logits(logits, axis, where)
    bad = ~jnp.isfinite(jnp.max(z, axis, keepdims=True))
    # Unequal numbers: every entry of the gradient is other than 0, for `poison` to find.
    z = replace_bad(z, bad, class_index(z.shape, axis).astype(z.dtype))
    return jnp.squeeze(poison(entropy_along(axis, z), bad), axis)


@answers_unknown_keywords
def log_prob(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Log-probability of the label under the softmax of `logits`, log p_y: minus `cross_entropy`, as exact.

    The gradient is [k = y] - p_k.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], at most 0, float32 for half precision. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf; a label logit of -inf gives -inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> [f"{x:.5g}" for x in log_prob(jnp.array([[0.0, 0.0], [20.0, 0.0]]), jnp.array([0, 0]))]
    ['-0.69315', '-2.0612e-09']
    """
    o = odds(logits, labels, axis, where)
    return o.finish(-o.surprise)
