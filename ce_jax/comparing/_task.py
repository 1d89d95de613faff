"""What a comparison trains, with everything that shapes its programs."""

import functools
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax._checking import first_line
from ce_jax.comparing._arms import Arm
from ce_jax.comparing._cost import LaneCost, lane_cost
from ce_jax.comparing._options import AnalysisOptions, SweepOptions, TrainOptions
from ce_jax.comparing._points import Point
from ce_jax.models import Model, begin, check_model
from ce_jax.sweeping import evaluate_block, row_block
from ce_jax.training import (
    Hyperparameters,
    Splits,
    Training,
    evaluation_steps,
    make_train,
    no_option,
    option_names,
    rarest_half,
    tunable_options,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """Data, model, losses and settings of one comparison."""

    model: Model
    arms: tuple[Arm, ...]
    splits: Splits
    """Arrays of the three parts; with a leading axis, one split for each of the `seeds`."""
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
        return np.ndim(self.splits.train.labels) == 2

    @property
    def batch(self) -> int:
        """Examples in a training step."""
        size = self.training.batch_size
        return self.splits.train.labels.shape[-1] if size == "full" else size

    @property
    def features(self) -> int:
        """Numbers in one example, whatever its shape."""
        train = self.splits.train
        return math.prod(train.inputs.shape[train.labels.ndim :])

    @property
    def example(self) -> Splits:
        """Shapes of the parts of one seed."""
        drop = int(self.per_seed)
        kept = jax.dtypes.canonicalize_dtype  # 64-bit numbers are narrowed unless x64 is enabled
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[drop:], kept(leaf.dtype)), self.splits)

    @functools.cached_property
    def cost(self) -> LaneCost:
        """What one run takes; losses differ little, so the first one's stands for all."""
        return lane_cost(self.train(self.arms[0]), self.lane(self.arms[0]), self.example)

    def lane(self, arm: Arm) -> Hyperparameters:
        """Shapes of the hyperparameters of one run."""
        number = jax.ShapeDtypeStruct((), self.splits.train.inputs.dtype)
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
            evaluate_block=evaluate_block(self.model) if on_cpu() else None,
            gradient=self.gradient,
            class_weight=arm.class_weight,
        )

    def splits_of(self, positions: Any) -> Splits:
        """The splits of some of the seeds, by position; where all seeds share one, that one."""
        return jax.tree.map(lambda leaf: leaf[positions], self.splits) if self.per_seed else self.splits

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


def check_task(task: Task) -> None:
    """Trace (not run) what every arm computes first, so that what does not fit is said before anything is computed.

    Raises:
      ValueError: a batch larger than the training part, a loss that fails or has another shape than one value per
        example, a start that does not fit the model, an option that the optimizer does not have or that cannot be
        tuned, a target metric that a part has no examples for.
    """
    size = task.splits.train.labels.shape[-1]
    if task.batch > size:
        raise ValueError(f"train.batch_size: expected at most the {size} training examples, got {task.batch}")
    logits = jax.ShapeDtypeStruct((5, task.num_classes), jnp.float32)
    labels = jax.ShapeDtypeStruct((5,), jnp.int32)
    for arm in task.arms:
        try:
            # Training fills in what a loss takes as `prior`.
            takes_prior = "prior" in inspect.signature(arm.loss.value).parameters
            prior = {"prior": jnp.full(task.num_classes, 1 / task.num_classes)} if takes_prior else {}
            out = jax.eval_shape(
                lambda z, y, arm=arm, prior=prior: arm.loss.value(z, y, **arm.options, **prior), logits, labels
            )
        except Exception as error:
            raise ValueError(f"loss: {arm.label}: fails on logits {list(logits.shape)}: {first_line(error)}") from None
        if getattr(out, "shape", None) != (5,):
            came = getattr(out, "shape", type(out))
            raise ValueError(f"loss: {arm.label}: expected one value per example, shape (5,), got {came}")
        task.train(arm)
    inputs = task.splits_of(0).train.inputs
    if task.model.columns is None:
        check_model(task.model, inputs, task.num_classes)
    _check_options(task)
    try:
        jax.eval_shape(lambda: begin(task.model, jax.random.key(0), inputs, task.num_classes))
    except ValueError as error:
        raise ValueError(first_line(error)) from None
    part, rare, _ = task.analysis.target_metric.partition("_rare_")
    if rare:
        _check_rare(part, getattr(task.splits, part).labels, task.splits.train.labels, task.num_classes)


def _check_rare(name: str, labels: np.ndarray, train: np.ndarray, num_classes: int) -> None:
    """Whether the part has rows of the rarest classes, without which there is no accuracy on them."""
    for own, trained in zip(np.atleast_2d(labels), np.atleast_2d(train), strict=True):
        rare = np.asarray(rarest_half(jnp.asarray(np.bincount(trained, minlength=num_classes))))
        if not rare[own].any():
            raise ValueError(
                f"analysis.target_metric: {name}_rare_accuracy needs examples of the rarest half of the classes in the "
                f"{name} part, and for some seed there is none; make that part larger or choose another metric"
            )


def _check_options(task: Task) -> None:
    """Check that every tuned option is one of the optimizer's, a number, and not fixed."""
    if not task.sweep.options:
        return
    known, tunable = option_names(task.optimizer), tunable_options(task.optimizer, task.optimizer_options)
    for option in task.sweep.options:
        where = f"sweep.options.{option}"
        if option not in known:
            raise ValueError(f"{where}: {no_option(task.optimizer, option, known)}")
        if option in task.optimizer_options:
            raise ValueError(f"{where}: expected an option that is not fixed in optimizer_options as well")
        if option not in tunable:
            raise ValueError(f"{where}: expected an option that is a number ({', '.join(tunable)}), got {option!r}")
