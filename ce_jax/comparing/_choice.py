"""What it means that a run has diverged or has reached a target, and which of a loss's points is its best."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ce_jax.analysis import steps_to_target
from ce_jax.comparing._curves import Array, Curves, LossCurves, marked
from ce_jax.comparing._options import AnalysisOptions
from ce_jax.sweeping import MEASURED


class Choice(NamedTuple):
    """The position of a loss's best point, and the end of the rates tried that it lies on (-1, 1, or 0: inside)."""

    row: int
    edge: int


def diverged(curves: LossCurves) -> Array:
    """Which runs [R, S] stopped being finite."""
    return np.isnan(curves["train_loss"][..., -1])


def times_to(curves: LossCurves, steps: Array, target: float, options: AnalysisOptions) -> Array:
    """Steps to the target [R, S], inf where it was never reached or the run diverged, before or after."""
    times = steps_to_target(curves[options.target_metric], steps, target, sustained=options.sustained)
    return np.where(diverged(curves), np.inf, times)


def final_scores(curves: LossCurves, metric: str) -> Array:
    """An accuracy [R, S] at the last step: a diverged run classifies nothing, so its accuracy is 0."""
    return np.nan_to_num(curves[metric][..., -1])


def long_reached(measured: dict[str, Array], steps: Array, options: AnalysisOptions) -> Array:
    """Which runs [...] met the highest target, and so every other, in the first half of the steps made so far.

    Args:
      measured: {metric: [..., e]}, what has been measured so far.
      steps: [e] when; the last one is how far the runs are.
      options: the targets, and what it takes to have reached one.
    """
    times = steps_to_target(measured[options.target_metric], steps, max(options.targets), sustained=options.sustained)
    return 2 * times <= steps[-1]


def retired(curves: LossCurves) -> Array:
    """Which runs [R, S] end with values that they had when they were retired, after they had reached every target."""
    lost = diverged(curves)
    return ~curves[MEASURED][..., -1] & ~lost if marked(curves) else np.zeros_like(lost)


def choose_point(curves: LossCurves, steps: Array, options: AnalysisOptions) -> Choice:
    """The best point of a loss on the seeds of `curves`, which are to be its tuning seeds alone.

    `time_to_target`: the smallest RMST averaged over the targets, a tie going to the higher final accuracy;
    `final_accuracy`: the other way round. A remaining tie goes to the smaller rate. Both see the target metric alone.
    A point under which a tuning seed has diverged is taken only where every point has one: on fresh seeds it would
    diverge again, more often than a few tuning seeds can show.
    Where points may be retired, only what is missing to the highest target breaks a tie: a retired run has met it, and
    by how much it would have been exceeded is not known.
    """
    keys = [key.mean(axis=1)[None] for key in tuning_keys(curves, steps, options)]
    row, rates = int(choose_by(keys)[0]), curves.rates
    return Choice(row, 1 if rates[row] == rates.max() else -1 if rates[row] == rates.min() else 0)


def best_at_each_rate(curves: LossCurves, steps: Array, options: AnalysisOptions) -> Array:
    """Positions of the best points of each rate, over the options tuned with it, by increasing rate."""
    keys = [key.mean(axis=1)[None] for key in tuning_keys(curves, steps, options)]
    groups = [np.flatnonzero(curves.rates == rate) for rate in np.unique(curves.rates)]
    return np.array([rows[choose_by([key[:, rows] for key in keys])[0]] for rows in groups])


def tuning_keys(curves: LossCurves, steps: Array, options: AnalysisOptions) -> tuple[Array, Array, Array]:
    """What a point is chosen by, [R, S] each: whether a run diverged, then two figures of which less is better."""
    horizon = float(steps[-1])
    times = [np.minimum(times_to(curves, steps, target, options), horizon) for target in options.targets]
    slowness, finals = np.mean(times, axis=0), final_scores(curves, options.target_metric)
    if marked(curves):
        highest = max(options.targets)
        finals = np.where(retired(curves), highest, np.minimum(finals, highest))
    lost = diverged(curves).astype(float)
    return (lost, slowness, -finals) if options.tune_by == "time_to_target" else (lost, -finals, slowness)


def choose_by(means: Sequence[Array]) -> Array:
    """[B] positions of the best points for means [B, R] of `tuning_keys`; a remaining tie goes to the smaller rate."""
    lost, *figures = means
    left = (lost > 0) == (lost > 0).min(axis=1, keepdims=True)
    for figure in figures:
        # Differences below a billionth are rounding, not preference: without this a tie would be broken by noise.
        ranked = np.where(left, np.round(figure, 9), np.inf)
        left = ranked == ranked.min(axis=1, keepdims=True)
    return np.argmax(left, axis=1)


def near_cliff(curves: LossCurves, row: int) -> bool:
    """Whether a tuning seed has diverged at this point or, options being the same, at the next larger rate."""
    rows = curves.with_options_of(row)
    return bool(diverged(curves)[rows[rows >= row][:2]].any())


def choose_points(tuning: Curves, options: AnalysisOptions) -> dict[str, Choice]:
    """`choose_point` for every loss, from curves of the tuning seeds."""
    return {loss: choose_point(curves, tuning.steps, options) for loss, curves in tuning.losses.items()}
