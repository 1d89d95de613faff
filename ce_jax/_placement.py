"""Where arrays lie: over the devices of one process or of many, and back on the host of each."""

import itertools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def devices(count: int) -> list[Any]:
    """So many devices, taken from all processes in turn: each process has to take part in every program."""
    order: list[tuple[int, int, Any]] = []
    for _, own in itertools.groupby(jax.devices(), lambda device: device.process_index):
        order += [(turn, device.process_index, device) for turn, device in enumerate(own)]
    return [device for *_, device in sorted(order, key=lambda entry: entry[:2])[:count]]


def place(mesh: Mesh, leaf: Any, over_seeds: bool) -> jax.Array:
    """An array on the mesh: its first axis spread over the devices, or the whole of it on each."""
    sharding = NamedSharding(mesh, PartitionSpec("seeds") if over_seeds else PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    # Every process has the same values and takes its own; device_put would compare them over the network.
    leaf = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


def fetch(tree: Any) -> Any:
    """Arrays on the host of every process, wherever their pieces lie."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    everywhere = NamedSharding(jax.tree.leaves(tree)[0].sharding.mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: np.asarray(leaf.addressable_data(0)), jax.jit(_same, out_shardings=everywhere)(tree)
    )


def _same(tree: Any) -> Any:
    return tree
