"""The table [data] of a config, and which data set has a use for which of its keys."""

import codecs
from dataclasses import dataclass, fields
from typing import Literal

from ce_jax.comparing import PartOptions, SplitOptions

from ..errors import UserError, check, check_one_of, is_count

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " "}
"""Words for the characters between cells, which are awkward to type on a command line; a blank stands for many."""


@dataclass(frozen=True)
class DataOptions(PartOptions):
    """The table [data]. What a data set has no use for is refused.

    label: the label column of a csv or parquet file, the labels' key of an npz file; None: look for the usual names.
    classes: the classes to keep: names, or whole numbers that are names where every class is a number, else positions.
        A class that looks like the mark of a missing label ('NA', '?') is one only where it is named here.
    examples: size of a stratified subsample; None keeps all.
    columns, exclude: of a csv or parquet file, the columns that are features (None: all but the label and those that
        number the rows), and those that are not.
    missing: what to do where a value is missing: "refuse" the file, "drop" the rows, those without a label too, or
        fill in the "mean" that the training part has for this feature, each seed's part its own.
    categories: what to do with columns of text: "refuse" them, or make each of their values a feature that is 0 or 1
        ("onehot").
    separator, decimal, encoding, header: how a csv file is written, where that is not recognised: the character
        between cells or one of the words comma, semicolon, tab, pipe and blank; the decimal point; the encoding of the
        text; whether its first line holds the names of the columns.
    label_noise, scale, imbalance, balanced_test, split: see `PartOptions`.
    num_classes, features, examples_per_class, separation, noise, turns: shape of the synthetic mixtures and spirals.
    m: groups of classes of heavy_tail, 5 unless it is said; noise is that of its validation and test rows, which are
        copies of training rows: one of each to validate with, unless copies says how many of every class; dimensions,
        (m + 1) 2^m unless it is said, are those of its inputs. It is drawn anew for every seed (once where split.seed
        is a number), with parts of its own: there is nothing for imbalance, classes, examples and the sizes in split to
        do, and they are refused.
    generator_seed: draws the synthetic data and the subsample.
    """

    label: str | None = None
    classes: tuple[str | int, ...] | None = None
    examples: int | None = None
    columns: tuple[str | int, ...] | None = None
    exclude: tuple[str | int, ...] | None = None
    missing: Literal["refuse", "drop", "mean"] = "refuse"
    categories: Literal["refuse", "onehot"] = "refuse"
    separator: str | None = None
    decimal: Literal["auto", ".", ","] = "auto"
    encoding: str | None = None
    header: Literal["auto"] | bool = "auto"
    num_classes: int = 3
    features: int = 10
    examples_per_class: int = 200
    separation: float = 3.0
    noise: float = 0.05
    turns: float = 1.0
    m: int | None = None
    copies: int | None = None
    dimensions: int | None = None
    generator_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least, most in (("examples", 1, None), ("m", 2, 10), ("copies", 1, None), ("dimensions", 1, 20_000)):
            value, up_to = getattr(self, key), f" to {most:,}" if most else ""
            fine = value is None or (is_count(value, least) and (most is None or value <= most))
            check(fine, key, f"a whole number from {least}{up_to}", value)
        for key, least in (("num_classes", 2), ("features", 1), ("examples_per_class", 1), ("generator_seed", 0)):
            value = getattr(self, key)
            check(is_count(value, least), key, f"a whole number from {least}", value)
        for key in ("separation", "noise", "turns"):
            value = getattr(self, key)
            check(0 <= value < float("inf"), key, "a number from 0", value)
        check_one_of("missing", self.missing, ("refuse", "drop", "mean"))
        check_one_of("categories", self.categories, ("refuse", "onehot"))
        check(self.decimal in ("auto", ".", ","), "decimal", "'auto', '.' or ','", self.decimal)
        check(self.header in ("auto", True, False), "header", "'auto', true or false", self.header)
        fine = self.separator is None or self.separator in SEPARATORS or _separates(self.separator)
        check(fine, "separator", f"one character or one of {', '.join(SEPARATORS)}", self.separator)
        fine = self.encoding is None or _is_encoding(self.encoding)
        check(fine, "encoding", "the name of an encoding, utf-8 or latin-1 for example", self.encoding)


TABLES = ("csv", "parquet")
SYNTHETIC = ("mixtures", "spirals", "heavy_tail")
USES: dict[str, tuple[tuple[str, ...], str]] = {
    "label": ((*TABLES, "npz"), "files of csv, parquet and npz have labels to choose from"),
    "columns": (TABLES, "csv and parquet files have columns"),
    "exclude": (TABLES, "csv and parquet files have columns"),
    "missing": ((*TABLES, "npz"), "files of csv, parquet and npz may lack values"),
    "categories": (TABLES, "csv and parquet files have columns of text"),
    "separator": (("csv",), "csv files are text"),
    "decimal": (("csv",), "csv files are text"),
    "encoding": (("csv",), "csv files are text"),
    "header": (("csv",), "csv files are text"),
    "num_classes": (("mixtures", "spirals"), "the data sets mixtures and spirals have a number of classes to choose"),
    "features": (
        ("mixtures",),
        "the data set mixtures has a number of features to choose (data.columns and data.exclude choose columns)",
    ),
    "examples_per_class": (("mixtures", "spirals"), "the data sets mixtures and spirals are drawn class by class"),
    "separation": (("mixtures",), "the data set mixtures has centres"),
    "noise": (("spirals", "heavy_tail"), "the data sets spirals and heavy_tail have noise"),
    "turns": (("spirals",), "the data set spirals has arms"),
    "m": (("heavy_tail",), "the data set heavy_tail has groups of classes"),
    "dimensions": (("heavy_tail",), "the data set heavy_tail has random inputs"),
    "copies": (("heavy_tail",), "the data set heavy_tail is validated with copies of its rows"),
    "generator_seed": (SYNTHETIC, "synthetic data and the subsample of data.examples are drawn"),
}
"""{key: (names of data sets and formats that use it, who that is in words)} of the keys that not all make use of."""


def refuse_useless(kind: str, options: DataOptions) -> None:
    """Refuse an option that was set and that the data set or format `kind` would leave alone.

    >>> refuse_useless("iris", DataOptions(turns=2.0))
    Traceback (most recent call last):
    experiments.errors.UserError: data.turns: expected none, as only the data set spirals has arms, got 2.0
    """
    for option in fields(options):
        key, value = option.name, getattr(options, option.name)
        if key not in USES or value == option.default or (key == "generator_seed" and options.examples is not None):
            continue
        kinds, words = USES[key]
        if kind not in kinds:
            raise UserError(f"data.{key}: expected none, as only {words}, got {value!r}")


def refuse_splitting(spec: str, options: DataOptions) -> None:
    """A data set that is drawn with its parts has no use for what chooses, thins or splits examples."""
    plain = SplitOptions()
    given = {
        "imbalance": options.imbalanced and options.imbalance,
        "classes": options.classes,
        "examples": options.examples,
        "split.validation": options.split.validation != plain.validation and options.split.validation,
        "split.test": options.split.test != plain.test and options.split.test,
    }
    for key, value in given.items():
        if value:
            raise UserError(
                f"data.{key}: expected none, as {spec} is drawn with parts and classes of its own, got {value}"
            )


def _separates(text: str) -> bool:
    return len(text) == 1 and text not in '"\r\n\0'


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False
