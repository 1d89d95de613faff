"""The command line, end to end on small runs: folders, resuming, errors, exit codes."""

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import ce_jax
from ce_jax.comparing import Waves
from experiments import source
from experiments.__main__ import main
from experiments.config import load_config
from experiments.files import read_arrays, read_json, write_json
from experiments.run import provenance, trainer
from experiments.run.provenance import made_by_other_code, run_name
from experiments.run.workload import load_workload
from experiments.source import code_of
from tests.small_run import CONFIG, ROOT, folders, run, the_folder

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")
OTHER_CODE = "made by other code"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_cache, quick_compilation):
    """One finished run, for the tests that only look at it."""
    out = tmp_path_factory.mktemp("finished")
    (out / "small.toml").write_text(CONFIG)
    assert run(out / "small.toml", out / "out") == 0
    return the_folder(out / "out")


@contextlib.contextmanager
def stopped_after(count, computed):
    """Runs are interrupted when so many waves have been trained."""
    counting = Waves.train

    def stopping(self, wave, **knobs):
        if len(computed) == count:
            raise KeyboardInterrupt
        return counting(self, wave, **knobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Waves, "train", stopping)
        yield


def change_code(monkeypatch):
    """As far as a run can tell, numbers are from now on determined by other code."""
    for module in (provenance, trainer):
        monkeypatch.setattr(module, "source", lambda *more: "0123456789abcdef")


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
        "README.txt",
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
    made = json.loads((folder / "provenance.json").read_text())
    assert {"versions", "devices", "git", "argv", "utc", "compile_seconds", "run_seconds"} <= set(made)
    assert made_by_other_code(made) is None


def test_the_read_me_opens_what_it_names(finished, monkeypatch, capsys):
    text = (finished / "README.txt").read_text(encoding="utf-8")
    named = {line.split()[0] for line in text.splitlines() if re.match(r"[\w.]+  ", line)}
    assert named <= {path.name for path in finished.iterdir()}
    monkeypatch.chdir(finished)
    for line in text.splitlines()[-2:]:
        exec(line, {})
    shown = capsys.readouterr().out
    assert "learning_rates/cross_entropy" in shown
    assert "shape: (" in shown


