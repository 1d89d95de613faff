"""What changed between two runs, in numbers: pure functions of what both folders hold.

The runs are two samples. Their seeds are never paired: even the same numbers mean the same split and the same first
parameters only where every setting that they depend on is the same. So both procedures are redrawn independently, each
with its own tuning in it; where the runs do share splits and starts such an interval is wider than it need be, and
as a rule not too sure of itself.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ce_jax.analysis import bagged_interval
from ce_jax.comparing import AnalysisOptions, Curves, Redrawn, diverged, first_loss, shown_target, times_to

from ..errors import UserError
from .canvas import Array
from .finished import FinishedRun, chosen_row


class Ranged(NamedTuple):
    """A value with its interval; `censored` names the side of a ratio, a over b, on which no run ever arrived."""

    value: float
    ci: tuple[float, float]
    censored: str | None = None

    @property
    def changed(self) -> bool:
        """Whether a ratio differs from 1 beyond its interval."""
        return self.ci[1] < 1 or self.ci[0] > 1

    def record(self) -> dict[str, Any]:
        """As `ce_jax.comparing` prints ratios."""
        return {"rmst_ratio": self.value, "ci": list(self.ci), "censored": self.censored}


class Speed(NamedTuple):
    """A loss at a target in both runs: shares that got there, mean steps, and steps of the second over the first."""

    loss: str
    target: float
    reached: tuple[float, float]
    steps: tuple[Ranged, Ranged]
    change: Ranged


class Lead(NamedTuple):
    """A loss against the first one at a target: its ratio of steps within each run, and the second over the first.

    A run's own ratio is paired by seed; the two ratios are not.
    """

    loss: str
    target: float
    ratios: tuple[Ranged, Ranged]
    change: Ranged


class Accuracy(NamedTuple):
    """The final test accuracy of a loss in both runs, and second minus first."""

    loss: str
    finals: tuple[Ranged, Ranged]
    change: Ranged


class Changes(NamedTuple):
    """Everything that two runs share; steps are counted up to `horizon`, the shorter run's length."""

    reference: str
    losses: list[str]
    targets: list[float]
    headline: float
    horizon: int
    speeds: list[Speed]
    leads: list[Lead]
    accuracies: list[Accuracy]


class _Side:
    """One run, redrawn; its resamples are in an order of their own, so that they go with no other run's."""

    def __init__(self, run: FinishedRun, horizon: float, resamples: int, place: int) -> None:
        stored, tuning = run.config["analysis"], run.config["sweep"]["tuning_seeds"]
        self.options = AnalysisOptions(**stored | {"targets": tuple(stored["targets"]), "resamples": resamples})
        self.curves: Curves = run.curves.at_seeds(slice(tuning, None))
        self.horizon, self.summary = horizon, run.summary
        self.redrawn = Redrawn(run.curves.at_seeds(slice(tuning)), self.curves, self.options)
        self.order = np.random.default_rng(place).permutation(resamples)
        self.counts = [counts[self.order] for counts in (self.redrawn.tuning_counts, self.redrawn.fresh_counts)]

    def row(self, loss: str) -> int:
        return chosen_row(self.curves[loss], self.summary["losses"][loss])

    def cut(self, loss: str, target: float) -> Array:
        """[points, S] steps, misses and what lies beyond the horizon counted as the horizon."""
        return np.minimum(times_to(self.curves[loss], self.curves.steps, target, self.options), self.horizon)

    def arrived(self, loss: str, target: float) -> float:
        times = times_to(self.curves[loss], self.curves.steps, target, self.options)[self.row(loss)]
        return float(np.mean(times <= self.horizon))

    def accuracy(self, loss: str) -> Array:
        """[points, S] final test accuracy; a diverged run classifies nothing."""
        own = self.curves[loss]
        return np.where(diverged(own), 0.0, own["test_accuracy"][..., -1].astype(float))

    def draws(self, loss: str, values: Array) -> Array:
        """[B] means over redrawn seeds at the points chosen anew."""
        return self.redrawn.means(loss, values)


def changes(first: FinishedRun, second: FinishedRun) -> Changes:
    """Compare two runs in what they share.

    Raises:
      UserError: they share no loss, no target, or aim at different metrics.
    """
    runs = (first, second)
    losses = [loss for loss in first.summary["losses"] if loss in second.summary["losses"]]
    targets = sorted(
        set(map(float, first.summary["targets"])) & set(map(float, second.summary["targets"])), reverse=True
    )
    _refuse_different(runs, losses, targets)
    horizon = min(int(run.curves.steps[-1]) for run in runs)
    resamples = min(int(run.config["analysis"]["resamples"]) for run in runs)
    a, b = (_Side(run, float(horizon), resamples, place) for place, run in enumerate(runs))
    reference = first_loss({**first.summary, "losses": losses})
    shown = shown_target(second.summary)
    return Changes(
        reference=reference,
        losses=sorted(losses, key=lambda loss: loss != reference),
        targets=targets,
        headline=shown if shown in targets else targets[0],
        horizon=horizon,
        speeds=[_speed(loss, target, a, b) for target in targets for loss in losses],
        leads=[_lead(reference, loss, target, a, b) for target in targets for loss in losses if loss != reference],
        accuracies=[_accuracy(loss, a, b) for loss in losses],
    )


