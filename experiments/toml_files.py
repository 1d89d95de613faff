"""Reading TOML from people: what is no file or no TOML is told in a line."""

import tomllib
from pathlib import Path
from typing import Any

from .errors import UserError, first_line, nearest


def read_toml(path: Path, kind: str = "config") -> dict[str, Any]:
    """The tables of a TOML file of some kind; it may begin with a byte order mark, as some editors write.

    Raises:
      UserError: it is missing, cannot be read, or is no TOML.
    """
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "a pipe or a device"
            raise UserError(f"{path}: expected a TOML file, got {what}")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = [str(other) for other in sorted(path.parent.glob("*.toml"))]
        raise UserError(f"{path}: no such {kind} file{nearest(str(path), known)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # bytes that are no UTF-8, or a zero byte in the path
        raise UserError(f"{path}: not valid TOML: {error}") from None
    return parsed_toml(path, text)


def parsed_toml(path: Path, text: str) -> dict[str, Any]:
    """The tables of the text of a file; a UserError where it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # no TOML, or a whole number of thousands of digits
        raise UserError(f"{path}: not valid TOML: {first_line(error)}") from None
