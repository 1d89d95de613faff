"""The surfaces of both losses: how much of them is flat, and what a walk down their gradients meets."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matplotlib.figure import Figure
from scipy import stats

from ce_jax import LOSSES, gradient_walk, hessian_eigenvalues, mlp
from ce_jax.comparing import display_name, scaled
from experiments.claims.drawing import legend
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import bootstrapped, mean, mean_difference
from experiments.data import bundled
from experiments.pages import canvas
from experiments.pages.canvas import Array, panels

PAIR = ("cross_entropy", "ssr")
# Surfaces: a two-layer tanh network on random data.
EXAMPLES, FEATURES, HIDDEN, CLASSES = 100, 10, 10, 10
SPAN = np.linspace(-4.0, 4.0, 25)
FLAT = 0.05  # of the steepest point of cross-entropy's surface
# Walks: {problem: (hidden units, classes)}
PROBLEMS = {"xor": (2, 2), "iris": (4, 3), "breast_cancer": (10, 2)}
RANGES = (1.0, 10.0)
WALK_STEPS, STEP_SIZE, LOOKS = 100, 0.1, 5
CURVED = 1e-4  # an eigenvalue below it in absolute value is a flat direction


@partial(jax.jit, static_argnums=(0, 2))
def slopes_on_grid(loss: str, key: Any, draws: int, span: Any) -> jax.Array:
    """[draws, G, G] gradient norm over two weights, one of each layer, of networks drawn at random."""
    model = mlp((HIDDEN,), activation="tanh")

    def one_draw(key: Any) -> jax.Array:
        keys = jax.random.split(key, 3)
        inputs = jax.random.normal(keys[0], (EXAMPLES, FEATURES))
        labels = jax.random.randint(keys[1], (EXAMPLES,), 0, CLASSES)
        first, last = model.init(keys[2], FEATURES, CLASSES)

        def value(pair: Any) -> jax.Array:
            layers = (
                first._replace(weight=first.weight.at[0, 0].set(pair[0])),
                last._replace(weight=last.weight.at[0, 0].set(pair[1])),
            )
            return jnp.mean(LOSSES[loss].value(model.apply(layers, inputs), labels))

        points = jnp.stack(jnp.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
        norms = jnp.linalg.norm(jax.lax.map(jax.grad(value), points, batch_size=25), axis=1)
        return norms.reshape(len(span), len(span))

    return jax.lax.map(one_draw, jax.random.split(key, draws))


def problem(name: str) -> tuple[Array, Array]:
    """Inputs, standardized, and labels."""
    if name == "xor":
        return np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]), np.array([0, 1, 1, 0])
    table = bundled(name)
    return scaled(table.inputs), table.labels


@partial(jax.jit, static_argnums=(0, 1, 5))
def walk(loss: str, sizes: tuple[int, int], key: Any, inputs: Any, labels: Any, walks: int, extent: float) -> Any:
    """Progressive gradient walks: ([walks, LOOKS, P] Hessian eigenvalues, [walks, WALK_STEPS] gradient norms)."""
    hidden, num_classes = sizes
    model = mlp((hidden,), activation="sigmoid")
    shaped = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs.shape[1], num_classes))
    flat, restore = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, inputs.dtype), shaped))

    def value(weights: Any) -> jax.Array:
        return jnp.mean(LOSSES[loss].value(model.apply(restore(weights), inputs), labels))

    def one_walk(key: Any) -> Any:
        begin, steps = jax.random.split(key)
        start = jax.random.uniform(begin, flat.shape, flat.dtype, -extent, extent)
        measurements = gradient_walk(value, start, steps, steps=WALK_STEPS, step_size=STEP_SIZE * extent)
        seen = measurements.points[:: WALK_STEPS // LOOKS]
        return jax.lax.map(partial(hessian_eigenvalues, value), seen), measurements.gradient_norms

    return jax.lax.map(one_walk, jax.random.split(key, walks))


def surfaces(request: Request) -> tuple[dict[str, Array], dict[str, Measurement]]:
    """Flat fraction of every draw, by one yardstick per draw, and what is left without the constant 2/K."""
    draws, key = request.pick(200, 60), jax.random.key(request.first_seed)
    norms = {loss: np.asarray(slopes_on_grid(loss, key, draws, jnp.asarray(SPAN, jnp.float32))) for loss in PAIR}
    norms["ssr*K/2"] = norms["ssr"] * CLASSES / 2
    yardstick = FLAT * norms["cross_entropy"].max(axis=(1, 2), keepdims=True)
    flat = {name: (one < yardstick).mean(axis=(1, 2)) for name, one in norms.items()}
    measurements = {f"surface/{name}/flat_fraction": mean(one, "fraction of the area") for name, one in flat.items()}
    for name in ("ssr", "ssr*K/2"):
        wins = float(np.sum(flat["cross_entropy"] < flat[name]) + 0.5 * np.sum(flat["cross_entropy"] == flat[name]))
        exact = stats.binomtest(round(wins), draws).proportion_ci()
        measurements[f"surface/cross_entropy<{name}/draws"] = Measurement(
            wins / draws, (float(exact.low), float(exact.high)), "fraction of draws"
        )
    excess, unit = flat["ssr"] - flat["cross_entropy"], flat["ssr"] - flat["ssr*K/2"]
    measurements["surface/due_to_constant"] = bootstrapped(share, [unit, excess], "share of SSR's extra flat area")
    steep = {loss: norms[loss].mean(axis=(1, 2)) for loss in norms}
    measurements["surface/gradient_ratio"] = mean(steep["ssr"] / steep["cross_entropy"], "ssr / cross_entropy")
    return flat, measurements


def share(part: Array, whole: Array, axis: int) -> Array:
    """A mean as a share of another."""
    return part.mean(axis) / whole.mean(axis)


def walks(request: Request) -> dict[str, Measurement]:
    """Signs of the Hessian's eigenvalues and gradient norms along walks, paired by their starts."""
    count, measurements = request.pick(12, 4), {}
    with jax.enable_x64(True):
        for (name, sizes), extent in itertools.product(PROBLEMS.items(), RANGES):
            inputs, labels = problem(name)
            flat = {}
            for loss in PAIR:
                key = jax.random.key(request.first_seed + 1)
                eigenvalues, norms = jax.device_get(walk(loss, sizes, key, inputs, labels, count, extent))
                place = f"walk/{name}/range={extent:g}/{loss}"
                flat[loss] = (np.abs(eigenvalues) < CURVED).mean(axis=(1, 2))
                measurements[f"{place}/flat_directions"] = mean(flat[loss], "fraction of eigenvalues")
                for sign, one in (("positive", eigenvalues >= CURVED), ("negative", eigenvalues <= -CURVED)):
                    measurements[f"{place}/{sign}_directions"] = mean(one.mean(axis=(1, 2)), "fraction of eigenvalues")
                convex = (eigenvalues > -CURVED).all(axis=2).mean(axis=1)
                measurements[f"{place}/convex_points"] = mean(convex, "fraction of points")
                measurements[f"{place}/gradient_norm"] = mean(np.median(norms, axis=1))
            measurements[f"walk/{name}/range={extent:g}/ssr-cross_entropy/flat_directions"] = mean_difference(
                flat["ssr"], flat["cross_entropy"], "fraction of eigenvalues"
            )
    return measurements


