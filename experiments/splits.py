"""Stratified splits: which examples train, which choose the learning rate, and which are looked at last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.errors import UserError


@dataclass(frozen=True)
class SplitOptions:
    """The table [data.split].

    validation, test: a fraction below 1 or a whole number of examples; the rest is the training part.
    seed: "run" (every run seed draws its own split) or a whole number (one split for all runs).
    """

    validation: int | float = 0.2
    test: int | float = 0.2
    seed: int | Literal["run"] = "run"

    def __post_init__(self):
        for key, size in (("validation", self.validation), ("test", self.test)):
            fine = 0 < size < 1 if isinstance(size, float) else is_count(size)
            check(fine, key, "a fraction between 0 and 1 or a whole number of examples from 1", size)
        check(self.seed == "run" or is_count(self.seed, 0), "seed", "'run' or a whole number from 0", self.seed)


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
    """Return [K, 3]: how many examples of each class the training, validation and test parts get."""
    counts = np.bincount(labels, minlength=len(class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < 3:
        expected = "expected at least 3 examples to split, one for each part"
        raise UserError(f"class {class_names[smallest]!r}: {expected}, came {counts[smallest]}")
    total, num_classes = len(labels), len(counts)
    sizes = (options.validation, options.test)
    validation, test = (max(1, round(size * total)) if isinstance(size, float) else size for size in sizes)
    if validation + test > total - num_classes:
        raise UserError(
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


def check(fine: bool, key: str, expected: str, came: object) -> None:
    """Raise the ValueError that an options record owes to a wrong value; the config puts file and table before it."""
    if not fine:
        raise ValueError(f"{key}: expected {expected}, came {came!r}")


def is_count(value: object, least: int = 1) -> bool:
    """Tell whether `value` is a whole number of at least `least`; TOML's true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
