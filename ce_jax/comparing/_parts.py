"""From arrays to training, validation and test parts: who is where, stratified and drawn from a seed, and how inputs
are scaled by the training part.
"""

from collections.abc import Sequence

import numpy as np

from ce_jax.comparing._options import PartOptions, Scale, SplitOptions, Zipf


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


def kept_counts(sizes: np.ndarray, options: PartOptions) -> np.ndarray | None:
    """How many examples [K, 3] of the class at each rank of frequency the parts keep; None where all stay.

    At rank r of K a part keeps m f(r), rounded, where m is what its smallest class has and f(r) = imbalance^(-r/(K-1))
    or (r+1)^-zipf; of the validation and the test part at least 1. -1 stands for every example, in a balanced test.

    Args:
      sizes: [K, 3] from `part_sizes`.
      options: imbalance and balanced_test.

    Raises:
      ValueError: a class would be left without an example to train on, or without one to validate with.

    >>> kept_counts(np.array([[50, 10, 10]] * 3), PartOptions(imbalance=25.0)).tolist()
    [[50, 10, -1], [10, 2, -1], [2, 1, -1]]
    """
    if not options.imbalanced:
        if not options.balanced_test:
            raise ValueError("data.balanced_test: expected true where data.imbalance does not thin classes, got false")
        return None
    ranks, smallest = np.arange(len(sizes)), sizes.min(axis=0)
    if isinstance(options.imbalance, Zipf):
        key, given = "data.imbalance.zipf", options.imbalance.zipf
        frequencies, most = (ranks + 1.0) ** -given, np.log(smallest[0]) / np.log(len(sizes))
    else:
        key, given = "data.imbalance", options.imbalance
        frequencies, most = given ** (-ranks / (len(sizes) - 1)), smallest[0]
    if smallest[0] * frequencies[-1] < 1 - 1e-9:  # the last frequency of an imbalance of 30 may be 1/30 but a rounding
        raise ValueError(
            f"{key}: expected at most {np.floor(1000 * most) / 1000:.10g}, so that the rarest class keeps an example "
            f"to train on (the smallest class has {smallest[0]}), got {given:g}"
        )
    for part, name in ((1, "validation"), (2, "test")):
        if smallest[part] < 1 and (part == 1 or not options.balanced_test):
            raise ValueError(
                f"data.imbalance: expected an example of every class in the {name} part; make data.split.{name} larger"
            )
    kept = np.maximum(1, np.round(smallest[None, :] * frequencies[:, None])).astype(int)
    if options.balanced_test:
        kept[:, 2] = -1
    return kept


def thinned(indices: Sequence[np.ndarray], labels: np.ndarray, kept: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Those of the shuffled indices of each part that stay; which class has which rank is drawn from the seed.

    >>> labels = np.repeat([0, 1, 2], 4)
    >>> (part,) = thinned([np.arange(12)], labels, np.array([[4], [2], [1]]), 0)
    >>> sorted(np.bincount(labels[part]).tolist())
    [1, 2, 4]
    """
    ranks = np.random.default_rng([seed, *b"imbalance"]).permutation(len(kept))
    stay = []
    for part, own in enumerate(indices):
        most, which = kept[ranks, part], labels[own]
        # The place of each example among those of its class: they are shuffled, so the first ones are a random sample.
        order = np.argsort(which, kind="stable")
        places = np.empty(len(own), int)
        places[order] = np.arange(len(own)) - np.searchsorted(which[order], which[order])
        stay.append(own[(places < most[which]) | (most[which] < 0)])
    return tuple(stay)


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
    shift, factor = fit_scale(inputs, scale)
    return (inputs - shift) / factor


def fit_scale(train: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
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
