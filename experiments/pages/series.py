"""What the lines of a figure show, as data: for values under the pointer, and as rows to download."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ce_jax.comparing import display_name

DIGITS = 4


def panels_of(figure: Figure) -> list[dict[str, Any]]:
    """The lines of each panel whose names `canvas` wrote, with where their points stand in the saved SVG.

    Args:
      figure: as it was saved, so that its layout stands.

    Returns:
      Per panel its title, axis labels, box [left, top, right, bottom] and series; a series has a name, the loss or
      row that it belongs to, and points (x, y, across, down); box, across and down are in units of the SVG.
    """
    found = [_panel(axes, figure) for axes in figure.axes]
    return [panel for panel in found if panel["series"]]


def _panel(axes: Axes, figure: Figure) -> dict[str, Any]:
    unit, height = 72 / figure.dpi, figure.get_figheight() * 72
    box = axes.bbox
    series: dict[str, dict[str, Any]] = {}
    for line in axes.lines:
        kind, _, owner = (line.get_gid() or "").partition(":")
        points = np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])
        if kind not in ("loss", "row") or not len(points):
            continue
        places = axes.transData.transform(points) * unit
        one = series.setdefault(owner, {"owner": owner, "name": display_name(owner), "kind": kind, "points": []})
        shown = np.isfinite(places).all(axis=1) & np.isfinite(points).all(axis=1)
        values = [[_digits(x), _digits(y)] for x, y in points[shown]]
        spots = [[round(float(x), 1), round(height - float(y), 1)] for x, y in places[shown]]
        one["points"] += [[*value, *spot] for value, spot in zip(values, spots, strict=True)]
    for one in series.values():  # a ring or a marker repeats a point of its line
        one["points"] = [list(point) for point in sorted(dict.fromkeys(map(tuple, one["points"])))]
    return {
        "title": axes.get_title(loc="left").replace("\n", " ").replace(r"\$", "$"),
        "x": next(filter(None, (one.get_xlabel().partition(" (")[0] for one in _sharing(axes))), "x"),
        "y": axes.get_ylabel() or "y",
        "percent": isinstance(axes.yaxis.get_major_formatter(), PercentFormatter),
        "box": [round(float(edge) * unit, 1) for edge in (box.x0, figure.bbox.height - box.y1, box.x1)]
        + [round(float(figure.bbox.height - box.y0) * unit, 1)],
        "series": list(series.values()),
    }


def _sharing(axes: Axes) -> list[Axes]:
    """The panel itself, then those with the same horizontal axis: only the lowest of a column is labelled."""
    return [axes, *(one for one in axes.get_shared_x_axes().get_siblings(axes) if one is not axes)]


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def cells_of(figure: Figure) -> list[list[Any]]:
    """The squares of maps: panel, name, x, y and the value that their colour shows."""
    rows: list[list[Any]] = []
    for axes in figure.axes:
        for found in axes.collections:
            kind, _, owner = (found.get_gid() or "").partition(":")
            values = found.get_array()
            if kind == "map" and values is not None:
                told = np.column_stack([np.asarray(found.get_offsets(), float), np.ravel(values)])
                rows += [[axes.get_title(loc="left"), owner, *map(_digits, row)] for row in told.tolist()]
    return rows


def as_csv(panels: list[dict[str, Any]], cells: Sequence[Sequence[Any]] = ()) -> str:
    """The rows behind a figure, one per point: panel, series, x, y, and a map's value.

    >>> panel = {"title": "speed", "series": [{"owner": "ssr", "kind": "loss", "points": [[1.0, 0.5, 10, 20]]}]}
    >>> as_csv([panel]).splitlines()
    ['panel,series,x,y', 'speed,ssr,1.0,0.5']
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["panel", "series", "x", "y", *(["value"] if cells else [])])
    for panel in panels:
        for one in panel["series"]:
            writer.writerows([panel["title"], one["owner"], *point[:2]] for point in one["points"])
    writer.writerows(cells)
    return text.getvalue()


def download(panels: list[dict[str, Any]], cells: Sequence[Sequence[Any]] = ()) -> str:
    """The same rows as an address that fetches nothing; empty where there is none."""
    return f"data:text/csv;charset=utf-8,{quote(as_csv([] if cells else panels, cells))}" if panels or cells else ""
