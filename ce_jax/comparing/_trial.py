"""A trial of a task before it is trained: what users bring is traced for a whole training step, nothing is computed."""

import functools
import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax._checking import check_one_of, first_line
from ce_jax.comparing._arms import Arm
from ce_jax.comparing._sense import check_targets
from ce_jax.comparing._task import Task
from ce_jax.losses import LOSSES, Loss
from ce_jax.models import begin, check_model
from ce_jax.training import no_option, option_names, rarest_half, tunable_options

_CALLS = re.compile(r"\b(\w*callback|debug_print)\[")
_LEAK = "keeps a traced value after it has returned; expected a pure function"


def check_task(task: Task) -> None:
    """Trace (not run) a training step of what users bring: what does not fit is said before anything is computed.

    A loss, network and optimizer of this library and of optax, at their defaults, have been tried by its tests.

    Raises:
      ValueError: a batch larger than the training part; a loss that fails, has another shape or dtype than one value
        per example, cannot be differentiated, is not pure or calls back to Python; a start that does not fit the model;
        an option that the optimizer does not have, does not take, or that cannot be tuned; a step that fails; a target
        metric that a part has no examples for; a target that always answering one class is beyond.
    """
    size = task.example.train.labels.shape[0]
    if task.batch > size:
        raise ValueError(f"train.batch_size: expected at most the {size} training examples, got {task.batch}")
    check_targets(task)
    check_one_of("gradient", task.gradient, ("autodiff", "manual"))
    sustained, times = task.analysis.sustained, len(task.evaluate_at)
    if sustained > times:
        raise ValueError(f"analysis.sustained: expected at most the {times} evaluations of a run, got {sustained}")
    _check_options(task)
    for arm in task.arms:
        _check_loss(task, arm)
        task.train(arm)
    if task.model.columns is None:
        check_model(task.model, task.splits_of(0).train.inputs, task.num_classes)
    try:
        jax.eval_shape(
            lambda inputs: begin(task.model, jax.random.key(0), inputs, task.num_classes), task.example.train.inputs
        )
    except ValueError as error:
        raise ValueError(first_line(error)) from None
    usual = task.model.columns is not None and not task.optimizer_options and not task.sweep.options
    # With losses of this library steps differ in nothing that the first of them does not try.
    programs = {arm.program: arm for arm in task.arms}
    for place, arm in enumerate(programs.values()):
        if not _is_known(arm) or (place == 0 and not usual):
            _check_step(task, arm)
    part, rare, _ = task.analysis.target_metric.partition("_rare_")
    if rare:
        for position in range(len(task.seeds) if task.per_seed else 1):
            own = task.splits_of(position)
            _check_rare(part, getattr(own, part).labels, own.train.labels, task.num_classes)


def _check_loss(task: Task, arm: Arm) -> None:
    """Trace a loss, and the gradient of a user's own, on a few rows, with the options that it will be given."""
    parameters = list(inspect.signature(arm.loss.value).parameters.values())[2:]
    required = [one.name for one in parameters if one.default is one.empty and one.name != "prior"]
    if _is_known(arm) and not arm.options and not required:
        return
    dtype = str(jax.dtypes.canonicalize_dtype(task.training.dtype))
    options, manual = tuple(arm.options.items()), task.gradient == "manual"
    # Workloads that are planned together have the losses of this library in common.
    check = _fits_as_before if _is_known(arm) else _fits
    check(arm.loss, arm.label, options, task.num_classes, dtype, manual)


