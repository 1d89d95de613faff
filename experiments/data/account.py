"""The account of what was taken, in words."""

from collections.abc import Iterable, Sequence

from .records import Account

SHOWN = 10
"""Names in a line; of more, the rest are counted."""


def account_lines(account: Account | None) -> list[str]:
    """The account as lines of plain text: rows, labels, features, and what was left out, encoded and filled in.

    There is none, and no line, of a data set that was put together without `load_dataset`.

    >>> account = Account(
    ...     "csv:a.csv", 7, (("no value in 'x'", 1),), "y", "by its name", (("a", 4), ("b", 2)), ("x",),
    ...     (("Id", "row numbers"),))
    >>> print("\\n".join(account_lines(account)))
    data: csv:a.csv, 6 of 7 rows; left out: no value in 'x' (1)
    labels: column 'y' (guessed by its name; data.label names another), 2 classes: a (4), b (2)
    features: 1: 'x'
    left out: 'Id' (row numbers)
    """
    if account is None:
        return []
    taken = account.rows - sum(count for _, count in account.dropped)
    rows = f"{taken:,} rows" if taken == account.rows else f"{taken:,} of {account.rows:,} rows"
    why = f"; left out: {_counted(account.dropped)}" if account.dropped else ""
    guess = f" (guessed {account.guessed}; data.label names another)" if account.guessed else ""
    kind = "array" if account.source.startswith("npz:") else "column"
    column = f"{kind} {account.label!r}{guess}, " if account.label else ""
    lines = [
        f"data: {account.source}, {rows}{why}",
        f"labels: {column}{len(account.classes):,} classes: {_counted(account.classes)}",
        f"features: {len(account.features):,}: {first_few(map(repr, account.features))}",
    ]
    if account.left_out:
        lines.append(f"left out: {first_few(f'{name!r} ({reason})' for name, reason in account.left_out)}")
    if account.encoded:
        encoded = first_few(f"{name!r} ({count})" for name, count in account.encoded)
        lines.append(f"one-hot: {encoded}")
    if account.filled:
        filled = first_few(f"{name!r} ({count:,})" for name, count in account.filled)
        lines.append(f"missing: {filled}; filled in with the mean of each training part")
    return [*lines, *(f"note: {note}" for note in account.notes)]


def first_few(words: Iterable[str]) -> str:
    """The first ten words, and how many there are beyond.

    >>> first_few("abcdefghijkl")
    'a, b, c, d, e, f, g, h, i, j and 2 more'
    """
    words = list(words)
    more = f" and {len(words) - SHOWN:,} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _counted(counts: Sequence[tuple[str, int]]) -> str:
    return first_few(f"{name} ({count:,})" for name, count in counts)
