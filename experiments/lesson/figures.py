"""The figures of sections 1 to 4: parts of the record in, matplotlib figures out."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from ..pages import canvas
from .contrast import Contrast
from .derivatives import BiasStep
from .example import Formula, WorkedExample
from .network import Network
from .sentences import number

INK, SOFT = "0.15", "0.45"
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
MOST_LABELS = 9  # weights written on the lines between two layers; more would cover one another


def plain_log(axes: Axes) -> None:
    """A logarithmic vertical axis with a label per decade at most, written as plain numbers, and no minor ticks."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(plain))


def plain(value: float, _: int | None = None) -> str:
    """A tick label without powers of ten."""
    return f"{value:,.10f}".rstrip("0").rstrip(".")


def class_colour(index: int) -> str:
    """The colour of a class: any but the first two, which mean cross-entropy and SSR."""
    free = canvas.COLOURS[2:]
    return free[index % len(free)]


def diagram(network: Network) -> Figure:
    """The network: a circle per unit with its bias, a line per weight."""
    widths = [len(network.unit_names(layer)) for layer in range(len(network.layers) + 1)]
    figure, (axes,) = canvas.panels(1, width=9.0, height=0.62 * max(widths) + 1.2, columns=1)
    axes.set_axis_off()
    axes.grid(False)
    places = [np.linspace(0.5, -0.5, width) * (width - 1) for width in widths]
    for layer, table in enumerate(network.layers):
        weights = np.array(table.weights)
        for (unit, source), weight in np.ndenumerate(weights):
            start, end = places[layer][source], places[layer + 1][unit]
            colour = canvas.COLOURS[0] if weight >= 0 else canvas.COLOURS[1]
            width = 0.6 + 2.4 * abs(weight) / np.abs(weights).max(initial=1e-9)
            axes.plot([layer, layer + 1], [start, end], color=colour, lw=width, alpha=0.55, zorder=1)
            if weights.size <= MOST_LABELS:
                # Labels of the lines that leave one unit are staggered, so that lines which cross keep theirs apart.
                along = 0.27 + 0.16 * (source % 3)
                height = start + along * (end - start)
                axes.text(layer + along, height, f"{weight:g}", fontsize=9, ha="center", va="center", bbox=HALO)
    for layer, heights in enumerate(places):
        names = [literal(name) for name in network.unit_names(layer)]
        for unit, height in enumerate(heights):
            axes.plot(layer, height, "o", ms=24, mfc="white", mec=INK, mew=1.2, zorder=2)
            if layer:
                bias = network.layers[layer - 1].biases[unit]
                axes.text(layer, height, f"{bias:+g}", fontsize=8.5, ha="center", va="center", zorder=3)
            last = layer == len(network.layers)
            if layer == 0:
                _beside(axes, names[unit], (layer, height), -1)
            elif last:
                _beside(axes, names[unit], (layer, height), 1)
            else:
                axes.text(layer, height + 0.3, names[unit], ha="center", fontsize=9, color=SOFT, bbox=HALO)
    axes.set_xlim(-0.45, len(network.layers) + 0.5)
    axes.set_ylim(min(map(np.min, places)) - 0.5, max(map(np.max, places)) + 0.6)
    return figure


def _beside(axes: Axes, name: str, place: tuple[float, float], side: int) -> None:
    """A unit's name right beside its circle, however wide the figure is."""
    alignment = "left" if side > 0 else "right"
    axes.annotate(name, place, xytext=(16 * side, 0), textcoords="offset points", ha=alignment, va="center")


def probabilities(network: Network, example: WorkedExample) -> Figure:
    """The softmax of every row, the true class outlined."""
    figure, (axes,) = canvas.panels(1, width=9.0, height=3.2, columns=1)
    count = len(network.class_names)
    width = 0.8 / count
    for row, (probability, label) in enumerate(zip(example.probabilities, network.labels, strict=True)):
        for index, p in enumerate(probability):
            x = row + (index - (count - 1) / 2) * width
            true = index == label
            axes.bar(
                x,
                p,
                0.92 * width,
                color=class_colour(index),
                alpha=1.0 if true else 0.45,
                ec=INK,
                lw=2.0 if true else 0,
            )
            axes.text(
                x,
                p + 0.015,
                f"{p:.2f}",
                ha="center",
                fontsize=9 if count < 5 else 7,
                weight="bold" if true else "normal",
            )
    axes.set_xticks(
        range(len(network.rows)), [f"row {n}: {literal(row.label)}" for n, row in enumerate(network.rows, 1)]
    )
    if len(network.rows) > 4:
        axes.set_xticks(range(len(network.rows)), [str(n) for n in range(1, len(network.rows) + 1)])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("probability after the softmax")
    axes.grid(False, axis="x")
    handles: list = [
        Patch(color=class_colour(index), label=literal(name)) for index, name in enumerate(network.class_names)
    ]
    handles.append(Patch(fc="white", ec=INK, lw=2, label="the true class"))
    legend(figure, handles)
    return figure


