"""`audit`: measure every loss against its definition, print, store and draw the errors, check the declared bounds."""

import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ce_jax.audit import (
    FIRST_ORDER,
    PEERS,
    PROGRAMS,
    REGIMES,
    ROUTES,
    Program,
    Record,
    Verdict,
    audit,
    check_bounds,
    error_against_margin,
)
from ce_jax.losses import LOSSES, Loss
from experiments import plots
from experiments.commands import prepare_jax
from experiments.errors import UserError
from experiments.store import write_bytes, write_json
from experiments.workload import resolve_losses

# Options that a loss is audited at, beside its defaults; all can be traced, so each loss is compiled once.
OPTIONS: dict[str, tuple[Mapping[str, float], ...]] = {
    "lq_loss": ({"q": 0.0}, {"q": 0.5}, {"q": 1.0}),
    "power_loss": ({"beta": 0.0}, {"beta": 0.5}, {"beta": 1.0}),
}
Plan = Mapping[str, Sequence[Program]]  # by dtype
FULL: Plan = {
    "float32": PROGRAMS,
    "float64": (Program(10), Program(1000, FIRST_ORDER, 4, peers=False)),
    "bfloat16": (Program(10),),
    "float16": (Program(10, peers=False),),
}
SHORT: Plan = {
    "float32": (Program(10), Program(4, ROUTES[4:], 9), Program(1, FIRST_ORDER[:2], 5, peers=False)),
    "float64": (Program(10, FIRST_ORDER[:3], peers=False),),
    "bfloat16": (Program(10, FIRST_ORDER[:2], peers=False),),
}
QUICK: Plan = {"float32": (Program(10, FIRST_ORDER[:3]),)}
QUICK_FULL: Plan = {
    "float32": (Program(10), Program(1, FIRST_ORDER[:2], 5, peers=False)),
    "bfloat16": (Program(10, FIRST_ORDER[:2], peers=False),),
}
SUBJECTS = ("cross_entropy", "ssr")  # audited in full when no loss is named


def audit_command(losses: Sequence[str], out: Path, quick: bool, console: Console) -> int:
    """`audit`: print the worst errors of every loss, write audit.csv, audit.json and a figure into `out`.

    Returns:
      0, or 1 where a declared bound is broken.

    Raises:
      UserError: a name is neither in `LOSSES` nor module:function.
    """
    arms = resolve_losses(list(dict.fromkeys(losses)) or list(LOSSES))
    prepare_jax()
    torch = torch_peers()
    if not torch:
        console.print("PyTorch is not installed and left out (pip install torch)", markup=False)
    plans = (QUICK, QUICK_FULL) if quick else (SHORT, FULL)
    records = run_audit([(arm.loss, plans[bool(losses) or arm.loss.name in SUBJECTS]) for arm in arms], PEERS | torch)
    verdicts = check_bounds(records)
    # Tables that are squeezed into 80 columns where there is no terminal could not be read.
    wide = Console(file=console.file, width=max(console.width, 130), highlight=False)
    for label in dict.fromkeys(record.loss for record in records):
        for table in loss_tables(label, [record for record in records if record.loss == label]):
            wide.print(table)
    wide.print(bounds_table(verdicts))
    out.mkdir(parents=True, exist_ok=True)
    store(out, records, verdicts, quick)
    figure = margin_figure({name: error_against_margin(name) for name in ("cross_entropy", "ssr")})
    plots.save(figure, out, "error-against-margin")
    broken = [verdict for verdict in verdicts if not verdict.kept]
    for verdict in broken:
        console.print(f"BROKEN: {verdict.describe()}", markup=False, soft_wrap=True)
    console.print(f"{len(verdicts) - len(broken)} of {len(verdicts)} bounds kept; written: {out}", soft_wrap=True)
    return 1 if broken else 0


def run_audit(plans: Iterable[tuple[Loss, Plan]], peers: Mapping[str, Any]) -> list[Record]:
    """Audits of all losses in all dtypes; several at a time, because compiling takes most of the time."""
    tasks = [(loss, dtype, programs) for loss, plan in plans for dtype, programs in plan.items()]

    def run(task: tuple[Loss, str, Sequence[Program]]) -> list[Record]:
        loss, dtype, programs = task
        try:
            return audit(loss, dtype=dtype, options=OPTIONS.get(loss.name, ()), programs=programs, peers=peers)
        except Exception as error:
            if loss.name in LOSSES:
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(f"loss: {loss.name}: fails on {dtype} logits [N, K] and labels [N]: {reason}") from None

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return [record for records in pool.map(run, tasks) for record in records]


