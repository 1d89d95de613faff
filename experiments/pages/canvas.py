"""The canvas of every figure of this project: its style, the looks of losses, titles, legends and files.

Every figure tells losses apart by colour, line style and marker at once (`styles`), the same in all of them. Only
`save` touches a file.
"""

import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogFormatterSciNotation, NullLocator
from numpy.typing import NDArray

from ce_jax.comparing import display_name

from ..files import printable, write_bytes

Array = NDArray[Any]

# Okabe & Ito's colour-blind-safe colours, with yellow (too faint on white) replaced by a brown.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A5C3E")
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
# These three keep their looks in every run, whichever other losses take part.
PINNED = ("cross_entropy", "ssr", "ssr_on_logits")
MOST_BANDS = 4  # more shaded bands than this hide one another

SETTINGS: Any = {  # matplotlib types its keys as one long Literal
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "svg.fonttype": "none",
}


class Style(NamedTuple):
    """How one loss is drawn; field names are matplotlib's keyword arguments. `gid` names the loss inside an SVG."""

    color: str
    linestyle: Any
    marker: str
    gid: str | None = None


def styles(losses: Iterable[str]) -> dict[str, Style]:
    """A distinct colour, line style and marker per loss; the first 40 pairs of colour and line style never repeat.

    >>> styles(["ssr"])["ssr"] == styles(["cross_entropy", "ssr"])["ssr"]
    True
    """
    names = list(dict.fromkeys(losses))
    order = [*PINNED, *(name for name in names if name not in PINNED)]
    index = {name: place for place, name in enumerate(order)}
    return {
        name: Style(
            COLOURS[index[name] % len(COLOURS)],
            LINE_STYLES[index[name] % len(LINE_STYLES)],
            MARKERS[index[name] % len(MARKERS)],
            f"loss:{name}",
        )
        for name in names
    }


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class _Powers(LogFormatterSciNotation):
    """Powers of ten as text that can be searched; matplotlib's formulas take a fifth of the time of all figures."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a tick, such as 10⁻³ or 2×10⁴.

        >>> _Powers()(1e-3), _Powers(labelOnlyBase=True)(20.0)
        ('10⁻³', '')
        """
        formula = re.sub(r"\$|\\mathdefault", "", super().__call__(x, pos)).replace(r"\times", "×")
        return re.sub(r"\^\{(.*?)\}", lambda found: found[1].translate(RAISED), formula).strip("{}")


TITLE = 48
"""Characters of a title that fit over one of two panels side by side."""


