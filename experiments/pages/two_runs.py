"""The page of `report A B`: two runs side by side, what changed from A to B in words, tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ce_jax import comparing
from ce_jax.comparing import Line, bounded, capital, display_name, interval, listed, metric_name, percent, ratio

from . import canvas, charts
from .changes import Changes, Ranged, Speed, alike, changes
from .finished import FinishedRun, chosen_row, stored_in
from .html import Drawing, drawn_inline, write_page

NAMES = ("A", "B")
APART = 0.17
"""How far the marks of both runs lie from the middle of their row."""


class Side(NamedTuple):
    """One of the runs: its letter, its folder, how its page is reached from the new one, and what is stored."""

    letter: str
    folder: Path
    link: str | None
    run: FinishedRun


def write_two_runs(page: Path, sides: tuple[Side, Side], settings: Mapping[str, tuple[str, str]]) -> tuple[Path, str]:
    """Write the page; return its path and what was found, in a sentence.

    Args:
      page: the file to write.
      sides: both runs.
      settings: {key: value in A and in B, as text} of what differs in their configs.

    Raises:
      UserError: the runs ask different questions, or a folder's files do not fit together.
    """
    a, b = sides
    with stored_in(a.folder), stored_in(b.folder):
        found, same = changes(a.run, b.run), alike(a.run, b.run, settings)
        sentence = finding(found, a.run.summary, same)
        drawings = [drawn_inline(drawing, page.parent) for drawing in draw(found, sides)]
        forms = "bounded count display_name goal_text interval label level metric_name percent ratio share text"
        return write_page(
            page,
            "two_runs.html.j2",
            {name: getattr(comparing, name) for name in forms.split()},
            title=f"{comparing.label(a.run.summary)}: two runs",
            sentence=sentence,
            verdict=verdict(found, a.run.summary, same, [side.run for side in sides]),
            sides=sides,
            settings=settings,
            made=made(sides),
            found=found,
            summary=a.run.summary,
            drawings=drawings,
            points=points,
        ), sentence


def finding(found: Changes, summary: Mapping[str, Any], same: Mapping[str, bool]) -> str:
    """What changed in the speed of every loss at the headline's target, and which other targets say otherwise."""
    goal, sure = comparing.goal_text(summary, found.headline), comparing.level(summary)
    by_target = {target: [one for one in found.speeds if one.target == target] for target in found.targets}
    main = by_target.pop(found.headline)
    where = "" if same["data"] else ", whose data differ,"
    told = [f"From A to B{where} to {goal} ({sure} intervals): {_speeds_words(main)}."]
    alike = [target for target, speeds in by_target.items() if _directions(speeds) == _directions(main)]
    if alike:
        told.append(f"To {listed([percent(target) for target in alike])}: the same.")
    told += [
        f"To {percent(target)}: {_speeds_words(by_target[target])}." for target in by_target if target not in alike
    ]
    return " ".join(told)


def _directions(speeds: Sequence[Speed]) -> list[str | float]:
    """Where each loss went: which side never got there, else faster (-1), slower (1) or not shown (0)."""
    return [one.change.censored or float(one.change.changed * np.sign(np.log(one.change.value))) for one in speeds]


def _speeds_words(speeds: Sequence[Speed]) -> str:
    return "; ".join(map(_speed_words, speeds))


def _speed_words(one: Speed) -> str:
    name, change = display_name(one.loss), one.change.record()
    if one.change.censored == "both":
        return f"{name} got there in neither run"
    if one.change.censored == "a":
        return f"{name} got there in A alone, so that it needs {bounded(change)} times the steps in B"
    if one.change.censored == "b":
        return f"{name} got there in B alone, so that it needs {bounded(change)} times the steps of A"
    size = f"{bounded(change)} times the steps, {interval(change['ci'], ratio)}"
    if not one.change.changed:
        return f"no change of {name} could be shown ({size})"
    return f"{name} became {'faster' if one.change.value < 1 else 'slower'} ({size})"


