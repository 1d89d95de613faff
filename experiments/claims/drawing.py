"""What the claims' figures share: panels in the house style, curves with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import plots
from experiments.claims.record import Measurement
from experiments.plots import Style


def panels(count: int, *, height: float = 3.8, columns: int = 2, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in the style of all figures of this project."""
    return plots._figure(count, width=9.0, height=height, columns=columns, sharey=sharey)


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
