"""Sections 1 and 2: the forward pass of the worked example, its loss, and what that loss means."""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

from ce_jax import cross_entropy, cross_entropy_with_targets, softmax, ssr_with_targets
from ce_jax.models import ACTIVATIONS

from .network import Network

Array = NDArray[np.float64]
VOTES = 3  # experts asked about each example where section 2 needs a label that is not certain
SHOWN_TARGETS = (1.0, 2 / 3, 1 / 2)


class WorkedExample(NamedTuple):
    """Section 1, for N rows and K classes. "Rounded" means to two digits, as one does on paper."""

    hidden: tuple[Array, ...]
    """Outputs of each hidden layer, [N, units]."""
    logits: Array
    probabilities: Array
    predicted: NDArray[np.int64]
    losses: Array
    """-ln of the true class's probability, [N]."""
    total: float
    rounded_probabilities: Array
    """Of the true class, [N]."""
    losses_of_rounded: Array
    """-ln of the rounded probabilities, [N]."""
    rounded_losses: Array
    """The same, rounded in their turn, [N]."""
    total_of_rounded_probabilities: float
    total_of_rounded_losses: float


class Formula(NamedTuple):
    """Section 2: the likelihood, and cross-entropy against the entropy of labels that are not certain."""

    likelihood: float
    """Product of the true classes' probabilities."""
    likelihood_from_loss: float
    """exp(-total cross-entropy)."""
    targets: Array
    """[N, K]: two of three experts name the row's own class, the third the next one."""
    cross_entropy: Array
    entropy: Array
    divergence: Array
    """Kullback-Leibler divergence of the predicted probabilities from `targets`, [N]."""
    probability: Array
    """[P] probability given to the first of two classes, the horizontal axis of the figure."""
    curves: dict[float, Array]
    """{target: [P]} cross-entropy against `probability` when the first class deserves `target`."""
    floors: dict[float, float]
    """{target: entropy of the label}, the least that its curve can reach."""
    best: dict[str, dict[float, float]]
    """{loss: {target: the `probability` with the least loss}}, for cross-entropy and SSR with soft labels."""


def worked_example(network: Network) -> WorkedExample:
    """The forward pass and the loss of every row, in double precision."""
    with jax.enable_x64(True):
        hidden, logits, probabilities, losses = jax.tree.map(np.asarray, _forward(network))
    own = probabilities[np.arange(len(losses)), network.labels]
    rounded = np.round(own, 2)
    with np.errstate(divide="ignore"):  # a probability below 0.005 rounds to 0, and its loss to infinity
        of_rounded = -np.log(rounded) + 0.0  # + 0 makes 0 of the -0 that a probability of 1 gives
    return WorkedExample(
        hidden=hidden,
        logits=logits,
        probabilities=probabilities,
        predicted=np.argmax(logits, axis=1),
        losses=losses,
        total=float(losses.sum()),
        rounded_probabilities=rounded,
        losses_of_rounded=of_rounded,
        rounded_losses=np.round(of_rounded, 2),
        total_of_rounded_probabilities=float(of_rounded.sum()),
        total_of_rounded_losses=float(np.round(of_rounded, 2).sum()),
    )


def _forward(network: Network) -> tuple:
    unit, *layers = ACTIVATIONS[network.activation], *network.params

    @jax.jit
    def forward(layers, inputs, labels):
        hidden = []
        for layer in layers[:-1]:
            inputs = unit.value(inputs @ layer.weight + layer.bias[None, :])
            hidden.append(inputs)
        logits = inputs @ layers[-1].weight + layers[-1].bias[None, :]
        return tuple(hidden), logits, softmax(logits), cross_entropy(logits, labels)

    return forward(layers, network.inputs, network.labels)


def formula(network: Network, example: WorkedExample) -> Formula:
    """What the total of section 1 says about the likelihood, and what changes when labels are not certain."""
    num_classes = len(network.class_names)
    own, other = np.eye(num_classes)[network.labels], np.eye(num_classes)[(network.labels + 1) % num_classes]
    targets = ((VOTES - 1) * own + other) / VOTES
    probability = np.arange(1, 300) / 300  # contains the SHOWN_TARGETS below 1
    # The losses take logits: those of two classes may be the logarithms of their probabilities.
    pairs = np.log(np.stack([probability, 1 - probability], axis=1))
    labels = {target: np.broadcast_to([target, 1 - target], pairs.shape) for target in SHOWN_TARGETS}
    with jax.enable_x64(True):
        soft = np.asarray(jax.jit(cross_entropy_with_targets)(example.logits, targets))
        measure = jax.jit(lambda z, t: (cross_entropy_with_targets(z, t), ssr_with_targets(z, t)))
        pairs_of_curves = {target: jax.device_get(measure(pairs, label)) for target, label in labels.items()}
    by_loss = {
        name: {target: curves[i] for target, curves in pairs_of_curves.items()}
        for i, name in enumerate(("cross_entropy", "ssr"))
    }
    own_probability = example.probabilities[np.arange(len(own)), network.labels]
    return Formula(
        likelihood=float(np.prod(own_probability)),
        likelihood_from_loss=float(np.exp(-example.total)),
        targets=targets,
        cross_entropy=soft,
        entropy=entr(targets).sum(axis=1),
        divergence=rel_entr(targets, example.probabilities).sum(axis=1),
        probability=probability,
        curves=by_loss["cross_entropy"],
        floors={target: float(entr([target, 1 - target]).sum()) for target in SHOWN_TARGETS},
        best={
            name: {target: float(probability[np.argmin(curve)]) for target, curve in curves.items()}
            for name, curves in by_loss.items()
        },
    )
