"""Data sets: those that are known by name, and the user's own files."""

from .account import account_lines
from .builtin import bundled
from .datasets import (
    DATASETS,
    OPTIONS_OF_ALL,
    Dataset,
    drawn_dataset,
    fingerprint,
    load_dataset,
    split_dataset,
)
from .options import DataOptions
from .records import Account

__all__ = [
    "DATASETS",
    "OPTIONS_OF_ALL",
    "Account",
    "DataOptions",
    "Dataset",
    "account_lines",
    "bundled",
    "drawn_dataset",
    "fingerprint",
    "load_dataset",
    "split_dataset",
]
