"""The store: whole files or none, damage noticed, one process at a time, the finished folder as the marker."""

import contextlib
import io
import itertools
import multiprocessing
import os
import pickle
import shutil

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.files import (
    read_arrays,
    read_json,
    read_sealed,
    write_arrays,
    write_bytes,
    write_json,
    write_sealed,
)
from experiments.run.folder import UnfinishedRun, open_run
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


def flips(content):
    """Every byte changed, in one bit or in all of them: the same content with one mistake."""
    for place in range(len(content)):
        mask = 1 << place % 8 if place % 2 else 0xFF
        yield content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


@pytest.mark.parametrize(("compress", "sealed"), [(True, True), (False, False)])
def test_every_flipped_byte_of_an_archive_is_noticed(tmp_path, compress, sealed):
    path = tmp_path / "x.npz"
    write_arrays(path, {"a/b": np.arange(5.0), "c": np.array([np.nan, 1.0])}, compress=compress)
    whole = path.read_bytes()
    for damaged in itertools.chain(flips(whole), (whole[:end] for end in range(len(whole))), (whole + b"\0",)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            read_arrays(path, sealed=sealed)
    path.write_bytes(whole)
    assert set(read_arrays(path, sealed=sealed)) == {"a/b", "c"}


def test_every_flipped_byte_of_an_archive_without_a_checksum_is_noticed_or_changes_nothing(tmp_path):
    """As numpy alone writes it: the archive's own checksums are all there is."""
    path, arrays = tmp_path / "x.npz", {"a/b": np.arange(9.0), "c": np.array([np.nan, 1.0])}
    np.savez_compressed(path, **arrays)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match="damaged"):
        read_arrays(path, sealed=True)
    noticed = 0
    for damaged in itertools.chain(flips(whole), (whole[:end] for end in range(0, len(whole), 7))):
        path.write_bytes(damaged)
        try:
            found = read_arrays(path)
        except ValueError:
            noticed += 1
            continue
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
    assert noticed > len(whole) // 2


def test_every_flipped_byte_of_a_sealed_table_is_noticed_or_changes_nothing(tmp_path):
    path, content = tmp_path / "plan.json", {"lanes": 12, "devices": 2, "steps": None}
    write_sealed(path, content)
    whole = path.read_bytes()
    for damaged in itertools.chain(flips(whole), (whole[:end] for end in range(len(whole)))):
        path.write_bytes(damaged)
        try:
            assert read_sealed(path) == content  # a blank that has become a tab
        except ValueError:
            continue
    for wrong in (b"[]", b"1", b"{}", b"[" * 100_000, b"\xff", b'{"lanes": 12}'):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"damaged|codec|Expecting"):
            read_sealed(path)


def test_one_waves_numbers_do_not_pass_for_anothers(tmp_path):
    with open_run(tmp_path / "r") as run:
        one, other = run.part({"wave": 1}), run.part({"wave": 2})
        write_arrays(one, ARRAYS)
        shutil.copy(one, other)
        assert run.load_part(one) is not None
        assert run.load_part(other) is None


WRONG = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a zip"),
    "an archive of something else": lambda path: np.savez(path, a=np.zeros(3)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([1])),
    "a plain array": lambda path: path.write_bytes(npy_bytes()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "something else by the program": lambda path: write_arrays(path, {"nonsense": np.zeros(3)}),
}


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_lies_in_a_parts_place_is_set_aside(tmp_path, wrong):
    with open_run(tmp_path / "r") as run:
        said = []
        run.warn = said.append
        path = run.part({})
        for number in (1, 2):
            write_arrays(path, ARRAYS)
            WRONG[wrong](path)
            assert run.load_part(path, lambda part: set(part) == set(ARRAYS)) is None
            assert len(said) == len(list(run.parts.glob("*.damaged*"))) == number
        assert not path.exists()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("finished_before", [False, True])
def test_whatever_stops_a_finish_nothing_is_lost(tmp_path, finished_before, fresh, monkeypatch):
    """Every rename, removal and write in turn fails: a finished folder or all parts are there; a rerun completes."""
    final, parts = tmp_path / "r", [{"wave": 1}, {"wave": 2}]

    def work(content):
        with open_run(final, fresh=fresh) as run:
            for key in parts:
                if run.load_part(run.part(key)) is None:
                    write_arrays(run.part(key), ARRAYS)
            write_bytes(run.folder / "plan.json", b"{}")
            write_bytes(run.folder / "summary.json", content)
            run.finish()

    def whole(folder):
        return folder.exists() and (folder / "summary.json").read_bytes() in (b"old", b"new")

    def all_parts():
        partial = final.with_name("r.partial")
        names = UnfinishedRun(final)
        return all(read_arrays(partial / "parts" / names.part(key).name, sealed=True) for key in parts)

    for step in range(1, 200):
        shutil.rmtree(tmp_path, ignore_errors=True)
        if finished_before:
            work(b"old")
        with monkeypatch.context() as patch:
            taken = failing_at(patch, step)
            with contextlib.suppress(KeyboardInterrupt):
                work(b"new")
        if taken() < step:
            break
        begun = final.with_name("r.partial").exists()
        assert whole(final) or whole(final.with_name("r.old")) or not finished_before, step
        if not whole(final) and begun and (final.with_name("r.partial") / "summary.json").exists():
            assert all_parts(), step
        work(b"new")
        assert (final / "summary.json").read_bytes() == b"new"
        assert folders(tmp_path) == [final]
        assert os.listdir(final) == ["summary.json"]
    assert step > 10


def failing_at(patch, step):
    """The process is stopped at its n-th change of the disk; returns how many there were."""
    count = 0

    def counting(original):
        def changing(*arguments, **options):
            nonlocal count
            count += 1
            if count == step:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        return changing

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync"):
        patch.setattr(os, name, counting(getattr(os, name)))
    return lambda: count