def loss_tables(label: str, records: Sequence[Record]) -> Iterable[Table]:
    """One table per dtype of the results: a row per quantity, implementation and route, a column per regime."""
    for dtypes in (("float32", "bfloat16", "float16"), ("float64",)):
        chosen = [record for record in records if record.dtype in dtypes]
        if not chosen:
            continue
        regimes = [regime for regime in REGIMES if any(record.regime == regime for record in chosen)]
        reference = "" if chosen[0].reference == "decimal" else f", against {chosen[0].reference}"
        table = Table(
            title=f"{label}, {dtypes[0]}: worst error in units of the last place, and relative to the row{reference}",
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
        )
        table.add_column("", no_wrap=True)
        for regime in regimes:
            table.add_column(regime.replace("confidently ", ""), justify="right", no_wrap=True)
        previous = None
        for quantity, implementation, route in _lines(chosen):
            cells = [
                _cell([r for r in chosen if (r.implementation, r.route, r.regime) == (implementation, route, x)])
                for x in regimes
            ]
            if not any(cells):
                continue
            if previous not in (None, quantity):
                table.add_section()
            previous = quantity
            ours = implementation == "ce_jax"
            table.add_row(route if ours else f"{implementation}: {quantity}", *cells, style=None if ours else "dim")
        yield table


def _lines(records: Sequence[Record]) -> Iterable[tuple[str, str, str]]:
    """(quantity, implementation, route) of every row, what can be compared next to each other."""
    implementations = list(dict.fromkeys(record.implementation for record in records))
    for quantity, routes in (("value", ROUTES[:1]), ("gradient", ROUTES[1:5]), ("Hessian", ROUTES[5:])):
        for implementation in implementations:
            for route in routes:
                yield quantity, implementation, route


def _cell(records: Sequence[Record]) -> str:
    if not records:
        return ""
    return f"{_short(max(r.ulp for r in records))} {_short(max(r.relative for r in records))}"


