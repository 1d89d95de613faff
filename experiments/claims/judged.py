"""What each claim's rule looks at, drawn against its threshold: from stored measurements, so for published ones too.

The rules themselves are `decide` of the claims; what is drawn here takes its thresholds from there. A measurement that
an earlier definition or a quick run did not make is left out.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ce_jax.comparing import display_name

from ..pages.canvas import SETTINGS
from . import (
    calibration,
    default_gap,
    dose_response,
    escape_time,
    gentle_vs_saturated,
    many_classes,
    nielsen_erratum,
    rate_unit,
    stuck_deep_sigmoid,
    tail_law,
    textbook_network,
)

Stored = Mapping[str, Mapping[str, Any]]
INF = math.inf


class Row(NamedTuple):
    """A judged number with its interval, which is the number itself where it has none."""

    label: str
    value: float
    low: float
    high: float


class Panel(NamedTuple):
    """Numbers on one axis, and the zone in which the rule wants them."""

    title: str
    rows: list[Row]
    zone: tuple[float, float]


def judged(name: str, stored: Stored) -> list[Panel]:
    """The panels of a claim from the measurements of its verdict.json; none where nothing of it was measured."""
    return [panel for panel in PANELS[name](stored) if panel.rows] if name in PANELS else []


def figure(panels: Sequence[Panel], wanted: str) -> Figure:
    """The panels one above the other; a zone is shaded, and a number inside of it with its whole interval is filled.

    Args:
      panels: at least one.
      wanted: what the zones stand for, in words.

    >>> len(figure([Panel("slope", [Row("a", 1.0, 0.9, 1.1)], (0.0, INF))], "confirmed").axes)
    1
    """
    sizes = [len(panel.rows) + 1.6 for panel in panels]
    with matplotlib.rc_context(SETTINGS):
        drawing = Figure(figsize=(9.0, 0.6 + 0.3 * sum(sizes)), layout="constrained")
        grid = drawing.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": sizes})[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        _panel(axes, panel)
    drawing.supxlabel(wanted, fontsize=9)
    return drawing


def _panel(axes: Axes, panel: Panel) -> None:
    low, high = panel.zone
    places = range(len(panel.rows))[::-1]
    for place, row in zip(places, panel.rows, strict=True):
        inside = low <= row.low and row.high <= high
        axes.plot([row.low, row.high], [place, place], color="0.25", lw=2, gid=f"row:{row.label}")
        axes.plot(row.value, place, "o", ms=6, color="0.25", mfc="0.25" if inside else "white", gid=f"row:{row.label}")
    ends = [end for end in panel.zone if math.isfinite(end)]
    numbers = [*ends, *(end for row in panel.rows for end in (row.value, row.low, row.high))]
    margin = 0.08 * (max(numbers) - min(numbers)) or 0.1
    left, right = min(numbers) - margin, max(numbers) + margin
    axes.axvspan(max(low, left), min(high, right), color="0.5", alpha=0.16, lw=0)
    for end in ends:
        axes.axvline(end, color="0.25", lw=1, ls="--")
    axes.set_xlim(left, right)
    axes.set_ylim(-0.6, len(panel.rows) - 0.4)
    axes.set_yticks(list(places), [row.label for row in panel.rows], fontsize=9)
    axes.set_title(panel.title, loc="left", fontsize=11)


def _rows(stored: Stored, keys: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of (label, key of a measurement), those that are there."""
    return [row for label, key in keys if (row := _row(stored, label, key))]


def _row(stored: Stored, label: str, key: str, shift: float = 0.0, unit: float = 1.0) -> Row | None:
    """A measurement as a row, less `shift` and in units of `unit`; an end that is infinite stands at the value."""
    if key not in stored or stored[key]["value"] is None:
        return None
    value, ci = stored[key]["value"], stored[key]["ci"] or (None, None)
    ends = sorted((value if end is None else end) / unit - shift for end in ci)
    return Row(label, value / unit - shift, *ends)


