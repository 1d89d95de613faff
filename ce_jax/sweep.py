"""Thousands of training runs in one compiled program: lanes = seeds x hyperparameters, by vmap.

A sweep is cut into **waves** of one fixed shape [seeds, hyperparameters], and a wave's steps into **segments** between
which the host can look, store and stop; every call is a call of the same executable, so learning rates, seeds and loss
parameters never recompile. Seeds are the outer axis: the lanes of one seed share data and batches, so that their first
layers are one matrix product. Over several devices, of one process or of many, the seed axis is sharded with
`shard_map`; lanes never talk to each other, so the program holds no collective.
"""

import functools
import itertools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ce_jax._waves import Block, Plan, blocks, lane_bytes, plan_waves, row_block, step_bytes
from ce_jax.training import Hyperparameters, Splits, Training, segments

__all__ = [
    "Block",
    "Checkpoint",
    "CompiledWave",
    "Plan",
    "blocks",
    "compile_wave",
    "lane_bytes",
    "plan_waves",
    "row_block",
    "step_bytes",
    "sweep",
]


class Checkpoint(NamedTuple):
    """A wave after some of its segments, as plain arrays: all that is needed to go on."""

    segment: int
    """How many segments are finished."""
    columns: np.ndarray
    """Which of the wave's hyperparameters are still trained."""
    leaves: tuple[np.ndarray, ...]
    """The state of their lanes, [s, columns, ...] each, in the order of `jax.tree.leaves`."""
    curves: dict[str, np.ndarray]
    """What has been measured so far, [s, l, E] each; the rest is NaN."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for an npz without pickles."""
        named = {"segment": np.array(self.segment), "columns": self.columns}
        named |= {f"leaf/{i}": leaf for i, leaf in enumerate(self.leaves)}
        return named | {f"curve/{name}": curve for name, curve in self.curves.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Checkpoint":
        """The inverse of `to_arrays`."""
        count = sum(name.startswith("leaf/") for name in arrays)
        curves = {name.removeprefix("curve/"): array for name, array in arrays.items() if name.startswith("curve/")}
        leaves = tuple(arrays[f"leaf/{i}"] for i in range(count))
        return cls(int(arrays["segment"]), arrays["columns"], leaves, curves)


@dataclass(frozen=True, eq=False)
class CompiledWave:
    """One compiled program for waves of a fixed shape, made by `compile_wave`."""

    advance: Callable[..., Any]
    shapes: Any
    """Shape and dtype of every leaf of a wave's state."""
    intervals: np.ndarray
    plan: Plan
    mesh: Mesh
    memory: Any
    """What the compiler reports (`temp_size_in_bytes` and others); None where the backend does not say."""
    narrower: Callable[[int], "CompiledWave"]
    """The same program for waves of fewer hyperparameters, compiled when first asked for."""

    def run(
        self,
        seeds: Sequence[int] | np.ndarray,
        hyper: Hyperparameters,
        data: Splits,
        *,
        checkpoint: Checkpoint | None = None,
        save: Callable[[Checkpoint], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Train seeds [s] under hyperparameters with leaves [l], for any s and l up to the plan's.

        Hyperparameters under which every seed has diverged are retired between segments. Once half of them are, the
        others go on in a program half as wide, or a quarter, and so on: few sizes are ever compiled.

        Args:
          seeds, hyper, data: as in `sweep`; data with a leading axis holds one split for each of the seeds.
          checkpoint: where to go on, from an earlier call with the same arguments.
          save: called after every segment but the last.

        Returns:
          `{metric: [l, s, E]}`.
        """
        num_seeds, num_rates = len(seeds), len(hyper.learning_rate)
        lanes, last = (self.plan.seeds_per_wave, self.plan.rates_per_wave), len(self.intervals) - 1
        per_seed = np.ndim(data.train.labels) == 2
        # Padding lanes repeat the last real one: same shape, no new numbers, results dropped.
        placed = self._place(_pad(np.asarray(seeds, np.uint32), lanes[0]), True)
        hyper = jax.tree.map(lambda leaf: _pad(np.asarray(leaf), lanes[1]), hyper)
        data = jax.tree.map(lambda leaf: self._place(_pad(leaf, lanes[0]) if per_seed else leaf, per_seed), data)
        shapes, structure = jax.tree.flatten(self.shapes)
        # The first segment makes its own state and does not read this one.
        nothing = tuple(np.zeros(leaf.shape, leaf.dtype) for leaf in shapes)
        start = checkpoint or Checkpoint(0, np.arange(lanes[1]), nothing, {})
        columns, curves = start.columns, start.curves
        state = jax.tree.unflatten(structure, [self._place(leaf, True) for leaf in start.leaves])
        for segment in range(start.segment, last + 1):
            program = self if len(columns) == lanes[1] else self.narrower(len(columns))
            intervals = self.intervals[segment]
            own = jax.tree.map(lambda leaf, columns=columns: self._place(leaf[columns], False), hyper)
            state, measured = program.advance(placed, np.array(segment == 0), state, intervals, own, data)
            first = self.intervals[:segment, :, 2].sum()
            for name, curve in _fetch(measured).items():
                found = curve[..., intervals[:, 2] == 1]
                whole = curves.setdefault(name, np.full((*lanes, self.intervals[..., 2].sum()), np.nan, curve.dtype))
                whole[:, columns, first : first + found.shape[-1]] = found
            if segment == last:
                break
            keep = _survivors(_fetch(state.alive), last - segment)
            if not len(keep):
                break
            if len(keep) < len(columns):
                columns = columns[keep]
                state = jax.tree.map(lambda leaf, keep=keep: self._place(_fetch(leaf)[:, keep], True), state)
            if save is not None:
                save(Checkpoint(segment + 1, columns, tuple(_fetch(jax.tree.leaves(state))), curves))
        return {name: np.swapaxes(curve, 0, 1)[:num_rates, :num_seeds] for name, curve in curves.items()}

    def _place(self, leaf: Any, over_seeds: bool) -> jax.Array:
        sharding = NamedSharding(self.mesh, PartitionSpec("seeds") if over_seeds else PartitionSpec())
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        # Every process has the same values and takes its own; device_put would compare them over the network.
        leaf = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


def _survivors(alive: np.ndarray, segments_left: int) -> np.ndarray:
    """Columns of lanes [s, l] to go on with: those alive, filled up with others to a power of two; none if none lives.

    With one segment left, a narrower program would take longer to compile than it saves.

    >>> _survivors(np.array([[True, False, False, False, True, False, False, True]]), 2).tolist()
    [0, 1, 4, 7]
    """
    living = np.flatnonzero(alive.any(axis=0))
    width = 1 << max(len(living) - 1, 0).bit_length()
    if len(living) and (2 * width > alive.shape[1] or segments_left < 2):
        return np.arange(alive.shape[1])
    others = np.setdiff1d(np.arange(alive.shape[1]), living)
    return np.sort(np.concatenate([living, others[: width - len(living)]])) if len(living) else living


def _fetch(tree: Any) -> Any:
    """Arrays on the host of every process, wherever their pieces lie."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    everywhere = NamedSharding(jax.tree.leaves(tree)[0].sharding.mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: np.asarray(leaf.addressable_data(0)), jax.jit(_same, out_shardings=everywhere)(tree)
    )


def _same(tree: Any) -> Any:
    return tree


def _devices(count: int) -> list[Any]:
    """So many devices, taken from all processes in turn: each process has to take part in every program."""
    order: list[tuple[int, int, Any]] = []
    for _, own in itertools.groupby(jax.devices(), lambda device: device.process_index):
        order += [(place, device.process_index, device) for place, device in enumerate(own)]
    return [device for *_, device in sorted(order, key=lambda entry: entry[:2])[:count]]


def compile_wave(train: Training, plan: Plan, hyper: Hyperparameters, data: Splits) -> CompiledWave:
    """Compile `train` for waves of the plan's shape.

    Args:
      train: from `make_train`.
      plan: shape of the wave.
      hyper: hyperparameters with leaves [L]; only their structure and dtypes matter here.
      data: split arrays; with a leading seed axis (inputs [S, N, D]) every seed has its own split.

    Returns:
      The compiled program.
    """
    per_seed = np.ndim(data.train.labels) == 2
    mesh = Mesh(np.asarray(_devices(plan.devices)), ("seeds",))
    over_seeds, shared = PartitionSpec("seeds"), PartitionSpec()
    data_spec = over_seeds if per_seed else shared

    def wave(seeds: Any, fresh: Any, state: Any, intervals: Any, hyper: Hyperparameters, data: Splits) -> Any:
        def one_seed(seed: jax.Array, state: Any, data: Splits) -> Any:
            # Named, because lanes of an "rbg" key would share their draws under vmap.
            key = jax.random.key(seed, impl="threefry2x32")

            def one_lane(state: Any, one: Hyperparameters) -> Any:
                state = jax.lax.cond(fresh, lambda: train.begin(key, one, data), lambda: state)
                return train.advance(key, state, one, data, intervals)

            return jax.vmap(one_lane)(state, hyper)

        return jax.vmap(one_seed, (0, 0, 0 if per_seed else None))(seeds, state, data)

    specs = (over_seeds, shared, over_seeds, shared, shared, data_spec)
    sharded = jax.shard_map(wave, mesh=mesh, in_specs=specs, out_specs=over_seeds, check_vma=False)
    lanes = (plan.seeds_per_wave, plan.rates_per_wave)

    def shaped(leaf: Any, leading: tuple[int, ...] = (), drop: int = 0) -> jax.ShapeDtypeStruct:
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        return jax.ShapeDtypeStruct((*leading, *np.shape(leaf)[drop:]), jax.dtypes.canonicalize_dtype(dtype))

    one = jax.tree.map(lambda leaf: shaped(leaf, (), 1), hyper)
    one_data = jax.tree.map(lambda leaf: shaped(leaf, (), int(per_seed)), data)
    key = jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))
    shapes = jax.tree.map(lambda leaf: shaped(leaf, lanes), jax.eval_shape(train.begin, key, one, one_data))
    intervals = segments(train.evaluate_at, plan.segment_steps)
    compiled = (
        jax.jit(sharded)
        .lower(
            jax.ShapeDtypeStruct((plan.seeds_per_wave,), jnp.uint32),
            jax.ShapeDtypeStruct((), jnp.bool_),
            shapes,
            shaped(intervals[0]),
            jax.tree.map(lambda leaf: shaped(leaf, (plan.rates_per_wave,), 1), hyper),
            jax.tree.map(lambda leaf: shaped(leaf, (plan.seeds_per_wave,) if per_seed else (), int(per_seed)), data),
        )
        .compile()
    )
    narrower = functools.cache(lambda rates: compile_wave(train, plan._replace(rates_per_wave=rates), hyper, data))
    return CompiledWave(compiled, shapes, intervals, plan, mesh, compiled.memory_analysis(), narrower)


