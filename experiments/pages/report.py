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
    LossCurves,
    best_at_each_rate,
    display_name,
    goal_text,
    listed,
    metric_name,
    times_to,
    tuned_options,
    tuned_words,
)

from ..config import flatten
from . import charts
from .canvas import MOST_BANDS, Array
from .drawing import saved
from .finished import FinishedRun, read_run
from .html import Drawing, inlined, write_page

MOST_SIDE_BY_SIDE = 4
"""Workloads that a joined page shows beside one another."""


def build_report(run_dir: Path) -> Path:
    """Write `figures/` and `report.html` of a finished run from its stored files; return the page's path."""
    run = read_run(run_dir)
    summary = run.summary
    shown = [id(row["against"]) for row in comparing.speed_rows(summary) if row["against"]]
    # Rows of the main table refer to records of the summary itself: what is shown there is known by its identity.
    others = [{"kind": "tuned", **c} for c in summary["comparisons"] if id(c) not in shown]
    provenance = run.provenance
    return _write(
        run_dir / "report.html",
        "report.html.j2",
        title=comparing.label(summary),
        summary=summary,
        sustained=run.config["analysis"]["sustained"],
        first=comparing.first_loss(summary),
        comparisons=[*others, *summary.get("untuned_comparisons", [])],
        drawings=[_embed(drawing, run_dir) for drawing in draw(run)],
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
    drawings += _all_ratios(summaries, labels)
    return _write(
        folder / "report.html",
        "joined.html.j2",
        title=title,
        sentence=comparing.joined_headline(summaries),
        firsts={display_name(comparing.first_loss(summary)) for summary in summaries},
        workloads=list(zip(labels, links, summaries, strict=True)),
        drawings=[_embed(drawing, folder) for drawing in drawings],
    )


def _all_ratios(summaries: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[Drawing]:
    """The ratio of every workload in one figure; none where no workload has one."""
    rows = [
        (name, pair)
        for name, summary in zip(labels, summaries, strict=True)
        if (pair := comparing.main_pair(summary)) and pair.status in ("faster", "slower", "open", "bound")
    ]
    if not rows:
        return []

    def draw_ratios() -> Figure:
        bounds = np.array([pair.comparison["ci"] for _, pair in rows])
        compared = {(display_name(pair.a), display_name(pair.b)) for _, pair in rows}
        one = len(compared) == 1
        return charts.ratios(
            [name for name, _ in rows],
            np.array([pair.comparison["rmst_ratio"] for _, pair in rows]),
            bounds[:, 0],
            bounds[:, 1],
            title="steps of {} ÷ steps of {}".format(*compared.pop()) if one else "steps of a ÷ steps of b",
            censored=[pair.comparison.get("censored") for _, pair in rows],
        )

    caption = (
        f"Ratio of mean steps to the target of each workload's headline, with its {comparing.level(summaries[0])} "
        "interval; left of 1 the first loss is faster. Grey diamonds: the interval contains 1. Arrows: one loss never "
        "got there, so the ratio is a bound, at most (left) or at least (right) what is drawn."
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
        "seeds, and the band of the middle half of them. The step axis is logarithmic."
    )
    return Drawing("convergence", draw_panels, caption)


def chosen_row(curves: LossCurves, record: dict[str, Any]) -> int:
    """Where the point that a loss chose, by its record in the summary, stands in its curves."""
    distance = np.abs(curves.rates - record["best_learning_rate"])
    for name, value in record.get("best_options", {}).items():
        distance = np.where(curves.options[name] == value, distance, np.inf)
    return int(np.argmin(distance))


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
        first = int(np.min(steps[steps > 0], initial=horizon))
        return charts.survival(estimates, horizon=horizon, first_step=first)

    def rates() -> Figure:
        # A grid shows each rate once, whatever was tuned with it; of points that were drawn every one.
        rows = {loss: slice(None) if drawn else best_at_each_rate(tuning[loss], steps, options) for loss in best}
        tried = {loss: curves[loss].rates[rows[loss]] for loss in best}
        finals = {loss: curves[loss][metric][rows[loss], fresh, -1] for loss in best}
        arrived = {loss: steps_to[rows[loss]] for loss, steps_to in times(target).items()}
        return charts.rates(tried, finals, arrived, best, steps=steps, goal=goal, others=with_them, joined=not drawn)

    def gradient() -> Figure:
        return charts.gradient(at_best("true_class_probability"), at_best("gradient_norm"))

    others = tuned_options(summary)
    with_them = listed([name.replace("_", " ") for name in others]) if others and not drawn else None
    tried = "at every point drawn, by its learning rate" if drawn else "at every learning rate tried"
    if with_them:
        tried += f", at each of them with the {with_them} that the tuning seeds find best"
    bands = "" if len(best) <= MOST_BANDS else " With this many losses the bands are left out."
    seeds, word = summary["workload"]["seeds"], metric_name(metric)
    return [
        Drawing(
            "convergence",
            convergence,
            f"Accuracy while training, each loss at its own tuned {tuned_words(summary)}: median over {seeds} fresh "
            f"seeds; the band holds the middle half of them.{bands} Thin lines: the targets. The step axis is "
            "logarithmic.",
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
    (vector, bitmap), note = saved(drawing.make, folder / "figures", drawing.name)
    files = [path.relative_to(folder).as_posix() for path in (vector, bitmap)]
    svg = inlined(vector.read_text(encoding="utf-8"), drawing.name)
    return {"name": drawing.name, "svg": svg, "caption": f"{note} {drawing.caption}".strip(), "files": files}


def _write(path: Path, template: str, **context: Any) -> Path:
    """A page whose template may use the words and forms of `ce_jax.comparing`."""
    names = "INTERVALS bounded caveats count display_name finding goal_text interval level metric_name percent ratio"
    names += " share shown_target speed_rows tells_rare text chosen_parts point_parts search_sentences tuned_options"
    names += " tuned_words"
    return write_page(path, template, {name: getattr(comparing, name) for name in names.split()}, **context)
