"""Losses that look at the logits themselves, besides or instead of their softmax."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._bad_rows import poison, replace_bad
from ce_jax.losses._checks import check_classes, check_logits
from ce_jax.losses._keywords import answers_unknown_keywords
from ce_jax.losses._labels import Labels
from ce_jax.losses._odds import odds
from ce_jax.losses._parameters import check_number
from ce_jax.losses._softmax import logsumexp_along, softmax_along, visible_logits

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


def elsewhere(z: Rows, others: Mask) -> Rows:
    """The logits of the others, 0 in place of the rest."""
    return jnp.where(others, z, 0)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def sum_of_squared_logits(z: Rows, others: Mask, axis: int) -> Rows:
    """The sum of the squared logits of the others; a reverse pass keeps its slope and no mask."""
    return jnp.sum(elsewhere(z, others) ** 2, axis, keepdims=True)


@sum_of_squared_logits.defjvp
def _sum_of_squared_logits_jvp(axis, primals, tangents):
    slope = 2 * elsewhere(*primals)
    return sum_of_squared_logits(*primals, axis), jnp.sum(slope * tangents[0], axis, keepdims=True)


class _Residuals(NamedTuple):
    """Residuals of logits, 0 where a class is left out."""

    at_label: Rows  # z_y - target
    logits: Rows
    others: Mask  # the classes that count, but for the label
    labels: Labels
    wrong_classes: Rows  # how many others there are, at least 1
    bad: Mask
    impossible: Mask  # the label has the logit -inf

    def elsewhere(self) -> Rows:
        """z_j, 0 at the label."""
        return elsewhere(self.logits, self.others)

    def squares(self) -> Rows:
        """sum_{j != y} z_j^2."""
        return sum_of_squared_logits(self.logits, self.others, self.labels.axis)

    def finish(self, rows: Rows) -> Rows:
        """Turns rows of a loss into +inf or NaN where they must be, and drops the class axis."""
        return jnp.squeeze(poison(jnp.where(self.impossible, jnp.inf, rows), self.bad), self.labels.axis)

    def finish_grad(self, at_label: Rows, elsewhere: Rows) -> Rows:
        """Joins the entries of a gradient; the row is 0 where the loss is +inf and NaN where it is NaN."""
        grad = jnp.where(self.impossible, 0, self.labels.place(elsewhere, at_label))
        return jnp.where(self.bad, jnp.nan, grad)


def _residuals(
    logits: ArrayLike, labels: ArrayLike, target: ArrayLike, axis: int, where: ArrayLike | None
) -> _Residuals:
    """Checks the arguments of a squared error of the logits and computes its residuals."""
    z, y, at_label, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & (jnp.max(z, y.axis, keepdims=True) < jnp.inf))
    # The residual of such a label would be infinite, and so would its derivative; `finish` makes the row +inf instead.
    impossible = ~bad & (at_label == -jnp.inf)
    # Bad rows keep every class, for `poison` to find a derivative other than 0 in each.
    present = (z > -jnp.inf) | bad
    others = y.place(present, False)
    at_label = jnp.where(impossible, 0, at_label) - check_number(target, z, "target")
    wrong_classes = jnp.maximum(jnp.sum(present, y.axis, keepdims=True, dtype=z.dtype) - 1, 1)
    at_label, z = replace_bad(at_label, bad, 1.0), replace_bad(z, bad, 1.0)
    return _Residuals(at_label, z, others, y, wrong_classes, bad, impossible)


@answers_unknown_keywords
def ssr_on_logits(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    target: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Squared error of the logits themselves, without softmax: scale (z_y - target)^2 + sum_{j != y} z_j^2.

    The rescaled square loss of Hui and Belkin; `scale` is their k and `target` their M.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      scale: weight of the true class, number >= 0, may be traced.
      target: value that the true class is drawn to, number, may be traced.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. A wrong class of logit -inf is left out like a hidden one; a
      row whose label has the logit -inf is +inf and has gradient 0. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype, a shape or a concrete parameter does not fit; raised when traced.

    >>> ssr_on_logits(jnp.array([0.5, 0.5]), jnp.array(0))
    Array(0.5, dtype=float32)

    Source: Hui and Belkin, Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy (2021).
    """
    r = _residuals(logits, labels, target, axis, where)
    rest = r.squares()
    return r.finish(check_number(scale, rest, "scale") * r.at_label**2 + rest)


