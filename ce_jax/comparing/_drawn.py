"""Splits of a data set for every seed: scaled, with label noise, and drawn at once or when they are asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ce_jax.comparing._options import PartOptions
from ce_jax.comparing._parts import fit_scale, kept_counts, part_sizes, split_indices, thinned
from ce_jax.training import Part, Splits

KEPT = 2**28
"""Bytes of splits that are drawn at once for all seeds; more of them are drawn when their wave is trained."""


@dataclass(frozen=True, eq=False)
class DrawnSplits:
    """Splits of many seeds, each drawn when it is asked for: all of them may be more than the memory holds."""

    seeds: tuple[int, ...]
    draw: Callable[[int], Splits]
    """A seed's own split, scaled; the same whenever it is asked for."""
    example: Splits
    """Shapes and dtypes of one of them."""

    def of(self, positions: Any) -> Splits:
        """The splits of some seeds, by position, with a leading axis; the one of a single position without it."""
        chosen = np.asarray(self.seeds)[positions]
        if chosen.ndim == 0:
            return self.draw(int(chosen))
        gathered = jax.tree.map(lambda leaf: np.empty((len(chosen), *leaf.shape), leaf.dtype), self.example)
        for lane, seed in enumerate(chosen.tolist()):
            for part, own in zip(gathered, self.draw(seed), strict=True):
                part.inputs[lane], part.labels[lane] = own
        return gathered


def make_splits(
    inputs: np.ndarray,
    labels: np.ndarray,
    options: PartOptions,
    seeds: Sequence[int],
    *,
    dtype: Any = "float32",
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
) -> Splits:
    """Split and scale a data set.

    With options.split.seed = "run" every array has a leading axis of len(seeds), lane s drawn from seeds[s] alone;
    with an integer there is one split and no such axis. Label noise changes training labels only,
    those that `options.imbalance` leaves.

    Args:
      inputs: [N, ...] numbers; labels: [N] integers in 0..K-1.
      options: sizes of the parts, scaling, imbalance, label noise.
      seeds: [S], one split each.
      dtype: of the scaled inputs.
      class_names, feature_names: for error messages.

    Raises:
      ValueError: a class or a part that is too small, or a feature that overflows once scaled.

    >>> inputs, labels = np.arange(20.0)[:, None], np.arange(20) % 2
    >>> make_splits(inputs, labels, PartOptions(), [0, 1, 2]).train.inputs.shape
    (3, 12, 1)
    """
    class_names = class_names or tuple(map(str, range(int(labels.max()) + 1)))
    draw = split_drawer(inputs, labels, options, class_names)
    splits = drawn_parts_of(
        draw, options, seeds, num_classes=len(class_names), dtype=dtype, feature_names=feature_names, kept=2**63
    )
    assert isinstance(splits, Splits)
    return splits


def split_drawer(
    inputs: np.ndarray, labels: np.ndarray, options: PartOptions, class_names: Sequence[str]
) -> Callable[[int], Splits]:
    """`draw(seed) -> parts` of a data set, not yet scaled; see `make_splits` for arguments and errors."""
    kept = kept_counts(part_sizes(labels, options.split, class_names), options)

    def draw(seed: int) -> Splits:
        indices: Sequence[np.ndarray] = split_indices(labels, options.split, seed)
        if kept is not None:
            indices = thinned(indices, labels, kept, seed)
        return Splits(*(Part(inputs[rows], labels[rows]) for rows in indices))

    return draw


def drawn_parts_of(
    draw: Callable[[int], Splits],
    options: PartOptions,
    seeds: Sequence[int],
    *,
    num_classes: int,
    dtype: Any = "float32",
    feature_names: Sequence[str] | None = None,
    kept: int = KEPT,
) -> Splits | DrawnSplits:
    """Scaled parts of every seed, with label noise, from `draw(seed) -> parts`, of the same sizes for every seed.

    What would take more than `kept` bytes is only drawn when it is asked for. Leading axes and errors are those of
    `make_splits`.

    >>> draw = split_drawer(np.arange(20.0)[:, None], np.arange(20) % 2, PartOptions(), ("a", "b"))
    >>> drawn_parts_of(draw, PartOptions(), range(1000), num_classes=2, kept=1000).of(slice(3)).test.labels.shape
    (3, 4)
    """

    def scaled_parts(seed: int) -> Splits:
        parts = draw(seed)
        with np.errstate(over="ignore", invalid="ignore"):
            shift, scale = fit_scale(parts.train.inputs, options.scale)
            splits = Splits(*(_scaled_part(part, shift, scale, dtype) for part in parts))
        _check_finite(splits, scale, feature_names)
        _replace_labels(splits.train.labels, num_classes, options.label_noise, seed)
        return splits

    if options.split.seed != "run":
        return scaled_parts(int(options.split.seed))
    if not len(seeds):
        raise ValueError("seeds: expected at least one, got none")
    first = scaled_parts(int(seeds[0]))
    example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), first)
    drawn = DrawnSplits(tuple(map(int, seeds)), scaled_parts, example)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(first)) * len(seeds)
    return drawn.of(slice(None)) if size <= kept else drawn


def _scaled_part(part: Part, shift: np.ndarray, scale: np.ndarray, dtype: Any) -> Part:
    inputs = np.empty(part.inputs.shape, dtype)
    block = max(1, 2**17 // max(1, math.prod(part.inputs.shape[1:])))  # float64 of a few rows, in a cache, in between
    for first in range(0, len(inputs), block):
        inputs[first : first + block] = (part.inputs[first : first + block] - shift) / scale
    return Part(inputs, part.labels.astype(np.int32))


def _check_finite(splits: Splits, scale: np.ndarray, feature_names: Sequence[str] | None) -> None:
    for part in splits:
        fine = np.isfinite(part.inputs).all(axis=0) & np.isfinite(scale)
        if not fine.all():
            place = int(fine.argmin())  # its place in a row of all features
            name = repr(feature_names[place]) if feature_names else f"feature {place}"
            raise ValueError(f"values of {name} are too large for {part.inputs.dtype} once scaled")


def _replace_labels(labels: np.ndarray, num_classes: int, fraction: float, seed: int) -> None:
    """Move round(fraction * N) of the labels [N], in place, to a class drawn uniformly from the others."""
    random = np.random.default_rng([seed, *b"label noise"])
    chosen = random.permutation(len(labels))[: round(fraction * len(labels))]
    labels[chosen] = (labels[chosen] + random.integers(1, num_classes, len(chosen))) % num_classes
