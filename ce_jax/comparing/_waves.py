"""The waves of a task: what trains together in one call of a compiled program."""

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from ce_jax.comparing._arms import Arm
from ce_jax.comparing._choice import long_reached
from ce_jax.comparing._curves import Array
from ce_jax.comparing._points import Point, first_points
from ce_jax.comparing._protocol import Ask, Listener
from ce_jax.comparing._task import Task
from ce_jax.sweeping import MEASURED, Checkpoint, CompiledWave, Plan, blocks, compile_wave
from ce_jax.training import AT_END, METRICS


class Wave(NamedTuple):
    """Some (arm, point) of one program, each on the same seeds."""

    points: tuple[tuple[Arm, Point], ...]
    seeds: tuple[int, ...]

    @property
    def lanes(self) -> int:
        """Classifiers in it."""
        return len(self.points) * len(self.seeds)

    @property
    def key(self) -> dict[str, Any]:
        """What names it among the waves of a task; without options tuned, what it was before there were any."""
        points = [[arm.label, point.rate, *([dict(point.options)] * bool(point.options))] for arm, point in self.points]
        return {"points": points, "seeds": list(self.seeds)}


def cut(asks: Sequence[Ask], seeds: range, plan: Plan) -> list[Wave]:
    """The waves of a phase. Losses that share a program (members of a family) share waves."""
    points = [(ask.arm, point) for ask in asks for point in ask.points]
    waves = []
    for program in dict.fromkeys(arm.program for arm, _ in points):
        together = [point for point in points if point[0].program == program]
        for block in blocks(seeds, range(len(together)), plan):
            waves.append(Wave(tuple(together[place] for place in block.hyper), block.seeds))
    return waves


def gather(
    asks: Sequence[Ask], seeds: range, pieces: Sequence[tuple[Wave, Mapping[str, Array]]]
) -> list[dict[str, Array]]:
    """{metric: [points, seeds, E or K]} of each of the asks, from what the waves measured, of the same shapes."""
    places = {(ask.arm.label, point): (i, j) for i, ask in enumerate(asks) for j, point in enumerate(ask.points)}
    gathered: list[dict[str, Array]] = [{} for _ in asks]
    for wave, measured in pieces:
        columns = np.asarray(wave.seeds) - seeds.start
        for metric, curve in measured.items():
            for row, (arm, point) in enumerate(wave.points):
                i, j = places[arm.label, point]
                shape = (len(asks[i].points), len(seeds), curve.shape[-1])
                whole = gathered[i].setdefault(metric, np.empty(shape, curve.dtype))
                whole[j, columns] = curve[row]
    return gathered


class Waves:
    """Trains the waves of a task on the devices of this process; each program is compiled when first needed."""

    def __init__(self, task: Task, plan: Plan, listener: Listener | None = None) -> None:
        self.task, self.plan, self.listener = task, plan, listener or Listener()
        self.programs: dict[tuple[str, ...], CompiledWave] = {}
        retire = task.sweep.retire_reached
        self.done = functools.partial(long_reached, options=task.analysis) if retire else None
        self.metrics = (*METRICS, *AT_END, *((MEASURED,) if retire else ()))

    def compile(self, arms: Sequence[Arm]) -> None:
        """Compile the programs of these arms that are missing, two at a time: it takes longest on small tasks."""
        missing = {arm.program: arm for arm in arms if arm.program not in self.programs}
        if not missing:
            return
        self.listener.say(f"compiling {', '.join(dict.fromkeys(arm.loss.name for arm in missing.values()))}")
        double = bool(jax.config.read("jax_enable_x64"))

        def compiled(arm: Arm) -> CompiledWave:
            with jax.enable_x64(double):  # which holds for one thread
                # Any point will do, as only its shape matters.
                hyper = self.task.hyper([(arm, first_points(self.task.sweep)[0])])
                return compile_wave(self.task.train(arm), self.plan, hyper, self.task.shapes_of(1))

        with ThreadPoolExecutor(2) as pool:
            self.programs |= dict(zip(missing, pool.map(compiled, missing.values()), strict=True))

    def train(
        self,
        wave: Wave,
        *,
        checkpoint: Checkpoint | None = None,
        save: Callable[[Checkpoint], None] | None = None,
    ) -> dict[str, Array]:
        """{metric: [points, seeds, E]} of a wave, from its start or from a checkpoint."""
        arm = wave.points[0][0]
        self.compile([arm])
        positions = np.asarray(wave.seeds) - self.task.sweep.first_seed
        return self.programs[arm.program].run(
            np.asarray(wave.seeds),
            self.task.hyper(list(wave.points)),
            self.task.splits_of(positions),
            checkpoint=checkpoint,
            save=save,
            done=self.done,
            progress=self.listener.advance,
        )

    def __call__(self, asks: Sequence[Ask], seeds: range) -> list[dict[str, Array]]:
        """Train all waves of a phase one after the other: the plain `Train`."""
        self.compile([ask.arm for ask in asks])
        return gather(asks, seeds, [(wave, self.train(wave)) for wave in cut(asks, seeds, self.plan)])
