"""Figures that may fail: no page and no result is lost because one cannot be drawn."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from ..errors import first_line
from ..files import write_bytes
from . import canvas
from .narrow import SUFFIX, narrowed

Kept = TypeVar("Kept")


def drawn(make: Callable[[], Figure], keep: Callable[[Figure], Kept], folder: Path, name: str) -> tuple[Kept, str]:
    """Draw a figure and keep it; where either raises, a figure that says so takes its place.

    Args:
      make: draws the figure.
      keep: saves or inlines it.
      folder: where `name`.traceback.txt is written if need be.
      name: of the figure.

    Returns:
      What `keep` made, and a note for the page, empty where all went well.

    Raises:
      OSError: nothing can be written; a disk that is full is no fault of the figure's.
    """
    report = folder / f"{name}.traceback.txt"
    try:
        kept = keep(make())
    except Exception as error:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(report, traceback.format_exc().encode("utf-8", "backslashreplace"))
        told = f"{type(error).__name__}: {first_line(error)}"
        note = f"This figure could not be drawn ({told}); the traceback is in {report.name}."
        return keep(message(note)), note
    report.unlink(missing_ok=True)  # of an earlier try
    return kept, ""


def saved(
    make: Callable[[], Figure], folder: Path, name: str, *, for_page: bool = False
) -> tuple[tuple[Path, Path], str]:
    """`drawn` into `name`.svg and `name`.png of `folder`: both paths, and the note.

    What is for a page is saved for a phone too, as `name`-narrow.svg.
    """

    def keep(figure: Figure) -> tuple[Path, Path]:
        paths, narrow = canvas.save(figure, folder, name), name + SUFFIX
        if for_page:
            write_bytes(folder / f"{narrow}.svg", canvas.svg(narrowed(figure), narrow).encode())
        return paths

    return drawn(make, keep, folder, name)


def message(words: str) -> Figure:
    """A figure of some words alone."""
    figure, (axes,) = canvas.panels(1, height=1.3, columns=1)
    axes.set_axis_off()
    canvas.title(axes, words, columns=1)
    return figure
