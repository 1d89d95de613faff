"""How the training losses fall in the long run on separable data."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from ce_jax import LOSSES, Hyperparameters, Part, Splits, evaluation_steps, linear, make_train
from ce_jax.comparing import display_name, scaled
from ce_jax.sweeping import compiler_options

from ..data.builtin import bundled
from ..pages import canvas
from ..pages.canvas import panels
from .drawing import legend
from .record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from .statistics import mean

STEPS, QUICK_STEPS = 1_000_000, 100_000
ON_LOGITS_STEPS = 100_000
EARLIER = 10_000
DENSITY = 20  # evaluations in every decade of steps
TRAINED = ("cross_entropy", "ssr", "ssr_on_logits")
FRACTIONS = (1 / 16, 1 / 4, 1 / 2, 0.9)  # of 2/L, the rate from which on full-batch steps are no longer stable
LATER = np.geomspace(1, 1e14, 14 * 8 + 1)  # how many times as long as the run its continuation lasts
EXPECTED = {"cross_entropy": -1.0, "ssr": -0.5}
TOLERANCE = 0.02
DECADES = 2
MET = 0.01  # of the loss that the run had: how near the continuation has to come to it
UNIT = "d log loss / d log time"
WINDOW = (1e-10, 1e-4)  # of the excess over its start: late enough for one mode, early enough for float64
MODEL = linear(start="gentle")
Array = NDArray[np.float64]


def flowers() -> Part:
    """Iris, standardized; class 0 is setosa, class 1 the rest. All 150 rows are trained on."""
    table = bundled("iris")
    return Part(scaled(table.inputs), (table.labels > 0).astype(np.int32))


def modes(part: Part) -> Array:
    """Eigenvalues of X^T X / N, smallest first; the bias is a column of X."""
    design = np.column_stack([part.inputs, np.ones(len(part.labels))])
    return np.linalg.eigvalsh(design.T @ design / len(design))


def stable_rates(loss: str, part: Part) -> Array:
    """[R] the `FRACTIONS` of 2/L.

    The Hessian of the mean loss is the mean of x x^T (x) H, H the loss's own Hessian in two logits, so
    L = max |eigenvalue of H| * lambda_max(X^T X / N). H depends on the difference of the logits alone.
    """

    def bend(difference: Any) -> Any:
        logits = jnp.stack([difference, jnp.zeros_like(difference)])
        hessian = jax.hessian(lambda z: LOSSES[loss].value(z[None], jnp.zeros(1, int))[0])(logits)
        return jnp.abs(jnp.linalg.eigvalsh(hessian)).max()

    with jax.enable_x64(True):
        steepest = float(jax.jit(jax.vmap(bend))(jnp.linspace(-20.0, 20.0, 4001)).max())
    return np.array(FRACTIONS) * 2 / (steepest * modes(part)[-1])


def steps_of(loss: str, length: int) -> tuple[int, ...]:
    """Evaluated steps of a run of so many, of fewer on logits."""
    length = length if loss in EXPECTED else min(length, ON_LOGITS_STEPS)
    return evaluation_steps(length, points=round(DENSITY * np.log10(length)) + 1)


def train(seeds: range, part: Part, rates: Mapping[str, Array], length: int) -> dict[str, dict[str, Array]]:
    """Curves in float64, {loss: {name: array}}.

    Names are the metrics [R, S, E] and for the losses of `EXPECTED` also `later` [R, S, T], cross-entropy at `LATER`
    times the run's length, and `missed` [R, S], how far a continuation from step `EARLIER` on misses the run's end.
    """
    return {loss: _trained(loss, np.array(seeds), part, rates[loss], length) for loss in TRAINED}


def _trained(loss: str, seeds: Array, part: Part, rates: Array, length: int) -> dict[str, Array]:
    steps = steps_of(loss, length)
    params, curves = _runs(loss, seeds, part, rates, steps)
    if loss not in EXPECTED:
        return curves
    ended, halfway = (
        jax.tree.map(lambda leaf, at=at: leaf[:, :, at], params) for at in (steps.index(length), steps.index(EARLIER))
    )
    curves["later"] = continued(loss, part, ended, rates * length, LATER)
    foreseen = continued(loss, part, halfway, rates * EARLIER, np.array([1, length / EARLIER]))[..., -1]
    curves["missed"] = np.abs(foreseen / curves["cross_entropy"][..., -1] - 1)
    return curves


def _runs(loss: str, seeds: Array, part: Part, rates: Array, evaluate_at: tuple[int, ...]) -> tuple[Any, Any]:
    """Parameters (weights [out, in]) at every evaluation, leaves [R, S, E, ...], and {metric: [R, S, E]}."""
    run = make_train(MODEL, loss, num_classes=2, evaluate_at=evaluate_at)
    intervals = np.stack([np.array([0, *evaluate_at[:-1]]), evaluate_at], axis=1)
    of_rates = Hyperparameters(0)  # axes
    # Lanes are batched within the loop: batching the loop itself is slow to trace.
    begin = jax.vmap(jax.vmap(run.begin, (None, of_rates, None)), (0, None, None))
    step = jax.vmap(jax.vmap(run.step, (None, None, 0, of_rates, None)), (0, None, 0, None, None))
    evaluate = jax.vmap(jax.vmap(run.evaluate, (0, of_rates, None)), (0, None, None))

    def whole(seeds: Any, hyper: Hyperparameters, data: Splits) -> Any:
        keys = jax.vmap(lambda seed: jax.random.key(seed, impl="threefry2x32"))(seeds)

        def interval(state: Any, bounds: Any) -> Any:
            state = jax.lax.fori_loop(bounds[0], bounds[1], lambda at, state: step(keys, at, state, hyper, data), state)
            state, measured = evaluate(state, hyper, data)
            return state, (state.params, measured)

        return jax.lax.scan(interval, begin(keys, hyper, data), jnp.asarray(intervals))[1]

    devices = jax.devices()[: 2 if len(seeds) % 2 == 0 else 1]
    spread, shared, out = PartitionSpec("seeds"), PartitionSpec(), PartitionSpec(None, "seeds")
    mesh = Mesh(np.asarray(devices), ("seeds",))
    over = jax.shard_map(whole, mesh=mesh, in_specs=(spread, shared, shared), out_specs=out, check_vma=False)
    with jax.enable_x64(True):
        program = jax.jit(over, compiler_options=compiler_options(jax.default_backend()))
        found = jax.device_get(program(seeds.astype(np.uint32), Hyperparameters(rates), Splits(part, part, part)))
    return jax.tree.map(lambda leaf: np.moveaxis(leaf, 0, 2).swapaxes(0, 1), found)


def continued(loss: str, part: Part, params: Any, begin: Array, ratios: Array) -> Array:
    """Mean cross-entropy [R, S, T] along gradient flow on a loss, at so many times the time that has passed.

    With t = begin e^s the flow dw/dt = -grad is dw/ds = -t grad, whose right-hand side keeps its size while the loss
    falls like a power of t: each decade costs as much as the one before it.

    Args:
      loss: what is trained on; part: the data.
      params: leaves [R, S, ...], weights [out, in], reached at the times `begin` [R], rate times steps.
      ratios: [T] increasing from 1.
    """
    shape = jax.tree.leaves(params)[0].shape[:2]
    flat, restore = ravel_pytree(params)

    def means(name: str, weights: Any, data: Part) -> Any:
        ((weight, bias),) = restore(weights)
        logits = jnp.einsum("nd,rskd->rsnk", data.inputs, weight) + bias[:, :, None]
        values = LOSSES[name].value(logits.reshape(-1, logits.shape[-1]), jnp.tile(data.labels, shape[0] * shape[1]))
        return values.reshape(*shape, -1).mean(axis=-1)

    with jax.enable_x64(True):
        data, times = jax.tree.map(jnp.asarray, part), jnp.asarray(begin)[:, None]
        # A run's mean depends on its own weights alone, so the gradient of the weighted sum is every run's own.
        slope = jax.jit(jax.grad(lambda weights, data: (times * means(loss, weights, data)).sum()))
        solved = solve_ivp(
            lambda s, weights: -np.exp(s) * np.asarray(slope(weights, data)),
            (0.0, np.log(ratios[-1])),
            np.asarray(flat),
            method="DOP853",
            t_eval=np.log(ratios),
            rtol=1e-9,
            atol=1e-9,
        )
        at = jax.jit(lambda weights: jax.lax.map(lambda one: means("cross_entropy", one, data), weights))
        return np.moveaxis(np.asarray(at(solved.y.T)), 0, -1)


def exponents(times: Array, values: Array, decades: int = DECADES, *, before: int = 0) -> Array:
    """[S] least-squares slope of log values [S, E] against log times over the last decades, or those `before` them."""
    last = times[-1] / 10**before
    inside = (times >= last / 10**decades * (1 - 1e-9)) & (times <= last * (1 + 1e-9))
    return np.polyfit(np.log(times[inside]), np.log(values[:, inside]).T, 1)[0]


def decay(steps: Array, values: Array, floor: float) -> Array:
    """[S] slope of the logarithm of the excess over `floor` against steps, inside `WINDOW`."""
    measurements = []
    for curve in values - floor:
        inside = (curve > WINDOW[0] * curve[0]) & (curve < WINDOW[1] * curve[0])
        measurements.append(np.polyfit(steps[inside], np.log(curve[inside]), 1)[0])
    return np.array(measurements)


def least_squares(part: Part) -> float:
    """The least mean SSR on logits."""
    design = np.column_stack([part.inputs, np.ones(len(part.labels))])
    targets = np.eye(2)[part.labels]
    weights = np.linalg.lstsq(design, targets, rcond=None)[0]
    return float(np.sum((design @ weights - targets) ** 2) / len(design))


def place_of(fraction: float) -> str:
    """First part of the keys of a rate, named by its fraction of 2/L."""
    return f"fraction={fraction:g}"


def furthest(measured: Sequence[Measurement], expected: float) -> Measurement:
    """The one that is furthest from what was expected."""
    return measured[int(np.argmax([abs(one.value - expected) for one in measured]))]


def measure(request: Request) -> Findings:
    """Train, continue, and fit the ends of the curves."""
    seeds = range(request.first_seed, request.first_seed + request.pick(4, 2))
    part, length = flowers(), request.pick(STEPS, QUICK_STEPS)
    rates = {loss: stable_rates(loss, part) for loss in TRAINED}
    curves, floor = train(seeds, part, rates, length), least_squares(part)
    steps = {loss: np.array(steps_of(loss, length), float) for loss in TRAINED}
    measurements: dict[str, Measurement] = {}
    for loss, expected in EXPECTED.items():
        for row, fraction in enumerate(FRACTIONS):
            key, later = f"{place_of(fraction)}/{loss}", curves[loss]["later"][row]
            exponent, earlier = exponents(LATER, later), exponents(LATER, later, before=DECADES)
            measurements[f"{key}/slope"] = mean(exponent, UNIT)
            measurements[f"{key}/drift"] = Measurement(float(np.abs(exponent - earlier).max()), unit=UNIT)
            measurements[f"{key}/missed"] = Measurement(float(curves[loss]["missed"][row].max()), unit="of the loss")
            in_run = exponents(steps[loss], curves[loss]["cross_entropy"][row])
            measurements[f"{key}/slope_at_last_step"] = mean(in_run, "d log loss / d log step")
        by_rate = [measurements[f"{place_of(fraction)}/{loss}/slope"] for fraction in FRACTIONS]
        measurements[f"{loss}/slope"] = furthest(by_rate, expected)
    for row, (fraction, rate) in enumerate(zip(FRACTIONS, rates["ssr_on_logits"], strict=True)):
        key, unit = f"{place_of(fraction)}/ssr_on_logits", "d log excess / d step"
        measurements[f"{key}/decay"] = mean(
            decay(steps["ssr_on_logits"], curves["ssr_on_logits"]["train_loss"][row], floor), unit
        )
        predicted = 2 * np.log1p(-2 * rate * modes(part)[0])
        measurements[f"{key}/predicted_decay"] = Measurement(float(predicted), unit=unit)
    named = "; ".join(f"{display_name(loss)} " + ", ".join(f"{rate:.3g}" for rate in rates[loss]) for loss in TRAINED)
    return Findings(
        measurements,
        figure(steps, rates, curves, floor),
        "Left: the power of time by which mean cross-entropy on the training flowers falls, decade by decade, trained "
        "on cross-entropy and on SSR on probabilities; within the run (solid) and in their continuation by "
        "gradient flow (dashed), one line per rate, with the laws -1 and -1/2 (dotted). Right: SSR on logits above its "
        "least value, by rate; straight on these axes is geometric. Medians over seeds.",
        len(seeds),
        f"{len(seeds)} gentle starts of a linear model on standardized iris, setosa against the rest, {length:,} "
        f"full-batch steps in float64 (SSR on logits {ON_LOGITS_STEPS:,}), continued by gradient flow to "
        f"{LATER[-1]:.0e} times their length; rates 1/16, 1/4, 1/2 and 0.9 of 2/L: {named}.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Both exponents and the geometric rate at every rate; a continuation that cannot be trusted refutes nothing."""
    agree, trusted = [], []
    for fraction in FRACTIONS:
        for loss, expected in EXPECTED.items():
            key = f"{place_of(fraction)}/{loss}"
            agree.append(abs(measurements[f"{key}/slope"].value - expected) <= TOLERANCE)
            trusted.append(measurements[f"{key}/missed"].value <= MET)
            trusted.append(measurements[f"{key}/drift"].value <= TOLERANCE / 2)
        key = f"{place_of(fraction)}/ssr_on_logits"
        ratio = measurements[f"{key}/decay"].value / measurements[f"{key}/predicted_decay"].value
        agree.append(abs(ratio - 1) <= TOLERANCE)
    return verdict_of(all(trusted) and all(agree), all(trusted) and not all(agree))


