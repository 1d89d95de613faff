"""Section 5: the loop that every training run is, on real iris; then many such runs by one `sweep` call for each loss.

`training_loop` and `many_runs` are shown on the page as they stand here.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax import (
    LOSSES,
    Hyperparameters,
    Model,
    Splits,
    backprop,
    evaluation_steps,
    make_train,
    mlp,
    sweep,
)
from ce_jax.analysis import Estimate, rmst, rmst_ratio
from ce_jax.comparing import (
    AnalysisOptions,
    Arm,
    Curves,
    Point,
    RateGrid,
    SweepOptions,
    arms_of,
    final_scores,
    one_by_one,
    times_to,
    tune_and_report,
)
from ce_jax.models import Params

from ..data import DataOptions, load_dataset, split_dataset

Array = NDArray[Any]
LOSS_PAIR = ("cross_entropy", "ssr")
STEPS = 100
HIDDEN = (16,)  # two units, as in the worked example, get stuck from too many starts
GRID = RateGrid(10**-1.5, 10.0, 6)
RATES = tuple(float(rate) for rate in np.geomspace(GRID.low, GRID.high, GRID.count))
LOOP_RATE = RATES[1]
TUNING_SEEDS, FRESH_SEEDS = 6, 14
# Validation accuracy. A run that knows two of the three species has 0.67; levels above 0.9 ask how well a run
# generalises, not how fast it is, and some runs never get there.
TARGET = 0.8
SWEEP = SweepOptions(GRID, widen=0, seeds=FRESH_SEEDS, tuning_seeds=TUNING_SEEDS)
OPTIONS = AnalysisOptions(targets=(TARGET,), resamples=999)


def training_loop(params, model, loss, inputs, labels, *, learning_rate, steps):
    """Train by the four steps of every training loop; return the loss and the accuracy before each update."""

    @jax.jit
    def step(params, inputs, labels):
        scores = model.apply(params, inputs)  # 1. forward pass: one score per flower and species
        value = jnp.mean(LOSSES[loss].value(scores, labels))  # 2. loss: how wrong the scores are
        _, slopes = backprop(params, model, loss, inputs, labels)  # 3. backpropagation: one slope per weight
        updated = jax.tree.map(lambda weight, slope: weight - learning_rate * slope, params, slopes)  # 4. update
        return updated, (value, jnp.mean(jnp.argmax(scores, axis=1) == labels))

    history = []
    for _ in range(steps + 1):
        params, measured = step(params, inputs, labels)
        history.append(measured)
    return np.array(history)


def many_runs(model, loss, data, *, num_classes, learning_rates, seeds, steps):
    """Train one classifier per learning rate and seed, all at once; return every curve."""
    train = make_train(model, loss, num_classes=num_classes, evaluate_at=evaluation_steps(steps))
    return sweep(train, seeds, Hyperparameters(np.float32(learning_rates)), data)


class PairAtRates(NamedTuple):
    """Both losses on the fresh seeds, each at one rate; steps are those to the target, misses counted as STEPS."""

    rates: dict[str, float]
    on_edge: bool
    """Whether one of the rates is the lowest or the highest of the grid."""
    reached: dict[str, float]
    median_steps: dict[str, float]
    """Infinite where fewer than half of the runs got there."""
    mean_steps: dict[str, float]
    ratio: Estimate
    """Mean steps of cross-entropy over those of SSR, with its 95 % interval."""
    test_accuracy: dict[str, float]
    accuracy: dict[str, Array]
    """[FRESH_SEEDS, E] validation accuracy at each evaluated step."""


class Workflow(NamedTuple):
    """Section 5: one run of the loop under each loss, then the sweeps."""

    start: str
    hidden: tuple[int, ...]
    loops: dict[str, Array]
    """{loss: [STEPS + 1, 2]} loss trained on and training accuracy of one run, from the same start."""
    loop_against_sweep: float
    """Largest difference between the loops' losses and the same lanes of the sweeps."""
    examples: dict[str, int]
    """Flowers in each part: train, validation, test."""
    measurements: int
    species: int
    steps: Array
    """[E] steps at which the sweep evaluates."""
    classifiers: int
    """Trained by both sweeps together."""
    equal: PairAtRates
    """Both at LOOP_RATE."""
    tuned: PairAtRates
    """Each at the rate that was best on the tuning seeds."""


class Sweeps(NamedTuple):
    """Sweeps under way: {loss: curves to come}, with what the loops need to follow one of their lanes."""

    model: Model
    start: str
    data: Splits
    num_classes: int
    seeds: range
    params: Params
    """Where the run with the first fresh seed begins."""
    running: dict[str, Future]


