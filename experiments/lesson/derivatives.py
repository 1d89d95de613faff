"""Section 4: the derivative of the total cross-entropy for every weight and bias, by four routes, and one step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from ce_jax import backprop, cross_entropy, softmax
from ce_jax.models import ACTIVATIONS, Params

from .example import WorkedExample
from .network import Network

Array = NDArray[np.float64]
DIFFERENCE = 1e-5  # step of the central difference: its square and 1e-16 / step, its two errors, are both small
MORE_STEPS = 12


class Derivative(NamedTuple):
    """One weight or bias: each row contributes what the unit is blamed for times what came in through it."""

    layer: int
    source: str | None
    """Where a weight comes from; None for a bias, whose input is always 1."""
    unit: str
    value: float
    blame: tuple[float, ...]
    inputs: tuple[float, ...]
    by_hand: float
    """Sum over rows of blame times input."""
    backprop: float
    autodiff: float
    finite_difference: float


class BiasStep(NamedTuple):
    """One output bias moved by gradient descent; "rounded" follows the numbers as one writes them on paper."""

    class_name: str
    old: float
    learning_rate: float
    probabilities: Array
    """[N] of that class, in every row."""
    is_class: Array
    """[N] 1 where the row is of that class."""
    derivative: float
    autodiff: float
    new: float
    total_before: float
    total_after: float
    rounded_derivative: float
    rounded_new: float
    total_after_rounded: float
    path: Array
    """[MORE_STEPS + 1] the bias after each further step of the same kind."""
    path_totals: Array
    grid: Array
    totals: Array
    """[G] total cross-entropy at each bias of `grid`."""


class Backpropagation(NamedTuple):
    """Section 4 for all parameters: `blames` and `slopes` of every layer, [N, units], and the table."""

    blames: tuple[Array, ...]
    """d total / d (what enters the unit)."""
    slopes: tuple[Array, ...]
    """Slope of the activation of each hidden layer's units."""
    table: tuple[Derivative, ...]
    largest_disagreement: float
    """Among by hand, backprop and autodiff."""
    largest_difference_error: float
    """Of the finite differences against autodiff."""


def backpropagation(network: Network, example: WorkedExample) -> Backpropagation:
    """Every derivative of the total by hand, by `ce_jax.backprop`, by `jax.grad` and by finite differences."""
    with jax.enable_x64(True):
        blames, slopes = _blames(network, example)
        by_program, autodiff, differences = (np.asarray(route) for route in _routes(network))
    inputs = (network.inputs, *example.hidden)
    table: list[Derivative] = []
    for layer, (parameters, below, blame) in enumerate(zip(network.layers, inputs, blames, strict=True), 1):
        sources, units = network.unit_names(layer - 1), network.unit_names(layer)
        # The order of a flattened `Layer`: weights [inputs, units] row by row, then biases.
        weights = [(source, u, i) for i, source in enumerate(sources) for u in range(len(units))]
        for source, u, i in [*weights, *((None, u, 0) for u in range(len(units)))]:
            came = np.ones(len(below)) if source is None else below[:, i]
            value = parameters.biases[u] if source is None else parameters.weights[u][i]
            index = len(table)
            table.append(
                Derivative(
                    layer=layer,
                    source=source,
                    unit=units[u],
                    value=value,
                    blame=tuple(blame[:, u].tolist()),
                    inputs=tuple(came.tolist()),
                    by_hand=float(blame[:, u] @ came),
                    backprop=float(by_program[index]),
                    autodiff=float(autodiff[index]),
                    finite_difference=float(differences[index]),
                )
            )
    hand = np.array([derivative.by_hand for derivative in table])
    disagreement = max(np.abs(hand - autodiff).max(), np.abs(by_program - autodiff).max())
    return Backpropagation(
        blames, slopes, tuple(table), float(disagreement), float(np.abs(differences - autodiff).max())
    )


