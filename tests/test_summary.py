"""The comparison: hand-worked summaries, the fairness rules, planted unfairness that must show, and its two doors."""

import json

import numpy as np
import polars as pl
import pytest

from ce_jax import compare, linear, mlp
from ce_jax.comparing import AnalysisOptions, Curves, choose_point, choose_points, diverged, summarise, times_to
from ce_jax.training import METRICS
from experiments.data import DataOptions, load_dataset
from experiments.files import read_arrays
from experiments.run import execute
from experiments.run.runs_table import run_table
from tests.small_run import run, the_folder

STEPS = np.array([0, 10, 20, 40])
OPTIONS = AnalysisOptions(targets=(0.5, 0.9), resamples=199)


def curves(**accuracy):
    """Curves of losses with these validation accuracies [R, S, E]; a run whose accuracies end in NaN has diverged."""
    found = {"steps": STEPS, "seeds": np.arange(np.shape(next(iter(accuracy.values())))[1])}
    for loss, values in accuracy.items():
        values = np.asarray(values, float)
        found[f"learning_rates/{loss}"] = 10.0 ** np.arange(len(values))
        for metric in METRICS:
            found[f"{loss}/{metric}"] = values.copy()
    return Curves.from_arrays(found)


def chosen(found, loss, options=OPTIONS):
    """The rate that the first two seeds choose."""
    return choose_point(found.at_seeds(slice(2))[loss], found.steps, options)


# Two tuning seeds, then three fresh ones; two rates. Times to .9 by hand, rate by rate, seed by seed.
SLOW = [0.1, 0.2, 0.6, 0.9]  # .5 at 20, .9 at 40
FAST = [0.1, 0.9, 0.9, 0.9]  # both at 10
NEVER = [0.1, 0.4, 0.6, 0.8]  # .5 at 20, .9 never
LOST = [0.1, 0.9, np.nan, np.nan]  # reached, then diverged
CROSS_ENTROPY = [[SLOW, SLOW, SLOW, SLOW, SLOW], [FAST, FAST, FAST, FAST, NEVER]]
SSR = [[SLOW, SLOW, FAST, FAST, FAST], [SLOW, NEVER, LOST, SLOW, SLOW]]


def summary():
    described = {"dataset": "made", "name": "made"}
    return summarise(described, curves(ssr=SSR, cross_entropy=CROSS_ENTROPY), 2, OPTIONS)


def test_times_are_censored_and_divergence_is_never():
    found = curves(ssr=SSR)
    times = times_to(found["ssr"], found.steps, 0.9, OPTIONS)
    np.testing.assert_array_equal(times[1], [40, np.inf, np.inf, 40, 40])
    np.testing.assert_array_equal(diverged(found["ssr"])[1], [False, False, True, False, False])


def test_rates_are_chosen_on_tuning_seeds_alone():
    found = curves(ssr=SSR, cross_entropy=CROSS_ENTROPY)
    # Cross-entropy: rate 1 has mean (20 + 40) / 2, rate 10 has 10. SSR: rate 1 wins on the tuning seeds.
    assert chosen(found, "cross_entropy") == (1, 1)
    assert chosen(found, "ssr") == (0, -1)
    assert choose_points(found.at_seeds(slice(2)), OPTIONS) == {"ssr": (0, -1), "cross_entropy": (1, 1)}
    # On fresh seeds, poisoned, the chosen rates never get there and others are there at once: nobody may look at them.
    for loss, rate in (("cross_entropy", 1), ("ssr", 0)):
        accuracy = found[loss]["validation_accuracy"]
        accuracy[:, 2:], accuracy[rate, 2:] = 1.0, 0.0
    on_all = choose_points(found, OPTIONS)
    assert on_all["cross_entropy"].row == 0  # a seed of SSR's other rate has diverged, which keeps it where it is
    found = summarise({}, found, 2, OPTIONS)["losses"]
    assert (found["cross_entropy"]["best_learning_rate"], found["ssr"]["best_learning_rate"]) == (10.0, 1.0)


def test_rates_are_chosen_by_the_validation_metric():
    found = curves(ssr=SSR)
    for metric in set(METRICS) - {"validation_accuracy", "train_loss"}:
        found["ssr"][metric][:] = np.random.default_rng(0).random(found["ssr"][metric].shape)
    assert chosen(found, "ssr") == (0, -1)


def test_final_accuracy_may_choose_instead():
    early, late = [0.1, 0.9, 0.9, 0.9], [0.1, 0.2, 0.3, 1.0]
    found = curves(ssr=[[early] * 3, [late] * 3])
    assert chosen(found, "ssr").row == 0
    by_accuracy = AnalysisOptions(targets=(0.5, 0.9), tune_by="final_accuracy")
    assert chosen(found, "ssr", by_accuracy).row == 1