def begin_sweeps(pool: ThreadPoolExecutor, start: str) -> Sweeps:
    """Start one sweep for each loss in the background: compiling them is most of the lesson's work."""
    options, seeds = DataOptions(), range(TUNING_SEEDS + FRESH_SEEDS)
    dataset = load_dataset("iris", options)
    data = split_dataset(dataset, options, seeds, "float32")
    model, num_classes = mlp(HIDDEN, start=start), len(dataset.class_names)
    settings = {"num_classes": num_classes, "learning_rates": RATES, "seeds": seeds, "steps": STEPS}
    running = {loss: pool.submit(many_runs, model, loss, data, **settings) for loss in LOSS_PAIR}
    # A run of the sweep draws its start from the first of two keys made from its seed; the other orders its batches.
    key, _ = jax.random.split(jax.random.key(seeds[TUNING_SEEDS], impl="threefry2x32"))
    params = jax.jit(model.init, static_argnums=(1, 2))(key, data.train.inputs.shape[-1], num_classes)
    return Sweeps(
        model=model,
        start=start,
        data=data,
        num_classes=num_classes,
        seeds=seeds,
        params=params,
        running=running,
    )


def workflow(sweeps: Sweeps) -> Workflow:
    """Run the loop under both losses, wait for the sweeps, and compare."""
    # Seeds count from 0, so that each is its own position in the data and in the curves.
    seed = TUNING_SEEDS  # the first fresh one
    train = jax.tree.map(lambda leaf: leaf[seed], sweeps.data.train)
    settings = {"learning_rate": LOOP_RATE, "steps": STEPS}
    loops = {loss: training_loop(sweeps.params, sweeps.model, loss, *train, **settings) for loss in LOSS_PAIR}
    steps = np.array(evaluation_steps(STEPS))
    running = {loss: sweep.result() for loss, sweep in sweeps.running.items()}  # waits for them

    def lanes(arm: Arm, seeds: range, points: Sequence[Point]) -> dict[str, Array]:
        rows = [RATES.index(point.rate) for point in points]
        return {metric: curve[rows][:, seeds] for metric, curve in running[arm.label].items()}

    trained = tune_and_report(arms_of(LOSS_PAIR), steps, SWEEP, OPTIONS, one_by_one(lanes))
    common = RATES.index(LOOP_RATE)
    lane = {loss: trained.fresh[loss]["train_loss"][common, 0] for loss in LOSS_PAIR}
    return Workflow(
        start=sweeps.start,
        hidden=sweeps.model.hidden or (),
        loops=loops,
        loop_against_sweep=float(max(np.abs(loops[loss][steps, 0] - lane[loss]).max() for loss in LOSS_PAIR)),
        examples={name: int(part.labels.shape[-1]) for name, part in sweeps.data._asdict().items()},
        measurements=train.inputs.shape[1],
        species=sweeps.num_classes,
        steps=steps,
        classifiers=len(LOSS_PAIR) * len(RATES) * len(sweeps.seeds),
        equal=_at_rates(trained.fresh, dict.fromkeys(LOSS_PAIR, common)),
        tuned=_at_rates(trained.fresh, {loss: choice.row for loss, choice in trained.choices.items()}),
    )


def _at_rates(fresh: Curves, rates: dict[str, int]) -> PairAtRates:
    times = {loss: times_to(fresh[loss], fresh.steps, TARGET, OPTIONS)[rate] for loss, rate in rates.items()}
    accuracy = {loss: fresh[loss][OPTIONS.target_metric][rate] for loss, rate in rates.items()}
    test = {loss: final_scores(fresh[loss], "test_accuracy")[rate] for loss, rate in rates.items()}
    return PairAtRates(
        rates={loss: RATES[rate] for loss, rate in rates.items()},
        on_edge=bool({0, len(RATES) - 1} & set(rates.values())),
        reached={loss: float(np.mean(np.isfinite(time))) for loss, time in times.items()},
        median_steps={loss: float(np.median(time)) for loss, time in times.items()},
        mean_steps={loss: float(rmst(time, STEPS)) for loss, time in times.items()},
        ratio=rmst_ratio(times["cross_entropy"], times["ssr"], STEPS, resamples=OPTIONS.resamples, rng=0),
        test_accuracy={loss: float(np.mean(scores)) for loss, scores in test.items()},
        accuracy=accuracy,
    )
