"""The pages of finished runs: reads a run folder, writes its figures and report.html, and joins several into one page.

Numbers come from summary.json as they stand, figures from curves.npz. A page fetches nothing: style and figures are
inside it, and its content policy forbids the rest.
"""

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ce_jax.analysis import survival
from experiments import findings, plots
from experiments.config import AnalysisOptions, flatten
from experiments.errors import UserError
from experiments.plots import Array
from experiments.store import read_arrays, write_bytes
from experiments.summary import times_to

SCHEMA = 1


class Run(NamedTuple):
    """A finished run folder, read back."""

    config: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    curves: dict[str, Array]


class Drawing(NamedTuple):
    """A figure with its file name and the caption that says how to read it."""

    name: str
    figure: Figure
    caption: str


def read_run(run_dir: Path) -> Run:
    """Read a finished run folder.

    Raises:
      UserError: a file is missing or unreadable, or the summary has another schema.
    """
    try:
        config, provenance, summary = (
            json.loads((run_dir / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("config", "provenance", "summary")
        )
        curves = read_arrays(run_dir / "curves.npz")
    except (FileNotFoundError, NotADirectoryError) as error:
        missing = Path(error.filename).name
        raise UserError(f"{run_dir}: expected the folder of a finished run, but {missing} is missing") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{run_dir}: cannot be read back ({error}); run it again with --fresh") from None
    if summary.get("schema") != SCHEMA:
        raise UserError(f"{run_dir}: expected summary.json of schema {SCHEMA}, came {summary.get('schema')}")
    return Run(config, provenance, summary, curves)


def build_report(run_dir: Path) -> Path:
    """Write `figures/` and `report.html` of a finished run from its stored files; return the page's path."""
    run = read_run(run_dir)
    summary = run.summary
    shown = [id(row["against"]) for row in findings.speed_rows(summary) if row["against"]]
    others = [{"kind": "tuned", **c} for c in summary["comparisons"] if id(c) not in shown]
    provenance = run.provenance
    page = _render(
        "report.html.j2",
        title=findings.label(summary),
        summary=summary,
        sustained=run.config["analysis"]["sustained"],
        first=findings.first_loss(summary),
        comparisons=[*others, *summary.get("untuned_comparisons", [])],
        drawings=[_embed(drawing, run_dir) for drawing in draw(run)],
        config=flatten(run.config),
        provenance=flatten(provenance),
        command=provenance.get("command") or shlex.join(provenance["argv"]),
        git=provenance["git"] or {"commit": "", "dirty": False},
    )
    return _write(run_dir / "report.html", page)


def build_joined_report(folder: Path, run_dirs: Sequence[Path], title: str) -> Path:
    """Write `folder/report.html`: one table over several workloads, linked to the page of each; return its path."""
    summaries = [read_run(run_dir).summary for run_dir in run_dirs]
    links = [quote(Path(os.path.relpath(run_dir / "report.html", folder)).as_posix()) for run_dir in run_dirs]
    labels = [findings.label(summary, summaries) for summary in summaries]
    rows = [
        (name, found)
        for name, summary in zip(labels, summaries, strict=True)
        if (found := findings.verdict(summary)) and found.status in ("faster", "slower", "open")
    ]
    drawings = []
    if rows:
        middle = np.array([found.comparison["rmst_ratio"] for _, found in rows])
        bounds = np.array([found.comparison["ci"] for _, found in rows])
        pairs = {(plots.display_name(found.a), plots.display_name(found.b)) for _, found in rows}
        words = "steps of {} ÷ steps of {}".format(*pairs.pop()) if len(pairs) == 1 else "steps of a ÷ steps of b"
        figure = plots.ratios([name for name, _ in rows], middle, bounds[:, 0], bounds[:, 1], title=words)
        caption = (
            "Ratio of mean steps to the target of each workload's headline, with its "
            f"{findings.level(summaries[0])} interval; left of 1 the first loss is faster. Grey diamonds: the interval "
            "contains 1."
        )
        drawings.append(_embed(Drawing("ratios", figure, caption), folder))
    page = _render(
        "joined.html.j2",
        title=title,
        sentence=findings.joined_headline(summaries),
        firsts={plots.display_name(findings.first_loss(summary)) for summary in summaries},
        workloads=list(zip(labels, links, summaries, strict=True)),
        drawings=drawings,
    )
    return _write(folder / "report.html", page)


def draw(run: Run) -> list[Drawing]:
    """The four figures of a run, from its curves and the rates that its summary chose."""
    summary, curves, steps, target = run.summary, run.curves, run.curves["steps"], findings.shown_target(run.summary)
    options = AnalysisOptions(**run.config["analysis"])
    metric, fresh = options.target_metric, slice(run.config["sweep"]["tuning_seeds"], None)
    best = {loss: result["best_learning_rate"] for loss, result in summary["losses"].items()}
    rates = {loss: curves[f"learning_rates/{loss}"] for loss in best}
    chosen = {loss: int(np.argmin(np.abs(rates[loss] - rate))) for loss, rate in best.items()}

    def at_best(name: str) -> dict[str, Array]:
        return {loss: curves[f"{loss}/{name}"][index, fresh] for loss, index in chosen.items()}

    def times(level: float) -> dict[str, Array]:
        return {loss: times_to(curves, loss, level, options)[:, fresh] for loss in best}

    horizon, goal = int(steps[-1]), findings.goal_text(summary, target)
    estimates = {
        findings.goal_text(summary, level): {
            loss: survival(values[chosen[loss]], horizon, confidence_level=options.confidence)
            for loss, values in times(level).items()
        }
        for level in options.targets
    }
    panels = {name.replace("_", " "): at_best(name) for name in dict.fromkeys([metric, "test_accuracy"])}
    finals = {loss: curves[f"{loss}/{metric}"][:, fresh, -1] for loss in best}
    bands = "" if len(best) <= plots.MOST_BANDS else " With this many losses the bands are left out."
    seeds, word = summary["workload"]["seeds"], metric.replace("_", " ")
    return [
        Drawing(
            "convergence",
            plots.convergence(steps, panels, targets=options.targets),
            f"Accuracy while training, each loss at its own tuned learning rate: median over {seeds} fresh seeds; the "
            f"band holds the middle half of them.{bands} Thin lines: the targets. The step axis is logarithmic.",
        ),
        Drawing(
            "survival",
            plots.survival(estimates, horizon=horizon, first_step=int(np.min(steps[steps > 0], initial=horizon))),
            "Kaplan-Meier estimate of the classifiers that have not reached the target yet, with its interval: the "
            f"faster a curve falls, the faster the loss.{bands} A large open marker at the right end: those that had "
            "not got there when training stopped. Same runs as above.",
        ),
        Drawing(
            "rates",
            plots.rates(rates, finals, times(target), best, steps=steps, goal=goal),
            f"The same {seeds} seeds at every learning rate tried: {word} at the last step, steps to {goal}, and the "
            "share of classifiers that diverged; median and middle half. The ringed rate was chosen on other (tuning) "
            "seeds.",
        ),
        Drawing(
            "gradient",
            plots.gradient(at_best("true_class_probability"), at_best("gradient_norm")),
            "Size of the gradient against how sure of the right class the model is, from the start of training to its "
            "end: medians over the fresh seeds. Only the shape compares losses: a constant factor between two curves "
            "is a matter of learning-rate units.",
        ),
    ]


def _embed(drawing: Drawing, folder: Path) -> dict[str, Any]:
    """Save a figure and return what the page needs of it, ids made unique: several figures share one page."""
    vector, bitmap = plots.save(drawing.figure, folder / "figures", drawing.name)
    svg = vector.read_text(encoding="utf-8")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{drawing.name}-", svg)
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="caption-{drawing.name}"', 1)
    files = [path.relative_to(folder).as_posix() for path in (vector, bitmap)]
    return {"name": drawing.name, "svg": Markup(svg), "caption": drawing.caption, "files": files}


def _render(template: str, **context: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    forms = [
        *(findings.ratio, findings.count, findings.share, findings.interval, findings.text, findings.level),
        *(findings.finding, findings.caveats, findings.speed_rows, findings.shown_target, findings.goal_text),
        *(plots.display_name, plots.percent),
    ]
    environment.globals |= {form.__name__: form for form in forms}
    return environment.get_template(template).render(**context)


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, page.encode())
    return path
