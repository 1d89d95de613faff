"""Whether targets make sense: what an answer that never looks at its input already scores is none."""

from typing import NamedTuple

import numpy as np

from ce_jax.comparing._drawn import DrawnSplits
from ce_jax.comparing._formats import metric_name, percent
from ce_jax.comparing._task import Task


class Yardstick(NamedTuple):
    """What the target metric of a task can tell apart."""

    metric: str
    part: str
    examples: int
    """Of the judged part."""
    share: float
    """What always answering one and the same class scores, mean over the seeds; 0 for accuracies of rare classes."""


def yardstick(task: Task) -> Yardstick:
    """What the target metric is measured on, and what needs no training there.

    Counted are the labels of the judged part itself, after thinning and label noise. An accuracy of all rows is the
    share of the largest class, a balanced one 1 over the classes that are there. Of rare classes the most frequent
    class is none: what always answers it scores 0. Splits that are drawn when asked for stand for one another, as
    every seed has as many examples by rank.
    """
    metric = task.analysis.target_metric
    part, kind = metric.removesuffix("_accuracy").partition("_")[::2]
    stacked = np.atleast_2d(getattr(task.splits_of(_seen(task)), part).labels)
    if kind == "rare":
        return Yardstick(metric, part, stacked.shape[1], 0.0)
    counts = [np.bincount(labels, minlength=task.num_classes) for labels in stacked]
    scores = [1 / np.count_nonzero(own) if kind == "balanced" else own.max() / own.sum() for own in counts]
    return Yardstick(metric, part, stacked.shape[1], float(np.mean(scores)))


def check_targets(task: Task) -> None:
    """Refuse targets below what always answering one class scores: every loss would be there before it learns.

    Raises:
      ValueError: the share of that class, and a target that makes sense.
    """
    found, targets = yardstick(task), task.analysis.targets
    # A mean over the seeds may be off by a rounding.
    low = [target for target in targets if target < found.share - 1e-9]
    if not low:
        return
    balanced = "balanced" in found.metric
    instead = "" if balanced else f", or analysis.target_metric = '{found.part}_balanced_accuracy'"
    better = sensible_target(found.share)
    advice = f"expected targets above that, {better:g} for example{instead}" if better else f"choose more data{instead}"
    raise ValueError(
        f"analysis.targets: always answering one class scores {percent(found.share)} {metric_name(found.metric)}; "
        f"{advice}; got {', '.join(f'{target:g}' for target in low)}"
    )


def sensible_target(share: float, way: float = 0.5) -> float | None:
    """A target a part of the way from a share to 1, in as few digits as it takes; None if nothing is between.

    >>> sensible_target(0.977), sensible_target(0.5), sensible_target(0.9977), sensible_target(1.0)
    (0.99, 0.75, 0.999, None)
    """
    levels = (round(share + way * (1 - share), digits) for digits in (2, 3, 4, 5, 6))
    return next((level for level in levels if share < level < 1), None)


def target_warnings(task: Task) -> list[str]:
    """Sentences about targets that are allowed and say little.

    They are a target that one class alone just meets, and neighbouring targets that need as many right answers.
    """
    found, said = yardstick(task), []
    for target in task.analysis.targets:
        if abs(target - found.share) <= 1e-9:
            said.append(f"target {target:g} is what always answering one class scores")
    if found.metric.endswith(("_balanced_accuracy", "_rare_accuracy")):
        return said
    needed: dict[int, list[float]] = {}
    for target in task.analysis.targets:
        needed.setdefault(int(np.ceil(target * found.examples - 1e-9)), []).append(target)
    for right, targets in needed.items():
        if len(targets) > 1:
            which = " and ".join(f"{target:g}" for target in targets)
            of = f"{right:,} right of the {found.examples:,} {found.part} examples"
            said.append(f"targets {which} are the same: each needs {of}")
        elif right == found.examples and targets[0] < 1:
            said.append(f"target {targets[0]:g} needs all {found.examples:,} {found.part} examples right")
    return said


def _seen(task: Task) -> slice | int:
    """Positions of the seeds that are looked at: all of those that are held anyway."""
    return slice(None) if task.per_seed and not isinstance(task.splits, DrawnSplits) else 0
