"""How the training losses fall in the long run on separable data."""

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ce_jax import (
    Hyperparameters,
    Part,
    Plan,
    Splits,
    evaluation_steps,
    linear,
    make_train,
    sweep,
)
from ce_jax.comparing import display_name, scaled
from experiments.claims.drawing import legend
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import mean
from experiments.data.builtin import bundled
from experiments.pages import canvas
from experiments.pages.canvas import panels

STEPS = 1_000_000
POINTS = 121
RATES = {"cross_entropy": (1.0, 10.0, 100.0), "ssr": (1.0, 10.0, 100.0), "ssr_on_logits": (0.1,)}
EXPECTED = {"cross_entropy": -1.0, "ssr": -0.5}
TOLERANCE = 0.02
DECADES = 2
UNIT = "d log loss / d log step"
WINDOW = (1e-10, 1e-4)  # of the excess over its start: late enough for one mode, early enough for float64
Array = NDArray[np.float64]


def flowers() -> Part:
    """Iris, standardized; class 0 is setosa, class 1 the rest. All 150 rows are trained on."""
    table = bundled("iris")
    return Part(scaled(table.inputs), (table.labels > 0).astype(np.int32))


def train(seeds: range, part: Part) -> dict[str, dict[str, Array]]:
    """{loss: {metric: [R, S, E]}} in float64."""
    devices = 2 if len(jax.devices()) > 1 else 1
    curves = {}
    with jax.enable_x64(True):
        for loss, rates in RATES.items():
            steps = evaluation_steps(STEPS, points=POINTS)
            run = make_train(linear(start="gentle"), loss, num_classes=2, evaluate_at=steps)
            plan, hyper = Plan(len(seeds), len(rates), devices), Hyperparameters(np.array(rates))
            curves[loss] = sweep(run, seeds, hyper, Splits(part, part, part), plan=plan)
    return curves


def furthest(curve: Array) -> int:
    """The rate whose worst seed ends with the lowest loss, of curves [R, S, E]: the one furthest along."""
    return int(np.argmin(np.nan_to_num(curve[..., -1], nan=np.inf).max(axis=1)))


def slopes(steps: Array, values: Array) -> Array:
    """[S] least-squares slope of log values [S, E] against log steps over the last `DECADES`."""
    late = steps >= steps[-1] / 10**DECADES * (1 - 1e-9)
    return np.polyfit(np.log(steps[late]), np.log(values[:, late]).T, 1)[0]


def decay(steps: Array, values: Array, floor: float) -> Array:
    """[S] slope of the logarithm of the excess over `floor` against steps, inside `WINDOW`."""
    measurements = []
    for curve in values - floor:
        inside = (curve > WINDOW[0] * curve[0]) & (curve < WINDOW[1] * curve[0])
        measurements.append(np.polyfit(steps[inside], np.log(curve[inside]), 1)[0])
    return np.array(measurements)


def least_squares(part: Part) -> tuple[float, float]:
    """The least mean SSR on logits, and the decay per step of its slowest mode under gradient descent."""
    design = np.column_stack([part.inputs, np.ones(len(part.labels))])
    targets = np.eye(2)[part.labels]
    weights = np.linalg.lstsq(design, targets, rcond=None)[0]
    slowest = np.linalg.eigvalsh(design.T @ design / len(design))[0]
    floor = np.sum((design @ weights - targets) ** 2) / len(design)
    return float(floor), float(2 * np.log1p(-2 * RATES["ssr_on_logits"][0] * slowest))


