"""The store: whole files or none, damage noticed, one process at a time, the finished folder as the marker."""

import multiprocessing
import os

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.files import read_arrays, read_json, write_arrays, write_bytes, write_json
from experiments.run.folder import open_run
from tests.small_run import folders

ARRAYS = {"a/b": np.arange(2000.0), "c": np.array([np.nan, 1.0])}


def test_arrays_come_back(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    found = read_arrays(tmp_path / "x.npz")
    assert set(found) == set(ARRAYS)
    for name in ARRAYS:
        np.testing.assert_array_equal(found[name], ARRAYS[name])


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == []
    write_json(tmp_path / "x.json", {"x": [1.5, "ü", None]})
    assert read_json(tmp_path / "x.json") == {"x": [1.5, "ü", None]}


def test_any_damage_is_noticed(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-10], whole[:300] + b"\0\1\2\3" + whole[304:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            read_arrays(path)


def test_a_damaged_part_is_set_aside(tmp_path):
    with open_run(tmp_path / "r") as run:
        said = []
        run.warn = said.append
        path = run.part({"loss": "ssr"})
        assert run.load_part(path) is None
        write_arrays(path, ARRAYS)
        assert run.load_part(path) is not None
        path.write_bytes(path.read_bytes()[:100])
        assert run.load_part(path) is None
        assert len(list(run.parts.glob("*.damaged"))) == 1
        assert len(said) == 1
        assert "damaged" in said[0]
        assert not path.exists()


def test_finishing_renames_the_folder(tmp_path):
    final = tmp_path / "r"
    for content in (b"first", b"second"):
        with open_run(final) as run:
            write_bytes(run.folder / "summary.json", content)
            assert run.folder != final
            run.finish()
        assert (final / "summary.json").read_bytes() == content
        assert folders(tmp_path) == [final]
        assert os.listdir(final) == ["summary.json"]


def _hold(final, ready, release):
    with open_run(final):
        ready.set()
        release.wait(30)


def test_a_second_process_is_refused(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "r", ready, release))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(UserError, match="another process is working on this run"), open_run(tmp_path / "r"):
            pass
    finally:
        release.set()
        other.join()
    with open_run(tmp_path / "r"):
        pass


def test_fresh_forgets_parts(tmp_path):
    with open_run(tmp_path / "r") as run:
        path = run.part({})
        write_arrays(path, ARRAYS)
    with open_run(tmp_path / "r") as run:
        assert run.load_part(path) is not None
    with open_run(tmp_path / "r", fresh=True) as run:
        assert run.load_part(path) is None


def test_an_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"), open_run(tmp_path / "file" / "r"):
        pass
