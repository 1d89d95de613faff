"""Data sets: those that are known by name, and the user's own files."""

from .account import account_lines
from .builtin import bundled
from .check import Finding, account_record, examine, finding_lines, imbalance_of
from .datasets import (
    DATASETS,
    OPTIONS_OF_ALL,
    OPTIONS_OF_TABLES,
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
    "OPTIONS_OF_TABLES",
    "Account",
    "DataOptions",
    "Dataset",
    "Finding",
    "account_lines",
    "account_record",
    "bundled",
    "drawn_dataset",
    "examine",
    "finding_lines",
    "fingerprint",
    "imbalance_of",
    "load_dataset",
    "split_dataset",
]