@pytest.mark.slow
def test_a_finished_run_is_shown_not_recomputed(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished.parent, out)
    (tmp_path / "small.toml").write_text(CONFIG)
    before = {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    assert run(tmp_path / "small.toml", out) == 0
    shown = capsys.readouterr().out
    assert "finished before" in shown
    assert OTHER_CODE not in shown
    assert str(the_folder(out) / "report.html") in shown.replace("\n", "")
    assert before == {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    assert run(tmp_path / "small.toml", out, "--fresh") == 0
    assert before != {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}


def test_what_other_code_has_made_is_shown_with_that_said(finished, config, tmp_path, computed, monkeypatch, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished.parent, out)
    made = read_json(the_folder(out) / "provenance.json")
    write_json(the_folder(out) / "provenance.json", made | {"git": {"commit": "9876543210fedcba", "dirty": False}})
    before = {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    assert run(config, out) == 0
    shown = capsys.readouterr().out
    assert "finished before" in shown
    assert OTHER_CODE not in shown
    change_code(monkeypatch)
    assert run(config, out) == 0
    shown = capsys.readouterr().out
    said = f"{OTHER_CODE} (commit 9876543210); shown as stored, --fresh computes it again: {the_folder(out)}"
    assert said in shown.splitlines()
    assert "finished before" not in shown
    assert str(the_folder(out) / "report.html") in shown
    assert computed == []
    assert before == {path: path.stat().st_mtime_ns for path in the_folder(out).rglob("*")}
    del made["source"]  # as in a result made before there was one
    write_json(the_folder(out) / "provenance.json", made | {"git": None})
    assert run(config, out) == 0
    assert f"{OTHER_CODE} (of an unknown commit); shown as stored" in capsys.readouterr().out
    assert computed == []


@pytest.mark.slow
def test_fresh_replaces_what_other_code_has_made(finished, config, tmp_path, computed, monkeypatch, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished.parent, out)
    change_code(monkeypatch)
    assert run(config, out, "--fresh") == 0
    assert computed
    assert read_json(the_folder(out) / "provenance.json")["source"] == "0123456789abcdef"
    assert run(config, out) == 0
    shown = capsys.readouterr().out
    assert "finished before" in shown
    assert OTHER_CODE not in shown


@pytest.mark.slow
def test_parts_and_checkpoints_of_other_code_are_not_reused(config, tmp_path, computed, monkeypatch, capsys):
    """Two waves are stored and the third is stopped at its fourth checkpoint when the code changes."""
    words = ("loss=ssr", "train.steps=8", "sweep.widen=0", "sweep.seeds=20")
    monkeypatch.setattr("ce_jax.comparing._planning.SEGMENT_SECONDS", 1e-9)
    assert run(config, tmp_path / "undisturbed", *words) == 0
    expected, every = read_arrays(the_folder(tmp_path / "undisturbed") / "curves.npz"), list(computed)
    out, original = tmp_path / "out", trainer.write_arrays

    def stopping(path, arrays, **options):
        original(path, arrays, **options)
        if len(list(path.parent.glob("*.npz"))) == 3 and int(arrays.get("segment", 0)) == 4:
            raise KeyboardInterrupt

    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_arrays", stopping)
        assert run(config, out, *words) == 130
    stored = {path.name for path in the_folder(out).glob("parts/*.npz")}
    assert len([name for name in stored if name.endswith(".checkpoint.npz")]) == 1
    assert len(stored) == len(computed) == 3 < len(every)
    change_code(monkeypatch)
    monkeypatch.setattr(trainer.Checkpoint, "from_arrays", lambda arrays: pytest.fail("went on from a checkpoint"))
    assert main(["report", str(the_folder(out))]) == 2  # there is nothing to put together either
    assert "tuning: 1 of 1 parts are missing" in capsys.readouterr().err
    computed.clear()
    assert run(config, out, *words) == 0
    assert OTHER_CODE not in capsys.readouterr().out
    assert computed == every
    assert read_json(the_folder(out) / "provenance.json")["source"] == "0123456789abcdef"
    found = read_arrays(the_folder(out) / "curves.npz")
    for name, curve in expected.items():
        np.testing.assert_array_equal(found[name], curve, err_msg=name)


@pytest.mark.slow
def test_an_interrupted_run_continues_to_the_same_result(finished, config, tmp_path, computed, capsys):
    broken = tmp_path / "broken"
    with stopped_after(3, computed):
        assert run(config, broken) == 130
    assert "To continue:" in capsys.readouterr().err
    assert the_folder(broken).name.endswith(".partial")
    assert run(config, broken) == 0
    assert OTHER_CODE not in capsys.readouterr().out
    assert len(set(computed)) == len(computed) > 3  # the three finished waves were not computed again
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
    names = [path.name for path in folders(out)]
    assert len(names) == 3
    (joined,) = [name for name in names if name.endswith("-joined")]
    page = (out / joined / "report.html").read_text()
    assert all(name in page for name in names if name != joined)


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


HELPERS = """import numpy as np

FACTOR = 2.0  # why two


def scaled(values):
    \"""Values times a factor.\"""
    return FACTOR * values
"""
# A loss and its helpers: beside it, behind another helper, in a folder below, in a package.
PLACES = {
    "beside": {"own_losses.py": "from own_helpers import scaled", "own_helpers.py": HELPERS},
    "renamed": {"own_losses.py": "import own_helpers as h\nscaled = h.scaled", "own_helpers.py": HELPERS},
    "behind another": {
        "own_losses.py": "import own_words\nscaled = own_words.scaled",
        "own_words.py": "from own_helpers import *",
        "own_helpers.py": HELPERS,
    },
    "behind one below": {
        "own_losses.py": "from own_parts.words import scaled",
        "own_parts/words.py": "from own_helpers import scaled",
        "own_helpers.py": HELPERS,
    },
    "below": {"own_losses.py": "from own_parts.own_helpers import scaled", "own_parts/own_helpers.py": HELPERS},
    "relative": {
        "own_package/losses.py": "from .own_helpers import scaled",
        "own_package/__init__.py": "",
        "own_package/own_helpers.py": HELPERS,
    },
    "one level up": {
        "own_package/deep/losses.py": "from ..own_helpers import scaled",
        "own_package/deep/__init__.py": "",
        "own_package/__init__.py": "",
        "own_package/own_helpers.py": HELPERS,
    },
    "either way": {
        "own_losses.py": "try:\n    from .own_helpers import scaled\nexcept ImportError:\n    "
        "from own_helpers import scaled",
        "own_helpers.py": HELPERS,
    },
}
LOSS = """
from ce_jax import cross_entropy


def loss(logits, labels):
    return scaled(cross_entropy(logits, labels))
"""


@pytest.fixture
def name_of_own(config, tmp_path, monkeypatch):
    """A function that writes a loss with helpers and returns the name of a run of it, as a fresh process would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for module in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[module]
        importlib.invalidate_caches()

    def name_of(files):
        forget()
        for place, text in files.items():
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_text(text + LOSS if "losses" in place else text)
        (module,) = [place.removesuffix(".py").replace("/", ".") for place in files if "losses" in place]
        name, (one,) = load_config(config, [f"loss={module}:loss"])
        return run_name(load_workload(name, one))

    yield name_of
    forget()


@pytest.mark.parametrize("where", PLACES)
def test_helpers_of_a_users_loss_are_part_of_the_runs_name(name_of_own, where):
    files = PLACES[where]
    (helper,) = [place for place in files if "own_helpers" in place]
    name = name_of_own(files)
    assert name.startswith("small-")
    for old, new in (("= 2.0", "= 2.5"), ("FACTOR * values", "FACTOR + values")):
        assert old in HELPERS
        assert name_of_own(files | {helper: HELPERS.replace(old, new)}) != name
    for old, new in (("why two", "because"), ("Values times", "So many times"), ("\n\n\n", "\n")):
        assert old in HELPERS
        assert name_of_own(files | {helper: HELPERS.replace(old, new)}) == name
    assert name_of_own(files) == name


VALUES = """import functools, importlib, json, pathlib
import numpy as np
from ce_jax import cross_entropy, ssr
HERE = pathlib.Path(__file__).parent
TABLE = json.loads((HERE / "own.json").read_text())
WEIGHTS = np.array(TABLE["weights"])
LATE = importlib.import_module("own_" + "late")


def made(factor):
    def scaled(values):
        return factor * values
    return scaled


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, values):
        return self.factor * values


def scale(values, factor=TABLE["factor"]):
    return factor * values


FORMS = {
    "array": lambda values: WEIGHTS[0] * values,
    "table": lambda values: TABLE["factor"] * values,
    "closure": made(TABLE["factor"]),
    "partial": functools.partial(scale, factor=TABLE["factor"]),
    "default": scale,
    "instance": Scale(TABLE["factor"]),
    "method": Scale(TABLE["factor"]).__call__,
    "module": lambda values: LATE.FACTOR * values,
}
scaled = FORMS["FORM"]
"""
IN_FUNCTION = """
def scaled(values):
    import own_parts.own_helpers
    return own_parts.own_helpers.scaled(values)
"""


@pytest.mark.parametrize("form", [line.split('"')[1] for line in VALUES.splitlines() if line.startswith('    "')])
def test_values_that_no_source_text_tells_are_part_of_the_runs_name(name_of_own, form):
    files = {
        "own_losses.py": VALUES.replace('FORM"]', f'{form}"]'),
        "own_late.py": "FACTOR = 2.0\n",
        "own.json": '{"factor": 2.0, "weights": [2.0, 1.0], "note": "a"}',
    }
    name = name_of_own(files)
    assert name_of_own(files) == name
    changed = {"own_late.py": "FACTOR = 3.0\n"} if form == "module" else {}
    assert name_of_own(files | {"own.json": files["own.json"].replace("2.0", "3.0")} | changed) != name


def test_modules_that_only_a_function_imports_and_packages_count(name_of_own):
    files = {"own_losses.py": IN_FUNCTION, "own_parts/__init__.py": "", "own_parts/own_helpers.py": HELPERS}
    name = name_of_own(files)
    assert name_of_own(files | {"own_parts/own_helpers.py": HELPERS.replace("2.0", "2.5")}) != name
    assert name_of_own(files | {"own_parts/__init__.py": "FACTOR = 3\n"}) != name
    assert name_of_own(files) == name


def test_what_a_users_loss_imports_from_elsewhere_is_no_part_of_the_runs_name(name_of_own, tmp_path, monkeypatch):
    """An environment and this project, though they lie below the loss; what lies beside it and is not imported."""
    packages = ".venv/lib/python3/site-packages"
    monkeypatch.syspath_prepend(tmp_path / packages)
    monkeypatch.setattr(ce_jax, "__file__", str(tmp_path / "ce_jax/__init__.py"))
    files = {
        "own_losses.py": "from own_installed import scaled",
        f"{packages}/own_installed.py": HELPERS,
        "ce_jax/__init__.py": HELPERS,
        "own_notes.py": HELPERS,
    }
    name = name_of_own(files)
    for place in list(files)[1:]:
        assert name_of_own(files | {place: HELPERS.replace("2.0", "2.5")}) == name


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("x = 1\n", "x = 1  # why\n\n\n", "x = 2\n"),
        (
            "def f():\n    return 1\n",
            'def f():\n    """What.\n\n    More.\n    """\n    return 1\n',
            "def f():\n    return 2\n",
        ),
        (
            "class A:\n    x: int = 1\n",
            'class A:\n    "A."\n\n    x: int = 1\n    """X."""\n',
            "class A:\n    x: int = 2\n",
        ),
        ('x = "# a"\n', 'x = "# a"  # "b\n', 'x = "# b"\n'),
        ('x = """\n# a\n"""\n', 'x = """\n# a\n"""  # why\n', 'x = """\n# b\n"""\n'),
        ('x = f"{y}# a"\n', 'x = f"{y}# a"#\n', 'x = f"{y}# b"\n'),
        ('é = "é#é"\n', 'é = "é#é"  # é\n', 'é = "é#e"\n'),
        ("if x:\n    y = 1\n", "if x:\n    # why\n    y = 1\n", "if x:\n    y = 1\nz = 1\n"),
        ("f(1, 2)\n", "f(1, 2)  # f(1, 3)\n", "f(1, 3)\n"),
        ('def f(): return "a"\n', 'def f(): return "a"  # why\n', 'def f(): return "b"\n'),
        ('def f(): "What."; return 1\n', 'def f(): "What."; return 1  # why\n', 'def f(): "What."; return 2\n'),
        ('"What."; x = 1\n', '"What."; x = 1  # why\n', '"What."; x = 2\n'),
        ("def f(x=1): ...\n", "def f(x=1): ...  # why\n", "def f(x=2): ...\n"),
    ],
)
def test_code_of(text, same, other):
    assert code_of(same) == code_of(text)
    assert code_of(other) != code_of(text)


@pytest.mark.slow
def test_the_source_is_what_determines_numbers(tmp_path, monkeypatch):
    """A comment or a docstring in a copy of the checkout changes nothing; a number, a new or a renamed file does."""
    copies = []

    def hash_with(*edits):
        root = tmp_path / str(len(copies))
        copies.append(root)
        for place in source.DETERMINES:
            if (ROOT / place).is_dir():
                shutil.copytree(ROOT / place, root / place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / place, root / place)
        for place, old, new in edits:
            text = (root / place).read_text() if (root / place).exists() else ""
            assert old in text
            (root / place).write_text(text.replace(old, new, 1))
        monkeypatch.setattr(source, "ROOT", root)
        return source.source.__wrapped__()

    same = hash_with()
    assert same == source.source()
    assert (
        hash_with(("experiments/run/trainer.py", "import time\n", "import time  # to tell how long it took\n")) == same
    )
    assert hash_with(("ce_jax/training/_loop.py", '"""The loop', '"""This is the loop')) == same
    assert hash_with(("ce_jax/losses/_ssr.py", "\n", "\n\n# Derived by hand.\n\n")) == same
    assert hash_with(("ce_jax/comparing/_protocol.py", "WIDEN_BY = 4", "WIDEN_BY = 5")) != same
    assert hash_with(("experiments/data/builtin.py", "", "SCALE = 2\n")) != same
    assert hash_with(("ce_jax/losses/_new.py", "", "x = 1\n")) != same


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
    monkeypatch.setattr("ce_jax.comparing._planning.SEGMENT_SECONDS", 1e-9)
    assert run(config, tmp_path / "undisturbed", "train.steps=8") == 0
    expected = read_arrays(the_folder(tmp_path / "undisturbed") / "curves.npz")
    segments, original = [], trainer.write_arrays

    def stopping(path, arrays, **options):
        original(path, arrays, **options)
        segments.append(path)
        if path.name.endswith(".checkpoint.npz") and len(segments) in (3, 14):
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "write_arrays", stopping)
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
    assert not the_folder(out).name.endswith(".partial")
