"""A user's network, in whichever form it comes, as a `Model`; and what is wrong with it before it trains."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax._checking import first_line
from ce_jax.models._adapters import from_equinox, from_haiku, from_linen, from_nnx, stateful
from ce_jax.models._passes import begin, is_stochastic, logits_of
from ce_jax.models._records import Model

EXPECTED = (
    "a Model, a pair (init, apply), a module of flax, equinox or haiku, or a function of (num_classes, input_shape) "
    "that returns one of them"
)
ADAPTERS: dict[str, Callable[[Any], Model]] = {
    "flax.linen": from_linen,
    "flax.nnx": from_nnx,
    "equinox": from_equinox,
    "haiku": from_haiku,
}


def as_model(given: Any, num_classes: int, input_shape: tuple[int, ...]) -> Model:
    """A `Model` from whatever a user has.

    Args:
      given: a `Model`; a pair of functions `init(key, inputs[, num_classes])` and `apply(params, inputs [N, ...])`; a
        module of `flax.linen`, `flax.nnx` or `equinox`, or what `haiku.transform` returns; or a function that returns
        one of them, of as many of (num_classes, input_shape) as it takes. If that function takes `key` or `rngs` too,
        it makes an equinox or nnx module, and every seed makes its own.
      num_classes: K.
      input_shape: the shape of an example, [N, ...] without its N.

    Raises:
      TypeError: it is none of them.

    >>> import jax.numpy as jnp
    >>> model = as_model((lambda key, inputs: jnp.ones(()), lambda params, inputs: params * inputs), 2, (2,))
    >>> logits_of(model, jnp.ones(()), jnp.ones((5, 2))).shape
    (2, 5)
    """
    if isinstance(given, Model):
        return given
    # A class is a function that makes an instance; its own type lies in the library too.
    for base in () if inspect.isclass(given) else type(given).__mro__:
        for library, adapter in ADAPTERS.items():
            if f"{base.__module__}.".startswith(f"{library}."):
                return adapter(given)
    if isinstance(given, tuple | list) and len(given) == 2 and all(map(callable, given)):
        owner = getattr(given[0], "__self__", None)  # of a module's own init and apply
        return Model(*given) if owner is None else as_model(owner, num_classes, input_shape)
    if not callable(given):
        raise TypeError(f"model: expected {EXPECTED}, got {type(given).__name__}")
    name = getattr(given, "__name__", type(given).__name__)
    try:
        return _made(given, num_classes, input_shape)._replace(name=name)
    except Exception as error:
        told = first_line(error).removeprefix("model: ")
        if not isinstance(error, TypeError | ValueError):
            told = f"{type(error).__name__}: {told}"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"model: {name}: {told}") from None


def _made(make: Callable[..., Any], num_classes: int, input_shape: tuple[int, ...]) -> Model:
    parameters = inspect.signature(make).parameters
    known: dict[str, Any] = {"num_classes": num_classes, "input_shape": input_shape}
    named = {name: value for name, value in known.items() if name in parameters}
    wanted = [name for name, one in parameters.items() if one.default is one.empty and name not in ("key", "rngs")]
    # By name where the names are these; otherwise in this order, as many as it asks for.
    positional = () if named else tuple(known.values())[: len(wanted)]

    # Partial applications rather than closures: they can be sent to another process.
    if "rngs" in parameters:
        return from_nnx(functools.partial(_call, make, positional, named, "rngs"))
    if "key" in parameters:
        return from_equinox(functools.partial(_call, make, positional, named, "key"))
    made = make(*positional, **named)
    if inspect.isfunction(made):
        raise TypeError(f"model: expected {EXPECTED}, got a function that returns a function")
    return as_model(made, num_classes, input_shape)


def _call(make: Callable[..., Any], positional: Any, named: Any, name: str, value: Any) -> Any:
    return make(*positional, **named, **{name: value})


def check_model(model: Model, inputs: np.ndarray, num_classes: int) -> None:
    """Try a model that is not built in on two rows, so that what is wrong is said before anything is trained.

    Args:
      model: any.
      inputs: [N, ...], at least two rows of the data.
      num_classes: K.

    Raises:
      ValueError: `init` or `apply` fails; parameters that are no floating-point numbers; logits of another shape than
        [N, K]; results that change from call to call, or with the other rows of a batch.
    """
    where, rows, key = f"model: {model.name}", jnp.asarray(inputs[:2]), jax.random.key(0)

    def attempt(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            text = first_line(error)
            told = text if text.startswith("model: ") else f"{where}: {what} fails on {list(inputs.shape[1:])}: {text}"
            raise ValueError(told) from None

    params = attempt("init", lambda: begin(model, key, rows, num_classes))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ValueError(f"{where}: expected parameters from init, got none")
    for path, leaf in leaves:
        dtype = getattr(leaf, "dtype", type(leaf).__name__)
        if not (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)):
            place = jax.tree_util.keystr(path)
            raise ValueError(f"{where}: expected floating-point parameters, got {dtype} at params{place}")
    if isinstance(params, Mapping) and "params" in params and len(params) > 1:
        other = sorted(set(params) - {"params"})[0]
        raise stateful(f"the collection {other!r}", "layer or group normalisation")
    packed = model.packed(params)
    logits = attempt("apply", logits_of, model, packed, rows)
    shape = jnp.shape(logits)[::-1]
    if shape != (2, num_classes):
        raise ValueError(f"{where}: expected logits of shape (2, {num_classes}) for two examples, got {shape}")
    again = begin(model, key, rows, num_classes)
    if not all(map(np.array_equal, jax.tree.leaves(params), jax.tree.leaves(again))):
        raise ValueError(f"{where}: init is not a pure function: two calls with the same arguments differ")
    # In evaluation and in training; the second row replaced by the first says whether the first depends on it.
    for own in (None, key) if is_stochastic(model) else (None,):
        first, second, among = (logits_of(model, packed, some, own) for some in (rows, rows, rows[jnp.array([0, 0])]))
        if not np.array_equal(first, second, equal_nan=True):
            raise ValueError(f"{where}: apply is not a pure function: two calls with the same arguments differ")
        scale = 1e-3 * (1 + np.abs(first).max())
        if not np.allclose(among[:, 0], first[:, 0], rtol=1e-3, atol=scale, equal_nan=True):
            raise ValueError(
                f"{where}: an example's logits change with the others of its batch: statistics over a batch are not "
                "supported; use layer or group normalisation instead"
            )

    def total(params: Any) -> jax.Array:
        return logits_of(model, params, rows, key if is_stochastic(model) else None).sum()

    attempt("the gradient of apply", jax.eval_shape, jax.grad(total), packed)
