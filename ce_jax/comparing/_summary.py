"""From curves to an answer: how often and how fast each loss got there, and the comparisons, under the fairness rules.

A run that misses the target is censored at the horizon and never dropped; a diverged run counts as never reached;
comparisons are paired by seed and drawn from fresh seeds alone.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ce_jax.analysis import bootstrap_ci, log_rank, probability_of_improvement, rmst_ratio
from ce_jax.comparing._choice import Choice, choose_rates, diverged, final_scores, retired, times_to
from ce_jax.comparing._curves import Array, Curves, marked
from ce_jax.comparing._options import AnalysisOptions

FINAL = ("test_accuracy", "validation_accuracy", "train_accuracy", "cross_entropy", "ssr")


def summarise(
    workload: Mapping[str, Any], curves: Curves, tuning_seeds: int, options: AnalysisOptions
) -> dict[str, Any]:
    """`summary.json` as a dictionary; intervals are drawn from a generator seeded by the first seed alone.

    Args:
      workload: what was compared on what, as it is to stand in the summary.
      curves: of every loss on every seed, the tuning seeds first.
      tuning_seeds: how many of the seeds tune.
      options: what it is to be there, how rates are chosen, how sure intervals are.
    """
    losses = list(curves.losses)
    choices = choose_rates(curves.at_seeds(slice(tuning_seeds)), options)
    judge = _Judge(curves, tuning_seeds, options)
    best = {loss: choices[loss].rate for loss in losses}
    pairs = list(itertools.combinations(_cross_entropy_first(losses), 2))
    return {
        "schema": 1,
        "workload": dict(workload),
        "targets": list(options.targets),
        "horizon": int(curves.steps[-1]),
        "losses": {loss: _one_loss(loss, choices[loss], judge) for loss in losses},
        "comparisons": [judge.compare(a, best[a], b, best[b], target) for a, b in pairs for target in options.targets],
        "untuned_comparisons": [
            one for a, b in pairs for target in options.targets for one in _untuned(judge, a, b, best, target)
        ],
    }


def _number(value: Any) -> float | None:
    """A float, or None for what JSON cannot hold: the ratio to a loss that starts at the target is infinite."""
    return float(value) if np.isfinite(value) else None


def _cross_entropy_first(losses: Sequence[str]) -> list[str]:
    return sorted(losses, key=lambda loss: loss != "cross_entropy")


class _Judge:
    """Curves of the fresh seeds, and the intervals drawn from them."""

    def __init__(self, curves: Curves, tuning_seeds: int, options: AnalysisOptions) -> None:
        self.curves, self.options = curves.at_seeds(slice(tuning_seeds, None)), options
        self.horizon = float(curves.steps[-1])
        self.seed = int(curves.seeds[0])

    def times(self, loss: str, index: int, target: float) -> Array:
        return times_to(self.curves[loss], self.curves.steps, target, self.options)[index]

    @property
    def sampling(self) -> dict[str, Any]:
        # A seed of its own for each interval: no figure depends on which others were computed before it.
        options = self.options
        return {"confidence_level": options.confidence, "resamples": options.resamples, "rng": self.seed}

    def interval(self, values: Array) -> list[float | None]:
        return [_number(end) for end in bootstrap_ci(np.mean, values, **self.sampling)]

    def compare(self, a: str, index_a: int, b: str, index_b: int, target: float) -> dict[str, Any]:
        times = self.times(a, index_a, target), self.times(b, index_b, target)
        ratio = rmst_ratio(*times, self.horizon, **self.sampling)
        faster = probability_of_improvement(*times, **self.sampling)
        return {
            "a": a,
            "b": b,
            "target": target,
            "rmst_ratio": _number(ratio.value),
            "ci": [_number(ratio.low), _number(ratio.high)],
            "probability_a_faster": _number(faster.value),
            "ci_probability": [_number(faster.low), _number(faster.high)],
            "log_rank_p": log_rank(*times, self.horizon).p_value,
            "learning_rates": {loss: float(self.rates(loss)[i]) for loss, i in ((a, index_a), (b, index_b))},
        }

    def rates(self, loss: str) -> Array:
        return self.curves[loss].rates


def _untuned(judge: _Judge, a: str, b: str, best: Mapping[str, int], target: float) -> list[dict[str, Any]]:
    """Two other questions: the same rate for both, and the same length of the first step."""
    records = []
    for index in dict.fromkeys((best[a], best[b])):
        records.append({"kind": "equal_rate", **judge.compare(a, index, b, index, target)})
    # The first step of SGD is rate x gradient norm. The grid rate of b whose step is nearest to that of a at its best.
    norm_a, norm_b = (np.median(judge.curves[loss]["gradient_norm"][best[loss], :, 0]) for loss in (a, b))
    wanted = judge.rates(a)[best[a]] * norm_a / norm_b
    if np.isfinite(wanted) and wanted > 0:
        index = int(np.argmin(np.abs(np.log(judge.rates(b)) - np.log(wanted))))
        record = {"kind": "equal_first_step", **judge.compare(a, best[a], b, index, target)}
        records.append({**record, "first_step_ratio": float(judge.rates(b)[index] / wanted)})
    return records


def _one_loss(loss: str, choice: Choice, judge: _Judge) -> dict[str, Any]:
    by_target = {}
    for target in judge.options.targets:
        times = judge.times(loss, choice.rate, target)
        cut = np.minimum(times, judge.horizon)
        median = float(np.median(times))
        by_target[f"{target:g}"] = {
            "reached": float(np.mean(np.isfinite(times))),
            "median_steps": median if np.isfinite(median) else None,
            "rmst_steps": float(np.mean(cut)),
            "rmst_ci": judge.interval(cut),
        }
    own = judge.curves[loss]
    lost = diverged(own)[choice.rate]
    counts = {"runs": len(lost), "diverged": int(lost.sum())}
    if marked(own):
        counts["retired"] = int(retired(own)[choice.rate].sum())
    return {
        "best_learning_rate": float(judge.rates(loss)[choice.rate]),
        "learning_rates": [float(rate) for rate in judge.rates(loss)],
        "on_edge": choice.edge != 0,
        **counts,
        "by_target": by_target,
        "final": {metric: _final(loss, choice.rate, metric, judge) for metric in FINAL},
    }


def _final(loss: str, index: int, metric: str, judge: _Judge) -> dict[str, Any]:
    """Mean over the fresh seeds. A diverged run classifies nothing: its accuracy is 0; its loss has no value at all."""
    curves = judge.curves[loss]
    values = (final_scores(curves, metric) if metric.endswith("accuracy") else curves[metric][..., -1])[index]
    values = values.astype(float)
    if not np.all(np.isfinite(values)):
        return {"mean": None, "ci": None}
    return {"mean": float(np.mean(values)), "ci": judge.interval(values)}
