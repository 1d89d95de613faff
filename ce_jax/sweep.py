"""Thousands of training runs in one compiled program: lanes = seeds x hyperparameters, by vmap.

A sweep is cut into **waves** of one fixed shape [seeds, hyperparameters]; a wave is one call of the compiled program,
so every learning rate, seed and loss parameter runs through the same executable. Seeds are the outer axis: the lanes
of one seed share initial parameters, data and batches, which XLA then reads once for all of them. Over several
devices the seed axis is sharded with `shard_map`; lanes never talk to each other, so the program holds no collective.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ce_jax.training import Hyperparameters, Splits

__all__ = ["Block", "CompiledWave", "Plan", "blocks", "compile_wave", "lane_bytes", "plan_waves", "sweep"]


class Plan(NamedTuple):
    """Shape of a wave and the devices it is spread over (`seeds_per_wave` is a multiple of their number)."""

    seeds_per_wave: int
    rates_per_wave: int
    devices: int


class Block(NamedTuple):
    """The lanes of one wave: positions of its seeds and of its hyperparameters in the sweep's lists."""

    seeds: tuple[int, ...]
    hyper: tuple[int, ...]


class CompiledWave(NamedTuple):
    """One compiled program for waves of a fixed shape.

    `run(seeds [s], hyper ([l] leaves), data) -> {metric: numpy [l, s, E]}` for any s, l up to the plan's.
    """

    run: Callable[[Sequence[int] | np.ndarray, Hyperparameters, Splits], dict[str, np.ndarray]]
    temp_bytes: int | None


def plan_waves(
    seed_counts: Sequence[int], num_rates: int, bytes_per_lane: int, *, budget: int = 2**28, devices: int = 1
) -> Plan:
    """Choose the wave's shape: at most four rates wide, as many seeds as the byte budget holds, whole devices.

    Four rates let one wave widen a grid without padding and still share each seed's batches four ways. Among the
    numbers of seeds that fit, the largest of those that train the fewest padding lanes is taken.

    Args:
      seed_counts: sizes of the groups of seeds that are trained one after another (tuning seeds, fresh seeds).
      num_rates: number of hyperparameters in the narrowest group.
      bytes_per_lane: memory that one run needs, see `lane_bytes`.
      budget: bytes that one wave may need on one device.
      devices: number of devices that share a wave's seeds.

    >>> plan_waves((10, 50), 11, 10_000)
    Plan(seeds_per_wave=10, rates_per_wave=4, devices=1)
    >>> plan_waves((10, 50), 11, 10_000_000)
    Plan(seeds_per_wave=5, rates_per_wave=4, devices=1)
    """
    rates = min(4, num_rates)
    devices = min(devices, max(seed_counts))
    fitting = max(1, budget // (bytes_per_lane * rates)) * devices
    sizes = range(devices, max(devices, min(fitting, max(seed_counts))) + 1, devices)

    def trained(size: int) -> int:
        return sum(math.ceil(count / size) * size for count in seed_counts)

    return Plan(min(reversed(sizes), key=trained), rates, devices)


def lane_bytes(sizes: Sequence[int], batch: int, evaluated: int, itemsize: int = 4) -> int:
    """Estimate the memory of one run: parameters, gradients and two optimizer moments, and activations.

    Args:
      sizes: widths of all layers, features first and classes last.
      batch: examples in a training step.
      evaluated: examples in the largest part evaluated at once.
      itemsize: bytes of one number.

    >>> lane_bytes((4, 16, 3), 32, 90)
    16300
    """
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    # Forward and backward keep about one array per layer each; the first layer's input is shared by a seed's lanes.
    activations = 2 * max(batch, evaluated) * sum(sizes[1:])
    return itemsize * (5 * parameters + activations)


def blocks(seeds: Sequence[int], hyper: Sequence[int], plan: Plan) -> Iterator[Block]:
    """Cut positions of seeds x hyperparameters into waves, hyperparameters innermost.

    >>> list(blocks(range(3), range(2), Plan(2, 2, 1)))
    [Block(seeds=(0, 1), hyper=(0, 1)), Block(seeds=(2,), hyper=(0, 1))]
    """
    for first_seed in range(0, len(seeds), plan.seeds_per_wave):
        for first in range(0, len(hyper), plan.rates_per_wave):
            yield Block(
                tuple(seeds[first_seed : first_seed + plan.seeds_per_wave]),
                tuple(hyper[first : first + plan.rates_per_wave]),
            )


def compile_wave(
    train: Callable[..., Mapping[str, Any]], plan: Plan, hyper: Hyperparameters, data: Splits
) -> CompiledWave:
    """Compile `train` for waves of the plan's shape.

    Args:
      train: from `make_train`.
      plan: shape of the wave.
      hyper: hyperparameters with leaves [L]; only their structure and dtypes matter here.
      data: split arrays; with a leading seed axis (inputs [S, N, D]) every seed has its own split.

    Returns:
      The compiled program and its temporary memory in bytes (None where the backend does not say).
    """
    per_seed = np.ndim(data.train.labels) == 2
    mesh = Mesh(np.asarray(jax.devices()[: plan.devices]), ("seeds",))
    over_seeds, shared = PartitionSpec("seeds"), PartitionSpec()
    data_spec = over_seeds if per_seed else shared

    def wave(seeds: jax.Array, hyper: Hyperparameters, data: Splits) -> Mapping[str, Any]:
        def one_seed(seed: jax.Array, data: Splits) -> Mapping[str, Any]:
            # Named, because lanes of an "rbg" key would share their draws under vmap.
            key = jax.random.key(seed, impl="threefry2x32")
            return jax.vmap(lambda one: train(key, one, data))(hyper)

        return jax.vmap(one_seed, (0, 0 if per_seed else None))(seeds, data)

    sharded = jax.shard_map(
        wave, mesh=mesh, in_specs=(over_seeds, shared, data_spec), out_specs=over_seeds, check_vma=False
    )

    def shaped(leaf: Any, leading: tuple[int, ...], trailing: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*leading, *trailing), jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))

    arguments = (
        jax.ShapeDtypeStruct((plan.seeds_per_wave,), jnp.uint32),
        jax.tree.map(lambda leaf: shaped(leaf, (plan.rates_per_wave,), ()), hyper),
        jax.tree.map(
            lambda leaf: (
                shaped(leaf, (plan.seeds_per_wave,), leaf.shape[1:]) if per_seed else shaped(leaf, (), leaf.shape)
            ),
            data,
        ),
    )
    compiled = jax.jit(sharded).lower(*arguments).compile()

    def run(seeds: Sequence[int] | np.ndarray, hyper: Hyperparameters, data: Splits) -> dict[str, np.ndarray]:
        num_seeds, num_rates = len(seeds), len(hyper.learning_rate)
        # Padding lanes repeat the last real one: same shape, no new numbers, results dropped.
        seeds_padded = np.asarray(_pad(np.asarray(seeds, np.uint32), plan.seeds_per_wave))
        hyper = jax.tree.map(lambda leaf: _pad(np.asarray(leaf), plan.rates_per_wave), hyper)
        if per_seed:
            data = jax.tree.map(lambda leaf: _pad(np.asarray(leaf), plan.seeds_per_wave), data)
        placed = [
            jax.device_put(argument, jax.sharding.NamedSharding(mesh, spec))
            for argument, spec in zip((seeds_padded, hyper, data), (over_seeds, shared, data_spec), strict=True)
        ]
        curves = jax.device_get(compiled(*placed))
        return {name: np.swapaxes(curve, 0, 1)[:num_rates, :num_seeds] for name, curve in curves.items()}

    memory = compiled.memory_analysis()  # not every backend knows
    return CompiledWave(run, memory and memory.temp_size_in_bytes)


