"""The code and the values behind a user's own losses and network, which are part of what names a run."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..names import PACKAGE
from ..own_modules import import_own
from ..source import code_of, imported

NETWORKS = {"flax": "flax", "equinox": "equinox", "haiku": "dm-haiku"}
"""Libraries of networks, {module: distribution}."""
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


def own_code(names: Iterable[str]) -> list[str]:
    """The code behind each `module:attribute`, so that a run made with another version of it is another run.

    It is that of the modules named and of those that they import, but for installed ones and this project; what a loss
    computes is often decided by its helpers and constants.
    """
    pieces: dict[str, str] = {}
    for name in names:
        pieces |= _code_behind(import_own(name.partition(":")[0]))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _libraries(pieces)]
    return [*(pieces[name] for name in sorted(pieces)), *versions]


def own_values(attributes: Mapping[str, Any]) -> list[str]:
    """A hash of the values that {module:attribute: what it is} use, which no source text tells; none for none.

    They are arguments of `functools.partial`, closures, and constants, which may have been read from a file. To be
    asked before anything is traced, which may leave other values behind in a module.
    """
    digest = hashlib.sha256()
    for name, value in sorted(attributes.items()):
        pieces = _code_behind(import_own(name.partition(":")[0]))
        for word in _words(value, pieces, {}):
            digest.update(word.encode() + b"\0")
    return [digest.hexdigest()] if attributes else []


def _libraries(pieces: Mapping[str, str]) -> list[str]:
    """Distributions of networks that the user's code imports: their initialisers decide where a run begins."""
    tops = {name.partition(".")[0] for text in pieces.values() for name in _imported(text, "")}
    return sorted(name for module, name in NETWORKS.items() if module in tops)


def _imported(text: str, package: str) -> list[str]:
    return [] if text.startswith("binary ") else imported(text, package)


def _code_behind(first: ModuleType) -> dict[str, str]:
    """{name: code} of a user's module, of its packages, and of what they import, directly or through others."""
    pieces: dict[str, str] = {}
    waiting, own = [first], first.__name__.partition(".")[0]
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if file is None or module.__name__ in pieces or not _is_users(module.__name__, file, own):
            continue
        if file.suffix != ".py":
            pieces[module.__name__] = f"binary {hashlib.sha256(file.read_bytes()).hexdigest()}"
            continue
        text = file.read_text(encoding="utf-8")
        pieces[module.__name__] = code_of(text)
        names = {*imported(text, module.__package__ or ""), module.__name__}
        # Importing a.b runs a as well; what is imported by a name put together at run time is held by a variable.
        names |= {name.rpartition(".")[0] for name in names}
        names |= {getattr(held, "__module__", None) or "" for held in vars(module).values() if callable(held)}
        waiting += [sys.modules[name] for name in names if name in sys.modules]
        # What was imported below a package becomes an attribute of it, whoever asked for it.
        held = [one for one in vars(module).values() if isinstance(one, ModuleType)]
        waiting += [one for one in held if not one.__name__.startswith(module.__name__ + ".")]
    return pieces


def _is_users(name: str, file: Path, own: str) -> bool:
    """Whether a module is the user's: environments and this project may lie below a user's folder."""
    top = name.partition(".")[0]
    installed = not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    installed |= any(Path(place) in file.parents for place in _INSTALLED)
    return top == own or not (installed or top in ("ce_jax", "experiments", PACKAGE))


def _file(module: ModuleType) -> Path | None:
    """The file that a module was read from; None for what has none."""
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) and Path(file).is_file() else None


def _words(value: Any, pieces: Mapping[str, str], seen: dict[int, Any]) -> Iterator[str]:
    """Words that name a value and all that it refers to, the same in every process."""
    if isinstance(value, jax.core.Tracer):
        return
    if value is None or isinstance(value, str | bytes | bool | int | float | complex):
        yield repr(value)
        return
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        is_key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(jnp.asarray(value)) if is_key else value)
        yield f"{array.dtype} {array.shape}"
        yield hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() if array.dtype != object else ""
        return
    if id(value) in seen:
        return
    seen[id(value)] = value  # held, so that nothing else is given its place
    yield type(value).__name__
    for held in _held(value, pieces):
        yield from _words(held, pieces, seen)


def _held(value: Any, pieces: Mapping[str, str]) -> list[Any]:
    """What a value refers to, in an order that does not depend on the process."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, types.FunctionType):
        if value.__module__ not in pieces:  # that of a library, which its version names
            return [value.__qualname__]
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [value.__qualname__, value.__defaults__, value.__kwdefaults__, cells, _globals_of(value)]
    if isinstance(value, Mapping):
        return [*sorted(map(str, value)), *(value[key] for key in sorted(value, key=str))]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, type):
        own = vars(value).items() if value.__module__ in pieces else ()
        return [
            value.__qualname__,
            *(held for name, held in sorted(own) if not name.startswith("__") or callable(held)),
        ]
    if isinstance(value, ModuleType):
        return [value.__name__]
    inner = inspect.unwrap(value) if callable(value) else value
    if inner is not value or (inner := getattr(value, "fun", value)) is not value:  # jax.jit, jax.custom_jvp
        return [inner]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if type(value).__module__ in pieces:
        return [type(value), getattr(value, "__dict__", {})]
    return [leaf for leaf in jax.tree.leaves(value) if leaf is not value]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that its function has not yet bound
        return False


def _globals_of(function: types.FunctionType) -> list[Any]:
    """Values of the global names that a function and those defined in it use."""
    codes, names = [function.__code__], set()
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    found = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    attributes = [
        getattr(module, name)
        for module in found.values()
        if isinstance(module, ModuleType) and not module.__name__.startswith(("jax", "numpy"))
        for name in sorted(names)
        if name in vars(module) and not isinstance(vars(module)[name], ModuleType)
    ]
    return [*found, *found.values(), *attributes]
