"""Missing values of the parts of a split, filled in by what the training part says and nothing else."""

from collections.abc import Sequence

import numpy as np

from ce_jax.training import Part, Splits


def filled(feature_names: Sequence[str], parts: Splits) -> Splits:
    """Parts with the training part's mean of a feature in place of each NaN.

    The mean is that of the values which are there. Validation and test rows have no say in it: nothing of them leaks.

    Raises:
      ValueError: a feature has no value at all in the training part.

    >>> train, rest = Part(np.array([[1.0], [3.0]]), np.zeros(2)), Part(np.array([[np.nan], [9.0]]), np.zeros(2))
    >>> filled(["width"], Splits(train, rest, rest)).test.inputs.tolist()
    [[2.0], [9.0]]
    """
    there = ~np.isnan(parts.train.inputs)
    counts = there.sum(axis=0)
    if not counts.all():
        name = feature_names[int(counts.argmin())]
        raise ValueError(
            f"feature {name!r} has no value in the training part of a seed, and so no mean to fill in; leave it out"
        )
    means = parts.train.inputs.sum(axis=0, where=there, dtype=np.float64) / counts
    return Splits(*(Part(np.where(np.isnan(part.inputs), means, part.inputs), part.labels) for part in parts))