def test_ties_go_to_the_smaller_rate():
    assert chosen(curves(ssr=[[FAST] * 3] * 3), "ssr").row == 0


def test_summary_by_hand():
    found = summary()
    entropy, ssr = found["losses"]["cross_entropy"], found["losses"]["ssr"]
    assert (entropy["best_learning_rate"], ssr["best_learning_rate"]) == (10.0, 1.0)
    assert (entropy["on_edge"], entropy["runs"], entropy["diverged"]) == (True, 3, 0)
    # Fresh seeds of cross-entropy at rate 10: times to .9 are 10, 10, never; the horizon is 40.
    by_target = entropy["by_target"]["0.9"]
    assert by_target["reached"] == pytest.approx(2 / 3)
    assert by_target["median_steps"] == 10
    assert by_target["rmst_steps"] == pytest.approx(20)
    assert ssr["by_target"]["0.9"]["rmst_steps"] == 10
    assert entropy["final"]["test_accuracy"]["mean"] == pytest.approx((0.9 + 0.9 + 0.8) / 3)
    comparison = next(one for one in found["comparisons"] if one["target"] == 0.9)
    assert (comparison["a"], comparison["b"]) == ("cross_entropy", "ssr")
    assert comparison["rmst_ratio"] == pytest.approx(2.0)
    # Pairs: a's 10, 10, never against b's 10, 10, 10: six ties and three losses.
    assert comparison["probability_a_faster"] == pytest.approx(1 / 3)
    assert comparison["ci"][0] <= comparison["rmst_ratio"] <= comparison["ci"][1]
    json.dumps(found, allow_nan=False)


def test_a_median_that_was_never_reached_is_null():
    found = summarise({}, curves(ssr=[[NEVER] * 4, [NEVER] * 4]), 2, OPTIONS)
    by_target = found["losses"]["ssr"]["by_target"]["0.9"]
    assert by_target["median_steps"] is None
    assert by_target["reached"] == 0
    assert by_target["rmst_steps"] == 40


def test_a_diverged_run_is_counted_not_dropped():
    found = summarise({}, curves(ssr=[[FAST, FAST, LOST, FAST]] * 2), 2, OPTIONS)["losses"]["ssr"]
    assert (found["runs"], found["diverged"]) == (2, 1)
    assert found["by_target"]["0.9"]["reached"] == 0.5
    assert found["final"]["test_accuracy"]["mean"] == pytest.approx(0.45)
    assert found["final"]["cross_entropy"]["mean"] is None


def test_untuned_comparisons_use_the_rates_they_name():
    found = curves(ssr=SSR, cross_entropy=CROSS_ENTROPY)
    found["ssr"]["gradient_norm"][:] /= 10  # SSR's first step at rate 10 equals CE's at rate 1
    found = summarise({}, found, 2, OPTIONS)
    for one in found["untuned_comparisons"]:
        if one["kind"] == "equal_rate":
            assert one["learning_rates"]["cross_entropy"] == one["learning_rates"]["ssr"]
        else:
            # Wanted is 10 x 10 = 100, off the grid: the nearest rate is taken and its error is said.
            assert one["learning_rates"] == {"cross_entropy": 10.0, "ssr": 10.0}
            assert one["first_step_ratio"] == pytest.approx(0.1)
    assert {one["kind"] for one in found["untuned_comparisons"]} == {"equal_rate", "equal_first_step"}


def test_swapping_the_losses_turns_the_answer_round():
    one = summarise({}, curves(cross_entropy=CROSS_ENTROPY, ssr=SSR), 2, OPTIONS)
    other = summarise({}, curves(cross_entropy=SSR, ssr=CROSS_ENTROPY), 2, OPTIONS)
    for a, b in zip(one["comparisons"], other["comparisons"], strict=True):
        assert a["rmst_ratio"] == pytest.approx(1 / b["rmst_ratio"])
        assert a["probability_a_faster"] == pytest.approx(1 - b["probability_a_faster"])


def test_run_table():
    table = run_table({"model": "mlp", "train.steps": 40}, curves(ssr=SSR), 2, OPTIONS)
    assert table.height == 10
    assert table["status"].to_list()[5:] == ["reached", "not_reached", "diverged", "reached", "reached"]
    assert table["role"].to_list()[:5] == ["tune", "tune", "report", "report", "report"]
    assert table["steps_to/0.9"].to_list()[5:] == [40, None, None, 40, 40]
    assert table["steps_to/0.9"].dtype == pl.Int64
    assert table["final/test_accuracy"].to_list()[7] is None
    assert table["train.steps"].unique().to_list() == [40]


