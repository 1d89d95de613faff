"""Experiment configs: frozen dataclasses read from TOML, every key and value checked, defaults only in the records.

One config describes one workload (dataset, model, optimizer, start, ...) and the losses, rates and seeds compared on
it. A list for one of `WORKLOAD_KEYS` asks for several workloads; `load_config` returns one `Config` for each.
"""

import dataclasses
import hashlib
import itertools
import json
import sys
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ce_jax._checking import MOST_COUNTED
from ce_jax.comparing import AnalysisOptions, SweepOptions, TrainOptions, check_together
from ce_jax.models import ACTIVATIONS, CNN_NORMALIZATIONS, NORMALIZATIONS, STARTS
from ce_jax.training import optimizer_names

from .data import DataOptions
from .errors import UserError, check, check_count, check_one_of, is_count, nearest
from .overrides import parse_override
from .shipped import find_config
from .toml_files import read_toml

WORKLOAD_KEYS = ("dataset", "model", "optimizer", "start")
"""Keys that may hold a list: each value is a workload of its own, never pooled with another."""

_WIDTHS = f"widths of at least 1 and at most {MOST_COUNTED}"

MODELS = ("linear", "mlp", "cnn")
"""Networks that are built in; a user's own is `module:attribute`."""


@dataclass(frozen=True)
class MlpOptions:
    """Table [mlp]: the hidden layers of `model = "mlp"`."""

    hidden: tuple[int, ...] = (16,)
    activation: str = "relu"
    normalization: str = "none"

    def __post_init__(self) -> None:
        check(bool(self.hidden) and all(map(is_count, self.hidden)), "hidden", f"one or more {_WIDTHS}", self.hidden)
        check_one_of("activation", self.activation, ACTIVATIONS)
        check_one_of("normalization", self.normalization, NORMALIZATIONS)


@dataclass(frozen=True)
class CnnOptions:
    """Table [cnn]: the layers of `model = "cnn"`, see `ce_jax.cnn`."""

    channels: tuple[int, ...] = (8, 16)
    kernel: int = 3
    pool: int = 2
    hidden: tuple[int, ...] = (32,)
    activation: str = "relu"
    normalization: str = "none"
    residual: bool = False

    def __post_init__(self) -> None:
        fine = bool(self.channels) and all(map(is_count, self.channels))
        check(fine, "channels", f"one or more {_WIDTHS}", self.channels)
        check(is_count(self.kernel) and self.kernel % 2 == 1, "kernel", "an odd number", self.kernel)
        check_count("pool", self.pool)
        check(all(map(is_count, self.hidden)), "hidden", _WIDTHS, self.hidden)
        check_one_of("activation", self.activation, ACTIVATIONS)
        check_one_of("normalization", self.normalization, CNN_NORMALIZATIONS)


@dataclass(frozen=True)
class StdStart:
    """`start = {std = [...]}`: normal weights with these standard deviations, one per layer."""

    std: tuple[float, ...]


@dataclass(frozen=True)
class Config:
    """One workload and what is compared on it."""

    dataset: str
    model: str
    loss: tuple[str | dict[str, Any], ...]
    optimizer: str = "sgd"
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    start: str | StdStart = "he"
    gradient: Literal["autodiff", "manual"] = "autodiff"
    data: DataOptions = field(default_factory=DataOptions)
    mlp: MlpOptions = field(default_factory=MlpOptions)
    cnn: CnnOptions = field(default_factory=CnnOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    sweep: SweepOptions = field(default_factory=SweepOptions)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)

    def __post_init__(self) -> None:
        check(bool(self.loss), "loss", "at least one loss", self.loss)
        if ":" not in self.model:
            check_one_of("model", self.model, (*MODELS, "module:attribute"))
        check_one_of("optimizer", self.optimizer, optimizer_names())
        if isinstance(self.start, str) and not self.start.startswith("npz:"):
            check_one_of("start", self.start, (*STARTS, "npz:PATH"))
        if ":" in self.model:
            check(self.start == "he", "start", "no start for a network of your own, whose init says it", self.start)
        check_together(self.sweep, self.analysis)


def load_config(path: str | Path, overrides: typing.Sequence[str] = ()) -> tuple[str, list[Config]]:
    """Read a TOML file, apply `key=value` overrides, and return the config's name and one `Config` per workload.

    Raises:
      UserError: a missing or malformed file, an unknown key or a wrong value, with file, key and nearest valid name.
    """
    path = find_config(Path(path))
    table = read_toml(path)
    overridden = {}
    for override in overrides:
        key, value = parse_override(override)
        _assign(table, key, value)
        overridden[key] = "command line"
    return path.stem, [
        build(Config, workload, str(path), overridden) for workload in _workload_tables(table, str(path))
    ]


def _workload_tables(table: dict[str, Any], source: str) -> list[dict[str, Any]]:
    """One table for each combination of the values listed under the workload keys."""
    for key in WORKLOAD_KEYS:
        if table.get(key) == []:
            raise UserError(f"{source}: {key}: expected a value, or a list of at least one, got []")
    choices = [table[key] if isinstance(table.get(key), list) else [table.get(key)] for key in WORKLOAD_KEYS]
    combined = []
    for values in itertools.product(*choices):
        given = {key: value for key, value in zip(WORKLOAD_KEYS, values, strict=True) if value is not None}
        combined.append(_with_own_data({**table, **given}))
    return combined


