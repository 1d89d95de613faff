"""From curves to an answer: the rate of each loss, and the comparisons, under the fairness rules.

The rules that this module enforces: rates are chosen on tuning seeds by the validation metric and judged on fresh
seeds; every loss has the same grid; a run that misses the target is censored at the horizon and never dropped; a
diverged run counts as never reached; comparisons are paired by seed; SSR's name says on what.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ce_jax.analysis import bootstrap_ci, log_rank, probability_of_improvement, rmst, rmst_ratio, steps_to_target
from ce_jax.training import METRICS
from experiments.config import AnalysisOptions

FINAL = ("test_accuracy", "validation_accuracy", "train_accuracy", "cross_entropy", "ssr")


class Choice(NamedTuple):
    """The position of a loss's best rate in its grid, and the end of the grid that it lies on (-1, 1, or 0: inside)."""

    rate: int
    edge: int


def diverged(curves: Mapping[str, np.ndarray], loss: str) -> np.ndarray:
    """Which runs [R, S] stopped being finite."""
    return np.isnan(curves[f"{loss}/train_loss"][..., -1])


def times_to(curves: Mapping[str, np.ndarray], loss: str, target: float, options: AnalysisOptions) -> np.ndarray:
    """Steps to the target [R, S], inf where it was never reached or the run diverged, before or after."""
    times = steps_to_target(
        curves[f"{loss}/{options.target_metric}"], curves["steps"], target, sustained=options.sustained
    )
    return np.where(diverged(curves, loss), np.inf, times)


def long_reached(curves: Mapping[str, np.ndarray], steps: np.ndarray, options: AnalysisOptions) -> np.ndarray:
    """Which runs [...] met the highest target, and so every other, in the first half of the steps made so far.

    Args:
      curves: {metric: [..., e]}, what has been measured so far.
      steps: [e] when; the last one is how far the runs are.
      options: the targets, and what it takes to have reached one.
    """
    times = steps_to_target(curves[options.target_metric], steps, max(options.targets), sustained=options.sustained)
    return 2 * times <= steps[-1]


def retired(curves: Mapping[str, np.ndarray], loss: str) -> np.ndarray:
    """Which runs [R, S] end with values that they had when they were retired, after they had reached every target."""
    lost = diverged(curves, loss)
    return ~curves[f"{loss}/measured"][..., -1] & ~lost if f"{loss}/measured" in curves else np.zeros_like(lost)


def choose_rate(curves: Mapping[str, np.ndarray], loss: str, tuning_seeds: int, options: AnalysisOptions) -> Choice:
    """The best rate of a loss on its tuning seeds, which are the first ones.

    `time_to_target`: the smallest RMST averaged over the targets, a tie going to the higher final accuracy;
    `final_accuracy`: the other way round. A remaining tie goes to the smaller rate. Both see the target metric alone.
    Where rates may be retired, only what is missing to the highest target breaks a tie: a retired run has met it, and
    by how much it would have been exceeded is not known.
    """
    horizon = float(curves["steps"][-1])
    slowness = np.mean(
        [rmst(times_to(curves, loss, target, options)[:, :tuning_seeds], horizon) for target in options.targets], axis=0
    )
    finals = np.nan_to_num(curves[f"{loss}/{options.target_metric}"][..., -1])
    if f"{loss}/measured" in curves:
        highest = max(options.targets)
        finals = np.where(retired(curves, loss), highest, np.minimum(finals, highest))
    final = finals[:, :tuning_seeds].mean(axis=1)
    keys = (slowness, -final) if options.tune_by == "time_to_target" else (-final, slowness)
    # Differences below a billionth are rounding, not preference: without this a tie would be broken by noise.
    index = int(np.lexsort((np.arange(len(final)), *(np.round(key, 9) for key in reversed(keys))))[0])
    return Choice(index, 1 if index == len(final) - 1 else -1 if index == 0 else 0)


