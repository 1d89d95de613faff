"""Section 5, the picture of Glorot & Bengio (2010, figure 5): both losses over the two weights of the least network.

The network is z = (0, v tanh(w x)): one hidden unit, one weight in each layer, no bias, so that the surface is all
there is and a path drawn on it is a whole training run. x is the petal width of two species, standardised.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax import Layer, backprop, mlp
from experiments.data import DataOptions, load_dataset

Array = NDArray[Any]
CLASSES = ("setosa", "virginica")
FEATURE = "petal width (cm)"
EXTENT, POINTS = 8.0, 65
RATE, STEPS = 1.0, 1000
MARKED = (0, 1, 10, 100, 1000)
DRAWS = 256
CORNER = (4.0, -5.0)


class Path(NamedTuple):
    """Gradient descent on both weights: positions [STEPS + 1, 2] and the loss there."""

    weights: Array
    losses: Array


class Surfaces(NamedTuple):
    """`values[loss]` and `norms[loss]` are [v, w] over `axis` twice; a path for each loss and start."""

    axis: Array
    values: dict[str, Array]
    norms: dict[str, Array]
    paths: dict[str, dict[str, Path]]
    """{loss: {start: path}}, both losses from the same point."""
    steepness: dict[str, float]
    """Median length of the gradient in the wrong half of the square, w v < 0."""
    in_corner: dict[str, float]
    """Length of the gradient at CORNER."""
    halving: dict[str, int | None]
    """Steps from CORNER until the loss is half of what it was there; None where STEPS are too few."""


def surfaces(start: str, losses: tuple[str, ...]) -> Surfaces:
    """Both surfaces, and two descents under each loss: from `start` and from the confidently wrong CORNER.

    `start` gives the sizes of the two weights (root mean square of many draws); their signs are set so that the network
    begins on the wrong side.
    """
    dataset = load_dataset("iris", DataOptions(classes=CLASSES))
    x = dataset.inputs[:, dataset.feature_names.index(FEATURE)]
    inputs, labels = ((x - x.mean()) / x.std()).astype(np.float32)[:, None], dataset.labels
    model = mlp((1,), activation="tanh")
    axis = np.linspace(-EXTENT, EXTENT, POINTS, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    begin = {start: _wrong_side(start), "corner": np.array(CORNER, np.float32)}

    def measure(loss: str) -> tuple:
        def slope(weights, inputs, labels):
            w, v = weights
            params = Layer(w.reshape(1, 1), jnp.zeros(1)), Layer(jnp.stack([0 * v, v])[None], jnp.zeros(2))
            value, (first, last) = backprop(params, model, loss, inputs, labels)
            return value, jnp.stack([first.weight[0, 0], last.weight[0, 1]])

        @jax.jit
        def all_at_once(grid, begin, inputs, labels):
            def step(weights, _):
                value, gradient = slope(weights, inputs, labels)
                return weights - RATE * gradient, (weights, value)

            values, gradients = jax.vmap(slope, (0, None, None))(grid, inputs, labels)
            paths = jax.vmap(lambda one: jax.lax.scan(step, one, length=STEPS + 1)[1])(begin)
            return values, jnp.linalg.norm(gradients, axis=-1), paths

        return jax.device_get(all_at_once(grid.reshape(-1, 2), np.array([*begin.values()]), inputs, labels))

    wrong = np.prod(grid.reshape(-1, 2), axis=1) < 0
    found = {loss: measure(loss) for loss in losses}
    paths = {loss: dict(zip(begin, map(Path, *paths), strict=True)) for loss, (_, _, paths) in found.items()}
    corner = {loss: one["corner"] for loss, one in paths.items()}
    return Surfaces(
        axis,
        {loss: values.reshape(POINTS, POINTS) for loss, (values, _, _) in found.items()},
        {loss: norms.reshape(POINTS, POINTS) for loss, (_, norms, _) in found.items()},
        paths,
        {loss: float(np.median(norms[wrong])) for loss, (_, norms, _) in found.items()},
        {loss: float(np.linalg.norm(path.weights[1] - path.weights[0])) / RATE for loss, path in corner.items()},
        {loss: _first(path.losses < path.losses[0] / 2) for loss, path in corner.items()},
    )


def _first(met: Array) -> int | None:
    return int(np.argmax(met)) if met.any() else None


def _wrong_side(start: str) -> Array:
    def sizes(key):
        first, last = mlp((1,), activation="tanh", start=start).init(key, 1, 2)
        # Only the difference of the two logits matters to a softmax.
        return jnp.stack([first.weight[0, 0], last.weight[0, 1] - last.weight[0, 0]])

    drawn = jax.jit(jax.vmap(sizes))(jax.random.split(jax.random.key(0), DRAWS))
    return np.sqrt(np.mean(np.square(drawn), axis=0)) * np.array([1, -1], np.float32)
