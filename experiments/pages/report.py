"""The pages of finished runs: reads a run folder, writes its figures and report.html, and joins several into one page.

Numbers come from summary.json as they stand, figures from curves.npz. A page fetches nothing: style and figures are
inside it, and its content policy forbids the rest.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.figure import Figure

from ce_jax import comparing
from ce_jax.analysis import survival
from ce_jax.comparing import (
    AnalysisOptions,
    best_at_each_rate,
    capital,
    display_name,
    goal_text,
    known,
    listed,
    metric_name,
    percent,
    times_to,
    tuned_options,
    tuned_words,
)

from ..config import flatten
from . import canvas, charts, classes, maps
from .canvas import MOST_BANDS, Array
from .finished import FinishedRun, chosen_row, read_run
from .html import Drawing, drawn_inline, write_page

MOST_SIDE_BY_SIDE = 4
"""Workloads that a joined page shows beside one another."""


def build_report(run_dir: Path) -> Path:
    """Write `figures/` and `report.html` of a finished run from its stored files; return the page's path."""
    run = read_run(run_dir)
    summary = run.summary
    shown = [id(row["against"]) for row in comparing.speed_rows(summary) if row["against"]]
    # Rows of the main table refer to records of the summary itself: what is shown there is known by its identity.
    others = [{"kind": "tuned", **c} for c in summary["comparisons"] if id(c) not in shown]
    provenance, found = run.provenance, classes.by_class(run)
    return _write(
        run_dir / "report.html",
        "report.html.j2",
        title=comparing.label(summary),
        summary=summary,
        verdict=comparing.verdict(summary),
        glance=[_embed(drawing, run_dir) for drawing in glance([summary], [""])],
        sustained=run.config["analysis"]["sustained"],
        first=comparing.first_loss(summary),
        comparisons=[*others, *summary.get("untuned_comparisons", [])],
        drawings=[_embed(drawing, run_dir) for drawing in draw(run)],
        classes=found,
        class_heading=comparing.capital(classes.words(found)) if found else "",
        class_drawing=[_embed(drawing, run_dir) for drawing in _class_drawing(found, summary)],
        config=flatten(run.config),
        provenance=flatten(provenance),
        command=provenance.get("command") or shlex.join(provenance["argv"]),
        git=provenance["git"] or {"commit": "", "dirty": False},
    )


def build_joined_report(folder: Path, run_dirs: Sequence[Path], title: str) -> Path:
    """Write `folder/report.html`: one table over several workloads, linked to the page of each; return its path."""
    runs = [read_run(run_dir) for run_dir in run_dirs]
    summaries = [run.summary for run in runs]
    links = [
        quote(os.fsencode(Path(os.path.relpath(run_dir / "report.html", folder)).as_posix())) for run_dir in run_dirs
    ]
    labels = [comparing.label(summary, summaries) for summary in summaries]
    drawings = [_side_by_side(runs, labels)] if 2 <= len(runs) <= MOST_SIDE_BY_SIDE else []
    return _write(
        folder / "report.html",
        "joined.html.j2",
        title=title,
        sentence=comparing.joined_headline(summaries),
        verdict=comparing.joined_verdict(summaries),
        glance=[_embed(drawing, folder) for drawing in glance(summaries, comparing.told_apart(summaries)[1])],
        firsts={display_name(comparing.first_loss(summary)) for summary in summaries},
        workloads=list(zip(labels, links, summaries, strict=True)),
        drawings=[_embed(drawing, folder) for drawing in drawings],
    )


def _class_drawing(found: classes.Classes | None, summary: dict[str, Any]) -> list[Drawing]:
    if found is None:
        return []
    caption = classes.caption(found, comparing.level(summary), tuned_words(summary))
    return [Drawing("classes", lambda: classes.figure(found), caption)]


