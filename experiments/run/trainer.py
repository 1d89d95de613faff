"""The trainer that stores: every finished wave is kept, shards share them, and a wave stopped on the way goes on."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ce_jax.comparing import Ask, Listener, Task, Wave, Waves, cut, gather
from ce_jax.sweeping import Checkpoint, Plan
from ce_jax.training import AT_END

from ..errors import UserError
from ..files import write_arrays
from ..source import source
from .distributed import agreed, leads
from .folder import PLAN, UnfinishedRun
from .planning import kept_plan, plan_for
from .shards import PartsMissing, Shard


class StoringTrainer:
    """A `Train` for one run folder: waves are read back where an earlier try of the same code has stored them."""

    def __init__(
        self,
        task: Task,
        run: UnfinishedRun,
        listener: Listener,
        *,
        shard: Shard | None = None,
        compute: bool = True,
        budget: int | None = None,
        plan: Plan | None = None,
    ) -> None:
        """Begin or continue the run in `run`.

        Args:
          task: what is trained; run: where it is stored; listener: is told how far it is.
          shard: do this share only; compute: False to put together what is stored.
          budget: as in `plan_for`; plan: in its place. Either is for a run that has no plan yet.
        """
        self.task, self.run, self.listener, self.shard, self.compute = task, run, listener, shard, compute
        with run.claim(run.folder / PLAN, wait=True):  # all shards cut the work alike
            self.plan = agreed(lambda: kept_plan(run.folder, plan or plan_for(task, budget), run.warn))
        if self.plan.devices < jax.process_count():
            raise UserError(
                f"--distributed: expected at most as many processes as devices at work; waves of "
                f"{self.plan.seeds_per_wave} seeds on {self.plan.devices} devices do not employ all of "
                f"{jax.process_count()} processes; use fewer, or begin the run again with --fresh"
            )
        self.waves = Waves(task, self.plan, listener)
        self.compile_seconds = 0.0

    def __call__(self, asks: Sequence[Ask], seeds: range) -> list[dict[str, Any]]:
        """Get every wave of a phase: first this shard's own, then those of others.

        What is tuned decides what comes next, so a shard also computes what nobody else has begun, and waits for the
        rest. Waves of the last phase are left to their own shards.
        """
        waves = cut(asks, seeds, self.plan)
        own = self.shard.share(len(waves)) if self.shard else range(len(waves) if self.compute else 0)
        tuning = seeds.start < self.task.sweep.first_seed + self.task.sweep.tuning_seeds
        measured: dict[int, Mapping[str, Any]] = {}

        def get(places: Sequence[int], *, compute: bool, wait: bool) -> list[int]:
            """Those that are neither there nor to be computed now."""
            for place in places:
                if (part := self._wave(waves[place], compute=compute, wait=wait)) is not None:
                    measured[place] = part
            return [place for place in places if place not in measured]

        if own:
            self._compile([ask.arm for ask in asks], [waves[place] for place in own])
        get(own, compute=True, wait=True)
        joint = self.compute and tuning
        others = [place for place in range(len(waves)) if place not in own]
        if not joint:
            self._spared(*(waves[place] for place in others))
        late = get(others, compute=joint, wait=False)
        if joint:
            late = get(late, compute=True, wait=True)
        if late:
            owners = f", of shard {', '.join(self.shard.owners(late, len(waves)))}" if self.shard else ""
            phase = "tuning" if tuning else "reporting"
            raise PartsMissing(f"{phase}: {len(late)} of {len(waves)} parts are missing{owners}")
        return gather(asks, seeds, [(waves[place], measured[place]) for place in sorted(measured)])

    def _wave(self, wave: Wave, *, compute: bool, wait: bool) -> Mapping[str, Any] | None:
        """Read a wave, or compute and store it; None where it is neither there nor to be computed now."""
        path = self.run.part({"source": source(), **wave.key})
        checkpoint = path.with_suffix(".checkpoint.npz")
        with self.run.claim(path, wait=wait) as free:
            # Another shard that has claimed a part may be reading it, as this one is about to: it is whole then.
            part = agreed(lambda: self.run.load_part(path, lambda part: self._fits(wave, part), claimed=free))
            if part is not None:
                if compute:
                    self._spared(wave)
                return part
            if not (free and compute):
                return None
            stored = agreed(lambda: self.run.load_part(checkpoint, self._goes_on))

            def save(state: Checkpoint) -> None:
                if leads():
                    write_arrays(checkpoint, state.to_arrays() | {"cut": np.array(self._cut)}, compress=False)

            self._compile([arm for arm, _ in wave.points], [])
            begun = Checkpoint.from_arrays(stored) if stored else None
            part = self.waves.train(wave, checkpoint=begun, save=save)
            part = {name: part[name] for name in self.waves.metrics}
            if leads():
                write_arrays(path, part)
                checkpoint.unlink(missing_ok=True)
            return part

    def _fits(self, wave: Wave, part: Mapping[str, np.ndarray]) -> bool:
        """Whether a stored part has the curves of this wave."""
        return set(part) == set(self.waves.metrics) and self._are_curves(part, (len(wave.points), len(wave.seeds)))

    def _goes_on(self, part: Mapping[str, np.ndarray]) -> bool:
        """Whether a wave of this plan can go on from a stored checkpoint; another plan has other segments and lanes."""
        try:
            state, cut = Checkpoint.from_arrays(part), part["cut"].tolist()
        except (KeyError, TypeError, ValueError):
            return False
        lanes = (self.plan.seeds_per_wave, self.plan.rates_per_wave)
        going = state.columns.tolist()
        return (
            cut == self._cut
            and set(going) <= set(range(lanes[1]))
            and all(leaf.shape[:2] == (lanes[0], len(going)) for leaf in state.leaves)
            and set(state.curves) <= set(self.waves.metrics)
            and self._are_curves(state.curves, lanes)
        )

    def _are_curves(self, part: Mapping[str, np.ndarray], lanes: tuple[int, int]) -> bool:
        evaluations = len(self.task.evaluate_at)
        return all(
            curve.dtype.kind in "fb" and curve.shape[:-1] == lanes and (name in AT_END or curve.shape[2] == evaluations)
            for name, curve in part.items()
        )

    @property
    def _cut(self) -> list[int]:
        """How the plan cuts waves, whatever the number of devices."""
        return [self.plan.seeds_per_wave, self.plan.rates_per_wave, self.plan.segment_steps or 0]

    def _compile(self, arms: Sequence[Any], waves: Sequence[Wave]) -> None:
        """Compile what these waves need and what is not stored; several programs at a time where they are known."""
        if waves:
            parts = [self.run.part({"source": source(), **wave.key}) for wave in waves]
            missing = agreed(lambda: [place for place, part in enumerate(parts) if not part.exists()])
            needed = {waves[place].points[0][0].program for place in missing}
            arms = [arm for arm in arms if arm.program in needed]
        begin = time.perf_counter()
        self.waves.compile(arms)
        self.compile_seconds += time.perf_counter() - begin

    def _spared(self, *waves: Wave) -> None:
        """Count waves that are stored, or left to others, as dealt with but not as made."""
        self.listener.advance(0, sum(wave.lanes for wave in waves) * self.task.training.steps)
