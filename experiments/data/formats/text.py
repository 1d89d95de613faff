"""CSV files: text whose encoding, separator, quotes, decimal point and header are recognised or named by a key."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from ...errors import UserError
from ..options import SEPARATORS, DataOptions
from ..records import RawTable
from .columns import read_table
from .header import header_of
from .opening import contents

UNIT = "\x1f"
"""Stands between cells once quotes and separators are understood: ASCII's own separator, which no table contains."""
SAMPLE = 50
"""Lines from which the separator is recognised."""
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte-order marks and the encodings that they stand for, the longer ones first."""

COMMA = r"^[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?$|^[+-]?\d{1,3}(\.\d{3})+$"
POINT = r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$"
"""Numbers with a decimal comma, perhaps with points between thousands, and with a decimal point."""


def read_csv(path: Path, options: DataOptions) -> RawTable:
    """Read text with one example on each line; lines without any value are skipped."""
    content = contents(path, "a table of comma-separated values")
    if not content.strip():
        raise UserError(f"{path}: the file is empty")
    text, encoding = _decoded(path, content, options.encoding)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start, comment, told = _preamble(lines)
    separator = SEPARATORS.get(options.separator or "", options.separator) or told or _recognised(lines[start:])
    cut = list(_quoted(path, lines, start, separator) if '"' in text else _plain(lines, start, separator))
    if not cut:
        raise UserError(f"{path}: there is nothing but lines that are blank or begin with #")
    above = next((row for row, _ in _plain([comment], 0, separator)), "")
    names, rows, of_names = header_of(path, [row for row, _ in cut], above, UNIT, options.header)
    if not rows:
        raise UserError(f"{path}: there are column names but no rows")
    numbers = [number for _, number in cut[len(cut) - len(rows) :]]
    names, rows = _even(path, names, rows, numbers)
    frame, places = _cells(rows, numbers, len(names))

    def place(row: int) -> str:
        return f"line {places[row]}"

    frame, commas = _with_points(frame, separator, options.decimal, lambda row: f"{path}, {place(row)}")
    word = next((word for word, character in SEPARATORS.items() if character == separator), "")
    notes = {
        f"the text is read as {encoding}": encoding not in ("utf-8", "utf-8-sig"),
        f"cells are separated by {word + 's' if word else repr(separator)}": separator != ",",
        "numbers are written with decimal commas": commas,
        of_names: bool(of_names),
    }
    return read_table(frame, names, path, options, place, [note for note, holds in notes.items() if holds])


def _decoded(path: Path, content: bytes, encoding: str | None) -> tuple[str, str]:
    """The text and the encoding it was read with."""
    named = encoding or next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if named is None and b"\0" in content[:4096]:
        # Half of the bytes of Latin text in UTF-16 are 0.
        most = min(len(content), 4096) // 4
        zeros = {"utf-16-le": content[1:4096:2].count(0), "utf-16-be": content[:4096:2].count(0)}
        named = next((name for name, count in zeros.items() if count > most), None)
        if named is None:
            raise UserError(f"{path}: not a table of comma-separated values; this is no text")
    try:
        text = content.decode(named or "utf-8").removeprefix("\ufeff")
    except (UnicodeError, ValueError):
        hint = "" if encoding else '; data.encoding = "latin-1" reads Western European text'
        raise UserError(f"{path}: not {(named or 'utf-8').upper()} text{hint}") from None
    if "\0" in text or UNIT in text:
        raise UserError(f"{path}: not a table of comma-separated values; there are control characters in it")
    return text, named or "utf-8"


def _preamble(lines: Sequence[str]) -> tuple[int, str, str | None]:
    """Where the table begins, the comment directly above it, and the separator of a line `sep=;`."""
    start, comment, told = 0, "", None
    for start, line in enumerate(lines):
        bare = line.strip()
        if bare.lower().startswith("sep=") and len(line.strip("\r\n ")) <= 5 and not told:
            told = line.strip("\r\n ")[4:] or "\t"
        elif bare.startswith("#"):
            comment = bare.lstrip("#")
        elif bare:
            return start, comment, told
    return len(lines) if lines else start, comment, told


def _recognised(lines: Sequence[str]) -> str:
    """The separator that gives most lines as many cells as the first line; a comma if there is none."""
    sample = [line for line in lines[: 4 * SAMPLE] if line.strip()][:SAMPLE]
    if not sample:
        return ","

    def votes(separator: str) -> float:
        widths = [_width(line, separator) for line in sample]
        return 0.0 if widths[0] < 2 else widths.count(Counter(widths).most_common(1)[0][0]) / len(widths)

    # Where two fit equally well the one named first wins: a comma may be a decimal comma, a blank part of a name.
    best = max(";\t|,", key=votes)
    if votes(best) > 0:
        return best
    return " " if votes(" ") == 1 else ","


def _width(line: str, separator: str) -> int:
    if separator == " ":
        return len(line.split())
    try:
        return len(next(csv.reader([line], delimiter=separator, skipinitialspace=True)))
    except (csv.Error, StopIteration):
        return 1


def _plain(lines: Sequence[str], start: int, separator: str) -> Iterator[tuple[str, int]]:
    """Rows of text without quotes, and their lines."""
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip():
            yield UNIT.join(line.split()) if separator == " " else line.replace(separator, UNIT), number


def _quoted(path: Path, lines: Sequence[str], start: int, separator: str) -> Iterator[tuple[str, int]]:
    """Rows of text with quoted cells, whose blanks, separators and line ends are part of the cell, and their lines."""
    # Blanks behind a quotation mark that ends a cell; a doubled one is part of it.
    behind = re.compile(rf'(?<!")" +(?={re.escape(separator)}|$)')
    tidy = (lambda line: " ".join(line.split())) if separator == " " else (lambda line: behind.sub('"', line))
    text = (f"{tidy(line)}\n" for line in lines[start:])
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    before = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            where, line = start + before + 1, lines[start + before] if start + before < len(lines) else ""
            problem = "inside a cell" if reader.line_num == before + 1 else "that is not closed"
            raise UserError(f"{path}: line {where}: a quotation mark {problem}: {line.strip()[:60]!r}") from None
        if any(map(str.strip, row)):
            yield UNIT.join(row).replace("\n", " "), start + before + 1
        before = reader.line_num


def _even(path: Path, names: list[str], rows: list[str], numbers: list[int]) -> tuple[list[str], list[str]]:
    """Names and rows of the same width: row names without a title, and a separator too many, are understood."""
    width = len(names)
    widths = [row.count(UNIT) + 1 for row in rows]
    if set(widths) == {width + 1}:
        if all(row.endswith(UNIT) for row in rows):
            return names, [row[:-1] for row in rows]
        return ["", *names], rows  # as R writes tables with the names of the rows
    for row, number in zip(widths, numbers, strict=True):
        if row > width:
            raise UserError(f"{path}: line {number} has {row} cells, the first line {width}")
    return names, rows


def _cells(rows: list[str], numbers: list[int], width: int) -> tuple[pl.DataFrame, pl.Series]:
    """Rows as columns of text without blanks around it, short rows with nothing at their ends, and their lines.

    Rows without any value are left out.
    """
    first = UNIT.join("x" * width)  # says how many columns there are
    cells = pl.read_csv(
        io.BytesIO("\n".join([first, *rows]).encode()),
        separator=UNIT,
        quote_char=None,
        infer_schema=False,
        has_header=False,
    )
    cells = cells.slice(1).select(pl.all().str.strip_chars()).select(pl.when(pl.all() != "").then(pl.all()))
    held = ~cells.select(pl.all_horizontal(pl.all().is_null())).to_series()
    return cells.filter(held), pl.Series(numbers).filter(held)


def _with_points(
    frame: pl.DataFrame, separator: str, decimal: str, where: Callable[[int], str]
) -> tuple[pl.DataFrame, bool]:
    """Numbers with decimal commas as numbers with points, and whether there were any."""
    if decimal == "." or (decimal == "auto" and separator == ","):
        return frame, False
    written = [name for name in frame.columns if frame[name].str.contains(COMMA).any()]
    pointed = [name for name in frame.columns if frame[name].str.contains(POINT).any()]
    if decimal == "auto":
        # 1,234 may be a thousand and more: somewhere there have to be one, two or four digits behind a comma.
        sure = any(frame[name].str.contains(r",(\d{1,2}|\d{4,})([eE]|$)").any() for name in written)
        if not sure or pointed:
            return frame, False
    for name in pointed:
        strange = (frame[name].str.contains(POINT) & ~frame[name].str.contains(COMMA)).arg_true()
        if len(strange):
            came = f"got {frame[name][strange[0]]!r}"
            raise UserError(f'{where(strange[0])}: expected decimal commas, as data.decimal is ",", {came}')
    plain = pl.all().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return frame.with_columns(pl.when(pl.all().str.contains(COMMA)).then(plain).otherwise(pl.all())), bool(written)
