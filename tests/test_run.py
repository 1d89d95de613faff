"""The command line, end to end on small runs: folders, resuming, errors, exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import experiments.run as run_module
from experiments import planning
from experiments.__main__ import main
from experiments.store import read_arrays
from tests.small_run import CONFIG, ROOT, run, the_folder

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_cache, quick_compilation):
    """One finished run, for the tests that only look at it."""
    out = tmp_path_factory.mktemp("finished")
    (out / "small.toml").write_text(CONFIG)
    assert run(out / "small.toml", out / "out") == 0
    return the_folder(out / "out")


def test_a_run_folder_is_complete(finished):
    folder = finished
    assert folder.name.startswith("small-")
    present = {path.name for path in folder.iterdir()}
    assert {
        "config.json",
        "provenance.json",
        "curves.npz",
        "runs.parquet",
        "summary.json",
        "figures",
        "report.html",
    } == present
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".svg", ".png"}
    summary = json.loads((folder / "summary.json").read_text())
    curves = read_arrays(folder / "curves.npz")
    table = pl.read_parquet(folder / "runs.parquet")
    for loss in ("cross_entropy", "ssr"):
        rates = curves[f"learning_rates/{loss}"]
        assert curves[f"{loss}/test_accuracy"].shape == (len(rates), 6, len(curves["steps"]))
        assert summary["losses"][loss]["learning_rates"] == pytest.approx(rates.tolist())
        assert not np.isnan(curves[f"{loss}/train_loss"][:2]).any()
    assert table.height == 2 * 6 * len(rates)
    # The summary can be recomputed from the table by somebody who has only the table.
    for loss, record in summary["losses"].items():
        rows = table.filter(
            (pl.col("loss") == loss)
            & (pl.col("role") == "report")
            & (pl.col("learning_rate") == record["best_learning_rate"])
        )
        assert rows.height == record["runs"] == 4
        times = rows["steps_to/0.9"].fill_null(30).to_numpy()
        assert record["by_target"]["0.9"]["rmst_steps"] == pytest.approx(times.mean())
    provenance = json.loads((folder / "provenance.json").read_text())
    assert {"versions", "devices", "git", "argv", "utc", "compile_seconds", "run_seconds"} <= set(provenance)


@pytest.mark.slow
def test_a_finished_run_is_shown_not_recomputed(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished.parent, out)
    (tmp_path / "small.toml").write_text(CONFIG)
    before = {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    assert run(tmp_path / "small.toml", out) == 0
    shown = capsys.readouterr().out
    assert "finished before" in shown
    assert str(the_folder(out) / "report.html") in shown.replace("\n", "")
    assert before == {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    assert run(tmp_path / "small.toml", out, "--fresh") == 0
    assert before != {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}


@pytest.mark.slow
def test_an_interrupted_run_continues_to_the_same_result(finished, config, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken"
    original = run_module._Trainer._compute
    computed = []

    def counting(self, *args):
        computed.append((self, *args))
        return original(self, *args)

    def interrupted(self, *args):
        if len(computed) == 3:
            raise KeyboardInterrupt
        return counting(self, *args)

    monkeypatch.setattr(run_module._Trainer, "_compute", interrupted)
    assert run(config, broken) == 130
    assert "To continue:" in capsys.readouterr().err
    assert the_folder(broken).name.endswith(".partial")
    monkeypatch.setattr(run_module._Trainer, "_compute", counting)
    assert run(config, broken) == 0
    keys = [(arm.label, *rates, *positions) for _, arm, rates, positions, _ in computed]
    assert len(set(keys)) == len(keys)  # the three finished waves were not computed again
    expected, found = (read_arrays(folder / "curves.npz") for folder in (finished, the_folder(broken)))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert (finished / "summary.json").read_text() == (the_folder(broken) / "summary.json").read_text()


def test_dry_run_computes_nothing(config, tmp_path, capsys):
    assert run(config, tmp_path / "out", "--dry-run", "train.steps=77") == 0
    shown = capsys.readouterr().out
    assert '"steps": 77' in shown
    assert "classifiers        48" in shown
    assert "compiled programs  2" in shown
    assert "MiB" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_several_workloads_share_a_page(config, tmp_path):
    out = tmp_path / "out"
    assert run(config, out, "optimizer=sgd,adam", "sweep.widen=0") == 0
    folders = sorted(path.name for path in out.iterdir())
    assert len(folders) == 3
    (joined,) = [name for name in folders if name.endswith("-joined")]
    page = (out / joined / "report.html").read_text()
    assert all(name in page for name in folders if name != joined)


def test_report_rebuilds(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "report.html").unlink()
    for figure in (folder / "figures").iterdir():
        figure.unlink()
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").exists()
    assert list((folder / "figures").iterdir())


@pytest.mark.slow
def test_own_loss_and_family(config, tmp_path):
    (tmp_path / "my_losses.py").write_text(
        "import jax.numpy as jnp\nimport jax\n"
        "def scaled(logits, labels, *, factor=2.0):\n"
        "    return -factor * jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        out = tmp_path / "out"
        loss = 'loss=cross_entropy,{name="my_losses:scaled",factor=[1,2]}'
        assert run(config, out, loss, "sweep.widen=0") == 0
        curves = read_arrays(the_folder(out) / "curves.npz")
        one = curves["my_losses:scaled(factor=1)/validation_accuracy"]
        np.testing.assert_allclose(one, curves["cross_entropy/validation_accuracy"], atol=0.04)
        assert main(["run", str(config), loss, "gradient=manual"]) == 2
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "nowhere.toml"], 2, "nowhere.toml: no such config file"),
        (["run", "CONFIG", "los=ssr"], 2, "los: unknown key; did you mean 'loss'?"),
        (["run", "CONFIG", "dataset=csv:missing.csv"], 2, "missing.csv"),
        (["run", "CONFIG", "--out", "CONFIG"], 2, "--out: cannot write to"),
        (["report", "nowhere"], 2, "nowhere"),
        (["rum", "CONFIG"], 2, "rum"),
        (["run"], 2, "CONFIG"),
        (["run", "CONFIG", "--dry-rum"], 2, "--dry-rum"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(config, capsys, words, code, message):
    assert main([str(config) if word == "CONFIG" else word for word in words]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.strip().count("\n") == 0
    assert "Traceback" not in captured.err


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_keeps_what_is_whole(config, tmp_path, monkeypatch, capsys):
    calls = []
    original = os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:  # config, plan, then three parts
            raise OSError(28, "No space left on device")
        return original(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert run(config, tmp_path / "out") == 1
    assert "No space left on device" in capsys.readouterr().err
    folder = the_folder(tmp_path / "out")
    assert folder.name.endswith(".partial")
    assert len(list((folder / "parts").iterdir())) == 3
    monkeypatch.setattr(os, "fsync", original)
    assert run(config, tmp_path / "out") == 0


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("iris", "mnist5k", "csv:PATH", "cross_entropy", "ssr_on_logits", "mlp", "adamw", "quickstart.toml"):
        assert word in shown


@pytest.mark.slow
def test_a_run_stopped_within_a_wave_goes_on_from_its_checkpoint(config, tmp_path, monkeypatch, capsys):
    """Cut into segments; stopped after some; a damaged checkpoint costs its wave alone; the curves are the same."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", 1e-9)
    assert run(config, tmp_path / "undisturbed", "train.steps=8") == 0
    expected = read_arrays(the_folder(tmp_path / "undisturbed") / "curves.npz")
    segments, original = [], run_module.write_arrays

    def stopping(path, arrays, **options):
        original(path, arrays, **options)
        segments.append(path)
        if path.name.endswith(".checkpoint.npz") and len(segments) in (3, 14):
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "write_arrays", stopping)
    assert run(config, tmp_path / "out", "train.steps=8") == 130
    assert len(segments) == 3
    assert run(config, tmp_path / "out", "train.steps=8") == 130
    assert len(segments) == 14
    (checkpoint,) = the_folder(tmp_path / "out").glob("parts/*.checkpoint.npz")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-20])
    assert run(config, tmp_path / "out", "train.steps=8") == 0
    assert "damaged" in capsys.readouterr().out
    found = read_arrays(the_folder(tmp_path / "out") / "curves.npz")
    assert found.keys() == expected.keys()
    for name, curve in expected.items():
        np.testing.assert_array_equal(found[name], curve, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("notice", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_continues(config, tmp_path, notice):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "experiments", "run", str(config), "--out", str(out), "sweep.seeds=40"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    # The line that announces the second half: some waves are stored by then, and others are still to come.
    assert any("reporting" in line for line in process.stdout)
    process.send_signal(notice)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if notice == signal.SIGKILL else 130), errors
    assert not list(out.glob("*/summary.json"))
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "report:" in finished.stdout
    assert len(list(out.iterdir())) == 1
