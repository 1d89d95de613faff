"""The tables that the command prints: the errors of a loss, and the bounds."""

import math
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ce_jax.auditing import REGIMES, ROUTES, BoundCheck, Record

UNITS = {"ulp": "ulp", "relative": "of the row's largest", "row_sum": "ulp of the row's largest"}


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


def bounds_table(checks: Sequence[BoundCheck]) -> Table:
    """One row per bound: its worst case over losses."""
    table = Table(title="declared bounds", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in ("bound", "dtype", "unit", "limit", "worst", "at", ""):
        table.add_column(name, justify="right" if name in ("limit", "worst") else "left")
    for bound in dict.fromkeys(check.bound for check in checks):
        check = max((c for c in checks if c.bound == bound), key=lambda c: c.worst / c.limit)
        r = check.record
        place = f"{r.loss}, {r.route}, {r.regime}, K = {r.num_classes}"
        unit = UNITS[bound.measure]
        state = Text("kept") if check.kept else Text("BROKEN", style="bold red")
        table.add_row(bound.title, r.dtype, unit, _short(check.limit), _short(check.worst), place, state)
    return table
