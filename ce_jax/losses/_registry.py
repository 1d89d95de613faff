"""The one table of losses, and how a hand-written gradient becomes a derivative rule."""

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ce_jax.losses._adjusted import logit_adjusted_cross_entropy, logit_adjusted_cross_entropy_grad
from ce_jax.losses._bad_rows import poison
from ce_jax.losses._cross_entropy import cross_entropy, cross_entropy_grad
from ce_jax.losses._fenchel_young import fenchel_young_loss, fenchel_young_loss_grad
from ce_jax.losses._labels import fitting_labels
from ce_jax.losses._of_label import (
    focal_loss,
    focal_loss_grad,
    lq_loss,
    lq_loss_grad,
    mean_absolute_error,
    mean_absolute_error_grad,
    poly1_loss,
    poly1_loss_grad,
    true_class_ssr,
    true_class_ssr_grad,
)
from ce_jax.losses._on_logits import (
    squentropy,
    squentropy_grad,
    ssr_on_logits,
    ssr_on_logits_grad,
    z_loss,
    z_loss_grad,
)
from ce_jax.losses._one_against_rest import sigmoid_binary_cross_entropy, sigmoid_binary_cross_entropy_grad
from ce_jax.losses._power import power_loss, power_loss_grad
from ce_jax.losses._spherical import spherical_score, spherical_score_grad
from ce_jax.losses._ssr import ssr, ssr_grad
from ce_jax.losses._stablemax import stablemax_cross_entropy, stablemax_cross_entropy_grad


class Loss(NamedTuple):
    """A loss and its gradient in three forms; all have the signature of `value`.

    value: (logits [..., K], labels [...], *, axis, where, **options) -> one value per row [...]
    grad: the hand-written gradient with respect to the logits [..., K], or None for a loss that has none
    manual: `value`, with `grad` as its derivative rule, or None
    """

    name: str
    value: Callable[..., Array]
    grad: Callable[..., Array] | None
    manual: Callable[..., Array] | None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name, as `manual` is a closure; a loss of your own by its functions, which need names then."""
        return (_named, (self.name,)) if LOSSES.get(self.name) is self else (Loss, tuple(self))


def with_manual_grad(value: Callable[..., Array], grad: Callable[..., Array]) -> Callable[..., Array]:
    """Returns `value` with `grad` as its derivative with respect to the logits.

    The rule is a `jax.custom_jvp`: forward and reverse mode, `jax.hessian` (which then differentiates `grad`) and
    `jax.vmap` all work. Targets, and options such as a traced beta, keep the derivative that autodiff gives them.

    Args:
      value: (logits, labels or targets, *, axis=-1, **options) -> one value per row.
      grad: same arguments -> the gradient of `value` with respect to the logits.

    Returns:
      A function with the signature of `value`.

    >>> square = with_manual_grad(
    ...     lambda z, y, *, axis=-1: (z**2).sum(axis), lambda z, y, *, axis=-1: 2 * z)
    >>> jax.grad(square)(jnp.array([1.0, 3.0]), jnp.array(0))
    Array([2., 6.], dtype=float32)
    """

    def manual(logits, *targets, axis: int = -1, **options):
        targets = jax.tree.map(fitting_labels, targets)  # `jax.custom_jvp` would truncate them
        # What is concrete stays so, for the loss to look at it.
        traced = {k: v for k, v in options.items() if isinstance(v, jax.core.Tracer)}
        static = {"axis": axis} | {k: v for k, v in options.items() if k not in traced}

        @jax.custom_jvp
        def ruled(logits, targets, traced):
            return value(logits, *targets, **static, **traced)

        @ruled.defjvp
        def rule(primals, tangents):
            logits, targets, traced = primals
            rest = (targets, traced)
            out, moved = jax.jvp(lambda t, o: value(logits, *t, **static, **o), rest, tangents[1:])
            bad = jnp.isnan(out)
            # Rows that are NaN get a slope other than 0, which `poison` makes NaN unless their cotangent is 0.
            slope = jnp.where(jnp.expand_dims(bad, axis), 1, grad(logits, *targets, **static, **traced))
            tangent = jnp.sum(slope * tangents[0].astype(slope.dtype), axis).astype(out.dtype)
            _, tangent = jax.jvp(lambda x: poison(x, bad), (out,), (tangent,))
            return out, tangent + moved

        return ruled(logits, targets, traced)

    return manual


def as_loss(loss: str | Loss | Callable[..., Array]) -> Loss:
    """The record of a loss that is given by its name, by a function or as a record.

    Args:
      loss: a key of `LOSSES`; a `Loss`, which is returned as it is; or a function of (logits [N, K], labels [N],
        **options) that returns [N]. The `value` or `manual` of an entry of `LOSSES` gives that entry, any other
        function a loss of its name without a hand-written gradient.

    Returns:
      A `Loss`.

    Raises:
      ValueError: no loss has this name; the message lists those there are and the nearest.
      TypeError: it is none of the three.

    >>> as_loss("ssr") is as_loss(LOSSES["ssr"].value) is LOSSES["ssr"]
    True
    >>> def hinge(logits, labels, *, axis=-1):
    ...     return jnp.max(logits, axis)
    >>> as_loss(hinge).name, as_loss(hinge).grad
    ('hinge', None)
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    expected = f"loss: expected one of {', '.join(LOSSES)}, a Loss or a function of (logits, labels)"
    if isinstance(loss, str):
        nearest = difflib.get_close_matches(loss, LOSSES, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"{expected}, got {loss!r}{hint}")
    if not callable(loss) or isinstance(loss, type):  # a class gives an object, not losses
        raise TypeError(f"{expected}, got {loss if isinstance(loss, type) else type(loss)}")
    for entry in LOSSES.values():
        if loss is entry.value or loss is entry.manual:
            return entry
    # A partial and an object with __call__ have no name of their own.
    return Loss(getattr(loss, "__name__", type(loss).__name__), loss, None, None)


