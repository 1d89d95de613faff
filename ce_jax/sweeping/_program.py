"""The compiled programs for the waves of a sweep, and the host's loop over segments."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ce_jax.sweeping._checkpoint import Checkpoint
from ce_jax.sweeping._measured import Done, WaveCurves, survivors
from ce_jax.sweeping._placement import devices, fetch, place
from ce_jax.sweeping._plan import Plan
from ce_jax.training import Hyperparameters, Splits, State, Trainable, advance, segments


@dataclass(frozen=True, eq=False)
class CompiledWave:
    """The compiled programs for waves of a fixed shape, made by `compile_wave`.

    The program that begins runs does not depend on their loss, and the one that advances them not on their start:
    workloads that differ in only one of the two share the other program through JAX's compilation cache.
    """

    begin: Callable[..., Any]
    """(seeds, hyper, data) -> state."""
    advance: Callable[[int], Callable[..., Any]]
    """For so many hyperparameters, compiled when first asked for, (seeds, state, hyper, data, intervals) -> state,
    {metric: [seeds, rates, n]}."""
    structure: Any
    """The state's tree, whose leaves a checkpoint holds."""
    intervals: np.ndarray
    plan: Plan
    mesh: Mesh
    memory: Any
    """What the compiler reports (`temp_size_in_bytes` and others); None where the backend does not say."""

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
          `{metric: [l, s, E]}`, of each of `AT_END` [l, s, K]; with `done` also `measured`, see `sweep`.
        """
        num_seeds, num_rates = len(seeds), len(hyper.learning_rate)
        lanes, last = (self.plan.seeds_per_wave, self.plan.rates_per_wave), len(self.intervals) - 1
        per_seed = np.ndim(data.train.labels) == 2  # labels [S, N]; one split for all seeds has labels [N]
        # Padding lanes repeat the last real one: same shape, no new numbers, results dropped.
        placed = place(self.mesh, _pad(np.asarray(seeds, np.uint32), lanes[0]), True)
        hyper = jax.tree.map(lambda leaf: _pad(np.asarray(leaf), lanes[1]), hyper)
        data = jax.tree.map(lambda leaf: place(self.mesh, _pad(leaf, lanes[0]) if per_seed else leaf, per_seed), data)
        start = checkpoint or Checkpoint(segment=0, columns=np.arange(lanes[1]), leaves=(), curves={})
        columns = start.columns
        own = jax.tree.map(lambda leaf: place(self.mesh, leaf[columns], False), hyper)
        if checkpoint is None:
            state = self.begin(placed, own, data)
        else:
            leaves = [place(self.mesh, leaf, True) for leaf in checkpoint.leaves]
            state = jax.tree.unflatten(self.structure, leaves)
        curves = WaveCurves(lanes, self.intervals, start.curves, mark=done is not None)
        tell = progress or (lambda made, spared: None)
        behind = int(self.intervals[start.segment, 0, 0])
        tell(0, num_rates * num_seeds * behind)  # the steps that a checkpoint spares
        for segment in range(start.segment, last + 1):
            state, measurements = self.advance(len(columns))(placed, state, own, data, self.intervals[segment])
            curves.add(segment, columns, fetch(measurements))
            begun, behind = behind, int(self.intervals[segment, -1, 1])
            # Columns from num_rates on are padding; retired ones count as spared.
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
                own = jax.tree.map(lambda leaf, columns=columns: place(self.mesh, leaf[columns], False), hyper)
                # By way of the host, so that no program has to be compiled for selecting columns.
                state = jax.tree.map(lambda leaf, keep=keep: place(self.mesh, fetch(leaf)[:, keep], True), state)
            if save is not None:
                held = tuple(fetch(jax.tree.leaves(state)))
                so_far = {name: curve.copy() for name, curve in curves.arrays.items()}  # they go on filling up
                save(Checkpoint(segment=segment + 1, columns=columns, leaves=held, curves=so_far))
        tell(0, num_rates * num_seeds * (int(self.intervals[-1, -1, 1]) - behind))
        return {name: np.swapaxes(curve, 0, 1)[:num_rates, :num_seeds] for name, curve in curves.arrays.items()}


def compile_wave(train: Trainable, plan: Plan, hyper: Hyperparameters, data: Splits) -> CompiledWave:
    """Compile `train` for waves of the plan's shape.

    Args:
      train: from `make_train`.
      plan: shape of the wave.
      hyper: hyperparameters with leaves [L]; only their structure and dtypes matter here.
      data: split arrays; with a leading seed axis (inputs [S, N, D]) every seed has its own split.

    Returns:
      The compiled programs.
    """
    per_seed = np.ndim(data.train.labels) == 2
    mesh = Mesh(np.asarray(devices(plan.devices)), ("seeds",))
    options = compiler_options(mesh.devices.flat[0].platform)
    intervals = segments(train.evaluate_at, plan.segment_steps)
    begin = _beginning(train, mesh, per_seed)
    go_on = _going_on(_Run(getattr(train, "program", train), train), mesh, per_seed)

    # Shapes and dtypes are all that compiling needs; no array has to be on a device for it.
    def shaped(leaf: Any, *leading: int, drop: int = 0) -> jax.ShapeDtypeStruct:
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        return jax.ShapeDtypeStruct((*leading, *np.shape(leaf)[drop:]), jax.dtypes.canonicalize_dtype(dtype))

    def rates_of(count: int) -> Hyperparameters:
        return jax.tree.map(lambda leaf: shaped(leaf, count, drop=1), hyper)

    seeds = jax.ShapeDtypeStruct((plan.seeds_per_wave,), jnp.uint32)
    leading = (plan.seeds_per_wave,) if per_seed else ()
    data = jax.tree.map(lambda leaf: shaped(leaf, *leading, drop=len(leading)), data)
    first = begin.lower(seeds, rates_of(plan.rates_per_wave), data)
    state = jax.tree.map(shaped, first.out_info)

    @functools.cache
    def advance_rates(count: int) -> Any:
        narrowed = jax.tree.map(lambda leaf: shaped(leaf, plan.seeds_per_wave, count, drop=2), state)
        lowered = go_on.lower(seeds, narrowed, rates_of(count), data, shaped(intervals[0]))
        return lowered.compile(compiler_options=options)

    return CompiledWave(
        begin=first.compile(compiler_options=options),
        advance=advance_rates,
        structure=jax.tree.structure(state),
        intervals=intervals,
        plan=plan,
        mesh=mesh,
        memory=advance_rates(plan.rates_per_wave).memory_analysis(),
    )


@dataclass(frozen=True)
class _Run:
    """A run that equals every other with the same `program`, if it has one: see `Training.program`."""

    program: Any
    train: Trainable = field(compare=False)


def _beginning(train: Trainable, mesh: Mesh, per_seed: bool) -> Any:
    """Jitted (seeds, hyper, data) -> state."""
    begin_lanes = _over_lanes(train.begin, "seeds", "rates", "seeds" if per_seed else "")

    def begin(seeds: Any, hyper: Hyperparameters, data: Splits) -> State:
        return begin_lanes(_keys(seeds), hyper, data)

    return _over_devices(mesh, per_seed, begin, "seeds", "", "data")


# What has been traced is not traced again, for workloads that differ in their start or for the same run once more.
@functools.lru_cache(maxsize=64)
def _going_on(run: _Run, mesh: Mesh, per_seed: bool) -> Any:
    """Jitted (seeds, state, hyper, data, intervals) -> state, {metric: [s, l, n]}."""
    train, own = run.train, "seeds" if per_seed else ""
    step_lanes = _over_lanes(train.step, "seeds", "", "seeds rates", "rates", own)
    evaluate_lanes = jax.jit(_over_lanes(train.evaluate, "seeds rates", "rates", own))  # `advance` traces it twice

    def go_on(seeds: Any, state: State, hyper: Hyperparameters, data: Splits, intervals: Any) -> tuple[State, Any]:
        keys = _keys(seeds)
        # Lanes are batched within the loop: to batch the loop itself takes as long as tracing it, again for each axis.
        state, measurements = advance(
            lambda index, state: step_lanes(keys, index, state, hyper, data),
            lambda state: evaluate_lanes(state, hyper, data),
            state,
            intervals,
        )
        return state, {name: jnp.moveaxis(curve, 0, -1) for name, curve in measurements.items()}

    return _over_devices(mesh, per_seed, go_on, "seeds", "seeds", "", "data", "")


def _over_devices(mesh: Mesh, per_seed: bool, function: Callable[..., Any], *arguments: str) -> Any:
    """A function jitted over the devices of a mesh; says of each argument what is spread over them."""
    spread, shared = PartitionSpec("seeds"), PartitionSpec()
    specs = tuple(spread if one == "seeds" or (one == "data" and per_seed) else shared for one in arguments)
    # check_vma would refuse the cond of `advance`: the NaN of its other branch is the same on every device.
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=spread, check_vma=False))


def _keys(seeds: Any) -> jax.Array:
    # Named, because lanes of an "rbg" key would share their draws under vmap.
    return jax.vmap(functools.partial(jax.random.key, impl="threefry2x32"))(seeds)


def _over_lanes(function: Callable[..., Any], *axes: str) -> Callable[..., Any]:
    """`function` of all seeds and rates; `axes` names those that an argument has, in this order."""
    over_seeds, over_rates = (
        tuple(0 if axis in axes_of_argument else None for axes_of_argument in axes) for axis in ("seeds", "rates")
    )
    # Rates innermost: the lanes of a seed share its batches, so that their first layers are one matrix product.
    return jax.vmap(jax.vmap(function, over_rates), over_seeds)


def compiler_options(platform: str) -> dict[str, Any] | None:
    """What XLA's defaults miss in programs that train small classifiers, for `jax.jit`.

    On a CPU half of the time of compiling goes into LLVM's higher levels, which make these programs no faster, and
    vectors as wide as the CPU has them, where the default stops at 256 bits, train up to 15 % faster (`bench sweep`
    with either setting in turns).
    """
    if platform != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return None
    return {"xla_backend_optimization_level": 1, "xla_cpu_prefer_vector_width": 512}


def _pad(leaf: Any, length: int) -> np.ndarray:
    leaf = np.asarray(leaf)
    missing = length - len(leaf)
    return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf
