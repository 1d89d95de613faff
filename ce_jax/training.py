"""A whole training run as one pure function of (key, hyperparameters, data).

`make_train` fixes everything that shapes the program (model, loss, optimizer, batch size, evaluation steps) and returns
`train(key, hyper, data) -> {metric: [E]}`. Everything that merely varies between runs is an argument, so a sweep is
`jit(vmap(vmap(train)))` and learning rates, seeds and parameters of a loss family never recompile.

Samples are innermost ("columns", logits [K, N]): a small classifier has far more samples than classes, and the
innermost axis is the one that the hardware vectorises over. For the same reason weights are held as [out, in] while
they train: the product with the inputs, W x, then needs no transpose, and that of many lanes is one product.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ce_jax._loop import (
    METRICS,
    Hyperparameters,
    Part,
    Splits,
    State,
    Training,
    evaluation_steps,
    segments,
)
from ce_jax._optimizers import make_optimizer, optimizer_names
from ce_jax._shuffle import shuffled
from ce_jax.backprop import backprop_columns
from ce_jax.losses import Loss, cross_entropy, log_odds, ssr
from ce_jax.models import Layer, Model, Params

__all__ = [
    "METRICS",
    "Hyperparameters",
    "Part",
    "Splits",
    "State",
    "Training",
    "evaluation_steps",
    "make_optimizer",
    "make_train",
    "optimizer_names",
    "segments",
]

_VECTOR = 16  # float32 numbers in the widest vectors of a CPU


def make_train(
    model: Model,
    loss: Loss,
    *,
    num_classes: int,
    evaluate_at: Sequence[int],
    optimizer: str = "sgd",
    optimizer_options: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    row_block: int | None = None,
    gradient: str = "autodiff",
) -> Training:
    """Build `train(key, hyper, data) -> {metric: [E]}`, a whole training run.

    Args:
      model: a `linear` or `mlp`.
      loss: an entry of `LOSSES`, or a `Loss` of your own (`grad` may be None with `gradient="autodiff"`).
      num_classes: K.
      evaluate_at: increasing steps, the first 0; the run ends at the last one (`evaluation_steps` makes them).
      optimizer: name of an optax optimizer; optimizer_options: its further arguments.
      batch_size: None for the full training part; otherwise each epoch visits a fresh permutation in batches of
        this size (a remainder smaller than a batch waits for the next epoch's permutation).
      row_block: a step adds up its gradient over blocks of so many examples, for batches that are wider than a cache
        (`ce_jax.sweep.row_block`); None for the whole batch at once.
      gradient: `autodiff` (jax.grad of loss and model) or `manual` (`ce_jax.backprop`, no autodiff).

    Returns:
      A pure function, see `Training`. `key` is split in two, initial parameters and batch order, so two losses given
      the same key start equal and see equal batches. Divergence is a result, not an error: every metric is NaN from
      the first evaluation at which the loss or its gradient was not finite.

    Raises:
      ValueError: unknown optimizer or gradient route, evaluation steps that do not start at 0 or do not increase.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import LOSSES, linear
    >>> train = make_train(linear(), LOSSES["ssr"], num_classes=2, evaluate_at=(0, 10, 100))
    >>> part = Part(jnp.array([[-1.0], [1.0]]), jnp.array([0, 1]))
    >>> curves = jax.jit(train)(jax.random.key(0), Hyperparameters(1.0, {}), Splits(part, part, part))
    >>> bool(curves["ssr"][-1] < curves["ssr"][0])
    True
    """
    steps = np.asarray(evaluate_at, np.int32)
    if steps[0] != 0 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"evaluate_at: expected increasing steps that start at 0; got {tuple(evaluate_at)}")
    if gradient not in ("autodiff", "manual"):
        raise ValueError(f"gradient: expected 'autodiff' or 'manual'; got {gradient!r}")
    if gradient == "manual" and loss.grad is None:
        raise ValueError(f"gradient: {loss.name} has no hand-written gradient; use 'autodiff'")
    make_optimizer(optimizer, 0.1, optimizer_options)  # wrong names fail here, not inside a trace
    value_and_gradient = _value_and_gradient(model, loss, gradient)
    gradient_of = _in_row_blocks(value_and_gradient, row_block)

    def begin(key: Array, hyper: Hyperparameters, data: Splits) -> State:
        inputs = jnp.asarray(data.train.inputs)
        params = model.init(jax.random.split(key)[0], inputs.shape[1], num_classes)
        params = jax.tree.map(lambda leaf: leaf.astype(inputs.dtype), _transposed(params))
        transform = make_optimizer(optimizer, hyper.learning_rate, optimizer_options)
        return State(params, transform.init(params), jnp.array(True))

    def batch_of(key: Array, index: Array, train: Part) -> tuple[Array, Array]:
        inputs, labels = jax.tree.map(jnp.asarray, train)
        if batch_size is None:
            return inputs, labels
        size = len(labels)
        if batch_size > size:
            raise ValueError(f"batch_size: expected at most the {size} training examples; got {batch_size}")
        epoch, position = jnp.divmod(index, size // batch_size)
        positions = position * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
        chosen = shuffled(jax.random.fold_in(jax.random.split(key)[1], epoch), positions, size)
        return inputs[chosen], labels[chosen]

    @_exact_products
    def step(key: Array, index: Array, state: State, hyper: Hyperparameters, data: Splits) -> State:
        transform = make_optimizer(optimizer, hyper.learning_rate, optimizer_options)
        gradients = gradient_of(state.params, *batch_of(key, index, data.train), hyper.loss_options)
        updates, optimizer_state = transform.update(gradients, state.optimizer_state, state.params)
        return State(optax.apply_updates(state.params, updates), optimizer_state, state.alive)

    @_exact_products
    def evaluate(state: State, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        data = jax.tree.map(jnp.asarray, data)
        value, gradients, logits = value_and_gradient(state.params, *data.train, hyper.loss_options)
        metrics = _metrics(model, _transposed(state.params), data, value, gradients, logits)
        alive = state.alive & jnp.isfinite(value) & jnp.isfinite(metrics["gradient_norm"])
        return state._replace(alive=alive), {name: jnp.where(alive, m, jnp.nan) for name, m in metrics.items()}

    make_again = functools.partial(
        make_train,
        model,
        loss,
        num_classes=num_classes,
        evaluate_at=evaluate_at,
        optimizer=optimizer,
        optimizer_options=optimizer_options,
        batch_size=batch_size,
        row_block=row_block,
        gradient=gradient,
    )
    return Training(begin, step, evaluate, tuple(int(at) for at in steps), make_again)


def _exact_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """Products of float32 in float32, where GPUs round factors to 10 bits and TPUs to 7; JAX's own setting wins."""

    @functools.wraps(function)
    def exact(*arguments: Any) -> Any:
        setting = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        with jax.default_matmul_precision(setting or "highest"):
            return function(*arguments)

    return exact


def _transposed(params: Params) -> Params:
    """Weights [in, out] as [out, in], and back."""
    return tuple(Layer(layer.weight.T, layer.bias) for layer in params)


def _value_and_gradient(model: Model, loss: Loss, gradient: str) -> Callable[..., tuple[Array, Params, Array]]:
    """`f(params, inputs [N, D], labels, options, rows) -> (mean loss, gradients, logits [K, N])`, weights [out, in].

    Means are over the first `rows` examples, None for all.
    """
    value, grad = (
        _over_columns(loss.value),
        _over_columns(loss.value if loss.grad is None else loss.grad, gradient=True),
    )

    def autodiff(params: Params, inputs: Array, labels: Array, options: Any, rows: int | None = None) -> tuple:
        def mean_loss(params: Params) -> tuple[Array, Array]:
            logits = model.columns(_transposed(params), inputs.T)
            return jnp.mean(value(logits, labels, **options)[:rows]), logits

        (mean, logits), gradients = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return mean, gradients, logits

    def manual(params: Params, inputs: Array, labels: Array, options: Any, rows: int | None = None) -> tuple:
        seen = []

        def value_and_logit_gradient(logits: Array) -> tuple[Array, Array]:
            seen.append(logits)
            columns = grad(logits, labels, **options)
            if rows is not None:
                columns = jnp.where(jnp.arange(len(labels)) < rows, columns, 0)
            return value(logits, labels, **options)[:rows], columns

        mean, gradients = backprop_columns(_transposed(params), model, value_and_logit_gradient, inputs.T)
        return mean, _transposed(gradients), seen[0]

    return autodiff if gradient == "autodiff" else manual


def _in_row_blocks(value_and_gradient: Callable[..., tuple], row_block: int | None) -> Callable[..., Params]:
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
            return jax.tree.map(lambda sum, leaf: sum + leaf * size, total, mean(*part)), None

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


def _metrics(
    model: Model, params: Params, data: Splits, value: Array, gradients: Params, logits: Array
) -> dict[str, Array]:
    def accuracy(part: Part) -> Array:
        return _accuracy(model.columns(params, part.inputs.T), part.labels)

    labels = data.train.labels
    return {
        "train_loss": value,
        "cross_entropy": jnp.mean(cross_entropy(logits, labels, axis=0)),
        "ssr": jnp.mean(ssr(logits, labels, axis=0)),
        "train_accuracy": _accuracy(logits, labels),
        "validation_accuracy": accuracy(data.validation),
        "test_accuracy": accuracy(data.test),
        "gradient_norm": optax.tree.norm(gradients),
        "true_class_probability": jnp.mean(jax.nn.sigmoid(log_odds(logits, labels, axis=0))),
    }


def _accuracy(logits: Array, labels: Array) -> Array:
    """Fraction of columns whose own class has the strictly largest logit: a tie is not a correct prediction."""
    own = jnp.arange(logits.shape[0])[:, None] == labels[None, :]
    best_other = jnp.max(jnp.where(own, -jnp.inf, logits), axis=0)
    return jnp.mean(jnp.max(jnp.where(own, logits, -jnp.inf), axis=0) > best_other, dtype=logits.dtype)
