"""From a config to what a run computes with: data, model, and the losses compared ("arms")."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax.losses import LOSSES, Loss
from ce_jax.models import Layer, Model, linear, mlp
from ce_jax.sweep import row_block
from ce_jax.training import evaluation_steps, make_train
from experiments.config import Config, StdStart
from experiments.data import Dataset, load_dataset, make_splits
from experiments.errors import UserError, nearest


class Arm(NamedTuple):
    """One of the losses compared: its label everywhere in the results, the loss, and its (traced) options."""

    label: str
    loss: Loss
    options: Mapping[str, float]

    @property
    def program(self) -> tuple[str, ...]:
        """Arms with the same program share one executable: members of a family differ in traced numbers alone."""
        return (self.loss.name, *sorted(self.options))


class Workload(NamedTuple):
    """A config with everything it names loaded and checked."""

    name: str
    config: Config
    dataset: Dataset
    splits: Any
    model: Model
    arms: tuple[Arm, ...]
    seeds: np.ndarray
    evaluate_at: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.dataset.class_names)

    @property
    def batch(self) -> int:
        """Examples in a training step."""
        size = self.config.train.batch_size
        return self.splits.train.inputs.shape[-2] if size == "full" else size

    def train(self, arm: Arm) -> Any:
        """The pure training function of an arm."""
        config = self.config
        return make_train(
            self.model,
            arm.loss,
            num_classes=self.num_classes,
            evaluate_at=self.evaluate_at,
            optimizer=config.optimizer,
            optimizer_options=config.optimizer_options,
            batch_size=None if config.train.batch_size == "full" else config.train.batch_size,
            row_block=row_block(self.batch) if on_cpu() else None,
            gradient=config.gradient,
        )


def on_cpu() -> bool:
    """Whether waves have to fit the caches of a CPU; other devices are best filled to the brim."""
    return jax.devices()[0].platform == "cpu"


def load_workload(name: str, config: Config) -> Workload:
    """Load and check everything a config names.

    Raises:
      UserError: a data set, loss, start or optimizer option that does not exist or does not fit.
    """
    dataset = load_dataset(config.dataset, config.data)
    options = config.sweep
    seeds = options.first_seed + np.arange(options.tuning_seeds + options.seeds)
    splits = make_splits(dataset, config.data, seeds.tolist(), config.train.dtype)
    workload = Workload(
        name,
        config,
        dataset,
        splits,
        _model(config),
        resolve_losses(config.loss),
        seeds,
        evaluation_steps(config.train.steps, every=config.train.evaluate_every, points=config.train.evaluations),
    )
    size = splits.train.inputs.shape[-2]
    if workload.batch > size:
        raise UserError(
            f"train.batch_size: expected at most the {size} training examples of {dataset.name}, came {workload.batch}"
        )
    for arm in workload.arms:
        _try_once(workload, arm)
    return workload


def resolve_losses(entries: Sequence[str | Mapping[str, Any]]) -> tuple[Arm, ...]:
    """The arms that a config's `loss` asks for.

    An entry is a name of `LOSSES`, `module:attribute` (a function or a `Loss` of your own), or a table with `name` and
    options; an option that is a list makes one arm for each of its values.

    >>> [arm.label for arm in resolve_losses(["ssr", {"name": "ssr_on_logits", "target": [1, 15]}])]
    ['ssr', 'ssr_on_logits(target=1)', 'ssr_on_logits(target=15)']
    """
    arms: dict[str, Arm] = {}
    for entry in entries:
        table: dict[str, Any] = {"name": entry} if isinstance(entry, str) else dict(entry)
        if "name" not in table:
            raise UserError(f"loss: a table needs the key 'name', came {entry!r}")
        loss = _find_loss(table.pop("name"))
        known = [name for name in inspect.signature(loss.value).parameters if name not in ("axis", "where")][2:]
        for option, value in table.items():
            if option not in known:
                raise UserError(f"loss: {loss.name} has no option {option!r}{nearest(option, known)}")
            if not all(isinstance(one, int | float) for one in (value if isinstance(value, list) else [value])):
                raise UserError(f"loss: {loss.name}: {option}: expected a number or a list of numbers, came {value!r}")
        combinations: list[dict[str, float]] = [{}]
        for option, value in table.items():
            values = value if isinstance(value, list) else [value]
            combinations = [{**one, option: each} for one in combinations for each in values]
        for options in combinations:
            shown = ", ".join(f"{option}={value:g}" for option, value in options.items())
            label = f"{loss.name}({shown})" if shown else loss.name
            if label in arms:
                raise UserError(f"loss: {label} is listed twice")
            arms[label] = Arm(label, loss, {option: float(value) for option, value in options.items()})
    return tuple(arms.values())


def _find_loss(name: str) -> Loss:
    if name in LOSSES:
        return LOSSES[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise UserError(f"loss: unknown name {name!r}{nearest(name, LOSSES)} (or module:function for your own)")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise UserError(f"loss: {name}: cannot import {module_name!r}: {error}") from None
    except AttributeError:
        raise UserError(f"loss: {name}: module {module_name!r} has no {attribute!r}") from None
    if isinstance(found, Loss):
        return found._replace(name=name)
    if not callable(found):
        raise UserError(f"loss: {name}: expected a function of (logits, labels), came {type(found).__name__}")
    return Loss(name, found, None, None)  # type: ignore[arg-type]


def _model(config: Config) -> Model:
    start: Any = config.start
    if isinstance(start, StdStart):
        start = start.std
    elif start.startswith("npz:"):
        start = _read_start(Path(start.removeprefix("npz:")))
    try:
        if config.model == "linear":
            return linear(start=start)
        return mlp(config.mlp.hidden, activation=config.mlp.activation, start=start)
    except ValueError as error:
        raise UserError(str(error)) from None


def _read_start(path: Path) -> tuple[Layer, ...]:
    """Initial parameters from an npz with arrays weight_0 [in, out], bias_0 [out], weight_1, ..."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            count = sum(name.startswith("weight_") for name in arrays.files)
            layers = tuple(
                Layer(jnp.asarray(arrays[f"weight_{i}"]), jnp.asarray(arrays[f"bias_{i}"])) for i in range(count)
            )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"start: {path}: expected an npz with weight_0, bias_0, weight_1, ...: {error}") from None
    if not layers:
        raise UserError(f"start: {path}: expected an npz with weight_0, bias_0, ...; it has none of them")
    return layers


