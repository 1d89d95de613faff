"""Damaged results: noticed, said in one line, set aside, and only what was lost is made again."""

import json
import os
import shutil

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.files import read_arrays, write_arrays
from tests.small_run import CONFIG, folders, run, the_folder

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")
WORDS = ("loss=ssr", "sweep.widen=0", "train.steps=6", "sweep.learning_rates.count=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_cache, quick_compilation):
    """One finished run."""
    out = tmp_path_factory.mktemp("finished")
    (out / "small.toml").write_text(CONFIG)
    assert run(out / "small.toml", out / "out", *WORDS) == 0
    return the_folder(out / "out")


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of it that may be damaged."""
    return shutil.copytree(finished, tmp_path / "out" / finished.name)


@pytest.fixture
def no_pages(monkeypatch):
    """Pages take longest, and show nothing here."""
    monkeypatch.setattr("experiments.run.command.build_report", lambda folder: folder / "report.html")
    monkeypatch.setattr("experiments.run.execute.build_report", lambda folder: folder / "report.html")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_number(path):
    text = path.read_text()
    assert "0.9" in text
    path.write_text(text.replace("0.9", "0.8", 1))


DAMAGE = {
    "curves flipped": ("curves.npz", flip),
    "curves empty": ("curves.npz", lambda path: path.write_bytes(b"")),
    "curves of something else": ("curves.npz", lambda path: write_arrays(path, {"a": np.zeros(3)})),
    "curves missing": ("curves.npz", os.unlink),
    "a number in the summary": ("summary.json", other_number),
    "a summary that is a list": ("summary.json", lambda path: path.write_text("[]")),
    "a summary cut off": ("summary.json", lambda path: os.truncate(path, 100)),
    "another schema": (
        "summary.json",
        lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 3')),
    ),
    "a number in the config": ("config.json", other_number),
    "a config that is a number": ("config.json", lambda path: path.write_text("3")),
    "provenance that is nested without end": ("provenance.json", lambda path: path.write_text("[" * 100_000)),
    "provenance that is null": ("provenance.json", lambda path: path.write_text("null")),
    "bytes that are no text": ("provenance.json", lambda path: path.write_bytes(b"\xff\xfe")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_report_tells_damage_in_a_line(copy, capsys, damage):
    name, harm = DAMAGE[damage]
    harm(copy / name)
    assert main(["report", str(copy)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert name in told or "cannot be read back" in told


@pytest.mark.slow
def test_run_sets_a_damaged_result_aside_and_works_again(copy, config, computed, capsys):
    wanted = read_arrays(copy / "curves.npz")
    flip(copy / "curves.npz")
    assert run(config, copy.parent, *WORDS) == 0
    assert f"set aside, and its work done again: {copy}.damaged" in capsys.readouterr().out
    assert computed
    assert [folder.name for folder in folders(copy.parent)] == [copy.name, f"{copy.name}.damaged"]
    for name, values in read_arrays(copy / "curves.npz").items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)


def as_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.usefixtures("no_pages")
@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b""), os.unlink, flip, as_folder])
def test_report_makes_a_damaged_table_again(copy, finished, capsys, harm):
    harm(copy / "runs.parquet")
    assert main(["report", str(copy)]) == 0
    assert "runs.parquet: missing, damaged or of another version; written again" in capsys.readouterr().out
    assert (copy / "runs.parquet").read_bytes() == (finished / "runs.parquet").read_bytes()
    assert main(["report", str(copy)]) == 0
    assert "runs.parquet" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"losses": {"ssr": 3}}, {"comparisons": [1]}, {"targets": ["x"]}, {"workload": {}}])
def test_files_that_do_not_fit_together_are_told_in_a_line(copy, capsys, wrong):
    """A folder without checksums, as other versions or hands have made it."""
    provenance = json.loads((copy / "provenance.json").read_text())
    del provenance["sha256"]
    (copy / "provenance.json").write_text(json.dumps(provenance))
    assert main(["report", str(copy)]) == 0
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps(summary | wrong))
    capsys.readouterr()
    assert main(["report", str(copy)]) == 2
    told = capsys.readouterr().err
    assert "its files do not fit together" in told
    assert told.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_pages")
@pytest.mark.parametrize("content", ["[]", '{"seeds_per_wave": 0, "rates_per_wave": 1, "devices": 1}'])
def test_a_damaged_plan_is_made_anew(copy, config, tmp_path, capsys, content):
    """A run stopped with all its parts; the plan is damaged, and what it names as another wave is computed."""
    out, partial = tmp_path / "new", tmp_path / "new" / f"{copy.name}.partial"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.run.execute._write", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(config, out, *WORDS) == 130
    (partial / "plan.json").write_text(content)
    (partial / "config.json").write_text(content)
    assert main(["report", str(partial)]) == 2
    assert "config.json is damaged" in capsys.readouterr().err or content.startswith("{")
    assert run(config, out, *WORDS) == 0
    assert f"damaged, set aside, and made anew: {partial / 'plan.json'}.damaged" in capsys.readouterr().out
    assert the_folder(out).name == copy.name
    assert not list(the_folder(out).glob("*.damaged"))


@pytest.mark.slow
def test_a_page_that_cannot_be_written_takes_no_result_with_it(config, tmp_path, computed, capsys):
    def broken(folder):
        raise ZeroDivisionError("a mistake in the page")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.run.execute.build_report", broken)
        assert run(config, tmp_path / "out", *WORDS) == 1
    told = capsys.readouterr().err
    assert "unexpected: ZeroDivisionError: a mistake in the page; the traceback is in" in told
    assert told.count("\n") == 1
    (folder,) = (path for path in folders(tmp_path / "out") if path.is_dir())
    assert (folder / "summary.json").exists()
    assert not (folder / "parts").exists()
    computed.clear()
    assert run(config, tmp_path / "out", *WORDS) == 0
    assert computed == []
    assert (folder / "report.html").exists()
