"""The curves of a comparison as one record, and as the named arrays of `curves.npz`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_jax.comparing._points import Point
from ce_jax.sweeping import MEASURED

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LossCurves:
    """What was measured under one loss."""

    rates: Array
    """[R] the learning rate of each point, increasing; with options tuned, several points have the same one."""
    metrics: Mapping[str, Array]
    """{metric: [R, S, E]}; NaN where a run has diverged. Of each of `ce_jax.training.AT_END` [R, S, K], its last."""
    options: Mapping[str, Array] = field(default_factory=dict)
    """{name: [R]} the optimizer options tuned with the rate."""

    def __getitem__(self, metric: str) -> Array:
        """The curves [R, S, E] of a metric."""
        return self.metrics[metric]

    @property
    def points(self) -> tuple[Point, ...]:
        """The R points."""
        rows = zip(*(self.options[name].tolist() for name in sorted(self.options)), strict=True)
        options = [tuple(zip(sorted(self.options), row, strict=True)) for row in rows] or [()] * len(self.rates)
        return tuple(map(Point, self.rates.tolist(), options))

    def row(self, point: Point) -> int:
        """The position of a point."""
        return self.points.index(point)

    def at(self, rows: Any = slice(None), seeds: Any = slice(None)) -> "LossCurves":
        """Some of the points and some of the seeds, by position."""
        rows = np.arange(len(self.rates))[rows]
        metrics = {name: curve[rows][:, seeds] for name, curve in self.metrics.items()}
        return LossCurves(self.rates[rows], metrics, {name: values[rows] for name, values in self.options.items()})

    def with_options_of(self, row: int) -> Array:
        """Positions of the points with the options of this one, itself among them, by increasing rate."""
        same = np.ones(len(self.rates), bool)
        for values in self.options.values():
            same &= values == values[row]
        return np.flatnonzero(same)


@dataclass(frozen=True, eq=False)
class Curves:
    """Every curve of a comparison."""

    steps: Array
    """[E] evaluated steps, from 0 to the end of a run."""
    seeds: Array
    """[S] seeds, those that tune first."""
    losses: Mapping[str, LossCurves]
    """{label: its curves}, in the order of the comparison."""

    def __getitem__(self, loss: str) -> LossCurves:
        """The curves of one loss."""
        return self.losses[loss]

    def at_seeds(self, seeds: slice) -> "Curves":
        """The same for some of the seeds, by position."""
        return Curves(self.steps, self.seeds[seeds], {name: one.at(seeds=seeds) for name, one in self.losses.items()})

    def to_arrays(self) -> dict[str, Array]:
        """As named arrays: steps, seeds, learning_rates/LOSS, LOSS/METRIC and, where tuned, options/LOSS/NAME."""
        arrays = {"steps": self.steps, "seeds": self.seeds}
        for loss, curves in self.losses.items():
            arrays[f"learning_rates/{loss}"] = curves.rates
            arrays |= {f"options/{loss}/{name}": values for name, values in curves.options.items()}
            arrays |= {f"{loss}/{metric}": curve for metric, curve in curves.metrics.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Curves":
        """The inverse of `to_arrays`.

        >>> arrays = {"steps": np.arange(2), "seeds": np.arange(3), "learning_rates/ssr": np.ones(1)}
        >>> arrays["ssr/train_loss"] = np.zeros((1, 3, 2))
        >>> sorted(Curves.from_arrays(arrays).to_arrays()) == sorted(arrays)
        True
        """
        labels = [name.removeprefix("learning_rates/") for name in arrays if name.startswith("learning_rates/")]
        losses = {}
        for label in labels:
            metrics, options = (
                {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
                for prefix in (f"{label}/", f"options/{label}/")
            )
            losses[label] = LossCurves(arrays[f"learning_rates/{label}"], metrics, options)
        return cls(arrays["steps"], arrays["seeds"], losses)


def joined_seeds(first: Curves, second: Curves) -> Curves:
    """The same losses and points on the seeds of both."""
    losses = {}
    for label, curves in first.losses.items():
        others = second[label].metrics
        metrics = {name: np.concatenate([curve, others[name]], axis=1) for name, curve in curves.metrics.items()}
        losses[label] = LossCurves(curves.rates, metrics, curves.options)
    return Curves(first.steps, np.concatenate([first.seeds, second.seeds]), losses)


def joined_points(parts: Sequence[LossCurves]) -> LossCurves:
    """All points of the parts on the same seeds, by increasing rate; those of one rate stay in their order."""
    rates = np.concatenate([part.rates for part in parts])
    order = np.argsort(rates, kind="stable")
    metrics = {name: np.concatenate([part.metrics[name] for part in parts])[order] for name in parts[0].metrics}
    options = {name: np.concatenate([part.options[name] for part in parts])[order] for name in parts[0].options}
    return LossCurves(rates[order], metrics, options)


def marked(curves: LossCurves) -> bool:
    """Whether points may have been retired, so that values stand in for others, see `MEASURED`."""
    return MEASURED in curves.metrics
