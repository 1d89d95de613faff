"""The tables of the lesson as text, for the terminal and the page alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .contrast import CONFIDENT, EXAMPLES, LEADS
from .derivatives import Derivative
from .escape import Case
from .example import SHOWN_TARGETS
from .record import Lesson
from .sentences import against_print, faster, number, short
from .training import LOOP_RATE, LOSS_PAIR, STEPS, PairAtRates

MOST_TERMS = 4


class LessonTable(NamedTuple):
    """Header and rows of text; the columns named in `words` are set flush left, and may be broken."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[int, ...] = (0,)


def forward(lesson: Lesson) -> LessonTable:
    """From the inputs of each row to its scores."""
    network, example = lesson.network, lesson.example
    hidden = [name for layer in range(1, len(network.layers)) for name in network.unit_names(layer)]
    header = ("row", *network.features, *hidden, *(f"score of {name}" for name in network.class_names))
    columns = np.concatenate([network.inputs, *example.hidden, example.logits], axis=1)
    known = network.inputs.shape[1]
    rows = [
        (f"{n}: {row.label}", *(short(x) for x in line[:known]), *(number(x) for x in line[known:]))
        for n, (row, line) in enumerate(zip(network.rows, columns, strict=True), 1)
    ]
    return LessonTable(header, rows)


def losses(lesson: Lesson) -> LessonTable:
    """From the scores to the loss, exactly and with the rounding one does on paper."""
    network, example = lesson.network, lesson.example
    header = (
        *("row", *network.class_names, "predicted", "p of the true class", "−ln p"),
        *("p rounded", "−ln of that", "rounded again"),
    )
    own = example.probabilities[np.arange(len(network.rows)), network.labels]
    rows = []
    for n, row in enumerate(network.rows):
        right = example.predicted[n] == network.labels[n]
        rows.append(
            (
                f"{n + 1}: {row.label}",
                *(number(p) for p in example.probabilities[n]),
                network.class_names[example.predicted[n]] + (" ✓" if right else " ✗"),
                number(own[n]),
                number(example.losses[n]),
                number(example.rounded_probabilities[n], 2),
                number(example.losses_of_rounded[n]),
                number(example.rounded_losses[n], 2),
            )
        )
    blank = ("",) * len(network.class_names)
    totals = example.total, example.total_of_rounded_probabilities, example.total_of_rounded_losses
    exact, of_rounded, of_terms = number(totals[0]), number(totals[1]), number(totals[2], 2)
    rows.append(("total", *blank, "", "", exact, "", of_rounded, of_terms))
    return LessonTable(header, rows)


def uncertain(lesson: Lesson) -> LessonTable:
    """Cross-entropy with labels that are not certain = entropy of the label + KL divergence."""
    formula, names = lesson.formula, lesson.network.class_names
    header = ("row", *(f"label: {name}" for name in names), "cross-entropy", "entropy of the label", "KL divergence")
    rows = [
        (str(n), *(number(t, 2) for t in target), number(ce), number(entropy), number(divergence))
        for n, (target, ce, entropy, divergence) in enumerate(
            zip(formula.targets, formula.cross_entropy, formula.entropy, formula.divergence, strict=True), 1
        )
    ]
    return LessonTable(header, rows)


def slopes(lesson: Lesson) -> LessonTable:
    """Slopes in the probability of the true class."""
    at = lesson.contrast.slope_at
    header = (
        "p of the true class",
        "cross-entropy",
        "SSR of the true class",
        "SSR over all classes",
        "ratio of the first two",
    )
    names = ("cross_entropy", "true_class_ssr", "ssr")
    rows = [
        (f"{p:g}", *(number(at[name][p], 2) for name in names), short(at["cross_entropy"][p] / at["true_class_ssr"][p]))
        for p in EXAMPLES
    ]
    return LessonTable(header, rows)


def norms(lesson: Lesson) -> LessonTable:
    """Gradient norms with respect to the scores, the further a wrong class leads the smaller SSR's."""
    contrast = lesson.contrast
    rows = []
    for lead in LEADS:
        ce, ssr = contrast.norm_at["cross_entropy"][lead], contrast.norm_at["ssr"][lead]
        p = contrast.true_probability[np.argmin(np.abs(contrast.lead - lead))]
        rows.append((f"{lead:g}", short(p), number(ce), short(ssr, 4), f"{short(ce / ssr)} times"))
    return LessonTable(
        ("a wrong class leads by", "p of the true class", "cross-entropy", "SSR", "cross-entropy is larger"), rows
    )


