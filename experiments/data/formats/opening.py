"""Files as bytes: what is no file is not opened, and what is another kind of file is named as what it is."""

import os
import stat
from pathlib import Path

from ...errors import UserError, nearest

KINDS = {
    b"version https://git-lfs.github.com/spec": "a pointer of git LFS, whose file `git lfs pull` fetches",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"BZh": "a bzip2 file; unpack it first",
    b"\xfd7zXZ\0": "an xz file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstandard file; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7-zip archive; unpack it first",
    b"Rar!": "a rar archive; unpack it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Excel workbook; save it as csv",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file; name it as parquet:PATH",
    b"ARROW1": "an Arrow file",
    b"\x93NUMPY": "a single numpy array (npy); numpy.savez(path, inputs=..., labels=...) writes an archive of two",
    b"SQLite format 3": "an SQLite database",
    b"MATLAB 5.0": "a MATLAB file",
    b"RDX": "an R file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x7fELF": "a program",
    b"MZ\x90\0": "a program",
}
"""How files of other kinds begin."""

WORDS = {
    b"<!doctype html": "an HTML page, perhaps of an error or a login; download the file itself",
    b"<html": "an HTML page, perhaps of an error or a login; download the file itself",
    b"<?xml": "an XML document",
    b"@relation": "an ARFF file; save it as csv",
    b"%!ps": "a PostScript document",
    b'{"': "JSON; save it as csv",
    b"[{": "JSON; save it as csv",
}
"""How files of text begin that are no tables, after blanks and in lower case."""


def contents(path: Path, wanted: str, reads: tuple[str, ...] = ()) -> bytes:
    """The bytes of a file.

    Args:
      path: the file.
      wanted: what it should be, in words.
      reads: the kinds of `kind_of`, or how their names begin, that the caller reads.

    Raises:
      UserError: there is no such file, it is a folder, a pipe or a device, or it is of a kind that is known.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file{near_files(path)}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not stat.S_ISREG(mode):
        # Reading a pipe may wait for ever, reading a device may never end.
        raise UserError(f"{path}: cannot be read: expected a file, got a {_place(mode)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    kind = kind_of(content)
    if kind and not kind.startswith(reads):
        raise UserError(f"{path}: not {wanted}; this is {kind}")
    return content


def kind_of(content: bytes) -> str | None:
    """What a file is that begins like this, None where it may be a table or numbers.

    >>> kind_of(b"  <!DOCTYPE html><html>")[:12]
    'an HTML page'
    """
    start = content[:512]
    if start.startswith(b"PK\x03\x04"):
        # The names of the members are in plain sight, at the beginning of each and once more at the end.
        if b"xl/" in content[:4096] or b"xl/workbook" in content[-65536:]:
            return "an Excel workbook (xlsx); save it as csv"
        if b".npy" in start:
            return "a numpy archive; name it as npz:PATH"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and content.endswith(b"."):
        return "a pickle, which could run any code; save it as csv, parquet or npz"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"%") and b"\n@relation" in text:
        return WORDS[b"@relation"]
    known = (kind for begin, kind in KINDS.items() if start.startswith(begin))
    return next(known, None) or next((kind for begin, kind in WORDS.items() if text.startswith(begin)), None)


def refuse_what_cannot_fit(path: Path, size: int) -> None:
    """Refuse a file that says it holds more bytes than the machine has free, before they are asked for."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if size > free:
        raise UserError(
            f"{path}: its arrays need {size / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free"
        )


def near_files(path: Path) -> str:
    """The end of an error line that names the file which was meant, or nothing."""
    try:
        return nearest(path.name, [other.name for other in path.parent.iterdir() if other.name != path.name])
    except (OSError, ValueError):
        return ""


def reason(error: BaseException) -> str:
    """The first sentence: what follows in these libraries is advice to their programmers."""
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__


def _place(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
