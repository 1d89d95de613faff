"""Readers of the user's own files: features as numbers and labels as 0..K-1, or one line that says what is wrong.

Rows are named the way the user sees them: lines of a CSV file and rows of the other formats, both counted from 1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .options import DataOptions
from .records import RawTable

__all__ = ["READERS", "Reader"]


class Reader(NamedTuple):
    """A file format: read(path, options) -> RawTable, and its description."""

    read: Callable[[Path, DataOptions], RawTable]
    description: str


def _read_csv(path: Path, options: DataOptions) -> RawTable:
    from .formats.text import read_csv

    return read_csv(path, options)


def _read_parquet(path: Path, options: DataOptions) -> RawTable:
    from .formats.parquet import read_parquet

    return read_parquet(path, options)


def _read_npz(path: Path, options: DataOptions) -> RawTable:
    from .formats.npz import read_npz

    return read_npz(path, options)


def _read_idx(path: Path, options: DataOptions) -> RawTable:
    from .formats.idx import read_idx

    return read_idx(path, options)


# Formats are imported when they are read: known data sets do without polars, which takes its time to be imported.
READERS = {
    "csv": Reader(_read_csv, "text with one example on each line and column names on the first"),
    "parquet": Reader(_read_parquet, "a Parquet file, one row per example"),
    "npz": Reader(_read_npz, "a numpy archive with the arrays inputs [N, D] or [N, H, W, C] and labels [N]"),
    "idx": Reader(_read_idx, "a folder of MNIST-format files (train-images-idx3-ubyte and so on, plain or .gz)"),
}
