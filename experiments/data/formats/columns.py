"""From a table of columns to features and labels: which columns are features, and their values as numbers."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from ...errors import UserError, nearest
from ..options import DataOptions
from ..records import RawTable
from .identifiers import counts_rows, named_like_one, why_no_feature
from .labels import MISSING, NO_NUMBERS, guess_label, label_text
from .naming import composed, composed_options, quoted, told_apart
from .rows import Rows, finished

MOST_CATEGORIES = 100
"""Different texts in a column; one with more is free text or an identifier."""


class Column(NamedTuple):
    """A feature column: its name, and numbers [N] with NaN where a value is missing, or texts with null there."""

    name: str
    values: np.ndarray | pl.Series


def read_table(
    frame: pl.DataFrame,
    names: Sequence[str],
    path: Path,
    options: DataOptions,
    place: Callable[[int], str],
    notes: Sequence[str] = (),
    index: Sequence[str] = (),
) -> RawTable:
    """Features and labels of a table.

    Args:
      frame: columns of any type; texts have no blanks around them.
      names: of its columns, "" where a text file gives none.
      path: of the file, for errors.
      options: which columns, and what to do with missing values and texts.
      place: names a row, "line 3".
      notes: sentences for the account.
      index: columns of which the file itself says that they index the rows.

    Raises:
      UserError: whatever keeps it from being trained on, and where.
    """
    left_out: list[tuple[str, str]] = []
    frame = _named(frame, list(map(composed, names)), path, left_out)
    options, index = composed_options(options), list(map(composed, index))
    if frame.width + len(left_out) < 2:
        hint = (
            "; are the cells separated by another character? data.separator names it"
            if path.suffix != ".parquet"
            else ""
        )
        raise UserError(
            f"{path}: expected a label column and at least one feature column, got {quoted(frame.columns)}{hint}"
        )
    if frame.height == 0:
        raise UserError(f"{path}: there are column names but no rows")
    label, guessed = _label(frame, path, options, index)
    wanted = _wanted(frame, path, options, label, left_out)
    features, suspects = [], []
    for name in wanted:
        what = f"{path}, column {name!r}"
        column = Column(name, _values(frame[name], what, place))
        why = "an index of the rows, as the file says" if name in index else why_no_feature(name, column.values)
        why = "no value in any row" if _no_value(column.values) else why
        if why and options.columns is None:
            left_out.append((name, why))
            continue
        if isinstance(column.values, pl.Series) and options.categories == "refuse":
            _refuse_text(frame, column, what, place)
        if isinstance(column.values, np.ndarray) and frame.height >= 20 and counts_rows(column.values):
            suspects.append(f"column {name!r} runs in steps of one, like a row number; data.exclude leaves it out")
        elif named_like_one(name) and options.columns is None:
            suspects.append(f"column {name!r} is called like an identifier; data.exclude leaves it out")
        features.append(column)
    if not features:
        out = quoted(name for name, _ in left_out)
        raise UserError(f"{path}: no feature columns are left beside the label {label!r}; left out: {out}")
    encoded = []
    blocks, feature_names = [], []
    for column in features:
        if isinstance(column.values, pl.Series):
            block, values = _one_hot(column, f"{path}, column {column.name!r}")
            encoded.append((column.name, len(values)))
            feature_names += [f"{column.name}={value}" for value in values]
            blocks.append(block)
        else:
            feature_names.append(column.name)
            blocks.append(column.values[:, None])
    owners = [column.name for column, block in zip(features, blocks, strict=True) for _ in range(block.shape[1])]
    rows = Rows(
        inputs=np.concatenate(blocks, axis=1),
        labels=label_text(frame[label], f"{path}, label column {label!r}"),
        feature_names=tuple(told_apart(feature_names)),
        owners=tuple(owners),
        what=f"{path}, label column {label!r}",
        place=place,
        cell=lambda row, feature: f"{path}, column {owners[feature]!r}, {place(row)}",
        came=lambda row, feature: "nothing" if not frame[owners[feature]][row] else repr(frame[owners[feature]][row]),
    )
    table = finished(rows, options)
    assert table.account is not None
    account = table.account._replace(
        label=label,
        guessed=guessed,
        left_out=tuple(left_out),
        encoded=tuple(encoded),
        notes=(*notes, *suspects, *table.account.notes),
    )
    return table._replace(account=account)


def _named(frame: pl.DataFrame, names: Sequence[str], path: Path, left_out: list[tuple[str, str]]) -> pl.DataFrame:
    """The frame under its names; of the columns that have none only those that are not needed may be there."""
    kept = {}
    for place, (column, name) in enumerate(zip(frame.columns, names, strict=True)):
        if name:
            kept[column] = name
        elif _blank(frame[column]):
            left_out.append((f"column {place + 1}", "no name and no values"))
        elif place == 0:
            left_out.append(("column 1", "no name: a saved row index"))
        else:
            raise UserError(
                f"{path}: expected the names of the columns on the first line, but column {place + 1} has none"
            )
    if twice := [name for name, count in Counter(kept.values()).items() if count > 1]:
        raise UserError(f"{path}: expected columns of different names, but {twice[0]!r} comes twice")
    return frame.select(list(kept)).rename(kept)


def _label(frame: pl.DataFrame, path: Path, options: DataOptions, index: Sequence[str]) -> tuple[str, str]:
    """The label column, and why this one was guessed."""
    if options.label is not None:
        _refuse_unknown([options.label], frame.columns, path, "label column")
        return options.label, ""
    out = {str(name) for name in options.exclude or ()} | set(index)
    columns = [name for name in frame.columns if name not in out]
    if not columns:
        raise UserError(f"{path}: no column is left for the labels; data.label names one")
    # An identifier may stand last, but it is no class.
    columns = [
        name for name in columns if not (named_like_one(name) and frame[name].n_unique() == frame.height)
    ] or columns
    return guess_label(columns, lambda: [name for name in columns if _holds_text(frame[name])])


def _wanted(
    frame: pl.DataFrame, path: Path, options: DataOptions, label: str, left_out: list[tuple[str, str]]
) -> list[str]:
    """The columns to be features, as the user chooses; reasons for the others go into `left_out`."""
    columns, exclude = ([str(name) for name in chosen or ()] for chosen in (options.columns, options.exclude))
    for key, chosen in (("columns", columns), ("exclude", exclude)):
        _refuse_unknown(chosen, frame.columns, path, "column", f"data.{key}: ")
    for name in exclude:
        if name == label or name in columns:
            needed = "the label column" if name == label else "in data.columns too"
            raise UserError(f"data.exclude: expected columns that are not needed, but {name!r} is {needed}")
    left_out += [(name, "data.exclude") for name in frame.columns if name in exclude]
    if options.columns is not None:
        left_out += [
            (n, "not in data.columns") for n in frame.columns if n not in columns and n != label and n not in exclude
        ]
    rest = [name for name in frame.columns if name != label and name not in exclude]
    return [name for name in rest if name in columns] if options.columns is not None else rest


def _refuse_unknown(chosen: Sequence[str], columns: Sequence[str], path: Path, what: str, key: str = "") -> None:
    for name in chosen:
        if name not in columns:
            raise UserError(
                f"{key}{path}: no {what} {name!r}; the columns are {quoted(columns)}{nearest(name, columns)}"
            )


def _values(column: pl.Series, what: str, place: Callable[[int], str]) -> np.ndarray | pl.Series:
    """A column as numbers with NaN for what is missing, or, where most of it is no number, as texts."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    wrong = np.zeros(len(column), bool)
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count() > column.null_count():  # most columns are numbers throughout, which is quickly seen
            text = _marked(column)
            if _is_text(text):
                return text
            numbers = _numbers(text)
            wrong = (text.is_not_null() & numbers.is_null()).to_numpy()
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise UserError(f"{what}: expected numbers, got {column.dtype} values; encode them or leave the column out")
    values = numbers.to_numpy(writable=True)  # NaN where it is null
    wrong |= np.isinf(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(f"{what}, {place(row)}: expected a finite number, got {column[row]!r}")
    for number in NO_NUMBERS:
        values[values == number] = np.nan
    return values


def _marked(column: pl.Series) -> pl.Series:
    """Texts without blanks around them, null where they are a mark of a missing value."""
    text = column.str.strip_chars()
    return text.set(text.str.to_lowercase().is_in(MISSING).fill_null(False), None)


def _numbers(text: pl.Series) -> pl.Series:
    """Texts as numbers, null where they are none; true and false are 1 and 0, as in other formats."""
    numbers = text.cast(pl.Float64, strict=False)
    if (text.is_not_null() & numbers.is_null()).any():
        words = text.str.to_lowercase().replace({"true": "1", "false": "0"})
        return words.cast(pl.Float64, strict=False)
    return numbers


def _is_text(text: pl.Series) -> bool:
    """Whether less than half of what is there are numbers: one slip of the pen makes no column of text."""
    there = _marked(text).drop_nulls()
    return len(there) > 0 and 2 * _numbers(there).count() < len(there)


def _holds_text(column: pl.Series) -> bool:
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return False
    text = column.cast(pl.String)
    return text.cast(pl.Float64, strict=False).null_count() > text.null_count() and _is_text(text)


def _blank(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool((column.fill_null("").str.strip_chars() == "").all())


def _no_value(values: np.ndarray | pl.Series) -> bool:
    return values.null_count() == len(values) if isinstance(values, pl.Series) else bool(np.isnan(values).all())


def _refuse_text(frame: pl.DataFrame, column: Column, what: str, place: Callable[[int], str]) -> None:
    text = column.values
    assert isinstance(text, pl.Series)
    row = (text.is_not_null() & _numbers(text).is_null()).arg_true()[0]
    hint = 'data.categories = "onehot" makes features of texts, data.exclude leaves the column out'
    if text.drop_nulls().str.contains(r"^[+-]?[\d.]*,\d+$").all():
        hint = 'data.decimal = "," reads decimal commas'
    raise UserError(f"{what}, {place(row)}: expected a finite number, got {frame[column.name][row]!r}; {hint}")


def _one_hot(column: Column, what: str) -> tuple[np.ndarray, list[str]]:
    """One feature for each text of a column, in their order; all of them missing where the text is."""
    text = column.values
    assert isinstance(text, pl.Series)
    values = sorted(text.drop_nulls().unique().to_list())
    if len(values) > MOST_CATEGORIES:
        raise UserError(
            f"{what}: expected at most {MOST_CATEGORIES} different texts to encode, got {len(values)}; "
            "data.exclude leaves the column out"
        )
    block = np.stack([(text == value).cast(pl.Float64).fill_null(float("nan")).to_numpy() for value in values], axis=1)
    return block, values
