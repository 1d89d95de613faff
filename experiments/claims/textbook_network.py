"""The textbook's iris network number by number, then its published training run among other starts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from ce_jax import LOSSES, Layer, mlp
from ce_jax.comparing import display_name
from ce_jax.models import Params
from ce_jax.training import make_optimizer

from ..data.builtin import bundled
from ..lesson.derivatives import bias_step
from ..lesson.example import worked_example
from ..lesson.network import load_network
from ..pages import canvas
from ..pages.canvas import panels
from .drawing import legend
from .record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of

TRAINED = ("cross_entropy", "ssr", "ssr_on_logits")
EPOCHS = (10, 100)
OTHER_SEEDS = 50
FEATURES = (3, 1)  # petal width, sepal width
# {key: (published value, its last digit's half)}
PUBLISHED = {
    "published/probability/setosa": (0.5677, 0.5e-4),
    "published/probability/virginica": (0.5761, 0.5e-4),
    "published/probability/versicolor": (0.5182, 0.5e-4),
    "published/total/rounded_terms": (1.75, 0.5e-2),
    "published/total/rounded_probabilities": (1.7608, 0.5e-4),
    "published/total/exact": (1.7750, 0.5e-4),
    "published/b3_gradient": (-0.7732, 0.5e-4),
    "published/b3_step": (-1.2268, 0.5e-4),
    "published/total_before": (2.6659, 0.5e-4),
    "published/total_after": (2.1415, 0.5e-4),
    "published_start/ssr_on_logits/epochs=10/test_accuracy": (0.74, 0.5e-2),
    "published_start/ssr_on_logits/epochs=100/test_accuracy": (0.92, 0.5e-2),
    "published_start/cross_entropy/epochs=10/test_accuracy": (0.66, 0.5e-2),
    "published_start/cross_entropy/epochs=100/test_accuracy": (0.95, 0.5e-2),
}
# Weights as published, one row per unit.
PUBLISHED_START: Any = (
    (
        np.array([[0.5406103730, 0.5869042277], [-0.1656556576, 0.6495562792]]).T,
        np.array([-0.1549296230, 0.1426875591]),
    ),
    (
        np.array([[-0.3442584872, 0.4152715504], [0.6233449578, -0.5187534094], [0.6146144867, 0.1323416084]]).T,
        np.array([0.5224167705, 0.0957638770, 0.3409584761]),
    ),
)


def worked() -> dict[str, Measurement]:
    """The forward pass, the losses, the derivative and the step, from the lesson."""
    network = load_network()
    example, step = worked_example(network), bias_step(network)
    own = example.probabilities[np.arange(len(network.labels)), network.labels]
    values = {f"published/probability/{row.label}": float(p) for row, p in zip(network.rows, own, strict=True)} | {
        "published/total/rounded_terms": example.total_of_rounded_losses,
        "published/total/rounded_probabilities": example.total_of_rounded_probabilities,
        "published/total/exact": example.total,
        "published/b3_gradient": step.derivative,
        "published/b3_step": step.new,
        "published/total_before": step.total_before,
        "published/total_after": step.total_after,
    }
    return {
        key: Measurement(value, unit="probability" if "prob" in key.split("/")[1] else "")
        for key, value in values.items()
    }


def flowers() -> tuple[Any, Any]:
    """Training and test part, (inputs, labels) each, scaled to 0..1 by the training part."""
    table = bundled("iris")
    inputs = table.inputs[:, FEATURES]
    parts = train_test_split(np.arange(150), test_size=0.25, random_state=42, stratify=table.labels)
    low, high = inputs[parts[0]].min(axis=0), inputs[parts[0]].max(axis=0)
    train, test = ((((inputs[rows] - low) / (high - low)).astype(np.float32), table.labels[rows]) for rows in parts)
    return train, test


def starts(seeds: NDArray[np.int64]) -> Params:
    """The published start and one per seed, drawn like it: uniform within 1 / sqrt(fan_in), biases too."""

    def draw(rng: np.random.Generator) -> Any:
        def layer(shape: tuple[int, int]) -> Any:
            bound = shape[0] ** -0.5
            return rng.uniform(-bound, bound, shape), rng.uniform(-bound, bound, shape[1])

        return layer((2, 2)), layer((2, 3))

    drawn = [PUBLISHED_START, *(draw(np.random.default_rng([int(seed), *b"textbook"])) for seed in seeds)]
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves), jnp.float32), *drawn)
    return tuple(Layer(*layer) for layer in stacked)


def accuracies(loss: str, begin: Params, train: Any, test: Any) -> NDArray[np.float64]:
    """[starts, EPOCHS] test accuracy: Adam at 1e-3, one flower a step, always in the same order."""
    model, transform = mlp((2,)), make_optimizer("adam", 1e-3)

    def one_start(params: Params, train: Any, test: Any) -> jax.Array:
        def step(state: Any, flower: Any) -> Any:
            params, optimizer = state

            def value(params: Params) -> jax.Array:
                return LOSSES[loss].value(model.apply(params, flower[0][None]), flower[1][None])[0]

            updates, optimizer = transform.update(jax.grad(value)(params), optimizer, params)
            return (jax.tree.map(jnp.add, params, updates), optimizer), None

        def epoch(state: Any, _: Any) -> Any:
            state = jax.lax.scan(step, state, train)[0]
            return state, jnp.mean(jnp.argmax(model.apply(state[0], test[0]), axis=1) == test[1])

        return jax.lax.scan(epoch, (params, transform.init(params)), length=max(EPOCHS))[1]

    curves = jax.jit(jax.vmap(one_start, (0, None, None)))(begin, train, test)
    return np.asarray(curves, np.float64)[:, np.array(EPOCHS) - 1]


def measure(request: Request) -> Findings:
    """The worked example, and three losses from the published start and others."""
    train, test = flowers()
    begin = starts(request.first_seed + np.arange(OTHER_SEEDS))
    reached = {loss: accuracies(loss, begin, train, test) for loss in TRAINED}
    measurements = worked()
    for loss, table in reached.items():
        for place, epochs in enumerate(EPOCHS):
            measurements |= quartiles(f"{loss}/epochs={epochs}/test_accuracy", table[:, place])
    for place, epochs in enumerate(EPOCHS):
        gap = (reached["cross_entropy"] - reached["ssr_on_logits"])[:, place]
        measurements |= quartiles(f"cross_entropy-ssr_on_logits/epochs={epochs}/test_accuracy", gap)
    return Findings(
        measurements,
        figure(reached),
        "Test accuracy of the same network from the published start (star) and from 50 other starts drawn in the same "
        "way (dots; the bar is their median).",
        OTHER_SEEDS,
        "The worked example in float64; then Adam at 0.001, one flower a step, from the published initial weights and "
        f"{OTHER_SEEDS} others, three losses, {EPOCHS[0]} and {EPOCHS[1]} epochs. The quick run is the full one.",
    )


def quartiles(key: str, values: NDArray[np.float64]) -> dict[str, Measurement]:
    """The published start, which comes first, beside the quartiles of the others."""
    low, middle, high = np.quantile(values[1:], [0.25, 0.5, 0.75])
    return {
        f"published_start/{key}": Measurement(float(values[0]), unit="fraction"),
        f"other_starts/{key}/median": Measurement(float(middle), unit="fraction"),
        f"other_starts/{key}/lower_quartile": Measurement(float(low), unit="fraction"),
        f"other_starts/{key}/upper_quartile": Measurement(float(high), unit="fraction"),
    }


def decide(measurements: Measurements) -> Verdict:
    """Published numbers reproduced, and one start unable to show the difference between the losses."""
    reproduced = all(abs(measurements[key].value - value) <= half for key, (value, half) in PUBLISHED.items())
    misleads = []
    for epochs in EPOCHS:
        key = f"cross_entropy-ssr_on_logits/epochs={epochs}/test_accuracy"
        spread = (
            measurements[f"other_starts/{key}/upper_quartile"].value
            - measurements[f"other_starts/{key}/lower_quartile"].value
        )
        misleads.append(spread > abs(measurements[f"published_start/{key}"].value))
    return verdict_of(reproduced and any(misleads), not reproduced or not any(misleads))


def figure(reached: dict[str, NDArray[np.float64]]) -> Figure:
    """One panel per number of epochs, one column of dots per loss."""
    drawing, axes_of_epochs = panels(len(EPOCHS), sharey=True)
    looks = canvas.styles(TRAINED)
    for place, (axes, epochs) in enumerate(zip(axes_of_epochs, EPOCHS, strict=True)):
        for column, loss in enumerate(TRAINED):
            values = reached[loss][:, place]
            sideways = column + np.linspace(-0.25, 0.25, len(values) - 1)
            axes.plot(sideways, values[1:], ls="", marker=looks[loss].marker, ms=4, alpha=0.6, color=looks[loss].color)
            middle = np.median(values[1:])
            axes.plot([column - 0.32, column + 0.32], [middle, middle], color="black", lw=2)
            label = "published start" if column == 0 else None
            axes.plot(column, values[0], "*", ms=15, color="black", mfc="gold", label=label, ls="")
        axes.set_xticks(range(len(TRAINED)), [display_name(loss).replace(" on ", "\non ") for loss in TRAINED])
        axes.set(title=f"after {epochs} epochs", ylim=(0, 1.03))
    axes_of_epochs[0].set_ylabel("test accuracy")
    legend(axes_of_epochs[1], loc="lower right")
    return drawing


CLAIM = Claim(
    id="textbook-network",
    statement="The iris network's published probabilities, losses, derivative, step and accuracies follow from its "
    "weights; and a single seed misleads.",
    source="J. Starmer, StatQuest, Neural Networks parts 5-7 and the iris network in PyTorch",
    protocol="The worked example; then the published training run from its published initial weights, and 50 other "
    "starts, under three losses (SSR on logits, SSR on probabilities, cross-entropy), 10 and 100 epochs.",
    rule="Confirmed if every published number is met to its published digits, and after 10 or after 100 epochs the "
    "middle half of the 50 other starts spreads the difference in test accuracy between cross-entropy and SSR on "
    "logits wider than the published difference is. Otherwise refuted.",
    choices=(
        "Rows are visited in the order in which scikit-learn's split returns them, in every epoch alike; Adam with its "
        "usual constants; the split (random_state 42) and its scaling are the published ones for all starts.",
        "The other starts are drawn as PyTorch's nn.Linear draws: uniform within 1/sqrt(fan_in), weights and biases.",
        "Published derivative, step and totals are held against their unrounded values; the total is shown three ways.",
    ),
    effect="other_starts/cross_entropy-ssr_on_logits/epochs=100/test_accuracy/median",
    measure=measure,
    decide=decide,
)
