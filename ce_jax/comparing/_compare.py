"""`compare`: the whole comparison from Python, without configs and files."""

import dataclasses
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ce_jax._checking import check, check_count
from ce_jax.comparing._arms import arms_of
from ce_jax.comparing._curves import Curves, joined_seeds
from ce_jax.comparing._drawn import DrawnSplits, drawn_parts_of, split_drawer
from ce_jax.comparing._given import checked_arrays, checked_splits, numbers, record, table
from ce_jax.comparing._options import (
    AnalysisOptions,
    PartOptions,
    RateGrid,
    Scale,
    SplitOptions,
    SweepOptions,
    TrainOptions,
    Zipf,
    check_together,
)
from ce_jax.comparing._planning import plan_task
from ce_jax.comparing._protocol import Listener, tune_and_report
from ce_jax.comparing._summary import summarise
from ce_jax.comparing._table import html_table, text_table
from ce_jax.comparing._task import Task
from ce_jax.comparing._trial import check_task
from ce_jax.comparing._waves import Waves
from ce_jax.comparing._words import headline
from ce_jax.losses import Loss
from ce_jax.models import as_model
from ce_jax.training import Splits

MEMORY = 2**30
"""Bytes that the classifiers trained together may take on each device, unless it is said."""


class Comparison(NamedTuple):
    """What `compare` found; printed, or shown in a notebook, it is the sentence and the table of the command line."""

    summary: dict[str, Any]
    """The record of `summary.json`."""
    curves: Curves
    """Every curve; `curves.to_arrays()` is the content of `curves.npz`."""

    @property
    def headline(self) -> str:
        """The finding and how sure it is, then whatever weakens it."""
        return headline(self.summary)

    @property
    def table(self) -> str:
        """The losses side by side, as text."""
        return text_table([self.summary])

    def __str__(self) -> str:
        return f"{self.headline}\n\n{self.table}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>{html_table(self.summary)}"


