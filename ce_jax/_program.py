"""One compiled program for the waves of a sweep, and the host's loop over its segments."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ce_jax._checkpoint import Checkpoint
from ce_jax._curves import Curves, Done, survivors
from ce_jax._placement import devices, fetch, place
from ce_jax._waves import Plan
from ce_jax.training import Hyperparameters, Splits, Training, segments


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
        done: Done | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Train seeds [s] under hyperparameters with leaves [l], for any s and l up to the plan's.

        Hyperparameters under which every seed has diverged, or is `done`, are retired between segments. Once half of
        them are, the others go on in a program half as wide, or a quarter, and so on: few sizes are ever compiled.

        Args:
          seeds, hyper, data: as in `sweep`; data with a leading axis holds one split for each of the seeds.
          checkpoint: where to go on, from an earlier call with the same arguments.
          save: called after every segment but the last.
          done: as in `sweep`.
          progress: called with steps of one run each, those made since the last call and those that need not be made:
            of a checkpoint, or retired. Together they come to all steps of all runs.

        Returns:
          `{metric: [l, s, E]}`; with `done` also `measured`, see `sweep`.
        """
        num_seeds, num_rates = len(seeds), len(hyper.learning_rate)
        lanes, last = (self.plan.seeds_per_wave, self.plan.rates_per_wave), len(self.intervals) - 1
        per_seed = np.ndim(data.train.labels) == 2
        # Padding lanes repeat the last real one: same shape, no new numbers, results dropped.
        placed = place(self.mesh, _pad(np.asarray(seeds, np.uint32), lanes[0]), True)
        hyper = jax.tree.map(lambda leaf: _pad(np.asarray(leaf), lanes[1]), hyper)
        data = jax.tree.map(lambda leaf: place(self.mesh, _pad(leaf, lanes[0]) if per_seed else leaf, per_seed), data)
        shapes, structure = jax.tree.flatten(self.shapes)
        # The first segment makes its own state and does not read this one.
        nothing = tuple(np.zeros(leaf.shape, leaf.dtype) for leaf in shapes)
        start = checkpoint or Checkpoint(0, np.arange(lanes[1]), nothing, {})
        columns = start.columns
        curves = Curves(lanes, self.intervals, start.curves, mark=done is not None)
        state = jax.tree.unflatten(structure, [place(self.mesh, leaf, True) for leaf in start.leaves])
        tell = progress or (lambda made, spared: None)
        behind = int(self.intervals[start.segment, 0, 0])
        tell(0, num_rates * num_seeds * behind)
        for segment in range(start.segment, last + 1):
            program = self if len(columns) == lanes[1] else self.narrower(len(columns))
            own = jax.tree.map(lambda leaf, columns=columns: place(self.mesh, leaf[columns], False), hyper)
            state, found = program.advance(placed, np.array(segment == 0), state, self.intervals[segment], own, data)
            curves.add(segment, columns, fetch(found))
            begun, behind = behind, int(self.intervals[segment, -1, 1])
            trained = int(np.sum(columns < num_rates)) * num_seeds
            tell(trained * (behind - begun), (num_rates * num_seeds - trained) * (behind - begun))
            if segment == last:
                break
            going = fetch(state.alive)
            if done is not None:
                going = going & ~done(*curves.so_far(segment, columns))
            keep = survivors(going, last - segment)
            if len(keep) < len(columns):
                curves.retire(segment, np.delete(columns, keep))
                if not len(keep):
                    break
                columns = columns[keep]
                state = jax.tree.map(lambda leaf, keep=keep: place(self.mesh, fetch(leaf)[:, keep], True), state)
            if save is not None:
                save(Checkpoint(segment + 1, columns, tuple(fetch(jax.tree.leaves(state))), curves.arrays))
        tell(0, num_rates * num_seeds * (int(self.intervals[-1, -1, 1]) - behind))
        return {name: np.swapaxes(curve, 0, 1)[:num_rates, :num_seeds] for name, curve in curves.arrays.items()}


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
    mesh = Mesh(np.asarray(devices(plan.devices)), ("seeds",))
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
        .compile(compiler_options=_compiler_options(mesh))
    )
    narrower = functools.cache(lambda rates: compile_wave(train, plan._replace(rates_per_wave=rates), hyper, data))
    return CompiledWave(compiled, shapes, intervals, plan, mesh, compiled.memory_analysis(), narrower)


def _compiler_options(mesh: Mesh) -> dict[str, Any] | None:
    """On a CPU half of the time of compiling goes into LLVM's higher levels, which make these programs no faster."""
    if mesh.devices.flat[0].platform != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return None
    return {"xla_backend_optimization_level": 1}


def _pad(leaf: Any, length: int) -> np.ndarray:
    leaf = np.asarray(leaf)
    missing = length - len(leaf)
    return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf
