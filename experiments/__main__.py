"""The command line: `python -m experiments --help`. No logic beyond reading words and choosing exit codes.

Exit codes: 0 fine, 1 a check or the machinery failed, 2 the input was wrong (one line), 130 interrupted (state saved).
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

try:
    import cyclopts
    from cyclopts import App, Parameter
    from cyclopts.completion import ShellDetectionError

    from . import surroundings
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed; the command line needs pip install 'ce-jax[experiments]'")

from .errors import UserError
from .names import program
from .own_modules import searched

console = surroundings.plain_console()
app = App(
    name=" ".join(program()),
    help="When, by how much and why does cross-entropy train a classifier faster than SSR?",
    version_flags=[],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


@app.command
def run(
    config: Path,
    /,
    *overrides: str,
    out: Path = Path("results"),
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    shard: str | None = None,
    distributed: str | None = None,
    memory: float | None = None,
) -> int:
    """Run a config: train every loss over rates and seeds, compare them, write figures and a page.

    Example: `ce-jax run quickstart train.steps=200 loss=cross_entropy,ssr`

    Args:
      config: TOML file, or the name of a shipped config.
      overrides: key=value with dotted keys and comma lists, for instance train.steps=200 loss=cross_entropy,ssr.
      out: folder for results.
      dry_run: only show the resolved config and what would be run.
      fresh: compute again what is finished.
      shard: I/N does share I of N of the work, in the same folder; the last one to end finishes the run. By default
        the share of this task of a Slurm array, or of this pod of an indexed Kubernetes job.
      distributed: one run on the devices of many processes, started with the same words each: auto on Slurm,
        Kubernetes, MPI and TPU pods, else HOST:PORT,PROCESSES,INDEX.
      memory: MiB that the classifiers trained together may take on each device, when a run begins. By default a quarter
        of what is free.
    """
    from .config import load_config

    with searched(config.parent):
        # Mistakes are told, and dry runs made, without what draws figures, which takes its time to be imported.
        named = load_config(config, overrides)
        if dry_run and distributed is None:
            from .run.dry import dry_run_command

            return dry_run_command(*named, out, console, shard, memory)
        from .run.command import run_command

        return run_command(*named, out, dry_run, fresh, _command(), console, shard, distributed, memory)


@app.command
def init(file: Path, /, *, label: str | None = None, out: Path | None = None) -> int:
    """Look at a data file and write a commented config for it: what is in it, and what to run.

    Example: `ce-jax init data.csv`

    Args:
      file: csv, parquet or npz file, or a folder of MNIST-format files.
      label: the column of the labels; by default it is guessed, and said.
      out: the config to write; by default it stands beside the data. None is overwritten.
    """
    from .drafting import init_command

    return init_command(file, label, out, console)


@app.command
def report(run_dir: Path, other: Path | None = None, /, *, out: Path | None = None) -> int:
    """Rebuild the figures and pages of a run from what is stored in it; of two runs, show what changed between them.

    The parts of an unfinished run are put together. Of two runs nothing is rebuilt.

    Example: `ce-jax report results/iris-0123456789 results/iris-9876543210`

    Args:
      run_dir: folder of a run, or of the page that joins several.
      other: folder of another run of the same question, to be compared with the first.
      out: the page that compares two runs; by default it is in the folder compared beside the first one.
    """
    if other is not None:
        from .run.comparing import compare_command

        return compare_command((run_dir, other), out, console)
    if out is not None:
        raise UserError("--out: expected with two runs alone; the page of a run is in its folder")
    from .run.command import report_command

    return report_command(run_dir, console)


@app.command(name="list")
def list_() -> int:
    """Show data sets, losses, models, optimizers, starts, schedules, configs and claims, a line each.

    Example: `ce-jax list | grep entropy`
    """
    from .listing import list_command

    return list_command(console)


@app.command
def lesson(
    *overrides: str,
    out: Path = Path("results/lesson"),
    open_page: Annotated[bool, Parameter(name="--open", negative="")] = False,
) -> int:
    """Print the textbook lesson with every number computed on the spot, and write it as a page.

    Example: `ce-jax lesson start=saturated --open`

    Args:
      overrides: start=saturated for another start, network=PATH.toml for a network of your own.
      out: folder for lesson.html and its figures.
      open_page: open the page in a browser.
    """
    from .lesson import lesson_command

    return lesson_command(overrides, out, open_page, console)


@app.command
def audit(
    *losses: str, out: Path = Path("results/audit"), quick: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Measure every loss and derivative against a high-precision oracle; exit code 1 if a declared bound is broken.

    A loss of your own, `module:function`, is checked first: values, gradients, shapes, dtypes, transformations, masks
    and bad labels, a line each.

    Example: `ce-jax audit cross_entropy my_module:my_loss`

    Args:
      losses: names of losses or module:function; all shipped ones if none is given.
      out: folder for the tables and the figure.
      quick: fewer rows.
    """
    from .audit import audit_command

    return audit_command(losses, out, quick, console)


