"""Training in stages: what a run ends with, and runs that change loss or rate at a step.

A `Training` is made of `begin`, `step` and `evaluate`; here they are put together in other ways, still as pure
functions, so that a sweep takes a run in stages like any other.
"""

from collections.abc import Callable

from jax import Array

from ce_jax._loop import Hyperparameters, Splits, State, Training
from ce_jax.models import Layer, Params

__all__ = ["switched", "trained_parameters"]


def trained_parameters(train: Training) -> Callable[[Array, Hyperparameters, Splits], Params]:
    """The parameters that a run ends with, as a pure function of the run's own arguments.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import LOSSES, Hyperparameters, Part, Splits, linear, make_train
    >>> train = make_train(linear(), LOSSES["ssr"], num_classes=2, evaluate_at=(0, 10))
    >>> part = Part(jnp.array([[-1.0], [1.0]]), jnp.array([0, 1]))
    >>> (layer,) = trained_parameters(train)(jax.random.key(0), Hyperparameters(1.0, {}), Splits(part, part, part))
    >>> layer.weight.shape
    (1, 2)
    """

    def parameters(key: Array, hyper: Hyperparameters, data: Splits) -> Params:
        state, _ = train.whole(key, hyper, data)
        # The engine keeps weights as [out, in].
        return tuple(Layer(layer.weight.T, layer.bias) for layer in state.params)

    return parameters


def switched(first: Training, second: Training, *, rate_factor: float = 1.0) -> Training:
    """A run of `second` that starts where a run of `first` ends.

    Args:
      first: trained to its last step; what it measures is not returned.
      second: its own steps and evaluations count from the switch; it starts with a new optimizer state.
      rate_factor: the second run's learning rate is this times the first one's.

    Returns:
      A `Training` with the evaluation steps of `second`. Both runs visit batches in the order that the key gives, so
      two second stages after the same first one are paired.
    """

    def later(hyper: Hyperparameters) -> Hyperparameters:
        return hyper._replace(learning_rate=rate_factor * hyper.learning_rate)

    def begin(key: Array, hyper: Hyperparameters, data: Splits) -> State:
        ended, _ = first.whole(key, hyper, data)
        return second.begin(key, later(hyper), data)._replace(params=ended.params, alive=ended.alive)

    def step(key: Array, index: Array, state: State, hyper: Hyperparameters, data: Splits) -> State:
        return second.step(key, index, state, later(hyper), data)

    def evaluate(state: State, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        return second.evaluate(state, later(hyper), data)

    return Training(begin, step, evaluate, second.evaluate_at)
