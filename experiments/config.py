"""Experiment configs: frozen dataclasses read from TOML, every key and value checked, defaults only here.

One config describes one workload (dataset, model, optimizer, start, ...) and the losses, rates and seeds compared on
it. A list for one of `WORKLOAD_KEYS` asks for several workloads; `load_config` returns one `Config` for each.
"""

import dataclasses
import hashlib
import itertools
import json
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ce_jax.models import ACTIVATIONS, STARTS
from ce_jax.training import optimizer_names
from experiments.data import DataOptions
from experiments.errors import UserError, nearest
from experiments.splits import check

WORKLOAD_KEYS = ("dataset", "model", "optimizer", "start")
"""Keys that may hold a list: each value is a workload of its own, never pooled with another."""


@dataclass(frozen=True)
class MlpOptions:
    """Table [mlp]: the hidden layers of `model = "mlp"`."""

    hidden: tuple[int, ...] = (16,)
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(bool(self.hidden) and min(self.hidden) >= 1, "hidden", "one or more widths of at least 1", self.hidden)
        _one_of("activation", self.activation, ACTIVATIONS)


@dataclass(frozen=True)
class StdStart:
    """`start = {std = [...]}`: normal weights with these standard deviations, one per layer."""

    std: tuple[float, ...]


@dataclass(frozen=True)
class TrainOptions:
    """Table [train]: how long a run is, what a step sees, and when it is evaluated."""

    steps: int = 1000
    batch_size: int | Literal["full"] = "full"
    evaluate_every: int | None = None
    evaluate_at: Literal["log"] = "log"
    evaluations: int = 64
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        check(self.steps >= 1, "steps", "at least 1", self.steps)
        check(self.batch_size == "full" or self.batch_size >= 1, "batch_size", "'full' or at least 1", self.batch_size)
        check(
            self.evaluate_every is None or self.evaluate_every >= 1, "evaluate_every", "at least 1", self.evaluate_every
        )
        check(self.evaluations >= 2, "evaluations", "at least 2", self.evaluations)


@dataclass(frozen=True)
class RateGrid:
    """`learning_rates = {low, high, count}`: a logarithmic grid, the same for every loss."""

    low: float = 1e-3
    high: float = 1e2
    count: int = 11

    def __post_init__(self) -> None:
        check(0 < self.low < self.high < float("inf"), "low, high", "0 < low < high", (self.low, self.high))
        check(self.count >= 2, "count", "at least 2", self.count)


@dataclass(frozen=True)
class SweepOptions:
    """Table [sweep]: learning rates, and the seeds that tune and the fresh ones that report."""

    learning_rates: RateGrid = field(default_factory=RateGrid)
    widen: int = 3
    """How often the grid may grow by four rates at an end where some loss has its best rate."""
    seeds: int = 50
    tuning_seeds: int = 10
    first_seed: int = 0
    retire_reached: bool = False
    """Whether a rate is retired once each of its seeds in a wave has diverged, or has met the highest target and been
    trained for twice as long as that took. Steps to every target are those of a run to the end. What a retired run has
    measured last stands for the rest of its curves, final values included, and should it have diverged later, nobody
    knows."""

    def __post_init__(self) -> None:
        for name, least in (("widen", 0), ("seeds", 2), ("tuning_seeds", 1), ("first_seed", 0)):
            check(getattr(self, name) >= least, name, f"at least {least}", getattr(self, name))


@dataclass(frozen=True)
class AnalysisOptions:
    """Table [analysis]: what "there" means, how rates are chosen, how sure intervals are."""

    targets: tuple[float, ...] = (0.9, 0.95)
    target_metric: Literal["validation_accuracy", "test_accuracy", "train_accuracy"] = "validation_accuracy"
    sustained: int = 1
    tune_by: Literal["time_to_target", "final_accuracy"] = "time_to_target"
    confidence: float = 0.95
    resamples: int = 4999

    def __post_init__(self) -> None:
        check(
            bool(self.targets) and all(0 < t <= 1 for t in self.targets), "targets", "accuracies in 0..1", self.targets
        )
        check(self.sustained >= 1, "sustained", "at least 1", self.sustained)
        check(0 < self.confidence < 1, "confidence", "a level between 0 and 1", self.confidence)
        check(self.resamples >= 99, "resamples", "at least 99", self.resamples)
        object.__setattr__(self, "targets", tuple(sorted(set(self.targets))))