def panels(
    count: int, *, width: float = 9.0, height: float = 3.8, columns: int = 2, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels; width of the whole and height of a row are in inches."""
    rows = -(-count // columns)
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        grid = figure.subplots(rows, min(columns, count), squeeze=False, sharey=sharey).ravel().tolist()
    for empty in grid[count:]:
        empty.remove()
    return figure, grid[:count]


def title(axes: Axes, words: str, columns: int = 2) -> None:
    """A title over the left edge, in lines as wide as a panel where there are so many columns of them.

    Dollar signs are escaped: matplotlib would read mathematics between them.
    """
    axes.set_title(textwrap.fill(printable(words), 2 * TITLE // columns).replace("$", r"\$"), loc="left", fontsize=11)


def legend(figure: Figure, looks: Mapping[str, Style], extra: Sequence[Line2D] = (), *, edge: str = "upper") -> None:
    """A legend of the losses and of what else is drawn, at an edge of the figure in as many columns as fit."""
    names = {loss: display_name(loss).replace("$", r"\$") for loss in looks}  # a dollar sign would start mathematics
    handles = [*(Line2D([], [], **look._asdict(), label=names[loss]) for loss, look in looks.items()), *extra]
    place: Any = f"outside {edge} left"  # matplotlib types its places as one long Literal
    with matplotlib.rc_context(SETTINGS):
        columns = legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
        drawn = figure.legend(handles=handles, loc=place, ncols=columns, handlelength=3.2)
    for parts in (drawn.legend_handles, drawn.get_texts()):
        for part, loss in zip(parts, looks, strict=False):  # what else the legend explains follows the losses
            if part is not None:
                part.set_gid(f"legend:{loss}")
    # The panels keep their height.
    figure.set_figheight(figure.get_figheight() + legend_height(drawn, figure.get_figwidth()))


def legend_height(drawn: Legend, width: float) -> float:
    """The height of a legend in as many columns as fit, in inches as the width."""
    labels = [text.get_text() for text in drawn.get_texts()]
    return 0.21 * -(-len(labels) // legend_columns(labels, width))


def legend_columns(labels: Sequence[str], width: float) -> int:
    """The most legend columns that fit: matplotlib lets a legend run out of its figure."""
    for columns in range(len(labels), 1, -1):
        filled = np.array_split(np.array(labels), columns)  # as matplotlib fills them
        # In inches: a handle with its gaps takes 0.85, a letter of this size about 0.08.
        if sum(0.85 + 0.08 * max(map(len, column)) for column in filled) <= width:
            return columns
    return 1


def line(axes: Axes, x: Array, y: Array, look: Style, every: tuple[float, float], **options: Any) -> bool:
    """Draw a line with a marker now and then; False, and nothing drawn, where no point of it is finite.

    Args:
      axes: where; x, y: [E]; look: of the line; options: matplotlib's.
      every: where markers begin and how far apart they are, as fractions of the diagonal; matplotlib cannot tell where
        that is on a line without points.
    """
    shown = bool(np.any(np.isfinite(x) & np.isfinite(y)))
    if shown:
        axes.plot(x, y, markevery=every, **look._asdict(), **options)
    return shown


def nothing(axes: Axes, words: str) -> None:
    """Say in the middle of a panel why it shows nothing, or not all."""
    middle: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.35", "fontsize": 9, "zorder": 5}
    axes.text(
        0.5,
        0.5,
        textwrap.fill(words, TITLE, break_on_hyphens=False),
        transform=axes.transAxes,
        parse_math=False,
        **middle,
    )


def step_axis(axes: Axes, which: str, steps: Array) -> None:
    """Logarithmic, but linear from 0 to the first decade that is evaluated, so that step 0 shows.

    A horizontal one is linear where evaluations are evenly spaced: the later ones would stand too close to be told
    apart.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if which == "x" and evenly_spaced(steps):
        axes.set_xlim(-0.01 * float(steps[-1]), float(steps[-1]))
        return
    first = float(np.min(steps[steps > 0], initial=max(float(steps[-1]), 1.0)))
    threshold = 10.0 ** np.floor(np.log10(first))
    getattr(axes, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    getattr(axes, f"set_{which}lim")(-0.1 * threshold, float(steps[-1]))


def evenly_spaced(steps: Array) -> bool:
    """Whether a run is evaluated every so many steps, and at its end.

    >>> [evenly_spaced(np.array(steps)) for steps in ([0, 40, 80, 100], [0, 1, 10, 100], [0, 9])]
    [True, False, False]
    """
    gaps = np.diff(steps)
    return len(gaps) > 1 and bool(np.all(gaps[:-1] == gaps[0]) and gaps[-1] <= gaps[0])


def axis_words(*runs: Array) -> str:
    """What `step_axis` makes of the evaluated steps of some runs, in a sentence."""
    even = {evenly_spaced(steps) for steps in runs}
    if len(even) > 1:
        return "The step axis is linear where evaluations are evenly spaced, and logarithmic elsewhere."
    return f"The step axis is {'linear' if even.pop() else 'logarithmic'}."


def named(svg: str) -> str:
    """Names of losses and rows, which several parts of a figure share, as data: an id may stand but once.

    >>> named('<g id="loss:ssr"><g id="patch_1">')
    '<g data-loss="ssr"><g id="patch_1">'
    """
    return re.sub(r'\bid="(loss|legend|row):', r'data-\1="', svg)


def _axis_of(figure: Figure) -> list[Axis]:
    return [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name`.svg and `name`.png into `folder`, byte for byte the same for the same figure; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for axis in _axis_of(figure):
        if isinstance(axis.get_major_locator(), FixedLocator):
            axis.set_minor_locator(NullLocator())  # a logarithmic axis would label its minor ticks between those chosen
    vector, bitmap = folder / f"{name}.svg", folder / f"{name}.png"
    write_bytes(vector, svg(figure, name).encode())
    figure.set_layout_engine("none")  # the layout is half of the work, and the second file keeps the first one's
    buffer = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    write_bytes(bitmap, buffer.getvalue())
    return vector, bitmap


def svg(figure: Figure, name: str) -> str:
    """A figure as SVG, the same for the same figure and name."""
    for axis in _axis_of(figure):
        if isinstance(axis.get_major_formatter(), LogFormatterSciNotation):
            axis.set_major_formatter(_Powers())
        if isinstance(found := axis.get_minor_formatter(), LogFormatterSciNotation):
            axis.set_minor_formatter(_Powers(labelOnlyBase=found.labelOnlyBase))
    buffer = io.StringIO()
    # Without a fixed salt matplotlib names clip paths at random, and it would stamp the time and its version.
    with matplotlib.rc_context(SETTINGS | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return named(buffer.getvalue())
