"""The command: measure the suites that are asked for, print and store what was measured."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from rich.console import Console

from ce_jax.auditing import have_torch

from ..errors import UserError, nearest
from ..files import make_folder, write_json
from ..runtime import prepare_jax
from . import tasks
from .losses import loss_points
from .scaling import fit, scaling_points, segment_overhead
from .sweeps import sweep_points
from .tables import point_line, points_table, scaling_table
from .timing import Point, machine_limits

SUITES = ("loss", "sweep", "scaling")
LEAST_RUNS = 7  # fewer rounds, and one disturbance moves the median
POD = {"lanes": 10_000_000, "steps": 1000, "devices": 4096}
"""What the cost model is asked to predict: ten million classifiers on as many cores as a pod may have."""


def bench_command(names: Sequence[str], out: Path, runs: int, console: Console) -> int:
    """`bench`: measure suites or sweep points (by default all), print a line for each, write `out/bench.json`."""
    known = (*SUITES, *tasks.SPECS)
    for name in names:
        if name not in known:
            raise UserError(f"bench: expected one of {', '.join(known)}, got {name!r}{nearest(name, known)}")
    if runs < LEAST_RUNS:
        raise UserError(f"--runs: expected at least {LEAST_RUNS}, got {runs}")
    if not have_torch():
        console.print("PyTorch is not installed: its columns are missing (pip install torch==2.13.0)")
    make_folder(out)
    prepare_jax()
    limits = machine_limits(runs)
    console.print("this machine now: " + ", ".join(f"{key} {value:.1f}" for key, value in limits.items()))
    suites = names or SUITES
    points = []
    for point in _points(suites, runs, limits):
        points.append(point)
        console.print(point_line(point), markup=False, soft_wrap=True)
    _store(out / "bench.json", points, limits)
    if "scaling" in suites:
        _scaling(runs, out, console)
    for suite in dict.fromkeys(point.suite for point in points):
        console.print(points_table(suite, [point for point in points if point.suite == suite]))
    console.print(f"written: {out / 'bench.json'}", markup=False, soft_wrap=True)
    return 0


def _points(suites: Sequence[str], runs: int, limits: dict[str, float]) -> Iterator[Point]:
    for suite in suites:
        if suite == "loss":
            yield from loss_points(runs)
        elif suite != "scaling":
            yield from sweep_points(runs, limits, () if suite == "sweep" else (suite,))


def _store(path: Path, points: Sequence[Point], limits: dict[str, float]) -> None:
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "optax", "numpy", *(("torch",) if have_torch() else ()))
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
    content = {
        "schema": 1,
        "device": f"{device.platform}: {device.device_kind}",
        "versions": versions,
        "limits": limits,
        "points": [point._asdict() for point in points],
    }
    write_json(path, content)


def _scaling(runs: int, out: Path, console: Console) -> None:
    """Measure, print and store how sweeps scale, and say what the fitted cost model predicts for a pod."""
    points = list(scaling_points(runs))
    model, largest = fit(points), max(points, key=lambda point: point.lanes)
    console.print(scaling_table(points))
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
