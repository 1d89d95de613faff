"""Targets that make sense: not below what always answering one class scores, for configs and for `compare` alike."""

import numpy as np
import pytest

from ce_jax import compare, linear
from ce_jax.comparing import (
    AnalysisOptions,
    SweepOptions,
    Task,
    TrainOptions,
    sensible_target,
    target_warnings,
    yardstick,
)
from ce_jax.training import Part, Splits
from experiments.config import load_config
from experiments.errors import UserError
from experiments.run.workload import load_workload
from tests.small_run import ROOT, run

TINY = {"steps": 2, "seeds": 2, "tuning_seeds": 1, "widen": 0, "resamples": 99}
TINY |= {"learning_rates": {"low": 0.01, "high": 1, "count": 2}}


def judged(metric, *targets, **labels):
    """A task of which no more is there than the yardstick looks at."""
    parts = {name: np.asarray(labels.get(name, [0, 1, 2])) for name in Splits._fields}
    seeds = next((own.shape[:1] for own in parts.values() if own.ndim == 2), ())
    parts = {name: np.broadcast_to(own, (*seeds, own.shape[-1])) for name, own in parts.items()}
    return Task(
        model=linear(),
        arms=(),
        splits=Splits(**{name: Part(own, own) for name, own in parts.items()}),
        num_classes=3,
        optimizer="sgd",
        optimizer_options={},
        gradient="autodiff",
        training=TrainOptions(),
        sweep=SweepOptions(),
        analysis=AnalysisOptions(targets=targets or (0.9,), target_metric=metric),
    )


def test_what_one_class_scores():
    skewed = [0] * 6 + [1] * 3 + [2]
    assert yardstick(judged("validation_accuracy", validation=skewed)).share == pytest.approx(0.6)
    assert yardstick(judged("test_accuracy", validation=skewed)).share == pytest.approx(1 / 3)
    assert yardstick(judged("train_accuracy", train=skewed))[1:3] == ("train", 10)
    assert yardstick(judged("validation_balanced_accuracy", validation=skewed)).share == pytest.approx(1 / 3)
    # A class that the part has no example of has no accuracy that would count.
    assert yardstick(judged("test_balanced_accuracy", test=[0, 0, 1])).share == pytest.approx(1 / 2)
    assert yardstick(judged("validation_rare_accuracy", validation=skewed)).share == 0
    # Each seed thins classes of its own: what counts is the largest of each seed.
    two = [[0, 0, 0, 1], [1, 1, 1, 0]]
    assert yardstick(judged("validation_accuracy", validation=two)).share == pytest.approx(0.75)


def test_targets_that_say_little():
    half = [0, 0, 1, 1]
    assert target_warnings(judged("validation_accuracy", 0.5, 0.75, 1.0, validation=half)) == [
        "target 0.5 is what always answering one class scores"
    ]
    assert target_warnings(judged("validation_accuracy", 0.8, 0.9, validation=half)) == [
        "targets 0.8 and 0.9 are the same: each needs 4 right of the 4 validation examples"
    ]
    assert target_warnings(judged("validation_accuracy", 0.9, validation=half)) == [
        "target 0.9 needs all 4 validation examples right"
    ]


@pytest.mark.parametrize("share", [0.1, 0.5, 1 / 3, 0.9, 0.977, 0.9999])
def test_a_sensible_target_lies_between(share):
    assert share < sensible_target(share) < 1


def skewed_data():
    labels = np.repeat([0, 1], [430, 10])
    return np.random.default_rng(0).normal(size=(440, 2)), labels


def test_compare_refuses_a_target_that_one_class_meets():
    inputs, labels = skewed_data()
    with pytest.raises(
        ValueError, match=r"^analysis\.targets: always answering one class scores 97\.73 % validation"
    ) as e:
        compare(inputs, labels, model=linear(), targets=(0.95, 0.98), **TINY)
    assert all(part in str(e.value) for part in ("got 0.95", "0.99 for example"))
    assert "\n" not in str(e.value)
    found = compare(
        inputs, labels, model=linear(), targets=(0.95,), target_metric="validation_balanced_accuracy", **TINY
    )
    assert list(found.summary["losses"]["ssr"]["by_target"]) == ["0.95"]


def test_a_config_with_such_a_target_is_refused_in_one_line(tmp_path, capsys):
    inputs, labels = skewed_data()
    rows = "\n".join(f"{x},{y},{label}" for (x, y), label in zip(inputs, labels, strict=True))
    (tmp_path / "a.csv").write_text(f"u,v,label\n{rows}\n")
    config = ROOT / "configs" / "wine.toml"
    assert run(config, tmp_path, f"dataset=csv:{tmp_path}/a.csv") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(part in said for part in ("97.73 %", "0.99"))
    assert run(config, tmp_path, f"dataset=csv:{tmp_path}/a.csv", "analysis.targets=0.99", "--dry-run") == 0


def test_imbalance_that_is_made_counts():
    """Thinned classes: of the iris flowers one species is most of the validation part, not of the test part."""
    words = ["data.imbalance=20", "analysis.targets=0.6", "model=linear", "optimizer=sgd"]
    name, (config,) = load_config(ROOT / "configs" / "iris.toml", words)
    with pytest.raises(UserError, match=r"analysis\.targets"):
        load_workload(name, config)
    name, (config,) = load_config(ROOT / "configs" / "iris.toml", [*words, "analysis.target_metric=test_accuracy"])
    assert yardstick(load_workload(name, config).task).share == pytest.approx(1 / 3)
