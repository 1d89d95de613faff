"""What the commands do: read the input, call the modules below, show the result."""

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from ce_jax.losses import LOSSES
from ce_jax.sweep import row_block
from ce_jax.training import optimizer_names, segments
from experiments.config import Config, as_dict, build, load_config
from experiments.data import DATASETS
from experiments.distributed import connect, leads
from experiments.errors import UserError
from experiments.findings import headline, terminal_table
from experiments.planning import memory_of_wave, plan_for
from experiments.progress import shown_on
from experiments.provenance import run_name
from experiments.report import build_joined_report, build_report, read_run
from experiments.run import precision, run_workload
from experiments.shards import parse_shard, scheduled_shard
from experiments.store import write_json
from experiments.workload import load_workload, on_cpu

CONFIGS = Path(__file__).parent.parent / "configs"


def run_command(
    config: Path,
    overrides: Sequence[str],
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
    name, workloads = load_config(config, overrides)
    if shard is None and distributed is not None:
        shard = "1/1"  # a pod's index is then that of a process, which JAX reads
    share = parse_shard(shard) if shard is not None else scheduled_shard(os.environ)
    if share and distributed is not None:
        raise UserError("--distributed: cannot be combined with --shard; both say which part of the work is whose")
    if share and fresh:
        raise UserError("--fresh: shards add to what is there; delete the run's folder before the first one instead")
    prepare_jax()
    if distributed is not None:
        connect(distributed)
        console = console if leads() else Console(quiet=True)
    budget = None if memory is None else int(memory * 2**20)
    if dry_run:
        return _dry_run(name, workloads, console, budget)
    folders, waiting = [], False
    for number, one in enumerate(workloads, 1):
        of = f" (workload {number} of {len(workloads)})" if len(workloads) > 1 else ""
        console.print(f"[bold]{name}[/bold]: {one.dataset}, {one.model}, {one.optimizer}, start {one.start}{of}")
        with shown_on(console) as reporter:
            outcome = run_workload(name, one, out, command, reporter, fresh, shard=share, budget=budget)
        if outcome.waiting:
            waiting = True
            console.print(f"shard {share} is done; {outcome.waiting}", markup=False, soft_wrap=True)
        elif outcome.existed:
            console.print(f"finished before; shown as stored (compute it again with --fresh): {outcome.folder}")
        folders.append(outcome.folder)
    if waiting or not leads():
        return 0
    summaries = [read_run(folder).summary for folder in folders]
    for summary in summaries:
        console.print(headline(summary), markup=False)
    console.print(terminal_table(summaries))
    page = folders[0] / "report.html" if len(folders) == 1 else _join(name, workloads, folders, out)
    console.print(f"report: {page}", markup=False, soft_wrap=True)
    return 0


def _join(name: str, workloads: Sequence[Config], folders: Sequence[Path], out: Path) -> Path:
    """One page for all workloads of a config, in a folder named like a run's."""
    joined = out / f"{name}-{folders[0].name[-10:]}-joined"
    joined.mkdir(parents=True, exist_ok=True)
    write_json(joined / "config.json", [as_dict(one) for one in workloads])
    return build_joined_report(joined, list(folders), name)


def _dry_run(name: str, workloads: Sequence[Config], console: Console, budget: int | None) -> int:
    for config in workloads:
        with precision(config):
            workload = load_workload(name, config)
            plan = plan_for(workload, budget)
            sweep = config.sweep
            lanes = len(workload.arms) * sweep.learning_rates.count * len(workload.seeds)
            programs = len({arm.program for arm in workload.arms})
            cuts = len(segments(workload.evaluate_at, plan.segment_steps))
            wave = memory_of_wave(workload, plan)
        console.print_json(json.dumps(as_dict(config)))
        console.print(f"run folder         {run_name(workload)}", markup=False)
        console.print(f"classifiers        {lanes:,} (more if the grid of rates has to be widened)")
        console.print(f"compiled programs  {programs}")
        console.print(
            f"waves              {plan.seeds_per_wave} seeds x {plan.rates_per_wave} rates on {plan.devices} device(s)"
        )
        if on_cpu() and (rows := row_block(workload.batch)):
            console.print(f"rows               {rows} of a batch at a time")
        console.print(f"segments           {cuts} a wave, a checkpoint after each")
        console.print(f"estimated memory   {wave / 2**20:,.1f} MiB a wave")
    return 0


def report_command(run_dir: Path, console: Console) -> int:
    """`report`: figures and pages again, from what is stored; an unfinished run is put together if all parts are there.

    Raises:
      UserError: this is no run folder, or parts of the run are missing.
    """
    partial = run_dir.with_name(run_dir.name.removesuffix(".partial") + ".partial")
    if (partial / "config.json").exists() and not (run_dir / "summary.json").exists():
        run_dir = _put_together(partial, console)
        page = run_dir / "report.html"
    else:
        page = build_report(run_dir)
    summary = read_run(run_dir).summary
    console.print(headline(summary), markup=False)
    console.print(terminal_table([summary]))
    console.print(f"report: {page}", markup=False, soft_wrap=True)
    return 0


def _put_together(partial: Path, console: Console) -> Path:
    """Finish a run from the parts that its shards have stored; return its folder."""
    final = partial.with_name(partial.name.removesuffix(".partial"))
    config = build(Config, json.loads((partial / "config.json").read_text(encoding="utf-8")), str(partial))
    name = final.name.rpartition("-")[0]
    prepare_jax()
    with precision(config):
        if run_name(load_workload(name, config)) != final.name:
            raise UserError(f"{partial}: unfinished, and its data or losses are no longer those it began with")
    with shown_on(console) as reporter:
        command = ["python", "-m", "experiments", "report", str(partial)]
        outcome = run_workload(name, config, final.parent, command, reporter, train=False)
    if outcome.waiting:
        raise UserError(f"{partial}: unfinished: {outcome.waiting}; start the run or its shards again")
    return outcome.folder


def list_command(console: Console) -> int:
    """`list`: every name that a config or the command line may use."""
    from experiments.claims.registry import CLAIMS  # here, because claims are built on this module

    sections: dict[str, dict[str, str]] = {
        "datasets": {name: entry.description for name, entry in DATASETS.items()}
        | {
            "csv:PATH, parquet:PATH": "your table; data.label names the label column",
            "npz:PATH": "your arrays inputs and labels",
            "idx:DIR": "MNIST-format files",
        },
        "losses": {name: _first_line(loss.value.__doc__) for name, loss in LOSSES.items()}
        | {"module:function": "your own function of (logits [N, K], labels [N])"},
        "models": {"linear": "softmax regression", "mlp": "multilayer perceptron, see [mlp]"},
        "optimizers": dict.fromkeys(optimizer_names(), ""),
        "configs": {
            str(path.relative_to(CONFIGS.parent)): _first_comment(path) for path in sorted(CONFIGS.glob("*.toml"))
        },
        "claims": {name: claim.statement for name, claim in CLAIMS.items()},
    }
    for title, rows in sections.items():
        if not any(rows.values()):
            console.print(f"[bold]{title}[/bold]\n  {', '.join(rows)}\n")
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=True)
        for name, text in rows.items():
            table.add_row(name, text)
        console.print(table)
        console.print()
    return 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return line.lstrip("# ") if line.startswith("#") else ""


def prepare_jax() -> None:
    """One device for every core, and compiled programs kept between runs.

    A device of the CPU computes its lanes on a core of its own; within one device the parts of a small program are too
    small to share. JAX's own thresholds would not store programs as small as these.
    """
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with contextlib.suppress(RuntimeError):  # the devices exist already
            jax.config.update("jax_num_cpu_devices", cores)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(Path(base) / "ce_jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
