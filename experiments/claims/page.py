"""claims.html: a card for every claim that has a verdict, in one file that needs nothing else."""

from pathlib import Path
from typing import Any

from ..pages.html import Drawing, drawn_inline, stored_inline, write_page
from . import judged
from .answer import covered, fixed_rules
from .publish import made_elsewhere, read_result, standing
from .record import shown
from .registry import CLAIMS


def write_claims(out: Path) -> Path:
    """Write `out/claims.html` from the verdicts found in `out`; return its path."""
    cards = [card for name in CLAIMS if (card := _card(name, out / name))]
    return write_page(
        out / "claims.html",
        "claims.html.j2",
        title="Published claims, re-run",
        cards=cards,
        shown=shown,
        count=len(CLAIMS),
        fixed_rules=fixed_rules(cards),
        covered=covered(cards),
        standing=standing(CLAIMS),
    )


def _card(name: str, folder: Path) -> dict[str, Any] | None:
    result = read_result(folder)
    try:
        papers = stored_inline(folder, "figure", folder.name)
    except FileNotFoundError:
        return None
    if result is None:
        return None
    earlier = result["definition"] != CLAIMS[name].definition
    made = "of an earlier definition of this claim" if earlier else made_elsewhere(CLAIMS[name], result)
    files = [f"{folder.name}/{file}" for file in ("figure.svg", "figure.png", "verdict.json")]
    figure = {"name": folder.name, "caption": result["caption"], "papers": papers, "rows": "", "files": files}
    return {
        **result,
        "made": made,
        "effect_key": result["effect"],
        "figures": [figure, *_judgement(name, result, folder)],
    }


def _judgement(name: str, result: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What the rule looks at, with its thresholds; none where nothing of it was measured."""
    panels = judged.judged(name, result["measurements"])
    wanted = "shaded: where the rule wants them; filled: inside with the whole interval"
    caption = f"What the rule looks at, with intervals where there are any, and what it asks for: {result['verdict']}."
    drawing = Drawing(f"{name}-judged", lambda: judged.figure(panels, wanted), caption)
    return [drawn_inline(drawing, folder)] if panels else []