def summary(lesson: Lesson) -> LessonTable:
    """The table of the textbook, with what was measured in each cell and a remark where the textbook is loose."""
    contrast, tuned, equal = lesson.contrast, lesson.workflow.tuned, lesson.workflow.equal
    ce, ssr = contrast.norm_at["cross_entropy"], contrast.norm_at["ssr"]
    slope = {name: ", ".join(number(contrast.slope_at[name][p], 2) for p in EXAMPLES) for name in contrast.slope_at}
    points = " at p = " + ", ".join(f"{p:g}" for p in EXAMPLES)
    ends = {
        name: f"{short(contrast.at_one[name])} to {short(max(at_zero))}" for name, at_zero in contrast.at_zero.items()
    }
    soft, between = lesson.formula, SHOWN_TARGETS[1]

    def three(norm: dict[float, float]) -> str:
        return f"{short(norm[CONFIDENT])} wrong, {short(norm[0.0])} undecided, {short(norm[-CONFIDENT])} right"

    def pace(loss: str) -> str:
        return f"{equal.mean_steps[loss]:.0f} steps at equal rate, {tuned.mean_steps[loss]:.0f} at its best"

    rows = [
        (
            "Range",
            f"0 to ∞; measured {ends['cross_entropy']}",
            f"0 to 1; measured {ends['true_class_ssr']} for the true class alone, {ends['ssr']} over all classes",
            f"0 to 1 holds for (1 − p)² only. Over all classes SSR reaches {short(max(contrast.at_zero['ssr']))}.",
        ),
        (
            "Slope in p",
            f"−1/p; measured {slope['cross_entropy']}{points}",
            f"−2(1 − p); measured {slope['true_class_ssr']}{points}",
            "Right, but a network moves scores and not probabilities: see the next row.",
        ),
        (
            "Gradient at the scores",
            f"large for bad predictions, small for good ones; measured {three(ce)}",
            f"small; measured {three(ssr)}",
            f"The real difference: when the network is confidently wrong, SSR's gradient is "
            f"{short(ce[CONFIDENT] / ssr[CONFIDENT])} times smaller. Undecided, the ratio is only "
            f"{short(ce[0.0] / ssr[0.0])}.",
        ),
        (
            "Lower is better aligned",
            f"cross-entropy = entropy + KL; measured {number(soft.cross_entropy[0])} = {number(soft.entropy[0])} + "
            f"{number(soft.divergence[0])}",
            f"least where p is the label; measured {number(soft.best['ssr'][between], 2)} for a label of "
            f"{number(between, 2)}",
            "True of both: each is least where the prediction equals the label.",
        ),
        ("Speed", f"faster; measured {pace('cross_entropy')}", f"slower; measured {pace('ssr')}", faster(lesson)),
    ]
    return LessonTable(("", "cross-entropy", "SSR", "remark"), rows, (0, 1, 2, 3))


def blames(lesson: Lesson) -> LessonTable:
    """What each unit is blamed for, row by row: p - t at the outputs, and what comes back along the weights."""
    network = lesson.network
    layers = range(1, len(network.layers) + 1)
    header = ("row", *(name for layer in layers for name in network.unit_names(layer)))
    columns = np.concatenate(lesson.backpropagation.blames, axis=1)
    return LessonTable(header, [(str(n), *(number(x) for x in line)) for n, line in enumerate(columns, 1)])


def derivatives(lesson: Lesson) -> LessonTable:
    """Every weight and bias: derived, by `backprop`, by `jax.grad` and by finite differences."""
    header = (
        "weight or bias",
        "its value",
        "derived: blame × input, row by row",
        "sum",
        "backprop",
        "jax.grad",
        "finite differences",
    )
    rows = [
        (
            f"{entry.source} → {entry.unit}" if entry.source else f"bias of {entry.unit}",
            short(entry.value),
            terms(entry),
            *(number(x, 6) for x in (entry.by_hand, entry.backprop, entry.autodiff, entry.finite_difference)),
        )
        for entry in lesson.backpropagation.table
    ]
    return LessonTable(header, rows, (0, 2))


