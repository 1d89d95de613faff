"""The figures of sections 5 and 6: parts of the record in, matplotlib figures out."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ce_jax.comparing import display_name

from ..pages import canvas, charts
from .escape import Case, Escape
from .figures import HALO, legend, plain, plain_log
from .surfaces import MARKED, Path, Surfaces
from .training import LOOP_RATE, LOSS_PAIR, TARGET, Workflow

NUMBER = (2.0, 0.5)
"""Width and height of what is free where a number of steps stands, in weights."""


def loops(workflow: Workflow) -> Figure:
    """Loss and accuracy of one run of the loop under each loss."""
    looks = canvas.styles(LOSS_PAIR)
    figure, grid = canvas.panels(2, width=9.0, height=3.3, columns=2)
    for loss, look in looks.items():
        for column, axes in enumerate(grid):
            axes.plot(workflow.loops[loss][:, column], markevery=(0.05, 0.2), **look._asdict())
    for axes, title in zip(grid, ("loss trained on (training flowers)", "accuracy (training flowers)"), strict=True):
        canvas.title(axes, title)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=0)
    grid[1].set_ylim(0, 1.03)
    canvas.legend(figure, looks)
    return figure


def sweeps(workflow: Workflow) -> Figure:
    """Validation accuracy of the fresh seeds, at one rate for both losses and at each loss's own."""
    best = " and ".join(f"{rate:.3g}" for rate in workflow.tuned.rates.values())
    panels = {
        f"both at learning rate {LOOP_RATE:g}": workflow.equal.accuracy,
        f"each at its own best rate ({best})": workflow.tuned.accuracy,
    }
    figure = charts.convergence(workflow.steps, panels, targets=[TARGET])
    figure.axes[0].set_ylabel("validation accuracy")
    return figure


def surface_pictures(surfaces: Surfaces, start: str) -> Figure:
    """Both loss surfaces with the descents on them; below, how steep each is."""
    looks = canvas.styles(surfaces.values)
    # matplotlib draws a scale of 50 colours or more as an image, and gives equal images the same id.
    grey, colours = (matplotlib.colormaps[name].resampled(48) for name in ("Greys", "viridis"))
    figure, grid = canvas.panels(4, width=9.0, height=4.0, columns=2)
    norm, edges = LogNorm(1e-4, 1, clip=True), (surfaces.axis[0], surfaces.axis[-1])
    picture: dict[str, Any] = {"extent": (*edges, *edges), "origin": "lower", "interpolation": "bilinear"}
    for column, (loss, values) in enumerate(surfaces.values.items()):
        top, bottom = grid[column], grid[2 + column]
        height = top.imshow(values, cmap=grey, alpha=0.75, **picture)
        top.contour(surfaces.axis, surfaces.axis, values, levels=12, colors="0.35", linewidths=0.5)
        bar = figure.colorbar(height, ax=top, shrink=0.85)
        bar.ax.tick_params(labelsize=8)
        paths = surfaces.paths[loss]
        marks = np.concatenate([path.weights[_marked(path)] for path in paths.values()])
        for name, path in paths.items():
            words = {"corner": "far corner", "start": f"start: {start}"}[name]
            _draw_path(top, path, looks[loss], words, marks)
        bottom.imshow(surfaces.norms[loss], cmap=colours, norm=norm, **picture)
        canvas.title(top, f"{display_name(loss)}: the loss")
        canvas.title(bottom, f"{display_name(loss)}: the steepness")
        for axes in (top, bottom):
            axes.grid(False)
            axes.set(xlabel="weight of the first layer, w", ylabel="weight of the last layer, v")
            axes.set(xlim=edges, ylim=edges)
    steepness = figure.colorbar(ScalarMappable(norm, colours), ax=grid[2:], shrink=0.85, format=plain)
    steepness.ax.tick_params(labelsize=8)
    steepness.ax.minorticks_off()
    return figure


def _marked(path: Path) -> list[int]:
    return [step for step in MARKED if step < len(path.weights)]


def _draw_path(axes: Axes, path: Path, look: canvas.Style, name: str, marks: canvas.Array) -> None:
    """Draw a path and its steps, the numbers on the side where no other mark stands."""
    halo = HALO | {"alpha": 0.6}
    w, v = path.weights.T
    axes.plot(w, v, color=look.color, lw=2)
    marked = _marked(path)
    axes.plot(w[marked], v[marked], ls="", marker=look.marker, ms=6, mfc="white", mec=look.color, mew=1.5, zorder=4)
    groups = [[marked[0]]]
    for step in marked[1:]:
        near = np.hypot(*(path.weights[step] - path.weights[groups[-1][0]])) < 0.5
        groups[-1].append(step) if near else groups.append([step])
    for group in groups:
        text = f"{group[0]:,} to {group[-1]:,}" if group[1:] else f"{group[0]:,}"
        place = path.weights[group[0]]
        right, up = (marks - place).T
        crowded = np.any((right > NUMBER[1]) & (right < NUMBER[0]) & (np.abs(up) < NUMBER[1]))
        offset, side = ((-6, -3), "right") if crowded else ((6, -3), "left")
        axes.annotate(text, place, xytext=offset, textcoords="offset points", fontsize=8, ha=side, bbox=halo)
    axes.annotate(name, (w[0], v[0]), xytext=(0, -15), textcoords="offset points", fontsize=8, ha="center", bbox=halo)


def slope_of_unit(escape: Escape) -> Figure:
    """The derivative that drives one sigmoid unit, against how wrong it is."""
    looks = canvas.styles(LOSS_PAIR)
    figure, (axes,) = canvas.panels(1, width=9.0, height=3.2, columns=1)
    for loss, look in looks.items():
        axes.plot(escape.fine, escape.slope_of_unit[loss], markevery=(5, 20), **look._asdict())
    plain_log(axes)
    axes.set(xlabel="score z of the unit (its right answer is 0)", ylabel="slope in z", xlim=escape.fine[[0, -1]])
    return _name_losses(figure, looks)


def escape_times(escape: Escape) -> Figure:
    """Steps to get out against how wrong the start is: lines the closed forms, markers the steps counted."""
    looks = canvas.styles(LOSS_PAIR)
    cases = (escape.unit, escape.tied, escape.one_wrong)
    figure, grid = canvas.panels(len(cases), width=9.0, height=3.6, columns=3, sharey=True)
    for axes, case in zip(grid, cases, strict=True):
        for loss, look in looks.items():
            if case.curves:
                axes.plot(escape.fine, case.curves[loss], color=look.color, ls=look.linestyle)
            axes.plot(escape.starts, case.counted[loss], color=look.color, ls="", marker=look.marker, ms=6.5)
        canvas.title(axes, _wrapped(case))
        plain_log(axes)
        axes.set(xlabel="lead of the wrong answer in score")
        axes.set_xticks(escape.starts[1::2])
    grid[0].set_ylabel("steps to get out")
    return _name_losses(figure, looks)


def _wrapped(case: Case) -> str:
    return case.title.replace(", ", ",\n")


def _name_losses(figure: Figure, looks: dict[str, canvas.Style]) -> Figure:
    names = {"cross_entropy": "cross-entropy", "ssr": "squared error"}
    legend(figure, [Line2D([], [], **look._asdict(), label=names[loss]) for loss, look in looks.items()])
    return figure