def glance(summaries: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[Drawing]:
    """The ratio of every workload, target and loss against the first one in one figure; none where there is none."""
    rows = [
        (label, row, comparing.first_loss(summary))
        for label, summary in zip(labels, summaries, strict=True)
        for row in comparing.speed_rows(summary)
        if row["against"]
    ]
    if not any(known(row["against"]["rmst_ratio"]) and known(row["against"]["ci"]) for _, row, _ in rows):
        return []
    firsts, losses = {display_name(first) for *_, first in rows}, {display_name(row["loss"]) for _, row, _ in rows}
    over = firsts.pop() if len(firsts) == 1 else "the first loss"
    under = losses.copy().pop() if len(losses) == 1 else "the other loss"

    def name(label: str, row: dict[str, Any]) -> str:
        parts = (label, display_name(row["loss"]) if len(losses) > 1 else "", percent(row["target"]))
        return " · ".join(filter(None, parts))

    def draw_ratios() -> Figure:
        found = [
            [value, *row["against"]["ci"]]
            if known(value := row["against"]["rmst_ratio"]) and known(row["against"]["ci"])
            else [np.nan] * 3
            for _, row, _ in rows
        ]
        middle, low, high = np.array(found, float).T
        return charts.ratios(
            [name(label, row) for label, row, _ in rows],
            middle,
            low,
            high,
            title=f"steps of {over} ÷ steps of {under}",
            censored=[row["against"].get("censored") for _, row, _ in rows],
            pairs=[(first, row["loss"]) for _, row, first in rows],
            absent="no ratio: neither loss got there, or one needed no step",
        )

    caption = (
        f"Ratio of mean steps to each target with its {comparing.level(summaries[0])} interval: left of 1 {over} is "
        "faster, right of 1 the other loss; a row has the colour and marker of the faster one. Grey diamonds: the "
        "interval contains 1. Arrows: one loss never got there, so the ratio is a bound, at most (left) or at least "
        "(right) what is drawn."
    )
    return [Drawing("ratios", draw_ratios, caption)]


def _side_by_side(runs: Sequence[FinishedRun], labels: Sequence[str]) -> Drawing:
    """The target metric while training, a panel for each workload."""

    def draw_panels() -> Figure:
        panels, targets = {}, {comparing.shown_target(run.summary) for run in runs}
        for run, label in zip(runs, labels, strict=True):
            metric, fresh = run.config["analysis"]["target_metric"], slice(run.config["sweep"]["tuning_seeds"], None)
            panels[f"{label}: {metric_name(metric)}"] = {
                loss: run.curves[loss][metric][chosen_row(run.curves[loss], record), fresh]
                for loss, record in run.summary["losses"].items()
            }
        return charts.convergence(runs[0].curves.steps, panels, targets=sorted(targets))

    caption = (
        f"Accuracy while training, each loss at its own tuned {tuned_words(runs[0].summary)}: median over the fresh "
        f"seeds, and the band of the middle half of them. {canvas.axis_words(runs[0].curves.steps)}"
    )
    return Drawing("convergence", draw_panels, caption)


def draw(run: FinishedRun) -> list[Drawing]:
    """The four figures of a run, from its curves and the points that its summary chose."""
    summary, curves, steps, target = run.summary, run.curves, run.curves.steps, comparing.shown_target(run.summary)
    stored = run.config["analysis"]
    options = AnalysisOptions(**stored | {"targets": tuple(stored["targets"])})
    metric, fresh = options.target_metric, slice(run.config["sweep"]["tuning_seeds"], None)
    best = {loss: result["best_learning_rate"] for loss, result in summary["losses"].items()}
    chosen = {loss: chosen_row(curves[loss], result) for loss, result in summary["losses"].items()}
    tuning, drawn = curves.at_seeds(slice(fresh.start)), summary["workload"].get("search") == "random"
    horizon, goal = int(steps[-1]), goal_text(summary, target)

    def at_best(name: str) -> dict[str, Array]:
        return {loss: curves[loss][name][index, fresh] for loss, index in chosen.items()}

    def times(level: float) -> dict[str, Array]:
        return {loss: times_to(curves[loss], steps, level, options)[:, fresh] for loss in best}

    def convergence() -> Figure:
        shown = [metric, "test_accuracy", *(["test_rare_accuracy"] if comparing.tells_rare(summary) else [])]
        panels = {metric_name(name): at_best(name) for name in dict.fromkeys(shown)}
        return charts.convergence(steps, panels, targets=options.targets)

    def survivals() -> Figure:
        estimates = {
            goal_text(summary, level): {
                loss: survival(values[chosen[loss]], horizon, confidence_level=options.confidence)
                for loss, values in times(level).items()
            }
            for level in options.targets
        }
        return charts.survival(estimates, steps=steps)

    def rates() -> Figure:
        # A grid shows each rate once, whatever was tuned with it; of points that were drawn every one.
        rows = {loss: slice(None) if drawn else best_at_each_rate(tuning[loss], steps, options) for loss in best}
        tried = {loss: curves[loss].rates[rows[loss]] for loss in best}
        finals = {loss: curves[loss][metric][rows[loss], fresh, -1] for loss in best}
        arrived = {loss: steps_to[rows[loss]] for loss, steps_to in times(target).items()}
        return charts.rates(tried, finals, arrived, best, steps=steps, goal=goal, others=with_them, joined=not drawn)

    def rate_map() -> Figure:
        rows = {loss: best_at_each_rate(tuning[loss], steps, options) for loss in best}
        tried = {loss: curves[loss].rates[rows[loss]] for loss in best}
        return maps.rate_map(steps, tried, {loss: curves[loss][metric][rows[loss], fresh] for loss in best}, best)

    def gradient() -> Figure:
        return charts.gradient(at_best("true_class_probability"), at_best("gradient_norm"))

    others = tuned_options(summary)
    with_them = listed([name.replace("_", " ") for name in others]) if others and not drawn else None
    tried = "at every point drawn, by its learning rate" if drawn else "at every learning rate tried"
    if with_them:
        tried += f", at each of them with the {with_them} that the tuning seeds find best"
    bands = "" if len(best) <= MOST_BANDS else " With this many losses the bands are left out."
    mapped = (
        f"{capital(metric_name(metric))} over learning rate and step, a square per evaluation: median of the fresh "
        "seeds, diverged counts as 0. The arrow at the right marks the rate chosen on the tuning seeds."
    )
    seeds, word = summary["workload"]["seeds"], metric_name(metric)
    return [
        Drawing(
            "convergence",
            convergence,
            f"Accuracy while training, each loss at its own tuned {tuned_words(summary)}: median over {seeds} fresh "
            f"seeds; the band holds the middle half of them.{bands} Thin lines: the targets. "
            f"{canvas.axis_words(steps)}",
        ),
        Drawing(
            "survival",
            survivals,
            "Kaplan-Meier estimate of the classifiers that have not reached the target yet, with its interval: the "
            f"faster a curve falls, the faster the loss.{bands} A large open marker at the right end: those that had "
            "not got there when training stopped. Same runs as above.",
        ),
        Drawing(
            "rates",
            rates,
            f"The same {seeds} seeds {tried}: {word} at the last step, steps to {goal}, and the share of classifiers "
            f"that diverged; median{'' if drawn else ' and middle half'}. The ringed rate was chosen on other (tuning) "
            "seeds.",
        ),
        *([] if drawn else [Drawing("map", rate_map, mapped)]),
        Drawing(
            "gradient",
            gradient,
            "Size of the gradient against how sure of the right class the model is, from the start of training to its "
            "end: medians over the fresh seeds. Only the shape compares losses: a constant factor between two curves "
            "is a matter of learning-rate units.",
        ),
    ]


def _embed(drawing: Drawing, folder: Path) -> dict[str, Any]:
    """Save a figure and return what the page needs of it."""
    return drawn_inline(drawing, folder, folder / "figures")


def _write(path: Path, template: str, **context: Any) -> Path:
    """A page whose template may use the words and forms of `ce_jax.comparing`."""
    names = "INTERVALS bounded caveats count display_name finding goal_text interval level metric_name percent ratio"
    names += " share shown_target speed_rows tells_rare text chosen_parts point_parts search_sentences tuned_options"
    names += " tuned_words"
    return write_page(path, template, {name: getattr(comparing, name) for name in names.split()}, **context)
