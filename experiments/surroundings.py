"""What a process finds around it: a terminal of any encoding, perhaps no home, signals, and where a crash is kept."""

import atexit
import codecs
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from .errors import first_line
from .files import write_bytes


def plain_console(**options: Any) -> Console:
    """A console that prints text as it stands: brackets and colons in a name are neither markup nor emoji.

    >>> import io
    >>> plain_console(file=(file := io.StringIO())).print("data [old]/:boom:.csv")
    >>> file.getvalue()
    'data [old]/:boom:.csv\\n'
    """
    return Console(highlight=False, markup=False, emoji=False, **options)


PLAIN = {
    "–": "-",
    "−": "-",
    "·": "-",
    "÷": "/",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "←": "<-",
    "→": "->",
    "±": "+-",
}
"""What stands for a sign that the terminal's encoding lacks."""


def prepare_streams() -> None:
    """Let what the terminal's encoding lacks appear in plain signs, or escaped: it must not stop a run."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(one, one.encode("ascii", "backslashreplace").decode()) for one in letters), error.end


def prepare_home() -> None:
    """Give a process without a home an empty one while it lives: matplotlib and others look there when imported.

    Containers run as users whom no file of users knows, or whose home cannot be written.
    """
    with contextlib.suppress(RuntimeError, KeyError):
        home = Path.home()
        if home.is_dir() and os.access(home, os.W_OK):
            return
    with contextlib.suppress(OSError):  # nowhere to write at all: libraries say so themselves
        os.environ["HOME"] = tempfile.mkdtemp(prefix="ce-jax-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


def stop_on_notice() -> None:
    """Treat a scheduler's notice like Ctrl-C. Only the main thread of a process may say so."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def quiet_stream() -> None:
    """After whoever read the output has gone, let nothing more be written: Python would complain when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_traceback(error: BaseException, command: Sequence[str], folders: Iterable[Path]) -> str:
    """Write an unexpected error's traceback into the first of the folders that takes it; return a line about both.

    Args:
      error: what was raised; command: the words that led to it; folders: that may be there and may be writable.
    """
    told = f"{type(error).__name__}: {first_line(error)}"
    lines = [shlex.join(command), "", *traceback.format_exception(error)]
    content = "\n".join(lines).encode("utf-8", "backslashreplace")
    name = f"error-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    for folder in folders:
        with contextlib.suppress(OSError):
            if folder.is_dir():
                write_bytes(folder / name, content)
                return f"unexpected: {told}; the traceback is in {folder / name}"
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({where[-1].filename}, line {where[-1].lineno})" if where else ""
    return f"unexpected: {told}{place}; its traceback could be written nowhere"


def temporary_folders() -> list[Path]:
    """The folder for temporary files, where there is one."""
    with contextlib.suppress(OSError):
        return [Path(tempfile.gettempdir())]
    return []