def compare(
    inputs: Any,
    labels: Any = None,
    *,
    model: Any,
    losses: Sequence[str | Loss | Callable[..., Any] | Mapping[str, Any]] = ("cross_entropy", "ssr"),
    optimizer: str = "sgd",
    optimizer_options: Mapping[str, Any] | None = None,
    gradient: str = "autodiff",
    label_noise: float = PartOptions.label_noise,
    scale: Scale = PartOptions.scale,
    imbalance: int | float | Zipf | Mapping[str, Any] = PartOptions.imbalance,
    balanced_test: bool = PartOptions.balanced_test,
    split: SplitOptions | Mapping[str, Any] | None = None,
    steps: int = TrainOptions.steps,
    schedule: str = TrainOptions.schedule,
    batch_size: Any = TrainOptions.batch_size,
    evaluate_every: int | None = TrainOptions.evaluate_every,
    evaluations: int = TrainOptions.evaluations,
    evaluation_rows: int | None = TrainOptions.evaluation_rows,
    dtype: Any = TrainOptions.dtype,
    learning_rates: RateGrid | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    search: str = SweepOptions.search,
    draws: int = SweepOptions.draws,
    widen: int = SweepOptions.widen,
    seeds: int = SweepOptions.seeds,
    tuning_seeds: int = SweepOptions.tuning_seeds,
    first_seed: int = SweepOptions.first_seed,
    retire_reached: bool = SweepOptions.retire_reached,
    targets: Sequence[float] = AnalysisOptions.targets,
    headline_target: float | None = AnalysisOptions.headline_target,
    target_metric: Any = AnalysisOptions.target_metric,
    sustained: int = AnalysisOptions.sustained,
    tune_by: Any = AnalysisOptions.tune_by,
    confidence: float = AnalysisOptions.confidence,
    resamples: int = AnalysisOptions.resamples,
    memory: int = MEMORY,
    name: str = "comparison",
    dataset: str = "your data",
    progress: Callable[[str], Any] | None = None,
) -> Comparison:
    """Compare losses on your data: tune each alike, judge on fresh seeds, never drop a run.

    Knobs mean what the keys of a config mean, and have the same defaults from the same records (`TrainOptions`,
    `SweepOptions`, `AnalysisOptions`, `PartOptions`); `run` with the same settings gives the same summary and curves.

    Args:
      inputs: [N, D] numbers, or [N, H, W, C] for images, with labels [N] of any type; every seed draws its own
        stratified split and scales it by its training part. Or `Splits` without labels,
        taken as they are: labels 0..K-1, one split for all seeds or, with a leading axis, one for each of the
        tuning_seeds + seeds.
      labels: see inputs.
      model: a `linear`, `mlp` or `cnn`, whose start is part of it; or a network of your own: a pair of functions
        `init(key, inputs[, num_classes])` and `apply(params, inputs [N, ...]) -> logits [N, K]`, a module of flax,
        equinox or haiku, or a function of (num_classes, input_shape) that returns one of them.
      losses: names of `LOSSES`, `Loss` records, functions of (logits [N, K], labels [N]) with values [N], or tables
        {"name": ..., option: number or list of numbers}.
      optimizer, optimizer_options: an optax optimizer by name and its further arguments.
      gradient: "autodiff" or "manual" (hand-written, through every layer).
      label_noise, scale, imbalance, balanced_test, split: as in the table [data] of a config; imbalance is a ratio or
        {"zipf": exponent}.
      steps, schedule, batch_size, evaluate_every, evaluations, evaluation_rows, dtype: as in [train].
      learning_rates, options, search, draws, widen, seeds, tuning_seeds, first_seed, retire_reached: as in [sweep];
        learning_rates is a `RateGrid` or {"low": ..., "high": ..., "count": ...}, options tunes what the optimizer has
        beside the rate, {"momentum": [0.0, 0.9]}.
      targets, headline_target, target_metric, sustained, tune_by, confidence, resamples: as in [analysis].
      memory: bytes that the classifiers trained together may take on each device.
      name, dataset: how the summary calls the comparison and the data.
      progress: called with a line about what begins; `print` will do.

    Returns:
      The summary and all curves; nothing is written to disk.

    Raises:
      ValueError: a name, value or shape that does not fit; what was expected, what came, the nearest valid name.

    >>> import numpy as np
    >>> from ce_jax import compare, linear
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["a", "b", "c"], 40)
    >>> inputs = np.repeat(np.eye(3), 40, axis=0) + 0.3 * rng.normal(size=(120, 3))
    >>> found = compare(
    ...     inputs, labels, model=linear(), steps=20, seeds=4, tuning_seeds=2, widen=0, targets=(0.9,), resamples=99,
    ...     learning_rates={"low": 0.01, "high": 1, "count": 3})
    >>> found.summary["losses"]["ssr"]["by_target"]["0.9"]["reached"]
    1.0
    >>> found.curves["ssr"]["test_accuracy"].shape[:2]  # rates, seeds
    (3, 6)
    """
    parts_given = {
        "label_noise": label_noise,
        "scale": scale,
        "imbalance": record(Zipf, "imbalance", imbalance) if isinstance(imbalance, Zipf | Mapping) else imbalance,
        "balanced_test": balanced_test,
        "split": record(SplitOptions, "split", split),
    }
    training_given = {
        "steps": steps,
        "schedule": schedule,
        "batch_size": batch_size,
        "evaluate_every": evaluate_every,
        "evaluations": evaluations,
        "evaluation_rows": evaluation_rows,
        "dtype": dtype,
    }
    sweep_given = {
        "learning_rates": record(RateGrid, "learning_rates", learning_rates),
        "options": table("options", options),
        "search": search,
        "draws": draws,
        "widen": widen,
        "seeds": seeds,
        "tuning_seeds": tuning_seeds,
        "first_seed": first_seed,
        "retire_reached": retire_reached,
    }
    analysis_given = {
        "targets": numbers(targets),
        "headline_target": headline_target,
        "target_metric": target_metric,
        "sustained": sustained,
        "tune_by": tune_by,
        "confidence": confidence,
        "resamples": resamples,
    }
    parts, training = record(PartOptions, "data", parts_given), record(TrainOptions, "train", training_given)
    sweep, analysis = record(SweepOptions, "sweep", sweep_given), record(AnalysisOptions, "analysis", analysis_given)
    check_together(sweep, analysis)
    check_count("memory", memory, most=2**63)
    for key, words in (("name", name), ("dataset", dataset)):
        check(isinstance(words, str), key, "a text", words)
    arms = arms_of(losses)
    all_seeds = range(sweep.first_seed, sweep.first_seed + sweep.tuning_seeds + sweep.seeds)
    splits, class_names, input_shape = _data(inputs, labels, parts, all_seeds, training.dtype)
    with jax.enable_x64(training.dtype == "float64"):
        task = Task(
            model=as_model(model, len(class_names), input_shape),
            arms=arms,
            splits=splits,
            num_classes=len(class_names),
            optimizer=optimizer,
            optimizer_options=table("optimizer_options", optimizer_options),
            gradient=gradient,
            training=training,
            sweep=sweep,
            analysis=analysis,
        )
        check_task(task)
        listener = _telling(progress) if progress else Listener()
        curves = compared_curves(task, plan_task(task, memory), listener)
    return Comparison(
        summarise(describe(task, name, dataset, class_names, parts), curves, sweep.tuning_seeds, analysis), curves
    )


