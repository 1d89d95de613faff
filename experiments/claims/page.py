"""claims.html: a card for every claim that has a verdict, in one file that needs nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from experiments import report
from experiments.claims.record import effect_text
from experiments.claims.registry import CLAIMS
from experiments.store import write_bytes


def write_page(out: Path) -> Path:
    """Write `out/claims.html` from the verdicts found in `out`; return its path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(report.__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cards = [card for name in CLAIMS if (card := _card(out / name))]
    context = {"title": "Published claims, re-run", "cards": cards, "effect_text": effect_text, "count": len(CLAIMS)}
    page = out / "claims.html"
    write_bytes(page, environment.get_template("claims.html.j2").render(**context).encode())
    return page


def _card(folder: Path) -> dict[str, Any] | None:
    try:
        verdict, card = (json.loads((folder / name).read_text("utf-8")) for name in ("verdict.json", "card.json"))
        svg = (folder / "figure.svg").read_text("utf-8")
    except FileNotFoundError:
        return None
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{folder.name}-", svg)  # many figures share the page
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="caption-{folder.name}"', 1)
    return {**card, **verdict, "effect_key": card["effect"], "svg": Markup(svg)}