@app.command
def claims(
    *ids: str,
    quick: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    out: Path = Path("results/claims"),
    fresh: Annotated[bool, Parameter(negative="")] = False,
    publish: Annotated[bool, Parameter(negative="")] = False,
    lock: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Re-run published claims and print the verdicts.

    Example: `ce-jax claims escape-time --quick`

    Args:
      ids: claims; all of them if none is given.
      quick: fewer seeds.
      seed: moves every seed of the run.
      out: folder of the verdicts and of claims.html.
      fresh: measure again what has a verdict.
      publish: measure nothing; copy the finished full run from --out into experiments/gallery/claims and rewrite the
        README's answer from its verdicts, if their rules were locked and committed before they were measured.
      lock: measure nothing; write a hash of every claim's rules into experiments/claims/rules.lock, to be committed.
    """
    from .claims import claims_command

    return claims_command(ids, quick, seed, out, fresh, console, publish, lock)


@app.command
def bench(*names: str, out: Path = Path("results/bench"), runs: int = 7) -> int:
    """Time the project beside what a user would pick instead, everybody taking turns in one process.

    Example: `ce-jax bench loss --runs 3`

    Args:
      names: suites (loss, sweep, scaling) or points of sweep such as cnn-small; every suite if none is given.
      out: folder for bench.json.
      runs: rounds; medians are taken over them.
    """
    from .bench import bench_command

    return bench_command(names, out, runs, console)


@app.command(name="--install-completion")
def install_completion(*, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None) -> int:
    """Install completion of the command ce-jax for a shell.

    Example: `ce-jax --install-completion --shell zsh`

    Args:
      shell: by default the one in use.
      output: file to write instead of the shell's own place; no start-up file is then touched.
    """
    named = App(name="ce-jax")  # a shell completes words, not modules
    named.update(app)
    try:
        path = named.install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise UserError("--shell: expected bash, zsh or fish, as the one in use is not known") from None
    console.print(f"completion of ce-jax: {path} (open a new shell)", markup=False, soft_wrap=True)
    return 0


@app.command
def index(folder: Path = Path("results")) -> int:
    """Write one page over all runs of a folder, to search and sort; from then on `run` keeps it up to date.

    Example: `ce-jax index results`

    Args:
      folder: of the results.
    """
    from .pages.index import write_index

    console.print(f"index: {write_index(folder)}", markup=False, soft_wrap=True)
    return 0


@app.command
def explore(
    *,
    out: Path = Path("results/explore.html"),
    open_page: Annotated[bool, Parameter(name="--open", negative="")] = False,
) -> int:
    """Write the explorer: both losses going downhill side by side, on a triangle and in a network, in one page.

    Example: `ce-jax explore --open`

    Args:
      out: the page to write.
      open_page: open it in a browser.
    """
    from .explore import explore_command

    return explore_command(out, open_page, console)


@app.command
def docs(
    *,
    out: Path = Path("results/docs"),
    open_page: Annotated[bool, Parameter(name="--open", negative="")] = False,
) -> int:
    """Write API pages of the library (needs the extra docs).

    Example: `ce-jax docs --open`

    Args:
      out: folder of the pages.
      open_page: open them in a browser.
    """
    from .docs import docs_command

    return docs_command(out, open_page, console)


def _command() -> list[str]:
    return [*program(), *sys.argv[1:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run it, and return the exit code."""
    surroundings.prepare_streams()
    surroundings.prepare_home()
    surroundings.stop_on_notice()
    errors = surroundings.plain_console(stderr=True, soft_wrap=True)
    try:
        with searched(Path.cwd()):
            return app(arguments, exit_on_error=False, print_error=False) or 0
    except cyclopts.CycloptsError as error:
        message = " ".join(str(error).split())
        errors.print(f"error: {message} (see {shlex.join(program())} --help)", markup=False)
        return 2
    except UserError as error:
        errors.print(f"error: {error}", markup=False)
        return 2
    except BrokenPipeError:
        surroundings.quiet_stream()
        return 1
    except OSError as error:
        errors.print(f"error: {error.filename or 'the results'}: {error.strerror or error}", markup=False)
        return 1
    except KeyboardInterrupt:
        errors.print(f"\nstopped; finished work is kept. To continue: {shlex.join(_command())}", markup=False)
        return 130
    except Exception as error:
        told = surroundings.keep_traceback(error, _command(), [*_out(arguments), *surroundings.temporary_folders()])
        errors.print(f"error: {told}", markup=False)
        return 1


def _out(arguments: Sequence[str] | None) -> list[Path]:
    """The folder that a command writes into."""
    try:
        bound = app.parse_args(arguments, exit_on_error=False, print_error=False)[1]
        bound.apply_defaults()
        return [Path(bound.arguments[name]) for name in ("out", "run_dir") if name in bound.arguments]
    except Exception:  # a crash is told whatever was typed
        return []


def start() -> NoReturn:
    """What the console script calls: `main`, then the end of the process."""
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        surroundings.quiet_stream()
    if code == 130:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    start()
