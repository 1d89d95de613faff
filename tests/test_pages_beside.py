"""Pages of several runs are built by a process of their own, whatever becomes of it."""

import subprocess
import sys

import pytest

from experiments.pages.finished import DamagedRun
from experiments.run import drawing
from experiments.run.drawing import pages_beside
from tests.test_report import make_run


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "démo \n"  # any name
    make_run(folder, ("cross_entropy", "ssr"))
    return folder


def test_a_single_run_builds_its_own_page():
    with pages_beside(1) as build:
        assert build is None


def test_another_process_builds_the_pages(made, monkeypatch, tmp_path):
    monkeypatch.setattr(drawing, "build_report", lambda folder: pytest.fail("built here"))
    monkeypatch.chdir(tmp_path)  # which is found from anywhere
    with pages_beside(2) as build:
        build(made)
    assert (made / "report.html").exists()


def test_what_a_page_raises_is_raised_at_the_end_and_the_others_are_there(made, tmp_path):
    def build_both():
        with pages_beside(2) as build:
            build(made)
            build(tmp_path / "none")

    with pytest.raises(DamagedRun, match="expected the folder of a finished run"):
        build_both()
    assert (made / "report.html").exists()


def test_a_page_whose_process_is_killed_is_built_here(made, monkeypatch):
    begun = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *rest, **knobs: begun.append(popen(*rest, **knobs)) or begun[0])
    with pages_beside(2) as build:
        build(made)
        begun[0].kill()
        begun[0].wait()
        assert not (made / "report.html").exists()
    assert (made / "report.html").exists()


def test_a_script_without_a_guard_is_run_once(made, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom experiments.run.drawing import pages_beside\nprint('begun')\n"
        f"with pages_beside(2) as build:\n    build(Path({str(made)!r}))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "begun\n"
    assert (made / "report.html").exists()
