"""From configs to curves under the fairness rules: tune on one set of seeds, report on another, store what is finished.

A claim's setting is one or several `Config`s. Every loss of a config is trained over the same grid of rates on the
tuning seeds; while one of them has its best rate on an edge, the grid grows there for all. On the fresh seeds each loss
is then trained at its own best rate or, where a claim is about the grid itself, at every rate.
"""

import itertools
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ce_jax.analysis import steps_to_target
from ce_jax.sweep import CompiledWave, blocks, compile_wave, compiler_options, plan_waves
from ce_jax.training import Hyperparameters, Splits
from experiments.claims.record import Request
from experiments.config import Config, fingerprint, identity
from experiments.planning import WIDEN_BY, bytes_of_step, memory_budget, memory_of_lane, rates_beyond
from experiments.plots import Array
from experiments.run import precision
from experiments.store import read_arrays, write_arrays
from experiments.summary import choose_rate
from experiments.workload import Arm, Workload, load_workload


class Trained(NamedTuple):
    """What a config gave. A run that diverged is NaN from there on."""

    config: Config
    steps: Array
    """[E] evaluated steps."""
    rates: Array
    """[R] the final grid, the same for every loss."""
    chosen: dict[str, int]
    """{loss: position of its best rate}, by the tuning seeds alone."""
    tuning: dict[str, Array]
    """{loss/metric: [R, S, E]} on the tuning seeds."""
    fresh: dict[str, Array]
    """{loss/metric: [S, E]} on the fresh seeds at the best rate."""
    everywhere: dict[str, Array]
    """{loss/metric: [R, S, E]} on the fresh seeds at every rate, where that was asked for."""

    @property
    def losses(self) -> list[str]:
        """The losses compared, in the order of the config."""
        return list(self.chosen)

    @property
    def edges(self) -> list[str]:
        """Losses whose best rate lies on an edge of the final grid."""
        return [loss for loss, place in self.chosen.items() if place in (0, len(self.rates) - 1)]

    def final(self, loss: str, metric: str) -> Array:
        """[S] an accuracy after the last step, 0 where the run diverged."""
        return np.nan_to_num(self.fresh[f"{loss}/{metric}"][:, -1])

    def times(self, loss: str, target: float, metric: str = "validation_accuracy") -> Array:
        """[S] steps to the target, +inf where it was never reached: such a run is censored, never dropped."""
        reached = steps_to_target(self.fresh[f"{loss}/{metric}"], self.steps, target)
        return np.where(np.isnan(self.fresh[f"{loss}/train_loss"][:, -1]), np.inf, reached)


def trained(
    name: str, config: Config, request: Request, *, everywhere: bool = False, rates_per_wave: int = 1
) -> Trained:
    """Train a config, or read what an earlier try of the same claim has stored.

    Args:
      name: what the config is called in the claim's folder.
      config: what to train; its first seed is moved by the request.
      request: says where to store.
      everywhere: train the fresh seeds at every rate of the grid and not only at the best one.
      rates_per_wave: more of them train faster, but waste lanes where a single rate is trained.
    """
    config = moved(config, request)
    path = request.folder / f"{name}-{fingerprint([identity(config), everywhere])}" / "curves.npz"
    try:
        stored = read_arrays(path)
        if request.earlier is not None:
            request.earlier.append(float(stored.get("seconds", 0.0)))
    except (FileNotFoundError, ValueError):
        request.reporter.say(f"training {name}")
        begin = time.perf_counter()
        with precision(config):
            stored = _Trainer(load_workload(name, config), rates_per_wave).all_curves(everywhere)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, {**stored, "seconds": np.array(time.perf_counter() - begin)})

    def part(prefix: str) -> dict[str, Array]:
        return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}

    chosen = {loss: int(place) for loss, place in part("chosen/").items()}
    names = json.loads(str(stored["losses"]))
    found = Trained(
        config,
        stored["steps"],
        stored["rates"],
        {loss: chosen[loss] for loss in names},
        part("tuning/"),
        part("fresh/"),
        part("everywhere/"),
    )
    if request.edges is not None and config.sweep.widen:
        request.edges.extend(f"{name}: {loss} at {found.rates[chosen[loss]]:.3g}" for loss in found.edges)
    return found


def moved(config: Config, request: Request) -> Config:
    """The config with every seed moved as the request says."""
    data = replace(config.data, generator_seed=config.data.generator_seed + request.seed)
    return replace(config, data=data, sweep=replace(config.sweep, first_seed=request.first_seed))


