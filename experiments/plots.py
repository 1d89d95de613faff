"""The figures of one workload: arrays in, matplotlib figures out; only `save` touches a file.

Every figure tells losses apart by colour, line style and marker at once (`styles`), the same in all of them. A value
after divergence is NaN and ranks as the worst outcome, so a diverged classifier lowers its loss's curve and never
drops out of a median.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from ce_jax.analysis import Survival
from experiments.store import write_bytes

Array = NDArray[Any]

# Okabe & Ito's colour-blind-safe colours, with yellow (too faint on white) replaced by a brown.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A5C3E")
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
# These three keep their looks in every run, whichever other losses take part.
PINNED = ("cross_entropy", "ssr", "ssr_on_logits")
NAMES = {
    "cross_entropy": "cross-entropy",
    "ssr": "SSR on probabilities",
    "true_class_ssr": "true-class SSR on probabilities",
    "ssr_on_logits": "SSR on logits",
}
MOST_BANDS = 4  # more shaded bands than this hide one another

_SETTINGS: Any = {  # matplotlib types its keys as one long Literal
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
    "svg.fonttype": "path",
}


class Style(NamedTuple):
    """How one loss is drawn; field names are matplotlib's keyword arguments."""

    color: str
    linestyle: Any
    marker: str


def display_name(loss: str) -> str:
    """The name to print for a loss, which for SSR always says on what.

    >>> display_name("ssr_on_logits(target=15)"), display_name("power_loss(beta=0.5)")
    ('SSR on logits (target=15)', 'power_loss(beta=0.5)')
    """
    name, bracket, options = loss.partition("(")
    return f"{NAMES[name]} {bracket}{options}".rstrip() if name in NAMES else loss


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
        )
        for name in names
    }


