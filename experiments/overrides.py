"""`key=value` on the command line: TOML values, bare words, and comma lists of either."""

import re
import tomllib
from typing import Any

from .errors import UserError, first_line

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_CLOSING = {"[": "]", "{": "}"}


def parse_override(override: str) -> tuple[str, Any]:
    """The dotted key and the value of one `key=value`.

    A value is TOML (`200`, `"a, b"`, `{std=[1,2]}`), a bare word (`ssr`, `npz:PATH`), or a list of either with commas
    between them (`0.9,0.95`). A comma in quotes or brackets belongs to what they hold.

    Raises:
      UserError: there is no `=`, or quotes and brackets hold no TOML value.

    >>> parse_override('data.label="sepal length, cm"'), parse_override("analysis.targets=0.9,0.95")
    (('data.label', 'sepal length, cm'), ('analysis.targets', [0.9, 0.95]))
    """
    key, equals, text = override.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key:
        raise UserError(f"command line: expected key=value, got {override!r}")
    try:
        values = [_parsed(part.strip(), key) for part in _parts(text)]
    except RecursionError:
        raise UserError(f"command line: {key}: expected fewer brackets within brackets") from None
    return key, values if len(values) > 1 else values[0]


def _parts(text: str) -> list[str]:
    """The text cut at the commas that stand in no quotes or brackets."""
    parts, start, place = [], 0, 0
    while place < len(text):
        if text[place] == ",":
            parts.append(text[start:place])
            start = place + 1
        # Within a word a quotation mark is an apostrophe; brackets may be part of a file's name.
        opens = text[place] in _CLOSING or not text[start:place].strip()
        place = max(_end(text, place) if opens else 0, place + 1)
    return [*parts, text[start:]]


def _end(text: str, place: int) -> int:
    """Where the quotes or brackets that open at `place` have closed; `place` if none open there, or none close."""
    if quoted := _QUOTED.match(text, place):
        return quoted.end()
    if closing := _CLOSING.get(text[place]):
        inside = place + 1
        while inside < len(text):
            if text[inside] == closing:
                return inside + 1
            inside = max(_end(text, inside), inside + 1)
    return place


def _parsed(text: str, key: str) -> Any:
    try:
        # In brackets on one line, neither a comment nor a second key can hide behind the value.
        table = tomllib.loads(f"value = [{text}]")
        if list(table) == ["value"] and len(table["value"]) == 1:
            return table["value"][0]
    except tomllib.TOMLDecodeError as error:
        if text[:1] in _CLOSING:
            told = first_line(error).partition(" (at")[0]  # a place in the line that was made of it here
            raise UserError(f"command line: {key}: expected TOML, got {text!r}: {told}") from None
    if text[:1] in ("'", '"'):
        if len(text) > 1 and text[-1] == text[0]:
            return text[1:-1]  # such as "C:\data", of which TOML would make an escaped d
        raise UserError(f"command line: {key}: expected a closing {text[0]}, got {text!r}")
    return text  # a bare word, such as ssr or npz:PATH, is no TOML value
