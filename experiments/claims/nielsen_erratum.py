"""Which gradient the book's cross-entropy animation follows."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..pages import canvas
from ..pages.canvas import panels
from .drawing import legend_below
from .record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of

STARTS = {"start=0.6,0.9": (0.6, 0.9), "start=2,2": (2.0, 2.0)}
RATE, UPDATES = 0.005, 301
# dC/dz of cross-entropy for the target 0 is a (the book's equation 61); dC/da, without the unit's slope, is 1/(1 - a).
GRADIENTS = {"equation_61": lambda a: a, "published_code": lambda a: 1 / (1 - a)}
PUBLISHED = {
    "start=0.6,0.9/published_code": 0.0400,
    "start=2,2/published_code": 0.0474,
    "start=0.6,0.9/equation_61": 0.4167,
    "start=2,2/equation_61": 0.7782,
}
DIGITS = 0.5e-4


def outputs(start: tuple[float, float], gradient: str) -> NDArray[np.float64]:
    """[UPDATES + 1] the unit's output on x = 1, first before any update; weight and bias have the same derivative."""
    z, path = sum(start), []
    for _ in range(UPDATES + 1):
        path.append(1 / (1 + np.exp(-z)))
        z -= 2 * RATE * GRADIENTS[gradient](path[-1])
    return np.array(path)


def measure(request: Request) -> Findings:
    """Follow both gradients from both starts."""
    paths = {f"{name}/{gradient}": outputs(start, gradient) for name, start in STARTS.items() for gradient in GRADIENTS}
    measurements = {f"{key}/end": Measurement(float(path[-1]), unit="output") for key, path in paths.items()}
    measurements["largest_difference"] = Measurement(
        max(abs(measurements[f"{key}/end"].value - end) for key, end in PUBLISHED.items()), unit="output"
    )
    return Findings(
        measurements,
        figure(paths),
        "Output of the unit while it is trained towards 0. Stars: where the published animations end. They lie on the "
        "curves that divide by 1 − a where equation 61 has a factor a.",
        0,
        f"{UPDATES} updates at rate {RATE} from both published starts with both gradients. Nothing is random.",
    )


def decide(measurements: Measurements) -> Verdict:
    """All four ends, to four digits."""
    agree = all(abs(measurements[f"{key}/end"].value - end) <= DIGITS for key, end in PUBLISHED.items())
    return verdict_of(agree, not agree)


def figure(paths: dict[str, NDArray[np.float64]]) -> Figure:
    """One panel per start, both gradients in each."""
    drawing, axes_of_starts = panels(len(STARTS), height=3.6, sharey=True)
    words = {"equation_61": "step = rate · a (equation 61)", "published_code": "step = rate / (1 − a)"}
    for axes, (name, start) in zip(axes_of_starts, STARTS.items(), strict=True):
        for gradient, look in zip(GRADIENTS, canvas.styles(GRADIENTS).values(), strict=True):
            axes.plot(paths[f"{name}/{gradient}"], color=look.color, linestyle=look.linestyle, label=words[gradient])
        end = PUBLISHED[f"{name}/published_code"]
        axes.plot(UPDATES, end, "*", color="black", ms=13, clip_on=False, label="published end")
        axes.set(xlabel="update", title=f"weight {start[0]:g}, bias {start[1]:g}", ylim=(0, 1))
        legend_below(axes)
    axes_of_starts[0].set_ylabel("output, target 0")
    return drawing


CLAIM = Claim(
    id="nielsen-erratum",
    statement="The book's cross-entropy animation does not follow from its equation 61.",
    source="M. Nielsen, Neural Networks and Deep Learning, chapter 3, the two animations of the cross-entropy cost",
    protocol="The single neuron with x = 1, y = 0 from (w, b) = (0.6, 0.9) and (2, 2), rate 0.005, 301 updates: once "
    "with the gradient of equation 61, once with 1/(1 − a).",
    rule="Confirmed if the four end points agree to four digits: with 1/(1 − a) the published 0.0400 and 0.0474, with "
    "equation 61 0.4167 and 0.7782, far from them. Otherwise refuted.",
    choices=(),
    effect="largest_difference",
    measure=measure,
    decide=decide,
)
