"""Rates that are retired once their runs have long reached every target: what stays exact, and what is said of them."""

import json

import numpy as np
import polars as pl
import pytest

from ce_jax.comparing import AnalysisOptions, Curves, caveats, choose_point, long_reached, retired, summarise
from ce_jax.sweeping import Plan
from experiments.files import read_arrays
from experiments.run import execute, trainer
from experiments.run.planning import plan_for
from experiments.run.runs_table import run_table
from tests.small_run import run, the_folder
from tests.test_planning import task
from tests.test_summary import curves

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation", "own_cache")]

RETIRE = "sweep.retire_reached=true"
# The highest rates reach 0.7 in some ten steps, the lowest not in 80; no two tie, or final accuracies would decide.
WORDS = (
    "train.steps=80",
    "train.evaluate_every=1",
    "sweep.learning_rates.high=1",
    "sweep.widen=0",
    "analysis.targets=0.5,0.7",
    "analysis.sustained=2",
)
STEPS = np.array([0, 10, 20, 40])


@pytest.fixture(autouse=True, scope="module")
def cut_alike():
    """The same waves, cut alike, whether rates may be retired or not; pages are left out, which take longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "plan_for", lambda task, budget: Plan(2, 4, 1, segment_steps=10))
        patch.setattr(execute, "build_report", lambda folder: folder)
        yield


def results(out):
    folder = the_folder(out)
    summary = json.loads((folder / "summary.json").read_text())
    curves = Curves.from_arrays(read_arrays(folder / "curves.npz"))
    return summary, curves, pl.read_parquet(folder / "runs.parquet")


@pytest.fixture(scope="module")
def with_and_without(tmp_path_factory, config, quick_compilation, own_cache, cut_alike):
    """Two finished runs that differ in that key alone."""
    out = tmp_path_factory.mktemp("out")
    assert run(config, out / "with", *WORDS, RETIRE) == 0
    assert run(config, out / "without", *WORDS) == 0
    return out


def test_times_and_statuses_are_those_of_runs_to_the_end(with_and_without):
    (found, _, table), (expected, _, whole) = (results(with_and_without / name) for name in ("with", "without"))
    exact = ["loss", "learning_rate", "seed", "role", "status", "steps_to/0.5", "steps_to/0.7"]
    assert table.select(exact).equals(whole.select(exact))
    assert {"reached", "not_reached"} <= set(table["status"])
    assert found["comparisons"] == expected["comparisons"]
    assert found["untuned_comparisons"] == expected["untuned_comparisons"]
    for loss, record in expected["losses"].items():
        same = {key: value for key, value in found["losses"][loss].items() if key not in ("retired", "final")}
        assert same == {key: value for key, value in record.items() if key != "final"}


def test_what_was_not_measured_is_marked_and_counted(with_and_without):
    summary, curves, table = results(with_and_without / "with")
    gone = table["retired_at"].is_not_null()
    assert gone.any()
    assert not gone.all()
    assert (table.filter(gone)["retired_at"] >= 2 * table.filter(gone)["steps_to/0.7"]).all()
    for loss, record in summary["losses"].items():
        marks = curves[loss]["measured"]
        assert marks.dtype == bool
        np.testing.assert_array_equal(retired(curves[loss]), ~marks[..., -1])
        rows = table.filter(gone & (pl.col("loss") == loss))
        assert rows.height == np.sum(~marks[..., -1])
        best = rows.filter((pl.col("learning_rate") == record["best_learning_rate"]) & (pl.col("role") == "report"))
        assert record["retired"] == best.height
        accuracy, last = curves[loss]["test_accuracy"], marks.sum(axis=-1, keepdims=True) - 1
        np.testing.assert_array_equal(accuracy[..., -1], np.take_along_axis(accuracy, last, axis=-1)[..., 0])
    assert sum(record["retired"] for record in summary["losses"].values()) > 0


def test_nothing_of_it_is_there_unless_asked_for(with_and_without):
    summary, curves, table = results(with_and_without / "without")
    assert "retired_at" not in table.columns
    assert not [name for name in curves.to_arrays() if name.endswith("/measured")]
    assert not [record for record in summary["losses"].values() if "retired" in record]


def test_a_run_that_is_stopped_retires_the_same(with_and_without, config, tmp_path, monkeypatch):
    """Stopped at the first checkpoint that has fewer rates, and again a checkpoint later; then done by two shards."""
    original, widths = trainer.write_arrays, []

    def stopping(path, arrays, **options):
        original(path, arrays, **options)
        if path.name.endswith(".checkpoint.npz"):
            widths.append(len(arrays["columns"]))
            if sum(width < 4 for width in widths) in (1, 2) and widths[-1] < 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "write_arrays", stopping)
    for code in (130, 130, 0):
        assert run(config, tmp_path, *WORDS, RETIRE, "--shard", "1/2") == code
    assert run(config, tmp_path, *WORDS, RETIRE, "--shard", "2/2") == 0
    found, expected = the_folder(tmp_path), the_folder(with_and_without / "with")
    assert found.name == expected.name
    for name, values in read_arrays(expected / "curves.npz").items():
        np.testing.assert_array_equal(read_arrays(found / "curves.npz")[name], values, err_msg=name)
    assert (found / "summary.json").read_bytes() == (expected / "summary.json").read_bytes()
    assert pl.read_parquet(found / "runs.parquet").equals(pl.read_parquet(expected / "runs.parquet"))


def test_a_run_has_long_reached_when_it_was_trained_for_twice_as_long():
    accuracy = np.array(
        [[0.1, 0.9, 0.9, 0.9], [0.1, 0.5, 0.9, 0.9], [0.1, 0.9, 0.1, 0.9], [0.9] * 4, [0.1, 0.9, np.nan, np.nan]]
    )

    def judged(length, **options):
        found = {"validation_accuracy": accuracy[None, :, :length], "test_accuracy": np.ones((1, 5, length))}
        return long_reached(found, STEPS[:length], AnalysisOptions(targets=(0.5, 0.9), **options))[0].tolist()

    assert judged(2) == [False, False, False, True, False]
    assert judged(3) == [True, False, True, True, True]
    assert judged(4) == [True, True, True, True, True]
    assert judged(4, sustained=2) == [True, True, False, True, False]
    assert judged(1) == [False, False, False, True, False]
    assert judged(2, target_metric="test_accuracy") == [True] * 5


def with_marks(found, marks):
    """The same curves, of which only the values marked with 1 were measured."""
    return Curves.from_arrays(found.to_arrays() | {"ssr/measured": np.array(marks, bool)})


def test_a_retired_run_is_not_a_diverged_one():
    """Rate by hand: one run retired at step 20, one measured to the end, one that diverged on the way."""
    options = AnalysisOptions(targets=(0.5, 0.9), resamples=199)
    ends = [[[0.1, 0.9, 0.9, 0.9], [0.1, 0.9, 0.9, 0.8], [0.1, 0.9, np.nan, np.nan], [0.1, 0.9, 0.9, 0.9]]]
    marks = [[[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]]
    found = with_marks(curves(ssr=ends), marks)
    assert retired(found["ssr"]).tolist() == [[True, False, False, True]]
    record = summarise({"dataset": "made"}, found, 1, options)["losses"]["ssr"]
    assert (record["retired"], record["diverged"], record["by_target"]["0.9"]["reached"]) == (1, 1, 2 / 3)
    table = run_table({}, found, 1, options)
    assert table["retired_at"].to_list() == [20, None, None, 20]
    assert table["status"].to_list() == ["reached", "reached", "diverged", "reached"]


def test_accuracy_beyond_the_highest_target_breaks_no_tie_where_runs_are_retired():
    """Equal times at all rates. By the accuracies at their ends the last rate would win, and it was trained longest."""
    options = AnalysisOptions(targets=(0.5,), resamples=199)
    found = curves(ssr=[[[0.1, 0.6, 0.6, 0.4]], [[0.1, 0.6, 0.7, 0.7]], [[0.1, 0.6, 0.7, 0.9]]])

    def chosen(found):
        return choose_point(found["ssr"], found.steps, options).row

    assert chosen(found) == 2
    assert chosen(with_marks(found, [[[1, 1, 1, 1]], [[1, 1, 1, 0]], [[1, 1, 1, 1]]])) == 1
    assert chosen(with_marks(found, [[[1, 1, 1, 0]], [[1, 1, 1, 0]], [[1, 1, 1, 1]]])) == 0


def test_the_finding_says_what_retirement_costs(with_and_without):
    for name, expected in (("with", True), ("without", False)):
        lines = caveats(results(with_and_without / name)[0])
        assert any("were retired" in line for line in lines) == expected


def test_a_run_is_cut_for_it():
    """A short run would have one segment, and so no moment at which a rate could be retired."""
    assert plan_for(task("quickstart")).segment_steps is None
    assert plan_for(task("quickstart", RETIRE, "train.steps=301")).segment_steps == 38
