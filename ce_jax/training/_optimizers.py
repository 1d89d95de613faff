"""Optax's optimizers by name."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ce_jax._checking import check, check_one_of, first_line, nearest
from ce_jax.training._schedules import scheduled

DECAY = "weight_decay"


@functools.cache  # it looks at everything that optax has
def optimizer_names() -> tuple[str, ...]:
    """Names accepted by `make_optimizer`: every optax optimizer that takes a learning rate and gradients alone.

    Returns:
      Names in alphabetical order.

    >>> {"adam", "momentum", "sgd"} <= set(optimizer_names())
    True
    """
    names = {"momentum"}
    for name, maker in vars(optax).items():
        parameters = dict(inspect.signature(maker).parameters) if inspect.isfunction(maker) else {}
        rate = parameters.pop("learning_rate", None)
        if rate is not None and all(other.default is not other.empty for other in parameters.values()):
            names.add(name)
    # These need the loss at every update or a key of their own, are deprecated, or only scale another one.
    return tuple(
        sorted(
            name
            for name in names - {"lbfgs", "polyak_sgd", "noisy_sgd", "optimistic_adam"}
            if not name.startswith("scale_by_")
        )
    )


def make_optimizer(name: str, learning_rate: Any, options: Mapping[str, Any] | None = None) -> Any:
    """The optax optimizer `name`; `momentum` is SGD with momentum 0.9.

    Args:
      name: one of `optimizer_names()`.
      learning_rate: a number, which may be traced, or a function of the steps made.
      options: its further arguments, of which numbers may be traced. `weight_decay` for an optimizer that has none of
        its own (sgd, adam, ...) is added to the gradient, weight_decay * parameter, before the optimizer sees it: L2,
        as in PyTorch's SGD and Adam. All parameters decay, biases too.

    Returns:
      An `optax.GradientTransformationExtraArgs`, a pair of pure functions `init` and `update`.

    >>> decaying = make_optimizer("sgd", 1.0, {"weight_decay": 0.5})
    >>> float(decaying.update(0.25, decaying.init(2.0), 2.0)[0])  # -(0.25 + 0.5 * 2)
    -1.25

    Raises:
      ValueError: `name` is not among `optimizer_names()`, or does not take one of `options`.
    """
    known = option_names(name)
    options = dict(options or {})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"optimizer_options: {no_option(name, unknown[0], known)}, expected one of {', '.join(known)}")
    if name == "momentum":
        options = {"momentum": 0.9, **options}  # a momentum among the options wins
    maker = _maker(name)
    if DECAY in options and DECAY not in inspect.signature(maker).parameters:
        decayed = optax.add_decayed_weights(options.pop(DECAY))
        return optax.chain(decayed, maker(learning_rate=learning_rate, **options))
    return maker(learning_rate=learning_rate, **options)


def check_options(name: str, options: Mapping[str, Any] | None) -> None:
    """Raise a ValueError where an optimizer does not take an option, or not the value that it is given.

    >>> check_options("adam", {"b1": "high"})
    Traceback (most recent call last):
    ValueError: optimizer_options: b1: expected a number, got 'high'
    """
    check_one_of("optimizer", name, optimizer_names())
    parameters = inspect.signature(_maker(name)).parameters
    for option, value in (options or {}).items():
        default = parameters[option].default if option in parameters else None
        switch = isinstance(value, bool | np.bool_)
        if isinstance(default, bool):
            check(switch, f"optimizer_options: {option}", "true or false", value)
        elif isinstance(default, int | float) or option == DECAY:
            fine = not switch and (isinstance(value, int | float) or hasattr(value, "dtype") or callable(value))
            check(fine, f"optimizer_options: {option}", "a number", value)
        elif switch and "float" in str(parameters[option].annotation if option in parameters else ""):
            check(False, f"optimizer_options: {option}", "a number", value)
    make_optimizer(name, 0.1, options)
    if options and (why := _refusal(lambda rate: make_optimizer(name, rate, options))):
        raise ValueError(f"optimizer_options: optax.{_maker(name).__name__} fails with {dict(options)!r}: {why}")


def option_names(name: str) -> tuple[str, ...]:
    """Names of the options of an optimizer, beside its learning rate."""
    check_one_of("optimizer", name, optimizer_names())
    known = [option for option in inspect.signature(_maker(name)).parameters if option != "learning_rate"]
    own = any(option.startswith(DECAY) and not option.endswith("mask") for option in known)
    return (*known,) if own else (*known, DECAY)


def no_option(name: str, option: str, known: tuple[str, ...]) -> str:
    """What is wrong with an option that an optimizer does not have."""
    return f"optax.{_maker(name).__name__} has no option {option!r}{nearest(option, known)}"


def tunable_options(name: str, fixed: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The options of an optimizer that one program can train many values of: numbers that optax takes when traced.

    Args:
      name: one of `optimizer_names()`.
      fixed: the options that are given, which are not tuned.

    >>> tunable_options("sgd"), "b1" in tunable_options("adam"), "nesterov" in tunable_options("adam")
    (('momentum', 'weight_decay'), True, False)
    """
    given = dict(fixed or {})
    parameters = inspect.signature(_maker(name)).parameters

    def is_number(option: str) -> bool:
        # Switches, dtypes and masks: some of them only fail where another option makes use of them.
        default = parameters[option].default if option in parameters else 0.0
        return not (isinstance(default, bool) or "dtype" in option or option.endswith("mask"))

    def takes(option: str) -> bool:
        return _takes_traced(lambda value: make_optimizer(name, 0.1, {**given, option: value}))

    return tuple(option for option in option_names(name) if option not in given and is_number(option) and takes(option))


def takes_schedule(name: str, options: Mapping[str, Any] | None = None) -> bool:
    """Whether an optimizer takes a learning rate that changes over the run; few do not."""
    return _takes_traced(lambda peak: make_optimizer(name, scheduled("cosine", peak, 2), options))


def _maker(name: str) -> Callable[..., Any]:
    return getattr(optax, "sgd" if name == "momentum" else name)


def _takes_traced(make: Callable[[Any], Any]) -> bool:
    return _refusal(make) is None


def _refusal(make: Callable[[Any], Any]) -> str | None:
    """Why `make(number)` is no optimizer, with a state of constant shape, when the number is traced; None if it is."""
    shapes = {"w": jax.ShapeDtypeStruct((3, 2), jnp.float32), "b": jax.ShapeDtypeStruct((2,), jnp.float32)}

    def twice(value: Any, params: Any) -> tuple[Any, Any]:
        transform = make(value)
        state = transform.init(params)
        updates, after = transform.update(params, state, params)
        return (params, state), (updates, after)

    try:
        before, after = jax.eval_shape(twice, jax.ShapeDtypeStruct((), jnp.float32), shapes)
    except Exception as error:  # whatever an optimizer makes of a tracer
        return first_line(error)
    (leaves, structure), (others, other_structure) = map(jax.tree.flatten, (before, after))
    same = structure == other_structure and all(  # type: ignore[operator]
        (leaf.shape, leaf.dtype) == (other.shape, other.dtype) for leaf, other in zip(leaves, others, strict=True)
    )
    return None if same else "a step changes shapes or dtypes"
