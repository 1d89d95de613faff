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

from ..data import bundled
from ..pages import canvas
from ..pages.canvas import Array, panels
from .drawing import legend
from .record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from .statistics import bootstrapped, mean, mean_difference

PAIR = ("cross_entropy", "ssr")
# Surfaces: a two-layer tanh network on random data.
EXAMPLES, FEATURES, HIDDEN, CLASSES = 100, 10, 10, 10
SPAN = np.linspace(-4.0, 4.0, 25)
FLAT = 0.05  # of the steepest point of a surface
OTHER_FLATS = (0.01, 0.2)  # reported beside it
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
    """Flat fraction of every draw, each surface by its own yardstick, and what a common yardstick makes of it."""
    draws, key = request.pick(200, 60), jax.random.key(request.first_seed)
    norms = {loss: np.asarray(slopes_on_grid(loss, key, draws, jnp.asarray(SPAN, jnp.float32))) for loss in PAIR}
    area, measurements = "fraction of the area", {}
    flat = {loss: flat_fraction(one, one, FLAT) for loss, one in norms.items()}
    for loss, one in flat.items():
        measurements[f"surface/own_steepest/{loss}/flat_fraction"] = mean(one, area)
    measurements["surface/own_steepest/cross_entropy<ssr/draws"] = in_draws(flat["cross_entropy"], flat["ssr"])
    for level in OTHER_FLATS:
        ce, ssr = (flat_fraction(norms[loss], norms[loss], level) for loss in PAIR)
        measurements[f"surface/own_steepest/flat={level:g}/cross_entropy<ssr/draws"] = in_draws(ce, ssr)
    steep = {loss: one.mean(axis=(1, 2)) for loss, one in norms.items()}
    steeper = in_draws(steep["ssr"] * CLASSES / 2, steep["cross_entropy"])
    measurements["surface/gradient/cross_entropy>ssr*K/2/draws"] = steeper
    both = measurements["surface/own_steepest/cross_entropy<ssr/draws"], steeper
    measurements["surface/smaller_of_both/draws"] = min(both, key=lambda one: one.value)
    measurements["surface/gradient/cross_entropy>ssr/draws"] = in_draws(steep["ssr"], steep["cross_entropy"])
    measurements["surface/gradient_ratio"] = mean(steep["ssr"] / steep["cross_entropy"], "ssr / cross_entropy")
    measurements["surface/gradient_ratio_by_constant"] = Measurement(2 / CLASSES, unit="ssr / cross_entropy")
    return flat, measurements | by_common_yardstick(norms)


def by_common_yardstick(norms: dict[str, Array]) -> dict[str, Measurement]:
    """Flat areas if flat means the same gradient norm for both losses, and how much of the lead is the constant 2/K."""
    scaled_up = {**norms, "ssr*K/2": norms["ssr"] * CLASSES / 2}
    flat = {name: flat_fraction(one, norms["cross_entropy"], FLAT) for name, one in scaled_up.items()}
    measurements = {f"surface/{name}/flat_fraction": mean(one, "fraction of the area") for name, one in flat.items()}
    for name in ("ssr", "ssr*K/2"):
        measurements[f"surface/cross_entropy<{name}/draws"] = in_draws(flat["cross_entropy"], flat[name])
    excess, unit = flat["ssr"] - flat["cross_entropy"], flat["ssr"] - flat["ssr*K/2"]
    measurements["surface/due_to_constant"] = bootstrapped(share, [unit, excess], "share of SSR's extra flat area")
    return measurements


def flat_fraction(norms: Array, yardstick: Array, level: float) -> Array:
    """[draws] fraction of the points where a norm is below so much of the yardstick's largest; both [draws, G, G].

    With a surface as its own yardstick no constant factor of its loss changes anything.
    """
    return (norms < level * yardstick.max(axis=(1, 2), keepdims=True)).mean(axis=(1, 2))


def in_draws(small: Array, large: Array) -> Measurement:
    """In how many of the draws small < large, ties counted half, with the exact interval."""
    wins = float(np.sum(small < large) + 0.5 * np.sum(small == large))
    exact = stats.binomtest(round(wins), len(small)).proportion_ci()
    return Measurement(wins / len(small), (float(exact.low), float(exact.high)), "fraction of draws")


