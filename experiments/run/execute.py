"""Run one workload: the protocol of `ce_jax.comparing` with a trainer that stores, then summary, table and page."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ce_jax.comparing import Curves, Listener, joined_seeds, summarise, tune_and_report

from ..config import Config, as_dict, flatten
from ..data import Finding, account_record
from ..files import set_aside, write_arrays, write_bytes, write_json
from ..pages.finished import DamagedRun, read_run, with_checksums
from ..pages.report import build_report
from ..runtime import precision
from .distributed import agreed, leads, open_jointly
from .folder import tidy
from .naming import folder_of
from .provenance import describe, provenance, run_name
from .runs_table import run_table, write_table
from .shards import PartsMissing, Shard
from .trainer import StoringTrainer
from .workload import Workload, data_lines, findings, load_workload


class Outcome(NamedTuple):
    """The finished folder, whether it was already there, and what is missing where it is not finished yet."""

    folder: Path
    existed: bool
    waiting: str | None = None


def run_workload(
    name: str,
    config: Config,
    out: Path,
    command: Sequence[str],
    listener: Listener,
    fresh: bool = False,
    *,
    shard: Shard | None = None,
    compute: bool = True,
    budget: int | None = None,
    build: Callable[[Path], object] | None = None,
) -> Outcome:
    """Train, compare and report one workload.

    Args:
      name: the config's name; config: what to run; out: folder of all results; command: the command line, for the
        provenance; listener: is told how far it is; fresh: compute again what is finished; shard: do this share only;
        compute: False to put together what is stored; budget: as in `plan_for`, for a run that has no plan yet; build:
        what builds the page of a finished folder, now or later; `build_report` if None.

    Returns:
      The run folder, finished unless other shards have still to compute parts of it.

    Raises:
      UserError: something in the config does not exist or fit, or the folder cannot be written.
      KeyboardInterrupt: passed on; what is finished is stored.
    """
    build = build or build_report
    with precision(config.train.dtype):
        workload = load_workload(name, config)
        found = findings(workload)
        for line in data_lines(workload, found):
            listener.say(line)
        final = agreed(lambda: folder_of(run_name(workload), out))
        if agreed(lambda: not fresh and (_finished(final, listener.say, build) if compute else final.exists())):
            return Outcome(final, True)
        with open_jointly(final, fresh=fresh, shard=shard, warn=listener.say) as run:
            begin = time.perf_counter()
            task = workload.task
            trainer = StoringTrainer(task, run, listener, shard=shard, compute=compute, budget=budget)
            if leads():
                write_json(run.folder / "config.json", as_dict(config))
            try:
                trained = tune_and_report(
                    task.arms, task.evaluate_at, task.sweep, task.analysis, trainer, listener=listener
                )
            except PartsMissing as missing:
                return Outcome(final, False, str(missing))
            if not run.take_over():
                waiting = "every part is there; another shard is still at work and will put them together"
                return Outcome(final, final.exists(), None if final.exists() else waiting)
            seconds = time.perf_counter() - begin
            if leads():
                made = provenance(command, trainer.compile_seconds, seconds)
                _write(run.folder, workload, found, joined_seeds(trained.tuning, trained.fresh), made)
                run.finish()
        if leads():
            build(final)
    return Outcome(final, False)


def _finished(final: Path, say: Callable[[str], None], build: Callable[[Path], object]) -> bool:
    """Whether a result is there; one that was damaged is set aside, so that its work is done again.

    What was measured is finished before its page is built, which may have been stopped.
    """
    if not final.exists():
        return False
    try:
        read_run(final)
    except DamagedRun as error:
        say(f"{str(error).partition(';')[0]}; set aside, and its work done again: {set_aside(final)}")
        return False
    tidy(final)
    if not (final / "report.html").exists():
        build(final)
    return True


READ_ME = """One comparison of losses. report.html shows it; this folder holds every number behind it.

summary.json     the comparison: what was found, with intervals
runs.parquet     one row for each trained classifier: its loss, rate, seed and settings, and how it ended
curves.npz       every curve: <loss>/<metric> is an array [R, S, E] over the R rates of learning_rates/<loss>, the S
                 seeds of seeds (tuning seeds first) and the E evaluated steps of steps; NaN after a run has diverged.
                 <loss>/test_class_accuracy is [R, S, K], of each class at the end
config.json      every setting, defaults included
provenance.json  versions, devices, commit, hash of the code, command, times, checksums

import numpy; curves = numpy.load("curves.npz"); print(curves.files)
import polars; runs = polars.read_parquet("runs.parquet"); print(runs)
"""


def _write(
    folder: Path, workload: Workload, found: Sequence[Finding], curves: Curves, provenance: dict[str, Any]
) -> None:
    config = workload.config
    resolved, tuning = as_dict(config), config.sweep.tuning_seeds
    write_json(folder / "config.json", resolved)
    write_arrays(folder / "curves.npz", curves.to_arrays())
    write_table(folder, run_table(flatten(resolved), curves, tuning, config.analysis))
    summary = summarise(describe(workload), curves, tuning, config.analysis)
    if ":" in config.dataset:  # of a file; a known data set is told by its name, and its summary is that of `compare`
        summary["data"] = account_record(workload.dataset, found)
    write_json(folder / "summary.json", summary)
    write_bytes(folder / "README.txt", READ_ME.encode())
    write_json(folder / "provenance.json", with_checksums(provenance, folder))