def figure(
    steps: Mapping[str, Array], rates: Mapping[str, Array], curves: dict[str, dict[str, Array]], floor: float
) -> Figure:
    """Local exponents that approach two laws, and a geometric decay."""
    drawing, (left, right) = panels(2)
    looks = canvas.styles(TRAINED)
    for loss, expected in EXPECTED.items():
        for row, rate in enumerate(rates[loss]):
            color, label = looks[loss].color, f"trained on {display_name(loss)}" if row == 0 else None
            for times, values, style in (
                (rate * steps[loss][1:], curves[loss]["cross_entropy"][row, :, 1:], "-"),
                (rate * steps[loss][-1] * LATER, curves[loss]["later"][row], "--"),
            ):
                local = np.gradient(np.log(np.median(values, axis=0)), np.log(times))
                left.plot(times, local, ls=style, color=color, lw=1.2, label=label if style == "-" else None)
        left.axhline(expected, color="0.4", ls=":")
    left.set(xscale="log", xlabel="time (rate × step)", ylabel="power of time", ylim=(-1.1, 0))
    for row, fraction in enumerate(FRACTIONS):
        excess = np.median(curves["ssr_on_logits"]["train_loss"][row] - floor, axis=0)
        seen = excess > WINDOW[0] * excess[0]
        look = {**looks["ssr_on_logits"]._asdict(), "marker": canvas.MARKERS[row]}
        right.plot(steps["ssr_on_logits"][seen], excess[seen], **look, markevery=6, label=f"{fraction:g} of 2/L")
    right.set(yscale="log", xlabel="step", ylabel="excess over the least SSR on logits")
    for axes in (left, right):
        legend(axes)
    return drawing


