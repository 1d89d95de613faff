"""The gradient of a batch's mean loss: by autodiff or by hand, all rows at once or block by block.

Samples are innermost ("columns", logits [K, N]): a small classifier has far more samples than classes, and the
innermost axis is the one that the hardware vectorises over. For the same reason weights are held as [out, in] while
they train: the product with the inputs, W x, then needs no transpose, and that of many lanes is one product.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax._backprop import backprop_columns
from ce_jax.losses import Loss
from ce_jax.models import Layer, Model, Params

_VECTOR = 16  # float32 numbers in the widest vectors of a CPU


def transposed(params: Params) -> Params:
    """Weights [in, out] as [out, in], and back."""
    return tuple(Layer(layer.weight.T, layer.bias) for layer in params)


def value_and_gradient_of(model: Model, loss: Loss, gradient: str) -> Callable[..., tuple[Array, Params, Array]]:
    """`f(params, inputs [N, D], labels, options, rows) -> (mean loss, gradients, logits [K, N])`, weights [out, in].

    Means are over the first `rows` examples, None for all.
    """
    value, grad = (
        _over_columns(loss.value),
        _over_columns(loss.value if loss.grad is None else loss.grad, gradient=True),
    )

    def autodiff(params: Params, inputs: Array, labels: Array, options: Any, rows: int | None = None) -> tuple:
        def mean_loss(params: Params) -> tuple[Array, Array]:
            logits = model.columns(transposed(params), inputs.T)
            return jnp.mean(value(logits, labels, **options)[:rows]), logits

        (mean, logits), gradients = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return mean, gradients, logits

    def manual(params: Params, inputs: Array, labels: Array, options: Any, rows: int | None = None) -> tuple:
        seen = []  # carries the logits out of `backprop_columns`, which does not return them

        def value_and_logit_gradient(logits: Array) -> tuple[Array, Array]:
            seen.append(logits)
            columns = grad(logits, labels, **options)
            if rows is not None:
                columns = jnp.where(jnp.arange(len(labels)) < rows, columns, 0)
            return value(logits, labels, **options)[:rows], columns

        mean, gradients = backprop_columns(transposed(params), model, value_and_logit_gradient, inputs.T)
        return mean, transposed(gradients), seen[0]

    return autodiff if gradient == "autodiff" else manual


def in_row_blocks(value_and_gradient: Callable[..., tuple], row_block: int | None) -> Callable[..., Params]:
    """`f(params, inputs [N, D], labels, options) -> gradients` of the mean loss, added up over blocks of rows.

    Blocks are of one size, which vectorises if it is a power of two; the rows that are left over come last.
    """

    def gradients(params: Params, inputs: Array, labels: Array, options: Mapping[str, Any]) -> Params:
        def mean(inputs: Array, labels: Array) -> Params:
            # Each example past the last whole vector would cost as much as a vector: the last one is repeated to fill
            # it, and left out of the mean.
            rows = len(labels)
            missing = -rows % _VECTOR if rows > _VECTOR else 0
            if not missing:
                return value_and_gradient(params, inputs, labels, options)[1]
            inputs = jnp.pad(inputs, ((0, missing), (0, 0)), mode="edge")
            return value_and_gradient(params, inputs, jnp.pad(labels, (0, missing), mode="edge"), options, rows)[1]

        def add(total: Params, part: Any) -> tuple[Params, None]:
            size = len(part[1])
            # A block gives the mean over its rows; times their number it is a sum, as the last block may be smaller.
            return jax.tree.map(lambda so_far, leaf: so_far + leaf * size, total, mean(*part)), None

        rows = len(labels)
        if row_block is None or rows <= row_block:
            return mean(inputs, labels)
        whole = rows - rows % row_block
        blocks = tuple(leaf[:whole].reshape(-1, row_block, *leaf.shape[1:]) for leaf in (inputs, labels))
        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), blocks)
        if whole < rows:
            total, _ = add(total, (inputs[whole:], labels[whole:]))
        return jax.tree.map(lambda leaf: leaf / rows, total)

    return gradients


def _over_columns(function: Callable[..., Array], *, gradient: bool = False) -> Callable[..., Array]:
    """`function` for logits [K, N]; a user's own may know only rows, so it is given the transpose."""
    if "axis" in inspect.signature(function).parameters:
        return lambda logits, labels, **options: function(logits, labels, axis=0, **options)
    if gradient:
        return lambda logits, labels, **options: function(logits.T, labels, **options).T
    return lambda logits, labels, **options: function(logits.T, labels, **options)