def _with_own_data(table: dict[str, Any]) -> dict[str, Any]:
    """A data set may bring options of its own, `{name = "digits", imbalance = 50}`, which win over those of [data]."""
    dataset = table.get("dataset")
    if not isinstance(dataset, dict) or "name" not in dataset or not isinstance(table.get("data", {}), dict):
        return table
    own = {key: value for key, value in dataset.items() if key != "name"}
    return {**table, "dataset": dataset["name"], "data": {**table.get("data", {}), **own}}


def _assign(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UserError(f"command line: {dotted}: {parent!r} is a value, not a table")
    table[last] = value


def build(cls: type, table: Any, source: str, overridden: dict[str, str] | None = None, prefix: str = "") -> Any:
    """Build the dataclass `cls` from a table, checking keys and types on the way down."""
    hints = typing.get_type_hints(cls)

    def where(key: str) -> str:
        return f"{(overridden or {}).get(key, source)}: {key}"

    for key in table:
        if key not in hints:
            raise UserError(f"{where(prefix + key)}: unknown key{_nearest_key(cls, prefix, key)}")
    for required in dataclasses.fields(cls):
        without = required.default is dataclasses.MISSING and required.default_factory is dataclasses.MISSING
        if without and required.name not in table:
            below = [name for name, held in table.items() if isinstance(held, dict) and required.name in held]
            meant = f"; it stands below [{below[0]}], but belongs above the first [table]" if below else ""
            raise UserError(f"{source}: {prefix}{required.name}: this key is required{meant}")
    values = {}
    for key, value in table.items():
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            values[key] = build(hints[key], value, source, overridden, f"{prefix}{key}.")
        else:
            values[key] = _convert(hints[key], value, where(prefix + key))
    try:
        return cls(**values)
    except ValueError as error:
        # A record's own check begins with its key; file and table are put before it.
        key = str(error).split(":")[0]
        raise UserError(f"{where(prefix + key)}{str(error)[len(key) :]}") from None


def _nearest_key(cls: type, prefix: str, key: str) -> str:
    """The end of an error line that names the key that was meant: of this table, or that of this name in another."""
    if prefix and key in typing.get_type_hints(Config):
        return f"; {key} belongs above the first [table]"
    own = [prefix + name for name in typing.get_type_hints(cls)]
    every = [name for name in flatten(as_dict(Config(dataset="", model=":", loss=("",)))) if name not in own]
    elsewhere = [name for name in every if name.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"; did you mean {elsewhere[0]!r}?" if elsewhere else nearest(prefix + key, own)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, or a UserError that says what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tables = [
            option for option in arguments if dataclasses.is_dataclass(option) or typing.get_origin(option) is dict
        ]
        if isinstance(value, dict) and len(tables) == 1:  # whose own checks say more than that it does not fit
            return _convert(tables[0], value, where)
        for option in arguments:  # the first that fits; if none does, the error below names them all
            try:
                return _convert(option, value, where)
            except UserError:
                continue
    elif origin is Literal:
        if value in arguments and type(value) in {type(argument) for argument in arguments}:
            return value
        raise UserError(f"{where}: expected {_name(hint)}, got {value!r}{nearest(str(value), arguments)}")
    elif origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(arguments[0], item, where) for item in items)
    elif origin is dict and isinstance(value, dict):
        for key, held in flatten(value).items():
            if not all(map(_is_plain, held if isinstance(held, list) else [held])):
                expected = "expected finite numbers, texts, true or false, or lists of them"
                raise UserError(f"{where}: {key}: {expected}, got {held!r}")
        return value
    elif dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, where.split(":")[0], None, where.split(": ")[-1] + ".")
    # To Python a bool is an int, but `steps = true` is a mistake.
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not _is_plain(value):
            raise UserError(f"{where}: expected a finite number, got {value!r}")
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise UserError(f"{where}: expected {_name(hint)}, got {value!r}")


def _is_plain(value: Any) -> bool:
    """Whether a value of a table is one that JSON can hold as it is: no date, and numbers within those of float64."""
    number = isinstance(value, int | float)
    return -sys.float_info.max <= value <= sys.float_info.max if number else isinstance(value, str)


def _name(hint: Any) -> str:
    """A type as a user would say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_name(option) for option in arguments if option is not types.NoneType)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple:
        return f"a list of {_name(arguments[0])}"
    if origin is dict or dataclasses.is_dataclass(hint):
        return "a table"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}.get(hint, str(hint))


def as_dict(config: Config) -> dict[str, Any]:
    """The resolved config as plain JSON types, nested like the TOML file."""
    # By way of JSON, so that it equals what is read back from a stored file: tuples become lists.
    return json.loads(json.dumps(dataclasses.asdict(config)))


def identity(config: Config) -> dict[str, Any]:
    """What names a result: the settings that differ from their defaults, so that a new key renames no result.

    >>> identity(Config(dataset="iris", model="linear", loss=("ssr",), train=TrainOptions(steps=5)))
    {'dataset': 'iris', 'model': 'linear', 'loss': ['ssr'], 'train': {'steps': 5}}
    """
    return _changed(as_dict(config), as_dict(Config(dataset="", model=":", loss=("",))))


def _changed(table: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    changed = {}
    for key, value in table.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if different := _changed(value, default):
                changed[key] = different
        elif value != default:
            changed[key] = value
    return changed


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table with dotted keys.

    >>> flatten({"train": {"steps": 5}, "model": "mlp"})
    {'train.steps': 5, 'model': 'mlp'}
    """
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return flat


def fingerprint(content: Any) -> str:
    """Ten hexadecimal digits that name JSON-like content.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
