"""Readers of the user's own files: features as numbers and labels as 0..K-1, or one line that says what is wrong.

Rows are named the way the user sees them: lines of a CSV file and rows of the other formats, both counted from 1.
"""

import csv
import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from experiments.errors import UserError, nearest

LABEL_COLUMNS = ("label", "target", "class", "species", "y")


class RawTable(NamedTuple):
    """What every reader returns.

    inputs [N, D], of images [N, H, W, C], are finite floats, labels [N] are int32 in 0..K-1, class_names[k] is the
    original label of class k.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]


class Reader(NamedTuple):
    """A file format: read(path, label) -> RawTable, with the user's `data.label` or None, and its description."""

    read: Callable[[Path, str | None], RawTable]
    description: str


def encode_labels(values: pl.Series, what: str, place: Callable[[int], str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Map labels of any type to 0..K-1: numbers in numerical order, everything else in the order of its text.

    `what` names the column and `place(row)` a row of it in errors. UserError for missing labels, a single class, and
    columns that hold numbers to predict rather than classes.

    >>> labels, names = encode_labels(pl.Series(["10", "9", "10.0"]), "column 'y'", str)
    >>> labels.tolist(), names
    ([1, 0, 1], ('9', '10'))
    """
    try:
        text = values.cast(pl.String).str.strip_chars()
    except pl.exceptions.PolarsError:
        raise UserError(f"{what}: expected one label per row, got {values.dtype} values") from None
    missing = (text.is_null() | text.str.to_lowercase().is_in(["", "nan"])).arg_true()
    if len(missing):
        raise UserError(f"{what}: {place(missing[0])} has no label")

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
    if (len(names) > 10 and 2 * len(names) > len(labels)) or (fractional and np.bincount(labels).min() < 3):
        raise UserError(
            f"{what}: {len(names)} different values in {len(labels)} rows look like a regression target or an "
            "identifier, not like classes; name the column of classes with data.label"
        )
    if len(names) < 2:
        raise UserError(f"{what}: expected at least two classes, got only {names[0]!r}")
    return labels.astype(np.int32), names


def read_csv(path: Path, label: str | None) -> RawTable:
    """Read comma-separated UTF-8 text whose first line holds the column names; lines without any value are skipped."""
    content = _bytes(path)
    if not content.strip():
        raise UserError(f"{path}: the file is empty")
    try:
        # Everything as text: the conversion below can then name the first cell that is not a number.
        cells = pl.read_csv(io.BytesIO(content), has_header=False, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: not a table of comma-separated values ({_csv_problem(content, error)})") from None
    names = _header(path, cells.row(0))
    rows = cells.with_row_index("line", offset=1).slice(1).filter(~pl.all_horizontal(pl.exclude("line").is_null()))
    lines = rows["line"]
    frame = rows.drop("line").rename(dict(zip(cells.columns, names, strict=True)))
    return _table(frame, path, label, lambda row: f"line {lines[row]}")


def read_parquet(path: Path, label: str | None) -> RawTable:
    """Read a Parquet file with one row per example."""
    try:
        frame = pl.read_parquet(io.BytesIO(_bytes(path)))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({_reason(error)})") from None
    return _table(frame, path, label, lambda row: f"row {row + 1}")


def read_npz(path: Path, label: str | None) -> RawTable:
    """Read the arrays `inputs` [N, D], [N, H, W] or [N, ...] and `labels` [N] (or the one `label` names) of an archive.

    Inputs keep their shape; grey images [N, H, W] get the axis of channels that images have, [N, H, W, 1].
    """
    label = label or "labels"
    content = _bytes(path)
    # Asked first, because np.load takes whatever else it is given for a pickle.
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise UserError(f"{path}: not an npz archive; numpy.savez(path, inputs=..., labels=...) writes one")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for key in ("inputs", label):
                if key not in archive:
                    raise UserError(f"{path}: no array {key!r}; there are {_names(archive)}{nearest(key, archive)}")
            inputs, labels = archive["inputs"], archive[label]
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not plain arrays in an npz archive ({_reason(error)})") from None
    if inputs.dtype.kind not in "biuf" or inputs.ndim < 2:
        raise UserError(
            f"{path}: expected 'inputs' [N, D] or [N, H, W, C] of numbers, got {inputs.dtype} {list(inputs.shape)}"
        )
    if labels.ndim != 1 or len(labels) != len(inputs):
        expected = f"expected {label!r} of shape [{len(inputs)}], one label per example"
        raise UserError(f"{path}: {expected}, got shape {list(labels.shape)}")
    if inputs.size == 0:
        raise UserError(f"{path}: 'inputs' of shape {list(inputs.shape)} is empty")
    rows = inputs.reshape(len(inputs), -1).astype(np.float64)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        where = f"row {row + 1}, feature {column + 1}"
        raise UserError(f"{path}: {where}: expected a finite number, got {rows[row, column]}")
    encoded = encode_labels(pl.Series(labels), f"{path}, {label!r}", lambda row: f"row {row + 1}")
    shape = (*inputs.shape, 1) if inputs.ndim == 3 else inputs.shape
    return RawTable(rows.reshape(shape), *encoded, tuple(f"feature_{i}" for i in range(rows.shape[1])))


def read_idx(folder: Path, label: str | None) -> RawTable:
    """Read a folder of MNIST-format files, train-images-idx3-ubyte and the like, plain or .gz; `label` is not used.

    When the t10k pair is there too, its examples follow the others and are split afresh together with them, so the
    accuracies are not comparable with ones published for the official test images.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder of MNIST-format files{_near_files(folder)}")
    pairs = [_idx_pair(folder, "train")]
    if any(folder.glob("t10k-*-ubyte*")):
        pairs.append(_idx_pair(folder, "t10k"))
    if len({images.shape[1:] for images, _ in pairs}) > 1:
        raise UserError(f"{folder}: the train and t10k images differ in shape")
    images, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    if images.size == 0:
        raise UserError(f"{folder}: the image files are empty")
    _, rows, columns = images.shape
    # float32 holds every uint8 exactly, at half the memory of float64.
    inputs = images[..., None].astype(np.float32)
    encoded = encode_labels(pl.Series(labels), f"{folder}, labels", lambda row: f"row {row + 1}")
    return RawTable(inputs, *encoded, tuple(f"pixel_{i}_{j}" for i in range(rows) for j in range(columns)))


READERS = {
    "csv": Reader(read_csv, "comma-separated values with column names on the first line"),
    "parquet": Reader(read_parquet, "a Parquet file, one row per example"),
    "npz": Reader(read_npz, "a numpy archive with the arrays inputs [N, D] or [N, H, W, C] and labels [N]"),
    "idx": Reader(read_idx, "a folder of MNIST-format files (train-images-idx3-ubyte and so on, plain or .gz)"),
}


def _table(frame: pl.DataFrame, path: Path, label: str | None, place: Callable[[int], str]) -> RawTable:
    if frame.width < 2:
        columns = f"got {_names(frame.columns)}; are the cells separated by commas?"
        raise UserError(f"{path}: expected a label column and at least one feature column, {columns}")
    if frame.height == 0:
        raise UserError(f"{path}: there are column names but no rows")
    if label is None:
        by_name = {name.lower(): name for name in frame.columns}
        label = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), frame.columns[-1])
    elif label not in frame.columns:
        columns = f"the columns are {_names(frame.columns)}"
        raise UserError(f"{path}: no label column {label!r}; {columns}{nearest(label, frame.columns)}")
    encoded = encode_labels(frame[label], f"{path}, label column {label!r}", place)
    features = [name for name in frame.columns if name != label]
    inputs = np.stack([_numbers(frame[name], f"{path}, column {name!r}", place) for name in features], axis=1)
    return RawTable(inputs, *encoded, tuple(features))