@answers_unknown_keywords
def ssr_on_logits_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    target: ArrayLike = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of `ssr_on_logits`: 2 scale (z_y - target) at the label, 2 z_j elsewhere.

    Args and errors as in `ssr_on_logits`; the shape is that of `logits`.

    >>> ssr_on_logits_grad(jnp.array([0.5, 0.5]), jnp.array(0))
    Array([-1.,  1.], dtype=float32)
    """
    r = _residuals(logits, labels, target, axis, where)
    return r.finish_grad(2 * check_number(scale, r.at_label, "scale") * r.at_label, 2 * r.elsewhere())


@answers_unknown_keywords
def squentropy(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Cross-entropy plus the mean square of the wrong logits, -log p_y + sum_{j != y} z_j^2 / (K - 1).

    The gradient is p_k - [k = y], plus 2 z_j / (K - 1) at the wrong classes.

    Args:
      logits: floating point [..., K].
      labels: integers [...], the class of every row.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out, and K counts the others.

    Returns:
      One value per row [...], float32 for half precision. A wrong class of logit -inf is left out like a hidden one; a
      row whose label has the logit -inf is +inf and has gradient 0. A label that is out of range or hidden gives NaN,
      and so does a row that holds NaN or +inf.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(squentropy(jnp.array([1.0, 1.0]), jnp.array(0))), 4)  # log 2 + 1
    1.6931

    Source: Hui, Belkin and Wright, Cut your Losses with Squentropy (2023).
    """
    logits, axis = check_logits(logits, axis)  # once: the two parts of a derivative are not rounded before they meet
    o = odds(logits, labels, axis, where)
    r = _residuals(logits, labels, 0.0, axis, where)
    return r.finish(o.surprise + r.squares() / r.wrong_classes)


@answers_unknown_keywords
def squentropy_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `squentropy` with respect to the logits, written by hand.

    Args and errors as in `squentropy`; the shape is that of `logits`.

    >>> squentropy_grad(jnp.array([1.0, 1.0]), jnp.array(0))
    Array([-0.5,  2.5], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    r = _residuals(logits, labels, 0.0, axis, where)
    wrong = o.wrong()
    return r.finish_grad(-wrong, wrong * o.softmax_of_others() + 2 / r.wrong_classes * r.elsewhere())


def _unlabelled(
    logits: ArrayLike, labels: ArrayLike | None, axis: int, where: ArrayLike | None
) -> tuple[Rows, int, Array]:
    if labels is None:
        z, axis, _ = visible_logits(logits, axis, where)
        return z, axis, ~jnp.isfinite(jnp.max(z, axis, keepdims=True))
    z, y, _, label_ok = check_classes(logits, labels, axis, where)
    return z, y.axis, ~(label_ok & jnp.isfinite(jnp.max(z, y.axis, keepdims=True)))


@answers_unknown_keywords
def z_loss(
    logits: ArrayLike, labels: ArrayLike | None = None, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Square of the log-normaliser, logsumexp(z)^2: added to cross-entropy it keeps the logits from drifting.

    The gradient is 2 logsumexp(z) p_k. It does not depend on a label.

    Args:
      logits: floating point [..., K].
      labels: integers [...] or None. They are only checked, so that the loss can stand in the table with the others.
      axis: the class axis of `logits`.
      where: boolean, broadcast to the logits; classes where it is False are left out.

    Returns:
      One value per row [...], float32 for half precision. NaN for a row that holds NaN or +inf or no class, and, if
      there are labels, for one that is out of range or hidden.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> round(float(z_loss(jnp.array([0.0, 0.0]))), 4)  # (log 2)^2
    0.4805

    Source: Chowdhery et al., PaLM: Scaling Language Modeling with Pathways (2022), with coefficient 1e-4.
    """
    z, axis, bad = _unlabelled(logits, labels, axis, where)
    return jnp.squeeze(poison(logsumexp_along(axis, replace_bad(z, bad)) ** 2, bad), axis)


@answers_unknown_keywords
def z_loss_grad(
    logits: ArrayLike, labels: ArrayLike | None = None, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `z_loss` with respect to the logits, 2 logsumexp(z) p_k, written by hand.

    Args and errors as in `z_loss`; the shape is that of `logits`.

    >>> z_loss_grad(jnp.array([1.0, 1.0])).round(4)
    Array([1.6931, 1.6931], dtype=float32)
    """
    z, axis, bad = _unlabelled(logits, labels, axis, where)
    size = jnp.where(bad, jnp.nan, 2 * logsumexp_along(axis, z))
    return size * softmax_along(axis, z)
