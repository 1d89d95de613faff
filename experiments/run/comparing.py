"""What `report A B` does: two finished runs, looked at side by side."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console

from ce_jax.comparing import text

from ..config import flatten
from ..errors import UserError
from ..files import usable_folder
from ..pages.finished import read_run
from ..pages.index import COMPARED
from ..pages.showing import show_page
from ..pages.two_runs import NAMES, Side, write_two_runs
from .applying import applying
from .joining import JOINED

LONGEST = 90
"""Characters of a run's name in the page's; its hash stays."""


def compare_command(folders: tuple[Path, Path], out: Path | None, console: Console) -> int:
    """Write a page about what changed from one run to the other; returns 0.

    Args:
      folders: of both runs.
      out: the page to write, by default in `compared/` beside the first run.
      console: where the finding and the page's path are printed.

    Raises:
      UserError: a folder that is no finished run, the same run twice, runs of different questions, or a page that
        cannot be written.
    """
    found = tuple(folder if folder.name else folder.resolve() for folder in folders)
    for folder in found:
        if (folder / JOINED).exists():
            raise UserError(
                f"{folder}: expected the folder of one run, got the page over several; name one of its runs"
            )
    runs = [read_run(folder) for folder in found]
    if found[0].resolve() == found[1].resolve():
        raise UserError(f"report: expected two runs, got {found[0]} twice")
    names = [f"{folder.name[:-11][:LONGEST]}{folder.name[-11:]}" for folder in found]
    page = out or found[0].parent / COMPARED / f"{'--'.join(names)}.html"
    if page.is_dir():
        raise UserError(f"--out: expected a file to write, got the folder {page}")
    with usable_folder(page):
        page.parent.mkdir(parents=True, exist_ok=True)
    sides = [
        Side(letter, folder, _link(folder, page), run) for letter, folder, run in zip(NAMES, found, runs, strict=True)
    ]
    written, sentence = write_two_runs(page, (sides[0], sides[1]), differing(*(run.config for run in runs)))
    console.print(f"A: {found[0]}\nB: {found[1]}\n{sentence}", markup=False, soft_wrap=True)
    show_page(written, False, console)
    return 0


def differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """{key: value in both, as it is typed} of the settings that apply to a run and differ; a dash where one has none.

    >>> differing({"dataset": "iris", "model": "mlp"}, {"dataset": "wine", "model": "mlp"})
    {'dataset': ('iris', 'wine')}
    """
    flat = [applying(flatten(config)) for config in (first, second)]
    told = {key: tuple(text(one[key]) if key in one else "–" for one in flat) for key in {**flat[0], **flat[1]}}
    return {key: (a, b) for key, (a, b) in told.items() if a != b}


def _link(folder: Path, page: Path) -> str | None:
    """How a run's own page is reached from the new one; None where it has none."""
    report = folder / "report.html"
    path = Path(os.path.relpath(report, page.parent)).as_posix()
    return quote(os.fsencode(path)) if report.is_file() else None
