"""Side-by-side timings: `python -m experiments bench [SUITE ...]`, ratios and never bare times."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from experiments.bench.losses import loss_points
from experiments.bench.sweeps import sweep_points
from experiments.bench.timing import Point, have_torch, machine_limits
from experiments.commands import prepare_jax
from experiments.errors import UserError, nearest
from experiments.store import write_json

SUITES = ("loss", "sweep")


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
    console.print(_table(points))
    console.print(f"written: {out / 'bench.json'}", markup=False, soft_wrap=True)
    return 0


def _points(names: Sequence[str], runs: int, limits: dict[str, float]) -> Iterator[Point]:
    for name in names:
        yield from loss_points(runs) if name == "loss" else sweep_points(runs, limits)


def _line(point: Point) -> str:
    peers = ", ".join(f"{name} {'missing' if rate is None else f'{rate:,.4g}'}" for name, rate in point.peers.items())
    return f"{point.suite} {point.name}: ours {point.ours:,.4g} {point.unit}; {peers}"


def _table(points: Sequence[Point]) -> Table:
    table = Table(
        "point", "peer", "we are faster by", "of the limit", "compile s", title="ours against each peer, one run"
    )
    for point in points:
        for row, (name, value) in enumerate(point.peers.items()):
            faster = (
                None if value is None else (point.ours / value if point.unit.endswith("/s") else value / point.ours)
            )
            table.add_row(
                f"{point.suite} {point.name}" if row == 0 else "",
                name,
                "missing" if faster is None else f"{faster:.2f}",
                f"{point.fraction_of_limit:.2f}" if row == 0 and point.fraction_of_limit else "",
                f"{point.compile_seconds:.1f}" if row == 0 and point.compile_seconds else "",
            )
    return table
