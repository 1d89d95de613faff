"""Run one workload: tune, widen, report; every finished wave stored, so that a stopped run continues.

The order of work is fixed by the fairness rules. First every loss is trained on the tuning seeds over the same grid of
rates; while some loss has its best rate on an edge, the grid grows there, for all losses alike. Then every loss is
trained over the whole grid on the fresh seeds, from which alone results are reported.
"""

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ce_jax.sweep import MEASURED, Block, Checkpoint, CompiledWave, Plan, blocks, compile_wave
from ce_jax.training import METRICS, Hyperparameters
from experiments.config import Config, as_dict, flatten
from experiments.distributed import agreed, leads, open_jointly
from experiments.errors import UserError
from experiments.planning import WIDEN_BY, kept_plan, plan_for, rates_beyond
from experiments.progress import Reporter
from experiments.provenance import describe, provenance, run_name
from experiments.report import build_report
from experiments.shards import PartsMissing, Shard
from experiments.store import Run, write_arrays, write_json
from experiments.summary import choose_rate, long_reached, run_table, summarise
from experiments.workload import Arm, Workload, load_workload


class Outcome(NamedTuple):
    """The finished folder, whether it was already there, and what is missing where it is not finished yet."""

    folder: Path
    existed: bool
    waiting: str | None = None


@contextlib.contextmanager
def precision(config: Config) -> Iterator[None]:
    """Double precision is switched on only for the runs that ask for it."""
    with jax.enable_x64(config.train.dtype == "float64"):
        yield


def run_workload(
    name: str,
    config: Config,
    out: Path,
    command: Sequence[str],
    reporter: Reporter,
    fresh: bool = False,
    *,
    shard: Shard | None = None,
    train: bool = True,
    budget: int | None = None,
) -> Outcome:
    """Train, compare and report one workload.

    Args:
      name: the config's name; config: what to run; out: folder of all results; command: the command line, for the
        provenance; reporter: shows progress; fresh: compute again what is finished; shard: do this share only;
        train: False to put together what is stored and compute nothing; budget: as in `plan_for`, for a run that has
        no plan yet.

    Returns:
      The run folder, finished unless other shards have still to compute parts of it.

    Raises:
      UserError: something in the config does not exist or fit, or the folder cannot be written.
      KeyboardInterrupt: passed on; what is finished is stored.
    """
    with precision(config):
        workload = load_workload(name, config)
        final = out / run_name(workload)
        if agreed(lambda: final.exists() and not fresh):
            return Outcome(final, True)
        with open_jointly(final, fresh=fresh, shard=shard) as run:
            run.warn = reporter.say
            begin = time.perf_counter()
            trainer = _Trainer(workload, run, reporter, shard, train, budget)
            try:
                curves = trainer.all_curves()
            except PartsMissing as missing:
                return Outcome(final, False, str(missing))
            if not run.take_over():
                waiting = "every part is there; another shard is still at work and will put them together"
                return Outcome(final, final.exists(), None if final.exists() else waiting)
            seconds = time.perf_counter() - begin
            if leads():
                _write(run.folder, workload, curves, provenance(command, trainer.compile_seconds, seconds))
                build_report(run.folder)
                run.finish()
    return Outcome(final, False)


