"""Whether the first line of a text file holds the names of the columns."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError


def header_of(
    path: Path, rows: Sequence[str], comment: str, unit: str, header: str | bool
) -> tuple[list[str], list[str], str]:
    """The names of the columns, the rows that hold examples, and what there is to say about it.

    Args:
      path: of the file, for errors.
      rows: its rows, with `unit` between cells.
      comment: cells of a comment directly above the table, which may be its header, as numpy.savetxt writes it.
      unit: what stands between cells.
      header: True where the first row holds the names, False where there are none, "auto" to find out.

    Raises:
      UserError: the first line looks like an example, or its names cannot be names.
    """
    first, rest = [cell.strip() for cell in rows[0].split(unit)], list(rows[1:])
    if header is False:
        return [f"column_{place + 1}" for place in range(len(first))], list(rows), "the file has no column names"
    problem = None if header is True else _looks_like_an_example(first, rest, unit)
    above = [cell.strip() for cell in comment.split(unit)]
    if problem and len(above) == len(first) > 1 and _looks_like_an_example(above, list(rows), unit) is None:
        return above, list(rows), "the names of the columns are in a comment"
    if problem:
        raise UserError(
            f"{path}: expected the names of the columns on the first line, but {problem}; no column names? "
            "data.header = false reads the first line as an example, true as names"
        )
    twice = next((name for name, count in Counter(first).items() if name and count > 1), None)
    if twice:
        raise UserError(
            f"{path}: expected the names of the columns on the first line, but {twice!r} comes twice; "
            "no column names? data.header = false reads the first line as an example"
        )
    return first, rest, ""


def _looks_like_an_example(first: Sequence[str], rest: Sequence[str], unit: str) -> str | None:
    """Why the first row is no row of names, or None."""
    numbers = {place: cell for place, cell in enumerate(first) if _is_number(cell)}
    for cell in numbers.values():
        if not cell.isdigit():
            return f"{cell!r} is a number"
    values = [int(cell) for cell in numbers.values()]
    if values and values not in (list(range(len(values))), list(range(1, len(values) + 1))):
        return f"{next(iter(numbers.values()))!r} is a number, and they do not count the columns"
    if len(values) == len(first) > 2:
        return None
    # Names do not come again below themselves; the values of an example do, and each of them in its own column.
    names = [place for place, cell in enumerate(first) if cell and (place not in numbers or len(first) == 2)]
    if rest and names and all(_comes_again(first[place], place, rest, unit) for place in names):
        return f"each of its cells, such as {first[names[0]]!r}, comes again in its column"
    return None


def _comes_again(cell: str, place: int, rows: Sequence[str], unit: str) -> bool:
    """Whether a row has this cell at this place; only as much of it is cut as has to be."""
    cuts = (row.split(unit, place + 1) for row in rows)
    return any(len(cells) > place and cells[place].strip() == cell for cells in cuts)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name.replace(",", ".")))
    except ValueError:
        return False
