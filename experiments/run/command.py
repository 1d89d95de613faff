"""What `run` and `report` do: read the input, call the modules below, show the result."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ce_jax.comparing import AnalysisOptions, headline, text_table

from ..config import Config, build, flatten
from ..errors import UserError
from ..files import check_folder, read_json
from ..names import program
from ..pages.finished import FinishedRun, read_run, stored_in
from ..pages.index import INDEX, write_index
from ..pages.report import build_report
from ..progress import shown_on
from ..runtime import precision, prepare_jax
from .distributed import connect, leads
from .drawing import pages_beside
from .dry import dry_run_of
from .execute import run_workload
from .joining import JOINED, join, report_joined, show
from .naming import run_names
from .planning import in_bytes
from .provenance import made_by_other_code, run_name
from .runs_table import run_table, write_table
from .shards import parse_shard, scheduled_shard
from .workload import load_workload


def run_command(
    name: str,
    workloads: Sequence[Config],
    out: Path,
    dry_run: bool,
    fresh: bool,
    command: Sequence[str],
    console: Console,
    shard: str | None = None,
    distributed: str | None = None,
    memory: float | None = None,
) -> int:
    """`run`: every workload of a config, then the table and where the pages are."""
    if shard is None and distributed is not None:
        shard = "1/1"  # a pod's index is then that of a process, which JAX reads
    share = parse_shard(shard) if shard is not None else scheduled_shard(os.environ)
    if share and distributed is not None:
        raise UserError("--distributed: cannot be combined with --shard; both say which part of the work is whose")
    if share and fresh:
        raise UserError("--fresh: shards add to what is there; delete the run's folder before the first one instead")
    check_folder(out)
    prepare_jax()
    if distributed is not None:
        connect(distributed)
        console = console if leads() else Console(quiet=True)
    if dry_run:
        return dry_run_of(name, workloads, console, memory)
    budget, folders, waiting = in_bytes(memory), [], False
    with pages_beside(len(workloads)) as build:
        for number, (run, one) in enumerate(zip(run_names(name, workloads), workloads, strict=True), 1):
            of = f" (workload {number} of {len(workloads)})" if len(workloads) > 1 else ""
            start = "" if ":" in one.model else f", start {one.start}"
            console.print(Text.assemble((run, "bold"), f": {one.dataset}, {one.model}, {one.optimizer}{start}{of}"))
            with shown_on(console) as told:
                outcome = run_workload(run, one, out, command, told, fresh, shard=share, budget=budget, build=build)
            if outcome.waiting:
                waiting = True
                console.print(f"shard {share} is done; {outcome.waiting}", markup=False, soft_wrap=True)
            elif outcome.existed:
                console.print(f"{_stored_words(outcome.folder)}: {outcome.folder}", markup=False, soft_wrap=True)
            folders.append(outcome.folder)
        if waiting or not leads():
            return 0
        show([read_run(folder).summary for folder in folders], console)
        page = folders[0] / "report.html" if len(folders) == 1 else join(name, workloads, folders, out)
    console.print(f"report: {page}", markup=False, soft_wrap=True)
    if (out / INDEX).exists():
        write_index(out)
    return 0


def _stored_words(folder: Path) -> str:
    """What to say of a run that was there already."""
    other = made_by_other_code(read_run(folder).provenance)
    if other:
        return f"{other}; shown as stored, --fresh computes it again"
    return "finished before; shown as stored (compute it again with --fresh)"


def report_command(run_dir: Path, console: Console) -> int:
    """`report`: figures and pages again, from what is stored; an unfinished run is put together if all parts are there.

    Raises:
      UserError: this is no run folder, or parts of the run are missing.
    """
    if (run_dir / JOINED).exists():
        return report_joined(run_dir, console)
    run_dir = run_dir if run_dir.name else run_dir.resolve()
    if not run_dir.name:
        raise UserError(f"{run_dir}: expected the folder of a finished run")
    partial = run_dir.with_name(run_dir.name.removesuffix(".partial") + ".partial")
    if (partial / "config.json").exists() and not (run_dir / "summary.json").exists():
        run_dir = _put_together(partial, console)
        page, summary = run_dir / "report.html", read_run(run_dir).summary
    else:
        run = read_run(run_dir)
        summary = run.summary
        with stored_in(run_dir):
            _mend_table(run, run_dir, console)
            page = build_report(run_dir)
    with stored_in(run_dir):
        console.print(headline(summary), markup=False)
        console.print(f"\n{text_table([summary])}\n", markup=False, soft_wrap=True)
    console.print(f"report: {page}", markup=False, soft_wrap=True)
    return 0


def _mend_table(run: FinishedRun, run_dir: Path, console: Console) -> None:
    """Write runs.parquet again, and say so, where it does not hold what the curves say."""
    analysis = build(AnalysisOptions, run.config["analysis"], str(run_dir / "config.json"))
    table = run_table(flatten(run.config), run.curves, run.config["sweep"]["tuning_seeds"], analysis)
    if write_table(run_dir, table):
        said = "runs.parquet: missing, damaged or of another version; written again from curves.npz"
        console.print(said, markup=False, soft_wrap=True)


def _put_together(partial: Path, console: Console) -> Path:
    """Finish a run from the parts that its shards have stored; return its folder."""
    final = partial.with_name(partial.name.removesuffix(".partial"))
    try:
        stored = read_json(partial / "config.json")
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise UserError(f"{partial}: unfinished, and its config.json is damaged; start the run or its shards again")
    config = build(Config, stored, str(partial))
    name = final.name.rpartition("-")[0]
    prepare_jax()
    with precision(config.train.dtype):
        if run_name(load_workload(name, config)) != final.name:
            raise UserError(f"{partial}: unfinished, and its data or losses are no longer those it began with")
    with shown_on(console) as listener:
        command = [*program(), "report", str(partial)]
        outcome = run_workload(name, config, final.parent, command, listener, compute=False)
    if outcome.waiting:
        raise UserError(f"{partial}: unfinished: {outcome.waiting}; start the run or its shards again")
    return outcome.folder
