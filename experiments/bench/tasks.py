"""The sweeps that are timed: a dataset, a network and how long to train how many of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ce_jax.comparing import Scale, on_cpu, scaled
from ce_jax.training import Part, Splits

from ..data import DataOptions, load_dataset
from . import networks
from .networks import Network


class TaskSpec(NamedTuple):
    """A task without its data; a `batch` of None is full."""

    dataset: str
    network: Callable[[tuple[int, ...]], Network]
    """Of the shape of an example."""
    batch: int | None
    lanes: int
    steps: int


def _of(kind: Callable[..., Network], *widths: int) -> Callable[[tuple[int, ...]], Network]:
    return lambda shape: kind(int(np.prod(shape)), widths)


SPECS = {
    "tiny-full": TaskSpec("iris", _of(networks.dense, 2, 3), None, 256, 500),
    "tiny-batch": TaskSpec("iris", _of(networks.dense, 16, 3), 32, 256, 500),
    "softmax-regression": TaskSpec("digits", _of(networks.dense, 10), 128, 128, 300),
    "small": TaskSpec("digits", _of(networks.dense, 64, 10), 128, 128, 300),
    "wide": TaskSpec("digits", _of(networks.dense, 256, 10), None, 32, 100),
    "own-mlp": TaskSpec("digits", _of(networks.opaque, 64, 10), 128, 128, 300),
    "deep": TaskSpec("digits", _of(networks.deep, 64, 64, 64, 10), 128, 64, 200),
    "cnn-small": TaskSpec("digits", lambda shape: networks.convolutional(shape, (8, 16), 32, 10), 64, 64, 100),
}
"""Widths are those of the hidden layers and of the output."""


FILLED = 8192
"""Lanes of small networks that an accelerator is filled with; of larger ones an eighth."""


class Task(NamedTuple):
    """One sweep to be timed: network, batch (None is full), lanes, steps and data."""

    name: str
    network: Network
    batch: int | None
    lanes: int
    steps: int
    data: Splits

    @property
    def num_classes(self) -> int:
        """Of the data."""
        return int(self.labels.max()) + 1

    @property
    def inputs(self) -> np.ndarray:
        """What is trained on, [N, ...]."""
        return np.asarray(self.data.train.inputs)

    @property
    def labels(self) -> np.ndarray:
        """Its labels, [N]."""
        return np.asarray(self.data.train.labels)


def training_splits(dataset: str, scale: Scale = "standardize") -> Splits:
    """A whole data set to train on: the benches time steps, so that as little as can be is evaluated beside it.

    >>> [len(part.labels) for part in training_splits("iris")]
    [150, 1, 1]
    """
    table = load_dataset(dataset, DataOptions())
    part = Part(scaled(table.inputs, scale).astype(np.float32), table.labels)
    one = Part(part.inputs[:1], part.labels[:1])
    return Splits(part, one, one)


def named_task(name: str) -> Task:
    """A task of `SPECS` with its data.

    >>> named_task("tiny-full").network.products
    (Product(rows=1, fan_in=4, fan_out=2), Product(rows=1, fan_in=2, fan_out=3))
    """
    spec = SPECS[name]
    data = training_splits(spec.dataset)
    network = spec.network(data.train.inputs.shape[1:])
    lanes = spec.lanes if on_cpu() else max(spec.lanes, FILLED if spec.lanes >= 128 else FILLED // 8)
    return Task(name=name, network=network, batch=spec.batch, lanes=lanes, steps=spec.steps, data=data)


def chosen_tasks(names: Sequence[str] = ()) -> Iterator[Task]:
    """The tasks of `SPECS` so named, or all; each is loaded when it is its turn."""
    return map(named_task, names or SPECS)
