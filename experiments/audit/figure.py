"""The figure: the error of a loss and of its gradient against the margin, beside what else one could use."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ce_jax.comparing import display_name

from ..pages import canvas

LOOKS: dict[str, dict[str, Any]] = {
    "optax": {"color": "#009E73", "ls": (0, (1, 1.2)), "lw": 2.2, "label": "optax"},
    "textbook": {"color": "#D55E00", "ls": "--", "lw": 1.8, "label": "softmax, then the textbook formula"},
    "ce_jax": {
        "color": "#0072B2",
        "ls": "-",
        "lw": 2.2,
        "label": "ce_jax (float32: autodiff and by hand, the worse; half: autodiff)",
    },
    "ce_jax by hand": {
        "color": "#CC79A7",
        "ls": "-.",
        "lw": 2.0,
        "label": "ce_jax (half: by hand, which returns float32)",
    },
}
SMALLEST = 1e-9


def margin_figure(curves: Mapping[str, Mapping[str, Any]], half: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Relative error against margin, logarithmic: a row of panels per loss, value and gradient side by side.

    `half` has cross-entropy's errors by a dtype of half precision; the last row shows its gradient in each.
    """
    figure, grid = canvas.panels(2 * len(curves) + len(half), height=2.9, sharey=True)
    lines: dict[str, Line2D] = {}
    for row, (name, errors) in enumerate(curves.items()):
        for axes, quantity in zip(grid[2 * row : 2 * row + 2], ("value", "gradient"), strict=True):
            for implementation, look in LOOKS.items():
                if implementation in errors[quantity]:
                    envelope = _envelope(errors[quantity][implementation])
                    (lines[implementation],) = axes.plot(errors["margin"], envelope, **look)
            canvas.title(axes, f"{display_name(name)}: {quantity}")
            _margin_axes(axes, errors["margin"], np.isnan(errors[quantity]["ce_jax"]))
        grid[2 * row].set_ylabel("relative error, float32")
    for axes, (dtype, errors) in zip(grid[2 * len(curves) :], half.items(), strict=True):
        for implementation, look in LOOKS.items():
            if implementation in errors["gradient"]:
                envelope = _envelope(errors["gradient"][implementation], reach=2)
                (lines[implementation],) = axes.plot(errors["margin"], envelope, **look)
        canvas.title(axes, f"cross-entropy: gradient, {dtype} logits")
        below = "6e-5" if dtype == "float16" else "1e-37"
        _margin_axes(axes, errors["margin"], np.isnan(errors["gradient"]["ce_jax"]), below)
    if half:
        grid[2 * len(curves)].set_ylabel("relative error")
    for axes in grid[-2:]:
        axes.set_xlabel("wrong  ←  lead of the label over the largest other logit  →  right", fontsize=9)
    grid[0].text(-78, 1.25, "100 %: no better than 0", fontsize=8, color="0.35", va="bottom")
    figure.legend(
        handles=[lines[key] for key in reversed(LOOKS) if key in lines],
        loc="outside upper left",
        ncols=2,
        frameon=False,
    )
    figure.set_figheight(figure.get_figheight() + 0.5)
    return figure


def _margin_axes(axes: Axes, margin: NDArray[np.float64], unknown: NDArray[np.bool_], smallest: str = "1e-37") -> None:
    axes.set_yscale("log")
    axes.set_ylim(SMALLEST / 2, 20)
    axes.set_yticks([1e-9, 1e-7, 1e-5, 1e-3, 1e-1], ["≤ 1e-9", "1e-7", "1e-5", "0.001", "0.1"])
    axes.set_xlim(margin[0], margin[-1])
    axes.axhline(1, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
    if unknown.any():
        first = margin[unknown].min()
        axes.axvspan(first, margin[-1], color="0.93", lw=0, zorder=0)
        middle = (first + margin[-1]) / 2
        axes.text(middle, 1e-6, f"true value\nbelow {smallest}", ha="center", fontsize=8, color="0.35")


def _envelope(errors: NDArray[np.float64], reach: int = 8) -> NDArray[np.float64]:
    """The largest error among near margins, and no less than `SMALLEST`: an exact result has no logarithm."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(errors, reach, mode="edge"), 2 * reach + 1)
    largest = np.max(np.nan_to_num(windows, nan=0.0), axis=1)
    return np.where(np.isnan(errors), np.nan, np.maximum(largest, SMALLEST))