def summarise(
    workload: Mapping[str, Any],
    losses: Sequence[str],
    curves: Mapping[str, np.ndarray],
    tuning_seeds: int,
    options: AnalysisOptions,
) -> dict[str, Any]:
    """`summary.json` as a dictionary; intervals are drawn from a generator seeded by the first seed alone."""
    choices = {loss: choose_rate(curves, loss, tuning_seeds, options) for loss in losses}
    judge = _Judge(curves, tuning_seeds, options)
    best = {loss: choices[loss].rate for loss in losses}
    pairs = list(itertools.combinations(_cross_entropy_first(losses), 2))
    return {
        "schema": 1,
        "workload": dict(workload),
        "targets": list(options.targets),
        "horizon": int(curves["steps"][-1]),
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

    def __init__(self, curves: Mapping[str, np.ndarray], tuning_seeds: int, options: AnalysisOptions) -> None:
        self.curves, self.fresh, self.options = curves, slice(tuning_seeds, None), options
        self.horizon = float(curves["steps"][-1])
        self.seed = int(curves["seeds"][0])

    def times(self, loss: str, index: int, target: float) -> np.ndarray:
        return times_to(self.curves, loss, target, self.options)[index, self.fresh]

    @property
    def sampling(self) -> dict[str, Any]:
        # A seed of its own for each interval: no figure depends on which others were computed before it.
        options = self.options
        return {"confidence_level": options.confidence, "resamples": options.resamples, "rng": self.seed}

    def interval(self, values: np.ndarray) -> list[float | None]:
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

    def rates(self, loss: str) -> np.ndarray:
        return self.curves[f"learning_rates/{loss}"]


def _untuned(judge: _Judge, a: str, b: str, best: Mapping[str, int], target: float) -> list[dict[str, Any]]:
    """Two other questions: the same rate for both, and the same length of the first step."""
    found = []
    for index in dict.fromkeys((best[a], best[b])):
        found.append({"kind": "equal_rate", **judge.compare(a, index, b, index, target)})
    # The first step of SGD is rate x gradient norm. The grid rate of b whose step is nearest to that of a at its best.
    norm_a, norm_b = (np.median(judge.curves[f"{loss}/gradient_norm"][best[loss], judge.fresh, 0]) for loss in (a, b))
    wanted = judge.rates(a)[best[a]] * norm_a / norm_b
    if np.isfinite(wanted) and wanted > 0:
        index = int(np.argmin(np.abs(np.log(judge.rates(b)) - np.log(wanted))))
        record = {"kind": "equal_first_step", **judge.compare(a, best[a], b, index, target)}
        found.append({**record, "first_step_ratio": float(judge.rates(b)[index] / wanted)})
    return found


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
    lost = diverged(judge.curves, loss)[choice.rate, judge.fresh]
    counts = {"runs": len(lost), "diverged": int(lost.sum())}
    if f"{loss}/measured" in judge.curves:
        counts["retired"] = int(retired(judge.curves, loss)[choice.rate, judge.fresh].sum())
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
    values = judge.curves[f"{loss}/{metric}"][index, judge.fresh, -1].astype(float)
    if metric.endswith("accuracy"):
        values = np.nan_to_num(values)
    if not np.all(np.isfinite(values)):
        return {"mean": None, "ci": None}
    return {"mean": float(np.mean(values)), "ci": judge.interval(values)}


def run_table(
    flat_config: Mapping[str, Any],
    losses: Sequence[str],
    curves: Mapping[str, np.ndarray],
    tuning_seeds: int,
    options: AnalysisOptions,
) -> pl.DataFrame:
    """One row for each trained classifier: what it was, how it ended, when it reached each target."""
    frames = []
    seeds = curves["seeds"]
    for loss in losses:
        rates = curves[f"learning_rates/{loss}"]
        times = {target: times_to(curves, loss, target, options) for target in options.targets}
        lost = diverged(curves, loss)
        status = np.where(
            lost, "diverged", np.where(np.isfinite(times[max(options.targets)]), "reached", "not_reached")
        )
        shape = status.shape
        columns: dict[str, Any] = {
            "loss": [loss] * status.size,
            "learning_rate": np.broadcast_to(rates[:, None], shape).ravel(),
            "seed": np.broadcast_to(seeds, shape).ravel(),
            "role": np.broadcast_to(np.where(np.arange(len(seeds)) < tuning_seeds, "tune", "report"), shape).ravel(),
            "status": status.ravel(),
        }
        moments = {f"steps_to/{target:g}": steps for target, steps in times.items()}
        if f"{loss}/measured" in curves:
            ends = curves["steps"][curves[f"{loss}/measured"].sum(axis=-1) - 1]
            moments["retired_at"] = np.where(retired(curves, loss), ends, np.inf)
        for name, steps in moments.items():
            columns[name] = pl.Series(
                [int(step) if np.isfinite(step) else None for step in steps.ravel()], dtype=pl.Int64
            )
        for metric in METRICS:
            columns[f"final/{metric}"] = pl.Series(curves[f"{loss}/{metric}"][..., -1].ravel()).fill_nan(None)
        frames.append(pl.DataFrame(columns))
    constants = {key: value for key, value in flat_config.items() if key not in ("loss",)}
    shown = [
        pl.lit(value if isinstance(value, str | int | float | bool) else str(value)).alias(key)
        for key, value in constants.items()
        if value is not None
    ]
    return pl.concat(frames).with_columns(shown)
