"""How far a run is: classifiers done, steps a second, time left; and that a run tells it truly."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

import experiments.run as run_module
from ce_jax.sweep import Plan
from experiments import progress
from experiments.config import load_config
from experiments.run import run_workload
from experiments.shards import Shard
from tests.small_run import CONFIG

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")


@pytest.fixture
def clock(monkeypatch):
    """The time that the module reads, set by the test."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def a_run_on(reporter, clock):
    """Ten classifiers of 1,000 steps: three are stored, half of one is made, of another half is retired."""
    reporter.plan(8, 1000)
    reporter.plan(2, 1000)
    reporter.advance(0, 3000)
    clock.seconds = 10
    reporter.advance(500, 500)


def test_lines_tell_classifiers_rate_and_time_left(clock):
    console = Console(file=io.StringIO(), width=120)
    with progress.shown_on(console) as reporter:
        a_run_on(reporter, clock)
        clock.seconds = 14
        reporter.advance(1000, 0)  # a line every five seconds
        clock.seconds = 100
        reporter.advance(4500, 500)
    assert [line.strip() for line in console.file.getvalue().splitlines()] == [
        "4 of 10 classifiers, 50 steps a second, 0:02:00 left",
        "10 of 10 classifiers, 60 steps a second, 0:00:00 left",
    ]


def test_the_bar_tells_the_same(clock):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with progress.shown_on(console) as reporter:
        reporter.plan(10, 1000)
        reporter.advance(0, 3000)
        assert str(reporter) == "3 of 10 classifiers, 0 steps a second"
        clock.seconds = 10
        reporter.advance(500, 500)
        (task,) = reporter.progress.tasks
    assert task.description == str(reporter) == "4 of 10 classifiers, 50 steps a second, 0:02:00 left"
    assert (task.completed, task.total) == (4, 10)
    assert "0:02:00 left" in console.file.getvalue()


class Counting:
    """A reporter that adds up; `stop` ends the run at a message."""

    def __init__(self, stop=None):
        self.planned = self.made = self.spared = 0
        self.stop = stop

    def say(self, message):
        if self.stop and self.stop in message:
            raise KeyboardInterrupt

    def plan(self, classifiers, steps):
        self.planned += classifiers * steps

    def advance(self, made, spared):
        self.made, self.spared = self.made + made, self.spared + spared


@pytest.mark.slow
def test_what_is_made_and_what_is_spared_come_to_what_is_planned(tmp_path, monkeypatch):
    """In one go; stopped and continued; by shards, each of which leaves the other's waves; with rates retired."""
    (tmp_path / "small.toml").write_text(CONFIG)
    monkeypatch.setattr(run_module, "plan_for", lambda workload, budget: Plan(2, 4, 1, segment_steps=10))
    monkeypatch.setattr(run_module, "build_report", lambda folder: folder)

    def go(out, reporter, *overrides, **knobs):
        name, (config,) = load_config(tmp_path / "small.toml", ("loss=ssr", *overrides))
        run_workload(name, config, tmp_path / out, ["test"], reporter, **knobs)
        assert reporter.made + reporter.spared == reporter.planned
        return reporter

    one = go("one", Counting())
    assert one.spared == 0
    assert one.planned == 6 * 8 * 30  # every seed at the four rates, and at four more past the edge
    with pytest.raises(KeyboardInterrupt):
        go("two", stopped := Counting("reporting"))
    assert stopped.made == 2 * 8 * 30
    continued = go("two", Counting())
    assert (continued.made, continued.spared) == (4 * 8 * 30, 2 * 8 * 30)
    shards = [go("three", Counting(), shard=Shard(number, 2)) for number in (1, 2)]
    assert sum(shard.made for shard in shards) == one.planned
    retiring = go("four", Counting(), "sweep.retire_reached=true", "analysis.targets=0.1")
    assert retiring.made < one.planned == retiring.planned
