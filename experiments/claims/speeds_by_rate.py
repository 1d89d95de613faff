"""How fast two losses get to a share of cross-entropy's gain at every rate: best rates, and rates of equal progress."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..pages.canvas import Array

LOSSES = ("cross_entropy", "ssr")
EARLY = 4  # a way of fewer steps has no best rate: every large one makes it at once


class Accuracies(NamedTuple):
    """Validation accuracies of one workload, 0 from where a run has diverged."""

    num_classes: int
    steps: Array
    rates: Array
    runs: dict[str, Array]
    """{loss: [R, S, E]}."""


@dataclass(frozen=True, eq=False)
class Speeds:
    """How fast a workload's losses get to a share of cross-entropy's gain; entry 0 for all seeds, then B resamples."""

    num_classes: int
    log_rates: Array
    levels: Array
    """[1 + B] the accuracy to get to."""
    log_times: dict[str, Array]
    """{loss: [1 + B, R]} logarithm of the steps of the mean curve, that of the horizon where it does not get there."""
    log_half_way: dict[str, Array]
    """{loss: [1 + B]} logarithm of the rate that makes equal progress, see `speeds`."""
    horizon: int

    def fastest(self, loss: str) -> tuple[Array, Array]:
        """[1 + B] logarithms of the best rate and of its steps: the vertex of the parabola through the best three.

        So a ratio is not bound to the grid. A best rate on an end of the grid stays there.
        """
        return vertex(self.log_times[loss], self.log_rates)

    def at(self, loss: str, log_rates: Array) -> Array:
        """[1 + B] logarithm of the steps at any rates [1 + B], by straight lines between those of the grid."""
        place = (log_rates - self.log_rates[0]) / (self.log_rates[1] - self.log_rates[0])
        place = np.clip(place, 0, len(self.log_rates) - 1)
        below = np.minimum(place.astype(int), len(self.log_rates) - 2)
        low, high = (np.take_along_axis(self.log_times[loss], (below + i)[:, None], 1)[:, 0] for i in (0, 1))
        return low + (place - below) * (high - low)

    def steps_of(self) -> dict[str, Array]:
        """{stage: [1 + B]} log steps: cross-entropy tuned, then SSR at its rate, at K/2 times it, and tuned."""
        rate, fastest = self.fastest("cross_entropy")
        return {
            "cross_entropy": fastest,
            "equal_rate": self.at("ssr", rate),
            "half_K_rate": self.at("ssr", rate + np.log(self.num_classes / 2)),
            "own_best": self.fastest("ssr")[1],
        }

    def log_ratio(self, kind: str) -> Array:
        """[1 + B] logarithm of a rate of SSR over that of cross-entropy."""
        rates = self.log_half_way if kind == "half_way" else {loss: self.fastest(loss)[0] for loss in LOSSES}
        return rates["ssr"] - rates["cross_entropy"]

    def censored(self, kind: str) -> str:
        """Why a ratio is not known: a bound, where a rate lies on an end of the grid, or none; empty where it is."""
        if kind == "half_way":
            found = [self.log_half_way[loss][0] for loss in LOSSES]
        else:
            if self.fastest("cross_entropy")[1][0] < np.log(EARLY):
                return "over too early"
            if any(self.log_times[loss][0].min() >= np.log(self.horizon) for loss in LOSSES):
                return "never there"
            found = [self.log_rates[np.argmin(self.log_times[loss][0])] for loss in LOSSES]
        ce, ssr = (int(np.isclose(one, self.log_rates[-1])) - int(np.isclose(one, self.log_rates[0])) for one in found)
        # A rate on the lower end may be smaller than that, one on the upper end larger.
        words = {"at least": ce < 0 or ssr > 0, "at most": ce > 0 or ssr < 0}
        return "unknown" if all(words.values()) else "".join(word for word, true in words.items() if true)


def vertex(log_times: Array, log_rates: Array) -> tuple[Array, Array]:
    """Place and height of the lowest point of [..., R]: of the parabola through the lowest and its two neighbours."""
    best = np.argmin(log_times, axis=-1)
    inner = np.clip(best, 1, log_times.shape[-1] - 2)
    below, middle, above = (np.take_along_axis(log_times, (inner + i)[..., None], -1)[..., 0] for i in (-1, 0, 1))
    curvature, tilt = below - 2 * middle + above, 0.5 * (below - above)
    fits = (curvature > 0) & (best == inner)
    shift = np.where(fits, np.clip(tilt / np.where(fits, curvature, 1.0), -0.5, 0.5), 0.0)
    height = middle - tilt * shift + 0.5 * curvature * shift**2
    lowest = np.take_along_axis(log_times, best[..., None], -1)[..., 0]
    return log_rates[best] + shift * (log_rates[1] - log_rates[0]), np.where(fits, height, lowest)


def speeds(one: Accuracies, share: float, counts: Array) -> Speeds:
    """Steps to `share` of what cross-entropy gains over chance at its best rate, for seeds counted [1 + B, S]."""
    weights = counts / counts.sum(axis=1, keepdims=True)
    means = {loss: np.einsum("bs,rse->bre", weights, one.runs[loss]) for loss in LOSSES}
    chance = 1 / one.num_classes
    gain = share * (means["cross_entropy"][..., -1].max(axis=1) - chance)
    log_times = {loss: np.log(crossings(mean, one.steps, chance + gain)) for loss, mean in means.items()}
    until = np.exp(vertex(log_times["cross_entropy"], np.log(one.rates))[1])
    scores = {loss: heights(mean, one.steps, until) for loss, mean in means.items()}
    # Below their best rates both losses learn more the larger the rate: these are rates of equal progress.
    equal = (chance + np.min([score.max(axis=1) for score in scores.values()], axis=0)) / 2
    half_way = {loss: reaching(score, np.log(one.rates), equal) for loss, score in scores.items()}
    horizon = int(one.steps[-1])
    return Speeds(one.num_classes, np.log(one.rates), chance + gain, log_times, half_way, horizon)


def crossings(means: Array, steps: Array, levels: Array) -> Array:
    """When curves [B, R, E] first reach levels [B], by straight lines between looks: [B, R] in 1..horizon."""
    there = means >= levels[:, None, None]
    after = np.clip(np.argmax(there, axis=-1), 1, None)
    low, high = (np.take_along_axis(means, (after - i)[..., None], -1)[..., 0] for i in (1, 0))
    part = np.clip((levels[:, None] - low) / np.where(high > low, high - low, 1.0), 0, 1)
    times = steps[after - 1] + part * (steps[after] - steps[after - 1])
    return np.where(there.any(axis=-1), np.maximum(times, 1.0), steps[-1])


def heights(means: Array, steps: Array, until: Array) -> Array:
    """[B, R] curves [B, R, E] after `until` [B] steps, by straight lines between looks."""
    after = np.clip(np.searchsorted(steps, until), 1, len(steps) - 1)
    part = (until - steps[after - 1]) / (steps[after] - steps[after - 1])
    low, high = (np.take_along_axis(means, (after - i)[:, None, None], -1)[..., 0] for i in (1, 0))
    return np.asarray(low + part[:, None] * (high - low))


def reaching(scores: Array, log_rates: Array, levels: Array) -> Array:
    """[B] logarithm of the smallest rate whose score [B, R] is at a level, which one of them reaches."""
    first = np.argmax(scores >= levels[:, None], axis=1)
    inner = np.clip(first, 1, None)
    below, above = (np.take_along_axis(scores, (inner - i)[:, None], 1)[:, 0] for i in (1, 0))
    part = np.clip((levels - below) / np.where(above > below, above - below, 1.0), 0, 1)
    return np.where(first > 0, log_rates[inner - 1] + part * (log_rates[1] - log_rates[0]), log_rates[0])
