"""What the command prints: a line for each point, a table for each suite."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .scaling import BATCH, HIDDEN, STEPS, ScalingPoint
from .timing import Point


def point_line(point: Point) -> str:
    """One point with every peer, in its unit, each with its noise: half of its `spread` to either side."""

    def said(name: str, value: float | None) -> str:
        if value is None:
            return f"{name} missing"
        return f"{name} {value:,.4g} ({_percent(point.spread[name])}, {point.page_faults[name]:,.0f} page faults)"

    everybody = "; ".join(said(name, value) for name, value in {"ours": point.ours, **point.peers}.items())
    return f"{point.suite} {point.name}, {point.unit}: {everybody}"


def _percent(spread: float | None) -> str:
    return "" if spread is None else f"±{50 * spread:.0f}%"


def points_table(suite: str, points: Sequence[Point]) -> Table:
    """How many times faster than each peer, and how far the peer's own turns lie apart: a row per point and peer."""
    title = f"suite {suite}: how many times faster than each peer, in one run"
    table = Table(box=SIMPLE_HEAD, title=title, padding=0, collapse_padding=True)
    table.add_column("point", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    for name in ("faster", "noise", "of limit", "compile"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        for row, (name, value) in enumerate(point.peers.items()):
            faster = (
                None if value is None else (point.ours / value if point.unit.endswith("/s") else value / point.ours)
            )
            table.add_row(
                point.name if row == 0 else "",
                name,
                "missing" if faster is None else f"{faster:.2f}",
                _percent(point.spread.get(name)),
                f"{point.fraction_of_limit:.2f}" if row == 0 and point.fraction_of_limit else "",
                f"{point.compile_seconds:.1f} s" if row == 0 and point.compile_seconds else "",
                end_section=row == len(point.peers) - 1,
            )
    return table


def scaling_table(points: Sequence[ScalingPoint]) -> Table:
    """Throughput, in steps and in whole classifiers a second, and memory: a row per number of devices and lanes."""
    table = Table(box=SIMPLE_HEAD, title=f"suite scaling: iris 4-{HIDDEN}-3, batches of {BATCH}, {STEPS} steps")
    for name in ("devices", "lanes", "a wave", "steps a second", "classifiers", "MiB a wave", "MiB, peak"):
        table.add_column(name, justify="right")
    for point in points:
        table.add_row(
            str(point.devices),
            f"{point.lanes:,}",
            f"{point.wave:,}",
            f"{point.rate:,.0f}",
            f"{point.classifiers:,.0f}",
            f"{point.wave_bytes / 2**20:.1f}",
            f"{point.peak_bytes / 2**20:,.0f}",
        )
    return table
