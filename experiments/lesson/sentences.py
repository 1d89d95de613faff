"""Numbers and sentences of the lesson: what is said follows from what was measured."""

import numpy as np

from ce_jax.analysis import Estimate

from .escape import Case
from .record import Lesson
from .surfaces import STEPS as PATH_STEPS
from .training import LOSS_PAIR

UNIT_START = 4.0  # the start of section 6 that sentences quote
RAISED = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 4) -> str:
    """A number with a fixed count of digits behind the point.

    >>> number(-0.77320), number(float("inf")), number(2, 0)
    ('−0.7732', '∞', '2')
    """
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    # A value that rounds to 0 has no sign to show.
    return f"{value:.{digits}f}".replace("-", "−") if round(value, digits) else f"{0:.{digits}f}"


def short(value: float, digits: int = 3) -> str:
    """A number with a count of significant digits; what has more digits before the point keeps them.

    >>> short(0.000339652), short(-100.0), short(4163.4), short(1.4e-12, 2)
    ('0.00034', '−100', '4,163', '1.4·10⁻¹²')
    """
    if abs(value) >= 10**digits and np.isfinite(value):
        return f"{value:,.0f}".replace("-", "−")
    if not np.isfinite(value):
        return number(value)
    digits_of, _, power = f"{value:.{digits}g}".replace("-", "−").partition("e")
    return f"{digits_of}·10{power.replace('−0', '−').translate(RAISED)}" if power else digits_of


def first_unit(lesson: Lesson) -> str:
    """The first row's way into the first unit, written out."""
    network = lesson.network
    layer, inputs = network.layers[0], network.rows[0].inputs
    products = " + ".join(f"{_bracket(w)}·{_bracket(x)}" for w, x in zip(layer.weights[0], inputs, strict=True))
    total = float(np.dot(layer.weights[0], inputs) + layer.biases[0])
    after = f", after {network.activation} {number(lesson.example.hidden[0][0, 0])}" if network.hidden else ""
    return f"{products} + {_bracket(layer.biases[0])} = {number(total)}{after}"


def first_softmax(lesson: Lesson) -> tuple[str, str, str]:
    """The first row's softmax: e to the power of each score, their sum, and the share of the first class."""
    powers = np.exp(lesson.example.logits[0])
    share = f"{number(powers[0])} / {number(powers.sum())} = {number(lesson.example.probabilities[0][0])}"
    return ", ".join(number(power) for power in powers), number(powers.sum()), share


def _bracket(value: float) -> str:
    return f"(−{-value:g})" if value < 0 else f"{value:g}"


def why_totals_differ(lesson: Lesson) -> str:
    """Where the three totals of section 1 come from."""
    network, example = lesson.network, lesson.example
    own = example.probabilities[np.arange(len(network.rows)), network.labels]
    moved, then = example.rounded_probabilities - own, example.losses_of_rounded - example.losses
    again = example.total_of_rounded_losses - example.total_of_rounded_probabilities
    same_way = bool(np.all(moved > 0) or np.all(moved < 0))
    how = f"all {'up' if moved[0] > 0 else 'down'}, so that the errors add up instead of cancelling" if same_way else ""
    return (
        f"Two digits move the probabilities by {_list(moved)}{', ' + how if how else ''}; a change of p moves −ln p by "
        f"about as much divided by −p, here by {_list(then)}, together {number(then.sum())}. Rounding each term once "
        f"more changes the total by another {number(again)}."
    )


def _list(values: np.ndarray) -> str:
    return ", ".join(number(value) for value in values)


def against_print(computed: float, published: float | None, digits: int = 2) -> str:
    """What to say about a printed number: whether the computed one, rounded alike, is the same.

    >>> against_print(-0.7732, -0.77), against_print(1.6, 1.75), against_print(1.0, None)
    ('published: −0.77, the same', 'published: 1.75, which this network does not give', '')
    """
    if published is None:
        return ""
    same = round(computed, digits) == round(published, digits)
    return f"published: {number(published, digits)}, {'the same' if same else 'which this network does not give'}"


def likelihood(lesson: Lesson) -> str:
    """The product of the true classes' probabilities, written out."""
    own = lesson.example.probabilities[np.arange(len(lesson.network.rows)), lesson.network.labels]
    return f"{' × '.join(number(p) for p in own)} = {number(lesson.formula.likelihood)}"


def faster(lesson: Lesson) -> str:
    """How much faster, in sentences that claim no more than the intervals do."""
    workflow = lesson.workflow
    at = int(np.argmin(np.abs(lesson.escape.starts - UNIT_START)))
    counted = lesson.escape.unit.counted
    return (
        f"{verdict(workflow.equal.ratio, 'at equal rate')} {verdict(workflow.tuned.ratio, 'each at its best rate')} "
        f"The stall appears where training begins confidently wrong: from z = {lesson.escape.starts[at]:g} one unit "
        f"needs {counted['cross_entropy'][at]} steps against {counted['ssr'][at]} (section 6)."
    )


def verdict(ratio: Estimate, where: str) -> str:
    """One comparison in one sentence.

    >>> verdict(Estimate(0.5, 0.4, 0.6), "at equal rate")
    'At equal rate cross-entropy took 0.50 times the steps of SSR (95 % interval 0.40 to 0.60): faster.'
    """
    word = "faster" if ratio.high < 1 else "slower" if ratio.low > 1 else "no difference shown"
    times = f"{number(float(ratio.value), 2)} times the steps of SSR"
    interval = f"(95 % interval {number(float(ratio.low), 2)} to {number(float(ratio.high), 2)})"
    return f"{where[0].upper()}{where[1:]} cross-entropy took {times} {interval}: {word}."


def landscape(lesson: Lesson) -> str:
    """How steep the two surfaces of section 5 are where the network is wrong, and what that means for a descent."""
    surfaces = lesson.surfaces
    halving = [f"{steps} steps" if steps else f"more than {PATH_STEPS} steps" for steps in surfaces.halving.values()]
    ce, ssr = LOSS_PAIR
    return (
        f"In the wrong half of the square the gradient is typically (median) {number(surfaces.steepness[ce], 2)} long "
        f"under cross-entropy and {number(surfaces.steepness[ssr], 2)} under SSR; in its far corner "
        f"{short(surfaces.in_corner[ce], 2)} and {short(surfaces.in_corner[ssr], 2)}. From there the loss is halved "
        f"within {halving[0]} and {halving[1]}."
    )


def formula_error(case: Case) -> str:
    """The largest distance between the counted steps and the closed form."""
    assert case.predicted is not None
    return number(max(float(np.abs(case.counted[loss] - case.predicted[loss]).max()) for loss in LOSS_PAIR), 1)
