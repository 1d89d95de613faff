"""The table of a comparison as plain text and as HTML: the same rows on a terminal, in `print` and in a notebook."""

import html
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ce_jax.comparing._chosen import chosen_parts, tuned_options
from ce_jax.comparing._formats import count, display_name, interval, ratio, share
from ce_jax.comparing._words import INTERVALS, bounded, goal_text, label, level, shown_target, speed_rows, tells_rare

HEADINGS = ("loss", "reached", "median\nsteps", "mean\nsteps", "ratio", "test\naccuracy")
RARE = "on rare\nclasses"


def headings(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a summary's table."""
    return (*HEADINGS, RARE) if tells_rare(summary) else HEADINGS


def table_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row per loss at the target of the headline, columns as in `headings`; an interval is a second line.

    Where more than the learning rate was tuned, the point that the loss chose stands below its name.
    """
    target, rare = shown_target(summary), tells_rare(summary)
    rows: list[tuple[str, ...]] = []
    for row in speed_rows(summary):
        if row["target"] != target:
            continue
        chosen = chosen_parts(summary["losses"][row["loss"]]) if tuned_options(summary) else []
        finals, against = summary["losses"][row["loss"]]["final"], row["against"]
        shown = [finals["test_accuracy"], *([finals["test_rare_accuracy"]] if rare else [])]
        rows.append(
            (
                "\n".join([display_name(row["loss"]), *chosen]),
                share(row["reached"]),
                count(row["median_steps"]),
                _with_interval(row["rmst_steps"], row["rmst_ci"], count),
                f"{bounded(against)}\n{_ends(against['ci'], ratio)}" if against else "",
                *(_with_interval(final["mean"], final["ci"], share) for final in shown),
            )
        )
    return rows


def text_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """A table for each workload, and how to read them, in plain text."""
    parts = [
        f"{_title(summary, summaries)}\n{_aligned([headings(summary), *table_rows(summary)])}" for summary in summaries
    ]
    return "\n\n".join([*parts, textwrap.fill(_note(summaries), 79)])


def html_table(summary: Mapping[str, Any]) -> str:
    """The table of one workload as a fragment of HTML."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell).replace(chr(10), '<br>')}</{tag}>" for cell in row)

    rows = [
        f"<tr>{cells(headings(summary), 'th')}</tr>",
        *(f"<tr>{cells(row, 'td')}</tr>" for row in table_rows(summary)),
    ]
    caption = f"<caption>{html.escape(_title(summary))}</caption>"
    return f"<table>{caption}{''.join(rows)}</table><p>{html.escape(_note([summary]))}</p>"


def _title(summary: Mapping[str, Any], others: Sequence[Mapping[str, Any]] = ()) -> str:
    return f"{label(summary, others)}: {goal_text(summary, shown_target(summary))}"


def _note(summaries: Sequence[Mapping[str, Any]]) -> str:
    rare = any(map(tells_rare, summaries))
    more = "on rare classes: test accuracy on the rarest half of the classes by training examples; " if rare else ""
    lines = f"in second lines: {level(summaries[0])} intervals"
    return f"ratio: mean steps, first loss ÷ this loss; {more}{lines}. {INTERVALS}"


def _with_interval(value: float | None, bounds: Sequence[float] | None, form: Callable[[float | None], str]) -> str:
    return f"{form(value)}\n{_ends(bounds, form)}"


def _ends(bounds: Sequence[float] | None, form: Callable[[float | None], str]) -> str:
    return interval(bounds, form).replace(" to ", "–").removesuffix(" %")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells of one or more lines in columns: the first to the left, the others to the right, a rule below.

    >>> print(_aligned([("loss", "mean\\nsteps"), ("ssr", "12\\n9–15")]))
    loss  mean
         steps
    ----------
    ssr     12
          9–15
    """
    split = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for row in split for line in row[column]) for column in range(len(rows[0]))]
    lines: list[str] = []
    for number, row in enumerate(split):
        height = max(map(len, row))
        for line in range(height):
            cells = [cell[line] if line < len(cell) else "" for cell in row]
            shown = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
            lines.append(" ".join(shown).rstrip())
        if number == 0:
            lines.append("-" * (sum(widths) + len(widths) - 1))
    return "\n".join(lines)