def quartiles(values: Array) -> tuple[Array, Array, Array]:
    """Lower quartile, median and upper quartile over the first axis, for values that may be infinite.

    Quartiles are order statistics, without interpolation: interpolating towards an infinity gives NaN.

    >>> [float(part) for part in quartiles(np.array([3.0, 1.0, np.inf, 2.0]))]
    [1.0, 2.5, 3.0]
    """
    ordered = np.sort(values, axis=0)
    count = len(ordered)
    return ordered[-(-count // 4) - 1], np.median(ordered, axis=0), ordered[-(-3 * count // 4) - 1]


def convergence(steps: Array, panels: Mapping[str, Mapping[str, Array]], *, targets: Sequence[float] = ()) -> Figure:
    """Accuracy against step: per loss the median over seeds and the band of the middle half.

    Args:
      steps: [E] the evaluated steps.
      panels: {title: {loss: accuracies [S, E]}}, one panel each, side by side.
      targets: accuracy levels drawn as thin lines in the first panel.

    >>> len(convergence(np.array([0, 1, 2]), {"validation accuracy": {"ssr": np.ones((4, 3))}}).axes)
    1
    """
    looks = styles(loss for curves in panels.values() for loss in curves)
    figure, grid = _figure(len(panels), width=9.0, height=4.1, columns=2, sharey=True)
    lowest, highest = 1.0, 0.0
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        for place, (loss, values) in enumerate(curves.items()):
            low, median, high = quartiles(np.where(np.isnan(values), -np.inf, values))
            look = looks[loss]
            axes.plot(steps, _finite(median), markevery=(0.03 * (place % 5), 0.15), **look._asdict())
            if len(curves) <= MOST_BANDS:
                axes.fill_between(steps, np.maximum(low, 0), np.maximum(high, 0), color=look.color, alpha=0.13, lw=0)
            lowest = min(lowest, np.min(median[np.isfinite(median)], initial=1.0), np.min(np.maximum(low, 0)))
            highest = max(highest, np.max(high))
        _title(axes, title)
        _step_axis(axes, "x", steps)
        axes.set_xlabel("step")
    for target in targets:
        grid[0].axhline(target, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
        grid[0].text(0.01, target, percent(target), transform=grid[0].get_yaxis_transform(), va="bottom", fontsize=8)
    grid[0].set_ylim(max(lowest - 0.04, -0.01), min(max(highest, *targets, 0.0) + 0.04, 1.02))
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    _legend(figure, looks)
    return figure


def survival(panels: Mapping[str, Mapping[str, Survival]], *, horizon: int, first_step: int = 1) -> Figure:
    """Kaplan-Meier curves: the fraction of classifiers not yet there, with its interval, against step.

    Args:
      panels: {title: {loss: curve}}, one panel per target.
      horizon: the last step, where every classifier that never got there is censored (a marker).
      first_step: the first evaluated step after 0; the step axis is linear below it.
    """
    looks = styles(loss for curves in panels.values() for loss in curves)
    columns = 3 if len(panels) in (3, 5, 6) else 2
    figure, grid = _figure(len(panels), width=9.0, height=3.4, columns=columns, sharey=True)
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        for place, (loss, curve) in enumerate(curves.items()):
            look, every = looks[loss], (0.05 + 0.03 * (place % 5), 0.2)
            axes.plot(curve.steps, curve.probability, drawstyle="steps-post", markevery=every, **look._asdict())
            if len(curves) <= MOST_BANDS:
                axes.fill_between(curve.steps, curve.low, curve.high, step="post", color=look.color, alpha=0.13, lw=0)
            if curve.probability[-1] > 0:
                end: dict[str, Any] = {"marker": look.marker, "ms": 9, "mfc": "white", "mew": 1.6, "zorder": 4}
                axes.plot(horizon, curve.probability[-1], color=look.color, clip_on=False, **end)
        _title(axes, title)
        _step_axis(axes, "x", np.array([0, first_step, horizon]))
        axes.set_xlabel("step")
    grid[0].set_ylim(-0.02, 1.02)
    grid[0].set_ylabel("classifiers not there yet")
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    missed = Line2D([], [], color="0.4", ls="", marker="o", ms=9, mfc="white", label="never got there")
    _legend(figure, looks, [missed])
    return figure


def rates(
    learning_rates: Mapping[str, Array],
    accuracy: Mapping[str, Array],
    steps_to: Mapping[str, Array],
    best: Mapping[str, float],
    *,
    steps: Array,
    goal: str,
) -> Figure:
    """Final accuracy, steps to a target and fraction diverged against the learning rate.

    Args:
      learning_rates: {loss: [R]}.
      accuracy: {loss: [R, S]} at the last step; NaN where the classifier diverged.
      steps_to: {loss: [R, S]} steps to the target; inf where it was never reached.
      best: {loss: the learning rate chosen by tuning}, ringed.
      steps: [E] the evaluated steps; the last one is the horizon.
      goal: the target in words.
    """
    looks = styles(learning_rates)
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(9.0, 7.9), layout="constrained")
        top, middle, bottom = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 3, 1.3]})
    horizon = float(steps[-1])
    for loss, rate in learning_rates.items():
        look, chosen = looks[loss], int(np.argmin(np.abs(np.log(rate) - np.log(best[loss]))))
        bands = len(looks) <= MOST_BANDS
        ranked = np.where(np.isnan(accuracy[loss]), 0.0, accuracy[loss])
        _rate_curve(top, rate, quartiles(ranked.T), look, chosen, bands)
        parts = [np.minimum(part, horizon) for part in quartiles(steps_to[loss].T)]
        missed = ~np.isfinite(quartiles(steps_to[loss].T)[1])
        _rate_curve(middle, rate, parts, look, chosen, bands, hide=missed)
        middle.plot(rate[missed], parts[1][missed], ls="", marker="x", ms=7, mew=1.6, color=look.color, clip_on=False)
        bottom.plot(rate, np.mean(np.isnan(accuracy[loss]), axis=1), clip_on=False, **look._asdict())
    middle.axhline(horizon, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
    _title(top, "accuracy at the last step (diverged counts as 0)")
    _title(middle, f"median steps to {goal}")
    _title(bottom, "classifiers that diverged")
    _step_axis(middle, "y", steps)
    fastest = min(float(np.min(quartiles(times.T)[0], initial=horizon)) for times in steps_to.values())
    middle.set_ylim(fastest / 1.5, horizon * 1.15)
    bottom.set(xscale="log", xlabel="learning rate", ylim=(-0.03, 1.03))
    bottom.xaxis.set_minor_locator(NullLocator())  # in three panels these took a third of the drawing time
    for axes in (top, bottom):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ring = Line2D([], [], color="0.4", ls="", marker="o", ms=12, mfc="none", label="chosen rate")
    miss = Line2D([], [], color="0.4", ls="", marker="x", ms=7, mew=1.6, label="median not reached")
    _legend(figure, looks, [ring, miss])
    return figure


def gradient(probability: Mapping[str, Array], norm: Mapping[str, Array]) -> Figure:
    """The path of training: gradient norm (logarithmic) against the mean probability of the true class.

    Args:
      probability: {loss: [S, E]} mean predicted probability of the true class.
      norm: {loss: [S, E]} norm of the gradient of the loss trained on.
    """
    looks = styles(probability)
    figure, (axes,) = _figure(1, width=9.0, height=4.3, columns=1)
    for place, (loss, look) in enumerate(looks.items()):
        # A point where most seeds have diverged is left out; elsewhere a NaN norm ranks as the largest.
        seen = np.mean(np.isnan(norm[loss]), axis=0) < 0.5
        across = np.median(np.where(np.isnan(probability[loss]), 0.0, probability[loss]), axis=0)[seen]
        up = np.median(np.where(np.isnan(norm[loss]), np.inf, norm[loss]), axis=0)[seen]
        up = np.where((up > 0) & np.isfinite(up), up, np.nan)
        axes.plot(across, up, markevery=(0.04 * (place % 5) + 0.06, 0.2), **look._asdict())
        axes.plot(across[:1], up[:1], marker=look.marker, ms=11, mfc="white", mew=1.8, color=look.color, zorder=4)
    axes.set(
        yscale="log", xlabel="mean predicted probability of the true class (training part)", ylabel="gradient norm"
    )
    _title(axes, "gradient norm of the loss trained on")
    _legend(figure, looks, [Line2D([], [], color="0.4", ls="", marker="o", ms=10, mfc="white", label="start")])
    return figure


def ratios(labels: Sequence[str], ratio: Array, low: Array, high: Array, *, title: str) -> Figure:
    """One row per workload: the ratio of mean steps and its interval, on a logarithmic axis with a line at 1.

    >>> middle, low, high = np.array([[0.5, 1.1], [0.4, 0.9], [0.7, 1.3]])
    >>> ratios(["iris", "wine"], middle, low, high, title="").axes[0].get_xscale()
    'log'
    """
    figure, (axes,) = _figure(1, width=9.0, height=1.5 + 0.36 * len(labels), columns=1)
    rows = np.arange(len(labels))[::-1]
    for row, middle, left, right in zip(rows, ratio, low, high, strict=True):
        sure = right < 1 or left > 1
        color = COLOURS[0] if right < 1 else COLOURS[1] if sure else "0.45"
        axes.plot([left, right], [row, row], color=color, lw=2.4, solid_capstyle="butt")
        axes.plot(middle, row, marker="o" if right < 1 else "s" if sure else "d", ms=7, color=color)
    axes.axvline(1, color="0.2", lw=1)
    axes.set_xscale("log")
    edges = np.concatenate([low, high, [1.0]])
    edges = edges[np.isfinite(edges) & (edges > 0)]
    left, right = np.min(edges) / 1.15, np.max(edges) * 1.15
    axes.set_xlim(left, right)
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = _ratio_ticks(left, right)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(rows, [text.replace("$", r"\$") for text in labels])
    axes.set_ylim(-0.7, len(labels) - 0.3)
    _title(axes, title)
    return figure


def percent(fraction: float) -> str:
    """A level in percent, as short as it can be.

    >>> percent(0.95), percent(0.975)
    ('95 %', '97.5 %')
    """
    return f"{100 * fraction:.4g} %"


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name`.svg and `name`.png into `folder`, byte for byte the same for the same figure; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):
            axis.set_minor_locator(NullLocator())  # a logarithmic axis would label its minor ticks between those chosen
    written = []
    # Without a fixed salt matplotlib names clip paths at random, and it would stamp the time and its version.
    for suffix, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS | {"svg.hashsalt": name}):
            figure.savefig(buffer, format=suffix, dpi=150, metadata=metadata)
        figure.set_layout_engine("none")  # the layout is half of the work, and the second file keeps the first one's
        written.append(folder / f"{name}.{suffix}")
        write_bytes(written[-1], buffer.getvalue())
    return written[0], written[1]


def _figure(
    panels: int, *, width: float, height: float, columns: int, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    rows = -(-panels // columns)
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        grid = figure.subplots(rows, min(columns, panels), squeeze=False, sharey=sharey).ravel().tolist()
    for empty in grid[panels:]:
        empty.remove()
    return figure, grid[:panels]


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title.replace("$", r"\$"), loc="left", fontsize=11)


def _legend(figure: Figure, looks: Mapping[str, Style], extra: Sequence[Line2D] = ()) -> None:
    names = {loss: display_name(loss).replace("$", r"\$") for loss in looks}  # a dollar sign would start mathematics
    handles = [*(Line2D([], [], **look._asdict(), label=names[loss]) for loss, look in looks.items()), *extra]
    with matplotlib.rc_context(_SETTINGS):
        columns = _columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=3.2)
    figure.set_figheight(figure.get_figheight() + 0.21 * -(-len(handles) // columns))  # the panels keep their height


def _columns(labels: Sequence[str], width: float) -> int:
    """The most legend columns that fit: matplotlib lets a legend run out of its figure."""
    for columns in range(len(labels), 1, -1):
        filled = np.array_split(np.array(labels), columns)  # as matplotlib fills them
        # In inches: a handle with its gaps takes 0.85, a letter of this size about 0.08.
        if sum(0.85 + 0.08 * max(map(len, column)) for column in filled) <= width:
            return columns
    return 1


def _step_axis(axes: Axes, which: str, steps: Array) -> None:
    """Logarithmic, but linear from 0 to the first decade that is evaluated, so that step 0 shows."""
    first = float(np.min(steps[steps > 0], initial=max(float(steps[-1]), 1.0)))
    threshold = 10.0 ** np.floor(np.log10(first))
    getattr(axes, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    getattr(axes, f"set_{which}lim")(-0.1 * threshold, float(steps[-1]))


def _rate_curve(
    axes: Axes, rate: Array, parts: Sequence[Array], look: Style, chosen: int, band: bool, hide: Array | None = None
) -> None:
    low, middle, high = parts
    hide = np.zeros(len(rate), bool) if hide is None else hide
    axes.plot(rate, middle, color=look.color, linestyle=look.linestyle)
    axes.plot(rate[~hide], middle[~hide], color=look.color, ls="", marker=look.marker)
    axes.plot(rate[chosen], middle[chosen], ls="", marker="o", ms=12, mfc="none", mew=1.6, color=look.color)
    if band:
        axes.fill_between(rate, low, high, color=look.color, alpha=0.13, lw=0)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def _ratio_ticks(low: float, high: float) -> Array:
    """Ticks 1, 2, 5 of each decade inside (low, high), thinned or filled in where they are too many or too few."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = np.sort(np.outer(decades, [1.0, 2.0, 5.0]).ravel())
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    if len(ticks) > 9:
        return decades[(decades >= low) & (decades <= high)]
    if len(ticks) < 3:
        ticks = np.asarray(MaxNLocator(5).tick_values(low, high))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
    return ticks
