"""index.html of a folder of results: a line for every run in it, newest first, that links to the page of the run."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ce_jax import comparing

from ..errors import UserError
from ..files import read_json
from .finished import MISFITS
from .html import write_page

INDEX = "index.html"
COMPARED = "compared"
"""The folder of the pages that compare two runs, beside the runs."""
OTHERS = {"claims": "claims.html", "lesson": "lesson.html", "audit": "audit.html", "explore.html": ""}
"""Pages of other commands, by their usual place beside the runs."""


class Entry(NamedTuple):
    """A run in a line: `when` is its UTC time, `page` the path of its page from the index, None where it has none."""

    when: str
    name: str
    workload: str
    finding: str
    page: str | None
    seconds: float | None
    trouble: bool = False


def write_index(folder: Path) -> Path:
    """Write `folder/index.html`; return its path.

    Raises:
      UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder of results, there is none")
    entries = sorted((entry for one in sorted(folder.iterdir()) if (entry := _entry(one))), reverse=True)
    compared = [
        (f"compared: {page.stem}", quote(f"{COMPARED}/{page.name}"))
        for page in sorted((folder / COMPARED).glob("*.html"))
    ]
    others = [
        (name.removesuffix(".html"), path.as_posix())
        for name, inside in OTHERS.items()
        if (folder / (path := Path(name, inside) if inside else Path(name))).is_file()
    ]
    return write_page(
        folder / INDEX, "index.html.j2", title=folder.resolve().name, entries=entries, others=others + compared
    )


def _entry(run_dir: Path) -> Entry | None:
    """The line of a folder; None where it is no run's."""
    if not (run_dir / "config.json").is_file():
        return None
    name, page = run_dir.name, run_dir / "report.html"
    link = quote(f"{run_dir.name}/report.html") if page.is_file() else None
    if name.endswith(".partial"):
        return Entry("", name.removesuffix(".partial"), "", "unfinished; start it again to go on", None, None, True)
    if name.endswith("-joined"):
        return None  # the runs it joins have lines of their own
    try:
        summary, provenance = (read_json(run_dir / f"{part}.json") for part in ("summary", "provenance"))
        return Entry(
            when=str(provenance["utc"])[:16].replace("T", " "),
            name=name,
            workload=comparing.label(summary),
            finding=comparing.finding(summary),
            page=link,
            seconds=provenance["compile_seconds"] + provenance["run_seconds"],
        )
    except (OSError, *MISFITS):
        return Entry("", name, "", "cannot be read back; run it again with --fresh", link, None, True)
