"""What `--publish` does: the finished claims into the gallery, and what they say into the README."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.claims.answer import GALLERY, answer
from experiments.errors import UserError
from experiments.files import write_bytes
from experiments.source import ROOT

PUBLISHED = ROOT / GALLERY
# With the SVGs the gallery would weigh twice as much.
FILES = ("verdict.json", "card.json", "figure.png")
BEGIN, END = "<!-- answer: begin (python -m experiments claims --publish) -->", "<!-- answer: end -->"


def publish(out: Path, verdicts: Mapping[str, Mapping[str, Any] | None]) -> Path:
    """Copy the verdicts, cards and figures of all claims into the gallery and rewrite the README's answer.

    Nothing is written before everything has been read.

    Args:
      out: folder of all claims.
      verdicts: {id: stored verdict, or None where a claim has none that may be published}.

    Returns:
      The README's path.

    Raises:
      UserError: a claim may not be published, or the README has lost its markers.
    """
    if missing := [name for name, verdict in verdicts.items() if verdict is None]:
        command = shlex.join(["python", "-m", "experiments", "claims", "--out", str(out)])
        raise UserError(
            f"--publish: expected a full verdict of every claim as now defined, made by this code at seed 0, in {out}; "
            f"missing, quick or outdated: {', '.join(missing)}; run {command}"
        )
    readme = ROOT / "README.md"
    text = with_answer(readme.read_text("utf-8"), answer({name: one for name, one in verdicts.items() if one}))
    contents = {(name, file): (out / name / file).read_bytes() for name in verdicts for file in FILES}
    for (name, file), content in contents.items():
        (ROOT / GALLERY / name).mkdir(parents=True, exist_ok=True)
        write_bytes(ROOT / GALLERY / name / file, content)
    write_bytes(readme, text.encode())
    return readme


def with_answer(readme: str, section: str) -> str:
    """The README with another text between its markers.

    Raises:
      UserError: the markers are not there, once each and in this order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise UserError(f"--publish: expected README.md to hold the lines {BEGIN!r} and {END!r} once each")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"
