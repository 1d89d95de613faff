"""The gradient of a batch's mean loss: by autodiff or by hand, all rows at once or block by block.

Logits are [K, N], samples innermost: a small classifier has far more samples than classes, and the innermost axis is
the one that the hardware vectorises over. Parameters are in the form in which they train, `Model.packed`.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.losses import Loss
from ce_jax.models import Model, Params, backward_of, logits_of

_VECTOR = 16  # float32 numbers in the widest vectors of a CPU


class Batch(NamedTuple):
    """What a step sees: inputs [N, ...], labels [N], and a weight for each example [N] (None: all alike)."""

    inputs: Array
    labels: Array
    weights: Array | None = None


def value_and_gradient_of(model: Model, loss: Loss, gradient: str) -> Callable[..., tuple[Array, Params, Array]]:
    """`f(params, batch, options, key, rows) -> (mean loss, gradients, logits [K, N])`.

    Means are over the first `rows` examples, None for all, of losses times weights. The key is that of a training step,
    None in an evaluation.
    """
    value, grad = (
        _over_columns(loss.value),
        _over_columns(loss.value if loss.grad is None else loss.grad, gradient=True),
    )
    back = backward_of(model)

    def autodiff(params: Params, batch: Batch, options: Any, key: Any = None, rows: int | None = None) -> tuple:
        def mean_loss(params: Params) -> tuple[Array, Array]:
            logits = logits_of(model, params, batch.inputs, key)
            losses = value(logits, batch.labels, **options)
            return jnp.mean((losses if batch.weights is None else batch.weights * losses)[:rows]), logits

        (mean, logits), gradients = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return mean, gradients, logits

    def manual(params: Params, batch: Batch, options: Any, key: Any = None, rows: int | None = None) -> tuple:
        def value_and_logit_gradient(logits: Array) -> tuple[Array, Array]:
            losses, columns = value(logits, batch.labels, **options), grad(logits, batch.labels, **options)
            if batch.weights is not None:
                losses, columns = batch.weights * losses, batch.weights[None, :] * columns
            if rows is not None:
                columns = jnp.where(jnp.arange(len(batch.labels)) < rows, columns, 0)
            return losses[:rows], columns

        return back(params, batch.inputs, value_and_logit_gradient, key)

    return autodiff if gradient == "autodiff" else manual


def in_row_blocks(value_and_gradient: Callable[..., tuple], row_block: int | None) -> Callable[..., Params]:
    """`f(params, batch, options, key) -> gradients` of the mean loss, added up over blocks of rows.

    Blocks are of one size, which vectorises if it is a power of two; the rows that are left over come last.
    """

    def gradients(params: Params, batch: Batch, options: Any, key: Any) -> Params:
        def mean(batch: Batch, key: Any) -> Params:
            # Each example past the last whole vector would cost as much as a vector: the last one is repeated to fill
            # it, and left out of the mean.
            rows = len(batch.labels)
            missing = -rows % _VECTOR if rows > _VECTOR else 0
            if not missing:
                return value_and_gradient(params, batch, options, key)[1]

            def fill(leaf: Array) -> Array:
                return jnp.pad(leaf, ((0, missing), *[(0, 0)] * (leaf.ndim - 1)), mode="edge")

            return value_and_gradient(params, jax.tree.map(fill, batch), options, key, rows)[1]

        def add(total: Params, part: tuple[Batch, Any]) -> tuple[Params, None]:
            block, index = part
            size = len(block.labels)
            own = None if key is None else jax.random.fold_in(key, index)
            # A block gives the mean over its rows; times their number it is a sum, as the last block may be smaller.
            return jax.tree.map(lambda so_far, leaf: so_far + leaf * size, total, mean(block, own)), None

        rows = len(batch.labels)
        if row_block is None or rows <= row_block:
            return mean(batch, key)
        whole = rows - rows % row_block
        blocks = jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, row_block, *leaf.shape[1:]), batch)
        numbers = jnp.arange(whole // row_block)
        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (blocks, numbers))
        if whole < rows:
            total, _ = add(total, (jax.tree.map(lambda leaf: leaf[whole:], batch), len(numbers)))
        return jax.tree.map(lambda leaf: leaf / rows, total)

    return gradients


def evaluated_in_row_blocks(value_and_gradient: Callable[..., tuple], row_block: int | None) -> Callable[..., tuple]:
    """`f(params, batch, options) -> (mean loss, gradients, logits [K, N])`, at most so many rows at a time.

    All blocks are of one size, so that the network is compiled once; rows that fill the last one have weight 0.
    """

    def whole(params: Params, batch: Batch, options: Any) -> tuple:
        rows = len(batch.labels)
        if row_block is None or rows <= row_block:
            return value_and_gradient(params, batch, options)
        weights = jnp.ones(rows, jax.tree.leaves(params)[0].dtype) if batch.weights is None else batch.weights
        inputs, labels = (_row_blocks(leaf, row_block) for leaf in batch[:2])
        blocks = Batch(inputs, labels, _row_blocks(weights, row_block, 0.0))

        def add(total: tuple, block: Batch) -> tuple[tuple, Array]:
            *parts, logits = value_and_gradient(params, block, options)
            return jax.tree.map(jnp.add, total, tuple(parts)), logits

        begun = (jnp.zeros((), weights.dtype), jax.tree.map(jnp.zeros_like, params))
        total, logits = jax.lax.scan(add, begun, blocks)
        # Each block gives a mean over its rows, the added ones among them.
        size = blocks.labels.shape[1]
        return *jax.tree.map(lambda leaf: leaf * (size / rows), total), _joined(logits, rows)

    return whole


def logits_in_row_blocks(model: Model, params: Params, inputs: Array, row_block: int | None) -> Array:
    """Logits [K, N] of an evaluation, at most so many rows at a time."""
    if row_block is None or len(inputs) <= row_block:
        return logits_of(model, params, inputs)
    logits = jax.lax.map(lambda rows: logits_of(model, params, rows), _row_blocks(inputs, row_block))
    return _joined(logits, len(inputs))


def _row_blocks(leaf: Array, row_block: int, fill: float | None = None) -> Array:
    """[N, ...] as blocks of one size, at most `row_block` or whole vectors: filled up with the last row or a value."""
    rows = len(leaf)
    count = -(-rows // row_block)
    size = -(-rows // count)
    size += -size % _VECTOR
    missing = ((0, count * size - rows), *[(0, 0)] * (leaf.ndim - 1))
    filled = jnp.pad(leaf, missing, mode="edge") if fill is None else jnp.pad(leaf, missing, constant_values=fill)
    return filled.reshape(count, size, *leaf.shape[1:])


def _joined(logits: Array, rows: int) -> Array:
    """Logits [blocks, K, size] as [K, N]."""
    return logits.swapaxes(0, 1).reshape(logits.shape[1], -1)[:, :rows]


def _over_columns(function: Callable[..., Array], *, gradient: bool = False) -> Callable[..., Array]:
    """`function` for logits [K, N]; a user's own may know only rows, so it is given the transpose."""
    if "axis" in inspect.signature(function).parameters:
        return lambda logits, labels, **options: function(logits, labels, axis=0, **options)
    if gradient:
        return lambda logits, labels, **options: function(logits.T, labels, **options).T
    return lambda logits, labels, **options: function(logits.T, labels, **options)
