"""Data sets: those that are known by name, and the user's own files."""

from experiments.data.account import account_lines
from experiments.data.builtin import bundled
from experiments.data.datasets import (
    DATASETS,
    OPTIONS_OF_ALL,
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
