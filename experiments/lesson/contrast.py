"""Section 3: cross-entropy against SSR, first as functions of a probability, then behind the softmax."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax import LOSSES, cross_entropy_from_probs, ssr_from_probs, true_class_ssr_from_probs

Array = NDArray[np.float64]
ON_PROBABILITIES = {
    "cross_entropy": cross_entropy_from_probs,
    "true_class_ssr": true_class_ssr_from_probs,
    "ssr": ssr_from_probs,
}
EXAMPLES = (0.01, 0.5, 0.99)  # a bad, an undecided and a good prediction
LEADS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
CONFIDENT = 6.0  # lead of a wrong class that counts as confidently wrong in the table of the lesson


class Contrast(NamedTuple):
    """Losses by name: functions of the true class's probability p, and of the lead s of one wrong class.

    Behind the softmax all logits are 0 but one: that of a wrong class, which leads by s, or, where s is negative, that
    of the true class, which leads by -s.
    """

    probability: Array
    """[P] p, from near 0 to near 1."""
    values: dict[str, Array]
    """[P] the rest 1 - p shared evenly by the other classes."""
    slopes: dict[str, Array]
    """[P] d value / d p by jax.grad."""
    ssr_one_wrong: Array
    """[P] SSR when one wrong class has all the rest."""
    at_zero: dict[str, tuple[float, float]]
    """Value at p = 0: the rest shared evenly, and on one class."""
    at_one: dict[str, float]
    slope_at: dict[str, dict[float, float]]
    """{loss: {p: slope}} for the probabilities of EXAMPLES."""
    lead: Array
    """[S] s, negative where the true class leads."""
    true_probability: Array
    """[S] p at these leads."""
    norms: dict[str, Array]
    """[S] norm of the gradient with respect to the logits."""
    norm_at: dict[str, dict[float, float]]
    """{loss: {s: norm}} for the leads of LEADS, and for -CONFIDENT."""


def contrast(num_classes: int) -> Contrast:
    """Measure both losses for `num_classes` classes, in double precision."""
    probability = np.concatenate([np.geomspace(1e-3, 0.02, 40), np.linspace(0.025, 0.999, 160)])
    lead, quoted = np.linspace(-10.0, 12.0, 177), (*LEADS, -CONFIDENT)
    ends = np.array([0.0, 1.0])
    with jax.enable_x64(True):
        # The curves and the points quoted from them in one call, as most of the time goes into compiling.
        measured = _measure(num_classes)(np.concatenate([probability, EXAMPLES, ends]), np.concatenate([lead, quoted]))
    values, slopes, norms = jax.device_get(measured)
    curve, examples = slice(len(probability)), slice(len(probability), -len(ends))

    def named(points: tuple[float, ...], measured: Array) -> dict[float, float]:
        return dict(zip(points, measured.tolist(), strict=True))

    return Contrast(
        probability=probability,
        values={name: values[name][curve] for name in ON_PROBABILITIES},
        slopes={name: slopes[name][curve] for name in ON_PROBABILITIES},
        ssr_one_wrong=values["one wrong"][curve],
        at_zero={
            name: (float(values[name][-2]), float(values["one wrong" if name == "ssr" else name][-2]))
            for name in ON_PROBABILITIES
        },
        at_one={name: abs(float(values[name][-1])) for name in ON_PROBABILITIES},  # abs, for -log 1 is -0
        slope_at={name: named(EXAMPLES, slopes[name][examples]) for name in ON_PROBABILITIES},
        lead=lead,
        true_probability=norms["probability"][: len(lead)],
        norms={name: norms[name][: len(lead)] for name in ON_PROBABILITIES},
        norm_at={name: named(quoted, norms[name][len(lead) :]) for name in ON_PROBABILITIES},
    )


def _measure(num_classes: int) -> Callable[[Array, Array], tuple]:
    """The compiled function (p, s) -> values at p, their slopes, gradient norms at s."""

    def evenly(p):
        return jnp.append(p, jnp.full(num_classes - 1, (1 - p) / (num_classes - 1)))

    def one_wrong(p):
        return jnp.append(jnp.stack([p, 1 - p]), jnp.zeros(num_classes - 2))

    def values(p):
        by_loss = {name: loss(evenly(p), 0) for name, loss in ON_PROBABILITIES.items()}
        return by_loss | {"one wrong": ssr_from_probs(one_wrong(p), 0)}

    def norms(lead):
        logits = jnp.zeros(num_classes).at[:2].set(jnp.maximum(jnp.stack([-lead, lead]), 0))
        by_loss = {name: jnp.linalg.norm(LOSSES[name].grad(logits, 0)) for name in ON_PROBABILITIES}
        return by_loss | {"probability": jnp.exp(-LOSSES["cross_entropy"].value(logits, 0))}

    slopes = jax.jacfwd(values)
    return jax.jit(lambda p, s: (jax.vmap(values)(p), jax.vmap(slopes)(p), jax.vmap(norms)(s)))
