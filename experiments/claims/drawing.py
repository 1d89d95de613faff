"""What the claims' figures share: curves with intervals, legends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

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