def share(part: Array, whole: Array, axis: int) -> Array:
    """A mean as a share of another, NaN of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(part.mean(axis), whole.mean(axis))


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
    own, raw = (measurements[f"surface/{place}cross_entropy<ssr/draws"].value for place in ("own_steepest/", ""))
    steeper = measurements["surface/gradient/cross_entropy>ssr*K/2/draws"].value
    constant = measurements["surface/due_to_constant"].value
    return Findings(
        measurements,
        figure(flat, measurements),
        "First each draw's flat area under both losses, each surface measured against its own steepest point; points "
        "above the diagonal are flatter under SSR. Then the share of flat directions of the Hessian along gradient "
        f"walks. Cross-entropy has less flat area in {own:.0%} of the draws, and in {steeper:.0%} a larger mean "
        "gradient than SSR × K/2. By one yardstick for both losses, which leaves the constant 2/K in, it has less flat "
        f"area in {raw:.0%}, and the constant makes {constant:.0%} of SSR's extra flat area. Problems "
        "with two classes have no such constant.",
        draws,
        f"{draws} random networks ({FEATURES}-{HIDDEN} tanh-{CLASSES}) on {EXAMPLES} random examples, two weights "
        f"varied over {SPAN[0]:g}..{SPAN[-1]:g}; {request.pick(12, 4)} gradient walks of {WALK_STEPS} steps per "
        "problem and range.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Both halves of the statement, without the constant."""
    shares = [
        measurements["surface/gradient/cross_entropy>ssr*K/2/draws"],
        measurements["surface/own_steepest/cross_entropy<ssr/draws"],
    ]
    return verdict_of(all(one.low > 0.5 for one in shares), any(one.high < 0.5 for one in shares))


def figure(flat: dict[str, Array], measurements: Measurements) -> Figure:
    """Flat areas against each other, and flat directions along walks."""
    drawing, (left, right) = panels(2, height=4.2)
    looks = canvas.styles(PAIR)
    left.plot(
        flat["cross_entropy"], flat["ssr"], ls="", ms=4, alpha=0.6, marker=canvas.MARKERS[0], color=looks["ssr"].color
    )
    end = min(1.0, 1.1 * max(float(flat[loss].max()) for loss in PAIR))
    left.plot([0, end], [0, end], color="0.4", ls=":")
    left.set(xlabel="flat fraction, cross-entropy", ylabel="flat fraction, SSR on probabilities")
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


AMENDMENTS = (
    {
        "date": "2026-11-26",
        "what": "The share of SSR's extra flat area that is due to the constant 2/K got an interval, and the caption "
        "says it. The rule stayed.",
        "why": "The protocol asks for that share; it stood among the measurements alone.",
        "results_seen": True,
    },
    {
        "date": "2026-11-27",
        "what": "The statement says 'apart from the constant factor 2/K'. Flat is measured against each surface's own "
        "steepest point instead of cross-entropy's for both, and the statement's half about gradients, which no rule "
        "looked at, is judged too, with SSR in units of K/2. The rule before compared flat areas by cross-entropy's "
        "yardstick alone; what it looked at is still reported.",
        "why": "103 % of what was called confirmed is the constant, which a learning rate takes out: in units of K/2 "
        "cross-entropy had less flat area in 27 % of the draws. The published run also gave SSR 0.34 of "
        "cross-entropy's mean gradient, more than the constant's 0.2, so that the half about gradients was known to "
        "fail; what each surface's own yardstick gives had not been looked at when the rule was written.",
        "results_seen": True,
    },
    {
        "date": "2026-11-27",
        "what": "The effect shown is the smaller of the two judged shares instead of the one of flat areas, and the "
        "caption gives both. The rule stayed.",
        "why": "In a quick run (60 draws) the two halves parted, 96 % for flat areas and 0 % for gradients; beside the "
        "verdict the first alone would mislead.",
        "results_seen": True,
    },
)

CLAIM = Claim(
    id="landscape",
    statement="Apart from the constant factor 2/K, the cross-entropy surface has stronger gradients and fewer flat "
    "regions than that of SSR on probabilities.",
    source="Glorot & Bengio 2010, section 4.1 and figure 5; Bosman et al. 2020",
    protocol="A two-layer tanh network on random inputs and labels, the criterion over two weights, many draws; then "
    "progressive gradient walks of sigmoid networks (XOR 2, iris 4, breast cancer 10 hidden units; start ranges 1 and "
    "10) with the signs of the Hessian's eigenvalues.",
    rule="Confirmed if in more than half of the draws the mean gradient norm of cross-entropy is larger than that of "
    "SSR × K/2, and in more than half its flat-area fraction is smaller, each surface measured against its own "
    "steepest point: both shares with their exact 95 % intervals above one half. Refuted if either interval lies below "
    "one half; otherwise undecided. How much of the difference by one common yardstick is only the constant 2/K is "
    "reported beside it.",
    choices=(
        "Flat means: gradient norm over the two weights below 5 % of the steepest point of the same loss's surface in "
        "the same draw, so that no constant factor of a loss changes it; 1 % and 20 % are reported.",
        "SSR × K/2 is SSR in units in which both gradients are equal at uniform p.",
        "The common yardstick is 5 % of the steepest point of cross-entropy's surface for both losses; the share of "
        "SSR's extra flat area that vanishes with SSR × K/2 is the part due to the constant.",
        "One weight of each layer is varied from -4 to 4 (25 x 25 points), all others keep their He start.",
        "A walk steps against the sign of each derivative by a random size up to a tenth of the start range, 100 "
        "steps, the Hessian at every twentieth; an eigenvalue below 1e-4 in absolute value is a flat direction. Walks "
        "are reported, not judged.",
    ),
    effect="surface/smaller_of_both/draws",
    measure=measure,
    decide=decide,
)
