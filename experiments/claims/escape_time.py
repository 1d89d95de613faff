"""How long gradient descent needs to leave a confidently wrong start: counted, and against the closed forms."""

import itertools

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ce_jax.comparing import display_name

from ..lesson.escape import CLASSES, RATE, closed_form, count_steps
from ..pages import canvas
from ..pages.canvas import panels
from .drawing import legend
from .record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of

STARTS = (1.5, 2.0, 4.0, 6.0, 8.0, 10.0)
LOSSES = ("cross_entropy", "ssr")
MODELS = {"": "one sigmoid unit", "3-class/": "three classes, both wrong ones lead"}
# SSR counts both classes of the unit and has no factor 1/2: a quarter of it is half the squared error of its output.
SCALE = {"cross_entropy": 1.0, "ssr": 0.25}
FINER = 10
TOLERANCE = 0.03
SLOPE_TOLERANCE = 0.02


def count(rate: float) -> dict[str, dict[str, NDArray[np.int64]]]:
    """{model: {loss: [starts] steps}}, counted with the gradients of `ce_jax` in float64."""
    starts, zeros = np.array(STARTS), np.zeros(len(STARTS))
    unit, tied = np.stack([zeros, starts], axis=1), np.stack([zeros, starts, starts], axis=1)
    # A sigmoid unit is a softmax of (0, z) whose first logit is not trained.
    only_wrong, everything = np.array([[0.0, 1.0]]), np.ones((1, CLASSES))
    with jax.enable_x64(True):
        return {
            "": {loss: np.asarray(count_steps(loss, unit, only_wrong * SCALE[loss], rate)) for loss in LOSSES},
            "3-class/": {loss: np.asarray(count_steps(loss, tied, everything, rate)) for loss in LOSSES},
        }


def predict(rate: float) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The closed forms at the same starts."""
    starts, ratio = np.array(STARTS), CLASSES / (CLASSES - 1)
    speeds = {"cross_entropy": 2 * rate * ratio, "ssr": 4 * rate * ratio**2}
    log_odds = starts + np.log(CLASSES - 1)  # of all wrong classes together
    return {
        "": {loss: closed_form(loss, starts, 2 * rate) for loss in LOSSES},
        "3-class/": {loss: closed_form(loss, log_odds, speeds[loss]) for loss in LOSSES},
    }


def measure(request: Request) -> Findings:
    """Count, predict, and compare."""
    whole, finer, closed = count(RATE), count(RATE / FINER), predict(RATE)
    measurements: dict[str, Measurement] = {}
    for model, loss in itertools.product(MODELS, LOSSES):
        for place, start in enumerate(STARTS):
            key = f"{model}z0={start:g}/{loss}"
            exact = float(closed[model][loss][place])
            fine = float(finer[model][loss][place]) / FINER
            measurements[f"{key}/steps"] = Measurement(float(whole[model][loss][place]), unit="steps")
            measurements[f"{key}/closed_form"] = Measurement(exact, unit="steps")
            measurements[f"{key}/finer_steps"] = Measurement(fine, unit="steps at the full rate")
        growth = STARTS[-1] - STARTS[-2]
        last = finer[model][loss][-2:] / FINER
        measurements[f"{model}{loss}/log_slope"] = Measurement(
            float(np.diff(np.log(last))[0] / growth), unit="per logit"
        )
        measurements[f"{model}{loss}/slope"] = Measurement(float(np.diff(last)[0] / growth), unit="steps per logit")
        measurements[f"{model}{loss}/closed_form_slope"] = Measurement(
            float(np.diff(closed[model][loss][-2:])[0] / growth), unit="steps per logit"
        )
    return Findings(
        measurements,
        figure(whole),
        "Gradient steps until the wrong class has lost its lead, from a start in which it leads by z0: markers are "
        f"counted, lines are the closed forms, bands {TOLERANCE:.0%} around them. Straight on this logarithmic axis is "
        "exponential.",
        0,
        f"Gradient descent at rate {RATE} and at a tenth of it, counted in float64 with the losses' hand-written "
        "gradients. Nothing is random.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Everything is exact: whatever is not confirmed is refuted."""
    agree = []
    for model, loss, start in itertools.product(MODELS, LOSSES, STARTS):
        key = f"{model}z0={start:g}/{loss}"
        exact = measurements[f"{key}/closed_form"].value
        agree.append(abs(measurements[f"{key}/finer_steps"].value - exact) <= TOLERANCE * exact)
        if model == "":
            agree.append(abs(measurements[f"{key}/steps"].value - exact) <= max(TOLERANCE * exact, 1.0))
    for model in MODELS:
        agree.append(abs(measurements[f"{model}ssr/log_slope"].value - 1) <= SLOPE_TOLERANCE)
        linear = measurements[f"{model}cross_entropy/closed_form_slope"].value
        agree.append(abs(measurements[f"{model}cross_entropy/slope"].value - linear) <= TOLERANCE * linear)
    return verdict_of(all(agree), not all(agree))


def figure(counted: dict[str, dict[str, NDArray[np.int64]]]) -> Figure:
    """Counted steps over the closed forms, one panel per model."""
    looks, closed = canvas.styles(LOSSES), predict(RATE)
    drawing, axes_of_models = panels(len(MODELS), sharey=True)
    for axes, (model, title) in zip(axes_of_models, MODELS.items(), strict=True):
        for loss, look in looks.items():
            label = "half squared error" if (model, loss) == ("", "ssr") else display_name(loss)
            axes.plot(STARTS, closed[model][loss], color=look.color, linestyle=look.linestyle)
            low, high = (closed[model][loss] * (1 + side * TOLERANCE) for side in (-1, 1))
            axes.fill_between(STARTS, low, high, color=look.color, alpha=0.2, lw=0)
            axes.plot(STARTS, counted[model][loss], color=look.color, ls="", marker=look.marker, label=label)
        axes.set(yscale="log", xlabel="lead z0 of the wrong class at the start", title=title)
        legend(axes, loc="upper left")
    axes_of_models[0].set_ylabel("steps to get out")
    return drawing


CLAIM = Claim(
    id="escape-time",
    statement="From a confidently wrong start, the steps to get out are linear in the initial logit error for "
    "cross-entropy and exponential for squared error.",
    source="M. Nielsen, Neural Networks and Deep Learning, chapter 3; closed forms: experiments/lesson/escape.py",
    protocol="One sigmoid unit on x = 1, y = 0, weight and bias trained, starts z0 = 1.5, 2, 4, 6, 8, 10, rate 0.15, "
    "until a < 1/2; then a linear model of three classes whose two wrong classes lead by z0.",
    rule="Confirmed if steps agree with the closed forms within 3 % when counted at a tenth of the rate (for the unit "
    "also at the rate itself, within 3 % or the one step by which a whole count exceeds), ln T of SSR has slope "
    "1 ± 0.02 between the last two starts, and T of cross-entropy has there the closed form's slope within 3 %. "
    "Otherwise refuted.",
    choices=(
        "ssr means the half squared error of the unit's one output; in the model of three classes it is SSR on "
        "probabilities over all classes, without the factor 1/2.",
        "The closed forms hold for small steps and counts are whole: at rate 0.15 a time of 7.6 steps is counted as 8, "
        "and SSR over three classes, four times as steep, lags up to two steps behind. So closed forms are held "
        "against a count at a tenth of the rate, given in steps of the full rate.",
    ),
    effect="ssr/log_slope",
    measure=measure,
    decide=decide,
)
