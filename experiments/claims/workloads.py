"""From configs to curves for claims: the protocol of `ce_jax.comparing` with the trainer that stores.

A claim's setting is one or several `Config`s. On the fresh seeds each loss is trained at the points that are the best
of some redraw of the tuning seeds or, where a claim is about the grid itself, at every one. Figures are those at the
best point; their intervals choose it anew in every resample.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ce_jax.comparing import (
    Curves,
    Point,
    Redrawn,
    Trained,
    choose_points,
    final_scores,
    plan_task,
    times_to,
    tune_and_report,
)
from ce_jax.sweeping import compiler_options
from ce_jax.training import Hyperparameters, Splits

from ..config import Config, fingerprint, identity
from ..data.options import USES
from ..files import read_arrays, read_sealed, set_aside, write_arrays, write_sealed
from ..pages.canvas import Array
from ..run.folder import open_run
from ..run.planning import memory_budget
from ..run.provenance import made_by_other_code, provenance
from ..run.trainer import StoringTrainer
from ..run.workload import load_workload
from ..runtime import precision
from .record import Request
from .statistics import TunedFigure


@dataclass(frozen=True, eq=False)
class TrainedConfig:
    """What a config gave; a run that diverged is NaN from there on."""

    config: Config
    trained: Trained

    @property
    def losses(self) -> list[str]:
        """The losses compared, in the order of the config."""
        return list(self.trained.choices)

    @property
    def steps(self) -> Array:
        """[E] evaluated steps."""
        return self.trained.tuning.steps

    @property
    def rates(self) -> Array:
        """[R] the rate of each point of the final grid, the same for every loss."""
        return self.trained.tuning[self.losses[0]].rates

    @property
    def edges(self) -> list[str]:
        """Losses whose best rate lies on an edge of the final grid."""
        return [loss for loss, choice in self.trained.choices.items() if choice.edge]

    def rate(self, loss: str) -> float:
        """The best rate of a loss, by the tuning seeds alone."""
        return self.point(loss).rate

    def point(self, loss: str) -> Point:
        """The best point of a loss, by the tuning seeds alone: its rate and the options tuned with it."""
        return self.trained.point(loss)

    def curve(self, loss: str, metric: str) -> Array:
        """[S, E] on the fresh seeds at the best point."""
        return self.trained.best(loss)[metric][0]

    def final(self, loss: str, metric: str) -> Array:
        """[S] an accuracy after the last step, 0 where the run diverged."""
        return final_scores(self.trained.best(loss), metric)[0]

    def times(self, loss: str, target: float) -> Array:
        """[S] steps to the target, +inf where it was never reached: such a run is censored, never dropped."""
        return times_to(self.trained.best(loss), self.steps, target, self.config.analysis)[0]

    @functools.cached_property
    def redrawn(self) -> Redrawn:
        """The procedure on redrawn seeds; the same seeds for configs with the same numbers of them."""
        return Redrawn(self.trained.tuning, self.trained.fresh, self.config.analysis)

    def figure(self, loss: str, values: Array) -> TunedFigure:
        """A mean over the fresh seeds of values [points, S], one row for each point of the fresh curves."""
        value = float(values[self.trained.row(loss)].mean())
        return TunedFigure(value, self.redrawn.means(loss, values), self.redrawn)

    def accuracy(self, loss: str, metric: str = "test_accuracy") -> TunedFigure:
        """Mean accuracy after the last step, 0 where a run diverged."""
        return self.figure(loss, final_scores(self.trained.fresh[loss], metric))

    def reached(self, loss: str, target: float) -> TunedFigure:
        """Fraction of the runs that reach a target."""
        return self.figure(loss, np.isfinite(self._times(loss, target)).astype(float))

    def mean_time(self, loss: str, target: float) -> TunedFigure:
        """Mean of min(T, H), T the steps to a target and H the last step."""
        return self.figure(loss, np.minimum(self._times(loss, target), self.steps[-1]))

    def _times(self, loss: str, target: float) -> Array:
        return times_to(self.trained.fresh[loss], self.steps, target, self.config.analysis)


def trained(
    name: str, config: Config, request: Request, *, everywhere: bool = False, rates_per_wave: int = 1
) -> TrainedConfig:
    """Train a config, or read what an earlier try of the same claim by the same code has stored.

    Args:
      name: what the config is called in the claim's folder.
      config: what to train; its first seed is moved by the request.
      request: says where to store.
      everywhere: train the fresh seeds at every rate of the grid and not only at those that may be the best.
      rates_per_wave: more of them train faster, but waste lanes where a single rate is trained.
    """
    config = moved(config, request)
    final = request.folder / f"{name}-{fingerprint([identity(config), everywhere])}"
    stored = _stored(final, config, request.listener.say)
    if stored is None:
        request.listener.say(f"training {name}")
        curves = _train(name, config, final, request, everywhere, rates_per_wave)
    else:
        curves, seconds = stored
        if request.earlier is not None:
            request.earlier.append(seconds)
    run = TrainedConfig(config, curves)
    if request.edges is not None and config.sweep.widen:
        request.edges.extend(f"{name}: {loss} at {run.rate(loss):.3g}" for loss in run.edges)
    return run


def moved(config: Config, request: Request) -> Config:
    """The config with every seed moved as the request says."""
    data = config.data
    if data.examples is not None or config.dataset in USES["generator_seed"][0]:  # others are not drawn
        data = replace(data, generator_seed=data.generator_seed + request.seed)
    return replace(config, data=data, sweep=replace(config.sweep, first_seed=request.first_seed))


def _train(name: str, config: Config, final: Path, request: Request, everywhere: bool, rates_per_wave: int) -> Trained:
    begin = time.perf_counter()
    with precision(config.train.dtype), open_run(final, warn=request.listener.say) as run:
        task = load_workload(name, config).task
        # A wave holds every member of a family, over the tuning seeds: tuning, widening and the fresh seeds then
        # share one program, and compiling is what takes longest.
        programs = [arm.program for arm in task.arms]
        members = max(programs.count(program) for program in programs)
        devices = len(jax.devices())
        seeds = (-(-config.sweep.tuning_seeds // devices) * devices,)
        plan = plan_task(task, memory_budget(), rates=members * rates_per_wave, seeds=seeds)
        trainer = StoringTrainer(task, run, request.listener, plan=plan)
        curves = tune_and_report(
            task.arms,
            task.evaluate_at,
            task.sweep,
            task.analysis,
            trainer,
            report_at="every rate" if everywhere else "contending rates",
            listener=request.listener,
        )
        arrays = {f"tuning/{key}": array for key, array in curves.tuning.to_arrays().items()}
        arrays |= {f"fresh/{key}": array for key, array in curves.fresh.to_arrays().items()}
        write_arrays(run.folder / "curves.npz", arrays)
        seconds = time.perf_counter() - begin
        write_sealed(run.folder / "provenance.json", provenance([], trainer.compile_seconds, seconds))
        run.finish()
    return curves


def _stored(folder: Path, config: Config, say: Callable[[str], None]) -> tuple[Trained, float] | None:
    """Curves that the present code has stored and the seconds that they took; None where there are none.

    What was damaged is set aside.
    """
    try:
        made = read_sealed(folder / "provenance.json")
        if made_by_other_code(made):
            return None
        arrays = read_arrays(folder / "curves.npz", sealed=True)
        parts = [
            {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            for prefix in ("tuning/", "fresh/")
        ]
        tuning, fresh = (Curves.from_arrays(part) for part in parts)
        return Trained(tuning, fresh, choose_points(tuning, config.analysis)), float(made["run_seconds"])
    except (ValueError, KeyError, TypeError, OSError):
        if folder.exists():
            say(f"damaged, set aside, and its work done again: {set_aside(folder)}")
        return None


def over_seeds(function: Callable[..., Any], seeds: Array, rate: float, splits: Splits) -> Any:
    """`function(key, hyperparameters, data)` for every seed with its own split, spread over the devices."""
    devices = max(count for count in range(1, len(jax.devices()) + 1) if len(seeds) % count == 0)
    mesh, spec = Mesh(np.asarray(jax.devices()[:devices]), ("seeds",)), PartitionSpec("seeds")
    hyper = Hyperparameters(np.asarray(rate, splits.train.inputs.dtype), {})

    def one_seed(seed: jax.Array, data: Splits) -> Any:
        return function(jax.random.key(seed, impl="threefry2x32"), hyper, data)

    spread = jax.shard_map(jax.vmap(one_seed), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    program = jax.jit(spread, compiler_options=compiler_options(jax.default_backend()))
    return jax.device_get(program(np.asarray(seeds, np.uint32), splits))
