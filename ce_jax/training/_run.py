"""A whole training run as one pure function of (key, hyperparameters, data).

`make_train` fixes everything that shapes the program (model, loss, optimizer, batch size, evaluation steps) and returns
a `Training`, `train(key, hyper, data) -> {metric: [E]}`. Everything that merely varies between runs is an argument, so
a sweep is `jit(vmap(vmap(train)))` and learning rates, seeds and parameters of a loss family never recompile.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ce_jax._checking import check_one_of
from ce_jax.losses import LOSSES, Loss, as_loss, class_weights
from ce_jax.models import Model, Params, begin, exactly, is_stochastic
from ce_jax.training._gradients import (
    Batch,
    evaluated_in_row_blocks,
    in_row_blocks,
    logits_in_row_blocks,
    value_and_gradient_of,
)
from ce_jax.training._loop import whole_run
from ce_jax.training._metrics import metrics
from ce_jax.training._optimizers import check_options, make_optimizer, takes_schedule
from ce_jax.training._records import Hyperparameters, Part, Splits, State
from ce_jax.training._schedules import SCHEDULES, scheduled
from ce_jax.training._shuffle import shuffled

ClassWeight = str | Sequence[float] | None
"""What an example of each class counts in the training loss: see `make_train`."""


def _exact_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls another `exactly`."""

    @functools.wraps(function)
    def exact(*arguments: Any) -> Any:
        return exactly(function, *arguments)

    return exact


