"""The last step of every reader: what happens to rows that lack a value or a label, and labels as classes."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

from ...errors import UserError
from ..options import DataOptions
from ..records import Account, RawTable
from .labels import encode_labels, refuse_unlabelled, unlabelled


class Rows(NamedTuple):
    """Examples before missing values are dealt with.

    inputs: [N, D] floats, NaN where a value is missing; labels: [N] texts; feature_names: [D]; owners: [D], the column
    that a feature comes from. In errors `what` names the labels, `place(row)` a row, `cell(row, feature)` a value and
    `came(row, feature)` what stands there.
    """

    inputs: np.ndarray
    labels: pl.Series
    feature_names: tuple[str, ...]
    owners: tuple[str, ...]
    what: str
    place: Callable[[int], str]
    cell: Callable[[int, int], str]
    came: Callable[[int, int], str]


def finished(rows: Rows, options: DataOptions) -> RawTable:
    """Refuse, drop or keep the rows that lack something, as `options.missing` says, and encode the labels.

    The account counts rows, those dropped, and values to be filled in; the rest of it is the caller's.
    """
    nameless = unlabelled(rows.labels, options.classes)
    lacking = np.isnan(rows.inputs) if rows.inputs.dtype.kind == "f" else np.zeros(rows.inputs.shape, bool)
    holes = lacking.any(axis=1)
    if options.missing != "drop":
        refuse_unlabelled(rows.labels, nameless, rows.what, rows.place)
    if options.missing == "refuse" and holes.any():
        row = int(holes.argmax())
        feature = int(lacking[row].argmax())
        raise UserError(
            f"{rows.cell(row, feature)}: expected a finite number, got {rows.came(row, feature)}; "
            'data.missing = "drop" leaves such rows out, "mean" fills in the mean of the training part'
        )
    inputs, labels, dropped = rows.inputs, rows.labels, []
    filled: tuple[tuple[str, int], ...] = ()
    if options.missing == "drop":
        kept = ~(nameless | holes)
        if not kept.any():
            raise UserError(f'{rows.what}: no row is left by data.missing = "drop"; each lacks a value or its label')
        if nameless.any():
            dropped.append(("no label", int(nameless.sum())))
        first = Counter(rows.owners[feature] for feature in lacking[holes & ~nameless].argmax(axis=1))
        dropped += [(f"no value in {name!r}", count) for name, count in first.items()]
        if not kept.all():
            inputs, labels = inputs[kept], labels.filter(pl.Series(kept))
    elif options.missing == "mean":
        counts = dict(zip(rows.owners, lacking.sum(axis=0).tolist(), strict=True))
        filled = tuple((name, count) for name, count in counts.items() if count)
    encoded, class_names = encode_labels(labels, rows.what)
    account = Account(source="", rows=len(rows.labels), dropped=tuple(dropped), filled=filled)
    return RawTable(inputs, encoded, class_names, rows.feature_names, account)
