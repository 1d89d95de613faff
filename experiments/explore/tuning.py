"""The explorer's learning rates, found by the engine: `python -m experiments.explore.tuning` writes rates.json.

Every setting of the race is a comparison of its own on points and starts drawn anew, with one grid for both losses.
"""

import itertools
import sys
from typing import NamedTuple

import numpy as np

from ce_jax import compare, mlp

from ..files import write_json
from ..runtime import prepare_jax
from . import race

GRID = {"low": 1e-2, "high": 1e2, "count": 13}
SEEDS = 40
LOSSES = ("cross_entropy", "ssr")
METRIC = "validation_balanced_accuracy"


class Tuned(NamedTuple):
    """Of cross-entropy and of SSR: the best rate, and the mean accuracy at which its runs end."""

    rates: list[float]
    finals: list[float]


def tuned(dataset: str, spread: float, noise: float, imbalance: int) -> Tuned:
    """The rates whose curves lie highest: mean over starts and evaluations of the balanced accuracy on unseen points.

    The time to a target would not decide: from a saturated start too few runs under SSR get to any target, and rates a
    decade apart tie.
    """
    drawn = race.table(dataset, 2 * race.PER_CLASS, seed=1)
    found = compare(
        drawn.inputs,
        drawn.labels,
        model=mlp((race.HIDDEN,), activation="tanh", start=(2**-0.5, spread)),
        losses=LOSSES,
        steps=race.STEPS,
        batch_size="full",
        evaluations=20,
        learning_rates=GRID,
        widen=0,
        seeds=2,  # only the curves of the tuning seeds are asked for
        tuning_seeds=SEEDS,
        label_noise=noise,
        imbalance=float(imbalance),
        split={"validation": 0.4, "test": 0.1},
        targets=(0.9,),
        target_metric=METRIC,
        resamples=99,
    )
    rates, finals = [], []
    for loss in LOSSES:
        curves = found.curves[loss]
        accuracy = np.nan_to_num(curves[METRIC][:, :SEEDS])  # a diverged run classifies nothing
        best = int(accuracy.mean(axis=(1, 2)).argmax())
        rates.append(float(f"{curves.rates[best]:.4g}"))
        finals.append(round(float(accuracy[best, :, -1].mean()), 2))
    return Tuned(rates, finals)


def main() -> None:
    """Write the table."""
    prepare_jax()
    cells = list(itertools.product(race.DATASETS, race.SPREADS.values(), race.NOISES, race.IMBALANCES))
    table = {}
    for cell in cells:
        name = race.setting(*cell)
        table[name] = tuned(*cell)
        print(name, *table[name], file=sys.stderr, flush=True)
    settings = {"grid": GRID, "tuning_seeds": SEEDS, "steps": race.STEPS, "losses": list(LOSSES)}
    columns = {part: {name: getattr(one, part) for name, one in table.items()} for part in Tuned._fields}
    write_json(race.RATES, {"settings": settings, **columns})


if __name__ == "__main__":
    main()
