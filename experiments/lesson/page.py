"""lesson.html: the record's numbers, tables and figures in one file that needs nothing else."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ce_jax.models import STARTS

from ..pages import html
from . import (
    contrast,
    derivatives,
    escape,
    figures,
    sentences,
    surfaces,
    tables,
    training,
    training_figures,
)
from .record import Lesson

ACTIVATION_WORDS = {
    "relu": "ReLU, which replaces a negative number by 0 and keeps the others",
    "tanh": "tanh, which squeezes every number into the range from −1 to 1",
    "sigmoid": "the sigmoid, which squeezes every number into the range from 0 to 1",
    "gelu": "GELU, which multiplies a number by the share of a normal distribution that lies below it",
    "silu": "SiLU, which multiplies a number by its sigmoid",
    "elu": "ELU, which bends negative numbers towards −1 and keeps the others",
    "leaky_relu": "leaky ReLU, which keeps a hundredth of a negative number and the others whole",
    "softplus": "softplus, a ReLU with a rounded corner",
}
START_WORDS = {
    "he": "random weights of the usual size (He et al. 2015)",
    "glorot": "random weights of the usual size (Glorot and Bengio 2010)",
    "gentle": "output weights near 0, so that every species begins with about the same probability",
    "saturated": "large random output weights, so that the network begins sure of itself and often wrong",
}

SHADED = (
    " For SSR over all classes the dashed line shares 1 − p evenly among the wrong classes; the shaded band reaches up "
    "to one wrong class having it all."
)


def drawings(lesson: Lesson) -> list[html.Drawing]:
    """All figures with their captions."""
    num_classes = len(lesson.network.class_names)
    made: dict[str, tuple[Callable[[], Figure], str]] = {
        "network": (
            partial(figures.diagram, lesson.network),
            "The network. A number on a line is a weight, a number in a circle is a bias; blue weights are positive, "
            "orange ones negative.",
        ),
        "probabilities": (
            partial(figures.probabilities, lesson.network, lesson.example),
            "What the softmax makes of the scores of each row. The outlined bar is the only one that the loss looks "
            "at: the higher it is, the lower the loss.",
        ),
        "soft-labels": (
            partial(figures.soft_labels, lesson.formula),
            "Cross-entropy for two classes, whose label gives the first one the probability in the legend. Each curve "
            "is least where the prediction equals the label (circle), and its least value is the entropy of the label "
            "(dotted line).",
        ),
        "on-probabilities": (
            partial(figures.on_probabilities, lesson.contrast, num_classes),
            "First the losses, then how steeply they fall (logarithmic)." + (SHADED if num_classes > 2 else ""),
        ),
        "behind-softmax": (
            partial(figures.behind_softmax, lesson.contrast),
            "How hard each loss pulls at the scores (logarithmic). To the right, where the network is confidently "
            "wrong, cross-entropy pulls with almost constant strength and both forms of SSR let go. To the left, "
            "where it is right, all of them let go.",
        ),
        "bias": (
            partial(figures.bias_curve, lesson.bias),
            "The total of section 1 as a function of one bias. The slope at the start says which way is down; each "
            "step goes that way by learning rate × slope.",
        ),
        "loops": (
            partial(training_figures.loops, lesson.workflow),
            "One run of the loop under each loss, from the same start. The two losses have different units, so only "
            "the second picture compares them.",
        ),
        "sweeps": (
            partial(training_figures.sweeps, lesson.workflow),
            f"Median over {training.FRESH_SEEDS} starts, and the band of the middle half, on flowers that were not "
            "trained on. The axis of steps is logarithmic.",
        ),
        "surfaces": (
            partial(training_figures.surface_pictures, lesson.surfaces, lesson.workflow.start),
            "First the loss of every pair of weights (dark is high) and two runs of gradient descent on it; the "
            "numbers are steps. Then how steep the surface is there (logarithmic, the same scale for both).",
        ),
        "unit-slope": (
            partial(training_figures.slope_of_unit, lesson.escape),
            "The slope that moves the unit (logarithmic), the further right the more wrong it is.",
        ),
        "escape-times": (
            partial(training_figures.escape_times, lesson.escape),
            "Steps needed to get out (logarithmic): lines are the closed forms, markers were counted.",
        ),
    }
    return [html.Drawing(name, make, caption) for name, (make, caption) in made.items()]


def write_page(lesson: Lesson, out: Path) -> Path:
    """Write `out/lesson.html`, one file with everything in it; return its path."""
    shown = {drawing.name: html.drawn_inline(drawing, out) for drawing in drawings(lesson)}
    context: dict[str, Any] = {
        "title": "Cross-entropy, step by step",
        "lesson": lesson,
        "tables": tables,
        "sentences": sentences,
        "number": sentences.number,
        "short": sentences.short,
        "settings": {
            module.__name__.rpartition(".")[2]: module for module in (contrast, derivatives, escape, surfaces, training)
        },
        "drawings": shown,
        "activation_words": ACTIVATION_WORDS[lesson.network.activation],
        "starts": STARTS,
        "start_words": START_WORDS[lesson.workflow.start],
        "loop_source": inspect.getsource(training.training_loop),
        "sweep_source": inspect.getsource(training.many_runs),
    }
    return html.write_page(out / "lesson.html", "lesson.html.j2", **context)