def verdict(
    found: Changes, summary: Mapping[str, Any], same: Mapping[str, bool], runs: Sequence[FinishedRun]
) -> list[Line]:
    """The box of the page: speeds, leads, accuracies, how sure, and what may not be compared."""
    lines = [Line("Lead", words) for words in _lead_words(found)]
    ends = []
    for one in found.accuracies:
        low, high = one.change.ci
        size = f"{points(one.change.value)} points, {points(low)} to {points(high)}"
        sure = "ends higher" if low > 0 else "ends lower" if high < 0 else "shows no change"
        ends.append(f"{display_name(one.loss)} {sure} ({size})")
    lines.append(Line("Test accuracy", f"{capital('; '.join(ends))}."))
    return [*lines, Line("How sure", _sure_words(runs, same)), *(Line("Mind", words) for words in _minded(found, same))]


def _lead_words(found: Changes) -> list[str]:
    told = []
    for one in (lead for lead in found.leads if lead.target == found.headline):
        pair = f"Steps of {display_name(found.reference)} ÷ steps of {display_name(one.loss)}"
        both = " in A, ".join(f"{bounded(side.record())} ({interval(side.ci, ratio)})" for side in one.ratios)
        if one.change.censored:
            change = "a loss that never got there makes it a bound, so whether it changed is not told"
        elif one.change.changed:
            change = f"it changed by a factor of {ratio(one.change.value)}, {interval(one.change.ci, ratio)}"
        else:
            change = (
                f"no change could be shown (a factor of {ratio(one.change.value)}, {interval(one.change.ci, ratio)})"
            )
        told.append(f"{pair}: {both} in B; {change}.")
    return told


def _sure_words(runs: Sequence[FinishedRun], same: Mapping[str, bool]) -> str:
    seeds = [run.summary["workload"]["seeds"] for run in runs]
    many = (
        f"{seeds[0]} fresh seeds in each" if seeds[0] == seeds[1] else f"{seeds[0]} fresh seeds in A, {seeds[1]} in B"
    )
    shared = (
        " Both ran the same seeds; what these share makes the intervals, as a rule, wider than need be."
        if same["seeds"] and same["data"]
        else ""
    )
    return (
        f"{many}. Within a run losses are paired by seed; between the runs nothing is: both are redrawn by themselves, "
        f"tuning included.{shared}"
    )


def _minded(found: Changes, same: Mapping[str, bool]) -> list[str]:
    """What a difference between the runs may come from beside their settings, or may not be read from it."""
    count = len(found.speeds) + len(found.leads) + len(found.accuracies)
    told = {
        "data": "The data differ: a difference between the runs may be that of the data, and no interval covers it.",
        "code": "The runs were made by different code, which may be what a difference comes from.",
        "length": f"The runs differ in length: steps are counted up to {found.horizon:,}, the shorter one's, with "
        "each loss at the rate that it was given for its own length; accuracies are those of each run's end.",
    }
    minded = [words for key, words in told.items() if not same[key]]
    if count > 5:
        minded.append(
            f"{count} intervals stand on this page; chance alone puts one in twenty of them beside the truth."
        )
    return minded


def made(sides: Sequence[Side]) -> dict[str, tuple[str, str]]:
    """{what: of A and of B} of what the runs were made by and when, where it differs."""

    def told(run: FinishedRun) -> dict[str, str]:
        stored, git = run.provenance, run.provenance["git"] or {}
        versions = {f"version of {name}": version for name, version in stored.get("versions", {}).items()}
        return {
            "made at (UTC)": str(stored.get("utc", ""))[:16].replace("T", " "),
            "commit": str(git.get("commit", ""))[:10] + (" with changes" if git.get("dirty") else ""),
            "hash of the code": str(stored.get("source", "")),
            "devices": ", ".join(stored.get("devices", [])),
            **versions,
        }

    first, second = (told(side.run) for side in sides)
    pairs = {key: (first.get(key, ""), second.get(key, "")) for key in {**first, **second}}
    return {key: (a or "–", b or "–") for key, (a, b) in pairs.items() if a != b}


