"""The page over the runs of several workloads: its folder, what is said of it, and how it is rebuilt."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ce_jax.comparing import headline, joined_headline, text_table

from ..config import Config, as_dict
from ..errors import UserError
from ..files import read_json, write_json
from ..pages.finished import read_run
from ..pages.report import build_joined_report

JOINED = "joined.json"
"""The file that makes a folder that of a joined page; it says which runs it joins."""


def join(name: str, workloads: Sequence[Config], folders: Sequence[Path], out: Path) -> Path:
    """One page for all workloads of a config, in a folder named like a run's; return its path."""
    joined = out / f"{name}-{folders[0].name[-10:]}-joined"
    joined.mkdir(parents=True, exist_ok=True)
    write_json(joined / "config.json", [as_dict(one) for one in workloads])
    runs = [Path(os.path.relpath(folder, joined)).as_posix() for folder in folders]
    write_json(joined / JOINED, {"schema": 1, "title": name, "runs": runs})
    return build_joined_report(joined, list(folders), name)


def show(summaries: Sequence[dict[str, Any]], console: Console) -> None:
    """What was found, in sentences and as a table."""
    if len(summaries) > 1:
        console.print(f"{joined_headline(summaries)}\n", markup=False)
    for summary in summaries:
        console.print(headline(summary), markup=False)
    console.print(f"\n{text_table(summaries)}\n", markup=False, soft_wrap=True)


def report_joined(folder: Path, console: Console) -> int:
    """The joined page again, from the runs as they are stored; their own pages are left as they are.

    Raises:
      UserError: what says which runs it joins is damaged, or one of them is gone.
    """
    try:
        stored = read_json(folder / JOINED)
        title, runs = str(stored["title"]), [Path(os.path.normpath(folder / run)) for run in stored["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}: {JOINED} is damaged; the command that made the folder writes it again") from None
    for run in runs:
        if not run.is_dir():
            raise UserError(f"{folder}: expected the runs that it joins where they were, but {run} is missing")
    page = build_joined_report(folder, runs, title)
    show([read_run(run).summary for run in runs], console)
    console.print(f"report: {page}", markup=False, soft_wrap=True)
    return 0