@dataclass(frozen=True)
class Config:
    """One workload and what is compared on it."""

    dataset: str
    model: Literal["linear", "mlp"]
    loss: tuple[str | dict[str, Any], ...]
    optimizer: str = "sgd"
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    start: str | StdStart = "he"
    gradient: Literal["autodiff", "manual"] = "autodiff"
    data: DataOptions = field(default_factory=DataOptions)
    mlp: MlpOptions = field(default_factory=MlpOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    sweep: SweepOptions = field(default_factory=SweepOptions)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)

    def __post_init__(self) -> None:
        check(bool(self.loss), "loss", "at least one loss", self.loss)
        _one_of("optimizer", self.optimizer, optimizer_names())
        if isinstance(self.start, str) and not self.start.startswith("npz:"):
            _one_of("start", self.start, (*STARTS, "npz:PATH"))
        check(
            not (self.sweep.retire_reached and self.analysis.tune_by == "final_accuracy"),
            "sweep.retire_reached",
            "false where analysis.tune_by is 'final_accuracy', because retired runs have none",
            self.sweep.retire_reached,
        )


def load_config(path: str | Path, overrides: typing.Sequence[str] = ()) -> tuple[str, list[Config]]:
    """Read a TOML file, apply `key=value` overrides, and return the config's name and one `Config` per workload.

    Raises:
      UserError: a missing or malformed file, an unknown key or a wrong value, with file, key and nearest valid name.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = [str(other) for other in sorted(path.parent.glob("*.toml"))]
        raise UserError(f"{path}: no such config file{nearest(str(path), known)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    overridden = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UserError(f"command line: expected key=value, came {override!r}")
        _assign(table, key.strip(), _parse_value(text.strip()))
        overridden[key.strip()] = "command line"
    return path.stem, [build(Config, one, str(path), overridden) for one in _workload_tables(table)]


def _workload_tables(table: dict[str, Any]) -> list[dict[str, Any]]:
    """One table for each combination of the values listed under the workload keys."""
    choices = [table[key] if isinstance(table.get(key), list) else [table.get(key)] for key in WORKLOAD_KEYS]
    combined = []
    for values in itertools.product(*choices):
        given = {key: value for key, value in zip(WORKLOAD_KEYS, values, strict=True) if value is not None}
        combined.append({**table, **given})
    return combined


def _assign(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UserError(f"command line: {dotted}: {parent!r} is a value, not a table")
    table[last] = value


def _parse_value(text: str) -> Any:
    """A TOML value, a bare word, or a comma list of either: `200`, `ssr`, `0.9,0.95`, `{std=[1,2]}`."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    values = [_parse_one(part.strip()) for part in parts]
    return values if len(values) > 1 else values[0]


def _parse_one(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build(cls: type, table: Any, source: str, overridden: dict[str, str] | None = None, prefix: str = "") -> Any:
    """Build the dataclass `cls` from a table, checking keys and types on the way down."""
    hints = typing.get_type_hints(cls)
    names = [prefix + name for name in hints]

    def where(key: str) -> str:
        return f"{(overridden or {}).get(key, source)}: {key}"

    for key in table:
        if key not in hints:
            raise UserError(f"{where(prefix + key)}: unknown key{nearest(prefix + key, names)}")
    for required in dataclasses.fields(cls):
        without = required.default is dataclasses.MISSING and required.default_factory is dataclasses.MISSING
        if without and required.name not in table:
            raise UserError(f"{source}: {prefix}{required.name}: this key is required")
    values = {}
    for key, value in table.items():
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            values[key] = build(hints[key], value, source, overridden, f"{prefix}{key}.")
        else:
            values[key] = _convert(hints[key], value, where(prefix + key))
    try:
        return cls(**values)
    except ValueError as error:
        key = str(error).split(":")[0]
        raise UserError(f"{where(prefix + key)}{str(error)[len(key) :]}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, or a UserError that says what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _convert(option, value, where)
            except UserError:
                continue
    elif origin is Literal:
        if value in arguments and type(value) in {type(argument) for argument in arguments}:
            return value
        raise UserError(f"{where}: expected {_name(hint)}, came {value!r}{nearest(str(value), arguments)}")
    elif origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(arguments[0], item, where) for item in items)
    elif origin is dict and isinstance(value, dict):
        return value
    elif dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, where.split(":")[0], None, where.split(": ")[-1] + ".")
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise UserError(f"{where}: expected {_name(hint)}, came {value!r}")


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


def _one_of(key: str, value: str, choices: typing.Iterable[str]) -> None:
    choices = list(choices)
    check(value in choices, key, f"one of {', '.join(choices)}", f"{value}{nearest(value, choices)}")


def as_dict(config: Config) -> dict[str, Any]:
    """The resolved config as plain JSON types, nested like the TOML file."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def identity(config: Config) -> dict[str, Any]:
    """What names a result: `as_dict`, but a key newer than earlier results counts only where it is not at its default.

    >>> config = Config(dataset="iris", model="linear", loss=("ssr",))
    >>> "retire_reached" in identity(config)["sweep"]
    False
    """
    table = as_dict(config)
    if not config.sweep.retire_reached:
        del table["sweep"]["retire_reached"]
    return table


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
