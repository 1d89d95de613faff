"""Pages of several runs are built by a process of their own, whatever becomes of it."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor

import pytest

from experiments.pages.finished import DamagedRun
from experiments.run.command import pages_beside
from tests.test_report import make_run


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "demo"
    make_run(folder, ("cross_entropy", "ssr"))
    return folder


def test_a_single_run_builds_its_own_page():
    with pages_beside(1) as build:
        assert build is None


def test_pages_are_there_at_the_end_and_what_they_raise_is_raised(made, tmp_path):
    def build_both():
        with pages_beside(2) as build:
            build(made)
            build(tmp_path / "none")

    with pytest.raises(DamagedRun, match="expected the folder of a finished run"):
        build_both()
    assert (made / "report.html").exists()


def test_a_page_whose_process_is_killed_is_built_here(made, monkeypatch):
    submit = ProcessPoolExecutor.submit
    killed = (os.kill, 0, signal.SIGKILL)  # 0: every process of the group, so the child leaves it first

    def kill(pool, function, *arguments):
        submit(pool, os.setpgid, 0, 0).result()
        return submit(pool, *killed)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", kill)
    with pages_beside(2) as build:
        build(made)
        assert not (made / "report.html").exists()
    assert (made / "report.html").exists()
