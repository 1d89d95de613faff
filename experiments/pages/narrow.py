"""Figures again for a phone: the same panels one above the other, so narrow that their text can be read."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FixedLocator

from .canvas import SETTINGS, legend_columns, legend_height

SUFFIX = "-narrow"
"""After the name of a figure, where it is for a phone."""
WIDTH = 4.4
"""Inches: at 360 pixels a letter of 10 points is 11 pixels high."""
TITLE, BESIDE_ROWS, AXIS, ROW, HEADING, FOOT = 42, 31, 46, 23, 46, 52
"""Characters in a line: of a panel's title, of that beside labels of rows, of an axis' label, of a row's label, and of
what stands over and under all panels."""
LINE = 0.15
"""Height of a line of small letters, in inches."""
MOST_TICKS = 6
"""Numbers along a logarithmic axis."""


def narrowed(figure: Figure) -> Figure:
    """The figure itself, its panels in one column of `WIDTH`; draw or save it as it was before.

    >>> from experiments.pages import canvas
    >>> figure = narrowed(canvas.panels(2, height=3.0)[0])
    >>> figure.get_size_inches().tolist(), [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    ([4.4, 6.0], [0, 1])
    """
    panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
    if not panels:  # nothing that could stand one above the other
        return figure
    legends = sum(legend_height(drawn, figure.get_figwidth()) for drawn in figure.legends)
    heading = figure.get_suptitle().count("\n") + 1 if figure.get_suptitle() else 0
    inner = figure.get_figheight() - legends - 0.22 * heading
    heights = [max(inner * share, _refilled(axes)) for axes, share in zip(panels, map(_share, panels), strict=True)]
    figure.set_layout_engine("constrained")
    grid = GridSpec(len(panels), 1, figure=figure, height_ratios=heights)
    for place, axes in enumerate(panels):
        axes.set_subplotspec(grid[place])
        axes.set_aspect("auto")  # the layout would leave no room for labels beside a picture whose aspect is fixed
    figure.set_size_inches(WIDTH, sum(heights))
    if heading:
        words = textwrap.fill(" ".join(figure.get_suptitle().split()), HEADING)
        figure.suptitle(words, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.set_figheight(figure.get_figheight() + 0.22 * (words.count("\n") + 1))
    if foot := figure.get_supxlabel():
        words = textwrap.fill(foot, FOOT)
        figure.supxlabel(words, fontsize=9)
        figure.set_figheight(figure.get_figheight() + LINE * words.count("\n"))
    for drawn in list(figure.legends):
        _again(figure, drawn)
    return figure


def _share(axes: Axes) -> float:
    """The part of the figure's height that a panel's row has."""
    place = axes.get_subplotspec()
    assert place is not None
    ratios = np.asarray(place.get_gridspec().get_height_ratios(), float)
    return float(ratios[place.rowspan.start : place.rowspan.stop].sum() / ratios.sum())


def _refilled(axes: Axes) -> float:
    """Break the words of a panel into shorter lines; the least height that these need, in inches.

    A panel that leant on its neighbour gets tick labels again.
    """
    places, words = _ticks(axes.yaxis)
    longest = max(map(len, words), default=0)
    title = " ".join(axes.get_title(loc="left").split())
    above = textwrap.fill(title, BESIDE_ROWS if longest > ROW / 2 else TITLE)
    axes.set_title(above, loc="left", fontsize=11)
    if axes.axison:
        axes.tick_params(labelleft=True)
    axes.set_xlabel(textwrap.fill(axes.get_xlabel(), AXIS))
    if longest > ROW:
        whole = [" ".join(one.split()).replace(" %", "\xa0%").replace("/", "/ ") for one in words]
        lines = [textwrap.fill(one, ROW, break_on_hyphens=False) for one in whole]
        axes.set_yticks(places, lines, fontsize=9)
        words = lines
    deepest = max((one.count("\n") + 1 for one in words), default=0)
    least = LINE * (deepest + 0.5) * len(words) + LINE * (above.count("\n") + 6)
    places, words = _ticks(axes.xaxis)
    if axes.get_xscale() == "log" and len(places) > MOST_TICKS:
        first = places.index(1.0) % 2 if 1.0 in places else 0  # a line at 1 keeps its number
        axes.set_xticks(places[first::2], words[first::2])
    return least


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Places and words of the ticks that were chosen for an axis; none where matplotlib chooses."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return [], []
    return [float(place) for place in axis.get_majorticklocs()], [one.get_text() for one in axis.get_ticklabels()]


def _again(figure: Figure, drawn: matplotlib.legend.Legend) -> None:
    """The same legend above the panels, in as many columns as now fit."""
    handles, texts = drawn.legend_handles, drawn.get_texts()
    labels = [text.get_text() for text in texts]
    columns = legend_columns(labels, WIDTH)
    drawn.remove()
    with matplotlib.rc_context(SETTINGS):
        new = figure.legend(handles=handles, labels=labels, loc="outside upper left", ncols=columns, handlelength=2.6)
    for old, one in ((handles, new.legend_handles), (texts, new.get_texts())):
        for before, after in zip(old, one, strict=True):
            if before is not None and after is not None:
                after.set_gid(before.get_gid())
    figure.set_figheight(figure.get_figheight() + legend_height(new, WIDTH))
