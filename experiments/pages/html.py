"""Pages as single files that fetch nothing: templates, and figures inlined as SVG."""

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from ..files import printable, write_bytes
from . import canvas
from .drawing import drawn

TEMPLATES = Path(__file__).parent / "templates"


class Drawing(NamedTuple):
    """A figure with its file name and the caption that says how to read it; it is drawn when it is asked for."""

    name: str
    make: Callable[[], Figure]
    caption: str

    @property
    def figure(self) -> Figure:
        """The figure, drawn anew."""
        return self.make()


def write_page(path: Path, template: str, forms: Mapping[str, Any] | None = None, **context: Any) -> Path:
    """Render a template into a file, whole or not at all; return its path.

    Args:
      path: of the page; template: its name; context: what the template shows.
      forms: functions by name, also for the macros that the template imports.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= forms or {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, printable(environment.get_template(template).render(**context)).encode())
    return path


def inlined(svg: str, name: str) -> Markup:
    """An SVG as part of a page, its ids made unique: several figures share one page."""
    # What stands before <svg (XML declaration, doctype) has no place inside an HTML page.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-labelledby="caption-{name}"', 1))


def drawn_inline(drawing: Drawing, folder: Path) -> dict[str, Any]:
    """A figure for a page alone, as `svg` and `caption`; files beside it, as `canvas.save` writes, take twice as long.

    What it raises becomes a note before the caption, the traceback a file in `folder`.
    """

    def keep(figure: Figure) -> Markup:
        buffer = io.StringIO()
        with matplotlib.rc_context(canvas.SETTINGS | {"svg.hashsalt": drawing.name}):
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return inlined(buffer.getvalue(), drawing.name)

    svg, note = drawn(drawing.make, keep, folder, drawing.name)
    return {"svg": svg, "caption": f"{note} {drawing.caption}".strip()}
