"""What a comparison trains, with everything that shapes its programs."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ce_jax.comparing._arms import Arm
from ce_jax.comparing._cost import LaneCost, lane_cost
from ce_jax.comparing._drawn import DrawnSplits
from ce_jax.comparing._options import AnalysisOptions, SweepOptions, TrainOptions
from ce_jax.comparing._points import Point
from ce_jax.models import Model
from ce_jax.sweeping import evaluate_block, row_block
from ce_jax.training import Hyperparameters, Splits, Training, evaluation_steps, make_train


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """Data, model, losses and settings of one comparison."""

    model: Model
    arms: tuple[Arm, ...]
    splits: Splits | DrawnSplits
    """Arrays of the three parts; with a leading axis, or drawn when asked for, one split for each of the `seeds`."""
    num_classes: int
    optimizer: str
    optimizer_options: Mapping[str, Any]
    gradient: str
    training: TrainOptions
    sweep: SweepOptions
    analysis: AnalysisOptions

    @property
    def seeds(self) -> np.ndarray:
        """[S] all seeds, those that tune first."""
        return self.sweep.first_seed + np.arange(self.sweep.tuning_seeds + self.sweep.seeds)

    @property
    def evaluate_at(self) -> tuple[int, ...]:
        """The evaluated steps."""
        training = self.training
        return evaluation_steps(training.steps, every=training.evaluate_every, points=training.evaluations)

    @property
    def per_seed(self) -> bool:
        """Whether every seed has a split of its own."""
        return isinstance(self.splits, DrawnSplits) or np.ndim(self.splits.train.labels) == 2

    @property
    def batch(self) -> int:
        """Examples in a training step."""
        size = self.training.batch_size
        return self.example.train.labels.shape[0] if size == "full" else size

    @property
    def features(self) -> int:
        """Numbers in one example, whatever its shape."""
        return math.prod(self.example.train.inputs.shape[1:])

    @property
    def example(self) -> Splits:
        """Shapes of the parts of one seed."""
        held, drop = self.splits, int(self.per_seed)
        if isinstance(held, DrawnSplits):
            held, drop = held.example, 0
        kept = jax.dtypes.canonicalize_dtype  # 64-bit numbers are narrowed unless x64 is enabled
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[drop:], kept(leaf.dtype)), held)

    @functools.cached_property
    def cost(self) -> LaneCost:
        """What one run takes; losses differ little, so the first one's stands for all."""
        return lane_cost(self.train(self.arms[0]), self.lane(self.arms[0]), self.example)

    @functools.cached_property
    def state_size(self) -> int:
        """Bytes of the state of one run, of the arm that has the largest."""
        key = jax.eval_shape(lambda: jax.random.key(0))
        states = [jax.eval_shape(self.train(arm).begin, key, self.lane(arm), self.example) for arm in self.arms]
        return max(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) for state in states)

    def lane(self, arm: Arm) -> Hyperparameters:
        """Shapes of the hyperparameters of one run."""
        number = jax.ShapeDtypeStruct((), self.example.train.inputs.dtype)
        return Hyperparameters(number, dict.fromkeys(arm.options, number), dict.fromkeys(self.sweep.options, number))

    def train(self, arm: Arm) -> Training:
        """The pure training function of an arm."""
        return make_train(
            self.model,
            arm.loss,
            num_classes=self.num_classes,
            evaluate_at=self.evaluate_at,
            optimizer=self.optimizer,
            optimizer_options=self.optimizer_options,
            schedule=self.training.schedule,
            batch_size=None if self.training.batch_size == "full" else self.batch,
            row_block=row_block(self.batch) if on_cpu() else None,
            evaluate_block=evaluate_block(self.model, self.batch) if on_cpu() else None,
            evaluation_rows=self.training.evaluation_rows,
            gradient=self.gradient,
            class_weight=arm.class_weight,
        )

    def splits_of(self, positions: Any) -> Splits:
        """The splits of some of the seeds, by position; where all seeds share one, that one."""
        if isinstance(self.splits, DrawnSplits):
            return self.splits.of(positions)
        return jax.tree.map(lambda leaf: leaf[positions], self.splits) if self.per_seed else self.splits

    def shapes_of(self, seeds: int) -> Splits:
        """Shapes of what `splits_of` gives for so many seeds."""
        leading = (seeds,) if self.per_seed else ()
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype), self.example)

    def hyper(self, points: list[tuple[Arm, Point]]) -> Hyperparameters:
        """Rates and options of some (arm, point) of one program."""
        dtype = self.training.dtype
        options = {name: np.array([arm.options[name] for arm, _ in points], dtype) for name in points[0][0].options}
        tuned = [dict(point.options) for _, point in points]
        traced = {name: np.array([chosen[name] for chosen in tuned], dtype) for name in tuned[0]}
        return Hyperparameters(np.array([point.rate for _, point in points], dtype), options, traced)


def on_cpu() -> bool:
    """Whether waves have to fit the caches of a CPU; other devices are fastest when their memory is full of lanes."""
    return jax.devices()[0].platform == "cpu"
