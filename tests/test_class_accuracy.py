"""Accuracies class by class: balanced, on the rarest half of the classes, and of each class in the end."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score

from ce_jax import compare, linear
from ce_jax.comparing import AnalysisOptions, headline, metric_name, share, tells_rare
from ce_jax.models import Layer
from ce_jax.training import METRICS, Hyperparameters, Part, Splits, make_train, rarest_half
from experiments.data import DataOptions, load_dataset
from experiments.files import read_arrays
from experiments.pages import classes
from experiments.pages.finished import read_run
from tests.small_run import run, the_folder
from tests.test_report import Page

pytestmark = pytest.mark.usefixtures("quick_compilation")


def part(labels, predicted, num_classes):
    """Inputs that a model whose weights are the identity takes for the logits of these predictions."""
    return Part(np.eye(num_classes, dtype=np.float32)[list(predicted)], np.array(labels, np.int32))


def measured(*parts, num_classes):
    """{metric: value} of a model that predicts what `part` says."""
    identity = (Layer(jnp.eye(num_classes), jnp.zeros(num_classes)),)
    train = make_train(linear(start=identity), "ssr", num_classes=num_classes, evaluate_at=(0,))
    found = jax.jit(train)(jax.random.key(0), Hyperparameters(0.0), Splits(*parts))
    return {name: np.asarray(values[-1]) for name, values in found.items()}


def three(found, kind):
    return [float(found[f"{name}_{kind}accuracy"]) for name in ("train", "validation", "test")]


def test_accuracies_by_hand():
    """Training counts 4, 1, 2, 2, 5: the rarest two of five classes are 1 and, of the two with 2, class 2."""
    train = part([0, 0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4], [0, 0, 0, 1, 1, 2, 0, 3, 3, 4, 4, 4, 4, 0], 5)
    validation = part([0, 1, 1, 2, 2, 2, 3, 4], [0, 1, 0, 2, 2, 0, 0, 0], 5)
    test = part([0, 0, 1, 1, 4], [0, 4, 1, 1, 0], 5)  # neither of classes 2 and 3
    found = measured(train, validation, test, num_classes=5)
    assert three(found, "") == pytest.approx([11 / 14, 4 / 8, 3 / 5])
    in_training, in_validation = [3 / 4, 1, 1 / 2, 1, 4 / 5], [1, 1 / 2, 2 / 3, 0, 0]
    assert three(found, "balanced_") == pytest.approx([np.mean(in_training), np.mean(in_validation), 1.5 / 3])
    assert three(found, "rare_") == pytest.approx([2 / 3, 3 / 5, 2 / 2])
    np.testing.assert_allclose(found["test_class_accuracy"], [0.5, 1, np.nan, np.nan, 0])


@pytest.mark.parametrize(
    ("train_labels", "rarest"), [([0, 0, 1], 1), ([0, 1, 1], 0), ([0, 1], 0), ([1, 1], 0)], ids=str
)
def test_of_two_classes_one_is_rare(train_labels, rarest):
    """A tie goes to the smaller number, and a class that is never trained on is the rarest."""
    train = part(train_labels, [0] * len(train_labels), 2)
    other = part([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], 2)
    found = measured(train, other, other, num_classes=2)
    assert found["test_rare_accuracy"] == pytest.approx([2 / 3, 1][rarest])
    assert found["validation_balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    if 1 in train_labels and 0 in train_labels:
        assert found["train_rare_accuracy"] == [1, 0][rarest]
    else:
        assert np.isnan(found["train_rare_accuracy"])
        assert found["train_balanced_accuracy"] == 0  # of the one class that is there


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ([3, 1, 2], [1]),
        ([2, 2, 2, 2], [0, 1]),
        ([5, 1, 1, 1, 9], [1, 2]),
        ([4, 3, 2, 1, 0, 7], [2, 3, 4]),
        ([7], [0]),
    ],
)
def test_the_rarest_half(counts, rare):
    assert np.flatnonzero(rarest_half(jnp.array(counts))).tolist() == rare


def test_balanced_accuracy_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    parts, expected = [], []
    for size in (200, 150, 100):
        labels = rng.choice(6, size, p=np.array([32, 16, 8, 4, 2, 1]) / 63)
        predicted = np.where(rng.random(size) < 0.6, labels, rng.choice(labels, size))  # no class that has no label
        parts.append(part(labels, predicted, 6))
        expected.append(balanced_accuracy_score(labels, predicted))
    assert three(measured(*parts, num_classes=6), "balanced_") == pytest.approx(expected)


def test_ties_are_not_correct_here_either():
    even = Part(np.zeros((4, 3), np.float32), np.array([0, 0, 1, 2], np.int32))
    found = measured(even, even, even, num_classes=3)
    assert three(found, "balanced_") == three(found, "rare_") == [0, 0, 0]
    assert found["test_class_accuracy"].tolist() == [0, 0, 0]


def test_metrics_have_words():
    names = {metric_name(metric) for metric in METRICS}
    assert len(names) == len(METRICS)
    assert not any("_" in name for name in names)
    assert metric_name("train_rare_accuracy") == "train accuracy on the rarest half of the classes"


def test_only_accuracies_are_targets():
    for metric in METRICS:
        if metric.endswith("accuracy"):
            assert AnalysisOptions(target_metric=metric).target_metric == metric
    options = AnalysisOptions()
    object.__setattr__(options, "target_metric", "test_rar_accuracy")  # past the types that only tests check
    with pytest.raises(ValueError, match=r"^target_metric: expected one of .*; did you mean 'test_rare_accuracy'"):
        options.__post_init__()


def config_tuning(folder):
    return json.loads((folder / "config.json").read_text())["sweep"]["tuning_seeds"]


@pytest.mark.usefixtures("own_cache")
def test_a_run_for_the_rare_classes(config, tmp_path):
    """Curves, table of runs, summary and page of a run whose target is the accuracy on rare classes."""
    words = ("data.imbalance=6", "analysis.target_metric=validation_rare_accuracy", "train.steps=60")
    assert run(config, tmp_path, *words) == 0
    folder = the_folder(tmp_path)
    curves, summary = read_arrays(folder / "curves.npz"), json.loads((folder / "summary.json").read_text())
    table = pl.read_parquet(folder / "runs.parquet")
    rates, seeds, evaluations = curves["ssr/test_accuracy"].shape
    assert curves["ssr/validation_rare_accuracy"].shape == (rates, seeds, evaluations)
    by_class = curves["ssr/test_class_accuracy"]
    assert by_class.shape == (rates, seeds, 3)
    # The test part has ten of each class, so its accuracy is balanced, and the mean over its classes.
    np.testing.assert_allclose(by_class.mean(axis=-1), curves["ssr/test_accuracy"][..., -1], atol=1e-6)
    np.testing.assert_allclose(curves["ssr/test_balanced_accuracy"], curves["ssr/test_accuracy"], atol=1e-6)
    stored = table.filter(pl.col("loss") == "ssr")["final/test_rare_accuracy"].to_numpy().reshape(rates, seeds)
    np.testing.assert_array_equal(stored, curves["ssr/test_rare_accuracy"][..., -1])
    # One of three classes is rare, and its accuracy is among those by class.
    assert (np.abs(by_class - stored[..., None]).min(axis=-1) < 1e-6).all()
    assert summary["workload"]["training_counts"] == [5, 30]
    assert summary["workload"]["imbalance"] == 6
    assert tells_rare(summary)
    final = summary["losses"]["ssr"]["final"]["test_rare_accuracy"]
    assert 0 <= final["ci"][0] <= final["mean"] <= final["ci"][1] <= 1
    assert "90 % validation accuracy on the rarest half of the classes" in headline(summary)
    page = (folder / "report.html").read_text()
    assert "test accuracy on the rarest half of the classes" in page
    assert "of which a class has 5 to 30" in page
    # Each class's own accuracy, on the page.
    place = int(np.argmin(np.abs(curves["learning_rates/ssr"] - summary["losses"]["ssr"]["best_learning_rate"])))
    shown = re.search(r'id="classes".*?</table>', page, re.DOTALL)[0]
    fresh = np.mean(by_class[place, config_tuning(folder) :].astype(float), axis=0)
    assert re.findall(r"<tr><td>(\w+)", shown) == summary["workload"]["classes"]
    assert [cells[1] for cells in re.findall(r"<td>([\d.]+ %)<small>[^<]*</small></td><td>([\d.]+ %)", shown)] == [
        share(value) for value in fresh
    ]


def test_without_imbalance_nothing_is_said_of_rare_classes(small_summary):
    assert not tells_rare(small_summary["summary"])
    assert "rare" not in small_summary["text"]


@pytest.fixture(scope="module")
def small_summary():
    iris = load_dataset("iris", DataOptions())
    knobs = {"model": linear(), "steps": 5, "seeds": 2, "tuning_seeds": 2, "widen": 0, "resamples": 99}
    found = compare(iris.inputs, iris.labels, learning_rates={"low": 0.1, "high": 1.0, "count": 2}, **knobs)
    return {"summary": found.summary, "text": str(found)}


def test_a_target_that_no_example_can_meet():
    """The rarest class has no row in the validation part."""
    train = part([0, 0, 1, 1, 2], [0] * 5, 3)
    validation = part([0, 1], [0, 1], 3)
    knobs = {"model": linear(), "steps": 5, "seeds": 2, "tuning_seeds": 1}
    with pytest.raises(
        ValueError, match=r"^analysis\.target_metric: validation_rare_accuracy needs examples of the rar"
    ):
        compare(Splits(train, validation, train), target_metric="validation_rare_accuracy", **knobs)


def test_what_has_no_value_is_null():
    """No test row of the rare class: its accuracy is null in the summary, and a diverged run's is 0."""
    train = part([0, 0, 1, 1, 2], [0, 0, 1, 1, 2], 3)
    test = part([0, 1], [0, 1], 3)
    knobs = {"model": linear(), "steps": 5, "seeds": 2, "tuning_seeds": 1, "widen": 0, "resamples": 99}
    found = compare(Splits(train, train, test), learning_rates={"low": 0.1, "high": 1.0, "count": 2}, **knobs)
    final = found.summary["losses"]["ssr"]["final"]
    assert final["test_rare_accuracy"] == {"mean": None, "ci": None}
    assert final["test_balanced_accuracy"] == final["test_accuracy"]
    assert np.isnan(found.curves["ssr"]["test_class_accuracy"][..., 2]).all()
    assert "–" in found.table  # two examples a class against one: rare enough to be told


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_many_classes_are_drawn_by_their_frequency(config, tmp_path):
    """31 classes of 32 to 2 examples: a point for each of the five numbers, its accuracy the mean of those classes."""
    words = ("dataset=heavy_tail", "data.scale=none", "train.steps=8", "sweep.widen=0", "analysis.targets=0.5")
    assert run(config, tmp_path, *words, "train.evaluation_rows=50") == 0
    page = Page(the_folder(tmp_path) / "report.html")
    finished = read_run(the_folder(tmp_path))
    stored = finished.curves["ssr"].metrics
    stored[classes.METRIC] = np.random.default_rng(0).random(stored[classes.METRIC].shape)
    found = classes.by_class(finished)
    assert found.groups == ["32", "16", "8", "4", "2"]
    np.testing.assert_allclose(found.grouped["ssr"].mean[2], found.each["ssr"].mean[3:7].mean(), atol=1e-6)
    (axes,) = classes.figure(found).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == found.groups
    assert "31 classes would hide one another" in page.text
    assert "on at most 50 of its examples" in " ".join(page.text.split())
    finished.summary["workload"].pop("class_counts")  # every seed thins other classes, or an older run
    assert classes.by_class(finished) is None