class _Trainer:
    """The waves of one workload: compiled when first needed, read back where an earlier try has stored them."""

    def __init__(
        self,
        workload: Workload,
        run: Run,
        reporter: Reporter,
        shard: Shard | None,
        train: bool,
        budget: int | None = None,
    ) -> None:
        self.workload, self.run, self.reporter, self.shard, self.train = workload, run, reporter, shard, train
        with run.claim(run.folder / "plan.json", wait=True):  # all shards cut the work alike
            self.plan = agreed(lambda: self._begin(budget))
        self.programs: dict[tuple[str, ...], CompiledWave] = {}
        self.compile_seconds = 0.0
        retire = workload.config.sweep.retire_reached
        self.done = functools.partial(long_reached, options=workload.config.analysis) if retire else None
        self.metrics = (*METRICS, MEASURED) if retire else METRICS
        # results[loss][rate][metric] is an array [S, E] that fills up as seeds are trained.
        self.results: dict[str, dict[float, dict[str, np.ndarray]]] = {arm.label: {} for arm in workload.arms}

    def _begin(self, budget: int | None) -> Plan:
        plan = kept_plan(self.run.folder, plan_for(self.workload, budget))
        if plan.devices < jax.process_count():
            raise UserError(
                f"--distributed: waves of {plan.seeds_per_wave} seeds on {plan.devices} devices do not employ all of "
                f"{jax.process_count()} processes; use fewer, or begin the run again with --fresh"
            )
        write_json(self.run.folder / "config.json", as_dict(self.workload.config))
        return plan

    def all_curves(self) -> dict[str, np.ndarray]:
        """Tune, widen, report; then everything in the layout of `curves.npz`."""
        options, analysis = self.workload.config.sweep, self.workload.config.analysis
        grid = options.learning_rates
        rates = [float(rate) for rate in np.geomspace(grid.low, grid.high, grid.count)]
        tuning = range(options.tuning_seeds)
        added = rates
        for widening in range(options.widen + 1):
            steps = self.workload.config.train.steps
            self.reporter.plan(len(added) * len(self.workload.seeds) * len(self.workload.arms), steps)
            self.reporter.say(f"tuning: {len(added)} learning rates x {len(tuning)} seeds for each loss")
            self._train("tuning", tuning, added)
            curves = self._assemble(rates)
            edges = {choose_rate(curves, arm.label, len(tuning), analysis).edge for arm in self.workload.arms} - {0}
            if not edges or widening == options.widen:
                break
            added = rates_beyond(rates, edges, WIDEN_BY)
            rates = sorted(rates + added)
            self.reporter.say(f"a best rate lies on the edge: widening the grid to {rates[0]:.3g} .. {rates[-1]:.3g}")
        fresh = range(len(tuning), len(self.workload.seeds))
        self.reporter.say(f"reporting: {len(rates)} learning rates x {len(fresh)} fresh seeds for each loss")
        self._train("reporting", fresh, rates)
        return self._assemble(rates)

    def _train(self, phase: str, seeds: Sequence[int], rates: Sequence[float]) -> None:
        """Get every wave of a phase: first this shard's own, then those of others.

        What is tuned decides what comes next, so a shard also computes what nobody else has begun, and waits for the
        rest. Waves of the last phase are left to their own shards.
        """
        waves = [(arm, block) for arm in self.workload.arms for block in blocks(seeds, range(len(rates)), self.plan)]
        own = self.shard.share(len(waves)) if self.shard else range(len(waves) if self.train else 0)
        for i in own:
            self._wave(*waves[i], rates, train=True, wait=True)
        joint = self.train and phase == "tuning"
        others = [i for i in range(len(waves)) if i not in own]
        if not joint:
            self._spared(*(waves[i][1] for i in others))
        late = [i for i in others if not self._wave(*waves[i], rates, train=joint, wait=False)]
        if joint:
            late = [i for i in late if not self._wave(*waves[i], rates, train=True, wait=True)]
        if late:
            owners = f", of shard {', '.join(self.shard.owners(late, len(waves)))}" if self.shard else ""
            raise PartsMissing(f"{phase}: {len(late)} of {len(waves)} parts are missing{owners}")

    def _wave(self, arm: Arm, block: Block, rates: Sequence[float], *, train: bool, wait: bool) -> bool:
        """Read a wave, or compute and store it; False where it is neither there nor to be computed now."""
        chosen = [rates[i] for i in block.hyper]
        key = {
            "loss": arm.label,
            "rates": chosen,
            "seeds": [int(self.workload.seeds[i]) for i in block.seeds],
        }
        path = self.run.part(key)
        with self.run.claim(path, wait=wait) as free:
            part = agreed(lambda: self.run.load_part(path)) if free else None
            if part is None:
                if not (free and train):
                    return False
                part = self._compute(arm, chosen, list(block.seeds), path.with_suffix(".checkpoint.npz"))
                if leads():
                    write_arrays(path, part)
                    path.with_suffix(".checkpoint.npz").unlink(missing_ok=True)
            elif train:
                self._spared(block)
        for row, rate in enumerate(chosen):
            for metric in self.metrics:
                self._slot(arm.label, rate, metric)[list(block.seeds)] = part[metric][row]
        return True

    def _spared(self, *blocks: Block) -> None:
        """Count waves that are stored, or left to others, as dealt with but not as made."""
        lanes = sum(len(block.seeds) * len(block.hyper) for block in blocks)
        self.reporter.advance(0, lanes * self.workload.config.train.steps)

    def _slot(self, loss: str, rate: float, metric: str) -> np.ndarray:
        shape = (len(self.workload.seeds), len(self.workload.evaluate_at))
        slots = self.results[loss].setdefault(rate, {})
        dtype = bool if metric == MEASURED else self.workload.config.train.dtype
        return slots.setdefault(metric, np.full(shape, False if metric == MEASURED else np.nan, dtype))

    def _compute(
        self, arm: Arm, rates: Sequence[float], positions: list[int], checkpoint: Path
    ) -> dict[str, np.ndarray]:
        dtype = self.workload.config.train.dtype
        hyper = Hyperparameters(
            np.asarray(rates, dtype), {name: np.full(len(rates), value, dtype) for name, value in arm.options.items()}
        )
        splits = self.workload.splits
        if splits.train.labels.ndim == 2:
            splits = jax.tree.map(lambda leaf: leaf[positions], splits)
        if arm.program not in self.programs:
            self.reporter.say(f"compiling {arm.label}")
            begin = time.perf_counter()
            self.programs[arm.program] = compile_wave(self.workload.train(arm), self.plan, hyper, splits)
            self.compile_seconds += time.perf_counter() - begin
        stored = agreed(lambda: self.run.load_part(checkpoint))

        def save(state: Checkpoint) -> None:
            if leads():
                write_arrays(checkpoint, state.to_arrays(), compress=False)

        return self.programs[arm.program].run(
            self.workload.seeds[positions],
            hyper,
            splits,
            checkpoint=Checkpoint.from_arrays(stored) if stored else None,
            save=save,
            done=self.done,
            progress=self.reporter.advance,
        )

    def _assemble(self, rates: Sequence[float]) -> dict[str, np.ndarray]:
        curves = {"steps": np.asarray(self.workload.evaluate_at), "seeds": self.workload.seeds}
        for arm in self.workload.arms:
            curves[f"learning_rates/{arm.label}"] = np.asarray(rates)
            for metric in self.metrics:
                curves[f"{arm.label}/{metric}"] = np.stack([self._slot(arm.label, rate, metric) for rate in rates])
        return curves


def _write(folder: Path, workload: Workload, curves: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> None:
    config = workload.config
    labels = [arm.label for arm in workload.arms]
    resolved, tuning = as_dict(config), config.sweep.tuning_seeds
    write_json(folder / "config.json", resolved)
    write_json(folder / "provenance.json", dict(provenance))
    write_arrays(folder / "curves.npz", curves)
    table = run_table(flatten(resolved), labels, curves, tuning, config.analysis)
    table.write_parquet(folder / "runs.parquet")
    write_json(folder / "summary.json", summarise(describe(workload), labels, curves, tuning, config.analysis))