def _pad(leaf: Any, length: int) -> np.ndarray:
    leaf = np.asarray(leaf)
    missing = length - len(leaf)
    return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf


@runtime_checkable
class Executor(Protocol):
    """Whoever runs functions elsewhere: concurrent.futures, submitit (also for Slurm), dask.distributed."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Begin `function(*arguments)`; what is returned has `result()`, which waits for it."""


@dataclass(frozen=True)
class _Task:
    """What all waves of one sweep share; equal by its name alone, also after a journey to another process."""

    name: str
    train: Training = field(compare=False)
    plan: Plan = field(compare=False)
    double: bool = field(compare=False)


_programs: dict[_Task, CompiledWave] = {}


def _train_wave(task: _Task, seeds: np.ndarray, hyper: Hyperparameters, data: Splits) -> dict[str, np.ndarray]:
    """One wave on the devices of the process that it has been sent to, which compiles the first one only."""
    with jax.enable_x64(task.double):  # threads and processes begin with the default
        program = _programs.get(task)
        if program is None:
            _programs.clear()
            program = _programs[task] = compile_wave(task.train, task.plan, hyper, data)
        return program.run(seeds, hyper, data)


def sweep(
    train: Training,
    seeds: Sequence[int],
    hyper: Hyperparameters,
    data: Splits,
    *,
    plan: Plan | None = None,
    executor: Executor | None = None,
) -> dict[str, np.ndarray]:
    """Train every seed under every hyperparameter and return all curves.

    Args:
      train: from `make_train`.
      seeds: integers [S]; a seed fixes initial parameters and batch order, whoever shares its wave.
      hyper: hyperparameters with leaves [L], one entry per lane of a seed.
      data: `Splits` of arrays; with a leading axis [S] every seed has its own split.
      plan: shape of a wave; by default everything in one wave on one device.
      executor: trains the waves elsewhere, each on `plan.devices` devices of whoever gets it: anything with
        `submit(function, *arguments)` that returns something with `result()`. By default they are trained here.

    Returns:
      `{metric: [L, S, E]}` as numpy arrays.

    >>> import jax.numpy as jnp
    >>> from ce_jax import LOSSES, linear
    >>> from ce_jax.training import Part, make_train
    >>> train = make_train(linear(), LOSSES["cross_entropy"], num_classes=2, evaluate_at=(0, 5))
    >>> part = Part(np.array([[-1.0], [1.0]], np.float32), np.array([0, 1]))
    >>> rates = Hyperparameters(np.array([0.1, 1.0, 10.0], np.float32), {})
    >>> sweep(train, [0, 1], rates, Splits(part, part, part))["train_loss"].shape
    (3, 2, 2)
    """
    plan = plan or Plan(len(seeds), len(hyper.learning_rate), 1)
    per_seed = np.ndim(data.train.labels) == 2
    waves = list(blocks(range(len(seeds)), range(len(hyper.learning_rate)), plan))
    task = _Task(uuid.uuid4().hex, train, plan, bool(jax.config.read("jax_enable_x64")))

    def lanes(block: Block) -> tuple[np.ndarray, Hyperparameters, Splits]:
        s, h = np.asarray(block.seeds), np.asarray(block.hyper)
        own = jax.tree.map(lambda leaf: np.asarray(leaf)[s], data) if per_seed else data
        return np.asarray(seeds)[s], jax.tree.map(lambda leaf: np.asarray(leaf)[h], hyper), own

    parts: Iterable[dict[str, np.ndarray]]
    if executor is None:
        program = compile_wave(train, plan, hyper, data)
        parts = (program.run(*lanes(block)) for block in waves)
    else:
        submitted = [executor.submit(_train_wave, task, *lanes(block)) for block in waves]
        parts = (one.result() for one in submitted)
    curves: dict[str, np.ndarray] = {}
    for block, part in zip(waves, parts, strict=True):
        for name, curve in part.items():
            whole = curves.setdefault(
                name, np.empty((len(hyper.learning_rate), len(seeds), curve.shape[-1]), curve.dtype)
            )
            whole[np.ix_(block.hyper, block.seeds)] = curve
    return curves
