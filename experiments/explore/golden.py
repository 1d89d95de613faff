"""Numbers of `ce_jax` that the explorer's own mathematics is checked against, each time the page opens.

The page computes losses, gradients and training in JavaScript; what it has to agree with is computed here, in float64.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax import LOSSES, Layer, Loss, backprop, hand_written, mlp

from ..lesson.escape import RATE, count_steps
from .race import Race

BETAS = (0.0, 0.3, 1.0)
LOGITS = (
    (0.0, 0.0, 0.0),
    (1.0, -0.5, 0.3),
    (0.0, 2.0, 2.0),
    (0.0, 10.0, 0.0),
    (0.0, 25.0, 3.0),
    (12.0, 0.0, -1.0),
    (30.0, 1.0, 0.0),
)
LEAD, TARGET = 10.0, 0.5
"""Where the descents begin, and the probability of the label at which they end; `RATE` is their step size."""


def golden(race: Race) -> dict[str, Any]:
    """Losses and gradients of single rows, lengths of descents, and a network after a few steps."""
    with jax.enable_x64(True):
        return {
            "rows": [_row(logits, label, beta) for beta in BETAS for logits in LOGITS for label in (0, 1)],
            "descents": [_descent(beta) for beta in (0.0, 1.0)],
            "unit": {"lead": LEAD, "rate": RATE, "steps": _unit()},
            "networks": [_network(race, beta) for beta in (0.0, 1.0)],
        }


def _loss(beta: float) -> tuple[Loss, dict[str, float]]:
    """A member of the bridge; its two ends are losses of their own, which keep the tails."""
    ends = {0.0: "cross_entropy", 1.0: "ssr"}
    return (LOSSES[ends[beta]], {}) if beta in ends else (LOSSES["power_loss"], {"beta": beta})


def _row(logits: tuple[float, ...], label: int, beta: float) -> dict[str, Any]:
    loss, options = _loss(beta)
    z, y = jnp.asarray(logits), jnp.asarray(label)
    value, slope = loss.value(z, y, **options), hand_written(loss)(z, y, **options)
    return {"logits": logits, "label": label, "beta": beta, "loss": float(value), "gradient": slope.tolist()}


def _descent(beta: float) -> dict[str, Any]:
    """Steps of gradient descent on three logits until the label's probability has the target."""
    loss, options = _loss(beta)
    start, label, slope = jnp.asarray((0.0, LEAD, 0.0)), jnp.asarray(0), hand_written(loss)

    def short(state: tuple[Array, Array]) -> Array:
        return jax.nn.softmax(state[0])[0] < TARGET

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        return state[0] - RATE * slope(state[0], label, **options), state[1] + 1

    steps = jax.lax.while_loop(short, step, (start, jnp.asarray(0)))[1]
    common = {"logits": start.tolist(), "label": 0, "rate": RATE, "target": TARGET}
    return {**common, "beta": beta, "steps": int(steps)}


def _unit() -> list[int]:
    """Steps of a sigmoid unit with weight and bias under cross-entropy and under half the squared error.

    It is a softmax of (0, z) whose first logit is not trained, of which half the squared error is a quarter of the SSR.
    """
    start, only_wrong = np.array([[0.0, LEAD]]), np.array([[0.0, 1.0]])
    scales = {"cross_entropy": 1.0, "ssr": 0.25}
    return [int(count_steps(loss, start, scale * only_wrong, RATE)[0]) for loss, scale in scales.items()]


def _network(race: Race, beta: float, steps: int = 5, rate: float = 0.5) -> dict[str, Any]:
    """The race's network on its first points after some steps, by backpropagation by hand."""
    points, labels = race.points[:40], race.labels[:40]
    model, loss, start = mlp((len(race.w1),), activation="tanh"), _loss(beta)[0], race.start()
    layers = [(start["w1"], start["b1"]), (start["w2"], start["b2"])]
    params = tuple(Layer(jnp.asarray(weight).T, jnp.asarray(bias)) for weight, bias in layers)
    inputs, y = jnp.asarray(points), jnp.asarray(labels)
    for _ in range(steps):
        _, slopes = backprop(params, model, loss, inputs, y)
        params = jax.tree.map(lambda leaf, slope: leaf - rate * slope, params, slopes)
    value, slopes = backprop(params, model, loss, inputs, y)
    size = float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(slopes))))
    given = {"points": np.asarray(points).tolist(), "labels": np.asarray(labels).tolist(), "start": start}
    return {**given, "beta": beta, "steps": steps, "rate": rate, "loss": float(value), "gradient_norm": size}
