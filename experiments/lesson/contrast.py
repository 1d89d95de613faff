"""Section 3: cross-entropy against SSR, first as functions of a probability, then behind the softmax."""

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

    Behind the softmax the logits are 0 but for one wrong class, whose logit s leads the true class by s.
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
    edges = np.array([0.0, 1.0])
    lead = np.linspace(-10.0, 12.0, 177)
    some = np.array([*LEADS, -CONFIDENT])
    with jax.enable_x64(True):
        values, slopes, norms = _functions(num_classes)
        value, slope = (jax.device_get(function(probability)) for function in (values, slopes))
        at_edges, at_examples = jax.device_get(values(edges)), jax.device_get(slopes(np.array(EXAMPLES)))
        norm, norm_some = (jax.device_get(norms(points)) for points in (lead, some))
    return Contrast(
        probability,
        {name: value[name] for name in ON_PROBABILITIES},
        {name: slope[name] for name in ON_PROBABILITIES},
        value["one wrong"],
        {
            name: (float(at_edges[name][0]), float(at_edges["one wrong" if name == "ssr" else name][0]))
            for name in ON_PROBABILITIES
        },
        {name: float(at_edges[name][1]) for name in ON_PROBABILITIES},
        {name: dict(zip(EXAMPLES, at_examples[name].tolist(), strict=True)) for name in ON_PROBABILITIES},
        lead,
        norm["probability"],
        {name: norm[name] for name in ON_PROBABILITIES},
        {name: dict(zip(some.tolist(), norm_some[name].tolist(), strict=True)) for name in ON_PROBABILITIES},
    )


def _functions(num_classes: int) -> tuple:
    def evenly(p):
        return jnp.append(p, jnp.full(num_classes - 1, (1 - p) / (num_classes - 1)))

    def one_wrong(p):
        return jnp.append(jnp.stack([p, 1 - p]), jnp.zeros(num_classes - 2))

    def values(p):
        found = {name: loss(evenly(p), 0) for name, loss in ON_PROBABILITIES.items()}
        return found | {"one wrong": ssr_from_probs(one_wrong(p), 0)}

    def norms(lead):
        logits = jnp.zeros(num_classes).at[1].set(lead)
        found = {name: jnp.linalg.norm(LOSSES[name].grad(logits, 0)) for name in ON_PROBABILITIES}
        return found | {"probability": jnp.exp(-LOSSES["cross_entropy"].value(logits, 0))}

    return tuple(jax.jit(jax.vmap(one)) for one in (values, jax.jacfwd(values), norms))
