"""The points that are tried, the same for all losses: a learning rate with values of the options tuned with it.

A grid is every rate with every combination of the options; a random search draws points from a generator seeded by the
first seed, so that more draws begin with the same ones.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_jax.comparing._options import SweepOptions


class Point(NamedTuple):
    """What the tuning chooses for a loss."""

    rate: float
    options: tuple[tuple[str, float], ...] = ()
    """The optimizer options tuned with the rate: (name, value), names in order."""


def first_points(sweep: SweepOptions) -> tuple[Point, ...]:
    """The points that a search begins with, by increasing rate.

    >>> first_points(SweepOptions(options={"momentum": [0.0, 0.9]}))[1]
    Point(rate=0.001, options=(('momentum', 0.9),))
    """
    return _drawn(sweep) if sweep.search == "random" else grid_points(grid_rates(sweep), sweep.options)


def grid_rates(sweep: SweepOptions) -> list[float]:
    """The learning rates that a grid begins with."""
    grid = sweep.learning_rates
    return [float(rate) for rate in np.geomspace(grid.low, grid.high, grid.count)]


def grid_points(rates: Sequence[float], options: Mapping[str, Sequence[float]]) -> tuple[Point, ...]:
    """Every rate with every combination of the options, rates outermost.

    >>> len(grid_points([0.1, 1.0], {"momentum": [0.0, 0.9], "weight_decay": [0.0, 1e-4, 1e-3]}))
    12
    """
    combinations = [tuple(zip(options, values, strict=True)) for values in itertools.product(*options.values())]
    return tuple(Point(rate, combination) for rate in rates for combination in combinations)


def _drawn(sweep: SweepOptions) -> tuple[Point, ...]:
    grid = sweep.learning_rates
    rng = np.random.default_rng([sweep.first_seed, *b"points"])
    # One row a draw, so that the first draws stay the same when there are more of them.
    chances = rng.random((sweep.draws, 1 + len(sweep.options)))
    points = []
    for first, *others in chances.tolist():
        options = [(name, _at(chance, sweep.options[name])) for name, chance in zip(sweep.options, others, strict=True)]
        points.append(Point(_at(first, {"low": grid.low, "high": grid.high}), tuple(options)))
    return tuple(sorted(points))


def _at(chance: float, values: Any) -> float:
    """What a uniform number in 0..1 draws: one of a list, or a number log-uniform between low and high."""
    if isinstance(values, Mapping):
        return float(values["low"] * (values["high"] / values["low"]) ** chance)
    return float(values[int(chance * len(values))])
