"""The lesson in the terminal: the same tables as the page, and a sentence or two between them."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import sentences, tables
from .escape import CLASSES
from .record import Lesson
from .training import FRESH_SEEDS, LOOP_RATE


def show(lesson: Lesson, console: Console) -> None:
    """Print all six sections."""
    for section in (_example, _formula, _contrast, _backpropagation, _workflow, _why):
        section(lesson, console)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.rule(Text(text, style="bold"), align="left")


def _say(console: Console, *sentences: str) -> None:
    console.print(" ".join(sentences), markup=False)  # names may hold square brackets


def _table(console: Console, table: tables.LessonTable) -> None:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="left" if index in table.words else "right", vertical="top")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def _example(lesson: Lesson, console: Console) -> None:
    _heading(console, "1  The worked example")
    _say(console, "Each row goes through the network: inputs, hidden units, one score per class.")
    _table(console, tables.forward(lesson))
    _say(console, "Softmax turns scores into probabilities; the cross-entropy of a row is −ln p of its true class.")
    _table(console, tables.losses(lesson))
    published = sentences.against_print(lesson.example.total_of_rounded_losses, lesson.network.published.total)
    _say(console, *([f"Total {published}."] if published else []), sentences.why_totals_differ(lesson))


def _formula(lesson: Lesson, console: Console) -> None:
    _heading(console, "2  The formula")
    _say(
        console,
        "total = −Σ ln p of the true classes = −ln of their product, the likelihood:",
        f"{sentences.likelihood(lesson)} and e^−total = {sentences.number(lesson.formula.likelihood_from_loss)}.",
        "With labels that are not certain, cross-entropy = entropy of the label + KL divergence:",
    )
    _table(console, tables.uncertain(lesson))


def _contrast(lesson: Lesson, console: Console) -> None:
    _heading(console, "3  Cross-entropy against SSR")
    _say(console, "Slopes in the probability of the true class:")
    _table(console, tables.slopes(lesson))
    _say(console, "Size of the gradient with respect to the scores, where the real difference lies:")
    _table(console, tables.norms(lesson))
    _say(console, "The textbook's table, measured:")
    _table(console, tables.summary(lesson))


def _backpropagation(lesson: Lesson, console: Console) -> None:
    derivatives, bias = lesson.backpropagation, lesson.bias
    _heading(console, "4  Backpropagation by hand")
    _say(console, "Blame of an output: p − t. Blame of a hidden unit: Σ weight × blame above, times its own slope.")
    _table(console, tables.blames(lesson))
    _say(console, "The derivative of the total for a weight is blame × input, summed over rows; a bias has input 1.")
    _table(console, tables.derivatives(lesson))
    _say(
        console,
        f"By hand, backprop and jax.grad differ by at most {sentences.short(derivatives.largest_disagreement, 1)},",
        f"finite differences by {sentences.short(derivatives.largest_difference_error, 1)}.",
        f"Now set the bias of {bias.class_name} to {sentences.short(bias.old)}",
        f"and take one step of size {sentences.short(bias.learning_rate)}:",
    )
    _table(console, tables.bias_terms(lesson))
    _table(console, tables.bias_steps(lesson))


def _workflow(lesson: Lesson, console: Console) -> None:
    workflow = lesson.workflow
    _heading(console, f"5  The practical workflow: iris, start {workflow.start}")
    finals = ", ".join(
        f"{name} {sentences.number(workflow.loops[loss][0, 0])} to {sentences.number(workflow.loops[loss][-1, 0])}"
        for loss, name in (("cross_entropy", "cross-entropy"), ("ssr", "SSR"))
    )
    _say(
        console,
        f"One run each of the loop at learning rate {LOOP_RATE:g}, loss from first to last step: {finals}.",
        f"Then {workflow.classifiers} classifiers by sweep, which repeats these runs to within",
        f"{sentences.short(workflow.loop_against_sweep, 1)}; results on {FRESH_SEEDS} fresh seeds:",
    )
    _table(console, tables.speeds(lesson))
    equal, tuned = workflow.equal.ratio, workflow.tuned.ratio
    _say(console, sentences.verdict(equal, "at equal rate"), sentences.verdict(tuned, "tuned"))
    _say(console, sentences.landscape(lesson))


def _why(lesson: Lesson, console: Console) -> None:
    _heading(console, "6  Why: the time to escape")
    times = lesson.escape
    _say(console, f"Steps at rate {times.rate:g} from a confidently wrong start until the right answer has p > 1/2.")
    _say(console, "One sigmoid unit:")
    _table(console, tables.escape_of_unit(lesson))
    _say(console, f"A softmax over {CLASSES} classes:")
    _table(console, tables.escape_of_classes(lesson))
    growth = times.unit.last_slope["ssr"]
    _say(
        console,
        "Cross-entropy needs steps in proportion to the lead; under squared error, ln(steps) grows by",
        f"{sentences.number(growth, 2)} per unit of lead: exponentially.",
    )
