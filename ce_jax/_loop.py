"""The records of a training run, and the loop over its steps.

The loop knows neither models nor losses: what begins a run, what a step does and what is measured are functions that
`ce_jax.training` and `ce_jax.stages` put together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax.models import Params

__all__ = [
    "METRICS",
    "Hyperparameters",
    "Part",
    "Splits",
    "State",
    "Training",
    "advance",
    "evaluation_steps",
    "segments",
]

METRICS = (
    "train_loss",
    "cross_entropy",
    "ssr",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "gradient_norm",
    "true_class_probability",
)
"""What a run records at every evaluation step. `train_loss` is the loss trained on; it, `cross_entropy`, `ssr`,
`gradient_norm` and `true_class_probability` are means over the training part."""


class Part(NamedTuple):
    """One part of a data set: inputs [N, D] and integer labels [N]."""

    inputs: Any
    labels: Any


class Splits(NamedTuple):
    """Training, validation and test part. A leading seed axis on every array means one split per seed."""

    train: Part
    validation: Part
    test: Part


class Hyperparameters(NamedTuple):
    """What varies between the runs of one compiled program: the learning rate and the loss's traced options."""

    learning_rate: Any
    loss_options: Mapping[str, Any]


class State(NamedTuple):
    """What a run carries from step to step."""

    params: Params
    """Weights [out, in], the transpose of the model's own."""
    optimizer_state: Any
    alive: Array
    """False from the first evaluation at which something was not finite."""


@dataclass(frozen=True, eq=False)
class Training:
    """A training run, whole or piece by piece, as pure functions.

    `begin(key, hyper, data)` gives the state before the first step, `step(key, index, state, hyper, data)` the state
    after step `index`, counted from 0, and `evaluate(state, hyper, data)` the state, marked if it has diverged, and
    {metric: value}. Called, it is a whole run: `training(key, hyper, data) -> {metric: [E]}`. One from `make_train` can
    be pickled: it is then made again.
    """

    begin: Callable[[Array, Hyperparameters, Splits], State]
    step: Callable[[Array, Array, State, Hyperparameters, Splits], State]
    evaluate: Callable[[State, Hyperparameters, Splits], tuple[State, dict[str, Array]]]
    evaluate_at: tuple[int, ...]
    make_again: Callable[[], "Training"] | None = None
    """The call that made it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """To be made again in the process that unpickles it."""
        if self.make_again is None:
            raise TypeError("Training: only those from make_train can be pickled")
        return self.make_again, ()

    def __call__(self, key: Array, hyper: Hyperparameters, data: Splits) -> dict[str, Array]:
        """All evaluations of a run from its first step to its last."""
        return self.whole(key, hyper, data)[1]

    def whole(self, key: Array, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
        """The state after the last step, and {metric: [E]}."""
        (intervals,) = segments(self.evaluate_at)
        return advance(
            lambda index, state: self.step(key, index, state, hyper, data),
            lambda state: self.evaluate(state, hyper, data),
            self.begin(key, hyper, data),
            intervals,
        )


def advance(
    step: Callable[[Array, State], State],
    evaluate: Callable[[State], tuple[State, dict[str, Array]]],
    state: State,
    intervals: Any,
) -> tuple[State, dict[str, Array]]:
    """Train over the steps first..last-1 of every interval of [n, 3] (first, last, evaluate).

    The state and what is measured may be those of one run or of many side by side: the loop stands outside of them.

    Returns:
      The state after them and {metric: [n, ...]}, NaN where `evaluate` is not 1.
    """

    def skip(state: State) -> tuple[State, dict[str, Array]]:
        dtype = jax.tree.leaves(state.params)[0].dtype
        return state, {name: jnp.full(jnp.shape(state.alive), jnp.nan, dtype) for name in METRICS}

    def interval(state: State, bounds: Array) -> tuple[State, dict[str, Array]]:
        first, last, wanted = bounds
        state = jax.lax.fori_loop(first, last, step, state)
        return jax.lax.cond(wanted == 1, evaluate, skip, state)

    return jax.lax.scan(interval, state, jnp.asarray(intervals))


def segments(evaluate_at: Sequence[int], steps: int | None = None) -> np.ndarray:
    """Cut a run into segments of at most `steps` steps: intervals [segments, n, 3] for `advance`.

    All have the same n, so that one program serves them all; what is missing is filled with empty intervals.

    >>> segments((0, 1, 5), 3).tolist()
    [[[0, 0, 1], [0, 1, 1], [1, 3, 0]], [[3, 5, 1], [5, 5, 0], [5, 5, 0]]]
    """
    length = steps or max(evaluate_at[-1], 1)
    cuts = range(length, evaluate_at[-1], length)
    ends = sorted({*evaluate_at, *cuts})
    pieces: list[list[tuple[int, int, int]]] = [[]]
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        pieces[-1].append((first, last, int(last in evaluate_at)))
        if last in cuts:
            pieces.append([])
    longest = max(map(len, pieces))
    return np.asarray(
        [piece + [(piece[-1][1], piece[-1][1], 0)] * (longest - len(piece)) for piece in pieces], np.int32
    )


def evaluation_steps(steps: int, *, every: int | None = None, points: int = 64) -> tuple[int, ...]:
    """Steps at which a run is evaluated: always 0 and `steps`, between them every `every` or logarithmically.

    >>> evaluation_steps(10, every=4)
    (0, 4, 8, 10)
    >>> evaluation_steps(1000, points=6)
    (0, 1, 4, 16, 63, 251, 1000)
    """
    if every is not None:
        return (*range(0, steps, every), steps)
    between = np.unique(np.round(np.geomspace(1, steps, points)).astype(int))
    return (0, *(int(step) for step in between))
