"""Data sets: those that are known by name, and the user's own files."""

from experiments.data.account import account_lines
from experiments.data.builtin import bundled
from experiments.data.check import Finding, account_record, examine, finding_lines, imbalance_of
from experiments.data.datasets import (
    DATASETS,
    OPTIONS_OF_ALL,
    OPTIONS_OF_TABLES,
    Dataset,
    drawn_dataset,
    fingerprint,
    load_dataset,
    split_dataset,
)
from experiments.data.options import DataOptions
from experiments.data.records import Account

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
