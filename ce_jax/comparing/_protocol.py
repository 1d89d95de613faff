"""The procedure that every comparison follows, whoever trains, stores and shows.

Every loss is trained on the tuning seeds at the same points: learning rates, with values of the optimizer options tuned
with them. While the best point of any lies on an edge of the grid of rates, the grid grows there, for all alike. Each
loss is then trained on fresh seeds, from which alone results are reported, each at the point that the tuning seeds
chose.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ce_jax.comparing._arms import Arm
from ce_jax.comparing._choice import Choice, choose_points
from ce_jax.comparing._curves import Array, Curves, LossCurves, joined_points
from ce_jax.comparing._options import AnalysisOptions, SweepOptions
from ce_jax.comparing._points import Point, first_points, grid_points, grid_rates
from ce_jax.comparing._redrawing import redrawn_choices

WIDEN_BY = 4
"""Learning rates added past an edge at a time."""


class Ask(NamedTuple):
    """Work to be done: one loss at some points."""

    arm: Arm
    points: tuple[Point, ...]


Train = Callable[[Sequence[Ask], range], Sequence[Mapping[str, Any]]]
"""`train(asks, seeds)` gives {metric: [points, seeds, E]} for each of the asks. It sees all work of a phase at once, so
that losses can share programs and several processes the work; `one_by_one` makes one of a function of a single loss."""


class Listener(NamedTuple):
    """Who is told how far a comparison is; by default nobody."""

    say: Callable[[str], Any] = lambda message: None
    """One line about what begins or happened."""
    plan: Callable[[int, int], Any] = lambda classifiers, steps: None
    """So many more classifiers will be trained, each for so many steps."""
    advance: Callable[[int, int], Any] = lambda made, spared: None
    """So many steps of one classifier each have been made, and so many will not have to be: those stored by an earlier
    try, left to others, or retired."""


class Trained(NamedTuple):
    """What the procedure ends with."""

    tuning: Curves
    """On the tuning seeds, at every point."""
    fresh: Curves
    """On the fresh seeds, at every point or at those asked for."""
    choices: dict[str, Choice]
    """{loss: its best point on the tuning seeds}; positions are those in `tuning`."""

    def point(self, loss: str) -> Point:
        """The best point of a loss, by the tuning seeds alone."""
        return self.tuning[loss].points[self.choices[loss].row]

    def row(self, loss: str) -> int:
        """Where the best point of a loss stands in `fresh`."""
        return self.fresh[loss].row(self.point(loss))

    def best(self, loss: str) -> LossCurves:
        """A loss on the fresh seeds at its own best point: metrics [1, S, E]."""
        return self.fresh[loss].at(rows=[self.row(loss)])


def one_by_one(train: Callable[[Arm, range, tuple[Point, ...]], Mapping[str, Any]]) -> Train:
    """A `Train` that asks `train(arm, seeds, points) -> {metric: [points, seeds, E]}` for one loss after the other."""
    return lambda asks, seeds: [train(ask.arm, seeds, ask.points) for ask in asks]


def tune_and_report(
    arms: Sequence[Arm],
    steps: Any,
    sweep: SweepOptions,
    analysis: AnalysisOptions,
    train: Train,
    *,
    report_at: Literal["every rate", "contending rates"] = "every rate",
    listener: Listener | None = None,
) -> Trained:
    """Tune, widen a grid while a best rate lies on its edge, and train fresh seeds.

    Args:
      arms: the losses; steps: [E] at which a run is evaluated.
      sweep: points and seeds; analysis: what the best point is.
      train: does the work.
      report_at: at which of the points tried the fresh seeds are trained: at every one, or at those that are the best
        of some redraw of the tuning seeds, which is what an interval over the whole procedure needs.
      listener: is told what begins.

    Returns:
      All curves, and the point of each loss.
    """
    listener, steps = listener or Listener(), np.asarray(steps)
    rates, widen = grid_rates(sweep), sweep.widen if sweep.search == "grid" else 0
    first = sweep.first_seed
    tuning_seeds = range(first, first + sweep.tuning_seeds)
    fresh_seeds = range(tuning_seeds.stop, tuning_seeds.stop + sweep.seeds)

    def curves(asks: Sequence[Ask], seeds: range) -> Curves:
        measured = zip(asks, train(asks, seeds), strict=True)
        return Curves(
            steps,
            np.asarray(seeds),
            {ask.arm.label: _loss_curves(ask.points, metrics) for ask, metrics in measured},
        )

    tuning, added = None, first_points(sweep)
    for widening in range(widen + 1):
        listener.plan(len(arms) * len(added) * len(tuning_seeds), int(steps[-1]))
        if report_at == "every rate":  # they will be trained on the fresh seeds too
            listener.plan(len(arms) * len(added) * len(fresh_seeds), int(steps[-1]))
        listener.say(f"tuning: {len(added)} {_kind(sweep)} x {len(tuning_seeds)} seeds for each loss")
        more = curves([Ask(arm, added) for arm in arms], tuning_seeds)
        tuning = more if tuning is None else _with_points(tuning, more)
        choices = choose_points(tuning, analysis)
        edges = {choice.edge for choice in choices.values()} - {0}
        if not edges or widening == widen:
            break
        beyond = rates_beyond(rates, edges, WIDEN_BY)
        added, rates = grid_points(beyond, sweep.options), sorted(rates + beyond)
        listener.say(f"a best rate lies on the edge: widening the grid to {rates[0]:.3g} .. {rates[-1]:.3g}")
    assert tuning is not None
    if report_at == "every rate":
        points = tuning[arms[0].label].points
        listener.say(f"reporting: {len(points)} {_kind(sweep)} x {len(fresh_seeds)} fresh seeds for each loss")
        asks = [Ask(arm, points) for arm in arms]
    else:
        contenders = contending_points(tuning, analysis)
        count = sum(map(len, contenders.values()))
        listener.plan(count * len(fresh_seeds), int(steps[-1]))
        kind = "points" if sweep.options else "rates"
        listener.say(f"reporting: {count} {kind} that may be the best of their loss x {len(fresh_seeds)} fresh seeds")
        asks = [Ask(arm, contenders[arm.label]) for arm in arms]
    return Trained(tuning, curves(asks, fresh_seeds), choices)


def contending_points(tuning: Curves, analysis: AnalysisOptions) -> dict[str, tuple[Point, ...]]:
    """{loss: the points that its tuning seeds choose, as they are or redrawn}, by increasing rate."""
    _, redrawn = redrawn_choices(tuning, analysis)
    chosen = choose_points(tuning, analysis)
    return {
        loss: tuple(curves.points[row] for row in sorted({chosen[loss].row, *redrawn[loss].tolist()}))
        for loss, curves in tuning.losses.items()
    }


def rates_beyond(rates: Sequence[float], edges: set[int], count: int) -> list[float]:
    """`count` more rates past each of the `edges` (-1 low, 1 high), at the grid's own logarithmic spacing."""
    factor = (rates[-1] / rates[0]) ** (1 / (len(rates) - 1))
    below = [rates[0] / factor**step for step in range(1, count + 1)] if -1 in edges else []
    above = [rates[-1] * factor**step for step in range(1, count + 1)] if 1 in edges else []
    return sorted(below + above)


def _loss_curves(points: Sequence[Point], metrics: Mapping[str, Any]) -> LossCurves:
    options: dict[str, Array] = {
        name: np.array([dict(point.options)[name] for point in points]) for name, _ in points[0].options
    }
    return LossCurves(np.array([point.rate for point in points]), metrics, options)


def _kind(sweep: SweepOptions) -> str:
    return f"points of learning rate, {', '.join(sweep.options)}" if sweep.options else "learning rates"


def _with_points(curves: Curves, more: Curves) -> Curves:
    losses = {label: joined_points([one, more[label]]) for label, one in curves.losses.items()}
    return Curves(curves.steps, curves.seeds, losses)
