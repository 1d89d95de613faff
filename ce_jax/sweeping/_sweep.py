"""Every seed under every hyperparameter: here, or on whatever an executor sends waves to."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from ce_jax.sweeping._measured import Done
from ce_jax.sweeping._plan import Block, Plan, blocks
from ce_jax.sweeping._program import CompiledWave, compile_wave
from ce_jax.training import Hyperparameters, Splits, Trainable


@runtime_checkable
class Executor(Protocol):
    """Anything that runs functions elsewhere: concurrent.futures, submitit (also for Slurm), dask.distributed."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Begin `function(*arguments)`; what is returned has `result()`, which waits for it."""


@dataclass(frozen=True)
class _Task:
    """What all waves of one sweep share; equal by its name alone, also when sent to another process."""

    name: str
    train: Trainable = field(compare=False)
    plan: Plan = field(compare=False)
    double: bool = field(compare=False)
    done: Done | None = field(compare=False)


_programs: dict[_Task, CompiledWave] = {}


def _train_wave(task: _Task, seeds: np.ndarray, hyper: Hyperparameters, data: Splits) -> dict[str, np.ndarray]:
    """One wave on the devices of the process that it has been sent to, which compiles the first one only."""
    with jax.enable_x64(task.double):  # threads and processes begin with the default
        program = _programs.get(task)
        if program is None:
            _programs.clear()  # an earlier sweep's programs would only hold memory
            program = _programs[task] = compile_wave(task.train, task.plan, hyper, data)
        return program.run(seeds, hyper, data, done=task.done)


def sweep(
    train: Trainable,
    seeds: Sequence[int],
    hyper: Hyperparameters,
    data: Splits,
    *,
    plan: Plan | None = None,
    executor: Executor | None = None,
    done: Done | None = None,
) -> dict[str, np.ndarray]:
    """Train every seed under every hyperparameter and return all curves.

    Args:
      train: from `make_train`.
      seeds: integers [S]; a seed fixes initial parameters and batch order, whoever shares its wave.
      hyper: hyperparameters with leaves [L], one entry per lane of a seed.
      data: `Splits` of arrays; with a leading axis [S] every seed has its own split.
      plan: shape of a wave; by default everything in one wave on one device.
      executor: trains the waves elsewhere, each on `plan.devices` devices of the process it is sent to: anything
        with `submit(function, *arguments)` that returns something with `result()`. By default they are trained here.
      done: `done(curves, steps)`, asked after every segment but the last with what a wave has measured so far as
        {metric: [s, l, e]} and at which steps [e], says which runs [s, l] need not go on. A hyperparameter under which
        no run has to go on may be retired: what its runs measured last then stands for the rest of their curves.

    Returns:
      `{metric: [L, S, E]}` as numpy arrays, of each of `AT_END` [L, S, K]; with `done` also `measured`, False where the
      value of an earlier evaluation stands because the hyperparameter has been retired.

    >>> import jax.numpy as jnp
    >>> from ce_jax import Part, linear, make_train
    >>> train = make_train(linear(), "cross_entropy", num_classes=2, evaluate_at=(0, 5))
    >>> part = Part(np.array([[-1.0], [1.0]], np.float32), np.array([0, 1]))
    >>> rates = Hyperparameters(np.array([0.1, 1.0, 10.0], np.float32))
    >>> sweep(train, [0, 1], rates, Splits(part, part, part))["train_loss"].shape
    (3, 2, 2)
    """
    plan = plan or Plan(len(seeds), len(hyper.learning_rate), 1)
    per_seed = np.ndim(data.train.labels) == 2
    waves = list(blocks(range(len(seeds)), range(len(hyper.learning_rate)), plan))
    task = _Task(uuid.uuid4().hex, train, plan, bool(jax.config.read("jax_enable_x64")), done)

    def lanes(block: Block) -> tuple[np.ndarray, Hyperparameters, Splits]:
        seed_positions, hyper_positions = np.asarray(block.seeds), np.asarray(block.hyper)
        own = jax.tree.map(lambda leaf: np.asarray(leaf)[seed_positions], data) if per_seed else data
        chosen = jax.tree.map(lambda leaf: np.asarray(leaf)[hyper_positions], hyper)
        return np.asarray(seeds)[seed_positions], chosen, own

    parts: Iterable[dict[str, np.ndarray]]
    if executor is None:
        program = compile_wave(train, plan, hyper, data)
        parts = (program.run(*lanes(block), done=done) for block in waves)
    else:
        submitted = [executor.submit(_train_wave, task, *lanes(block)) for block in waves]
        parts = (future.result() for future in submitted)
    curves: dict[str, np.ndarray] = {}
    for block, part in zip(waves, parts, strict=True):
        for name, curve in part.items():
            # Empty is enough: the blocks cover every seed and every hyperparameter.
            whole = curves.setdefault(
                name, np.empty((len(hyper.learning_rate), len(seeds), curve.shape[-1]), curve.dtype)
            )
            whole[np.ix_(block.hyper, block.seeds)] = curve
    return curves
