"""claims.html: a card for every claim that has a verdict, in one file that needs nothing else."""

import json
from pathlib import Path
from typing import Any

from experiments.claims.record import effect_text
from experiments.claims.registry import CLAIMS
from experiments.pages.html import inlined, write_page


def write_claims(out: Path) -> Path:
    """Write `out/claims.html` from the verdicts found in `out`; return its path."""
    cards = [card for name in CLAIMS if (card := _card(out / name))]
    return write_page(
        out / "claims.html",
        "claims.html.j2",
        title="Published claims, re-run",
        cards=cards,
        effect_text=effect_text,
        count=len(CLAIMS),
    )


def _card(folder: Path) -> dict[str, Any] | None:
    try:
        verdict, card = (json.loads((folder / name).read_text("utf-8")) for name in ("verdict.json", "card.json"))
        svg = (folder / "figure.svg").read_text("utf-8")
    except FileNotFoundError:
        return None
    return {**card, **verdict, "effect_key": card["effect"], "svg": inlined(svg, folder.name)}
