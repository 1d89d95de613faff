"""Second derivatives of cross-entropy and SSR in closed form.

With v a direction, mean = sum_j q_j v_j over the classes other than the label, w_j = v_j - mean and m' = v_y - mean
the derivative of the log-odds, differentiating the gradients of `cross_entropy` and `ssr` once more gives

    cross-entropy:  (H v)_y = u p_y m'       (H v)_j = u q_j (w_j - p_y m')
    SSR:            (H v)_y = -2 p_y u^2 [(u - 2 p_y) (1 + S) m' + S']
                    (H v)_j = 2 u^2 q_j [(w_j - 2 p_y m') b_j + q_j w_j - u S' + (1 + S) u p_y m']
    with            b_j = (q_j - S) + (1 + S) p_y,   S' = 2 sum_j q_j (q_j - S) w_j

by dm = m', dp_y = u p_y m', du = -dp_y and dq_j = q_j w_j. In matrix form the first is diag(p) - p p^T.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._arithmetic import deviations
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import class_index
from ce_jax.losses._odds import Odds, odds
from ce_jax.losses._ssr import others_of

Rows = Float[Array, "..."]


def _directions(o: Odds, q: Rows, vector: Rows) -> tuple[Rows, Rows]:
    """w and m'. Where a class has no probability its direction does not count, whatever it holds."""
    at_label = o.labels.pick(vector)
    v = jnp.where(q > 0, vector, 0)
    return deviations(q, v, o.axis), at_label - jnp.sum(q * v, o.axis, keepdims=True)


def _cross_entropy_hvp(o: Odds, vector: Rows) -> Rows:
    q = o.softmax_of_others()
    w, by_odds = _directions(o, q, vector)
    wrong, right = o.mark(o.wrong()), o.right()
    return o.labels.place(wrong * q * (w - right * by_odds), wrong * right * by_odds)


def _ssr_hvp(o: Odds, vector: Rows) -> Rows:
    q, (difference, slope, squares) = o.softmax_of_others(), others_of(o)
    w, by_odds = _directions(o, q, vector)
    wrong, right = o.wrong(), o.right()
    spread = 2 * jnp.sum(slope * w, o.axis, keepdims=True)
    size, whole = o.mark(2 * wrong**2), 1 + squares
    for_label = -right * ((wrong - 2 * right) * whole * by_odds + spread)
    inner = (w - 2 * right * by_odds) * (difference + whole * right) + q * w
    for_others = q * (inner + wrong * (whole * right * by_odds - spread))
    return o.labels.place(size * for_others, size * for_label)


def _check_vector(vector: ArrayLike, o: Odds) -> Rows:
    array = jnp.asarray(vector, o.logits.dtype)
    if array.shape != o.logits.shape:
        raise ValueError(
            f"vector: expected the shape of the logits, {o.logits.shape}, got {array.shape}; "
            "use jax.vmap for several directions"
        )
    return array


def _matrix(hvp: Callable[[Odds, Rows], Rows], o: Odds) -> Rows:
    index = class_index(o.logits.shape, o.axis)
    # Column k is the product with the k-th unit vector.
    columns = jax.vmap(lambda k: hvp(o, (index == k).astype(o.logits.dtype)), out_axes=o.axis + 1)
    return columns(jnp.arange(o.logits.shape[o.axis]))


@answers_unknown_keywords
def cross_entropy_hvp(
    logits: ArrayLike, labels: ArrayLike, vector: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Product of the Hessian of `cross_entropy` with a vector, p_i (v_i - sum_k p_k v_k), in closed form.

    Args:
      logits: floating point [..., K].
      labels: integers [...]; the Hessian does not depend on them, but where they are invalid it is NaN.
      vector: direction v [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      Array of the shape of `logits`, float32 for half precision; 0 at classes without probability.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> cross_entropy_hvp(jnp.array([0.0, 0.0]), jnp.array(0), jnp.array([1.0, 0.0]))
    Array([ 0.25, -0.25], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    return _cross_entropy_hvp(o, _check_vector(vector, o))


@answers_unknown_keywords
def cross_entropy_hessian(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Hessian of `cross_entropy` with respect to the logits, diag(p) - p p^T, in closed form.

    Positive semidefinite: cross-entropy is convex in the logits. It does not depend on label smoothing either.
    Args and errors as in `cross_entropy_hvp`.

    Returns:
      [..., K, K]: the class axis is replaced by two.

    >>> cross_entropy_hessian(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([[ 0.25, -0.25],
           [-0.25,  0.25]], dtype=float32)
    """
    return _matrix(_cross_entropy_hvp, odds(logits, labels, axis, where))


@answers_unknown_keywords
def ssr_hvp(
    logits: ArrayLike, labels: ArrayLike, vector: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Product of the Hessian of `ssr` without smoothing with a vector, in closed form: see the top of this module.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      vector: direction v [..., K].
      axis: the class axis.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      Array of the shape of `logits`, float32 for half precision; 0 at classes without probability, NaN for an invalid
      label.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_hvp(jnp.array([0.0, 0.0]), jnp.array(0), jnp.array([1.0, 0.0]))
    Array([ 0.25, -0.25], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    return _ssr_hvp(o, _check_vector(vector, o))


@answers_unknown_keywords
def ssr_hessian(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Hessian of `ssr` without smoothing by the logits, in closed form. SSR is not convex: it has negative eigenvalues.

    Args and errors as in `ssr_hvp`.

    Returns:
      [..., K, K]: the class axis is replaced by two.

    >>> ssr_hessian(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([[ 0.25, -0.25],
           [-0.25,  0.25]], dtype=float32)
    """
    return _matrix(_ssr_hvp, odds(logits, labels, axis, where))