def _refuse_different(runs: tuple[FinishedRun, ...], losses: list[str], targets: list[float]) -> None:
    asked = "expected two runs of one question"
    metrics = [run.config["analysis"]["target_metric"] for run in runs]
    if metrics[0] != metrics[1]:
        raise UserError(f"report: {asked}, got the targets of one in {metrics[0]}, of the other in {metrics[1]}")
    for what, shared, key in (("loss", losses, "losses"), ("target", targets, "targets")):
        if not shared:
            held = [", ".join(map(str, run.summary[key])) for run in runs]
            raise UserError(f"report: {asked}, got no {what} that both have ({held[0]}; {held[1]})")


def _estimate(side: _Side, loss: str, values: Array, ceiling: float) -> Ranged:
    ends = side.redrawn.interval(side.draws(loss, values), 0.0, ceiling)
    return Ranged(float(np.mean(values[side.row(loss)])), ends)


def _between(values: Array, a: _Side, b: _Side) -> tuple[float, float]:
    """Interval of a figure [B] of both runs: four independent samples, judged by the smaller number of fresh seeds."""
    seeds = min(a.redrawn.seeds, b.redrawn.seeds)
    confidence = max(a.options.confidence, b.options.confidence)
    ends = bagged_interval(values, [*a.counts, *b.counts], confidence_level=confidence, n=seeds)
    return float(ends.low), float(ends.high)


def _logs(above: Array, below: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), 0.0, np.log(above) - np.log(below))


def _quotient(above: float, below: float) -> float:
    return above / below if below > 0 else (1.0 if above == 0 else np.inf)


def _absent(above: float, below: float) -> str | None:
    """Which side of a ratio never arrived, from the shares that did."""
    return {(True, True): "both", (True, False): "a", (False, True): "b"}.get((above == 0, below == 0))


def _speed(loss: str, target: float, a: _Side, b: _Side) -> Speed:
    cuts = [side.cut(loss, target) for side in (a, b)]
    steps = tuple(_estimate(side, loss, cut, side.horizon) for side, cut in zip((a, b), cuts, strict=True))
    reached = (a.arrived(loss, target), b.arrived(loss, target))
    low, high = _between(_logs(b.draws(loss, cuts[1])[b.order], a.draws(loss, cuts[0])[a.order]), a, b)
    ratio = _quotient(steps[1].value, steps[0].value)
    change = Ranged(ratio, (float(np.exp(low)), float(np.exp(high))), _absent(reached[1], reached[0]))
    return Speed(loss, target, reached, (steps[0], steps[1]), change)


def _lead(reference: str, loss: str, target: float, a: _Side, b: _Side) -> Lead:
    ratios, logs = [], []
    for side in (a, b):
        draws = [side.draws(one, side.cut(one, target)) for one in (reference, loss)]
        means = [float(np.mean(side.cut(one, target)[side.row(one)])) for one in (reference, loss)]
        absent = _absent(side.arrived(reference, target), side.arrived(loss, target))
        ratios.append(Ranged(_quotient(*means), side.redrawn.ratio_interval(*draws), absent))
        logs.append(_logs(*draws)[side.order])
    low, high = _between(logs[1] - logs[0], a, b)
    # Where any of the four never arrived the ratio of ratios is not even a bound.
    bound = "both" if any(one.censored for one in ratios) else None
    change = Ranged(_quotient(ratios[1].value, ratios[0].value), (float(np.exp(low)), float(np.exp(high))), bound)
    return Lead(loss, target, (ratios[0], ratios[1]), change)


def _accuracy(loss: str, a: _Side, b: _Side) -> Accuracy:
    values = [side.accuracy(loss) for side in (a, b)]
    finals = [_estimate(side, loss, one, 1.0) for side, one in zip((a, b), values, strict=True)]
    ends = _between(b.draws(loss, values[1])[b.order] - a.draws(loss, values[0])[a.order], a, b)
    return Accuracy(loss, (finals[0], finals[1]), Ranged(finals[1].value - finals[0].value, ends))


def alike(first: FinishedRun, second: FinishedRun, differing: Mapping[str, Any]) -> dict[str, bool]:
    """What both runs have in common, of what decides how their numbers may be compared: data, seeds, code, length."""
    works = [run.summary["workload"] for run in (first, second)]
    sizes = ("dataset", "classes", "features", "examples")
    seeds = [(run.curves.seeds.tolist(), run.config["sweep"]["tuning_seeds"]) for run in (first, second)]
    return {
        "data": all(works[0].get(key) == works[1].get(key) for key in sizes)
        and not any(key == "dataset" or key.startswith("data.") for key in differing),
        "seeds": seeds[0] == seeds[1],
        "code": first.provenance.get("source") == second.provenance.get("source"),
        "length": first.curves.steps[-1] == second.curves.steps[-1],
    }
