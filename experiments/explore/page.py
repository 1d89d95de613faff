"""explore.html: scripts, style and numbers put into one file that needs nothing else."""

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..pages.canvas import COLOURS
from ..pages.html import write_page
from . import golden, race

PARTS = Path(__file__).with_name("parts")
SCRIPTS = ("mathematics", "drawing", "triangle", "race", "start")
"""In the order in which they need one another."""


def write_explorer(out: Path) -> Path:
    """Write the page; return its path."""
    known = numbers()
    scripts = "\n".join((PARTS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    return write_page(
        out,
        "explore.html.j2",
        title="Cross-entropy and SSR, side by side",
        # No text of a script or of the data may end the element it stands in.
        script=Markup(scripts.replace("</script", r"<\/script")),
        data=Markup(json.dumps(known, separators=(",", ":")).replace("<", r"\u003c")),
        style=Markup((PARTS / "explorer.css").read_text(encoding="utf-8")),
        unit=known["golden"]["unit"],
    )


def numbers() -> dict[str, Any]:
    """What the page knows beforehand: golden values, points, starts and rates."""
    races = {dataset: race.race(dataset) for dataset in race.DATASETS}
    return {
        "golden": golden.golden(races[race.DATASETS[0]]),
        "races": {
            dataset: {name: values.tolist() for name, values in one._asdict().items()} for dataset, one in races.items()
        },
        "spreads": race.SPREADS,
        "noises": race.NOISES,
        "imbalances": race.IMBALANCES,
        "steps": race.STEPS,
        **race.best_rates(),
        "colours": COLOURS[:5],
    }