def _named(name: str) -> Loss:
    return LOSSES[name]


def _losses(*pairs: tuple[Callable[..., Array], Callable[..., Array]]) -> dict[str, Loss]:
    return {v.__name__: Loss(v.__name__, v, g, with_manual_grad(v, g)) for v, g in pairs}


LOSSES: dict[str, Loss] = _losses(
    (cross_entropy, cross_entropy_grad),
    (ssr, ssr_grad),
    (true_class_ssr, true_class_ssr_grad),
    (ssr_on_logits, ssr_on_logits_grad),
    (power_loss, power_loss_grad),
    (lq_loss, lq_loss_grad),
    (focal_loss, focal_loss_grad),
    (poly1_loss, poly1_loss_grad),
    (squentropy, squentropy_grad),
    (mean_absolute_error, mean_absolute_error_grad),
    (z_loss, z_loss_grad),
    (stablemax_cross_entropy, stablemax_cross_entropy_grad),
    (logit_adjusted_cross_entropy, logit_adjusted_cross_entropy_grad),
    (sigmoid_binary_cross_entropy, sigmoid_binary_cross_entropy_grad),
    (spherical_score, spherical_score_grad),
    (fenchel_young_loss, fenchel_young_loss_grad),
)


def hand_written(loss: str | Loss | Callable[..., Array]) -> Callable[..., Array]:
    """The hand-written gradient of a loss.

    Args:
      loss: a name of `LOSSES`, or a `Loss`.

    Returns:
      A function of the loss's own arguments, whose result is shaped like the logits.

    Raises:
      ValueError: there is no such loss, or it has none.

    >>> hand_written("ssr") is LOSSES["ssr"].grad
    True
    """
    record = as_loss(loss)
    if record.grad is None:
        raise ValueError(f"loss: expected one with a hand-written gradient, got {record.name}, which has none")
    return record.grad
