"""How well each class is recognised in the end: numbers of a run's last evaluation, and their figure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ce_jax.comparing import AnalysisOptions, Redrawn, diverged, tells_rare

from . import canvas
from .canvas import MOST_BANDS, Array
from .finished import FinishedRun, chosen_row

MOST_SHOWN = 20
"""Classes of a balanced run that are shown one by one."""
METRIC = "test_class_accuracy"


class ByClass(NamedTuple):
    """Mean test accuracies [K] of a loss at its chosen point, with intervals; NaN of a class without a test row."""

    mean: Array
    low: Array
    high: Array


def by_class(run: FinishedRun) -> dict[str, ByClass]:
    """{loss: its accuracies} where classes are few or skewed, else nothing; intervals cover the tuning."""
    names, losses = run.summary["workload"].get("classes", ()), run.summary["losses"]
    stored_metrics = [run.curves[loss].metrics for loss in losses]
    known = all(METRIC in one and one[METRIC].shape[-1] == len(names) for one in stored_metrics)
    if not known or not (len(names) <= MOST_SHOWN or tells_rare(run.summary)):
        return {}
    stored, tuning = run.config["analysis"], run.config["sweep"]["tuning_seeds"]
    options = AnalysisOptions(**stored | {"targets": tuple(stored["targets"])})
    fresh = run.curves.at_seeds(slice(tuning, None))
    redrawn = Redrawn(run.curves.at_seeds(slice(tuning)), fresh, options)
    return {loss: _of_loss(loss, fresh[loss], chosen_row(fresh[loss], losses[loss]), redrawn) for loss in losses}


def _of_loss(loss: str, own: Any, row: int, redrawn: Redrawn) -> ByClass:
    # A diverged run classifies nothing.
    values = np.where(diverged(own)[..., None], 0.0, own[METRIC].astype(float))
    ends = []
    for place in range(values.shape[-1]):
        one = values[..., place]
        whole = bool(np.isfinite(one).all())
        ends.append(redrawn.interval(redrawn.means(loss, one), 0.0, 1.0) if whole else (np.nan, np.nan))
    low, high = np.array(ends).T
    return ByClass(np.where(np.isnan(low), np.nan, values[row].mean(axis=0)), low, high)


def figure(names: Sequence[str], found: Mapping[str, ByClass]) -> Figure:
    """Accuracy of each class, from 0 on, a line and the band of its interval for each loss.

    >>> one = ByClass(*np.array([[0.5, 1.0], [0.4, 0.9], [0.6, 1.0]]))
    >>> [label.get_text() for label in figure(["a", "b"], {"ssr": one}).axes[0].get_xticklabels()]
    ['a', 'b']
    """
    looks, places = canvas.styles(found), np.arange(len(names), dtype=float)
    drawing, (axes,) = canvas.panels(1, height=3.4, columns=1)
    for loss, one in found.items():
        look = looks[loss]
        axes.plot(places, one.mean, **look._asdict())
        if len(found) <= MOST_BANDS:
            axes.fill_between(places, one.low, one.high, color=look.color, alpha=0.13, lw=0, gid=look.gid)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    if len(names) <= MOST_SHOWN:
        shown = [(name if len(name) <= 14 else name[:13] + "…").replace("$", r"\$") for name in names]
        crowded = sum(map(len, shown)) > 70
        axes.set_xticks(places, shown, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlabel("class")
    canvas.title(axes, "test accuracy at the last step, class by class")
    canvas.legend(drawing, looks)
    return drawing