def points(difference: float) -> str:
    """A difference of accuracies in points of a hundred, with its sign.

    >>> points(0.0123), points(-0.5)
    ('+1.2', '−50')
    """
    return f"{100 * difference:+.1f}".removesuffix(".0").replace("-", "−")


def draw(found: Changes, sides: tuple[Side, Side]) -> list[Drawing]:
    """Steps of both runs with their ratio, and accuracy while training."""
    summary, metric = sides[0].run.summary, sides[0].run.config["analysis"]["target_metric"]

    def curves() -> Figure:
        panels, steps = {}, {}
        for letter, _, _, run in sides:
            name = f"{letter}: {metric_name(metric)}"
            fresh = slice(run.config["sweep"]["tuning_seeds"], None)
            rows = {loss: chosen_row(run.curves[loss], run.summary["losses"][loss]) for loss in found.losses}
            panels[name] = {loss: run.curves[loss][metric][row, fresh] for loss, row in rows.items()}
            steps[name] = run.curves.steps
        return charts.convergence(steps, panels, targets=found.targets)

    axis = canvas.axis_words(*(side.run.curves.steps for side in sides))
    return [
        Drawing(
            "speeds",
            lambda: speeds_figure(found),
            f"Mean steps in A (open) and in B (filled), a run that never got there counted as "
            f"{found.horizon:,}; then steps in B ÷ steps in A, left of 1 B is faster; grey where the "
            f"{comparing.level(summary)} interval contains 1, an arrow where one side never got there, so that the "
            "ratio is a bound. Both axes are logarithmic.",
        ),
        Drawing(
            "convergence",
            curves,
            "Accuracy while training, each loss at its own tuned rate: median over the fresh seeds of each run, and "
            f"the band of the middle half of them. Thin lines: the targets both have. {axis}",
        ),
    ]


def speeds_figure(found: Changes) -> Figure:
    """A row for each loss and target: mean steps of both runs, and their ratio."""
    figure, (left, right) = canvas.panels(2, height=1.7 + 0.42 * len(found.speeds), sharey=True)
    looks, rows = canvas.styles(found.losses), np.arange(len(found.speeds))[::-1]
    labels = [f"{display_name(one.loss)} · {percent(one.target)}" for one in found.speeds]
    for row, label, one in zip(rows, labels, found.speeds, strict=True):
        look = looks[one.loss]
        for place, letter, steps, fill in zip((APART, -APART), NAMES, one.steps, ("white", look.color), strict=True):
            _mark(left, row + place, steps, f"row:{label} · {letter}", look.color, look.marker, fill)
        if one.change.censored == "both":
            right.text(0.5, row, "in neither run", transform=right.get_yaxis_transform(), ha="center", va="center")
            continue
        colour = look.color if one.change.changed or one.change.censored else "0.45"
        marker = {"a": ">", "b": "<"}.get(one.change.censored or "", look.marker)
        _mark(right, row, one.change, f"row:{label} · B ÷ A", colour, marker, colour)
    right.axvline(1, color="0.2", lw=1)
    for axes, words in ((left, "mean steps"), (right, "steps in B ÷ steps in A")):
        axes.set_xscale("log")
        charts.plain_ticks(axes)
        canvas.title(axes, words)
    left.set_yticks(rows, labels)
    left.set_ylim(-0.7, len(labels) - 0.3)
    ends = [
        Line2D([], [], color="0.4", ls="", marker="o", mfc=fill, label=letter)
        for letter, fill in zip(NAMES, ("white", "0.4"), strict=True)
    ]
    canvas.legend(figure, {}, ends)
    return figure


def _mark(axes: Axes, row: float, one: Ranged, gid: str, colour: Any, marker: str, fill: Any) -> None:
    """A value with its interval; what is not finite has none."""
    if not np.isfinite(one.value) or one.value <= 0:
        return
    ends = [end if np.isfinite(end) and end > 0 else one.value for end in one.ci]
    axes.plot(ends, [row, row], color=colour, lw=2.2, solid_capstyle="butt", gid=gid)
    axes.plot(one.value, row, marker=marker, ms=7, mfc=fill, mew=1.5, color=colour, gid=gid)
