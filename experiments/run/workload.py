"""From a config to what a run computes with: data, model and the losses compared."""

import math
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ce_jax.comparing import Task, arms_of, check_task, target_warnings
from ce_jax.losses import LOSSES, Loss, as_loss
from ce_jax.models import Layer, Model, as_model, cnn, linear, mlp

from ..config import Config, StdStart
from ..data import Dataset, Finding, account_lines, drawn_dataset, examine, finding_lines, load_dataset
from ..errors import UserError, first_line, nearest, users_input
from ..own_modules import import_own
from .fitting import data_need, machine_memory, refuse_beyond, run_needs
from .own_code import own_code, own_values


class Workload(NamedTuple):
    """A config with everything it names loaded and checked."""

    name: str
    config: Config
    dataset: Dataset
    task: Task
    own_code: tuple[str, ...] = ()
    """What names the code of the user's own losses and network."""


def load_workload(name: str, config: Config, before: Workload | None = None) -> Workload:
    """Load and check everything a config names.

    Args:
      name: of the workload; config: of it.
      before: another one, loaded a moment ago: where both have the same data, they have the same arrays.

    Raises:
      UserError: a data set, loss, start or optimizer option that does not exist or does not fit.
    """
    memory = machine_memory()
    refuse_beyond([data_need(config)], memory)
    shared = before if before and _data_of(before.config) == _data_of(config) else None
    dataset = shared.dataset if shared else load_dataset(config.dataset, config.data)
    sweep, (examples, *shape) = config.sweep, dataset.inputs.shape
    held = dataset.inputs.nbytes + dataset.labels.nbytes
    refuse_beyond(run_needs(config, examples, math.prod(shape), len(dataset.class_names), held), memory)
    seeds = range(sweep.first_seed, sweep.first_seed + sweep.tuning_seeds + sweep.seeds)
    with users_input():
        drawn = shared.task.splits if shared else drawn_dataset(dataset, config.data, seeds, config.train.dtype)
        task = Task(
            model=find_model(config, len(dataset.class_names), dataset.inputs.shape[1:]),
            arms=arms_of(config.loss, find_loss),
            splits=drawn,
            num_classes=len(dataset.class_names),
            optimizer=config.optimizer,
            optimizer_options=config.optimizer_options,
            gradient=config.gradient,
            training=config.train,
            sweep=sweep,
            analysis=config.analysis,
        )
        named = {task.model.name, *(arm.loss.name for arm in task.arms)} - set(LOSSES)
        own = {one: _attribute("own", one) for one in sorted(named) if ":" in one}
        values = own_values(own)
        check_task(task)  # by which modules are imported that only a function imports
    return Workload(name, config, dataset, task, (*own_code(own), *values))


def _data_of(config: Config) -> tuple[Any, ...]:
    """The settings that the arrays of a workload follow from."""
    sweep = config.sweep
    return config.dataset, config.data, config.train.dtype, sweep.first_seed, sweep.tuning_seeds + sweep.seeds


def findings(workload: Workload) -> list[Finding]:
    """What is odd about the data, and targets that say little."""
    return [*examine(workload.dataset), *(Finding("target", text) for text in target_warnings(workload.task))]


def data_lines(workload: Workload, found: Sequence[Finding]) -> list[str]:
    """What was taken of the data, and the `findings` about them, as lines of plain text."""
    return [*account_lines(workload.dataset.account), *finding_lines(found)]


def find_loss(name: str) -> Loss:
    """A loss by name, or a user's own as `module:attribute` (a function or a `Loss`).

    Raises:
      UserError: there is no such loss, module or attribute.
    """
    if not isinstance(name, str):
        raise UserError(f"loss: expected a name or module:function, got {name!r}")
    if name in LOSSES:
        return LOSSES[name]
    if ":" not in name:
        raise UserError(f"loss: unknown name {name!r}{nearest(name, LOSSES)} (or module:function for your own)")
    own = _attribute("loss", name)
    try:
        return as_loss(own)._replace(name=name)
    except TypeError:
        expected = "expected a function of (logits, labels) or a Loss"
        raise UserError(f"loss: {name}: {expected}, got {type(own).__name__}") from None


def _attribute(key: str, name: str) -> Any:
    """What `module:attribute` names."""
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise UserError(f"{key}: expected module:attribute, got {name!r}")
    try:
        module = import_own(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what calls sys.exit while it is imported
        raise UserError(f"{key}: {name}: cannot import {module_name!r}: {_import_failure(error)}") from None
    if not hasattr(module, attribute):
        raise UserError(f"{key}: {name}: module {module_name!r} has no {attribute!r}{nearest(attribute, dir(module))}")
    return getattr(module, attribute)


def _import_failure(error: BaseException) -> str:
    """What went wrong in a user's module or in one that it imports, and at which line of which file."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '').name}, line {error.lineno})"
    kind, told = type(error).__name__, first_line(error)
    told = told if isinstance(error, ImportError) or told == kind else f"{kind}: {told}"
    # The last line that is the user's: what a library makes of it is further down.
    others = ("<frozen", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), __file__)
    users = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(others)]
    return f"{told} ({Path(users[-1].filename).name}, line {users[-1].lineno})" if users else told


def find_model(config: Config, num_classes: int, input_shape: tuple[int, ...]) -> Model:
    """The network of a config, built in or a user's own as `module:attribute`.

    Raises:
      UserError: there is no such module or attribute, or it makes no network.
    """
    start: Any = config.start
    if ":" in config.model:
        own = _attribute("model", config.model)
        try:
            return as_model(own, num_classes, input_shape)._replace(name=config.model)
        except Exception as error:
            told = first_line(error)
            told = told.removeprefix("model: ")
            raise UserError(f"model: {config.model}: {told}") from None
    if isinstance(start, StdStart):
        start = start.std
    elif start.startswith("npz:"):
        start = _read_start(Path(start.removeprefix("npz:")))
    if config.model == "linear":
        return linear(start=start)
    maker, options = {"mlp": (mlp, config.mlp), "cnn": (cnn, config.cnn)}[config.model]
    return maker(**vars(options), start=start)  # type: ignore[operator]


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
