"""Shards of one run: any order and any overlap give the result of a whole run; locks; what a scheduler says."""

import contextlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ce_jax.comparing import Listener, Waves
from ce_jax.sweeping import compile_wave
from experiments.__main__ import main
from experiments.config import load_config
from experiments.errors import UserError
from experiments.files import read_arrays
from experiments.run import execute
from experiments.run.execute import run_workload
from experiments.run.folder import UnfinishedRun, open_run
from experiments.run.shards import Shard, parse_shard, scheduled_shard
from tests.small_run import run, the_folder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation", "own_cache")]

# One best rate lies on an edge, so that there is a second phase of tuning; reporting has four waves.
WORDS = ("loss=ssr", "sweep.seeds=16", "train.steps=12")


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    """All runs here are of one config and one loss, and tracing takes most of their time: they share one program."""
    programs = {}

    def compile_once(train, plan, hyper, data):
        if plan not in programs:
            programs[plan] = compile_wave(train, plan, hyper, data)
        return programs[plan]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ce_jax.comparing._waves.compile_wave", compile_once)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config, quick_compilation, own_cache, compiled_once):
    """The folder of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole")
    assert run(config, out, *WORDS) == 0
    return the_folder(out)


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def computed(computed, monkeypatch):
    """Waves computed so far; pages are left out, they take longest and show nothing here."""
    monkeypatch.setattr(execute, "build_report", lambda folder: folder)
    return computed


def assert_same(found, expected):
    assert found.name == expected.name
    curves = read_arrays(found / "curves.npz")
    for name, values in read_arrays(expected / "curves.npz").items():
        np.testing.assert_array_equal(curves[name], values, err_msg=name)
    assert (found / "summary.json").read_bytes() == (expected / "summary.json").read_bytes()


@pytest.mark.parametrize("order", [(3, 1, 4, 2), (1, 2, 2, 3, 4)])
def test_shards_in_any_order_equal_a_whole_run(whole, config, tmp_path, computed, capsys, order):
    for number in order[:-1]:
        assert run(config, tmp_path, *WORDS, "--shard", f"{number}/4") == 0
        assert "reporting: " in capsys.readouterr().out
    partial = the_folder(tmp_path)
    assert partial.name == whole.name + ".partial"
    assert main(["report", str(partial)]) == 2
    captured = capsys.readouterr().err
    assert "reporting: 1 of 4 parts are missing" in captured
    assert captured.count("\n") == 1
    assert run(config, tmp_path, *WORDS, "--shard", f"{order[-1]}/4") == 0
    assert "report.html" in capsys.readouterr().out
    assert len(computed) == len(set(computed)) == 6  # nothing twice: two phases of tuning, one wave each, and reporting
    assert_same(the_folder(tmp_path), whole)
    assert {path.name for path in the_folder(tmp_path).iterdir()} <= {path.name for path in whole.iterdir()}
    # A finished run is shown, whoever asks.
    assert run(config, tmp_path, *WORDS, "--shard", "1/4") == 0
    assert "finished before" in capsys.readouterr().out
    assert len(computed) == 6


def test_the_missing_shards_are_named(config, tmp_path, computed, capsys):
    assert run(config, tmp_path, *WORDS, "--shard", "2/4") == 0
    shown = capsys.readouterr().out
    assert "shard 2/4 is done; reporting: 3 of 4 parts are missing, of shard 1/4, 3/4, 4/4" in shown


@pytest.mark.parametrize("count", [2, 5])
def test_shards_at_the_same_time_equal_a_whole_run(whole, config, tmp_path, computed, count):
    """All at once, more shards than waves included: each wave is computed once, and one shard finishes the run."""
    name, (one,) = load_config(config, WORDS)

    def work(number):
        return run_workload(name, one, tmp_path, ["test"], Listener(), shard=Shard(number, count))

    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(work, range(1, count + 1)))
    assert {outcome.folder for outcome in outcomes} == {tmp_path / whole.name}
    assert any(outcome.waiting is None for outcome in outcomes)
    assert len(computed) == len(set(computed)) == 6
    assert_same(the_folder(tmp_path), whole)


def test_report_joins_what_the_shards_have_left(whole, config, tmp_path, monkeypatch, capsys):
    """The last shard is stopped when it is about to write the results: `report` needs no more than its parts."""

    def stopped(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(execute, "_write", stopped)
        assert [run(config, tmp_path, *WORDS, "--shard", f"{number}/2") for number in (1, 2)] == [0, 130]
    monkeypatch.setattr(Waves, "train", stopped)
    partial = the_folder(tmp_path)
    assert main(["report", str(tmp_path / whole.name)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert_same(the_folder(tmp_path), whole)
    assert not partial.exists()


def test_report_does_not_join_another_run(config, tmp_path, computed, capsys):
    assert run(config, tmp_path, *WORDS, "--shard", "1/2") == 0
    other = tmp_path / "small-0123456789.partial"
    shutil.move(the_folder(tmp_path), other)
    assert main(["report", str(other)]) == 2
    assert "no longer those it began with" in capsys.readouterr().err


def test_shards_share_a_folder_and_exclude_whole_runs(tmp_path):
    final = tmp_path / "r"
    with open_run(final, shard=Shard(1, 2)) as first, open_run(final, shard=Shard(2, 2)) as second:
        with pytest.raises(UserError, match=r"shard 1/2 of this run; wait"), open_run(final, shard=Shard(1, 2)):
            pass
        with pytest.raises(UserError, match=r"working on this run; wait"), open_run(final):
            pass
        path = first.part({})
        with first.claim(path, wait=False) as mine, second.claim(path, wait=False) as other:
            assert (mine, other) == (True, False)
        assert not first.take_over()
        assert second.take_over()
        second.finish()
        assert not first.take_over()  # it is finished
    assert final.exists()
    with (
        open_run(final),
        pytest.raises(UserError, match=r"working on this run; wait"),
        open_run(final, shard=Shard(1, 2)),
    ):
        pass


def test_the_command_line_refuses_a_held_shard(whole, config, tmp_path, capsys):
    with open_run(tmp_path / whole.name, shard=Shard(1, 2)):
        for words in (("--shard", "1/2"), ()):
            assert run(config, tmp_path, *WORDS, *words) == 2
            captured = capsys.readouterr().err
            assert "another process is working on" in captured
            assert captured.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "0"}, None),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, Shard(4, 4)),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, Shard(1, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            Shard(3, 3),
        ),
        ({"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, Shard(3, 5)),
    ],
)
def test_the_scheduler_tells_the_share(environment, expected):
    assert scheduled_shard(environment) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"JOB_COMPLETION_INDEX": "2"},
        {"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": "5"},
        {"SLURM_ARRAY_TASK_ID": "one", "SLURM_ARRAY_TASK_COUNT": "4"},
        {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"},
    ],
)
def test_a_scheduler_that_does_not_tell_the_share(environment):
    with pytest.raises(UserError, match="give --shard I/N"):
        scheduled_shard(environment)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "2", "a/b", "1/-3", "1.0/2", ""])
def test_a_wrong_share_is_refused(text):
    with pytest.raises(UserError, match="expected I/N with I from 1 to N"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (("--shard", "0/4"), {}, "--shard: expected I/N"),
        (("--shard", "1/4", "--fresh"), {}, "--fresh: shards add to what is there"),
        ((), {"JOB_COMPLETION_INDEX": "0"}, "JOB_COMPLETIONS="),
    ],
)
def test_wrong_words_are_one_line_and_exit_code_2(config, tmp_path, monkeypatch, capsys, words, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(config, tmp_path / "out", *words) == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert captured.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_array_task_does_its_share_unless_told_otherwise(config, tmp_path, monkeypatch, computed, capsys):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    assert run(config, tmp_path, *WORDS) == 0
    assert "shard 2/2 is done" in capsys.readouterr().out
    assert run(config, tmp_path, *WORDS, "--shard", "1/1") == 0
    assert "report.html" in capsys.readouterr().out


def test_parts_that_another_shard_reads_are_there(whole, config, tmp_path, monkeypatch):
    """Two shards that read the same parts at the end must not each take the other one for still at work."""
    name, (one,) = load_config(config, WORDS)

    def work(number):
        return run_workload(name, one, tmp_path, ["test"], Listener(), shard=Shard(number, 2))

    assert work(1).waiting is not None
    # Whoever asks and does not wait finds another one at the file.
    monkeypatch.setattr(UnfinishedRun, "claim", lambda run, path, *, wait: contextlib.nullcontext(wait))
    assert work(2).waiting is None
    assert_same(the_folder(tmp_path), whole)


def test_a_damaged_part_is_set_aside_by_the_one_that_has_claimed_it(tmp_path):
    with open_run(tmp_path / "run") as run:
        path = run.part({"wave": 1})
        path.write_bytes(b"torn")
        assert run.load_part(path, claimed=False) is None
        assert path.exists()
        assert run.load_part(path) is None
        assert not path.exists()