def _escape_time(stored: Stored) -> Iterable[Panel]:
    slack = escape_time.SLOPE_TOLERANCE
    keys = [(words, f"{model}ssr/log_slope") for model, words in escape_time.MODELS.items()]
    yield Panel(f"growth of ln steps of SSR per logit: 1 ± {slack:g}", _rows(stored, keys), (1 - slack, 1 + slack))


def _nielsen_erratum(stored: Stored) -> Iterable[Panel]:
    unit, slack = 2 * nielsen_erratum.DIGITS, 0.5
    rows = [_row(stored, key, f"{key}/end", end / unit, unit) for key, end in nielsen_erratum.PUBLISHED.items()]
    yield Panel(
        "end less the published end, in units of the last published digit: the same number",
        list(filter(None, rows)),
        (-slack, slack),
    )


def _textbook_network(stored: Stored) -> Iterable[Panel]:
    rows = []
    for epochs in textbook_network.EPOCHS:
        key = f"cross_entropy-ssr_on_logits/epochs={epochs}/test_accuracy"
        names = [f"other_starts/{key}/{part}_quartile" for part in ("lower", "upper")]
        if all(name in stored for name in (*names, f"published_start/{key}")):
            low, high = (stored[name]["value"] for name in names)
            value = high - low - abs(stored[f"published_start/{key}"]["value"])
            rows.append(Row(f"after {epochs} epochs", value, value, value))
    yield Panel("by how much starts spread wider than the published difference: once above 0", rows, (0.0, INF))


def _tail_law(stored: Stored) -> Iterable[Panel]:
    slack, rows = tail_law.TOLERANCE, []
    for loss, expected in tail_law.EXPECTED.items():
        for fraction in tail_law.FRACTIONS:
            label = f"{display_name(loss)}, {fraction:g} of 2/L"
            rows.append(_row(stored, label, f"{tail_law.place_of(fraction)}/{loss}/slope", expected))
    for fraction in tail_law.FRACTIONS:
        key = f"{tail_law.place_of(fraction)}/ssr_on_logits"
        predicted = stored.get(f"{key}/predicted_decay", {}).get("value")
        if predicted:
            label = f"{display_name('ssr_on_logits')}, {fraction:g} of 2/L"
            rows.append(_row(stored, label, f"{key}/decay", 1.0, predicted))
    yield Panel(f"off the law: within {slack:g}", list(filter(None, rows)), (-slack, slack))


def _rate_unit(stored: Stored) -> Iterable[Panel]:
    slopes, shares = (
        [(model, f"{model}/short/{key}") for model in rate_unit.MODELS] for key in ("slope", "slowness/unit")
    )
    yield Panel("slope of the log ratio of best rates on log K", _rows(stored, slopes), rate_unit.EXPECTED)
    yield Panel("share of SSR's log slowness that the rate K/2 removes", _rows(stored, shares), (rate_unit.MOST, INF))


def _landscape(stored: Stored) -> Iterable[Panel]:
    keys = [
        ("stronger gradients than SSR × K/2", "surface/gradient/cross_entropy>ssr*K/2/draws"),
        ("less flat area, each by its own steepest", "surface/own_steepest/cross_entropy<ssr/draws"),
    ]
    yield Panel("share of the draws in which cross-entropy has", _rows(stored, keys), (0.5, INF))


def _gentle_vs_saturated(stored: Stored) -> Iterable[Panel]:
    tie, gap = gentle_vs_saturated.TIE_INTERVAL, gentle_vs_saturated.GAP
    for start, zone, words in (("gentle", (-tie, tie), "a tie"), ("saturated", (gap, INF), "a stall")):
        keys = [
            (model.replace("-", " "), f"{model}/{start}/cross_entropy-ssr/test_accuracy")
            for model in gentle_vs_saturated.MODELS
        ]
        yield Panel(f"{start} start: lead of cross-entropy in test accuracy, {words}", _rows(stored, keys), zone)


