"""The network that the lesson works through: read from a TOML file, checked, and handed on as `ce_jax` parameters.

`textbook.toml` beside this file is the textbook's own network and documents the format.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ce_jax import Layer, Model, mlp
from ce_jax.models import ACTIVATIONS

from ..config import build
from ..errors import check, nearest
from ..toml_files import read_toml

TEXTBOOK = Path(__file__).with_name("textbook.toml")
MOST = 12  # units of a layer, inputs and rows: the lesson prints every weight and every term


@dataclass(frozen=True)
class LayerTable:
    """Table [[layers]]: weights [units][inputs] and biases [units]."""

    weights: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """Table [[rows]]: one example and the name of its class."""

    inputs: tuple[float, ...]
    label: str


@dataclass(frozen=True)
class OutputBias:
    """Table [output_bias]: the output bias that section 4 sets to `value` and moves by one step."""

    class_name: str
    value: float
    learning_rate: float = 1.0


@dataclass(frozen=True)
class Published:
    """Table [published]: numbers as a book prints them, only ever shown beside the computed ones."""

    total: float | None = None
    bias_derivative: float | None = None
    new_bias: float | None = None


@dataclass(frozen=True)
class Network:
    """A classifier with its weights, some rows of data with their labels, and what the lesson does with them."""

    class_names: tuple[str, ...]
    layers: tuple[LayerTable, ...]
    rows: tuple[Row, ...]
    feature_names: tuple[str, ...] = ()
    description: str = ""
    activation: str = "relu"
    output_bias: OutputBias | None = None
    published: Published = Published()

    def __post_init__(self) -> None:
        names = self.class_names
        check(2 <= len(names) <= MOST, "class_names", f"2 to {MOST} classes", list(names))
        check(len(set(names)) == len(names), "class_names", "every name once", list(names))
        check(1 <= len(self.rows) <= MOST, "rows", f"1 to {MOST} rows", len(self.rows))
        _known("activation", self.activation, list(ACTIVATIONS))
        self._check_shapes()
        for number, row in enumerate(self.rows, 1):
            _known(f"rows: row {number}: label", row.label, names)
        if self.output_bias:
            _known("output_bias.class_name", self.output_bias.class_name, names)
            value, rate = self.output_bias.value, self.output_bias.learning_rate
            _numbers("output_bias.value", [value], 1)
            check(0 < rate < math.inf, "output_bias.learning_rate", "a number above 0", rate)

    def _check_shapes(self) -> None:
        check(bool(self.layers), "layers", "at least one layer", "none")
        width = len(self.rows[0].inputs)
        check(1 <= width <= MOST, "rows: row 1: inputs", f"1 to {MOST} numbers", list(self.rows[0].inputs))
        named = len(self.feature_names)
        check(named in (0, width), "feature_names", f"{width} names, one per input", list(self.feature_names))
        for number, row in enumerate(self.rows, 1):
            _numbers(f"rows: row {number}: inputs", row.inputs, width)
        for number, layer in enumerate(self.layers, 1):
            last = number == len(self.layers)
            units = len(self.class_names) if last else len(layer.biases)
            where = f"layers: layer {number}"
            check(1 <= units <= MOST, f"{where}: biases", f"1 to {MOST} numbers", list(layer.biases))
            expected = f"{units} rows, one per {'class' if last else 'bias'}"
            check(len(layer.weights) == units, f"{where}: weights", expected, len(layer.weights))
            _numbers(f"{where}: biases", layer.biases, units)
            for unit, weights in enumerate(layer.weights, 1):
                _numbers(f"{where}: weights: row {unit}", weights, width)
            width = units

    @property
    def model(self) -> Model:
        """The network's form, without its numbers."""
        return mlp(self.hidden, activation=self.activation)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return tuple(len(layer.biases) for layer in self.layers[:-1])

    @property
    def params(self) -> tuple[Layer, ...]:
        """Its numbers, weights as [inputs, units] like everywhere in `ce_jax`."""
        return tuple(Layer(jnp.asarray(layer.weights).T, jnp.asarray(layer.biases)) for layer in self.layers)

    @property
    def inputs(self) -> np.ndarray:
        """[N, D]."""
        return np.array([row.inputs for row in self.rows])

    @property
    def labels(self) -> np.ndarray:
        """[N] positions in `class_names`."""
        return np.array([self.class_names.index(row.label) for row in self.rows], np.int32)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, made up where the file gives none."""
        return self.feature_names or tuple(f"input {i}" for i in range(1, len(self.rows[0].inputs) + 1))

    @property
    def bias_example(self) -> OutputBias:
        """The output bias to be moved; without one in the file, that of the first class from where it is."""
        return self.output_bias or OutputBias(self.class_names[0], self.layers[-1].biases[0])

    def unit_names(self, layer: int) -> tuple[str, ...]:
        """Names of what layer number `layer` computes; layer 0 is the inputs and the last one the classes."""
        if layer == 0:
            return self.features
        if layer == len(self.layers):
            return self.class_names
        place = f" of layer {layer}" if len(self.hidden) > 1 else ""
        return tuple(f"unit {i}{place}" for i in range(1, self.hidden[layer - 1] + 1))


def load_network(path: str | Path = TEXTBOOK) -> Network:
    """Read a network file; without a path, the textbook's.

    Raises:
      UserError: the file is missing or malformed, or something in it does not fit, with its place.

    >>> load_network().hidden, load_network().class_names[0]
    ((2,), 'setosa')
    """
    path = Path(path).expanduser()
    return build(Network, read_toml(path, "network"), str(path))


def _known(key: str, name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise ValueError(f"{key}: expected one of {', '.join(choices)}, got {name!r}{nearest(name, choices)}")


def _numbers(key: str, values: Sequence[float], count: int) -> None:
    fine = len(values) == count and all(map(math.isfinite, values))
    check(fine, key, f"{count} finite number{'s' if count > 1 else ''}", list(values))
