"""What `--publish` does: the finished claims into the gallery, and what they say into the README."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import SEAL, changed, read_json, write_bytes
from ..names import place
from ..run.provenance import made_by_other_code
from ..source import ROOT
from .answer import GALLERY, answer
from .lock import refusal
from .record import SCHEMA, Claim

# With the SVGs the gallery would weigh twice as much.
FILES = ("verdict.json", "card.json", "figure.png")
BEGIN, END = "<!-- answer: begin (python -m experiments claims --publish) -->", "<!-- answer: end -->"


IN_VERDICT = ("schema", "verdict", "quick", "measurements")
IN_CARD = ("definition", "seed", "provenance")


def read_result(folder: Path) -> dict[str, Any] | None:
    """What is stored of a finished claim, its verdict and its card in one; None where there is none, or it is damaged.

    The card bears the checksum of the verdict.
    """
    try:
        verdict, card = (read_json(folder / name) for name in ("verdict.json", "card.json"))
        whole = all(key in verdict for key in IN_VERDICT) and all(key in card for key in IN_CARD)
        return {**card, **verdict} if whole and not changed(folder, card.get(SEAL, {})) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def finished(claim: Claim, folder: Path, quick: bool, seed: int) -> dict[str, Any] | None:
    """The stored result that answers this very request, whatever code made it; a claim defined anew has none."""
    result = read_result(folder)
    asked = (SCHEMA, quick, claim.definition, seed)
    return (
        result if result and tuple(result[key] for key in ("schema", "quick", "definition", "seed")) == asked else None
    )


def made_elsewhere(claim: Claim, result: Mapping[str, Any]) -> str | None:
    """What to say of a result that the present code would not make the same way; None where it would."""
    made = {"source": result.get("source_code"), "git": result["provenance"]["git"]}
    return made_by_other_code(made, *claim.uses)


def standing(claims: Mapping[str, Claim]) -> list[str]:
    """What to say of the gallery, a line each: verdicts of earlier definitions, of other code, and missing ones."""
    found: dict[str, list[str]] = {"of earlier definitions": [], "made by other code than this": [], "missing": []}
    for name, claim in claims.items():
        result = read_result(place(GALLERY, ROOT) / name)
        if result is None:
            found["missing"].append(name)
        elif result["definition"] != claim.definition:
            found["of earlier definitions"].append(name)
        elif made_elsewhere(claim, result):
            found["made by other code than this"].append(name)
    return [f"published verdicts {words}: {', '.join(names)}" for words, names in found.items() if names]


def publish(out: Path, claims: Mapping[str, Claim]) -> Path:
    """Copy the verdicts, cards and figures of all claims into the gallery and rewrite the README's answer.

    Nothing is written before everything has been read.

    Args:
      out: folder of all claims.
      claims: {id: claim} as defined now.

    Returns:
      The README's path.

    Raises:
      UserError: a claim may not be published, or the README has lost its markers.
    """
    results = {name: fit for name, claim in claims.items() if (fit := _publishable(claim, out / name))}
    if missing := [name for name in claims if name not in results]:
        command = shlex.join(["python", "-m", "experiments", "claims", "--out", str(out)])
        raise UserError(
            f"--publish: expected a full verdict of every claim as now defined, made by this code at seed 0, in {out}; "
            f"missing, quick or outdated: {', '.join(missing)}; run {command}"
        )
    refused: dict[str, list[str]] = {}
    for name, result in results.items():
        if why := refusal(claims[name], result, ROOT):
            refused.setdefault(why, []).append(name)
    if refused:
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in refused.items())
        raise UserError(
            f"--publish: expected verdicts whose rules were locked and committed before they were measured; {told}; "
            "run python -m experiments claims --lock, commit the lock, and measure again from a later commit"
        )
    readme = ROOT / "README.md"
    text = with_answer(readme.read_text("utf-8"), answer(results))
    contents = {(name, file): (out / name / file).read_bytes() for name in results for file in FILES}
    for (name, file), content in contents.items():
        (ROOT / GALLERY / name).mkdir(parents=True, exist_ok=True)
        write_bytes(ROOT / GALLERY / name / file, content)
    write_bytes(readme, text.encode())
    return readme


def _publishable(claim: Claim, folder: Path) -> dict[str, Any] | None:
    """A full result at seed 0 that the present code has made; None where there is none."""
    result = finished(claim, folder, quick=False, seed=0)
    return result if result and not made_elsewhere(claim, result) else None


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
