"""Columns that number or name the rows: as features they give the order of the rows away, and often the labels."""

import re

import numpy as np
import polars as pl

SAVED = re.compile(r"unnamed: ?0(\.\d+)?|__index_level_\d+__|\.\.\.1")
"""Names that pandas and R give to row names when a table is saved or read."""
NAMES = re.compile(
    r"(record|row|sample|case|instance|obs|example|passenger|image|file)?[ _.-]?(id|idx|index)"
    r"|u?uid|guid|level_0|unnamed: ?\d+(_level_\d+)?"
)
ENDS = re.compile(r".*[_ .-](id|ID|Id|uuid|idx|index)|.*[a-z](Id|ID)|(ID|Id)[A-Z_].*")
COUNTS = re.compile(
    r"(row|record|serial|sample|case|obs|line)?[ _.-]?(no|nr|num|number|n|count|names?)\.?"
    r"|row|#|s\.?no\.?|obs|record|sample|case"
)
"""Names of counts: a column is a number of rows only if it counts them too."""


def why_no_feature(name: str, values: np.ndarray | pl.Series) -> str | None:
    """Why a column is left out unless it is asked for, None for a feature.

    >>> why_no_feature("Id", np.arange(1.0, 151.0))
    'it counts the rows'
    >>> why_no_feature("Id", np.repeat([1.0, 2.0], 4)) is why_no_feature("height", np.arange(150.0)) is None
    True
    """
    lower = name.strip().lower()
    if SAVED.fullmatch(lower):
        return "a saved row index"
    if not named_like_one(name) and not COUNTS.fullmatch(lower):
        return None
    if counts_rows(values):
        return "it counts the rows"
    return "an identifier, different in every row" if named_like_one(name) and differs(values) else None


def named_like_one(name: str) -> bool:
    """Whether a column is called like an identifier.

    >>> [name for name in ("Id", "customer_id", "PassengerId", "acid", "width") if named_like_one(name)]
    ['Id', 'customer_id', 'PassengerId']
    """
    return bool(NAMES.fullmatch(name.strip().lower()) or ENDS.fullmatch(name.strip()))


def counts_rows(values: np.ndarray | pl.Series) -> bool:
    """Whether a column runs in steps of one, up or down."""
    if isinstance(values, pl.Series) or len(values) < 3 or abs(values[1] - values[0]) != 1:
        return False
    steps = np.diff(values)
    return bool(np.all(steps == 1) or np.all(steps == -1))


def differs(values: np.ndarray | pl.Series) -> bool:
    """Whether a column has text or a whole number in each row that no other row has."""
    if isinstance(values, pl.Series):
        return values.n_unique() == len(values) > 2
    whole = bool(np.all(np.isfinite(values)) and np.all(values == np.round(values)))
    return whole and len(values) > 2 and len(np.unique(values)) == len(values)
