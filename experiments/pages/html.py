"""Pages as single files that fetch nothing: templates, and figures inlined as SVG."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from ..files import printable, write_bytes
from . import canvas
from .drawing import drawn
from .narrow import SUFFIX, narrowed
from .series import cells_of, download, panels_of

MOST_TINT = 24  # parts of a colour that differ by no more than this make a grey
GREYS = ((0x45, "ink"), (0xA0, "soft"), (0xF0, "grid"), (0x100, "paper"))
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
    svg = _coloured(canvas.named(svg)).replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)
    caption = f"caption-{name.removesuffix(SUFFIX)}"
    return Markup(svg.replace("<svg", f'<svg role="img" aria-labelledby="{caption}"', 1))


def _coloured(svg: str) -> str:
    """Colours of a page in place of literal ones, so that a figure follows light and dark; others stay as they are.

    >>> _coloured('style="fill: #ffffff; stroke: #0072b2"')
    'style="fill: var(--paper); stroke: var(--loss-0)"'
    >>> _coloured("stroke: #1c1e21; fill: #b0b0b0; color: #123456")
    'stroke: var(--ink); fill: var(--grid); color: #123456'
    """
    losses = {colour.lower(): f"var(--loss-{place})" for place, colour in enumerate(canvas.COLOURS)}

    def of_page(found: re.Match[str]) -> str:
        red, green, blue = (int(found[0][at : at + 2], 16) for at in (1, 3, 5))
        if max(red, green, blue) - min(red, green, blue) > MOST_TINT:
            return losses.get(found[0], found[0])
        # From black to white: text and axes, what is less loud, the grid, and the paper.
        return next(f"var(--{name})" for darker, name in GREYS if green < darker)

    return re.sub(r"(?<=[ :])#[0-9a-f]{6}\b", of_page, svg)


def drawn_inline(drawing: Drawing, folder: Path, files: Path | None = None) -> dict[str, Any]:
    """A figure for a page, with what the page needs of it: wide, and for a phone (`narrowed`).

    What it raises becomes a note before the caption, the traceback a file beside the page.

    Args:
      drawing: of the figure; folder: of the page.
      files: where to save it as SVG and PNG too, a folder within that of the page; this takes twice as long.
    """

    def keep(figure: Figure) -> dict[str, Any]:
        saved = canvas.save(figure, files, drawing.name) if files else ()
        wide = saved[0].read_text(encoding="utf-8") if saved else canvas.svg(figure, drawing.name)
        panels, cells = panels_of(figure), cells_of(figure)
        rows, name = download(panels, cells), drawing.name + SUFFIX
        narrow = canvas.svg(narrowed(figure), name)
        told = ([], []) if cells else (panels, panels_of(figure))  # of a map there are too many values to tell
        return {
            "papers": [_paper(wide, told[0], drawing.name), _paper(narrow, told[1], name)],
            "rows": rows,
            "files": [path.relative_to(folder).as_posix() for path in saved],
        }

    kept, note = drawn(drawing.make, keep, files or folder, drawing.name)
    return {"name": drawing.name, "caption": f"{note} {drawing.caption}".strip(), **kept}


def stored_inline(folder: Path, file: str, name: str) -> list[dict[str, Any]]:
    """The papers of a figure that was saved as `file`.svg, and for a phone where it was saved for one too.

    Raises:
      FileNotFoundError: there is none.
    """
    found = [(folder / f"{file}{suffix}.svg", name + suffix) for suffix in ("", SUFFIX)]
    return [_paper(path.read_text("utf-8"), [], of) for path, of in found if path.is_file() or of == name]


def _paper(svg: str, panels: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return {"svg": inlined(svg, name), "panels": panels, "narrow": name.endswith(SUFFIX)}
