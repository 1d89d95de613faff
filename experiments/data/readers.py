"""Readers of the user's own files: features as numbers and labels as 0..K-1, or one line that says what is wrong.

Rows are named the way the user sees them: lines of a CSV file and rows of the other formats, both counted from 1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .formats.idx import read_idx
from .formats.npz import read_npz
from .formats.parquet import read_parquet
from .formats.text import read_csv
from .options import DataOptions
from .records import RawTable

__all__ = ["READERS", "Reader"]


class Reader(NamedTuple):
    """A file format: read(path, options) -> RawTable, and its description."""

    read: Callable[[Path, DataOptions], RawTable]
    description: str


READERS = {
    "csv": Reader(read_csv, "text with one example on each line and column names on the first"),
    "parquet": Reader(read_parquet, "a Parquet file, one row per example"),
    "npz": Reader(read_npz, "a numpy archive with the arrays inputs [N, D] or [N, H, W, C] and labels [N]"),
    "idx": Reader(read_idx, "a folder of MNIST-format files (train-images-idx3-ubyte and so on, plain or .gz)"),
}
