"""Section 5, the picture of Glorot & Bengio (2010, figure 5): both losses over the two weights of the smallest network.

The network is z = (0, v tanh(w x)): one hidden unit, one weight in each layer, no bias, so that the surface is all
there is and a path drawn on it is a whole training run. x is the petal width of two species, standardised.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax import LOSSES, hand_written
from ce_jax.models import Params

from ..data import DataOptions, load_dataset

Array = NDArray[Any]
CLASSES = ("setosa", "virginica")
FEATURE = "petal width (cm)"
EXTENT, POINTS = 8.0, 65
RATE, STEPS = 1.0, 1000
MARKED = (0, 1, 10, 100, 1000)
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
    """{loss: {"start" or "corner": path}}, both losses from the same two points."""
    steepness: dict[str, float]
    """Median length of the gradient in the wrong half of the square, w v < 0."""
    in_corner: dict[str, float]
    """Length of the gradient at CORNER."""
    halving: dict[str, int | None]
    """Steps from CORNER until the loss is half of what it was there; None where STEPS are too few."""


def surfaces(start: Params, losses: tuple[str, ...]) -> Surfaces:
    """Both surfaces, and two descents under each loss: from the start of a run and from the confidently wrong CORNER.

    `start` gives the sizes of the two weights, the root mean squares of its first and of its last layer; their signs
    are set so that the network begins on the wrong side.
    """
    dataset = load_dataset("iris", DataOptions(classes=CLASSES))
    x = dataset.inputs[:, dataset.feature_names.index(FEATURE)]
    inputs, labels = ((x - x.mean()) / x.std()).astype(np.float32), dataset.labels
    axis = np.linspace(-EXTENT, EXTENT, POINTS, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    sizes = [float(np.sqrt(np.mean(np.square(layer.weight)))) for layer in (start[0], start[-1])]
    begin = np.array([[sizes[0], -sizes[1]], CORNER], np.float32)
    wrong = np.prod(grid, axis=1) < 0
    values, norms, paths = {}, {}, {}
    for loss in losses:
        value, gradients = jax.device_get(_slopes(loss, grid, inputs, labels))
        values[loss], norms[loss] = value, np.linalg.norm(gradients, axis=1)
        weights, measured = [begin], []
        for _ in range(STEPS + 1):
            value, gradients = jax.device_get(_slopes(loss, weights[-1], inputs, labels))
            measured.append(value)
            weights.append(weights[-1] - RATE * gradients)
        both = np.stack(weights[:-1], axis=1), np.stack(measured, axis=1)
        paths[loss] = {name: Path(*path) for name, *path in zip(("start", "corner"), *both, strict=True)}
    corner = {loss: by_start["corner"] for loss, by_start in paths.items()}
    return Surfaces(
        axis=axis,
        values={loss: value.reshape(POINTS, POINTS) for loss, value in values.items()},
        norms={loss: norm.reshape(POINTS, POINTS) for loss, norm in norms.items()},
        paths=paths,
        steepness={loss: float(np.median(norm[wrong])) for loss, norm in norms.items()},
        # The first step is as long as the gradient times the rate.
        in_corner={
            loss: float(np.linalg.norm(path.weights[1] - path.weights[0])) / RATE for loss, path in corner.items()
        },
        halving={loss: _first(path.losses < path.losses[0] / 2) for loss, path in corner.items()},
    )


@partial(jax.jit, static_argnums=0)
def _slopes(loss: str, weights: Array, inputs: Array, labels: Array) -> tuple[jax.Array, jax.Array]:
    """Mean loss [M] and its gradient [M, 2] for many pairs of weights (w, v) [M, 2] at once, by the chain rule."""
    w, v = weights[:, :1], weights[:, 1:]
    hidden = jnp.tanh(w * inputs[None])
    logits = jnp.stack([jnp.zeros_like(hidden), v * hidden])
    classes = jnp.broadcast_to(labels, hidden.shape)
    blame = hand_written(loss)(logits, classes, axis=0)[1]
    by_w, by_v = blame * v * (1 - hidden**2) * inputs[None], blame * hidden
    value = LOSSES[loss].value(logits, classes, axis=0)
    return value.mean(axis=1), jnp.stack([by_w.mean(axis=1), by_v.mean(axis=1)], axis=1)


def _first(met: Array) -> int | None:
    return int(np.argmax(met)) if met.any() else None
