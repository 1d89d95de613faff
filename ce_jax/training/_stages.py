"""Training in stages: what a run ends with, and runs that change loss or rate at a step."""

from collections.abc import Callable
from dataclasses import dataclass

from jax import Array

from ce_jax.models import Params
from ce_jax.training._loop import whole_run
from ce_jax.training._records import Hyperparameters, Splits, State, Trainable


def trained_parameters(train: Trainable) -> Callable[[Array, Hyperparameters, Splits], Params]:
    """The parameters that a run ends with, as a pure function of the run's own arguments.

    Args:
      train: a run from `make_train`, or of two stages from `switched`.

    Returns:
      A function of (key, hyperparameters, splits) that returns the parameters, shaped as the model's `init` makes them.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import Hyperparameters, Part, Splits, linear, make_train
    >>> train = make_train(linear(), "ssr", num_classes=2, evaluate_at=(0, 10))
    >>> part = Part(jnp.array([[-1.0], [1.0]]), jnp.array([0, 1]))
    >>> (layer,) = trained_parameters(train)(jax.random.key(0), Hyperparameters(1.0), Splits(part, part, part))
    >>> layer.weight.shape
    (1, 2)
    """

    def parameters(key: Array, hyper: Hyperparameters, data: Splits) -> Params:
        state, _ = whole_run(train, key, hyper, data)
        return train.parameters(state)

    return parameters


@dataclass(frozen=True, eq=False)
class Switched:
    """A run of `second` that starts where a run of `first` ends, see `switched`; a `Trainable`."""

    first: Trainable
    second: Trainable
    rate_factor: float

    @property
    def evaluate_at(self) -> tuple[int, ...]:
        """Steps of the second run."""
        return self.second.evaluate_at

    def __call__(self, key: Array, hyper: Hyperparameters, data: Splits) -> dict[str, Array]:
        """All evaluations of the second run."""
        return whole_run(self, key, hyper, data)[1]

    def begin(self, key: Array, hyper: Hyperparameters, data: Splits) -> State:
        """The state at the switch."""
        ended, _ = whole_run(self.first, key, hyper, data)
        # Only the parameters go over: the first optimizer's state was gathered under another loss and rate.
        return self.second.begin(key, self._later(hyper), data)._replace(params=ended.params, alive=ended.alive)

    def step(self, key: Array, index: Array, state: State, hyper: Hyperparameters, data: Splits) -> State:
        """The state after so many steps past the switch."""
        return self.second.step(key, index, state, self._later(hyper), data)

    def evaluate(self, state: State, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        """The second run's evaluation."""
        return self.second.evaluate(state, self._later(hyper), data)

    def parameters(self, state: State) -> Params:
        """The parameters of a state in the second run's own form."""
        return self.second.parameters(state)

    def _later(self, hyper: Hyperparameters) -> Hyperparameters:
        return hyper._replace(learning_rate=self.rate_factor * hyper.learning_rate)


def switched(first: Trainable, second: Trainable, *, rate_factor: float = 1.0) -> Switched:
    """A run of `second` that starts where a run of `first` ends.

    Args:
      first: trained to its last step; what it measures is not returned.
      second: its own steps and evaluations count from the switch; it starts with a new optimizer state.
      rate_factor: the second run's learning rate is this times the first one's.

    Returns:
      A run with the evaluation steps of `second`. Both runs visit batches in the order that the key gives, so two
      second stages after the same first one are paired.

    >>> from ce_jax import linear, make_train
    >>> first = make_train(linear(), "ssr", num_classes=2, evaluate_at=(0, 5))
    >>> second = make_train(linear(), "cross_entropy", num_classes=2, evaluate_at=(0, 9))
    >>> switched(first, second, rate_factor=0.1).evaluate_at
    (0, 9)
    """
    return Switched(first, second, rate_factor)