# Compared and hashed by identity: jax.jit needs a hash, which the optimizer's dict of options does not have.
@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """The settings of a training run, which is a pure function of what they leave open; made by `make_train`.

    Called, it is the whole run: `training(key, hyper, data) -> {metric: [E]}`. Piece by piece it is a `Trainable`.
    """

    model: Model
    loss: Loss
    num_classes: int
    evaluate_at: tuple[int, ...]
    optimizer: str
    optimizer_options: Mapping[str, Any]
    schedule: str
    batch_size: int | None
    row_block: int | None
    evaluate_block: int | None
    evaluation_rows: int | None
    gradient: str
    class_weight: ClassWeight

    def __call__(self, key: Array, hyper: Hyperparameters, data: Splits) -> dict[str, Array]:
        """All evaluations of a run from its first step to its last."""
        return whole_run(self, key, hyper, data)[1]

    def begin(self, key: Array, hyper: Hyperparameters, data: Splits) -> State:
        """The state before the first step."""
        inputs = jnp.asarray(data.train.inputs)
        # The first of the key's two halves draws the parameters; `_batch` takes the second.
        params = begin(self.model, jax.random.split(key)[0], inputs, self.num_classes)
        # The data decide the precision of a run, whatever dtype explicit start parameters have.
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, _precision(inputs)), self.model.packed(params))
        return State(params, self._transform(hyper).init(params), jnp.array(True))

    @_exact_products
    def step(self, key: Array, index: Array, state: State, hyper: Hyperparameters, data: Splits) -> State:
        """The state after step `index`, counted from 0."""
        # The third key of the run, after those of parameters and batches, and of it one for each step.
        own = jax.random.fold_in(jax.random.fold_in(key, 2), index) if is_stochastic(self.model) else None
        gradients = self.gradient_on(self._batch(key, index, data.train), state.params, hyper, data.train, own)
        updates, optimizer_state = self._transform(hyper).update(gradients, state.optimizer_state, state.params)
        return State(optax.apply_updates(state.params, updates), optimizer_state, state.alive)

    @_exact_products
    def gradient_on(self, batch: Part, params: Params, hyper: Hyperparameters, train: Part, key: Any = None) -> Params:
        """The gradient of the mean loss of a step's examples; the key is that of the step, None if no model asks."""
        gradient_of = in_row_blocks(self._value_and_gradient, self.row_block)
        return gradient_of(params, self._weighted(*batch, train.labels), self._options(hyper, train), key)

    @_exact_products
    def evaluate(self, state: State, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        """The state, marked if it has diverged, and {metric: value}."""
        data = jax.tree.map(jnp.asarray, data)
        train = self._evaluated(data.train)
        batch = self._weighted(*train, data.train.labels)
        evaluated = evaluated_in_row_blocks(self._value_and_gradient, self.evaluate_block)
        value, gradients, logits = evaluated(state.params, batch, self._options(hyper, data.train))
        logits_of = functools.partial(logits_in_row_blocks, self.model, state.params, row_block=self.evaluate_block)
        seen = data._replace(train=train)
        measured = metrics(logits_of, seen, data.train.labels, value, gradients, logits)
        # From the last `alive` on, so that a run that has diverged stays so even if its values were finite again.
        alive = state.alive & jnp.isfinite(value) & jnp.isfinite(measured["gradient_norm"])
        return state._replace(alive=alive), {name: jnp.where(alive, m, jnp.nan) for name, m in measured.items()}

    def parameters(self, state: State) -> Params:
        """The parameters of a state in the model's own form."""
        return self.model.unpacked(state.params)

    @property
    def program(self) -> Any:
        """Equal for runs whose `step` and `evaluate` are the same functions, whatever they begin with.

        Of a loss or a network that a user brings nobody knows what else it depends on: such a run equals itself alone.
        """
        model = self.model
        if model.columns is None or LOSSES.get(self.loss.name) is not self.loss:
            return self
        passes = tuple(map(_by_value, (model.columns, model.backward)))
        options = repr(sorted(self.optimizer_options.items()))  # a dict has no hash
        apart = ("model", "loss", "optimizer_options")
        rest = tuple(getattr(self, one.name) for one in dataclasses.fields(self) if one.name not in apart)
        return passes, self.loss.name, options, rest

    def _transform(self, hyper: Hyperparameters) -> Any:
        rate = scheduled(self.schedule, hyper.learning_rate, self.evaluate_at[-1])
        return make_optimizer(self.optimizer, rate, {**self.optimizer_options, **hyper.optimizer_options})

    @property
    def _value_and_gradient(self) -> Callable[..., tuple[Array, Any, Array]]:
        return value_and_gradient_of(self.model, self.loss, self.gradient)

    def _options(self, hyper: Hyperparameters, train: Part) -> Mapping[str, Any]:
        """The loss's options; `prior`, where a loss takes one, is how frequent each class is among those trained on."""
        if "prior" not in inspect.signature(self.loss.value).parameters or "prior" in hyper.loss_options:
            return hyper.loss_options
        labels = jnp.asarray(train.labels)
        shares = (labels[None, :] == jnp.arange(self.num_classes)[:, None]).mean(axis=1, dtype=_precision(train.inputs))
        return {**hyper.loss_options, "prior": shares}

    def _weighted(self, inputs: Any, labels: Any, every_label: Any) -> Batch:
        """A batch with the weights of its examples, of which the mean is 1."""
        if self.class_weight is None:
            return Batch(inputs, labels)
        if self.class_weight == "balanced":
            weights = class_weights(every_label, self.num_classes)
        else:
            weights = jnp.asarray(self.class_weight)
        own = weights.astype(_precision(inputs))[labels]
        total = own.sum()
        # A batch in which no class has a weight teaches nothing; its mean would be 0 / 0.
        return Batch(inputs, labels, own * (len(labels) / jnp.where(total > 0, total, 1)))

    def _evaluated(self, train: Part) -> Part:
        """What an evaluation sees of the training part."""
        every = len(train.labels)
        rows = evaluated_rows(every, self.evaluation_rows)
        if rows == every:
            return train
        # Drawn: rows may be sorted by class, or classes take turns. The same at every step of every run.
        chosen = np.sort(np.random.default_rng(0).permutation(every)[:rows])
        return Part(train.inputs[chosen], train.labels[chosen])

    def _batch(self, key: Array, index: Array, train: Part) -> Part:
        inputs, labels = jax.tree.map(jnp.asarray, train)
        if self.batch_size is None:
            return Part(inputs, labels)
        size = len(labels)
        if self.batch_size > size:
            raise ValueError(f"batch_size: expected at most the {size} training examples, got {self.batch_size}")
        # A batch follows from key and step alone, so a run goes on from a checkpoint with no order of examples stored.
        epoch, position = jnp.divmod(index, size // self.batch_size)
        positions = position * self.batch_size + jnp.arange(self.batch_size, dtype=jnp.int32)
        chosen = shuffled(jax.random.fold_in(jax.random.split(key)[1], epoch), positions, size)
        return Part(inputs[chosen], labels[chosen])


def _by_value(function: Any) -> Any:
    """A function as what it is equal to: partial applications are equal to themselves alone."""
    if not isinstance(function, functools.partial):
        return function
    return (function.func, function.args, tuple(sorted(function.keywords.items())))


def evaluated_rows(examples: int, most: int | None) -> int:
    """How many examples of the training part an evaluation looks at; `most` is `evaluation_rows`."""
    return examples if most is None else min(most, examples)


def _precision(inputs: Array) -> Any:
    """The precision of a run: that of its inputs, where they are not whole numbers."""
    return inputs.dtype if jnp.issubdtype(inputs.dtype, jnp.floating) else jnp.result_type(float)


def make_train(
    model: Model,
    loss: Loss | str | Callable[..., Array],
    *,
    num_classes: int,
    evaluate_at: Sequence[int],
    optimizer: str = "sgd",
    optimizer_options: Mapping[str, Any] | None = None,
    schedule: str = "constant",
    batch_size: int | None = None,
    row_block: int | None = None,
    evaluate_block: int | None = None,
    evaluation_rows: int | None = None,
    gradient: str = "autodiff",
    class_weight: ClassWeight = None,
) -> Training:
    """Build `train(key, hyper, data) -> {metric: [E]}`, a whole training run.

    Args:
      model: a `linear`, `mlp` or `cnn`, or any `Model` (`ce_jax.models.as_model` makes one of other libraries').
      loss: a name of `LOSSES`, a `Loss`, or a function of (logits [N, K], labels [N]) with values [N].
      num_classes: K.
      evaluate_at: increasing steps, the first 0; the run ends at the last one (`evaluation_steps` makes them).
      optimizer: name of an optax optimizer; optimizer_options: its further arguments, see `make_optimizer`.
      schedule: how the learning rate goes over the run, which is its horizon: `constant`, `cosine`, `linear`,
        `exponential`, `warmup_cosine` or `step`, see `SCHEDULES`. The rate given is the largest.
      batch_size: None for the full training part; otherwise each epoch visits a fresh permutation in batches of
        this size (a remainder smaller than a batch waits for the next epoch's permutation).
      row_block: a step adds up its gradient over blocks of so many examples, for batches that are wider than a cache
        (`ce_jax.sweeping.row_block`); None for the whole batch at once.
      evaluate_block: an evaluation takes so many examples of a part at a time; None for all at once.
      evaluation_rows: an evaluation looks at so many examples of the training part, the same in every run; None for
        all of them.
      gradient: `autodiff` (jax.grad of loss and model) or `manual` (`ce_jax.backprop`: the loss's gradient by hand, and
        that of a dense network's layers; other networks are gone back through by `jax.vjp`).
      class_weight: what an example of each class counts in the training loss, [K] numbers from 0; `balanced` for
        N / (K n_k) from the class counts of the training part (`ce_jax.class_weights`). A batch's loss is
        sum(w l) / sum(w) over its examples. Everything else that is measured is not weighted.

    Returns:
      A pure function, see `Training`; of each of `AT_END` its values are [E, K]. `key` is split in two, initial
      parameters and batch order, so two losses given the same key start equal and see equal batches. Divergence is a
      result, not an error: every metric is NaN from the first evaluation at which the loss or its gradient was not
      finite.

    Raises:
      ValueError: unknown loss, optimizer, schedule or gradient route, options that the optimizer does not take,
        evaluation steps that do not start at 0 or do not increase.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import linear
    >>> train = make_train(linear(), "ssr", num_classes=2, evaluate_at=(0, 10, 100))
    >>> part = Part(jnp.array([[-1.0], [1.0]]), jnp.array([0, 1]))
    >>> curves = jax.jit(train)(jax.random.key(0), Hyperparameters(1.0), Splits(part, part, part))
    >>> bool(curves["ssr"][-1] < curves["ssr"][0])
    True
    """
    loss = as_loss(loss)
    steps = np.asarray(evaluate_at, np.int32)
    if steps[0] != 0 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"evaluate_at: expected increasing steps that start at 0, got {tuple(evaluate_at)}")
    if not isinstance(gradient, str) or gradient not in ("autodiff", "manual"):
        raise ValueError(f"gradient: expected 'autodiff' or 'manual', got {gradient!r}")
    if gradient == "manual" and loss.grad is None:
        raise ValueError(f"gradient: expected 'autodiff', as {loss.name} has no hand-written gradient, got 'manual'")
    weights = class_weight if class_weight is None or isinstance(class_weight, str) else tuple(map(float, class_weight))
    listed = isinstance(weights, tuple) and len(weights) == num_classes and all(0 <= one < np.inf for one in weights)
    if not listed and weights not in (None, "balanced"):
        expected = f"'balanced' or {num_classes} numbers from 0, one for each class"
        raise ValueError(f"class_weight: expected {expected}, got {class_weight!r}")
    # Wrong names fail here, not inside a trace.
    check_options(optimizer, optimizer_options)
    check_one_of("schedule", schedule, SCHEDULES)
    if schedule != "constant" and not takes_schedule(optimizer, optimizer_options):
        raise ValueError(f"schedule: expected 'constant', as optax.{optimizer} takes a fixed rate, got {schedule!r}")
    return Training(
        model=model,
        loss=loss,
        num_classes=num_classes,
        evaluate_at=tuple(int(at) for at in steps),
        optimizer=optimizer,
        optimizer_options=dict(optimizer_options or {}),
        schedule=schedule,
        batch_size=batch_size,
        row_block=row_block,
        evaluate_block=evaluate_block,
        evaluation_rows=evaluation_rows,
        gradient=gradient,
        class_weight=weights,
    )