def _pad(leaf: np.ndarray, length: int) -> np.ndarray:
    missing = length - len(leaf)
    return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf


def sweep(
    train: Callable[..., Mapping[str, Any]],
    seeds: Sequence[int],
    hyper: Hyperparameters,
    data: Splits,
    *,
    plan: Plan | None = None,
) -> dict[str, np.ndarray]:
    """Train every seed under every hyperparameter and return all curves.

    Args:
      train: from `make_train`.
      seeds: integers [S]; a seed fixes initial parameters and batch order, whoever shares its wave.
      hyper: hyperparameters with leaves [L], one entry per lane of a seed.
      data: `Splits` of arrays; with a leading axis [S] every seed has its own split.
      plan: shape of a wave; by default everything in one wave on one device.

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
    program = compile_wave(train, plan, hyper, data)
    per_seed = np.ndim(data.train.labels) == 2
    curves: dict[str, np.ndarray] = {}
    for block in blocks(range(len(seeds)), range(len(hyper.learning_rate)), plan):
        s, h = np.asarray(block.seeds), np.asarray(block.hyper)
        part = program.run(
            np.asarray(seeds)[s],
            jax.tree.map(lambda leaf, h=h: np.asarray(leaf)[h], hyper),
            jax.tree.map(lambda leaf, s=s: np.asarray(leaf)[s], data) if per_seed else data,
        )
        for name, curve in part.items():
            whole = curves.setdefault(
                name, np.empty((len(hyper.learning_rate), len(seeds), curve.shape[-1]), curve.dtype)
            )
            whole[np.ix_(h, s)] = curve
    return curves