def _numbers(column: pl.Series, what: str, place: Callable[[int], str]) -> np.ndarray:
    if column.dtype == pl.String:
        values = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        values = column.cast(pl.Float64)
    else:
        raise UserError(f"{what}: expected numbers, got {column.dtype} values; encode them or leave the column out")
    bad = (~values.is_finite()).fill_null(True).arg_true()
    if len(bad):
        came = "nothing" if column[bad[0]] is None else repr(column[bad[0]])
        raise UserError(f"{what}, {place(bad[0])}: expected a finite number, got {came}")
    return values.to_numpy()


def _header(path: Path, first: Sequence[str | None]) -> list[str]:
    names = [(name or "").strip() for name in first]
    for position, name in enumerate(names):
        problem = None
        if not name:
            problem = f"column {position + 1} has none (a saved row index? it would give the labels away)"
        elif name in names[:position]:
            problem = f"{name!r} comes twice"
        elif _is_fraction(name):
            problem = f"{name!r} is a number"
        if problem:
            raise UserError(f"{path}: expected the names of the columns on the first line, but {problem}")
    return names


def _is_fraction(name: str) -> bool:
    """Whole numbers do serve as column names (0, 1, 2, ...); 5.1 on the first line means that the names are missing."""
    try:
        value = float(name)
    except ValueError:
        return False
    return math.isfinite(value) and value != round(value)


def _csv_problem(content: bytes, error: Exception) -> str:
    # polars does not say which line it stumbles over; utf-8-sig drops the mark that some programs begin a file with.
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        width = len(next(rows))
        for row in rows:
            if len(row) > width:
                return f"line {rows.line_num} has {len(row)} cells, the first line {width}"
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except csv.Error as second:
        return str(second)
    return _reason(error)


def _idx_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (
        _idx_array(folder, f"{part}-images-idx3-ubyte", 3),
        _idx_array(folder, f"{part}-labels-idx1-ubyte", 1),
    )
    if len(images) != len(labels):
        raise UserError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
    return images, labels


def _idx_array(folder: Path, name: str, rank: int) -> np.ndarray:
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise UserError(f"{folder}: expected the file {name} or {name}.gz{_near_files(folder / name)}")
    content = _bytes(path)
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not a gzip file ({_reason(error)})") from None
    # The header: two zero bytes, the type (8 is uint8), the rank, then one big-endian uint32 per axis.
    start = 4 + 4 * rank
    if len(content) < start or content[:4] != bytes([0, 0, 8, rank]):
        raise UserError(f"{path}: not an MNIST-format file of uint8 values with {rank} axes")
    shape = np.frombuffer(content, ">u4", count=rank, offset=4).tolist()
    if len(content) - start != math.prod(shape):
        raise UserError(f"{path}: {math.prod(shape)} values announced, {len(content) - start} found")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise UserError(f"{path}: no such file{_near_files(path)}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _near_files(path: Path) -> str:
    try:
        return nearest(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        return ""


def _names(names: Iterable[str]) -> str:
    shown = [repr(name if len(name) <= 40 else name[:37] + "...") for name in names]
    return ", ".join(shown[:10]) + (", ..." if len(shown) > 10 else "")


def _reason(error: BaseException) -> str:
    """The first sentence: what follows in these libraries is advice to their programmers."""
    return str(error).strip().partition("\n")[0].partition(". ")[0]
