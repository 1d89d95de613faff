"""What readers return: the numbers, and the account of what was taken from where."""

from typing import NamedTuple

import numpy as np


class Account(NamedTuple):
    """What became of a file or a known data set: plain data for the terminal, pages and summaries.

    source: the data set as it was named, csv:PATH for example.
    rows: examples in it.
    dropped: (why, how many) of the examples that were left out.
    label: the column or array of the labels; "" where the data set has only one.
    guessed: why this one, where the user did not say; "" if they did.
    classes: (name, how many examples), in the order of the classes.
    features: names of the numbers of an example, in a row.
    left_out: (column, why) of the columns that are neither label nor feature.
    encoded: (column, how many features it became) of the columns of text.
    filled: (column, how many values) that are missing and will be the mean of the training part.
    notes: sentences about the way the file was read, and about columns that look like something else.
    """

    source: str
    rows: int
    dropped: tuple[tuple[str, int], ...] = ()
    label: str = ""
    guessed: str = ""
    classes: tuple[tuple[str, int], ...] = ()
    features: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    encoded: tuple[tuple[str, int], ...] = ()
    filled: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


class RawTable(NamedTuple):
    """What every reader returns.

    inputs [N, D], of images [N, H, W, C], are floats, finite but for NaN where a value is missing that is to be filled
    in, labels [N] are int32 in 0..K-1, class_names[k] is the original label of class k. The account leaves to
    `load_dataset` what it can count itself.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    account: Account | None = None
