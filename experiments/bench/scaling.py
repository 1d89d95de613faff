"""Suite `scaling`: how throughput and memory grow with lanes and devices, a cost model fitted to it, and what the
segments of a run cost.
"""

import math
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from scipy.optimize import nnls

from ce_jax.comparing import on_cpu
from ce_jax.losses import LOSSES
from ce_jax.models import mlp
from ce_jax.sweeping import Checkpoint, Plan, compile_wave, plan_waves, step_bytes
from ce_jax.training import Hyperparameters, Splits, make_train

from ..files import write_arrays
from .sweeps import prepare_ours
from .tasks import named_task, training_splits
from .timing import median_seconds

LANES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
BEYOND = (8192, 16_384, 32_768, 65_536)
"""Lanes that it takes to fill an accelerator."""
RATES = 16
HIDDEN, BATCH, STEPS = 16, 32, 300
SEGMENT = 2000
"""Steps of `small` that take about a second, a whole wave at a time."""


class ScalingPoint(NamedTuple):
    """One sweep of the network 4-16-3 on iris, batches of 32, 300 steps."""

    devices: int
    lanes: int
    wave: int
    """Lanes of one wave on all devices."""
    seconds: float
    wave_bytes: int
    """What the compiler reports for one wave on one device."""
    peak_bytes: int
    """The process's highest resident memory so far."""

    @property
    def rate(self) -> float:
        """Classifier-steps a second."""
        return self.lanes * STEPS / self.seconds

    @property
    def classifiers(self) -> float:
        """Classifiers a second, each of all its steps: the quickstart's network."""
        return self.lanes / self.seconds


class CostModel(NamedTuple):
    """seconds = begin + call * waves + step * lanes * steps / devices."""

    begin: float
    call: float
    step: float
    worst: float
    """Largest relative error over what it was fitted to."""

    def seconds(self, lanes: float, steps: float, devices: int, wave: float) -> float:
        """Predicted seconds of a sweep."""
        return self.begin + self.call * math.ceil(lanes / wave) + self.step * lanes * steps / devices


def scaling_points(runs: int) -> Iterator[ScalingPoint]:
    """Measure every number of lanes on one device, then on all."""
    data = training_splits("iris", scale="none")
    sizes = (4, HIDDEN, 3)
    train = make_train(
        mlp((HIDDEN,)), LOSSES["cross_entropy"], num_classes=sizes[-1], evaluate_at=(0, STEPS), batch_size=BATCH
    )
    hyper = Hyperparameters(np.geomspace(0.01, 0.3, RATES).astype(np.float32), {})
    for devices in sorted({1, len(jax.devices())}):
        for lanes in LANES if on_cpu() else (*LANES, *BEYOND):
            seeds = lanes // RATES
            if seeds < devices:
                continue
            step = step_bytes(sizes, BATCH)
            plan = plan_waves((seeds,), RATES, step, bytes_per_step=step if on_cpu() else 0, devices=devices)
            yield _point(train, plan, hyper, data, seeds, runs)


def _point(train, plan: Plan, hyper: Hyperparameters, data: Splits, seeds: int, runs: int) -> ScalingPoint:
    program = compile_wave(train, plan, hyper, data)

    def call() -> None:
        for first in range(0, seeds, plan.seeds_per_wave):
            program.run(range(first, min(first + plan.seeds_per_wave, seeds)), hyper, data)

    seconds = median_seconds({"ours": call}, runs)["ours"] or math.nan
    memory = program.memory
    total = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes if memory else 0
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    lanes = plan.seeds_per_wave * plan.rates_per_wave
    return ScalingPoint(
        devices=plan.devices,
        lanes=seeds * plan.rates_per_wave,
        wave=lanes,
        seconds=seconds,
        wave_bytes=total,
        peak_bytes=peak,
    )


def fit(points: Sequence[ScalingPoint]) -> CostModel:
    """Least squares of the relative errors, no cost negative.

    >>> def point(lanes):
    ...     seconds = 0.1 + 0.01 * math.ceil(lanes / 64) + 1e-6 * lanes * STEPS
    ...     return ScalingPoint(devices=1, lanes=lanes, wave=64, seconds=seconds, wave_bytes=0, peak_bytes=0)
    >>> model = fit([point(lanes) for lanes in (64, 128, 512, 2048)])
    >>> bool(abs(model.seconds(4096, STEPS, 1, 64) - (0.1 + 0.64 + 1.2288)) < 1e-6)
    True
    """
    rows = np.array([[1, math.ceil(p.lanes / p.wave), p.lanes * STEPS / p.devices] for p in points])
    seconds = np.array([point.seconds for point in points])
    scale = np.array([1.0, 1.0, 1e-6])  # comparable columns
    costs = nnls(rows * scale / seconds[:, None], np.ones(len(points)))[0] * scale
    worst = float(np.max(np.abs(rows @ costs / seconds - 1)))
    begin, call, step = (float(cost) for cost in costs)
    return CostModel(begin, call, step, worst)


def segment_overhead(runs: int, folder: Path) -> float:
    """By what fraction `small` takes longer in three segments of about a second, a checkpoint on disk after each.

    A run's own segments are of some ten seconds, so it pays less.
    """
    task, path = named_task("small")._replace(steps=3 * SEGMENT), folder / "checkpoint.npz"

    def save(state: Checkpoint) -> None:
        write_arrays(path, state.to_arrays(), compress=False)

    whole, cut = prepare_ours(task), prepare_ours(task, segment_steps=SEGMENT, save=save)
    seconds = median_seconds({"whole": whole.wave, "cut": cut.wave}, runs)
    path.unlink()
    return (seconds["cut"] or math.nan) / (seconds["whole"] or math.nan) - 1