def soft_labels(formula: Formula) -> Figure:
    """Cross-entropy against the predicted probability of the first of two classes, for several labels."""
    figure, (axes,) = canvas.panels(1, width=9.0, height=3.6, columns=1)
    for index, (target, curve) in enumerate(formula.curves.items()):
        colour, style = class_colour(index), canvas.LINE_STYLES[index]
        best = formula.best["cross_entropy"][target]
        axes.plot(formula.probability, curve, color=colour, ls=style, label=f"label says {target:.2g}")
        axes.axhline(formula.floors[target], color=colour, lw=0.9, ls=":")
        axes.plot(best, curve[np.argmin(curve)], "o", ms=8, mfc="white", mec=colour, mew=1.8, zorder=4)
    axes.set(xlim=(0, 1), ylim=(-0.08, 3.2), xlabel="predicted probability of the class", ylabel="cross-entropy")
    floor = Line2D([], [], color=SOFT, lw=0.9, ls=":", label="entropy of the label")
    least = Line2D([], [], color=SOFT, ls="", marker="o", ms=8, mfc="white", mew=1.8, label="least loss")
    legend(figure, [*axes.lines[::3], floor, least])
    return figure


def on_probabilities(contrast: Contrast, num_classes: int) -> Figure:
    """Loss and slope against the probability of the true class."""
    looks = canvas.styles(contrast.values)
    figure, (left, right) = canvas.panels(2, width=9.0, height=3.6, columns=2)
    p = contrast.probability
    for name, look in looks.items():
        every = (0.1, 0.3)
        left.plot(p, contrast.values[name], markevery=every, **look._asdict())
        right.plot(p, -contrast.slopes[name], markevery=every, **look._asdict())
    if num_classes > 2:
        ssr = looks["ssr"].color
        left.fill_between(p, contrast.values["ssr"], contrast.ssr_one_wrong, color=ssr, alpha=0.15, lw=0)
        left.annotate(
            "one wrong class\nhas all the rest",
            (0.1, contrast.ssr_one_wrong[np.searchsorted(p, 0.1)]),
            (0.32, 2.6),
            fontsize=8.5,
            color=ssr,
            arrowprops={"arrowstyle": "-", "color": ssr, "lw": 0.8},
        )
    left.set(xlim=(0, 1), ylim=(0, 5), xlabel="probability p of the true class")
    plain_log(right)
    right.set(xlim=(0, 1), ylim=(0.02, 1200), xlabel="probability p of the true class")
    canvas.title(left, "loss")
    canvas.title(right, "steepness: minus the slope in p")
    canvas.legend(figure, looks)
    return figure


def behind_softmax(contrast: Contrast) -> Figure:
    """Gradient norm with respect to the logits against the lead of the right or of a wrong class."""
    looks = canvas.styles(contrast.norms)
    figure, (axes,) = canvas.panels(1, width=9.0, height=4.0, columns=1)
    for place, (name, look) in enumerate(looks.items()):
        axes.plot(contrast.lead, contrast.norms[name], markevery=(10 + 5 * place, 22), **look._asdict())
    axes.axhline(np.sqrt(2), color=SOFT, lw=0.8, ls=":")
    axes.text(-9.9, np.sqrt(2) * 1.15, "√2", fontsize=9, color=SOFT)
    axes.axvline(0, color=SOFT, lw=0.8)
    edges = (contrast.lead[0], contrast.lead[-1])
    plain_log(axes)
    axes.set(xlim=edges, ylim=(1e-5, 6), ylabel="size of the gradient")
    axes.set_xlabel("lead: ← the right class · a wrong one →")
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    canvas.legend(figure, looks)
    return figure


def bias_curve(bias: BiasStep) -> Figure:
    """Total cross-entropy against one output bias, its tangent at the start, and the steps of gradient descent."""
    figure, (axes,) = canvas.panels(1, width=9.0, height=3.8, columns=1)
    axes.plot(bias.grid, bias.totals, color=canvas.COLOURS[0], label="total cross-entropy")
    reach = 0.6 * abs(bias.new - bias.old) + 0.25 * np.ptp(bias.path)
    ends = np.array([bias.old - reach, bias.old + reach])
    tangent = bias.total_before + bias.derivative * (ends - bias.old)
    axes.plot(ends, tangent, color=canvas.COLOURS[1], ls="--", label=f"slope at the start: {number(bias.derivative)}")
    axes.plot(bias.path, bias.path_totals, ls="", marker="o", ms=6, color=INK, label="steps of gradient descent")
    apart = abs(bias.new - bias.old) > 0.1 * np.ptp(bias.grid)  # or the second label would cover the first
    for index in (0, 1) if apart else (0,):
        text = "start" if index == 0 else "after one step"
        point = (bias.path[index], bias.path_totals[index])
        axes.annotate(
            f"{text}\nbias {number(point[0])}, total {point[1]:.4f}",
            point,
            xytext=(10, 12),
            textcoords="offset points",
            fontsize=9,
            bbox=HALO,
        )
    axes.set(xlabel=f"output bias of {literal(bias.class_name)}", ylabel="total cross-entropy", xlim=bias.grid[[0, -1]])
    low, high = np.min(bias.totals), max(float(np.max(bias.path_totals)), float(np.min(bias.totals)) + 1e-6)
    axes.set_ylim(low - 0.25 * (high - low), high + 0.75 * (high - low))
    legend(figure, axes.lines)
    return figure


def legend(figure: Figure, handles: Sequence) -> None:
    """A legend above the panels, in as many columns as fit."""
    columns = canvas.legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    with matplotlib.rc_context(canvas.SETTINGS):
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=2.6)


def literal(name: str) -> str:
    """A user's name with its dollar signs escaped: matplotlib would read mathematics between them."""
    return name.replace("$", r"\$")