def measure(request: Request) -> Findings:
    """Surfaces, then walks."""
    flat, measurements = surfaces(request)
    measurements |= walks(request)
    draws = request.pick(200, 60)
    constant, left = (
        measurements["surface/due_to_constant"].value,
        measurements["surface/cross_entropy<ssr*K/2/draws"].value,
    )
    return Findings(
        measurements,
        figure(flat, measurements),
        "Left: each draw's flat area under both losses, raw and with SSR in units that undo the constant 2/K; points "
        "above the diagonal are flatter under SSR. Right: share of flat directions of the Hessian along gradient "
        f"walks. The constant alone makes {constant:.0%} of SSR's extra flat area; without it cross-entropy has less "
        f"of it in {left:.0%} of the draws. Problems with two classes have no such constant.",
        draws,
        f"{draws} random networks ({FEATURES}-{HIDDEN} tanh-{CLASSES}) on {EXAMPLES} random examples, two weights "
        f"varied over {SPAN[0]:g}..{SPAN[-1]:g}; {request.pick(12, 4)} gradient walks of {WALK_STEPS} steps per "
        "problem and range.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Flatter under SSR in most draws."""
    share = measurements["surface/cross_entropy<ssr/draws"]
    return verdict_of(share.low > 0.5, share.high < 0.5)


def figure(flat: dict[str, Array], measurements: Measurements) -> Figure:
    """Flat areas against each other, and flat directions along walks."""
    drawing, (left, right) = panels(2, height=4.2)
    looks = canvas.styles(PAIR)
    for place, (name, label) in enumerate({"ssr": "SSR", "ssr*K/2": "SSR × K/2"}.items()):
        left.plot(
            flat["cross_entropy"],
            flat[name],
            ls="",
            ms=4,
            alpha=0.6,
            marker=canvas.MARKERS[place],
            color=canvas.COLOURS[place + 1],
            label=label,
        )
    left.plot([0, 1], [0, 1], color="0.4", ls=":")
    left.set(xlabel="flat fraction, cross-entropy", ylabel="flat fraction, SSR on probabilities")
    legend(left, loc="lower right")
    cells = list(itertools.product(PROBLEMS, RANGES))
    for shift, (loss, look) in zip((-0.2, 0.2), looks.items(), strict=True):
        heights = [measurements[f"walk/{name}/range={extent:g}/{loss}/flat_directions"].value for name, extent in cells]
        hatch = {"cross_entropy": "", "ssr": "//"}[loss]
        places = np.arange(len(cells)) + shift
        right.bar(places, heights, 0.4, color=look.color, hatch=hatch, label=display_name(loss))
    right.set_xticks(
        range(len(cells)), [f"{name}\n±{extent:g}".replace("_", "\n") for name, extent in cells], fontsize=8
    )
    right.set(ylabel="flat directions along walks", ylim=(0, 1.15))
    legend(right, loc="upper left", ncols=2)
    return drawing


CLAIM = Claim(
    id="landscape",
    statement="The cross-entropy surface has stronger gradients and fewer flat regions than that of SSR on "
    "probabilities.",
    source="Glorot & Bengio 2010, section 4.1 and figure 5; Bosman et al. 2020",
    protocol="A two-layer tanh network on random inputs and labels, the criterion over two weights, many draws; then "
    "progressive gradient walks of sigmoid networks (XOR 2, iris 4, breast cancer 10 hidden units; start ranges 1 and "
    "10) with the signs of the Hessian's eigenvalues.",
    rule="Confirmed if the flat-area fraction is smaller for cross-entropy in more than half of the draws, with the "
    "exact 95 % interval of that share above one half; refuted if the interval lies below; otherwise undecided. How "
    "much of it is only the constant 2/K is reported beside it.",
    choices=(
        "Flat means: gradient norm over the two weights below 5 % of the steepest point of cross-entropy's surface in "
        "the same draw, one yardstick for both losses. SSR × K/2 is SSR in units in which both gradients are equal at "
        "uniform p; the share of SSR's extra flat area that vanishes with it is the part due to the constant.",
        "One weight of each layer is varied from -4 to 4 (25 x 25 points), all others keep their He start.",
        "A walk steps against the sign of each derivative by a random size up to a tenth of the start range, 100 "
        "steps, the Hessian at every twentieth; an eigenvalue below 1e-4 in absolute value is a flat direction.",
    ),
    effect="surface/cross_entropy<ssr/draws",
    measure=measure,
    decide=decide,
)