AMENDMENTS = (
    {
        "date": "2026-11-24",
        "what": "Instead of rate 1 alone the rates 1, 10 and 100, the rule looking at the one that got furthest. The "
        "choice had said 'Exponents do not depend on rates: no tuning'. In the same change the starts became "
        "N(0, 0.01²) instead of He's.",
        "why": "The slopes over the last two decades at rate 1 miss the tolerance; at rates 1 and 10 they still do in "
        "the published verdict (-0.943 and -0.825; -0.574 and -0.341), which was called confirmed by rate 100 alone.",
        "results_seen": True,
    },
    {
        "date": "2026-11-27",
        "what": "Rates at four fixed fractions of 2/L, computed from the data, instead of 1, 10 and 100; every one has "
        "to agree instead of the one that gets furthest; exponents from a continuation by gradient flow instead of the "
        "last two decades of steps, which are reported beside them; undecided where the continuation is not to be "
        "trusted; the geometric rate at all four rates; 4 starts instead of 6; SSR on logits for 100,000 steps.",
        "why": "The verdict hung on the list of rates: adding 300 refuted it, and 10 and 100 lie above the stable "
        "range. Below 2/L a million steps end before the exponents have settled, so that the old rule would measure "
        "where a run stands.",
        "results_seen": True,
    },
    {
        "date": "2026-11-27",
        "what": "The quick run has 100,000 steps. Rule and full run stayed.",
        "why": "A million steps take too long for a quick run. One of 100,000 from two starts, made to see how long it "
        "takes, gave -1.000 and -0.506 at the rates furthest from the laws.",
        "results_seen": True,
    },
)

