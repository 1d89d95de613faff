"""Parquet files, and which of their columns pandas calls an index."""

import io
import json
from pathlib import Path

import polars as pl

from ...errors import UserError
from ..options import DataOptions
from ..records import RawTable
from .columns import read_table
from .opening import contents, reason


def read_parquet(path: Path, options: DataOptions) -> RawTable:
    """Read a Parquet file with one row per example."""
    content = contents(path, "a Parquet file", reads=("a Parquet file",))
    try:
        frame = pl.read_parquet(io.BytesIO(content))
        metadata = pl.read_parquet_metadata(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({reason(error)})") from None
    index = [name for name in _index_columns(metadata.get("pandas", "")) if name in frame.columns]
    return read_table(frame, frame.columns, path, options, lambda row: f"row {row + 1}", index=index)


def _index_columns(metadata: str) -> list[str]:
    """Names of the columns that hold the row index of a pandas frame, from what pandas stores about it.

    >>> _index_columns('{"index_columns": ["day", {"kind": "range"}]}')
    ['day']
    """
    try:
        index = json.loads(metadata)["index_columns"]
        return [name for name in index if isinstance(name, str)]
    except (ValueError, KeyError, TypeError):
        return []
