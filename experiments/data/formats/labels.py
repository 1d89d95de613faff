"""Labels of any type as 0..K-1: which column holds them, which of them are missing, and what is no class."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ...errors import UserError

LABEL_COLUMNS = ("label", "target", "class", "species", "y")
MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "?", "-", "nat")
"""How a missing value is written, in lower case."""
NO_NUMBERS = (-(2.0**63), -(2.0**31))
"""What becomes of NaN where it is cast to an integer; as a measurement neither has ever been seen."""
MOST_FRACTIONS = 20
"""Classes may be numbers such as 0.5, but a column with more different ones is a number to predict."""


def guess_label(columns: Sequence[str], find_texts: Callable[[], Sequence[str]]) -> tuple[str, str]:
    """The column that probably holds the labels, and why this one.

    Args:
      columns: all that may.
      find_texts: finds those of them that hold text, which no feature does; it takes its time.

    >>> guess_label(["x", "y", "colour"], list)
    ('colour', "as the last: 'y' beside 'x' is a coordinate")
    """
    by_name = {name.lower(): name for name in reversed(columns)}
    lower = [name.lower() for name in columns]
    # x, y, colour: two coordinates and a class, the commonest shape of toy data.
    beside = any(pair == ("x", "y") for pair in itertools.pairwise(lower)) and len(columns) > 2
    usual = [name for name in LABEL_COLUMNS if name in by_name and not (name == "y" and beside)]
    if usual:
        return by_name[usual[0]], "by its name"
    why = ": 'y' beside 'x' is a coordinate" if beside else ""
    texts = find_texts()
    if len(texts) == 1:
        return texts[0], f"as the only column of text{why}"
    if beside and lower[-1] == "y":
        # The class may stand first as well; if not, this is a table of numbers and y is to be predicted.
        return columns[-1], "by its name"
    return columns[-1], f"as the last{why}"


def label_text(values: pl.Series, what: str) -> pl.Series:
    """Labels of any type as text without blanks around it."""
    try:
        if values.dtype.is_nested():  # a record has a text, too
            raise pl.exceptions.InvalidOperationError(str(values.dtype))
        return values.cast(pl.String).str.strip_chars()
    except pl.exceptions.PolarsError:
        raise UserError(f"{what}: expected one label per row, got {values.dtype} values") from None


def unlabelled(text: pl.Series, named: Sequence[str | int] | None) -> np.ndarray:
    """Where a label is missing [N]; marks that are `named` as classes are none, and - is none beside +."""
    kept = {str(name).lower() for name in named or ()} | ({"-"} if (text == "+").any() else set())
    marked = text.str.to_lowercase().is_in([mark for mark in MISSING if mark not in kept])
    no_numbers = [number for number in NO_NUMBERS if f"{number:.0f}" not in kept]
    numbers = text.cast(pl.Float64, strict=False).is_in(no_numbers).fill_null(False)
    return (text.is_null() | marked.fill_null(False) | numbers).to_numpy()


def refuse_unlabelled(text: pl.Series, missing: np.ndarray, what: str, place: Callable[[int], str]) -> None:
    """Name the first row without a label, and the ways out."""
    if missing.any():
        row = int(missing.argmax())
        mark = f" ({text[row]!r}; data.classes keeps it if it is named there)" if text[row] else ""
        raise UserError(f'{what}: {place(row)} has no label{mark}; data.missing = "drop" leaves such rows out')


def encode_labels(text: pl.Series, what: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Map labels to 0..K-1: numbers in numerical order, everything else in the order of its text.

    `what` names the column in errors. UserError for a single class, and columns that hold numbers to predict rather
    than classes.

    >>> labels, names = encode_labels(pl.Series(["10", "9", "10.0"]), "column 'y'")
    >>> labels.tolist(), names
    ([1, 0, 1], ('9', '10'))
    """
    numbers = text.cast(pl.Float64, strict=False)
    # Integers from 2^53 on are not exact in float64 and could merge; as text they stay apart.
    if numbers.null_count() == 0 and (numbers.abs() < 2.0**53).all():
        classes, labels = np.unique(numbers.to_numpy(), return_inverse=True)
        fractional = bool(np.any(classes != np.round(classes)))
        names = tuple(repr(float(c)) if fractional else f"{c:.0f}" for c in classes)
    else:
        fractional = False
        classes, labels = np.unique(np.array(text.to_list(), dtype=object), return_inverse=True)
        names = tuple(classes)

    # Classes repeat: more of them than half of the rows, or decimals that come only once or twice, are something else.
    many = len(names) > 10 and 2 * len(names) > len(labels)
    if many or (fractional and (np.bincount(labels).min() < 3 or len(names) > MOST_FRACTIONS)):
        raise UserError(
            f"{what}: {len(names)} different values in {len(labels)} rows look like a regression target or an "
            "identifier, not like classes; name the column of classes with data.label"
        )
    if len(names) < 2:
        raise UserError(f"{what}: expected at least two classes, got only {names[0]!r}")
    return labels.astype(np.int32), names
