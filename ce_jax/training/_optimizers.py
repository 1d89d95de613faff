"""Optax's optimizers by name."""

import inspect
from collections.abc import Mapping
from typing import Any

import optax


def optimizer_names() -> tuple[str, ...]:
    """Names accepted by `make_optimizer`: every optax optimizer that takes a learning rate and gradients alone."""
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
    """The optax optimizer `name` with a (possibly traced) learning rate; `momentum` is SGD with momentum 0.9.

    >>> make_optimizer("sgd", 0.1).init(None) is not None
    True

    Raises:
      ValueError: `name` is not among `optimizer_names()`, or does not take one of `options`.
    """
    if name not in optimizer_names():
        raise ValueError(f"optimizer: expected one of {', '.join(optimizer_names())}, got {name!r}")
    options = dict(options or {})
    if name == "momentum":
        name, options = "sgd", {"momentum": 0.9, **options}  # a momentum among the options wins
    maker = getattr(optax, name)
    known = [option for option in inspect.signature(maker).parameters if option != "learning_rate"]
    unknown = set(options) - {*known, "learning_rate"}
    if unknown:
        raise ValueError(
            f"optimizer_options: optax.{name} has no option {sorted(unknown)[0]!r}, expected one of {', '.join(known)}"
        )
    return maker(learning_rate=learning_rate, **options)