def compared_curves(task: Task, plan: Any, listener: Listener) -> Curves:
    """All curves of a task, trained here and now."""
    waves = Waves(task, plan, listener)
    trained = tune_and_report(task.arms, task.evaluate_at, task.sweep, task.analysis, waves, listener=listener)
    return joined_seeds(trained.tuning, trained.fresh)


def describe(
    task: Task, name: str, dataset: str, class_names: Sequence[str], parts: PartOptions | None = None
) -> dict[str, Any]:
    """`workload` in a summary: what was compared on what.

    `training_counts` are the fewest and most training examples of a class, `class_counts` those of each class; where
    every seed thins other classes there are none.
    """
    counts = np.bincount(task.splits_of(0).train.labels, minlength=len(class_names))
    of_classes: dict[str, Any] = {"class_counts": counts.tolist()}
    if parts and parts.imbalanced:
        of_classes = {"imbalance": _plain(parts.imbalance)}
    return {
        "name": name,
        "dataset": dataset,
        "model": task.model.name,
        "loss": [arm.label for arm in task.arms],
        "optimizer": task.optimizer,
        "start": _start(task.model.start),
        "batch_size": task.training.batch_size,
        "steps": task.training.steps,
        "schedule": task.training.schedule,
        "search": task.sweep.search,
        "options": {n: v if isinstance(v, dict) else list(v) for n, v in task.sweep.options.items()},
        "seeds": task.sweep.seeds,
        "tuning_seeds": task.sweep.tuning_seeds,
        "examples": {part: len(held.labels) for part, held in task.example._asdict().items()},
        "features": task.features,
        "classes": list(class_names),
        "training_counts": [int(counts.min()), int(counts.max())],
        **of_classes,
        "target_metric": task.analysis.target_metric,
        "confidence": task.analysis.confidence,
    }


def _plain(imbalance: float | Zipf) -> Any:
    if isinstance(imbalance, Zipf):
        return {"zipf": imbalance.zipf}
    return int(imbalance) if imbalance == int(imbalance) else imbalance


def _start(start: Any) -> Any:
    """Where a model begins, as a config says it."""
    if isinstance(start, str):
        return start
    return {"std": [float(std) for std in start]} if np.ndim(start[0]) == 0 else "given"


def _data(
    inputs: Any, labels: Any, parts: PartOptions, seeds: range, dtype: str
) -> tuple[Splits | DrawnSplits, tuple[str, ...], tuple[int, ...]]:
    """Splits, names of the classes and the shape of an example."""
    if isinstance(inputs, Splits):
        if labels is not None:
            raise ValueError("labels: expected none beside Splits, which hold their own")
        for one in dataclasses.fields(PartOptions):
            if getattr(parts, one.name) != getattr(PartOptions(), one.name):
                raise ValueError(f"{one.name}: expected nothing beside Splits, which are taken as they are")
        splits, known = checked_splits(inputs, dtype)
        if splits.train.labels.ndim == 2 and len(splits.train.labels) != len(seeds):
            raise ValueError(
                f"inputs: expected one split for all, or one for each of the {len(seeds)} seeds (tuning and fresh); "
                f"got {len(splits.train.labels)}"
            )
        return splits, tuple(map(str, range(known))), splits.train.inputs.shape[splits.train.labels.ndim :]
    inputs, names, positions = checked_arrays(inputs, labels)
    class_names = tuple(map(str, names.tolist()))
    draw = split_drawer(inputs, positions, parts, class_names)
    drawn = drawn_parts_of(draw, parts, seeds, num_classes=len(class_names), dtype=dtype)
    return drawn, class_names, inputs.shape[1:]


def _telling(progress: Callable[[str], Any]) -> Listener:
    """A listener that tells, in a line, what begins and every tenth of the classifiers."""
    state = {"total": 0, "steps": 1, "made": 0.0, "told": 0}

    def plan(classifiers: int, steps: int) -> None:
        state["total"] += classifiers
        state["steps"] = steps

    def advance(made: int, spared: int) -> None:
        state["made"] += (made + spared) / state["steps"]
        tenth = int(10 * state["made"] / max(state["total"], 1))
        if tenth > state["told"]:
            state["told"] = tenth
            progress(f"{state['made']:,.0f} of {state['total']:,} classifiers")

    return Listener(progress, plan, advance)
