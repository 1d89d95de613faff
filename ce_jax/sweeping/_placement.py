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
    # By turn and process alone: devices have no order.
    return [device for *_, device in sorted(order, key=lambda entry: entry[:2])[:count]]


def place(mesh: Mesh, leaf: Any, over_seeds: bool) -> jax.Array:
    """An array on the mesh: its first axis spread over the devices, or the whole of it on each."""
    sharding = NamedSharding(mesh, PartitionSpec("seeds") if over_seeds else PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    # Every process has the same values and takes its own; device_put would compare them over the network.
    # Like device_put, this narrows 64-bit numbers unless x64 is enabled.
    leaf = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


def fetch(tree: Any) -> Any:
    """Arrays on the host of every process, wherever their pieces lie."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    # A process can read only what lies on its own devices, so everything is first copied to all of them.
    everywhere = NamedSharding(jax.tree.leaves(tree)[0].sharding.mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: np.asarray(leaf.addressable_data(0)), jax.jit(_same, out_shardings=everywhere)(tree)
    )


def _same(tree: Any) -> Any:
    # A function of the module, so that jit finds it compiled already; a lambda would be compiled at every call.
    return tree
