"""Section 6: how long gradient descent needs to leave a confidently wrong start, in closed form and counted.

One sigmoid unit a = sigmoid(z), z = w x + b, on the single example x = 1, y = 0: weight and bias both receive the
derivative dL/dz, so a step of size eta moves z by -2 eta dL/dz. For small steps that is dz/dt = -2 eta dL/dz, with

    cross-entropy           dL/dz = a              2 eta T = [ln(a/(1-a)) - 1/a]
    half squared error      dL/dz = a^2 (1 - a)    2 eta T = [3 ln(a/(1-a)) - 2/a - 1/(2a^2) + 1/(1-a)]

each between a = 1/2 and the start. K classes whose K - 1 wrong ones lead together obey the same two laws in
u = 1 - p_y: with c = K/(K-1), d logit(u)/dt is -2 eta c u under cross-entropy and -2 eta 2 c^2 u^2 (1-u) under SSR.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce_jax import hand_written

Array = NDArray[Any]
RATE = 0.15  # of the textbook's sigmoid unit
STARTS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CLASSES = 3


class Case(NamedTuple):
    """One kind of start: {loss: [starts]} steps counted, and the closed form where there is one."""

    title: str
    counted: dict[str, NDArray[np.int64]]
    predicted: dict[str, Array] | None
    """[starts] at the same starts."""
    curves: dict[str, Array] | None
    """[C] on the finer `Escape.fine`."""
    last_slope: dict[str, float]
    """Slope of ln(steps) against the start between the last two starts: 1 is exponential growth with rate 1."""


class Escape(NamedTuple):
    """Section 6. `starts` is z0 of the unit, or the lead of the wrong classes."""

    rate: float
    starts: Array
    fine: Array
    unit: Case
    tied: Case
    one_wrong: Case
    slope_of_unit: dict[str, Array]
    """{loss: [C]} dL/dz of the unit at `fine`."""


def primitive(loss: str, u: ArrayLike) -> Array:
    """The bracket of the closed form: 1 / (u^2 (1-u)) or 1 / (u^3 (1-u)^2), integrated.

    >>> round(float(primitive("cross_entropy", 0.5)), 6), round(float(primitive("ssr", 0.5)), 6)
    (-2.0, -4.0)
    """
    u = np.asarray(u)
    odds = np.log(u) - np.log1p(-u)
    if loss == "cross_entropy":
        return odds - 1 / u
    return 3 * odds - 2 / u - 1 / (2 * u**2) + 1 / (1 - u)


def closed_form(loss: str, starting_log_odds: ArrayLike, speed: float) -> Array:
    """Steps until u = 1/2 when logit(u) falls by `speed` times u (cross-entropy) or u^2 (1-u) (SSR) a step.

    >>> round(float(closed_form("cross_entropy", 4.0, 0.3)), 1), round(float(closed_form("ssr", 4.0, 0.3)), 1)
    (16.6, 230.1)
    """
    start = 1 / (1 + np.exp(-np.asarray(starting_log_odds)))
    return (primitive(loss, start) - primitive(loss, 0.5)) / speed


def escape() -> Escape:
    """Count the steps with the gradients of `LOSSES`, and put the closed forms beside them."""
    starts, fine = np.array(STARTS), np.linspace(STARTS[0], STARTS[-1], 131)
    ratio, missing = CLASSES / (CLASSES - 1), CLASSES - 2
    zeros, absent = np.zeros_like(starts), np.full_like(starts, -np.inf)
    # A sigmoid unit is a softmax of (0, z) whose first logit stays 0; a class with the logit -inf is no class at all.
    logits = {
        "unit": np.stack([zeros, starts, *[absent] * missing], axis=1),
        "tied": np.stack([zeros, *[starts] * (CLASSES - 1)], axis=1),
        "one wrong": np.stack([zeros, starts, *[zeros] * missing], axis=1),
    }
    trained = {"unit": np.arange(CLASSES) == 1, "tied": np.full(CLASSES, True), "one wrong": np.full(CLASSES, True)}
    unit = np.stack([0 * fine, fine], axis=1)
    counted: dict[str, dict[str, NDArray[np.int64]]] = {case: {} for case in logits}
    slopes = {}
    with jax.enable_x64(True):
        for loss in ("cross_entropy", "ssr"):
            # Half the squared error of the unit's one output: SSR counts both classes, and has no factor 1/2.
            scale = {"unit": 0.25 if loss == "ssr" else 1.0, "tied": 1.0, "one wrong": 1.0}
            lanes = np.concatenate([*logits.values()])
            weights = np.concatenate([np.outer(np.ones_like(starts), scale[case] * trained[case]) for case in logits])
            parts = np.split(np.asarray(count_steps(loss, lanes, weights)), len(logits))
            for case, part in zip(logits, parts, strict=True):
                counted[case][loss] = part
            slopes[loss] = scale["unit"] * np.asarray(_gradients(loss, unit))[:, 1]
    unit_speed = {"cross_entropy": 2 * RATE, "ssr": 2 * RATE}
    tied_speed = {"cross_entropy": 2 * RATE * ratio, "ssr": 4 * RATE * ratio**2}
    shift = np.log(CLASSES - 1)  # two wrong classes that lead by s have together the odds 2 exp(s)
    all_lead, one_leads = (f"{CLASSES} classes, {which}" for which in ("all wrong ones lead", "one wrong one leads"))
    return Escape(
        rate=RATE,
        starts=starts,
        fine=fine,
        unit=_case("one sigmoid unit", counted["unit"], starts, fine, unit_speed),
        tied=_case(all_lead, counted["tied"], starts + shift, fine + shift, tied_speed),
        one_wrong=_case(one_leads, counted["one wrong"], starts, fine, None),
        slope_of_unit=slopes,
    )


def _case(title: str, counted: dict, starts: Array, fine: Array, speeds: dict[str, float] | None) -> Case:
    def predict(points: Array) -> dict[str, Array] | None:
        return {name: closed_form(name, points, speed) for name, speed in speeds.items()} if speeds else None

    growth = np.diff(starts[-2:])[0]
    last = {name: float(np.diff(np.log(steps[-2:]))[0] / growth) for name, steps in counted.items()}
    return Case(title, counted, predict(starts), predict(fine), last)


@partial(jax.jit, static_argnums=0)
def _gradients(loss: str, logits: Array) -> jax.Array:
    return hand_written(loss)(logits, jnp.zeros(len(logits), jnp.int32))


@partial(jax.jit, static_argnums=0)
def count_steps(loss: str, logits: Array, weights: Array, rate: float = RATE) -> jax.Array:
    """Steps of gradient descent [N] until class 0, the true one, has more than half of the probability.

    Every logit of `logits` [N, K] has a weight, whose input is 1, and a bias, so a step counts twice; `weights` [N, K]
    scale the derivatives, 0 for a logit that is not trained.
    """

    def stuck(logits):
        return jax.nn.logsumexp(logits[:, 1:], axis=1) > logits[:, 0]

    def descend(state):
        logits, steps = state
        moving = stuck(logits)  # the loop runs until the last start is out; those before it stand still
        moved = logits - 2 * rate * weights * hand_written(loss)(logits, jnp.zeros(len(logits), jnp.int32))
        return jnp.where(moving[:, None], moved, logits), steps + moving

    state = (logits, jnp.zeros(len(logits), int))
    return jax.lax.while_loop(lambda state: jnp.any(stuck(state[0])), descend, state)[1]
