"""The pages of several runs, built by a process of their own: drawing takes seconds for each."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..names import ROOT
from ..pages.report import build_report


@contextlib.contextmanager
def pages_beside(workloads: int) -> Iterator[Callable[[Path], object] | None]:
    """What builds the pages of runs: of several, a process beside the one that trains, begun with the first page.

    All pages are there, or the first error is raised, when the context ends. None of a single run: nothing is left to
    be done meanwhile.
    """
    if workloads == 1:
        yield None
        return
    asked: list[Path] = []
    begun: list[subprocess.Popen[str]] = []

    def build(folder: Path) -> None:
        asked.append(folder)
        if not begun:
            begun.append(_begin())
        with contextlib.suppress(OSError):  # it has ended
            print(json.dumps(os.fspath(folder.absolute())), file=begun[0].stdin, flush=True)

    try:
        yield build
    finally:
        for process in begun:
            with contextlib.suppress(OSError):
                process.communicate()
    if any(process.returncode for process in begun):  # what went wrong there is told here, or goes right
        for folder in asked:
            build_report(folder)


def _begin() -> "subprocess.Popen[str]":
    # A program of its own rather than one of multiprocessing's, which would run a user's script once more or copy the
    # locks of JAX's threads. In a session of its own it ends with its pages, not at Ctrl+C.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": path},
    )


if __name__ == "__main__":
    for line in sys.stdin:
        build_report(Path(json.loads(line)))