def _try_once(workload: Workload, arm: Arm) -> None:
    """Trace (not run) one training step of an arm, so that what does not fit is said before anything is computed."""
    count, num_classes = 5, workload.num_classes
    logits = jax.ShapeDtypeStruct((count, num_classes), jnp.float32)
    labels = jax.ShapeDtypeStruct((count,), jnp.int32)
    try:
        out = jax.eval_shape(lambda z, y: arm.loss.value(z, y, **arm.options), logits, labels)
    except Exception as error:
        raise UserError(f"loss: {arm.label}: fails on logits [{count}, {num_classes}]: {_first_line(error)}") from None
    if getattr(out, "shape", None) != (count,):
        came = getattr(out, "shape", type(out))
        raise UserError(f"loss: {arm.label}: expected one value per example, shape ({count},), came {came}")
    try:
        workload.train(arm)
        jax.eval_shape(lambda: workload.model.init(jax.random.key(0), workload.dataset.inputs.shape[-1], num_classes))
    except ValueError as error:
        raise UserError(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def source_of(loss: Loss) -> str:
    """The source text of a user's own loss, so that a run made with another version of it is another run."""
    if loss.name in LOSSES:
        return ""
    try:
        return inspect.getsource(loss.value)
    except (OSError, TypeError):
        return ""
