"""Section 5: the loop that every training run is, on real iris; then many such runs by one `sweep` call for each loss.

`training_loop` and `many_runs` are shown on the page as they stand here.
"""

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
from ce_jax.models import Params
from experiments.config import AnalysisOptions
from experiments.data import DataOptions, load_dataset, make_splits
from experiments.summary import choose_rate, times_to

Array = NDArray[Any]
LOSS_PAIR = ("cross_entropy", "ssr")
STEPS = 100
HIDDEN = (16,)  # two units, as in the worked example, get stuck from too many starts
RATES = tuple(float(rate) for rate in 10.0 ** np.arange(-1.5, 1.25, 0.5))
LOOP_RATE = RATES[1]
TUNING_SEEDS, FRESH_SEEDS = 6, 14
# Validation accuracy. Who knows two species of three has 0.67; levels above 0.9 ask how well a run generalises, not how
# fast it is, and some runs never get there.
TARGET = 0.8
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
    train = make_train(model, LOSSES[loss], num_classes=num_classes, evaluate_at=evaluation_steps(steps))
    return sweep(train, seeds, Hyperparameters(np.float32(learning_rates), {}), data)


class Speed(NamedTuple):
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
    equal: Speed
    """Both at LOOP_RATE."""
    tuned: Speed
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
    data = make_splits(dataset, options, seeds, "float32")
    model, num_classes = mlp(HIDDEN, start=start), len(dataset.class_names)
    settings = {"num_classes": num_classes, "learning_rates": RATES, "seeds": seeds, "steps": STEPS}
    running = {loss: pool.submit(many_runs, model, loss, data, **settings) for loss in LOSS_PAIR}
    # A run of the sweep draws its start from the first of two keys made from its seed; the other orders its batches.
    key, _ = jax.random.split(jax.random.key(seeds[TUNING_SEEDS], impl="threefry2x32"))
    params = jax.jit(model.init, static_argnums=(1, 2))(key, data.train.inputs.shape[-1], num_classes)
    return Sweeps(model, start, data, num_classes, seeds, params, running)


def workflow(sweeps: Sweeps) -> Workflow:
    """Run the loop under both losses, wait for the sweeps, and compare."""
    seed = TUNING_SEEDS  # the first fresh one
    train = jax.tree.map(lambda leaf: leaf[seed], sweeps.data.train)
    settings = {"learning_rate": LOOP_RATE, "steps": STEPS}
    loops = {loss: training_loop(sweeps.params, sweeps.model, loss, *train, **settings) for loss in LOSS_PAIR}
    steps = np.array(evaluation_steps(STEPS))
    curves: dict[str, Array] = {"steps": steps}
    for loss, running in sweeps.running.items():
        curves |= {f"{loss}/{metric}": curve for metric, curve in running.result().items()}
    common = RATES.index(LOOP_RATE)
    lanes = {loss: curves[f"{loss}/train_loss"][common, seed] for loss in LOSS_PAIR}
    return Workflow(
        sweeps.start,
        sweeps.model.hidden,
        loops,
        float(max(np.abs(loops[loss][steps, 0] - lane).max() for loss, lane in lanes.items())),
        {part: int(one.labels.shape[-1]) for part, one in sweeps.data._asdict().items()},
        train.inputs.shape[1],
        sweeps.num_classes,
        steps,
        len(LOSS_PAIR) * len(RATES) * len(sweeps.seeds),
        _speed(curves, dict.fromkeys(LOSS_PAIR, common)),
        _speed(curves, {loss: choose_rate(curves, loss, TUNING_SEEDS, OPTIONS).rate for loss in LOSS_PAIR}),
    )


def _speed(curves: dict[str, Array], rates: dict[str, int]) -> Speed:
    fresh = slice(TUNING_SEEDS, None)
    times = {loss: times_to(curves, loss, TARGET, OPTIONS)[rate, fresh] for loss, rate in rates.items()}
    accuracy = {loss: curves[f"{loss}/{OPTIONS.target_metric}"][rate, fresh] for loss, rate in rates.items()}
    test = {loss: curves[f"{loss}/test_accuracy"][rate, fresh, -1] for loss, rate in rates.items()}
    return Speed(
        {loss: RATES[rate] for loss, rate in rates.items()},
        bool({0, len(RATES) - 1} & set(rates.values())),
        {loss: float(np.mean(np.isfinite(time))) for loss, time in times.items()},
        {loss: float(np.median(time)) for loss, time in times.items()},
        {loss: float(rmst(time, STEPS)) for loss, time in times.items()},
        rmst_ratio(times["cross_entropy"], times["ssr"], STEPS, resamples=OPTIONS.resamples, rng=0),
        {loss: float(np.mean(np.nan_to_num(one))) for loss, one in test.items()},
        accuracy,
    )
