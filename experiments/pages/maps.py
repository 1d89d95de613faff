"""The learning-rate map: accuracy over rate and step, a panel per loss."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from ce_jax.comparing import display_name

from . import canvas
from .canvas import SETTINGS, Array, styles

COLOURS = "cividis"  # told apart by all, and in grey


def rate_map(
    steps: Array, learning_rates: Mapping[str, Array], accuracy: Mapping[str, Array], best: Mapping[str, float]
) -> Figure:
    """A square for each rate and evaluated step, its colour the median accuracy; an arrow marks the rate chosen.

    Args:
      steps: [E] the evaluated steps.
      learning_rates: {loss: [R]}.
      accuracy: {loss: [R, S, E]}; NaN where a classifier had diverged, which counts as 0.
      best: {loss: the rate chosen}.
    """
    looks = styles(learning_rates)
    columns = min(3, len(looks))
    figure, grid = canvas.panels(len(looks), width=9.0, height=3.4, columns=columns, sharey=True)
    for axes, (loss, look) in zip(grid, looks.items(), strict=True):
        middle = np.median(np.nan_to_num(accuracy[loss], nan=0.0), axis=1)
        across, up = np.meshgrid(steps, learning_rates[loss])
        look_of_all: dict[str, Any] = {
            "cmap": COLOURS,
            "vmin": 0,
            "vmax": 1,
            "marker": "s",
            "s": 26,
            "lw": 0,
            "clip_on": False,
        }
        points = axes.scatter(across, up, c=middle, rasterized=True, gid=f"map:{loss}", **look_of_all)
        beside = axes.get_yaxis_transform()
        axes.plot(1.03, best[loss], "<", color=look.color, ms=7, transform=beside, clip_on=False)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False)
        canvas.step_axis(axes, "x", steps)
        axes.set_xlabel("step")
        canvas.title(axes, display_name(loss), columns)
    grid[0].set_ylabel("learning rate")
    with matplotlib.rc_context(SETTINGS):
        figure.colorbar(points, ax=grid, format=PercentFormatter(1.0, decimals=0, symbol=" %"), pad=0.01)
    return figure