CLAIM = Claim(
    id="tail-law",
    statement="On separable data cross-entropy falls like 1/t when trained on cross-entropy and like 1/√t when trained "
    "on SSR on probabilities; SSR on logits converges geometrically.",
    source="Soudry et al. 2018, The implicit bias of gradient descent on separable data",
    protocol="Iris setosa against the rest, linear model, float64, 1,000,000 full-batch steps, logarithmic evaluation.",
    rule="Confirmed if at each of four rates below 2/L the exponent of cross-entropy in time is -1.00 ± 0.02 trained "
    "on cross-entropy and -0.50 ± 0.02 trained on SSR on probabilities, and the excess of SSR on logits decays within "
    "2 % of the rate of its slowest mode. Refuted if any of these differs at any rate. Undecided, whatever they are, "
    "if at any rate the continuation that gives the exponents misses what the run itself did by more than 1 % or its "
    "exponent still changes by more than 0.01 over its last two decades.",
    choices=(
        "All 150 standardized flowers are trained on, from output weights N(0, 0.01²).",
        "L is the largest eigenvalue of the loss's Hessian in the logits, over all of them, times that of the inputs' "
        "second moments, bias included: an upper bound, beyond which full-batch steps may be unstable. The rates are "
        "1/16, 1/4, 1/2 and 0.9 of 2/L of each loss.",
        "Exponents are those of late time, time is rate times steps, and a million stable steps end before they have "
        "settled. Each run's last weights are therefore carried on by gradient flow, which is what descent tends to as "
        "its curvature falls with its loss, to 1e14 times the run's length. The exponent is the slope of log "
        "cross-entropy in log time over the last two decades of it; that over the last two of the run is reported.",
        "Whether the flow stands for descent is tested in every run: carried on from step 10,000 it has to meet the "
        "cross-entropy that descent has after a million.",
        "Estimators were compared on made-up mixtures. Extrapolating a run's local exponents (Aitken, over decades and "
        "half decades, also after fitting an offset of time) was dropped: at time 1e6 it was off by up to 0.1. The "
        "local exponents of iris were looked at up to time 1e5, where they have not settled. No run of more than 1,000 "
        "steps was made with this rule on iris before it was fixed.",
        "SSR on logits is at rounding after 100,000 steps at every rate and runs no further; its excess is fitted "
        "where it is 1e-4 to 1e-10 of its start.",
        "The quick run has 100,000 steps and two starts.",
        "The exponent shown for a loss is that of the rate at which it is furthest from the law.",
    ),
    effect="ssr/slope",
    measure=measure,
    decide=decide,
)
