"""Which settings of a resolved config have anything to do with its data set, its network and its search."""

from collections.abc import Callable, Mapping
from typing import Any

from ..config import Config, as_dict, flatten
from ..data.options import USES

Settings = Mapping[str, Any]
DEFAULTS = flatten(as_dict(Config(dataset="", model=":", loss=("",))))


def _for_data(key: str) -> Callable[[Settings], bool]:
    return lambda config: config["dataset"].partition(":")[0] in USES[key][0]


def _unless(key: str, value: Any) -> Callable[[Settings], bool]:
    return lambda config: config.get(key) != value


def _if(key: str, value: Any) -> Callable[[Settings], bool]:
    return lambda config: config.get(key) == value


def _built_in(config: Settings) -> bool:
    return ":" not in config["model"]


APPLIES: dict[str, Callable[[Settings], bool]] = {
    **{f"data.{key}": _for_data(key) for key in USES},
    "data.generator_seed": lambda config: (
        config["dataset"] in USES["generator_seed"][0] or config.get("data.examples") is not None
    ),
    "data.balanced_test": lambda config: (
        config.get("data.copies") is None
        if config["dataset"] == "heavy_tail"
        else _unless("data.imbalance", 1.0)(config)
    ),
    "data.split.validation": _unless("dataset", "heavy_tail"),
    "data.split.test": _unless("dataset", "heavy_tail"),
    "mlp": _if("model", "mlp"),
    "cnn": _if("model", "cnn"),
    "start": _built_in,
    "sweep.draws": _if("sweep.search", "random"),
    "sweep.widen": _if("sweep.search", "grid"),
    "sweep.learning_rates.count": _if("sweep.search", "grid"),
    "train.evaluate_at": _if("train.evaluate_every", None),
    "train.evaluations": _if("train.evaluate_every", None),
}
"""{key, or table of keys: whether it applies to a flat config}; what is not here always does."""


def applying(config: Settings) -> dict[str, Any]:
    """The settings of a flat config that say something: those that apply to it, and those that were set.

    >>> iris = DEFAULTS | {"dataset": "iris", "model": "linear"}
    >>> "data.features" in applying(iris), "mlp.hidden" in applying(iris), "train.steps" in applying(iris)
    (False, False, True)
    >>> "data.features" in applying(iris | {"dataset": "mixtures"}), "mlp.hidden" in applying(iris | {"model": "mlp"})
    (True, True)
    """
    return {key: value for key, value in config.items() if value not in (None, {}) and _says_something(key, config)}


def _says_something(key: str, config: Settings) -> bool:
    tables = [key.rsplit(".", cut)[0] for cut in range(key.count(".") + 1)]
    rules = [APPLIES[name] for name in tables if name in APPLIES]
    return all(rule(config) for rule in rules) or (key in DEFAULTS and config[key] != DEFAULTS[key])
