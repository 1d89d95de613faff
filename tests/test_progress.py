"""How far a run is: classifiers done, steps a second, time left; and that a run tells it truly."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from ce_jax.comparing import Listener
from ce_jax.sweeping import Plan
from experiments import progress
from experiments.config import load_config
from experiments.run import execute, trainer
from experiments.run.execute import run_workload
from experiments.run.shards import Shard
from tests.small_run import CONFIG

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")


@pytest.fixture
def clock(monkeypatch):
    """The time that the module reads, set by the test."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def a_run_on(listener, clock):
    """Ten classifiers of 1,000 steps: three are stored, half of one is made, of another half is retired."""
    listener.plan(8, 1000)
    listener.plan(2, 1000)
    listener.advance(0, 3000)
    clock.seconds = 10
    listener.advance(500, 500)


def test_lines_tell_classifiers_rate_and_time_left(clock):
    console = Console(file=io.StringIO(), width=120)
    with progress.shown_on(console) as listener:
        a_run_on(listener, clock)
        clock.seconds = 14
        listener.advance(1000, 0)  # a line every five seconds
        clock.seconds = 100
        listener.advance(4500, 500)
        listener.say("[b]a message is printed as it is[/b]")
    assert [line.strip() for line in console.file.getvalue().splitlines()] == [
        "4 of 10 classifiers, 50 steps a second, 0:02:00 left",
        "10 of 10 classifiers, 60 steps a second, 0:00:00 left",
        "[b]a message is printed as it is[/b]",
    ]


def test_the_bar_tells_the_same(clock):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with progress.shown_on(console) as listener:
        bar = listener.advance.__self__
        listener.plan(10, 1000)
        listener.advance(0, 3000)
        assert str(bar) == "3 of 10 classifiers, 0 steps a second"
        clock.seconds = 10
        listener.advance(500, 500)
        (task,) = bar.progress.tasks
    assert task.description == str(bar) == "4 of 10 classifiers, 50 steps a second, 0:02:00 left"
    assert (task.completed, task.total) == (4, 10)
    assert "0:02:00 left" in console.file.getvalue()


class Counting:
    """Adds up what a listener is told; `stop` ends the run at a message."""

    def __init__(self, stop=None):
        self.planned = self.made = self.spared = 0
        self.stop = stop
        self.listener = Listener(self.say, self.plan, self.advance)

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
    monkeypatch.setattr(trainer, "plan_for", lambda task, budget: Plan(2, 4, 1, segment_steps=10))
    monkeypatch.setattr(execute, "build_report", lambda folder: folder)

    def go(out, counting, *overrides, **knobs):
        name, (config,) = load_config(tmp_path / "small.toml", ("loss=ssr", *overrides))
        run_workload(name, config, tmp_path / out, ["test"], counting.listener, **knobs)
        assert counting.made + counting.spared == counting.planned
        return counting

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
    retiring = go("four", Counting(), "sweep.retire_reached=true", "analysis.targets=0.35")
    assert retiring.made < one.planned == retiring.planned