def _fits(
    loss: Loss, label: str, options: tuple[tuple[str, Any], ...], num_classes: int, dtype: str, manual: bool
) -> None:
    """`_check_loss` of what a loss, and the way it is used, depend on."""
    logits, given = jax.ShapeDtypeStruct((5, num_classes), jnp.dtype(dtype)), dict(options)
    labels, where, own = jax.ShapeDtypeStruct((5,), jnp.int32), f"loss: {label}", LOSSES.get(loss.name) is not loss
    # Training fills in what a loss takes as `prior`.
    takes_prior = "prior" in inspect.signature(loss.value).parameters
    prior = {"prior": jnp.full(num_classes, 1 / num_classes)} if takes_prior else {}

    def value(logits: Any, labels: Any) -> Any:
        return loss.value(logits, labels, **given, **prior)

    try:
        out = jax.eval_shape(value, logits, labels)
    except Exception as error:
        # What the library refuses says it by itself.
        refused = not own and isinstance(error, ValueError | TypeError)
        told = "" if refused else f"fails on logits {list(logits.shape)}: "
        raise ValueError(f"{where}: {told}{first_line(error)}") from None
    if getattr(out, "shape", None) != (5,):
        came = getattr(out, "shape", type(out))
        raise ValueError(f"{where}: expected one value per example, shape (5,), got {came}")
    if out.dtype != logits.dtype:
        raise ValueError(f"{where}: expected values of {logits.dtype}, as the logits are, got {out.dtype}")
    if not own:
        return
    try:
        with jax.checking_leaks():
            traced = jax.make_jaxpr(jax.grad(lambda *both: value(*both).sum()))(logits, labels)
    except Exception as error:
        told = first_line(error)
        told = _LEAK if told.startswith("Leaked") else f"cannot be differentiated: {told}"
        raise ValueError(f"{where}: {told}") from None
    _refuse_calls(where, traced)
    grad = loss.grad
    if manual and grad is not None:
        hand = jax.eval_shape(lambda *both: grad(*both, **given, **prior), logits, labels)
        if (hand.shape, hand.dtype) != (logits.shape, logits.dtype):
            expected = f"expected a hand-written gradient {list(logits.shape)} of {logits.dtype}"
            raise ValueError(f"{where}: {expected}, got {list(hand.shape)} of {hand.dtype}")


_fits_as_before = functools.lru_cache(maxsize=256)(_fits)


def _is_known(arm: Arm) -> bool:
    return LOSSES.get(arm.loss.name) is arm.loss


def _check_step(task: Task, arm: Arm) -> None:
    """Trace a step of the batch that will be used, gradient and optimizer included."""
    train, hyper, data = task.train(arm), task.lane(arm), task.example
    key, index = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct((), jnp.int32)
    try:
        before = jax.eval_shape(train.begin, key, hyper, data)
        traced, after = jax.make_jaxpr(train.step, return_shape=True)(key, index, before, hyper, data)
    except Exception as error:
        raise ValueError(f"a training step with {arm.label} fails: {first_line(error)}") from None
    (old, structure), (new, other) = jax.tree.flatten(before), jax.tree.flatten(after)
    if str(structure) != str(other) or [(one.shape, one.dtype) for one in old] != [
        (one.shape, one.dtype) for one in new
    ]:
        raise ValueError(
            f"optimizer_options: expected options under which a step of optax.{task.optimizer} keeps the shapes and "
            f"dtypes of what it carries, got {dict(task.optimizer_options)}"
        )
    if task.model.columns is None:  # a user's own
        _refuse_calls(f"model: {task.model.name}", traced)


def _refuse_calls(where: str, traced: Any) -> None:
    if called := _CALLS.search(str(traced)):
        raise ValueError(
            f"{where}: expected no call back to Python from a compiled program (nor jax.debug.print), got {called[1]}"
        )


def _check_rare(name: str, labels: np.ndarray, train: np.ndarray, num_classes: int) -> None:
    """Whether the part has rows of the rarest classes, without which there is no accuracy on them."""
    rare = np.asarray(rarest_half(jnp.asarray(np.bincount(train, minlength=num_classes))))
    if not rare[labels].any():
        raise ValueError(
            f"analysis.target_metric: {name}_rare_accuracy needs examples of the rarest half of the classes in the "
            f"{name} part, and for some seed there is none; make that part larger or choose another metric"
        )


def _check_options(task: Task) -> None:
    """Check that every tuned option is one of the optimizer's, a number, and not fixed."""
    for where, given in (("optimizer_options", task.optimizer_options), ("sweep.options", task.sweep.options)):
        if "learning_rate" in given:
            raise ValueError(f"{where}: expected none called learning_rate, as rates belong to sweep.learning_rates")
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
