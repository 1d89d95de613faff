"""How well each class is recognised in the end: numbers of a run's last evaluation, and their figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ce_jax.comparing import AnalysisOptions, Redrawn, diverged, tells_rare

from . import canvas
from .canvas import MOST_BANDS, Array
from .finished import FinishedRun, chosen_row

MOST_SHOWN = 20
"""Classes that are drawn one by one."""
METRIC = "test_class_accuracy"


class ByClass(NamedTuple):
    """Mean test accuracies [K] of a loss at its chosen point, with intervals; NaN of a class without a test row."""

    mean: Array
    low: Array
    high: Array


class Classes(NamedTuple):
    """What a page tells of classes: {loss: accuracies} of every class, and of the groups that are drawn.

    Groups are the classes themselves where they are few, else classes with about as many training examples.
    """

    names: list[str]
    each: dict[str, ByClass]
    groups: list[str]
    grouped: dict[str, ByClass]


def by_class(run: FinishedRun) -> Classes | None:
    """The accuracies where classes are few or rare ones are known, else nothing; intervals cover the tuning."""
    work, losses = run.summary["workload"], run.summary["losses"]
    names, counts = work.get("classes", ()), np.array(work.get("class_counts", ()))
    stored_metrics = [run.curves[loss].metrics for loss in losses]
    known = bool(names) and all(METRIC in one and one[METRIC].shape[-1] == len(names) for one in stored_metrics)
    few, rare = len(names) <= MOST_SHOWN, tells_rare(run.summary) and len(counts) == len(names)
    if not known or not (few or rare):
        return None
    stored, tuning = run.config["analysis"], run.config["sweep"]["tuning_seeds"]
    options = AnalysisOptions(**stored | {"targets": tuple(stored["targets"])})
    fresh = run.curves.at_seeds(slice(tuning, None))
    redrawn = Redrawn(run.curves.at_seeds(slice(tuning)), fresh, options)

    def found(members: Sequence[Array]) -> dict[str, ByClass]:
        rows = {loss: chosen_row(fresh[loss], losses[loss]) for loss in losses}
        return {loss: _of_loss(loss, fresh[loss], rows[loss], redrawn, members) for loss in losses}

    each = found([np.array([place]) for place in range(len(names))])
    if few:
        return Classes(list(names), each, list(names), each)
    groups = frequency_groups(counts)
    return Classes(list(names), each, list(groups), found(list(groups.values())))


def frequency_groups(counts: Array) -> dict[str, Array]:
    """Classes of about the same number of training examples, from the most frequent on: {in words: their places}.

    Numbers within a power of two belong together.

    >>> frequency_groups(np.array([9, 4, 5, 1, 1]))
    {'9': array([0]), '4 to 5': array([1, 2]), '1': array([3, 4])}
    """
    powers = np.floor(np.log2(np.maximum(counts, 0.5)))
    groups = [np.flatnonzero(powers == power) for power in np.unique(powers)[::-1]]
    ends = [(counts[places].min(), counts[places].max()) for places in groups]
    words = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in ends]
    return dict(zip(words, groups, strict=True))


def _of_loss(loss: str, own: Any, row: int, redrawn: Redrawn, members: Sequence[Array]) -> ByClass:
    """Mean accuracy over the classes of each group; those without a test row are left out."""
    # A diverged run classifies nothing.
    values = np.where(diverged(own)[..., None], 0.0, own[METRIC].astype(float))
    tested = np.isfinite(values.sum(axis=(0, 1)))
    means, ends = [], []
    for places in members:
        shown = places[tested[places]]
        one = values[..., shown].mean(axis=-1) if len(shown) else None
        means.append(np.nan if one is None else one[row].mean())
        ends.append((np.nan, np.nan) if one is None else redrawn.interval(redrawn.means(loss, one), 0.0, 1.0))
    low, high = np.array(ends).T
    return ByClass(np.array(means), low, high)


def figure(found: Classes) -> Figure:
    """Accuracy of each class, or group of classes, from 0 on: a line and the band of its interval for each loss.

    >>> one = {"ssr": ByClass(*np.array([[0.5, 1.0], [0.4, 0.9], [0.6, 1.0]]))}
    >>> [label.get_text() for label in figure(Classes(["a", "b"], one, ["a", "b"], one)).axes[0].get_xticklabels()]
    ['a', 'b']
    """
    one_by_one, looks = found.groups == found.names, canvas.styles(found.grouped)
    places = np.arange(len(found.groups), dtype=float)
    drawing, (axes,) = canvas.panels(1, height=3.4, columns=1)
    for loss, one in found.grouped.items():
        look = looks[loss]
        axes.plot(places, one.mean, **look._asdict())
        if len(found.grouped) <= MOST_BANDS:
            axes.fill_between(places, one.low, one.high, color=look.color, alpha=0.13, lw=0, gid=look.gid)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    shown = [(name if len(name) <= 14 else name[:13] + "…").replace("$", r"\$") for name in found.groups]
    crowded = sum(map(len, shown)) > 70
    axes.set_xticks(places, shown, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlabel("class" if one_by_one else "training examples of a class (from frequent to rare)")
    canvas.title(axes, f"test accuracy at the last step, {words(found)}", columns=1)
    canvas.legend(drawing, looks)
    return drawing


def words(found: Classes) -> str:
    """How the figure shows the classes."""
    return "class by class" if found.groups == found.names else "classes by their frequency"


def caption(found: Classes, sure: str, tuned: str) -> str:
    """How to read the figure.

    Args:
      found: what it shows; sure: the confidence level; tuned: what each loss had tuned.
    """
    common = (
        f"Means over the fresh seeds at the last step, each loss at its own tuned {tuned}; bands: {sure} intervals."
    )
    if found.groups == found.names:
        return f"{common} Lines join classes only to tell losses apart. The axis begins at 0."
    return (
        f"{common} {len(found.names):,} classes would hide one another: each point is the mean accuracy of the classes "
        "with so many training examples, numbers within a power of two together. The axis begins at 0."
    )