def terms(derivative: Derivative) -> str:
    """The sum over rows, written out for the first few."""
    pairs = list(zip(derivative.blame, derivative.inputs, strict=True))[:MOST_TERMS]
    is_bias = derivative.source is None  # whose input is 1 and not written
    factors = [(number(blame) if blame else "0", "" if is_bias else f"·{short(x)}") for blame, x in pairs]
    text = " + ".join(f"{blame}{x}" for blame, x in factors)
    return text.replace("+ −", "− ") + (" + …" if len(derivative.blame) > MOST_TERMS else "")


def bias_terms(lesson: Lesson) -> LessonTable:
    """The derivative of the moved bias, row by row."""
    bias, network = lesson.bias, lesson.network
    rows = [
        (f"{n}: {row.label}", number(p), f"{number(p)} − {t:.0f} = {number(p - t)}", number(round(p, 2) - t, 2))
        for n, (row, p, t) in enumerate(zip(network.rows, bias.probabilities, bias.is_class, strict=True), 1)
    ]
    rows.append(("total", "", number(bias.derivative), number(bias.rounded_derivative, 2)))
    return LessonTable(("row", f"p of {bias.class_name}", "p − t", "with p rounded"), rows)


def bias_steps(lesson: Lesson) -> LessonTable:
    """One step, exactly and as on paper."""
    bias, published = lesson.bias, lesson.network.published
    rows = [
        ("derivative", number(bias.derivative), number(bias.rounded_derivative, 2)),
        ("new bias", number(bias.new), number(bias.rounded_new, 2)),
        ("total cross-entropy before", number(bias.total_before), number(bias.total_before)),
        ("total cross-entropy after", number(bias.total_after), number(bias.total_after_rounded)),
    ]
    notes = [
        against_print(bias.rounded_derivative, published.bias_derivative),
        against_print(bias.rounded_new, published.new_bias),
        *("", ""),
    ]
    if any(notes):
        return LessonTable(
            ("", "exact", "rounded", ""), [(*row, note) for row, note in zip(rows, notes, strict=True)], (0, 3)
        )
    return LessonTable(("", "exact", "rounded"), rows)


def speeds(lesson: Lesson) -> LessonTable:
    """Both losses at equal rate and at their own best rates."""
    header = (
        "comparison",
        "loss",
        "learning rate",
        "runs that got there",
        "median steps",
        "mean steps",
        "test accuracy",
    )
    rows = []
    pairs = ((f"equal rate ({LOOP_RATE:g})", lesson.workflow.equal), ("own best rate", lesson.workflow.tuned))
    for title, speed in pairs:
        for loss in LOSS_PAIR:
            rows.append((title, {"cross_entropy": "cross-entropy", "ssr": "SSR"}[loss], *_speed(speed, loss)))
    return LessonTable(header, rows, (0, 1))


def _speed(speed: PairAtRates, loss: str) -> tuple[str, ...]:
    median = speed.median_steps[loss]
    return (
        short(speed.rates[loss]),
        f"{100 * speed.reached[loss]:.0f} %",
        f"{median:.0f}" if np.isfinite(median) else f"more than {STEPS}",
        f"{speed.mean_steps[loss]:.0f}",
        f"{100 * speed.test_accuracy[loss]:.1f} %",
    )


def escape_of_unit(lesson: Lesson) -> LessonTable:
    """Steps that one sigmoid unit needs to get out, closed form beside the count."""
    return _escapes(lesson, {"": lesson.escape.unit})


def escape_of_classes(lesson: Lesson) -> LessonTable:
    """The same for a softmax, when all wrong classes lead together and when one leads alone."""
    return _escapes(lesson, {"all wrong lead: ": lesson.escape.tied, "one wrong leads: ": lesson.escape.one_wrong})


def _escapes(lesson: Lesson, cases: dict[str, Case]) -> LessonTable:
    columns = {"lead": [f"{start:g}" for start in lesson.escape.starts]}
    for prefix, case in cases.items():
        for loss, name in ((LOSS_PAIR[0], "cross-entropy"), (LOSS_PAIR[1], "squared error")):
            if case.predicted:
                columns[f"{prefix}{name}, formula"] = [f"{steps:,.1f}" for steps in case.predicted[loss]]
            columns[f"{prefix}{name}, counted"] = [f"{steps:,}" for steps in case.counted[loss]]
    return LessonTable(tuple(columns), list(zip(*columns.values(), strict=True)))
