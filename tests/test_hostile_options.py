"""What `compare` and the losses say to options and arrays of the wrong kind: nothing is taken for something else."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from ce_jax import Part, Splits, compare, cross_entropy, expected_calibration_error, linear, ssr_grad
from ce_jax.comparing import AnalysisOptions, RateGrid, SweepOptions, TrainOptions
from ce_jax.comparing import _compare as comparing
from experiments.config import load_config
from experiments.errors import UserError

LABELS = np.repeat([0, 1, 2], 20)
INPUTS = np.random.default_rng(0).normal(size=(60, 3)) + np.eye(3)[LABELS]


@pytest.fixture(autouse=True)
def as_a_user_calls():
    """Annotations are checked in tests alone: here the library is to say itself what is wrong."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Began(Exception):
    """Everything was taken: training would begin now."""


@pytest.fixture
def took(monkeypatch):
    """`took(**knobs)` is the task that `compare` would train."""
    seen = []

    def stop(task, *_):
        seen.append(task)
        raise Began

    monkeypatch.setattr(comparing, "compared_curves", stop)

    def call(inputs=INPUTS, labels=LABELS, **knobs):
        with pytest.raises(Began):
            compare(inputs, labels, **{"model": linear(), "losses": "ssr", "seeds": 2, "tuning_seeds": 1, **knobs})
        return seen[-1]

    return call


WRONG = ["banana", -1, 1.5, np.nan, np.inf, 2**70, [], True, np.array([1, 2]), object(), b"x", 1j, (1, 2)]
KNOBS = ["losses", "optimizer", "optimizer_options", "gradient", "label_noise", "scale", "imbalance", "split", "steps"]
KNOBS += ["schedule", "batch_size", "evaluate_every", "evaluations", "dtype", "learning_rates", "options", "search"]
KNOBS += ["draws", "widen", "seeds", "tuning_seeds", "first_seed", "targets", "headline_target", "target_metric"]
KNOBS += ["sustained", "tune_by", "confidence", "resamples", "memory", "balanced_test", "retire_reached"]
FINE = {("imbalance", 1.5), ("balanced_test", True), ("retire_reached", True), ("memory", 2**70)}


@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_of_the_wrong_kind_is_refused_by_name(knob):
    for wrong in WRONG:
        if isinstance(wrong, int | float) and (knob, wrong) in FINE:
            continue
        with pytest.raises((ValueError, TypeError), match=r"expected|unknown name|has no option"):
            compare(INPUTS, LABELS, model=linear(), **{"losses": ("ssr",), "seeds": 2, "tuning_seeds": 1, knob: wrong})


def test_numbers_of_numpy_and_jax_are_numbers(took):
    task = took(steps=np.int64(7), seeds=jnp.int32(3), label_noise=np.float32(0), targets=jnp.array([0.5, 0.75]))
    assert (task.training.steps, task.sweep.seeds, task.analysis.targets) == (7, 3, (0.5, 0.75))
    assert took(targets=0.5).analysis.targets == (0.5,)


def test_a_missing_label_is_no_class():
    for missing in (np.where(LABELS == 0, np.nan, LABELS), np.array([None, *["a", "b"] * 29, "a"], object)):
        with pytest.raises(ValueError, match=r"labels\[0\]: expected a class, got (nan|None)"):
            compare(INPUTS, missing, model=linear())
    with pytest.raises(ValueError, match="labels: expected no masked values"):
        compare(INPUTS, np.ma.array(LABELS, mask=LABELS == 1), model=linear())
    with pytest.raises(ValueError, match="inputs: expected no masked values"):
        compare(np.ma.array(INPUTS, mask=INPUTS > 1), LABELS, model=linear())
    with pytest.raises(ValueError, match="values of one type, got int and str"):
        compare(INPUTS, np.array([1, "a"] * 30, object), model=linear())
    with pytest.raises(ValueError, match="at least one feature"):
        compare(INPUTS[:, :0], LABELS, model=linear())


