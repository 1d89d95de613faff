"""The sweeps that are timed: a dataset, a network and how long to train how many of them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ce_jax.comparing import Scale, scaled
from ce_jax.models import Model, linear, mlp
from ce_jax.training import Part, Splits
from experiments.data import DataOptions, load_dataset


class TaskSpec(NamedTuple):
    """A task without its data; `widths` are those of the hidden layers and of the output, a `batch` of None is full."""

    dataset: str
    widths: tuple[int, ...]
    batch: int | None
    lanes: int
    steps: int


SPECS = {
    "tiny-full": TaskSpec("iris", (2, 3), None, 256, 500),
    "tiny-batch": TaskSpec("iris", (16, 3), 32, 256, 500),
    "softmax-regression": TaskSpec("digits", (10,), 128, 128, 300),
    "small": TaskSpec("digits", (64, 10), 128, 128, 300),
    "wide": TaskSpec("digits", (256, 10), None, 32, 100),
}


class Task(NamedTuple):
    """One sweep to be timed: widths of all layers, the input's first; batch (None is full); lanes, steps and data."""

    name: str
    sizes: tuple[int, ...]
    batch: int | None
    lanes: int
    steps: int
    data: Splits

    @property
    def model(self) -> Model:
        """The network."""
        return mlp(self.sizes[1:-1]) if len(self.sizes) > 2 else linear()

    @property
    def inputs(self) -> np.ndarray:
        """What is trained on, [N, D]."""
        return np.asarray(self.data.train.inputs)

    @property
    def labels(self) -> np.ndarray:
        """Its labels, [N]."""
        return np.asarray(self.data.train.labels)


def training_splits(dataset: str, scale: Scale = "standardize") -> Splits:
    """A whole data set as every part: the benches time steps, and what an evaluation says is no matter.

    >>> [len(part.labels) for part in training_splits("iris")]
    [150, 150, 150]
    """
    table = load_dataset(dataset, DataOptions())
    inputs = scaled(table.inputs, scale).astype(np.float32)
    part = Part(inputs.reshape(len(inputs), -1), table.labels)
    return Splits(part, part, part)


def named_task(name: str) -> Task:
    """A task of `SPECS` with its data.

    >>> named_task("tiny-full").sizes
    (4, 2, 3)
    """
    spec = SPECS[name]
    data = training_splits(spec.dataset)
    sizes = (data.train.inputs.shape[-1], *spec.widths)
    return Task(name=name, sizes=sizes, batch=spec.batch, lanes=spec.lanes, steps=spec.steps, data=data)


def every_task() -> Iterator[Task]:
    """The tasks of `SPECS`, each loaded when it is its turn."""
    yield from map(named_task, SPECS)
