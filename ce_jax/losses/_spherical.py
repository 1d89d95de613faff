"""The spherical score as a loss: one minus the cosine between the softmax and the label.

    L = 1 - p_y / n,  n = sqrt(sum_k p_k^2);   dL/dz_y = -p_y (n^2 - p_y^2) / n^3   dL/dz_j = p_y p_j^2 / n^3

from dp_k/dz_i = p_k ([i = k] - p_i), whose terms in p_i cancel. With r = p_y, u = 1 - p_y, q the softmax of the other
classes and S = sum_j q_j^2, so that n^2 = r^2 + u^2 S, no two nearly equal numbers are left to subtract:

    L = u^2 S / (n (n + r))      dL/dz_y = -r u^2 S / n^3      dL/dz_j = r u^2 q_j^2 / n^3

Autodiff goes another way. L depends on t = log(u sqrt(S) / r) alone, with dL/dt = r u^2 S / n^3, and t is half of the
balance (`ce_jax.losses._odds`) at 2 z: dt = sum_j (q_j^2 / S) dz_j - dz_y.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._odds import Odds, odds

Rows = Float[Array, "..."]


def _norm(right: Rows, wrong: Rows, squares: Rows) -> Rows:
    return jnp.sqrt(right**2 + wrong**2 * squares)


def _squares(q: Rows, axis: int) -> Rows:
    return jnp.sum(q**2, axis, keepdims=True)


@jax.custom_jvp
def _half_balance(o: Odds) -> Rows:
    """t, of which the derivative alone is used; 0 here, for it can be infinite."""
    return jnp.zeros_like(o.surprise)


@_half_balance.defjvp
def _half_balance_jvp(primals, tangents):
    (o,) = primals
    q = o.softmax_of_others()
    squares = _squares(q, o.axis)
    # S = 0 where no other class has a probability; all q are 0 then, and any scale will do.
    weights = o.labels.place(q**2 / jnp.where(squares > 0, squares, 1), -1)
    return _half_balance(o), jnp.sum(weights * tangents[0].logits, o.axis, keepdims=True)


@jax.custom_jvp
def _one_minus_cosine(half_balance: Rows, squares: Rows, right: Rows, wrong: Rows) -> Rows:
    """L, with the derivative r u^2 S / n^3 by t."""
    del half_balance
    n = _norm(right, wrong, squares)
    return wrong**2 * squares / (n * (n + right))


@_one_minus_cosine.defjvp
def _one_minus_cosine_jvp(primals, tangents):
    _, squares, right, wrong = primals
    # r comes last: r S alone can be below the smallest normal number where r S / n^3 is not.
    slope = wrong**2 * squares / _norm(right, wrong, squares) ** 3 * right
    return _one_minus_cosine(*primals), slope * tangents[0]


@answers_unknown_keywords
def spherical_score(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """The spherical score turned into a loss, 1 - p_y / sqrt(sum_k p_k^2) with p the softmax of `logits`.

    The score is p_y / ||p||, to be maximised; the constant 1 makes the loss 0 where the label has probability 1. A
    proper score: its expectation is least at the true probabilities. The gradient is p_y p_j^2 / ||p||^3 at the wrong
    classes, see `spherical_score_grad`. Value and gradient keep their relative precision however far the label is ahead
    or behind. Since ||p|| is the norm of exp(z), L = 1 - sqrt(softmax(2 z)_y): half the `lq_loss` of 2 z at q = 1/2.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...] in 0..1, float32 for half precision. A label that is out of range or hidden gives NaN, and
      so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(spherical_score(jnp.array([0.0, 0.0]), jnp.array(0))), 4)  # 1 - 1 / sqrt 2
    0.2929

    Source: Roby, Belief States (1964); Gneiting and Raftery, Strictly Proper Scoring Rules (2007).
    """
    o = odds(logits, labels, axis, where)
    squares = _squares(o.softmax_of_others(), o.axis)
    return o.finish(_one_minus_cosine(_half_balance(o), squares, o.right(), o.wrong()))


@answers_unknown_keywords
def spherical_score_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `spherical_score` with respect to the logits, derived at the top of this module, written by hand.

    -r u^2 S / n^3 at the label and r u^2 q_j^2 / n^3 elsewhere. Args and errors as in `spherical_score`; the shape is
    that of `logits`.

    >>> spherical_score_grad(jnp.array([0.0, 0.0]), jnp.array(0)).round(4)  # sqrt(2) / 4
    Array([-0.3536,  0.3536], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    q = o.softmax_of_others()
    squares = _squares(q, o.axis)
    right, wrong = o.right(), o.wrong()
    size = o.mark(wrong**2 / _norm(right, wrong, squares) ** 3 * right)
    return o.labels.place(size * q**2, -size * squares)
