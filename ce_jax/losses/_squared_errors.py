"""Other squared errors: of the true class alone, of given probabilities, and of the logits without softmax."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ce_jax.losses._checks import Labels, check_classes
from ce_jax.losses._numerics import knob, poison, replace_bad
from ce_jax.losses._odds import odds

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


class LogitResiduals(NamedTuple):
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
        return sum_of_squares(self.logits, self.others, self.labels.axis)

    def finish(self, rows: Rows) -> Rows:
        """Turns rows of a loss into +inf or NaN where they must be, and drops the class axis."""
        return jnp.squeeze(poison(jnp.where(self.impossible, jnp.inf, rows), self.bad), self.labels.axis)

    def finish_grad(self, at_label: Rows, elsewhere: Rows) -> Rows:
        """Joins the entries of a gradient; the row is 0 where the loss is +inf and NaN where it is NaN."""
        grad = jnp.where(self.impossible, 0, self.labels.place(elsewhere, at_label))
        return jnp.where(self.bad, jnp.nan, grad)


def elsewhere(z: Rows, others: Mask) -> Rows:
    """The logits of the others, 0 in place of the rest."""
    return jnp.where(others, z, 0)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def sum_of_squares(z: Rows, others: Mask, axis: int) -> Rows:
    """The sum of the squared logits of the others; a reverse pass keeps its slope and no mask."""
    return jnp.sum(elsewhere(z, others) ** 2, axis, keepdims=True)


@sum_of_squares.defjvp
def _sum_of_squares_jvp(axis, primals, tangents):
    slope = 2 * elsewhere(*primals)
    return sum_of_squares(*primals, axis), jnp.sum(slope * tangents[0], axis, keepdims=True)


def residuals_on_logits(
    logits: ArrayLike, labels: ArrayLike, target: ArrayLike, axis: int, where: ArrayLike | None
) -> LogitResiduals:
    """Checks the arguments of a squared error of the logits and computes its residuals."""
    z, place, at_label, label_ok = check_classes(logits, labels, axis, where)
    bad = ~(label_ok & (jnp.max(z, place.axis, keepdims=True) < jnp.inf))
    impossible = ~bad & (at_label == -jnp.inf)
    present = (z > -jnp.inf) | bad
    others = place.place(present, False)
    at_label = jnp.where(impossible, 0, at_label) - knob(target, z, "target")
    wrong_classes = jnp.maximum(jnp.sum(present, place.axis, keepdims=True, dtype=z.dtype) - 1, 1)
    at_label, z = replace_bad(at_label, bad, 1.0), replace_bad(z, bad, 1.0)
    return LogitResiduals(at_label, z, others, place, wrong_classes, bad, impossible)


def true_class_ssr(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Squared residual of the true class alone, (1 - p_y)^2 with p the softmax of `logits`: the textbook form.

    Its range is 0..1; SSR over all classes lies between K/(K-1) and 2 times of it. See `true_class_ssr_grad`.

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

    >>> true_class_ssr(jnp.array([0.0, 0.0]), jnp.array(0))
    Array(0.25, dtype=float32)

    Source: Starmer, StatQuest, Neural Networks part 6: Cross Entropy (2021).
    """
    o = odds(logits, labels, axis, where)
    return o.finish(o.wrong() ** 2)


def true_class_ssr_grad(
    logits: ArrayLike, labels: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of `true_class_ssr` with respect to the logits: -2 u^2 p_y at the label, 2 u^2 p_y q_j elsewhere.

    From u = sigmoid(-m), du/dm = -u p_y, with m the log-odds, dm = dz_y - sum_j q_j dz_j. Args and errors as in
    `true_class_ssr`; the shape is that of `logits`.

    >>> true_class_ssr_grad(jnp.array([0.0, 0.0]), jnp.array(0))
    Array([-0.25,  0.25], dtype=float32)
    """
    o = odds(logits, labels, axis, where)
    slope = o.mark(2 * o.wrong() ** 2 * o.right())
    return o.labels.place(slope * o.softmax_of_others(), -slope)


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
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_on_logits(jnp.array([0.5, 0.5]), jnp.array(0))
    Array(0.5, dtype=float32)

    Source: Hui and Belkin, Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy (2021).
    """
    r = residuals_on_logits(logits, labels, target, axis, where)
    rest = r.squares()
    return r.finish(knob(scale, rest, "scale") * r.at_label**2 + rest)


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
    r = residuals_on_logits(logits, labels, target, axis, where)
    return r.finish_grad(2 * knob(scale, r.at_label, "scale") * r.at_label, 2 * r.elsewhere())


def ssr_from_probs(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Sum of squared residuals of given probabilities, sum_k (p_k - [k = y])^2.

    Args:
      probs: floating point [..., K]; neither checked to sum to one nor normalised.
      labels: integers [...].
      axis: the class axis of `probs`.

    Returns:
      One value per row [...], float32 for half precision; NaN for a label out of range and for a row that holds NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> ssr_from_probs(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array(0.375, dtype=float32)
    """
    residual, _, bad, place = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(jnp.sum(residual**2, place.axis, keepdims=True), bad), place.axis)


def ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `ssr_from_probs` with respect to the probabilities, 2 (p_k - [k = y]).

    Args and errors as in `ssr_from_probs`; the shape is that of `probs`.

    >>> ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1. ,  0.5,  0.5], dtype=float32)
    """
    residual, _, bad, _ = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, 2 * residual)


def true_class_ssr_from_probs(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Squared residual of the true class alone, (1 - p_y)^2, of given probabilities: the textbook form.

    Args:
      probs: floating point [..., K]; neither checked to sum to one nor normalised.
      labels: integers [...].
      axis: the class axis of `probs`.

    Returns:
      One value per row [...], float32 for half precision; NaN for a label out of range and for a row that holds NaN.

    Raises:
      TypeError, ValueError: a dtype or shape does not fit; raised when traced.

    >>> true_class_ssr_from_probs(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array(0.25, dtype=float32)
    """
    _, at_label, bad, place = _probability_residuals(probs, labels, axis)
    return jnp.squeeze(poison(at_label**2, bad), place.axis)


def true_class_ssr_from_probs_grad(probs: ArrayLike, labels: ArrayLike, *, axis: int = -1) -> Float[Array, "..."]:
    """Gradient of `true_class_ssr_from_probs` with respect to the probabilities: -2 (1 - p_y) at the label, else 0.

    Args and errors as in `true_class_ssr_from_probs`; the shape is that of `probs`.

    >>> true_class_ssr_from_probs_grad(jnp.array([0.5, 0.25, 0.25]), jnp.array(0))
    Array([-1.,  0.,  0.], dtype=float32)
    """
    residual, at_label, bad, place = _probability_residuals(probs, labels, axis)
    return jnp.where(bad, jnp.nan, place.place(jnp.zeros_like(residual), 2 * at_label))


def _probability_residuals(probs: ArrayLike, labels: ArrayLike, axis: int) -> tuple[Rows, Rows, Mask, Labels]:
    c = check_classes(probs, labels, axis, None, name="probs")
    bad = ~(c.label_ok & jnp.isfinite(jnp.sum(c.values, c.labels.axis, keepdims=True)))
    residual = replace_bad(c.labels.place(c.values, c.at_label - 1), bad, 1.0)
    return residual, replace_bad(c.for_every_class(bad) - 1, bad, 1.0), bad, c.labels
