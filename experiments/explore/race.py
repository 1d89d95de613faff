"""The explorer's race: the points, the start and the learning rates that its two networks get."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_jax.comparing import scaled

from ..data import builtin
from ..files import read_json

NUM_CLASSES, HIDDEN, PER_CLASS = 3, 16, 50
STEPS = 400
DATASETS = ("spirals", "mixtures")
SPREADS = {"gentle": 0.05, "ordinary": 0.25, "strong": 2.0, "saturated": 6.0}
"""Standard deviations of the output weights; 0.25 = 1 / sqrt(16) is the usual one."""
NOISES = (0.0, 0.2, 0.4)
IMBALANCES = (1, 5, 20)
RATES = Path(__file__).with_name("rates.json")
DECIMALS = 3


class Race(NamedTuple):
    """Of one data set: points [N, 2] to train on, as many to test on, labels, and where the network begins.

    moved: by how many classes label noise moves each label; order: in which the labels are moved.
    w1: [hidden, 2], w2: [classes, hidden] standard normal draws, which the page scales.
    """

    points: np.ndarray
    labels: np.ndarray
    test_points: np.ndarray
    test_labels: np.ndarray
    moved: np.ndarray
    order: np.ndarray
    w1: np.ndarray
    w2: np.ndarray

    def start(self, spread: float = SPREADS["ordinary"]) -> dict[str, Any]:
        """Parameters as the page holds them: weights [out][in], the hidden layer's of the usual size."""
        return {
            "w1": (self.w1 / np.sqrt(2)).tolist(),
            "b1": [0.0] * len(self.w1),
            "w2": (spread * self.w2).tolist(),
            "b2": [0.0] * len(self.w2),
        }


def table(dataset: str, examples: int, seed: int = 0) -> builtin.RawTable:
    """Points of a data set in the plane, `examples` of each class."""
    common = {"num_classes": NUM_CLASSES, "examples_per_class": examples, "seed": seed}
    if dataset == "spirals":
        return builtin.spirals(noise=0.04, turns=0.55, **common)
    return builtin.mixtures(features=2, separation=3.0, **common)


def race(dataset: str) -> Race:
    """The race on a data set."""
    drawn, random = table(dataset, 2 * PER_CLASS), np.random.default_rng([0, *b"race"])
    points = np.round(scaled(drawn.inputs), DECIMALS)
    # Classes take turns, so that the first n points of a class are as good as any other n.
    order = np.argsort(np.tile(np.arange(2 * PER_CLASS), NUM_CLASSES), kind="stable")
    points, labels = points[order], np.asarray(drawn.labels)[order]
    half = NUM_CLASSES * PER_CLASS
    return Race(
        points=points[:half],
        labels=labels[:half],
        test_points=points[half:],
        test_labels=labels[half:],
        moved=random.integers(1, NUM_CLASSES, half),
        order=random.permutation(half),
        w1=np.round(random.normal(size=(HIDDEN, 2)), DECIMALS),
        w2=np.round(random.normal(size=(NUM_CLASSES, HIDDEN)), DECIMALS),
    )


def setting(dataset: str, spread: float, noise: float, imbalance: int) -> str:
    """The name of a setting in the table of rates."""
    return f"{dataset}|{spread:g}|{noise:g}|{imbalance}"


def best_rates() -> dict[str, Any]:
    """What `python -m experiments.explore.tuning` found, for cross-entropy and for SSR.

    `rates` {setting: the best}, `finals` {setting: mean accuracy at which runs at these rates end}, and of how many
    starts (`tuning_seeds`).
    """
    found = read_json(RATES)
    return {"rates": found["rates"], "finals": found["finals"], "tuning_seeds": found["settings"]["tuning_seeds"]}
