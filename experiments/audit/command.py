"""The command: measure, print, store, draw, and tell by the exit code whether every declared bound holds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from rich.console import Console

from ce_jax.auditing import (
    PEERS,
    BoundCheck,
    Finding,
    Record,
    check_bounds,
    check_loss,
    error_against_margin,
    torch_peers,
)
from ce_jax.comparing import arms_of
from ce_jax.losses import LOSSES

from ..files import make_folder, write_bytes, write_json
from ..pages.drawing import saved
from ..run.workload import find_loss
from ..runtime import prepare_jax
from ..surroundings import plain_console
from . import measuring
from .figure import margin_figure
from .tables import bounds_table, loss_tables

SUBJECTS = ("cross_entropy", "ssr")  # audited in full when no loss is named
HALF = ("bfloat16", "float16")
MARKS = {"holds": "ok", "fails": "FAILS", "note": "note"}


def audit_command(losses: Sequence[str], out: Path, quick: bool, console: Console) -> int:
    """`audit`: print the worst errors of every loss, write audit.csv, audit.json and a figure into `out`;
    of a loss of the user's own first what any loss has to be.

    Returns:
      0, or 1 where a declared bound is broken or a check of a loss of the user's own fails.

    Raises:
      UserError: a name is neither in `LOSSES` nor module:function.
    """
    arms = arms_of(list(dict.fromkeys(losses)) or list(LOSSES), find_loss)
    make_folder(out)
    prepare_jax()
    own = {arm.label: check_loss(arm.loss) for arm in arms if arm.loss.name not in LOSSES}
    for label, findings in own.items():
        show_findings(label, findings, console)
    torch = torch_peers()
    if not torch:
        console.print("PyTorch is not installed and left out (pip install torch)", markup=False)
    short, full = (measuring.QUICK, measuring.QUICK_FULL) if quick else (measuring.SHORT, measuring.FULL)
    in_full = SUBJECTS if not losses else [arm.loss.name for arm in arms]
    subjects = [(arm.loss, full if arm.loss.name in in_full else short) for arm in arms]
    records = measuring.run_audit(subjects, PEERS | torch)
    checks = check_bounds(records)
    # Tables that are squeezed into 80 columns where there is no terminal could not be read.
    wide = plain_console(file=console.file, width=max(console.width, 130))
    for label in dict.fromkeys(record.loss for record in records):
        for table in loss_tables(label, [record for record in records if record.loss == label]):
            wide.print(table)
    wide.print(bounds_table(checks))
    store(out, records, checks, quick, own)
    _, note = saved(_figure, out, "error-against-margin")
    if note:
        console.print(f"{out}: error-against-margin: {note}", markup=False, soft_wrap=True)
    broken = [check for check in checks if not check.kept]
    for check in broken:
        console.print(f"BROKEN: {check.describe()}", markup=False, soft_wrap=True)
    console.print(
        f"{len(checks) - len(broken)} of {len(checks)} bounds kept; written: {out}", markup=False, soft_wrap=True
    )
    failed = [f"{label}: {one.what}" for label, findings in own.items() for one in findings if one.outcome == "fails"]
    for what in failed:
        console.print(f"FAILS: {what}", markup=False, soft_wrap=True)
    return 1 if broken or failed else 0


def _figure() -> Figure:
    half = {dtype: error_against_margin("cross_entropy", dtype=dtype, largest=20.0, points=161) for dtype in HALF}
    return margin_figure({name: error_against_margin(name) for name in SUBJECTS}, half)


def show_findings(label: str, findings: Sequence[Finding], console: Console) -> None:
    """What was found of a loss of the user's own, a line each."""
    console.print(f"{label}: {len(findings)} checks", style="bold", markup=False, soft_wrap=True)
    width = max(len(one.what) for one in findings)
    for one in findings:
        line = f"  {MARKS[one.outcome]:5}  {one.what:{width}}  {one.seen}".rstrip()
        console.print(line, style="red" if one.outcome == "fails" else None, markup=False, soft_wrap=True)
    console.print()


def store(
    out: Path,
    records: Sequence[Record],
    checks: Sequence[BoundCheck],
    quick: bool,
    own: Mapping[str, Sequence[Finding]] | None = None,
) -> None:
    """Write audit.csv, a row per record, and audit.json, which has the bounds too; null is infinite or undefined."""
    table = pl.DataFrame([record._asdict() for record in records])
    write_bytes(out / "audit.csv", table.write_csv().encode())
    content = {
        "schema": 1,
        "quick": quick,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "device": jax.devices()[0].device_kind,
        "own": {label: [one._asdict() for one in findings] for label, findings in (own or {}).items()},
        "records": [{key: _finite(x) for key, x in record._asdict().items()} for record in records],
        "bounds": [
            {
                "title": check.bound.title,
                "measure": check.bound.measure,
                "limit": check.limit,
                "worst": _finite(check.worst),
                "kept": check.kept,
                **{key: getattr(check.record, key) for key in ("loss", "dtype", "route", "regime", "num_classes")},
            }
            for check in checks
        ],
    }
    write_json(out / "audit.json", content)


def _finite(x: Any) -> Any:
    return None if isinstance(x, float) and not math.isfinite(x) else x
