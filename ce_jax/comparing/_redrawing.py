"""The whole procedure again on redrawn seeds: points chosen anew, then judged on redrawn fresh seeds."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ce_jax.analysis import bagged_interval, redraw
from ce_jax.comparing._choice import choose_by, tuning_keys
from ce_jax.comparing._curves import Array, Curves
from ce_jax.comparing._options import AnalysisOptions

RUNNER_UP = 0.1
"""Above this share of the redraws a point other than the chosen one makes the choice unsure."""


def redrawn_choices(tuning: Curves, options: AnalysisOptions) -> tuple[Array, dict[str, Array]]:
    """Counts [B, tuning seeds] of redrawn tuning seeds, and {loss: [B] position of the point chosen from them}."""
    counts = redraw(len(tuning.seeds), options.resamples, np.random.default_rng([int(tuning.seeds[0]), *b"tune"]))
    choices = {}
    for loss, curves in tuning.losses.items():
        keys = [counts @ key.T / len(tuning.seeds) for key in tuning_keys(curves, tuning.steps, options)]
        choices[loss] = choose_by(keys)
    return counts, choices


class Redrawn:
    """Resamples of a comparison, paired across losses: the same redrawn seeds for all of them."""

    def __init__(self, tuning: Curves, fresh: Curves, options: AnalysisOptions) -> None:
        """Redraw tuning seeds and fresh ones.

        Args:
          tuning: curves of the tuning seeds at every point.
          fresh: curves of the fresh seeds, at least at the points that some redraw chooses.
          options: how points are chosen, how many resamples, and how sure intervals are.
        """
        self.options, self.seeds = options, len(fresh.seeds)
        rng = np.random.default_rng([int(fresh.seeds[0]), *b"fresh"])
        self.fresh_counts = redraw(self.seeds, options.resamples, rng)
        self.tuning_counts, self.positions = redrawn_choices(tuning, options)
        self.points = {loss: curves.points for loss, curves in tuning.losses.items()}
        # Points of the fresh curves may be some of those tried: where each redraw's choice lies among them.
        self.rows: dict[str, Array] = {}
        for loss, positions in self.positions.items():
            place = {point: row for row, point in enumerate(fresh[loss].points)}
            distinct, inverse = np.unique(positions, return_inverse=True)
            self.rows[loss] = np.array([place[self.points[loss][one]] for one in distinct])[inverse]

    def shares(self, loss: str) -> Array:
        """[R] the share of the redraws in which each point tried is chosen."""
        return np.bincount(self.positions[loss], minlength=len(self.points[loss])) / len(self.positions[loss])

    def means(self, loss: str, values: Array) -> Array:
        """[B] means over redrawn fresh seeds of values [points, seeds] at the points chosen anew."""
        rows = self.rows[loss]
        means = np.empty(len(rows))
        for row in np.unique(rows):
            here = rows == row
            means[here] = self.fresh_counts[here] @ values[row] / self.seeds
        return means

    def pairs(self, a: str, b: str, chance: Callable[[Array, int, int], Array]) -> Array:
        """[B] a figure of two losses at once: `chance(counts [b, seeds], row of a, row of b) -> [b]`."""
        rows = np.stack([self.rows[a], self.rows[b]])
        figure = np.empty(rows.shape[1])
        for i, j in np.unique(rows, axis=1).T:
            here = (rows[0] == i) & (rows[1] == j)
            figure[here] = chance(self.fresh_counts[here], int(i), int(j))
        return figure

    def interval(self, values: Array, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
        """Interval of a figure [B], ends kept inside the range that it can have."""
        counts = [self.tuning_counts, self.fresh_counts]
        ends = bagged_interval(values, counts, confidence_level=self.options.confidence)
        return tuple(float(np.clip(end, low, high)) for end in ends)  # type: ignore[return-value]

    def ratio_interval(self, a: Array, b: Array) -> tuple[float, float]:
        """Interval of a ratio of two means [B] each that are never negative, taken on its logarithm."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where((a == 0) & (b == 0), 0.0, np.log(a) - np.log(b))
        low, high = self.interval(logs)
        return float(np.exp(low)), float(np.exp(high))


def sureness(redrawn: Redrawn, loss: str, chosen: int) -> Mapping[str, Any]:
    """How sure the choice of a point is: its share of the redraws, and the next best point's."""
    shares = redrawn.shares(loss)
    others = np.where(np.arange(len(shares)) == chosen, -1.0, shares)
    runner_up = int(np.argmax(others))
    point = redrawn.points[loss][runner_up]
    record = {
        "chosen": float(shares[chosen]),
        "runner_up": float(shares[runner_up]),
        "runner_up_rate": point.rate,
    }
    return {**record, "runner_up_options": dict(point.options)} if point.options else record