def measure(request: Request) -> Findings:
    """Train, and fit the ends of the curves."""
    seeds = range(request.first_seed, request.first_seed + request.pick(6, 2))
    part = flowers()
    curves, steps = train(seeds, part), np.array(evaluation_steps(STEPS, points=POINTS), float)
    floor, predicted = least_squares(part)
    measurements = {}
    for loss in EXPECTED:
        by_rate = curves[loss]["cross_entropy"]
        for place, rate in enumerate(RATES[loss]):
            measurements[f"rate={rate:g}/{loss}/slope"] = mean(slopes(steps, by_rate[place]), UNIT)
        best = furthest(by_rate)
        measurements[f"{loss}/slope"] = measurements[f"rate={RATES[loss][best]:g}/{loss}/slope"]
        measurements[f"{loss}/learning_rate"] = Measurement(RATES[loss][best])
    on_ssr = curves["ssr"]["ssr"][furthest(curves["ssr"]["cross_entropy"])]
    measurements["ssr/slope_of_ssr"] = mean(slopes(steps, on_ssr), UNIT)
    on_logits = curves["ssr_on_logits"]["train_loss"][0]
    measurements["ssr_on_logits/decay"] = mean(decay(steps, on_logits, floor), "d log excess / d step")
    measurements["ssr_on_logits/predicted_decay"] = Measurement(predicted, unit="d log excess / d step")
    return Findings(
        measurements,
        figure(steps, curves, floor),
        "Left: mean cross-entropy on the training flowers, trained on cross-entropy and on SSR on probabilities, with "
        "the laws 1/t and 1/√t (dotted); thin: the other rates. Right: SSR on logits above its least value; straight "
        "on these axes is geometric. Medians over seeds.",
        len(seeds),
        f"{len(seeds)} gentle starts of a linear model on standardized iris, setosa against the rest, {STEPS:,} "
        f"full-batch steps in float64, rates 1, 10 and 100 (SSR on logits: {RATES['ssr_on_logits'][0]:g}).",
    )


def decide(measurements: Measurements) -> Verdict:
    """Both exponents, and the geometric rate of the slowest mode."""
    agree = [abs(measurements[f"{loss}/slope"].value - slope) <= TOLERANCE for loss, slope in EXPECTED.items()]
    predicted = measurements["ssr_on_logits/predicted_decay"].value
    agree.append(abs(measurements["ssr_on_logits/decay"].value / predicted - 1) <= TOLERANCE)
    return verdict_of(all(agree), not all(agree))


def figure(steps: Array, curves: dict[str, dict[str, Array]], floor: float) -> Figure:
    """Two power laws, and the geometric one."""
    drawing, (left, right) = panels(2)
    looks = canvas.styles(RATES)
    for loss, slope in EXPECTED.items():
        by_rate = curves[loss]["cross_entropy"]
        for place in range(len(RATES[loss])):
            if place != furthest(by_rate):
                faint = np.median(by_rate[place], axis=0)[1:]
                left.plot(steps[1:], faint, color=looks[loss].color, lw=0.8, alpha=0.6)
        middle = np.median(by_rate[furthest(by_rate)], axis=0)
        label = f"trained on {display_name(loss)}, rate {RATES[loss][furthest(by_rate)]:g}"
        left.plot(steps[1:], middle[1:], **looks[loss]._asdict(), markevery=12, label=label)
        late = steps >= steps[-1] / 10**DECADES
        left.plot(steps[late], middle[-1] * 1.6 * (steps[late] / steps[-1]) ** slope, color="0.4", ls=":")
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="mean cross-entropy")
    excess = np.median(curves["ssr_on_logits"]["train_loss"][0] - floor, axis=0)
    seen = excess > WINDOW[0] * excess[0]
    right.plot(steps[seen], excess[seen], **looks["ssr_on_logits"]._asdict(), label="trained on SSR on logits")
    right.set(yscale="log", xlabel="step", ylabel="excess over the least SSR on logits")
    for axes in (left, right):
        legend(axes)
    return drawing


CLAIM = Claim(
    id="tail-law",
    statement="On separable data cross-entropy falls like 1/t when trained on cross-entropy and like 1/√t when trained "
    "on SSR on probabilities; SSR on logits converges geometrically.",
    source="Soudry et al. 2018, The implicit bias of gradient descent on separable data",
    protocol="Iris setosa against the rest, linear model, float64, 1,000,000 full-batch steps, logarithmic evaluation.",
    rule="Confirmed if over the last two decades of steps log cross-entropy against log step has slope -1.00 ± 0.02 "
    "trained on cross-entropy and -0.50 ± 0.02 trained on SSR on probabilities, and the excess of SSR on logits decays "
    "within 2 % of the rate of its slowest mode. Otherwise refuted.",
    choices=(
        "All 150 standardized flowers are trained on, from output weights N(0, 0.01²).",
        "The exponents are those of late time, and time is rate times steps. The protocol names no rate: 1, 10 and 100 "
        "are run, all are reported, and the rule looks at the one that gets furthest, by the lowest final "
        "cross-entropy of the worst seed. SSR on logits, whose curvature is larger, has rate 0.1.",
        "The excess of SSR on logits is fitted where it is 1e-4 to 1e-10 of its start.",
    ),
    effect="ssr/slope",
    measure=measure,
    decide=decide,
)