def _short(error: float) -> str:
    """Three significant places at most.

    >>> [_short(error) for error in (0.0, 3.14159, 12800000.0, 1.6e-7, math.inf)]
    ['0', '3.1', '1e7', '2e-7', 'inf']
    """
    if error == 0 or not math.isfinite(error):
        return f"{error:.0f}"
    if 0.01 <= error < 1000:
        return f"{error:.2g}" if error < 10 else f"{error:.0f}"
    mantissa, exponent = f"{error:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def bounds_table(verdicts: Sequence[Verdict]) -> Table:
    """One row per bound: its worst case over losses."""
    table = Table(title="declared bounds", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in ("bound", "dtype", "unit", "limit", "worst", "at", ""):
        table.add_column(name, justify="right" if name in ("limit", "worst") else "left")
    for bound in dict.fromkeys(verdict.bound for verdict in verdicts):
        verdict = max((v for v in verdicts if v.bound == bound), key=lambda v: v.worst / v.limit)
        r = verdict.record
        place = f"{r.loss}, {r.route}, {r.regime}, K = {r.num_classes}"
        measure = {"ulp": "ulp", "relative": "of the row's largest", "row_sum": "ulp of the row's largest"}[
            bound.measure
        ]
        state = "kept" if verdict.kept else "[bold red]BROKEN[/bold red]"
        table.add_row(bound.title, r.dtype, measure, _short(verdict.limit), _short(verdict.worst), place, state)
    return table


def store(out: Path, records: Sequence[Record], verdicts: Sequence[Verdict], quick: bool) -> None:
    """Write audit.csv, a row per record, and audit.json, which has the bounds too; null is infinite or undefined."""
    table = pl.DataFrame([record._asdict() for record in records])
    write_bytes(out / "audit.csv", table.write_csv().encode())
    content = {
        "schema": 1,
        "quick": quick,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "device": jax.devices()[0].device_kind,
        "records": [{key: _finite(x) for key, x in record._asdict().items()} for record in records],
        "bounds": [
            {
                "title": v.bound.title,
                "measure": v.bound.measure,
                "limit": v.limit,
                "worst": _finite(v.worst),
                "kept": v.kept,
                **{key: getattr(v.record, key) for key in ("loss", "dtype", "route", "regime", "num_classes")},
            }
            for v in verdicts
        ],
    }
    write_json(out / "audit.json", content)


def _finite(x: Any) -> Any:
    return None if isinstance(x, float) and not math.isfinite(x) else x


def torch_peers() -> dict[str, Callable[..., Any]]:
    """PyTorch's cross-entropy, and the squared errors one would compose from it; empty where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch
    from torch.nn import functional

    def squared(z: Any, y: Any) -> Any:
        onehot = functional.one_hot(y, z.shape[-1]).to(z.dtype)
        return functional.mse_loss(torch.softmax(z, -1), onehot, reduction="none").sum(-1)

    formulas = {"cross_entropy": lambda z, y: functional.cross_entropy(z, y, reduction="none"), "ssr": squared}

    def run(name: str, logits: Any, labels: Any, where: Any, options: Mapping[str, float]) -> dict[str, Any] | None:
        if name not in formulas or options:
            return None
        dtype = logits.dtype
        visible = logits if where is None else np.where(where, logits, -np.inf)
        z = torch.tensor(visible.astype(np.float64)).to(getattr(torch, dtype.name)).requires_grad_()
        value = formulas[name](z, torch.tensor(labels.astype(np.int64)))
        (slopes,) = torch.autograd.grad(value.sum(), z)
        return {
            "value": value.detach().double().numpy().astype(dtype),
            "gradient": slopes.double().numpy().astype(dtype),
        }

    return {"PyTorch": run}


LOOKS: dict[str, dict[str, Any]] = {
    "optax": {"color": "#009E73", "ls": (0, (1, 1.2)), "lw": 2.2, "label": "optax"},
    "textbook": {"color": "#D55E00", "ls": "--", "lw": 1.8, "label": "softmax, then the textbook formula"},
    "ce_jax": {"color": "#0072B2", "ls": "-", "lw": 2.2, "label": "ce_jax (autodiff and hand-written, the worse)"},
}
SMALLEST = 1e-9


def margin_figure(curves: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Relative error against margin, logarithmic: a row of panels per loss, value and gradient side by side."""
    figure, grid = plots._figure(2 * len(curves), width=9.0, height=2.9, columns=2, sharey=True)
    lines: dict[str, Line2D] = {}
    for row, (name, errors) in enumerate(curves.items()):
        for axes, quantity in zip(grid[2 * row : 2 * row + 2], ("value", "gradient"), strict=True):
            for implementation, look in LOOKS.items():
                if implementation in errors[quantity]:
                    envelope = _envelope(errors[quantity][implementation])
                    (lines[implementation],) = axes.plot(errors["margin"], envelope, **look)
            plots._title(axes, f"{plots.display_name(name)}: {quantity}")
            _margin_axes(axes, errors["margin"], np.isnan(errors[quantity]["ce_jax"]))
        grid[2 * row].set_ylabel("relative error, float32")
    for axes in grid[-2:]:
        axes.set_xlabel("wrong  ←  lead of the label over the largest other logit  →  right", fontsize=9)
    grid[0].text(-78, 1.25, "100 %: no better than 0", fontsize=8, color="0.35", va="bottom")
    figure.legend(
        handles=[lines[key] for key in reversed(LOOKS) if key in lines],
        loc="outside upper left",
        ncols=3,
        frameon=False,
    )
    figure.set_figheight(figure.get_figheight() + 0.25)
    return figure


def _margin_axes(axes: Axes, margin: NDArray[np.float64], unknown: NDArray[np.bool_]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(SMALLEST / 2, 20)
    axes.set_yticks([1e-9, 1e-7, 1e-5, 1e-3, 1e-1], ["≤ 1e-9", "1e-7", "1e-5", "0.001", "0.1"])
    axes.set_xlim(margin[0], margin[-1])
    axes.axhline(1, color="0.35", lw=0.8, ls=(0, (2, 2)), zorder=1)
    if unknown.any():
        first = margin[unknown].min()
        axes.axvspan(first, margin[-1], color="0.93", lw=0, zorder=0)
        middle = (first + margin[-1]) / 2
        axes.text(middle, 1e-6, "true value\nbelow 1e-37", ha="center", fontsize=8, color="0.35")


def _envelope(errors: NDArray[np.float64], reach: int = 8) -> NDArray[np.float64]:
    """The largest error among near margins, and no less than `SMALLEST`: an exact result has no logarithm."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(errors, reach, mode="edge"), 2 * reach + 1)
    largest = np.max(np.nan_to_num(windows, nan=0.0), axis=1)
    return np.where(np.isnan(errors), np.nan, np.maximum(largest, SMALLEST))
