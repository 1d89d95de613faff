"""What the claims' figures share: curves with intervals, legends."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..pages.canvas import Style
from .record import Measurement


def with_intervals(
    axes: Axes, x: Sequence[float], measured: Sequence[Measurement], look: Style, label: str, *, joined: bool = True
) -> None:
    """Markers with their intervals, joined by the line of their loss."""
    values = np.array([one.value for one in measured])
    ends = np.array([(one.value - one.low, one.high - one.value) for one in measured]).T.clip(min=0)
    axes.errorbar(
        x,
        values,
        yerr=np.nan_to_num(ends, posinf=0.0),
        color=look.color,
        linestyle=look.linestyle if joined else "none",
        marker=look.marker,
        capsize=2.5,
        label=label,
    )


def legend(axes: Axes, **options: Any) -> None:
    """A legend without a frame."""
    axes.legend(frameon=False, fontsize=8.5, **options)


def legend_below(axes: Axes) -> None:
    """A legend under a panel and its axis, where it touches no curve."""
    legend(axes, loc="upper left", bbox_to_anchor=(-0.02, -0.2), ncols=2)


def headed(figure: Figure, statement: str, verdict: str) -> Figure:
    """The same figure under what is claimed and what became of it.

    >>> headed(Figure(layout="constrained"), "One is more than two.", "refuted").get_suptitle()
    'One is more than two. Refuted.'
    """
    words = textwrap.fill(f"{statement} {verdict.capitalize()}.".replace("$", r"\$"), 92)
    figure.suptitle(words, x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.set_figheight(figure.get_figheight() + 0.22 * (words.count("\n") + 1))  # the panels keep their height
    return figure
