"""Networks of other libraries as a `Model`; a library is imported only where one of its networks is used.

What all of them have in common: parameters alone may change in training. A network that carries state from batch to
batch (batch normalisation) is refused, as its loss would depend on the order in which batches are evaluated.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from ce_jax.models._records import Model, Params

# What the flag of a call is named, and whether it is true in training.
FLAGS = {"train": True, "training": True, "is_training": True, "deterministic": False, "inference": False}


def stateful(what: str, instead: str) -> ValueError:
    """The refusal of a network that carries state."""
    return ValueError(
        f"model: expected parameters alone, got {what}: state between batches (batch normalisation) is not supported; "
        f"use {instead} instead"
    )


def _flags(call: Callable[..., Any], train: bool) -> dict[str, bool]:
    """The training flag of a call, by the name that it has there."""
    known = inspect.signature(call).parameters
    return {name: train == in_training for name, in_training in FLAGS.items() if name in known}


# ---------------------------------------------------------------------------------------------------------- flax.linen


def from_linen(module: Any) -> Model:
    """A `flax.linen` module, called with inputs [N, ...]; `dropout` is its stream of random numbers.

    Args:
      module: an instance. Its call may take `train`, `training` or `deterministic`.

    Returns:
      A `Model` whose parameters are the collection `params`; `init` raises a ValueError if there is any other.

    >>> from flax import linen as nn
    >>> model, inputs = from_linen(nn.Dense(3)), jax.numpy.ones((5, 2))
    >>> model.apply(model.init(jax.random.key(0), inputs, 3), inputs).shape
    (5, 3)
    """
    return Model(
        functools.partial(_linen_init, module),
        functools.partial(_linen_apply, module),
        name=type(module).__name__,
    )


def _linen_init(module: Any, key: Array, inputs: Any, num_classes: int = 0) -> Params:
    own, dropout = jax.random.split(key)
    variables = module.init({"params": own, "dropout": dropout}, inputs, **_flags(type(module).__call__, False))
    if others := sorted(set(variables) - {"params"}):
        raise stateful(f"the collection {others[0]!r}", "nn.LayerNorm or nn.GroupNorm")
    return variables["params"]


def _linen_apply(module: Any, params: Params, inputs: Array, *, key: Array | None = None, train: bool = False) -> Array:
    streams = {} if key is None else {"dropout": key}
    return module.apply({"params": params}, inputs, rngs=streams, **_flags(type(module).__call__, train))


# ------------------------------------------------------------------------------------------------------------ flax.nnx


def from_nnx(module: Any) -> Model:
    """A `flax.nnx` module, called with inputs [N, ...].

    Args:
      module: a function of `rngs` (an `nnx.Rngs`) that makes one, such as `lambda rngs: Net(4, 3, rngs=rngs)`, so that
        every seed draws its own parameters; or an instance, from whose parameters every seed begins.

    Returns:
      A `Model` whose parameters are the module's `nnx.Param`.

    Raises:
      ValueError: it has variables other than parameters and streams of random numbers.

    >>> from flax import nnx
    >>> model, inputs = from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs)), jax.numpy.ones((5, 2))
    >>> model.apply(model.init(jax.random.key(0), inputs, 3), inputs).shape
    (5, 3)
    """
    from flax import nnx

    made = isinstance(module, nnx.Module)
    example = module if made else module(nnx.Rngs(0))
    parts: Any = nnx.split(example, nnx.Param, ...)  # three; flax's annotation leaves their number open
    structure, params, rest = parts
    for path, variable in nnx.to_flat_state(rest):
        if not isinstance(variable, nnx.RngState):
            kind = type(variable).__name__
            raise stateful(f"{kind} at {'.'.join(map(str, path))}", "nnx.LayerNorm or nnx.GroupNorm")
    return Model(
        functools.partial(_given, params) if made else functools.partial(_nnx_init, module),
        functools.partial(_nnx_apply, structure, rest),
        name=type(example).__name__,
        start="given" if made else "own",
    )


def _nnx_init(make: Callable[[Any], Any], key: Array, inputs: Any, num_classes: int = 0) -> Params:
    from flax import nnx

    own, dropout = jax.random.split(key)
    return nnx.split(make(nnx.Rngs(default=own, params=own, dropout=dropout)), nnx.Param, ...)[1]


def _nnx_apply(
    structure: Any, rest: Any, params: Params, inputs: Array, *, key: Array | None = None, train: bool = False
) -> Array:
    from flax import nnx

    # Copies, as a stream of random numbers counts its draws and may do so only within the trace that made it.
    module = nnx.merge(structure, params, rest, copy=True)
    if key is not None:
        nnx.reseed(module, default=key, dropout=key)
    if train:
        module.train()
    else:
        module.eval()
    return module(inputs, **_flags(type(module).__call__, train))


def _given(params: Params, key: Array, inputs: Any, num_classes: int = 0) -> Params:
    """Every seed begins alike."""
    return params


# ------------------------------------------------------------------------------------------------------------- equinox


def from_equinox(module: Any) -> Model:
    """An `equinox` module, called with one example [...] at a time, as is usual there.

    Args:
      module: a function of `key` that makes one, such as `lambda key: eqx.nn.MLP(4, 3, 16, 2, key=key)`, so that every
        seed draws its own parameters; or an instance, from whose parameters every seed begins. If its call takes
        `key`, it gets one per example in training.

    Returns:
      A `Model` whose parameters are the module's floating-point arrays.

    Raises:
      ValueError: it carries state (`eqx.nn.StateIndex`).

    >>> import equinox as eqx
    >>> model, inputs = from_equinox(lambda key: eqx.nn.Linear(2, 3, key=key)), jax.numpy.ones((5, 2))
    >>> model.apply(model.init(jax.random.key(0), inputs, 3), inputs).shape
    (5, 3)
    """
    import equinox

    made = isinstance(module, equinox.Module)
    example = module if made else module(jax.random.key(0))
    for leaf in jax.tree.leaves(example, is_leaf=lambda leaf: isinstance(leaf, equinox.nn.StateIndex)):
        if isinstance(leaf, equinox.nn.StateIndex):
            raise stateful("an eqx.nn.StateIndex", "eqx.nn.LayerNorm or eqx.nn.GroupNorm")
    params, static = equinox.partition(example, equinox.is_inexact_array)
    return Model(
        functools.partial(_given, params) if made else functools.partial(_equinox_init, module),
        functools.partial(_equinox_apply, static),
        name=type(example).__name__,
        start="given" if made else "own",
    )


def _equinox_init(make: Callable[[Array], Any], key: Array, inputs: Any, num_classes: int = 0) -> Params:
    import equinox

    return equinox.partition(make(key), equinox.is_inexact_array)[0]


def _equinox_apply(
    static: Any, params: Params, inputs: Array, *, key: Array | None = None, train: bool = False
) -> Array:
    import equinox

    module = equinox.nn.inference_mode(equinox.combine(params, static), not train)
    if "key" not in inspect.signature(type(module).__call__).parameters:
        return jax.vmap(module)(inputs)
    if key is None:
        return jax.vmap(lambda example: module(example, key=None))(inputs)
    return jax.vmap(lambda example, key: module(example, key=key))(inputs, jax.random.split(key, len(inputs)))


# --------------------------------------------------------------------------------------------------------------- haiku


def from_haiku(transformed: Any) -> Model:
    """A function transformed by `haiku.transform`, of inputs [N, ...] and perhaps of `is_training` or `train`.

    Args:
      transformed: with `init` and `apply`; one of `haiku.transform_with_state` is taken if its state is empty.

    Returns:
      A `Model`; `init` raises a ValueError if there is state.

    >>> import haiku
    >>> model = from_haiku(haiku.transform(lambda inputs: haiku.Linear(3)(inputs)))
    >>> inputs = jax.numpy.ones((5, 2))
    >>> model.apply(model.init(jax.random.key(0), inputs, 3), inputs).shape
    (5, 3)
    """
    return Model(
        functools.partial(_haiku_init, transformed), functools.partial(_haiku_apply, transformed), name="haiku"
    )


def _with_flag(function: Callable[..., Any], train: bool, *arguments: Any) -> Any:
    """A haiku function's own signature is hidden: the flags are tried in turn, and none of them last."""
    flags: list[dict[str, bool]] = [*({name: train == value} for name, value in FLAGS.items()), {}]
    for flag in flags:
        try:
            return function(*arguments, **flag)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            refused = error
    raise refused


def _has_state(transformed: Any) -> bool:
    return type(transformed).__name__ == "TransformedWithState"


def _haiku_init(transformed: Any, key: Array, inputs: Any, num_classes: int = 0) -> Params:
    made = _with_flag(transformed.init, True, key, inputs)
    if not _has_state(transformed):
        return made
    params, state = made
    if state:
        raise stateful(f"state of {sorted(state)[0]!r}", "hk.LayerNorm or hk.GroupNorm")
    return params


def _haiku_apply(
    transformed: Any, params: Params, inputs: Array, *, key: Array | None = None, train: bool = False
) -> Array:
    before = [params, {}] if _has_state(transformed) else [params]
    # What `haiku.without_apply_rng` returns takes none.
    keyed = "rng" in inspect.signature(transformed.apply).parameters
    made = _with_flag(transformed.apply, train, *before, *[key] * keyed, inputs)
    return made[0] if _has_state(transformed) else made
