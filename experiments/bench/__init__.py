"""Side-by-side timings: `python -m experiments bench [SUITE ...]`, ratios and never bare times."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments.bench.losses import loss_points
from experiments.bench.scaling import BATCH, HIDDEN, STEPS, fit, measure, segment_overhead
from experiments.bench.sweeps import sweep_points
from experiments.bench.timing import Point, have_torch, machine_limits
from experiments.commands import prepare_jax
from experiments.errors import UserError, nearest
from experiments.store import write_json

SUITES = ("loss", "sweep", "scaling")
POD = {"lanes": 10_000_000, "steps": 1000, "devices": 4096}
"""What the cost model is asked to predict: ten million classifiers on as many cores as a pod may have."""


def bench_command(names: Sequence[str], out: Path, runs: int, console: Console) -> int:
    """`bench`: measure the suites named (all by default), print a line for each point, write `out/bench.json`."""
    for name in names:
        if name not in SUITES:
            raise UserError(f"bench: expected one of {', '.join(SUITES)}, came {name!r}{nearest(name, SUITES)}")
    if runs < 7:
        raise UserError(f"--runs: expected at least 7, came {runs}")
    if not have_torch():
        console.print("PyTorch is not installed: its columns are missing (pip install torch==2.13.0)")
    prepare_jax()
    limits = machine_limits(runs)
    console.print("this machine now: " + ", ".join(f"{key} {value:.1f}" for key, value in limits.items()))
    points = []
    for point in _points(names or SUITES, runs, limits):
        points.append(point)
        console.print(_line(point), markup=False, soft_wrap=True)
    out.mkdir(parents=True, exist_ok=True)
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "optax", "numpy", *(("torch",) if have_torch() else ()))
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
    write_json(
        out / "bench.json",
        {
            "schema": 1,
            "device": f"{device.platform}: {device.device_kind}",
            "versions": versions,
            "limits": limits,
            "points": [point._asdict() for point in points],
        },
    )
    if "scaling" in (names or SUITES):
        _scaling(runs, out, console)
    for suite in dict.fromkeys(point.suite for point in points):
        console.print(_table(suite, [point for point in points if point.suite == suite]))
    console.print(f"written: {out / 'bench.json'}", markup=False, soft_wrap=True)
    return 0


def _points(names: Sequence[str], runs: int, limits: dict[str, float]) -> Iterator[Point]:
    for name in names:
        if name != "scaling":
            yield from loss_points(runs) if name == "loss" else sweep_points(runs, limits)


def _scaling(runs: int, out: Path, console: Console) -> None:
    """Measure, print and store how sweeps scale, and say what the fitted cost model predicts for a pod."""
    table = Table(box=SIMPLE_HEAD, title=f"suite scaling: iris 4-{HIDDEN}-3, batches of {BATCH}, {STEPS} steps")
    for name in ("devices", "lanes", "a wave", "steps a second", "MiB a wave", "MiB, peak"):
        table.add_column(name, justify="right")
    points = []
    for point in measure(runs):
        points.append(point)
        wave, peak = point.wave_bytes / 2**20, point.peak_bytes / 2**20
        numbers = (
            point.devices,
            f"{point.lanes:,}",
            f"{point.wave:,}",
            f"{point.rate:,.0f}",
            f"{wave:.1f}",
            f"{peak:,.0f}",
        )
        table.add_row(*map(str, numbers))
    model, largest = fit(points), max(points, key=lambda point: point.lanes)
    console.print(table)
    console.print(
        f"cost model: {model.begin:.2g} s + {model.call:.2g} s a wave + {model.step:.2g} s a step; "
        f"within {100 * model.worst:.0f} % of all that was measured"
    )
    wave = largest.wave / largest.devices * POD["devices"]
    console.print(
        f"prediction, not a measurement: {POD['lanes']:,} classifiers of {POD['steps']:,} steps on {POD['devices']:,} "
        f"devices like these take {model.seconds(**POD, wave=wave):,.0f} s and compiling"
    )
    overhead = segment_overhead(runs, out)
    console.print(
        f"segments of about a second, a checkpoint after each: {100 * overhead:+.1f} % of the time of one call"
    )
    write_json(
        out / "scaling.json",
        {"points": [point._asdict() for point in points], "model": model._asdict(), "segment_overhead": overhead},
    )


def _line(point: Point) -> str:
    peers = ", ".join(f"{name} {'missing' if rate is None else f'{rate:,.4g}'}" for name, rate in point.peers.items())
    return f"{point.suite} {point.name}: ours {point.ours:,.4g} {point.unit}; {peers}"


def _table(suite: str, points: Sequence[Point]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=f"suite {suite}: how many times faster than each peer, in one run")
    table.add_column("point", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    for name in ("faster", "of limit", "compile"):
        table.add_column(name, justify="right")
    for point in points:
        for row, (name, value) in enumerate(point.peers.items()):
            faster = (
                None if value is None else (point.ours / value if point.unit.endswith("/s") else value / point.ours)
            )
            table.add_row(
                point.name if row == 0 else "",
                name,
                "missing" if faster is None else f"{faster:.2f}",
                f"{point.fraction_of_limit:.2f}" if row == 0 and point.fraction_of_limit else "",
                f"{point.compile_seconds:.1f} s" if row == 0 and point.compile_seconds else "",
                end_section=row == len(point.peers) - 1,
            )
    return table
