"""The explorer's learning rates, found by the engine: `python -m experiments.explore.tuning` writes rates.json.

Every setting of the race is a comparison of its own on points drawn anew, with the same grid for both losses.
"""

import itertools
import sys

from ce_jax import compare, mlp

from ..files import write_json
from ..runtime import prepare_jax
from . import race

GRID = {"low": 1e-2, "high": 1e2, "count": 13}
SEEDS = 20
LOSSES = ("cross_entropy", "ssr")


def tuned(dataset: str, spread: float, noise: float, imbalance: int) -> list[float]:
    """The rates at which each loss is fastest, by the balanced accuracy of points that it was not trained on."""
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
        widen=1,
        seeds=2,  # only the choice is asked for
        tuning_seeds=SEEDS,
        label_noise=noise,
        imbalance=float(imbalance),
        split={"validation": 0.4, "test": 0.1},
        targets=(0.6, 0.7, 0.8, 0.9),
        target_metric="validation_balanced_accuracy",
        sustained=3,  # one lucky swing of a rate that is too large does not count
        resamples=99,
    )
    return [float(f"{found.summary['losses'][loss]['best_learning_rate']:.4g}") for loss in LOSSES]


def main() -> None:
    """Write the table."""
    prepare_jax()
    cells = list(itertools.product(race.DATASETS, race.SPREADS.values(), race.NOISES, race.IMBALANCES))
    rates = {}
    for cell in cells:
        rates[race.setting(*cell)] = tuned(*cell)
        print(race.setting(*cell), rates[race.setting(*cell)], file=sys.stderr, flush=True)
    settings = {"grid": GRID, "tuning_seeds": SEEDS, "steps": race.STEPS, "losses": list(LOSSES)}
    write_json(race.RATES, {"settings": settings, "rates": rates})


if __name__ == "__main__":
    main()
