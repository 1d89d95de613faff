"""Writing and reading files: whole or not at all, power cut included, without pickles, and damage noticed.

What the program reads back bears a SHA-256 of itself: an npz in the comment that ends a zip archive, together with the
file's name, so that one wave's numbers never pass for another's; JSON, where nothing else checks it, under a key.
"""

import contextlib
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError, first_line

SEAL = "sha256"
"""The key of a checksum in JSON, and what stands before it in an npz."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it exists whole or not at all, power cut included."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def printable(text: str) -> str:
    """Text as UTF-8 can hold it: names of files may have bytes that are no letters, which appear escaped.

    >>> printable("d\\udcff.csv")
    'd\\\\udcff.csv'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def make_folder(out: Path) -> None:
    """Make the folder that --out names, before any work is done for it.

    Raises:
      UserError: it cannot be made.
    """
    with usable_folder(out):
        out.mkdir(parents=True, exist_ok=True)


def check_folder(out: Path) -> None:
    """Ask for the folder that --out names, which is not made yet, so that one that cannot be is told before any work.

    Raises:
      UserError: it cannot be looked at.
    """
    with usable_folder(out), contextlib.suppress(FileNotFoundError):
        out.stat()


@contextlib.contextmanager
def usable_folder(out: Path) -> Iterator[None]:
    """What the system refuses in here is the fault of what --out names: it becomes a UserError."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError of a zero byte
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"--out: cannot write to {out}: {told}") from None


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to a name that is free, in its place; nothing is deleted. Return the new path."""
    numbers = ("", *(f"-{number}" for number in range(2, 1000)))
    free = (path.with_name(f"{path.name}.damaged{number}") for number in numbers)
    target = next(one for one in free if not os.path.lexists(one))
    path.rename(target)
    return target


def write_json(path: Path, content: Any) -> None:
    """Write JSON that every parser reads: no NaN, no infinity."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """What `write_json` writes."""
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file; OSError or ValueError where it is missing or none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path}: damaged: nested too deeply") from None


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a table as JSON with its checksum."""
    write_json(path, {**content, SEAL: _digest_of(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` has written; OSError where it cannot be read, ValueError where it was changed."""
    content = read_json(path)
    if not isinstance(content, dict) or content.pop(SEAL, None) != _digest_of(content):
        raise ValueError(f"{path}: damaged: not what was written")
    return content


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """{name: SHA-256 of what the file holds} of some files of a folder."""
    return {name: digest((folder / name).read_bytes()) for name in names}


def changed(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Names of files that no longer hold what they held when their checksums were taken; OSError where one is gone."""
    now = checksums(folder, sums)
    return [name for name, known in sums.items() if now[name] != known]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> None:
    """Write an npz without pickles, and with its checksum."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, allow_pickle=False, **arrays)
    # A zip archive ends with the length of its comment, in two bytes, and the comment.
    content = buffer.getvalue()[:-2] + _COMMENT.to_bytes(2, "little")
    write_bytes(path, content + _seal(path.name, content))


def read_arrays(path: Path, *, sealed: bool = False) -> dict[str, np.ndarray]:
    """Read an npz whole.

    Every member is read, and with it its own checksum: a truncated or altered file never passes for data.

    Args:
      path: of the file.
      sealed: whether it has to bear the checksum of `write_arrays`. One that is there is checked anyway.

    Raises:
      ValueError: the file is damaged; OSError: it cannot be read.
    """
    content = path.read_bytes()
    inside, seal = content[:-_COMMENT], content[-_COMMENT:]
    # numpy's own archives end with no comment at all; one that was cut off is damage.
    end = content[-22:]
    plain = not sealed and end.startswith(b"PK\5\6") and end.endswith(b"\0\0")
    if not plain and seal != _seal(path.name, inside):
        raise ValueError(f"{path}: damaged: not what was written")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # whatever zipfile, zlib and numpy make of bytes that are no archive
        raise ValueError(f"{path}: damaged: {first_line(error)}") from error
    if plain and len(arrays) != int.from_bytes(end[10:12], "little"):  # zipfile does not count
        raise ValueError(f"{path}: damaged: expected as many arrays as the archive announces, got {len(arrays)}")
    return arrays


def _seal(name: str, content: bytes) -> bytes:
    """The comment of an archive of this name."""
    sha256 = hashlib.sha256(os.fsencode(name) + b"\0")
    sha256.update(content)
    return f"{SEAL}:{sha256.hexdigest()}".encode()


_COMMENT = len(_seal("", b""))


def _digest_of(content: Mapping[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode())
