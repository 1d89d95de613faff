"""From curves to an answer: how often and how fast each loss got there, and the comparisons, under the fairness rules.

A run that misses the target is censored at the horizon and never dropped; a diverged run counts as never reached;
comparisons are paired by seed and drawn from fresh seeds alone. Intervals cover the whole procedure: tuning seeds are
redrawn and points chosen anew, fresh seeds are redrawn, the same ones for all losses. What they do not cover is another
data set.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ce_jax.analysis import log_rank, meetings, probability_of_improvement, rmst, rmst_ratio
from ce_jax.comparing._choice import Choice, choose_points, diverged, near_cliff, retired, times_to
from ce_jax.comparing._curves import Array, Curves, LossCurves, marked
from ce_jax.comparing._options import AnalysisOptions
from ce_jax.comparing._points import Point
from ce_jax.comparing._redrawing import Redrawn, sureness

FINAL = (
    "test_accuracy",
    "test_balanced_accuracy",
    "test_rare_accuracy",
    "validation_accuracy",
    "train_accuracy",
    "cross_entropy",
    "ssr",
)


def summarise(
    workload: Mapping[str, Any], curves: Curves, tuning_seeds: int, options: AnalysisOptions
) -> dict[str, Any]:
    """`summary.json` as a dictionary; intervals are drawn from generators seeded by the seeds alone.

    Args:
      workload: what was compared on what, as it is to stand in the summary.
      curves: of every loss on every seed, the tuning seeds first.
      tuning_seeds: how many of the seeds tune.
      options: what it is to be there, how points are chosen, how sure intervals are.
    """
    losses = list(curves.losses)
    judge = _Judge(curves, tuning_seeds, options)
    pairs = list(itertools.combinations(_cross_entropy_first(losses), 2))
    return {
        "schema": 1,
        "workload": dict(workload),
        "targets": list(options.targets),
        "headline_target": options.headline_target or max(options.targets),
        "horizon": int(curves.steps[-1]),
        "intervals_include": INCLUDES,
        "losses": {loss: _loss_record(loss, judge) for loss in losses},
        "comparisons": [judge.compare(a, b, target) for a, b in pairs for target in options.targets],
        "untuned_comparisons": [
            record for a, b in pairs for target in options.targets for record in _untuned(judge, a, b, target)
        ],
    }


INCLUDES = ["starts", "batches", "splits", "tuning"]


def _number(value: Any) -> float | None:
    """A float, or None for what JSON cannot hold: the ratio to a loss that starts at the target is infinite."""
    return float(value) if np.isfinite(value) else None


def _numbers(values: Sequence[Any]) -> list[float | None]:
    return [_number(value) for value in values]


def _cross_entropy_first(losses: Sequence[str]) -> list[str]:
    return sorted(losses, key=lambda loss: loss != "cross_entropy")


class _Judge:
    """The choice of every loss, its fresh seeds, and the intervals of both together."""

    def __init__(self, curves: Curves, tuning_seeds: int, options: AnalysisOptions) -> None:
        self.tuning, self.fresh = curves.at_seeds(slice(tuning_seeds)), curves.at_seeds(slice(tuning_seeds, None))
        self.options, self.horizon, self.seed = options, float(curves.steps[-1]), int(curves.seeds[0])
        self.choices: dict[str, Choice] = choose_points(self.tuning, options)
        self.redrawn = Redrawn(self.tuning, self.fresh, options)

    def times(self, loss: str, target: float) -> Array:
        """[R, S] steps to the target on the fresh seeds."""
        return times_to(self.fresh[loss], self.fresh.steps, target, self.options)

    def cut(self, loss: str, target: float) -> Array:
        """[R, S] the same, misses counted as the horizon."""
        return np.minimum(self.times(loss, target), self.horizon)

    def at_points(self, a: str, row_a: int, b: str, row_b: int, target: float) -> dict[str, Any]:
        """Two losses at fixed points; seeds are resampled, the choice of the points is not."""
        times = self.times(a, target)[row_a], self.times(b, target)[row_b]
        options = self.options
        sampling: dict[str, Any] = {
            "confidence_level": options.confidence,
            "resamples": options.resamples,
            "rng": self.seed,
        }
        ratio = rmst_ratio(*times, self.horizon, **sampling)
        faster = probability_of_improvement(*times, **sampling)
        # The median time of the two sides is not looked at: one run that arrives makes a mean, none makes a bound.
        absent = [name for name, own in zip("ab", times, strict=True) if not np.isfinite(own).any()]
        points: dict[str, Point] = {loss: self.fresh[loss].points[row] for loss, row in ((a, row_a), (b, row_b))}
        tuned = {loss: dict(point.options) for loss, point in points.items() if point.options}
        return {
            "a": a,
            "b": b,
            "target": target,
            "rmst_ratio": _number(ratio.value),
            "ci": _numbers((ratio.low, ratio.high)),
            "censored": "both" if len(absent) == 2 else absent[0] if absent else None,
            "reached": {a: float(np.isfinite(times[0]).mean()), b: float(np.isfinite(times[1]).mean())},
            "probability_a_faster": _number(faster.value),
            "ci_probability": _numbers((faster.low, faster.high)),
            "log_rank_p": log_rank(*times, self.horizon).p_value,
            "learning_rates": {loss: point.rate for loss, point in points.items()},
            **({"options": tuned} if tuned else {}),
        }

    def compare(self, a: str, b: str, target: float) -> dict[str, Any]:
        """Two losses, each at its own choice; intervals cover that choice."""
        record = self.at_points(a, self.choices[a].row, b, self.choices[b].row, target)
        times_a, times_b = self.times(a, target), self.times(b, target)
        means = (self.redrawn.means(loss, self.cut(loss, target)) for loss in (a, b))
        chances = self.redrawn.pairs(a, b, lambda counts, i, j: meetings(times_a[i], times_b[j], counts))
        return {
            **record,
            "ci": _numbers(self.redrawn.ratio_interval(*means)),
            "ci_at_fixed_rates": record["ci"],
            "ci_probability": _numbers(self.redrawn.interval(chances, 0.0, 1.0)),
            "ci_probability_at_fixed_rates": record["ci_probability"],
        }


def _untuned(judge: _Judge, a: str, b: str, target: float) -> list[dict[str, Any]]:
    """Two other questions: the same point for both, and the same length of the first step."""
    records, best = [], {loss: judge.choices[loss].row for loss in (a, b)}
    for index in dict.fromkeys((best[a], best[b])):
        records.append({"kind": "equal_rate", **judge.at_points(a, index, b, index, target)})
    # The first step of SGD is rate x gradient norm. Of the rates of b with the options that a has at its best, the one
    # whose step is nearest to that of a; where options are drawn, every rate may have its own.
    rows = judge.fresh[b].with_options_of(best[a])
    if judge.fresh[b].options and len(rows) == 1:
        return records
    norm_a, norm_b = (np.median(judge.fresh[loss]["gradient_norm"][best[loss], :, 0]) for loss in (a, b))
    rates = judge.fresh[b].rates[rows]
    with np.errstate(divide="ignore", invalid="ignore"):  # a loss may begin without any gradient
        wanted = judge.fresh[a].rates[best[a]] * norm_a / norm_b
    if np.isfinite(wanted) and wanted > 0:
        index = int(np.argmin(np.abs(np.log(rates) - np.log(wanted))))
        record = {"kind": "equal_first_step", **judge.at_points(a, best[a], b, int(rows[index]), target)}
        records.append({**record, "first_step_ratio": float(rates[index] / wanted)})
    return records


def _loss_record(loss: str, judge: _Judge) -> dict[str, Any]:
    choice, own, by_target = judge.choices[loss], judge.fresh[loss], {}
    for target in judge.options.targets:
        times, cut = judge.times(loss, target)[choice.row], judge.cut(loss, target)
        median = float(np.median(times))
        by_target[f"{target:g}"] = {
            "reached": float(np.mean(np.isfinite(times))),
            "median_steps": median if np.isfinite(median) else None,
            "rmst_steps": float(rmst(times, judge.horizon)),
            "rmst_ci": _numbers(judge.redrawn.interval(judge.redrawn.means(loss, cut), 0.0, judge.horizon)),
        }
    lost = diverged(own)[choice.row]
    counts = {"runs": len(lost), "diverged": int(lost.sum())}
    if marked(own):
        counts["retired"] = int(retired(own)[choice.row].sum())
    best = own.points[choice.row]
    return {
        "best_learning_rate": best.rate,
        **({"best_options": dict(best.options)} if best.options else {}),
        "learning_rates": np.unique(own.rates).tolist(),
        "points": len(own.rates),
        # Before the first step no rate has had a say.
        "first_gradient_norm": _number(np.median(own["gradient_norm"][choice.row, :, 0])),
        "on_edge": choice.edge != 0,
        "near_cliff": near_cliff(judge.tuning[loss], choice.row),
        "choice": sureness(judge.redrawn, loss, choice.row),
        **counts,
        "by_target": by_target,
        "final": {metric: _final(loss, own, metric, judge) for metric in FINAL},
    }


def _final(loss: str, own: LossCurves, metric: str, judge: _Judge) -> dict[str, Any]:
    """Mean over the fresh seeds. A diverged run classifies nothing: its accuracy is 0; its loss has no value at all.

    Nor has an accuracy on classes of which the part has no example.
    """
    accuracy = metric.endswith("accuracy")
    values = own[metric][..., -1].astype(float)
    values = np.where(diverged(own), 0.0, values) if accuracy else values
    chosen = values[judge.choices[loss].row]
    if not np.all(np.isfinite(chosen)):
        return {"mean": None, "ci": None}
    means = judge.redrawn.means(loss, values)
    ends = judge.redrawn.interval(means, 0.0, 1.0 if accuracy else np.inf)
    return {"mean": float(np.mean(chosen)), "ci": _numbers(ends)}