class _Trainer:
    """Lanes of one workload, in programs that are compiled when first needed."""

    def __init__(self, workload: Workload, rates_per_wave: int) -> None:
        self.workload, self.rates_per_wave = workload, rates_per_wave
        programs = dict.fromkeys(arm.program for arm in workload.arms)
        members = {program: [arm for arm in workload.arms if arm.program == program] for program in programs}
        # A wave holds every member of a family once, over the tuning seeds: tuning, widening and the fresh seeds then
        # share one program, and compiling is what takes longest. Meanwhile the other core compiles the next.
        with ThreadPoolExecutor(2) as pool:
            self.programs = dict(zip(members, pool.map(self._compile, members.values()), strict=True))

    def _compile(self, members: Sequence[Arm]) -> CompiledWave:
        workload, splits = self.workload, self.workload.splits
        devices = len(jax.devices())
        tuning = workload.config.sweep.tuning_seeds
        plan = plan_waves(
            (-(-tuning // devices) * devices,),
            len(members) * self.rates_per_wave,
            memory_of_lane(workload),
            bytes_per_step=bytes_of_step(workload),
            budget=memory_budget(),
            devices=devices,
        )
        if splits.train.labels.ndim == 2:
            splits = jax.tree.map(lambda leaf: leaf[:1], splits)
        with precision(workload.config):  # which holds for one thread
            return compile_wave(workload.train(members[0]), plan, self._hyper([(arm, 1.0) for arm in members]), splits)

    def _hyper(self, pairs: Sequence[tuple[Arm, float]]) -> Hyperparameters:
        dtype = self.workload.config.train.dtype
        options = {name: np.array([arm.options[name] for arm, _ in pairs], dtype) for name in pairs[0][0].options}
        return Hyperparameters(np.array([rate for _, rate in pairs], dtype), options)

    def all_curves(self, everywhere: bool) -> dict[str, Array]:
        """Tune, widen, report."""
        options, arms = self.workload.config.sweep, self.workload.arms
        grid = options.learning_rates
        rates = [float(rate) for rate in np.geomspace(grid.low, grid.high, grid.count)]
        tuning = range(options.tuning_seeds)
        fresh = range(options.tuning_seeds, len(self.workload.seeds))
        found = self._over(arms, rates, tuning)
        for widening in range(options.widen + 1):
            curves = {"steps": np.array(self.workload.evaluate_at), **self._stacked(found, arms, rates)}
            analysis = self.workload.config.analysis
            choices = {arm.label: choose_rate(curves, arm.label, len(tuning), analysis) for arm in arms}
            edges = {choice.edge for choice in choices.values()} - {0}
            if not edges or widening == options.widen:
                break
            added = rates_beyond(rates, edges, WIDEN_BY)
            found |= self._over(arms, added, tuning)
            rates = sorted(rates + added)
        stored = {f"tuning/{key}": value for key, value in curves.items() if key != "steps"}
        stored |= {f"chosen/{label}": np.array(choice.rate) for label, choice in choices.items()}
        if everywhere:
            whole = self._stacked(self._over(arms, rates, fresh), arms, rates)
            stored |= {f"everywhere/{key}": value for key, value in whole.items()}
            best = {key: value[choices[key.rpartition("/")[0]].rate] for key, value in whole.items()}
        else:
            pairs = [(arm, rates[choices[arm.label].rate]) for arm in arms]
            lanes = self._lanes(pairs, fresh)
            best = {
                f"{arm.label}/{metric}": value
                for arm, rate in pairs
                for metric, value in lanes[arm.label, rate].items()
            }
        stored |= {f"fresh/{key}": value for key, value in best.items()}
        labels = np.array(json.dumps([arm.label for arm in arms]))
        return {**stored, "steps": curves["steps"], "rates": np.array(rates), "losses": labels}

    def _over(self, arms: Sequence[Arm], rates: Sequence[float], seeds: range) -> dict[tuple[str, float], Any]:
        return self._lanes(list(itertools.product(arms, rates)), seeds)

    def _stacked(self, found: dict, arms: Sequence[Arm], rates: Sequence[float]) -> dict[str, Array]:
        metrics = next(iter(found.values()))
        return {
            f"{arm.label}/{metric}": np.stack([found[arm.label, rate][metric] for rate in rates])
            for arm in arms
            for metric in metrics
        }

    def _lanes(self, pairs: Sequence[tuple[Arm, float]], seeds: range) -> dict[tuple[str, float], dict[str, Array]]:
        """{(loss, rate): {metric: [S, E]}}; members of a family share a program and its waves."""
        found: dict[tuple[str, float], dict[str, Array]] = {}
        for program, compiled in self.programs.items():
            together = [pair for pair in pairs if pair[0].program == program]
            for block in blocks(seeds, range(len(together)), compiled.plan):
                chosen, rows = [together[place] for place in block.hyper], np.array(block.seeds)
                splits = self.workload.splits
                if splits.train.labels.ndim == 2:
                    splits = jax.tree.map(lambda leaf, rows=rows: leaf[rows], splits)
                curves = compiled.run(self.workload.seeds[rows], self._hyper(chosen), splits)
                for lane, (arm, rate) in enumerate(chosen):
                    slot = found.setdefault((arm.label, rate), {})
                    for metric, curve in curves.items():
                        slot[metric] = np.concatenate([slot[metric], curve[lane]]) if metric in slot else curve[lane]
        return found


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
