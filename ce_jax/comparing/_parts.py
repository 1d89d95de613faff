"""From arrays to training, validation and test parts: stratified, drawn from a seed, scaled by the training part."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ce_jax.comparing._options import PartOptions, Scale, SplitOptions
from ce_jax.training import Part, Splits


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
    with an integer there is one split and no such axis. Label noise changes training labels only.

    Args:
      inputs: [N, ...] numbers; labels: [N] integers in 0..K-1.
      options: sizes of the parts, scaling, label noise.
      seeds: [S], one split each.
      dtype: of the scaled inputs.
      class_names, feature_names: for error messages.

    Raises:
      ValueError: a class or a part that is too small, or a feature that overflows once scaled.

    >>> inputs, labels = np.arange(20.0)[:, None], np.arange(20) % 2
    >>> make_splits(inputs, labels, PartOptions(), [0, 1, 2]).train.inputs.shape
    (3, 12, 1)
    """
    per_run = options.split.seed == "run"
    drawn = [int(seed) for seed in seeds] if per_run else [int(options.split.seed)]
    class_names = class_names or tuple(map(str, range(int(labels.max()) + 1)))
    sizes = part_sizes(labels, options.split, class_names).sum(axis=0)
    shapes = [(len(drawn), size) for size in sizes]
    splits = Splits(
        *(Part(np.empty((*shape, *inputs.shape[1:]), dtype), np.empty(shape, np.int32)) for shape in shapes)
    )
    for lane, seed in enumerate(drawn):
        indices = split_indices(labels, options.split, seed)
        with np.errstate(over="ignore", invalid="ignore"):
            shift, scale = _fit_scale(inputs[indices[0]], options.scale)
            for part, rows in zip(splits, indices, strict=True):
                part.inputs[lane] = (inputs[rows] - shift) / scale
                part.labels[lane] = labels[rows]
        _check_finite(splits, lane, scale, feature_names)
        _replace_labels(splits.train.labels[lane], len(class_names), options.label_noise, seed)
    return splits if per_run else Splits(*(Part(part.inputs[0], part.labels[0]) for part in splits))


def split_indices(labels: np.ndarray, options: SplitOptions, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the shuffled indices of the training, validation and test parts of one stratified split.

    The sizes, also those of each class, depend on `labels` and `options` alone; who is where depends on `seed` too.
    Every class is in the training part, and in the other parts where they have room for all classes.

    >>> labels = np.repeat([0, 1, 2], [50, 30, 20])
    >>> train, validation, test = split_indices(labels, SplitOptions(validation=0.1, test=20), 0)
    >>> [np.bincount(labels[part]).tolist() for part in (train, validation, test)]
    [[35, 21, 14], [5, 3, 2], [10, 6, 4]]
    """
    sizes = part_sizes(labels, options, tuple(map(str, range(int(labels.max()) + 1))))
    # The word makes this stream differ from every other use of the same seed.
    order = np.random.default_rng([seed, *b"split"]).permutation(len(labels))
    part = np.empty(len(labels), np.int8)
    for label, counts in enumerate(sizes):
        part[order[labels[order] == label]] = np.repeat([0, 1, 2], counts)
    train, validation, test = (order[part[order] == which] for which in range(3))
    return train, validation, test


def part_sizes(labels: np.ndarray, options: SplitOptions, class_names: Sequence[str]) -> np.ndarray:
    """Return [K, 3]: how many examples of each class the training, validation and test parts get.

    Raises:
      ValueError: a class has fewer than three examples, or the parts leave too few to train on.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < 3:
        expected = "expected at least 3 examples to split, one for each part"
        raise ValueError(f"class {class_names[smallest]!r}: {expected}, got {counts[smallest]}")
    total, num_classes = len(labels), len(counts)
    sizes = (options.validation, options.test)
    validation, test = (max(1, round(size * total)) if isinstance(size, float) else size for size in sizes)
    if validation + test > total - num_classes:
        raise ValueError(
            f"{validation} validation and {test} test examples leave less than one training example for each of "
            f"{num_classes} classes out of {total}; make data.split.validation or data.split.test smaller"
        )
    in_test = stratified_share(test, counts, counts - (2 if validation >= num_classes else 1))
    in_validation = stratified_share(validation, counts, counts - in_test - 1)
    return np.stack([counts - in_validation - in_test, in_validation, in_test], axis=1)


def stratified_share(total: int, counts: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Share `total` over the classes by largest remainder, at most `most` each and at least 1 when there is enough."""
    least = np.full_like(counts, int(total >= len(counts)))
    quota = total * counts / counts.sum()
    shares = np.clip(np.floor(quota).astype(counts.dtype), least, most)
    while (short := total - shares.sum()) != 0:
        if short > 0:
            shares[np.argmax(np.where(shares < most, quota - shares, -np.inf))] += 1
        else:
            shares[np.argmin(np.where(shares > least, quota - shares, np.inf))] -= 1
    return shares


def scaled(inputs: np.ndarray, scale: Scale = "standardize") -> np.ndarray:
    """All of [N, ...] scaled by itself, in float64: for data that is trained on as a whole.

    >>> scaled(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    shift, factor = _fit_scale(inputs, scale)
    return (inputs - shift) / factor


def _fit_scale(train: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (shift, scale) in float64, shaped like an example or [1]; a constant feature is shifted but not scaled."""
    low, high = train.min(axis=0).astype(np.float64), train.max(axis=0).astype(np.float64)
    if scale == "standardize":
        shift, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    elif scale == "minmax":
        shift, spread = low, high - low
    elif scale == "unit":
        return np.zeros(1), np.array([max(np.abs(low).max(), np.abs(high).max()) or 1.0])
    else:
        return np.zeros(1), np.ones(1)
    # Not `spread > 0` alone: the standard deviation of a constant 0.1 is a rounding error, not 0.
    return shift, np.where((high > low) & (spread > 0), spread, 1.0)


def _check_finite(splits: Splits, lane: int, scale: np.ndarray, feature_names: Sequence[str] | None) -> None:
    for part in splits:
        fine = np.isfinite(part.inputs[lane]).all(axis=0) & np.isfinite(scale)
        if not fine.all():
            place = int(fine.argmin())  # its place in a row of all features
            name = repr(feature_names[place]) if feature_names else f"feature {place}"
            raise ValueError(f"values of {name} are too large for {part.inputs.dtype} once scaled")


def _replace_labels(labels: np.ndarray, num_classes: int, fraction: float, seed: int) -> None:
    """Move round(fraction * N) of the labels [N], in place, to a class drawn uniformly from the others."""
    random = np.random.default_rng([seed, *b"label noise"])
    chosen = random.permutation(len(labels))[: round(fraction * len(labels))]
    labels[chosen] = (labels[chosen] + random.integers(1, num_classes, len(chosen))) % num_classes
