"""The figures of a run: arrays in, matplotlib figures out.

A value after divergence is NaN and ranks as the worst outcome, so a diverged classifier lowers its loss's curve and
never drops out of a median.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from ce_jax.analysis import Survival
from ce_jax.comparing import display_name, listed, percent

from ..files import printable
from . import canvas
from .canvas import MOST_BANDS, SETTINGS, Array, Style, styles

LABEL = 44
"""Characters of a row's label in one line."""


def quartiles(values: Array) -> tuple[Array, Array, Array]:
    """Lower quartile, median and upper quartile over the first axis, for values that may be infinite.

    Quartiles are order statistics, without interpolation: interpolating towards an infinity gives NaN.

    >>> [float(part) for part in quartiles(np.array([3.0, 1.0, np.inf, 2.0]))]
    [1.0, 2.5, 3.0]
    """
    ordered = np.sort(values, axis=0)
    count = len(ordered)
    return ordered[-(-count // 4) - 1], np.median(ordered, axis=0), ordered[-(-3 * count // 4) - 1]


def convergence(
    steps: Array | Mapping[str, Array], panels: Mapping[str, Mapping[str, Array]], *, targets: Sequence[float] = ()
) -> Figure:
    """Accuracy against step: per loss the median over seeds and the band of the middle half.

    Args:
      steps: [E] the evaluated steps, or {title: [E]} where each panel has its own.
      panels: {title: {loss: accuracies [S, E]}}, one panel each, side by side.
      targets: accuracy levels drawn as thin lines in the first panel.

    >>> len(convergence(np.array([0, 1, 2]), {"validation accuracy": {"ssr": np.ones((4, 3))}}).axes)
    1
    """
    looks = styles(loss for curves in panels.values() for loss in curves)
    figure, grid = canvas.panels(len(panels), width=9.0, height=4.1, columns=2, sharey=True)
    lowest, highest = 1.0, 0.0
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        seen, at = False, steps[title] if isinstance(steps, Mapping) else steps
        for place, (loss, values) in enumerate(curves.items()):
            # A diverged run counts as the least accurate of all.
            low, median, high = quartiles(np.where(np.isnan(values), -np.inf, values))
            look = looks[loss]
            seen |= canvas.line(axes, at, _finite(median), look, (0.03 * (place % 5), 0.15))
            if len(curves) <= MOST_BANDS:
                axes.fill_between(
                    at, np.maximum(low, 0), np.maximum(high, 0), color=look.color, alpha=0.13, lw=0, gid=look.gid
                )
            lowest = min(lowest, np.min(median[np.isfinite(median)], initial=1.0), np.min(np.maximum(low, 0)))
            highest = max(highest, np.max(high))
        if not seen:
            canvas.nothing(axes, "nothing to show: most classifiers diverged before the first evaluation")
        canvas.title(axes, title)
        canvas.step_axis(axes, "x", at)
        axes.set_xlabel("step")
    for target in targets:
        grid[0].axhline(target, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
        grid[0].text(0.01, target, percent(target), transform=grid[0].get_yaxis_transform(), va="bottom", fontsize=8)
    grid[0].set_ylim(max(lowest - 0.04, -0.01), min(max(highest, *targets, 0.0) + 0.04, 1.02))
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    canvas.legend(figure, looks)
    return figure


def survival(panels: Mapping[str, Mapping[str, Survival]], *, steps: Array) -> Figure:
    """Kaplan-Meier curves: the fraction of classifiers not yet there, with its interval, against step.

    Args:
      panels: {title: {loss: curve}}, one panel per target.
      steps: [E] the evaluated steps; at the last one every classifier that never got there is censored (a marker).
    """
    looks = styles(loss for curves in panels.values() for loss in curves)
    columns = 3 if len(panels) in (3, 5, 6) else 2
    figure, grid = canvas.panels(len(panels), width=9.0, height=3.4, columns=columns, sharey=True)
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        for place, (loss, curve) in enumerate(curves.items()):
            look, every = looks[loss], (0.05 + 0.03 * (place % 5), 0.2)
            canvas.line(axes, curve.steps, curve.probability, look, every, drawstyle="steps-post")
            if len(curves) <= MOST_BANDS:
                axes.fill_between(
                    curve.steps, curve.low, curve.high, step="post", color=look.color, alpha=0.13, lw=0, gid=look.gid
                )
            if curve.probability[-1] > 0:
                end: dict[str, Any] = {"marker": look.marker, "ms": 9, "mfc": "white", "mew": 1.6, "zorder": 4}
                axes.plot(steps[-1], curve.probability[-1], color=look.color, clip_on=False, gid=look.gid, **end)
        canvas.title(axes, title, columns)
        canvas.step_axis(axes, "x", steps)
        axes.set_xlabel("step")
    grid[0].set_ylim(-0.02, 1.02)
    grid[0].set_ylabel("classifiers not there yet")
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    missed = Line2D([], [], color="0.4", ls="", marker="o", ms=9, mfc="white", label="never got there")
    canvas.legend(figure, looks, [missed])
    return figure


def rates(
    learning_rates: Mapping[str, Array],
    accuracy: Mapping[str, Array],
    steps_to: Mapping[str, Array],
    best: Mapping[str, float],
    *,
    steps: Array,
    goal: str,
    others: str | None = None,
    joined: bool = True,
) -> Figure:
    """Final accuracy, steps to a target and fraction diverged against the learning rate.

    Args:
      learning_rates: {loss: [R]}.
      accuracy: {loss: [R, S]} at the last step; NaN where the classifier diverged.
      steps_to: {loss: [R, S]} steps to the target; inf where it was never reached.
      best: {loss: the learning rate chosen by tuning}, ringed.
      steps: [E] the evaluated steps; the last one is the horizon.
      goal: the target in words.
      others: what was tuned with the rate, of which each row is to be the best at its rate.
      joined: whether the rates are a grid; points drawn at random are neighbours by their rate alone, so no line joins
        them.
    """
    looks = styles(learning_rates)
    if not joined:
        looks = {loss: look._replace(linestyle="") for loss, look in looks.items()}
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(9.0, 7.9), layout="constrained")
        top, middle, bottom = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 3, 1.3]})
    horizon = float(steps[-1])
    for loss, rate in learning_rates.items():
        look, chosen = looks[loss], int(np.argmin(np.abs(np.log(rate) - np.log(best[loss]))))
        bands = joined and len(looks) <= MOST_BANDS
        ranked = np.where(np.isnan(accuracy[loss]), 0.0, accuracy[loss])
        _rate_curve(top, rate, quartiles(ranked.T), look, chosen, bands)
        # A quartile of runs that never got there is infinite, and is drawn at the horizon.
        parts = [np.minimum(part, horizon) for part in quartiles(steps_to[loss].T)]
        missed = ~np.isfinite(quartiles(steps_to[loss].T)[1])
        _rate_curve(middle, rate, parts, look, chosen, bands, hide=missed)
        if missed.any():  # matplotlib puts the box of a line without points in the corner of the figure
            cross: dict[str, Any] = {"ls": "", "marker": "x", "ms": 7, "mew": 1.6, "clip_on": False}
            middle.plot(rate[missed], parts[1][missed], color=look.color, gid=look.gid, **cross)
        bottom.plot(rate, np.mean(np.isnan(accuracy[loss]), axis=1), clip_on=False, **look._asdict())
    middle.axhline(horizon, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
    canvas.title(top, "accuracy at the last step (diverged counts as 0)", columns=1)
    canvas.title(middle, f"median steps to {goal}", columns=1)
    canvas.title(bottom, "classifiers that diverged", columns=1)
    canvas.step_axis(middle, "y", steps)
    fastest = min(float(np.min(quartiles(times.T)[0], initial=horizon)) for times in steps_to.values())
    middle.set_ylim(fastest / 1.5, horizon * 1.9)
    told = f"{horizon:,.0f}: the end of training"
    above = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": 8}  # the crosses on the line
    middle.annotate(told, (0.005, horizon), xycoords=middle.get_yaxis_transform(), **above)
    label = f"learning rate (at each of them the best {others}, by the tuning seeds)" if others else "learning rate"
    bottom.set(xscale="log", xlabel=label, ylim=(-0.03, 1.03))
    bottom.xaxis.set_minor_locator(NullLocator())  # in three panels these took a third of the drawing time
    for axes in (top, bottom):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ring = Line2D([], [], color="0.4", ls="", marker="o", ms=12, mfc="none", label="chosen rate")
    miss = Line2D([], [], color="0.4", ls="", marker="x", ms=7, mew=1.6, label="median not reached")
    canvas.legend(figure, looks, [ring, miss])
    return figure


def gradient(probability: Mapping[str, Array], norm: Mapping[str, Array]) -> Figure:
    """The path of training: gradient norm (logarithmic) against the mean probability of the true class.

    Args:
      probability: {loss: [S, E]} mean predicted probability of the true class.
      norm: {loss: [S, E]} norm of the gradient of the loss trained on.
    """
    looks = styles(probability)
    figure, (axes,) = canvas.panels(1, width=9.0, height=4.3, columns=1)
    absent = []
    for place, (loss, look) in enumerate(looks.items()):
        # A point where most seeds have diverged is left out; elsewhere a NaN norm ranks as the largest.
        seen = np.mean(np.isnan(norm[loss]), axis=0) < 0.5
        across = np.median(np.where(np.isnan(probability[loss]), 0.0, probability[loss]), axis=0)[seen]
        up = np.median(np.where(np.isnan(norm[loss]), np.inf, norm[loss]), axis=0)[seen]
        up = np.where((up > 0) & np.isfinite(up), up, np.nan)
        if not canvas.line(axes, across, up, look, (0.04 * (place % 5) + 0.06, 0.2)):
            absent.append(display_name(loss))
            continue
        axes.plot(
            across[:1],
            up[:1],
            marker=look.marker,
            ms=11,
            mfc="white",
            mew=1.8,
            color=look.color,
            zorder=4,
            gid=look.gid,
        )
    axes.set(
        yscale="log", xlabel="mean predicted probability of the true class (training part)", ylabel="gradient norm"
    )
    if absent:
        canvas.nothing(axes, f"no line for {listed(absent)}: the gradient was 0, or not finite, at every evaluation")
    canvas.title(axes, "gradient norm of the loss trained on", columns=1)
    canvas.legend(figure, looks, [Line2D([], [], color="0.4", ls="", marker="o", ms=10, mfc="white", label="start")])
    return figure


def ratios(
    labels: Sequence[str],
    ratio: Array,
    low: Array,
    high: Array,
    *,
    title: str,
    censored: Sequence[str | None] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    absent: str = "",
) -> Figure:
    """One row per comparison: the ratio of mean steps and its interval, on a logarithmic axis with a line at 1.

    Args:
      labels: of the rows; ratio, low, high: one each, NaN where no ratio exists.
      title: what is divided by what.
      censored: "a" or "b" where that side never arrived, so that the ratio is a bound and an arrow stands for it.
      pairs: the losses compared, each row in the looks of the one that is faster; the first two looks without.
      absent: what to say in rows without a ratio.

    >>> middle, low, high = np.array([[0.5, 1.1], [0.4, 0.9], [0.7, 1.3]])
    >>> ratios(["iris", "wine"], middle, low, high, title="").axes[0].get_xscale()
    'log'
    """
    figure, (axes,) = canvas.panels(1, width=9.0, height=1.5 + 0.36 * len(labels), columns=1)
    rows = np.arange(len(labels))[::-1]
    sides = censored or [None] * len(labels)
    compared = pairs or [("cross_entropy", "ssr")] * len(labels)
    looks = styles(loss for pair in compared for loss in pair)
    for row, name, middle, left, right, side, (a, b) in zip(
        rows, labels, ratio, low, high, sides, compared, strict=True
    ):
        if not np.isfinite(middle):
            axes.text(0.5, row, absent, transform=axes.get_yaxis_transform(), ha="center", va="center", fontsize=9)
            continue
        # Colour and marker say the same: which loss is faster, or an interval that contains 1.
        sure = right < 1 or left > 1
        look = looks[a if right < 1 else b] if sure else Style("0.45", "-", "d")
        axes.plot([left, right], [row, row], color=look.color, lw=2.4, solid_capstyle="butt", gid=f"row:{name}")
        marker = {"a": ">", "b": "<"}.get(side or "", look.marker)
        axes.plot(middle, row, marker=marker, ms=9 if side else 7, color=look.color, gid=f"row:{name}")
    axes.axvline(1, color="0.2", lw=1)
    axes.set_xscale("log")
    edges = np.concatenate([low, high, [1.0]])
    edges = edges[np.isfinite(edges) & (edges > 0)]
    left, right = np.min(edges) / 1.15, np.max(edges) * 1.15
    axes.set_xlim(left, right)
    plain_ticks(axes)
    shown = [textwrap.fill(printable(text), LABEL).replace("$", r"\$") for text in labels]
    axes.set_yticks(rows, shown, fontsize=10 if max(text.count("\n") for text in shown) < 2 else 8)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    canvas.title(axes, title)
    return figure


def plain_ticks(axes: Axes) -> None:
    """Ticks of a logarithmic axis at plain numbers, as wide as it is now."""
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = _ratio_ticks(*axes.get_xlim())
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])


def _rate_curve(
    axes: Axes, rate: Array, parts: Sequence[Array], look: Style, chosen: int, band: bool, hide: Array | None = None
) -> None:
    low, middle, high = parts
    hide = np.zeros(len(rate), bool) if hide is None else hide
    same: dict[str, Any] = {"color": look.color, "gid": look.gid}
    axes.plot(rate, middle, linestyle=look.linestyle, **same)
    axes.plot(rate[~hide], middle[~hide], ls="", marker=look.marker, **same)
    axes.plot(rate[chosen], middle[chosen], ls="", marker="o", ms=12, mfc="none", mew=1.6, **same)
    if band:
        axes.fill_between(rate, low, high, color=look.color, alpha=0.13, lw=0, gid=look.gid)


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
