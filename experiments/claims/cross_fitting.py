"""Speed measured on the tuning seeds alone: each half of them runs at the rate that is fastest on the other half."""

from collections.abc import Sequence

import numpy as np

from ce_jax.analysis import bagged_interval, redraw
from ce_jax.comparing import AnalysisOptions, LossCurves, choose_by, times_to, tuning_keys

from ..pages.canvas import Array
from .record import Measurement, bound_words
from .workloads import TrainedConfig

HALVES = (slice(0, None, 2), slice(1, None, 2))


def fastest_rows(curves: LossCurves, run: TrainedConfig, counts: Sequence[Array]) -> tuple[Array, Array]:
    """[B] rows of the rates that are fastest on the other half of the tuning seeds, for each half.

    So no seed is judged at a rate that it helped to choose, and the fresh seeds need the contending rates alone.

    Args:
      curves: a loss's, of the tuning seeds.
      run: says what the target is.
      counts: [B, S / 2] how often each seed of a half is drawn.
    """
    options = speed_options(run)
    even, odd = (
        choose_by([count @ key.T / key.shape[1] for key in tuning_keys(curves.at(seeds=half), run.steps, options)])
        for half, count in zip(HALVES, counts, strict=True)
    )
    return odd, even


def speed_options(run: TrainedConfig) -> AnalysisOptions:
    """Rates chosen for speed, where the claim's configs choose for accuracy."""
    return AnalysisOptions(run.config.analysis.targets[:1], tune_by="time_to_target")


def fastest_times(run: TrainedConfig, loss: str) -> Array:
    """[S] steps to the target on the tuning seeds, each half at the rate that is fastest on the other half.

    A run that does not get there, or diverges, is +inf: censored, never dropped.
    """
    options, curves = speed_options(run), run.trained.tuning[loss]
    every = times_to(curves, run.steps, options.targets[0], options)
    times = np.empty(every.shape[1])
    ones = [np.ones_like(times)[None, half] for half in HALVES]
    for half, row in zip(HALVES, fastest_rows(curves, run, ones), strict=True):
        times[half] = every[row[0], half]
    return times


def slowness(run: TrainedConfig, loss: str) -> Measurement:
    """Mean of min(T, H) of a loss over cross-entropy's; the interval redraws each half and chooses its rate anew."""
    options, horizon, seeds = speed_options(run), float(run.steps[-1]), run.trained.tuning.seeds
    rng = np.random.default_rng([int(seeds[0]), *b"speed"])
    counts = [redraw(len(seeds[half]), options.resamples, rng) for half in HALVES]
    logs, values, never = [], [], []
    for one in (loss, "cross_entropy"):
        curves = run.trained.tuning[one]
        every = np.minimum(times_to(curves, run.steps, options.targets[0], options), horizon)
        totals = [
            np.take_along_axis(count @ every[:, half].T, row[:, None], 1)[:, 0]
            for half, count, row in zip(HALVES, counts, fastest_rows(curves, run, counts), strict=True)
        ]
        logs.append(np.log(np.sum(totals, axis=0)))
        times = fastest_times(run, one)
        values.append(np.minimum(times, horizon).mean())
        never.append(not np.isfinite(times).any())
    low, high = np.exp(bagged_interval(logs[0] - logs[1], counts, n=len(seeds)))
    unit = f"times the steps{bound_words(*never)}"
    return Measurement(float(values[0] / values[1]), (float(low), float(high)), unit)


def rmst(times: Array, horizon: float) -> float:
    """Mean of min(T, H); +inf where fewer than half get there."""
    return float(np.minimum(times, horizon).mean()) if np.isfinite(times).mean() >= 0.5 else np.inf
