"""Odd surroundings: names with markup, terminals without signs, no home, files that are none, and crashes."""

import io
import os
import pwd
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments import listing, runtime, surroundings
from experiments.__main__ import main
from experiments.errors import UserError
from experiments.toml_files import read_toml
from tests.small_run import CONFIG

AWKWARD = "[red]x[/red] [/y] :boom: \\[z]"


def crashing(monkeypatch, error):
    def crash(console):
        raise error

    monkeypatch.setattr(listing, "list_command", crash)


@pytest.mark.parametrize("words", [["list"], ["report", "FOLDER"]])
def test_anything_unexpected_is_one_line_and_a_file(tmp_path, monkeypatch, capsys, words):
    crashing(monkeypatch, ZeroDivisionError(f"{AWKWARD}\nand more"))
    monkeypatch.setattr("experiments.run.command.report_command", lambda *words: listing.list_command(None))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main([str(tmp_path) if word == "FOLDER" else word for word in words]) == 1
    told = capsys.readouterr().err
    (file,) = tmp_path.glob("error-*.txt")
    assert told == f"error: unexpected: ZeroDivisionError: {AWKWARD}; the traceback is in {file}\n"
    assert "in crash" in file.read_text()


def test_a_crash_is_told_where_nothing_can_be_written(tmp_path, monkeypatch, capsys):
    crashing(monkeypatch, ZeroDivisionError())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert main(["list"]) == 1
    told = capsys.readouterr().err
    assert "unexpected: ZeroDivisionError: ZeroDivisionError (" in told
    assert "test_surroundings.py, line" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "told"), [(BrokenPipeError(), 1, ""), (KeyboardInterrupt(), 130, "stopped;")]
)
def test_what_is_no_crash(tmp_path, monkeypatch, capsys, error, code, told):
    crashing(monkeypatch, error)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["list"]) == code
    shown = capsys.readouterr().err
    assert told in shown if told else shown == ""
    assert list(tmp_path.iterdir()) == []


def test_a_thread_may_run_a_command(monkeypatch):
    monkeypatch.setattr(listing, "list_command", lambda console: 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["list"]).result() == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_the_signs(monkeypatch, encoding):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(listing, "list_command", lambda console: console.print("7 ≥ 6 – µ \udcff 数 ┃") or 0)
    assert main(["list"]) == 0
    streams["stdout"].flush()
    shown = streams["stdout"].buffer.getvalue()
    if encoding == "utf-8":
        assert shown.decode() == "7 ≥ 6 – µ \\udcff 数 ┃\n"
    else:
        micro = b"u" if encoding == "ascii" else b"\xb5"
        assert shown == b"7 >= 6 - " + micro + b" \\udcff \\u6570 \\u2503\n"


def test_names_stand_as_they_are(tmp_path, capsys):
    assert main(["list"]) == 0
    assert "|p_k - [k = y]| = 2" in " ".join(capsys.readouterr().out.split())
    place = tmp_path / "[bold]a[" / "bold]:boom:"
    place.mkdir(parents=True)
    (place / "[red]c.toml").write_text(CONFIG)
    assert main(["run", str(place / "[red]c.toml"), "--dry-run"]) == 0
    assert "[red]c-" in capsys.readouterr().out
    assert main(["run", str(place / "[red]c.toml"), f"dataset=csv:{place}/[old].csv"]) == 2
    assert f"{place}/[old].csv" in capsys.readouterr().err


def test_a_process_without_a_home_gets_one_while_it_lives(tmp_path, monkeypatch):
    def nobody(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    kept = []
    monkeypatch.setattr(surroundings.atexit, "register", lambda *words, **options: kept.append(words))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("HOME", str(tmp_path))
    surroundings.prepare_home()
    assert os.environ["HOME"] == str(tmp_path)  # one that can be written stays
    for change in (lambda: monkeypatch.delenv("HOME"), lambda: monkeypatch.setenv("HOME", str(tmp_path / "none"))):
        change()
        surroundings.prepare_home()
        assert Path.home().is_dir()
        assert Path.home().parent == tmp_path
    assert len(kept) == 2


def test_no_folder_for_compiled_programs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert runtime._cache() is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert runtime._cache() == tmp_path / "ce_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert runtime._cache() is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "not valid TOML"),
        (b"x = " + b"[" * 5000, "not valid TOML"),
        (b"x = 1" + b"0" * 5000, "not valid TOML: Exceeds the limit"),
        (b"x = ", "not valid TOML"),
    ],
)
def test_what_is_no_toml(tmp_path, content, told):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_toml(tmp_path / "c.toml")


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, told in ((tmp_path, "a folder"), (tmp_path / "pipe", "a pipe"), ("/dev/null", "a pipe or a device")):
        with pytest.raises(UserError, match=f"expected a TOML file, got {told}"):
            read_toml(Path(path))
    with pytest.raises(UserError, match="not valid TOML: embedded null"):
        read_toml(Path("a\0b"))
    (tmp_path / "mark.toml").write_bytes(b"\xef\xbb\xbfx = 1")
    assert read_toml(tmp_path / "mark.toml") == {"x": 1}


@pytest.mark.parametrize(
    "command", [["run", "CONFIG"], ["audit", "ssr"], ["claims", "--quick", "nielsen-erratum"], ["lesson"], ["bench"]]
)
@pytest.mark.parametrize(
    "out", ["PLACE/file", "PLACE/file/below", "PLACE/pipe", "/dev/null", "/proc/x", "a\0b", "PLACE/" + "y" * 300]
)
def test_an_unusable_out_is_told_before_any_work(tmp_path, capsys, command, out):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "c.toml").write_text(CONFIG)
    words = [str(tmp_path / "c.toml") if word == "CONFIG" else word for word in command]
    assert main([*words, "--out", out.replace("PLACE", str(tmp_path))]) == 2
    told = capsys.readouterr().err
    assert "--out: cannot write to" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("place", [".", "/", "", "a\0b", "\udcff", "[/x]"])
def test_report_of_what_is_no_run(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    assert main(["report", place]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "unexpected" not in told
