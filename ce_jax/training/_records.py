"""What a training run takes, carries and measures."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array

from ce_jax.models import Params

METRICS = (
    "train_loss",
    "cross_entropy",
    "ssr",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "gradient_norm",
    "true_class_probability",
    "train_balanced_accuracy",
    "validation_balanced_accuracy",
    "test_balanced_accuracy",
    "train_rare_accuracy",
    "validation_rare_accuracy",
    "test_rare_accuracy",
)
"""What a run records at every evaluation step. `train_loss` is the loss trained on; it, `cross_entropy`, `ssr`,
`gradient_norm` and `true_class_probability` are means over the training part. Balanced accuracy is the mean of the
accuracies within each class that a part has; rare accuracy is that of the rows of the rarest half of the classes, see
`rarest_half`, NaN where a part has none."""

AT_END = ("test_class_accuracy",)
"""What only the last evaluation is kept of: the accuracy within each class [K], NaN for one that the part lacks."""


class Part(NamedTuple):
    """One part of a data set: inputs [N, D], or [N, ...] of another shape such as images', and integer labels [N]."""

    inputs: Any
    labels: Any


class Splits(NamedTuple):
    """Training, validation and test part. A leading seed axis on every array means one split per seed."""

    train: Part
    validation: Part
    test: Part


class Hyperparameters(NamedTuple):
    """What varies between the runs of one compiled program: the learning rate and traced options."""

    learning_rate: Any
    """The largest of the run, where a schedule changes it."""
    loss_options: Mapping[str, Any] = {}
    optimizer_options: Mapping[str, Any] = {}
    """Options of the optimizer that are not fixed, numbers all, see `tunable_options`."""


class State(NamedTuple):
    """What a run carries from step to step."""

    params: Params
    """In the form in which they train, `Model.packed`."""
    optimizer_state: Any
    alive: Array
    """False from the first evaluation at which something was not finite."""


@runtime_checkable
class Trainable(Protocol):
    """A training run piece by piece, as pure functions: what the loop and the sweeps ask of it."""

    @property
    def evaluate_at(self) -> tuple[int, ...]:
        """The steps at which it is evaluated, the first 0 and the last the end."""

    def begin(self, key: Array, hyper: Hyperparameters, data: Splits) -> State:
        """The state before the first step."""

    def step(self, key: Array, index: Array, state: State, hyper: Hyperparameters, data: Splits) -> State:
        """The state after step `index`, counted from 0."""

    def evaluate(self, state: State, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        """The state, marked if it has diverged, and {metric: value}."""

    def parameters(self, state: State) -> Params:
        """The parameters of a state in the model's own form."""
