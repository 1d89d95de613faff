"""Section 5, the picture of Glorot & Bengio (2010, figure 5): both losses over the two weights of the least network.

The network is z = (0, v tanh(w x)): one hidden unit, one weight in each layer, no bias, so that the surface is all
there is and a path drawn on it is a whole training run. x is the petal width of versicolor and virginica, standardised.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax import Layer, backprop, mlp
from experiments.data import DataOptions, load_dataset

Array = NDArray[Any]
CLASSES = ("versicolor", "virginica")
FEATURE = "petal width (cm)"
EXTENT, POINTS = 6.0, 61
RATE, STEPS = 1.0, 1000
MARKED = (0, 1, 10, 100, 1000)
DRAWS = 256
CORNER = (4.0, -4.0)
FLAT = 0.01  # a gradient shorter than this counts as flat


class Path(NamedTuple):
    """Gradient descent on both weights: positions [STEPS + 1, 2] and the loss there."""

    weights: Array
    losses: Array


class Surfaces(NamedTuple):
    """`values[loss]` and `norms[loss]` are [POINTS, POINTS] over (v, w) of `axis`; a path for each loss and start."""

    axis: Array
    values: dict[str, Array]
    norms: dict[str, Array]
    paths: dict[str, dict[str, Path]]
    """{loss: {start: path}}, both losses from the same point."""
    flat: dict[str, float]
    """Share of the square where the gradient is shorter than FLAT."""


def surfaces(start: str, losses: tuple[str, ...]) -> Surfaces:
    """Both surfaces, and two descents under each loss: from `start` and from the confidently wrong CORNER.

    `start` gives the sizes of the two weights (root mean square of many draws); their signs are set so that the network
    begins on the wrong side.
    """
    dataset = load_dataset("iris", DataOptions(classes=CLASSES))
    x = dataset.inputs[:, dataset.feature_names.index(FEATURE)]
    inputs, labels = np.float32((x - x.mean()) / x.std())[:, None], dataset.labels
    model = mlp((1,), activation="tanh")
    axis = np.linspace(-EXTENT, EXTENT, POINTS, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    begin = {start: _wrong_side(start), "corner": np.float32(CORNER)}

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

        return jax.device_get(all_at_once(grid.reshape(-1, 2), np.stack([*begin.values()]), inputs, labels))

    found = {loss: measure(loss) for loss in losses}
    return Surfaces(
        axis,
        {loss: values.reshape(POINTS, POINTS) for loss, (values, _, _) in found.items()},
        {loss: norms.reshape(POINTS, POINTS) for loss, (_, norms, _) in found.items()},
        {loss: dict(zip(begin, map(Path, *paths), strict=True)) for loss, (_, _, paths) in found.items()},
        {loss: float(np.mean(norms < FLAT)) for loss, (_, norms, _) in found.items()},
    )


def _wrong_side(start: str) -> Array:
    def sizes(key):
        first, last = mlp((1,), activation="tanh", start=start).init(key, 1, 2)
        # Only the difference of the two logits matters to a softmax.
        return jnp.stack([first.weight[0, 0], last.weight[0, 1] - last.weight[0, 0]])

    drawn = jax.jit(jax.vmap(sizes))(jax.random.split(jax.random.key(0), DRAWS))
    return np.sqrt(np.mean(np.square(drawn), axis=0)) * np.float32([1, -1])