@pytest.mark.usefixtures("quick_compilation")
def test_compare_takes_images():
    """The same numbers as their rows; what is counted are examples and the numbers of one of them."""
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 2, 3, 1)), np.repeat(["a", "b"], 30)
    knobs = {"model": linear(), "steps": 5, "seeds": 2, "tuning_seeds": 2, "widen": 0, "resamples": 99}
    knobs["learning_rates"] = {"low": 0.1, "high": 1, "count": 2}
    images, rows = (compare(one, labels, **knobs) for one in (inputs, inputs.reshape(60, 6)))
    assert images.summary == rows.summary
    assert images.summary["workload"]["features"] == 6
    assert images.summary["workload"]["examples"] == {"train": 36, "validation": 12, "test": 12}
    for name, curve in rows.curves.to_arrays().items():
        np.testing.assert_array_equal(images.curves.to_arrays()[name], curve, err_msg=name)


# What the small experiment of the command line says, and other words for it with what they mean to `compare`.
SMALL = {
    "model": linear(),
    "steps": 30,
    "evaluations": 8,
    "learning_rates": {"low": 0.01, "high": 10.0, "count": 4},
    "widen": 1,
    "seeds": 4,
    "tuning_seeds": 2,
    "targets": [0.7, 0.9],
    "resamples": 199,
}
WORDS = {
    "model=mlp": {"model": mlp((5,), activation="tanh", start="glorot")},
    "mlp.hidden=5": {},
    "mlp.activation=tanh": {},
    "start=glorot": {},
    'loss={name="power_loss", beta=[0, 0.5]},ssr': {"losses": [{"name": "power_loss", "beta": [0, 0.5]}, "ssr"]},
    "optimizer=adam": {"optimizer": "adam"},
    "optimizer_options.b1=0.5": {"optimizer_options": {"b1": 0.5}},
    "gradient=manual": {"gradient": "manual"},
    "data.label_noise=0.1": {"label_noise": 0.1},
    "data.scale=minmax": {"scale": "minmax"},
    "data.imbalance={zipf=1}": {"imbalance": {"zipf": 1.0}},
    "data.balanced_test=false": {"balanced_test": False},
    "data.split.validation=40": {"split": {"validation": 40}},
    "train.batch_size=16": {"batch_size": 16},
    "train.evaluate_every=6": {"evaluate_every": 6},
    "train.dtype=float64": {"dtype": "float64"},
    "train.schedule=cosine": {"schedule": "cosine"},
    "sweep.first_seed=7": {"first_seed": 7},
    "sweep.search=random": {"search": "random"},
    "sweep.draws=5": {"draws": 5},
    "sweep.options.b2=0.9,0.99": {"options": {"b2": [0.9, 0.99]}},
    "sweep.options.weight_decay={low=0.001, high=0.1}": {
        "options": {"b2": [0.9, 0.99], "weight_decay": {"low": 0.001, "high": 0.1}}
    },
    "sweep.retire_reached=true": {"retire_reached": True},
    "analysis.target_metric=test_accuracy": {"target_metric": "test_accuracy"},
    "analysis.sustained=2": {"sustained": 2},
    "analysis.confidence=0.8": {"confidence": 0.8},
}


@pytest.mark.usefixtures("quick_compilation", "own_cache")
@pytest.mark.parametrize("words", [(), pytest.param(tuple(WORDS), marks=pytest.mark.slow)], ids=["small", "every word"])
def test_compare_and_run_give_the_same(words, config, tmp_path, monkeypatch):
    """The same settings by either door: the summary to the last digit, and the curves."""
    monkeypatch.setattr(execute, "build_report", lambda folder: folder)  # pages take longest
    knobs = dict(SMALL)
    for word in words:
        knobs |= WORDS[word]
    assert run(config, tmp_path, *words, "--memory", "1024") == 0
    iris = load_dataset("iris", DataOptions())
    labels = np.array(iris.class_names)[iris.labels]
    found = compare(iris.inputs, labels, **knobs, name="small", dataset="iris", memory=2**30)
    stored = json.loads((the_folder(tmp_path) / "summary.json").read_text())
    assert json.loads(json.dumps(found.summary, allow_nan=False)) == stored
    curves, expected = found.curves.to_arrays(), read_arrays(the_folder(tmp_path) / "curves.npz")
    assert set(curves) == set(expected)
    for name, values in expected.items():
        assert curves[name].dtype == values.dtype, name
        np.testing.assert_allclose(curves[name], values, rtol=1e-5, err_msg=name)