def _dose_response(stored: Stored) -> Iterable[Panel]:
    keys = [
        (f"{dataset}, {family}, {start}", f"{dataset}/{start}/{family}/spearman")
        for (dataset, family), start in itertools.product(dose_response.cells(), dose_response.STARTS)
    ]
    yield Panel("rank correlation of parameter and mean steps: above 0", _rows(stored, keys), (0.0, INF))


def _many_classes(stored: Stored) -> Iterable[Panel]:
    slope = [(display_name(many_classes.PLAIN), f"{many_classes.PLAIN}/gap_slope")]
    yield Panel("growth of cross-entropy's lead per unit of ln K: above 0", _rows(stored, slope), (0.0, INF))
    shares = [(display_name(loss), f"K={many_classes.MOST}/{loss}/closed") for loss in many_classes.REPAIRS]
    words = f"share of the gap closed at K = {many_classes.MOST}: half or more, once"
    yield Panel(words, _rows(stored, shares), (many_classes.HALF, INF))


def _stuck_deep_sigmoid(stored: Stored) -> Iterable[Panel]:
    leads = [(words, f"{start}/cross_entropy-ssr/reached") for start, words in stuck_deep_sigmoid.STARTS.items()]
    yield Panel("lead of cross-entropy in the share of runs that arrive: above 0", _rows(stored, leads), (0.0, INF))
    harms = [(key.split("/")[0], key) for key in stored if key.endswith("/switch/harm")]
    words = "test error that switching to SSR adds: not above 0, and below the threshold"
    yield Panel(words, _rows(stored, harms), (-INF, stuck_deep_sigmoid.HARM))


def _calibration(stored: Stored) -> Iterable[Panel]:
    cells = list(itertools.product(calibration.DATASETS, calibration.NOISE))
    zones = {"before": (-INF, 0.0, "below 0 in most"), "after": (-calibration.NO_WORSE, INF, "not below in most")}
    for when, (low, high, words) in zones.items():
        keys = [
            (f"{dataset}, noise {noise:.0%}", f"{dataset}/noise={noise:g}/ssr-cross_entropy/ece/{when}")
            for dataset, noise in cells
        ]
        yield Panel(f"calibration error of SSR less cross-entropy's, {when}: {words}", _rows(stored, keys), (low, high))


def _default_gap(stored: Stored) -> Iterable[Panel]:
    model, within = default_gap.JUDGED, default_gap.WITHIN
    pairs = list(itertools.product(default_gap.OTHERS, default_gap.GRIDS))
    gaps = [
        (
            f"{display_name(loss)}, {default_gap.TITLES[optimizer]}, {dataset.replace('_', ' ')}",
            f"{dataset}/{model}/{optimizer}/cross_entropy-{loss}/test_accuracy",
        )
        for (loss, optimizer), dataset in itertools.product(pairs, default_gap.DATASETS)
    ]
    words = "lead of cross-entropy in test accuracy: equivalent in four of five, beyond in none"
    yield Panel(words, _rows(stored, gaps), (-within, within))
    for key, words in (
        ("profile_area", "lead in speed: area between performance profiles"),
        ("rate_band", "lead in the width of the band of good rates, in decades"),
    ):
        keys = [
            (
                f"{display_name(loss)}, {default_gap.TITLES[optimizer]}",
                f"{optimizer}/{model}/cross_entropy-{loss}/{key}",
            )
            for loss, optimizer in pairs
        ]
        yield Panel(f"{words}: above 0", _rows(stored, keys), (0.0, INF))


PANELS: dict[str, Callable[[Stored], Iterable[Panel]]] = {
    "escape-time": _escape_time,
    "nielsen-erratum": _nielsen_erratum,
    "textbook-network": _textbook_network,
    "tail-law": _tail_law,
    "rate-unit": _rate_unit,
    "landscape": _landscape,
    "gentle-vs-saturated": _gentle_vs_saturated,
    "dose-response": _dose_response,
    "many-classes": _many_classes,
    "stuck-deep-sigmoid": _stuck_deep_sigmoid,
    "calibration": _calibration,
    "default-gap": _default_gap,
}
