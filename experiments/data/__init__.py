"""Data sets: those that are known by name, and the user's own files."""

from experiments.data.builtin import bundled
from experiments.data.datasets import (
    DATASETS,
    OPTIONS_OF_ALL,
    DataOptions,
    Dataset,
    drawn_dataset,
    fingerprint,
    load_dataset,
    split_dataset,
)

__all__ = [
    "DATASETS",
    "OPTIONS_OF_ALL",
    "DataOptions",
    "Dataset",
    "bundled",
    "drawn_dataset",
    "fingerprint",
    "load_dataset",
    "split_dataset",
]
