"""What is left of a wave that stops on the way: plain arrays, so that nothing has to be pickled."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Checkpoint(NamedTuple):
    """A wave after some of its segments, as plain arrays: all that is needed to go on."""

    segment: int
    """How many segments are finished."""
    columns: np.ndarray
    """Which of the wave's hyperparameters are still trained."""
    leaves: tuple[np.ndarray, ...]
    """The state of their lanes, [s, columns, ...] each, in the order of `jax.tree.leaves`."""
    curves: dict[str, np.ndarray]
    """What has been measured so far, [s, l, E] each, the rest NaN; of each of `AT_END` [s, l, K]."""

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
        # The order of the leaves is in their names, whatever order the archive lists them in.
        leaves = tuple(arrays[f"leaf/{i}"] for i in range(count))
        return cls(segment=int(arrays["segment"]), columns=arrays["columns"], leaves=leaves, curves=curves)
