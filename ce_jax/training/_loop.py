"""The loop over the steps of a run, or of many side by side.

It knows neither models nor losses: what begins a run, what a step does and what is measured are those of a `Trainable`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax.training._records import Hyperparameters, Splits, State, Trainable


def whole_run(train: Trainable, key: Array, hyper: Hyperparameters, data: Splits) -> tuple[State, dict[str, Array]]:
    """The state after the last step, and {metric: [E]}."""
    (intervals,) = segments(train.evaluate_at)
    evaluate = jax.jit(train.evaluate)  # what `advance` traces twice is traced once
    return advance(
        lambda index, state: train.step(key, index, state, hyper, data),
        lambda state: evaluate(state, hyper, data),
        train.begin(key, hyper, data),
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
    _, measured = jax.eval_shape(evaluate, state)

    def skip(state: State) -> tuple[State, dict[str, Array]]:
        # Both branches of a cond have to give the same names, shapes and dtypes.
        return state, {name: jnp.full(one.shape, jnp.nan, one.dtype) for name, one in measured.items()}

    def interval(state: State, bounds: Array) -> tuple[State, dict[str, Array]]:
        first, last, wanted = bounds
        state = jax.lax.fori_loop(first, last, step, state)
        # One condition for all runs side by side: only the branch it picks is computed, where vmap would compute both.
        return jax.lax.cond(wanted == 1, evaluate, skip, state)

    return jax.lax.scan(interval, state, jnp.asarray(intervals))


def segments(evaluate_at: Sequence[int], steps: int | None = None) -> np.ndarray:
    """Cut a run into segments of at most `steps` steps: intervals [segments, n, 3] for `advance`.

    All have the same n, so that one program serves them all; what is missing is filled with empty intervals.

    >>> segments((0, 1, 5), 3).tolist()
    [[[0, 0, 1], [0, 1, 1], [1, 3, 0]], [[3, 5, 1], [5, 5, 0], [5, 5, 0]]]
    """
    length = steps or max(evaluate_at[-1], 1)  # a run of 0 steps, evaluated once, is a segment as well
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

    Args:
      steps: of the run.
      every: steps between two evaluations; None to space them evenly in the logarithm of the step.
      points: how many are wanted after step 0 where they are logarithmic; early ones that coincide are one.

    Returns:
      Increasing whole numbers from 0 to `steps`.

    >>> evaluation_steps(10, every=4)
    (0, 4, 8, 10)
    >>> evaluation_steps(1000, points=6)
    (0, 1, 4, 16, 63, 251, 1000)
    """
    if every is not None:
        return (*range(0, steps, every), steps)
    # At the small end of a logarithmic grid several points round to the same step.
    between = np.unique(np.round(np.geomspace(1, steps, points)).astype(int))
    return (0, *(int(step) for step in between))
