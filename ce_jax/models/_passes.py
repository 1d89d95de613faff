"""Forward and back through any model: what it takes is looked up here, so that nobody else has to ask."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.models._backward import LogitGradient
from ce_jax.models._records import Model, Params


def begin(model: Model, key: Array, inputs: Any, num_classes: int) -> Params:
    """A model's parameters as it draws them; its `init` may leave out the number of classes.

    Args:
      model: any.
      key: consumed by `init`.
      inputs: [N, ...], of which only shape and dtype matter; `init` sees one row of zeros.
      num_classes: K.
    """
    row = jnp.zeros((1, *inputs.shape[1:]), inputs.dtype)
    known = inspect.signature(model.init).parameters
    # Counted without *arguments, which would hand the number on into a network of another library.
    positional = [one for one in known.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return model.init(key, row, num_classes) if len(positional) > 2 else model.init(key, row)


def is_stochastic(model: Model) -> bool:
    """Whether a model does in training what it does not do in evaluation: `apply` takes `key` or `train`."""
    return model.columns is None and bool({"key", "train"} & set(inspect.signature(model.apply).parameters))


def logits_of(model: Model, params: Params, inputs: Array, key: Array | None = None) -> Array:
    """Logits [K, N].

    Args:
      model: any.
      params: as they train.
      inputs: [N, ...].
      key: that of a training step; None for an evaluation.
    """
    if model.columns is not None:
        return model.columns(params, inputs)
    known = inspect.signature(model.apply).parameters
    options = {"key": key, "train": key is not None}
    logits = model.apply(
        model.unpacked(params), inputs, **{name: value for name, value in options.items() if name in known}
    )
    # A network may compute in another precision; what is measured of it has that of its parameters.
    return logits.astype(jax.tree.leaves(params)[0].dtype).T


def backward_of(model: Model) -> Callable[..., tuple[Array, Params, Array]]:
    """`f(params as they train, inputs, loss, key=None) -> (mean loss, gradients, logits [K, N])`.

    `loss` is logits [K, N] -> (losses [N], their gradients [K, N]). A model without a pass of its own is gone back
    through by `jax.vjp`.
    """

    def by_hand(params: Params, inputs: Array, loss: LogitGradient, key: Array | None = None) -> tuple:
        assert model.backward is not None
        return model.backward(params, inputs, loss)

    def by_transposition(params: Params, inputs: Array, loss: LogitGradient, key: Array | None = None) -> tuple:
        logits, pull = jax.vjp(lambda params: logits_of(model, params, inputs, key), params)
        losses, gradients = loss(logits)
        (pulled,) = pull(gradients / losses.shape[0])
        return jnp.mean(losses), pulled, logits

    return by_transposition if model.backward is None else by_hand