def test_splits_are_checked_as_arrays_are(took):
    part = Part(INPUTS.astype(np.float32), LABELS)
    for wrong, match in (
        (Part(np.where(INPUTS > 2, np.nan, INPUTS), LABELS), "finite numbers"),
        (Part(INPUTS * 1e300, LABELS), "finite numbers of float32"),
        (Part(INPUTS, LABELS.astype(str)), "labels of integers"),
        (Part(INPUTS, LABELS[:5]), r"\[60, 3\] and \[5\]"),
        (Part(INPUTS[:, :2], LABELS), r"\[60, 2\] and \[60\]"),
        (Part(INPUTS[:0], LABELS[:0]), r"\[0, 3\] and \[0\]"),
        (Part(INPUTS, LABELS + 2**32), "at most 2147483647 classes"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            compare(Splits(part, wrong, part), model=linear())
    whole = Part((INPUTS * 50).astype(np.uint8), LABELS.astype(np.uint8))
    assert took(Splits(whole, whole, whole), None).example.train.inputs.dtype == np.float32


def test_labels_under_a_mask_are_no_class():
    logits = jnp.eye(3)
    for kind in (np.uint8, np.int8, np.int64, np.uint64):
        labels = np.ma.array([0, 1, 2], mask=[True, False, False], dtype=kind)
        assert np.isnan(np.asarray(cross_entropy(logits, labels))).tolist() == [True, False, False]
        assert np.isnan(np.asarray(ssr_grad(logits, labels))).all(axis=1).tolist() == [True, False, False]


def test_labels_of_the_other_byte_order_are_the_same_labels():
    logits, labels = jnp.arange(12.0).reshape(4, 3), np.array([0, 2, 1, 2**32 + 1])
    np.testing.assert_array_equal(cross_entropy(logits, labels.astype(">i8")), cross_entropy(logits, labels))


def test_labels_that_are_no_integers_are_named_as_what_they_are():
    for labels in (np.array(["a", "b", "c"]), np.array([0, 1, 2], "datetime64[s]"), np.array([0, 1, None])):
        with pytest.raises(TypeError, match="labels: expected integers, got"):
            cross_entropy(jnp.eye(3), labels)
    with pytest.raises(TypeError, match="labels: expected integers"):
        expected_calibration_error(jax.nn.softmax(jnp.eye(3)), np.array([0, 1, 2], "timedelta64[s]"))


@pytest.mark.parametrize(
    ("record", "key", "wrong"),
    [
        (TrainOptions, "dtype", "float16"),
        (TrainOptions, "evaluate_at", "linear"),
        (SweepOptions, "retire_reached", "no"),
        (AnalysisOptions, "tune_by", "time_to_targets"),
    ],
)
def test_a_text_that_is_no_choice_is_not_taken_for_another(record, key, wrong):
    with pytest.raises(ValueError, match=f"{key}: expected"):
        record(**{key: wrong})


def test_rates_that_are_0_or_infinite_in_float32_are_refused():
    for low, high in ((1e-320, 1.0), (1.0, 1e300)):
        with pytest.raises(ValueError, match="low, high: expected 0 < low < high, within"):
            RateGrid(low, high)


def test_more_evaluations_in_a_row_than_a_run_has_are_refused(took):
    with pytest.raises(ValueError, match=r"analysis.sustained: expected at most the \d+ evaluations of a run, got 999"):
        compare(INPUTS, LABELS, model=linear(), sustained=999, seeds=2)
    assert took(sustained=2).analysis.sustained == 2


@pytest.mark.parametrize("key", ["dataset", "model", "optimizer", "start"])
def test_no_workload_is_not_a_run(tmp_path, key):
    lines = {"dataset": '"iris"', "model": '"mlp"', "loss": '"ssr"', key: "[]"}
    config = tmp_path / "none.toml"
    config.write_text("\n".join(f"{name} = {value}" for name, value in lines.items()))
    with pytest.raises(UserError, match=rf"none.toml: {key}: expected a value, or a list of at least one, got \[\]"):
        load_config(config)