def _blames(network: Network, example: WorkedExample) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The chain rule in NumPy, as the page derives it: p - t at the output, then back along the weights."""
    slope = ACTIVATIONS[network.activation].slope
    slopes = []
    for layer, below, hidden in zip(network.layers, (network.inputs, *example.hidden), example.hidden, strict=False):
        before = below @ np.array(layer.weights).T + np.array(layer.biases)
        slopes.append(np.asarray(slope(jnp.asarray(before), jnp.asarray(hidden))))
    blames = [example.probabilities - np.eye(len(network.class_names))[network.labels]]
    for layer, slope_of_layer in zip(reversed(network.layers[1:]), reversed(slopes), strict=True):
        blames.insert(0, (blames[0] @ np.array(layer.weights)) * slope_of_layer)
    return tuple(blames), tuple(slopes)


def _routes(network: Network) -> tuple:
    model, params = network.model, network.params
    inputs, labels = jnp.asarray(network.inputs), jnp.asarray(network.labels)
    flat, restore = ravel_pytree(params)

    @jax.jit
    def routes(flat):
        def total(flat):
            return cross_entropy(model.apply(restore(flat), inputs), labels).sum()

        _, gradients = backprop(restore(flat), model, "cross_entropy", inputs, labels)
        steps = DIFFERENCE * jnp.eye(len(flat))
        moved = jax.vmap(total)(jnp.concatenate([flat[None] + steps, flat[None] - steps]))
        up, down = jnp.split(moved, 2)
        # backprop returns the gradient of the mean; the textbook works with the total.
        return len(labels) * ravel_pytree(gradients)[0], jax.grad(total)(flat), (up - down) / (2 * DIFFERENCE)

    return routes(flat)


def bias_step(network: Network) -> BiasStep:
    """Set one output bias as the network's file says, and follow gradient descent on it alone."""
    example = network.bias_example
    index, rate = network.class_names.index(example.class_name), example.learning_rate
    is_class = (network.labels == index).astype(float)
    with jax.enable_x64(True):
        totals, at_bias, walk = _of_bias(network, index)
        p, slope = jax.device_get(at_bias(example.value))
        derivative = float(np.sum(p - is_class))
        new = example.value - rate * derivative
        # As on paper: each probability to two digits, then their sum, then the new bias.
        rounded_derivative = round(float(np.sum(np.round(p, 2) - is_class)), 2)
        rounded_new = round(example.value - rate * rounded_derivative, 2)
        path = np.asarray(walk(example.value, rate))
        spread = max(np.ptp(path), 1.0)
        grid = np.linspace(path.min() - spread, path.max() + spread, 201)
        points = np.concatenate([[example.value, new, rounded_new], path, grid])
        before, after, after_rounded, *curve = np.asarray(totals(points)).tolist()
        return BiasStep(
            class_name=example.class_name,
            old=example.value,
            learning_rate=rate,
            probabilities=p,
            is_class=is_class,
            derivative=derivative,
            autodiff=float(slope),
            new=new,
            total_before=before,
            total_after=after,
            rounded_derivative=rounded_derivative,
            rounded_new=rounded_new,
            total_after_rounded=after_rounded,
            path=path,
            path_totals=np.array(curve[: len(path)]),
            grid=grid,
            totals=np.array(curve[len(path) :]),
        )


def _of_bias(network: Network, index: int) -> tuple:
    """Functions of one output bias: totals; the class's probabilities and the derivative; gradient descent."""
    model, params = network.model, network.params
    inputs, labels = jnp.asarray(network.inputs), jnp.asarray(network.labels)

    def with_bias(value) -> Params:
        return (*params[:-1], params[-1]._replace(bias=params[-1].bias.at[index].set(value)))

    def total(value):
        return cross_entropy(model.apply(with_bias(value), inputs), labels).sum()

    def at_bias(value):
        return softmax(model.apply(with_bias(value), inputs))[:, index], jax.grad(total)(value)

    def walk(value, rate):
        def step(value, _):
            return value - rate * jax.grad(total)(value), value

        return jax.lax.scan(step, value, length=MORE_STEPS + 1)[1]

    return jax.jit(jax.vmap(total)), jax.jit(at_bias), jax.jit(walk)
