"""What `run --dry-run` shows: one workload in full, several of them as a table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from ce_jax.comparing import expected_seconds, first_points, on_cpu, wave_memory
from ce_jax.sweeping import Plan, row_block
from ce_jax.training import segments

from ..config import Config, identity
from ..files import check_folder
from ..runtime import precision, prepare_jax
from .naming import run_names
from .planning import in_bytes, plan_for
from .provenance import run_name
from .shards import parse_shard
from .workload import Workload, data_lines, findings, load_workload


class Planned(NamedTuple):
    """What a workload would take."""

    workload: Workload
    folder: str
    plan: Plan
    classifiers: int
    programs: int
    memory: int
    seconds: float


HEADINGS = ("workload", "train", "validation", "test", "classes", "classifiers", "programs", "MiB a wave", "time")


def dry_run_command(
    name: str, workloads: Sequence[Config], out: Path, console: Console, shard: str | None, memory: float | None
) -> int:
    """`run --dry-run` in one process; arguments as those of `run_command`."""
    if shard is not None:
        parse_shard(shard)
    check_folder(out)
    prepare_jax()
    return dry_run_of(name, workloads, console, memory)


def dry_run_of(name: str, workloads: Sequence[Config], console: Console, memory: float | None) -> int:
    """Show what would be run; nothing is computed or written."""
    planned: list[Planned] = []
    for run, config in zip(run_names(name, workloads), workloads, strict=True):
        before = planned[-1].workload if planned else None
        planned.append(_planned(run, config, in_bytes(memory), before))
    if len(planned) > 1:
        lines = _table(planned)
    else:
        console.print_json(json.dumps(identity(planned[0].workload.config)))
        lines = _lines(planned[0])
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _planned(run: str, config: Config, budget: int | None, before: Workload | None) -> Planned:
    with precision(config.train.dtype):
        workload = load_workload(run, config, before)
        task = workload.task
        plan = plan_for(task, budget)
        classifiers = len(task.arms) * len(first_points(config.sweep)) * len(task.seeds)
        return Planned(
            workload=workload,
            folder=run_name(workload),
            plan=plan,
            classifiers=classifiers,
            programs=len({arm.program for arm in task.arms}),
            memory=wave_memory(task, plan),
            seconds=expected_seconds(task, classifiers),
        )


def _lines(planned: Planned) -> list[str]:
    """One workload."""
    task, plan, sweep = planned.workload.task, planned.plan, planned.workload.config.sweep
    points, kind = len(first_points(sweep)), "points" if sweep.options else "rates"
    tuned = ", ".join(["learning rate", *sweep.options])
    shown: dict[str, Any] = {
        "run folder": planned.folder,
        "classifiers": f"{planned.classifiers:,}{_more(sweep)}",
        "points": (sweep.options or sweep.search == "random") and f"{points} for each loss: {tuned}",
        "compiled programs": planned.programs,
        "waves": f"{plan.seeds_per_wave} seeds x {plan.rates_per_wave} {kind} on {plan.devices} device(s)",
        "rows": on_cpu() and (rows := row_block(task.batch)) and f"{rows} of a batch at a time",
        "segments": f"{len(segments(task.evaluate_at, plan.segment_steps))} a wave, a checkpoint after each",
        "estimated memory": f"{planned.memory / 2**20:,.1f} MiB a wave",
        "expected time": f"{_about(planned.seconds)} of training, roughly; compiling comes on top",
    }
    return [
        *data_lines(planned.workload, findings(planned.workload)),
        *(f"{key:18} {value}" for key, value in shown.items() if value),
    ]


def _table(every: Sequence[Planned]) -> list[str]:
    """Several workloads: a row each and the total, their data once each, and their folders."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for one in every:
        parts = one.workload.task.example
        rows.append(
            (
                one.workload.name,
                *(f"{len(part.labels):,}" for part in parts),
                f"{one.workload.task.num_classes:,}",
                f"{one.classifiers:,}",
                str(one.programs),
                f"{one.memory / 2**20:,.1f}",
                _about(one.seconds),
            )
        )
    most, seconds = max(one.memory for one in every), sum(one.seconds for one in every)
    of_all = (sum(one.classifiers for one in every), sum(one.programs for one in every))
    rows.append(("total", *[""] * 4, *(f"{n:,}" for n in of_all), f"{most / 2**20:,.1f}", _about(seconds)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    data = dict.fromkeys(
        tuple(data_lines(one.workload, findings(one.workload))) for one in every
    )  # workloads may share theirs
    more = {f"classifiers:{text}" for one in every if (text := _more(one.workload.config.sweep))}
    folders = [f"run folder         {one.folder}" for one in every]
    return [*(line for told in data for line in (*told, "")), *lines, "", *more, *folders]


def _more(sweep: Any) -> str:
    return " (more if the grid of rates has to be widened)" if sweep.search == "grid" else ""


def _about(seconds: float) -> str:
    """A length of time in as few digits as a rough figure has.

    >>> _about(0.2), _about(8), _about(80), _about(4000), _about(90000)
    ('1 s', '8 s', '80 s', '67 min', '25 h')
    """
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if seconds >= 2 * size), (1, "s"))
    return f"{max(1, round(seconds / size)):,} {unit}"
