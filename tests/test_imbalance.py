"""Classes made rare on purpose: how many of each are left, who draws which, and what is refused."""

import json

import jax
import numpy as np
import pytest

from ce_jax import compare, linear
from ce_jax.comparing import PartOptions, SplitOptions, Zipf, label, make_splits
from experiments.data import DataOptions, load_dataset
from experiments.errors import UserError
from tests.small_run import run, the_folder

SEEDS = range(6)


def made(counts=(100, 120, 150, 400), features=2):
    """Inputs that say which row they are, and labels."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    return np.arange(len(labels) * features, dtype=float).reshape(-1, features), labels


def parts(seeds=SEEDS, data=None, **options):
    return make_splits(*(data or made()), PartOptions(scale="none", **options), seeds)


def counts_of(part, num_classes=4):
    """[S, K] examples of each class."""
    return np.stack([np.bincount(labels, minlength=num_classes) for labels in part.labels])


# The smallest class has 60 examples to train on, 20 to validate with and 20 to test with.
RANKED = {
    8.0: ([60, 30, 15, 8], [20, 10, 5, 2]),  # 7.5 and 2.5 are rounded to the even number
    27.0: ([60, 20, 7, 2], [20, 7, 2, 1]),
    60.0: ([60, 15, 4, 1], [20, 5, 1, 1]),  # of the validation part at least one
    Zipf(1.0): ([60, 30, 20, 15], [20, 10, 7, 5]),
    Zipf(2.0): ([60, 15, 7, 4], [20, 5, 2, 1]),
}


@pytest.mark.parametrize("imbalance", RANKED, ids=str)
def test_counts_fall_geometrically_or_as_a_power_of_the_rank(imbalance):
    train, validation, test = parts(imbalance=imbalance)
    for part, expected in zip((train, validation), RANKED[imbalance], strict=True):
        for counts in counts_of(part):
            assert sorted(counts, reverse=True) == expected
    # Both parts are thinned alike: a class has the same rank in both.
    np.testing.assert_array_equal(counts_of(train) == 60, counts_of(validation) == 20)
    assert (counts_of(test) == [20, 24, 30, 80]).all()  # as the data are


def test_the_test_part_may_be_thinned_alike():
    train, validation, test = parts(imbalance=27.0, balanced_test=False)
    np.testing.assert_array_equal(counts_of(test), counts_of(validation))
    plain = parts(imbalance=27.0)
    for one, other in ((train, plain.train), (validation, plain.validation)):
        np.testing.assert_array_equal(one.inputs, other.inputs)


def test_every_seed_draws_which_class_is_rare():
    train = parts(range(200), imbalance=27.0).train
    often = np.mean(counts_of(train) == 60, axis=0)
    np.testing.assert_allclose(often, 1 / 4, atol=0.1)
    rarest = np.mean(counts_of(train) == 2, axis=0)
    np.testing.assert_allclose(rarest, 1 / 4, atol=0.1)


def test_a_lane_depends_on_its_own_seed_alone_and_one_split_has_one_draw():
    own, alone = parts([3, 4, 5], imbalance=8.0, label_noise=0.1), parts([4], imbalance=8.0, label_noise=0.1)
    fixed = parts([0, 1], imbalance=8.0, label_noise=0.1, split=SplitOptions(seed=4))
    for name in own._fields:
        for field in ("inputs", "labels"):
            lane = getattr(getattr(own, name), field)[1]
            np.testing.assert_array_equal(lane, getattr(getattr(alone, name), field)[0])
            np.testing.assert_array_equal(lane, getattr(getattr(fixed, name), field))


def test_what_stays_is_some_of_what_was_there():
    """Those of the plain split, in its order, with their labels: no example twice, none from another part."""
    whole, thin = parts(), parts(imbalance=27.0, balanced_test=False)
    for one, other in zip(whole, thin, strict=True):
        for lane in range(len(SEEDS)):
            rows = one.inputs[lane, :, 0].tolist()
            places = [rows.index(row) for row in other.inputs[lane, :, 0]]
            assert places == sorted(set(places))
            np.testing.assert_array_equal(one.labels[lane][places], other.labels[lane])


def test_an_imbalance_of_1_changes_nothing():
    for one, other in zip(jax.tree.leaves(parts(imbalance=1.0)), jax.tree.leaves(parts()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_scaling_is_fitted_on_what_stays():
    train = make_splits(*made(), PartOptions(imbalance=27.0), [0, 1], dtype="float64").train
    np.testing.assert_allclose(train.inputs.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(train.inputs.std(axis=1), 1)


def test_label_noise_comes_after():
    clean, noisy = (parts(imbalance=8.0, label_noise=noise) for noise in (0.0, 0.2))
    assert clean.train.labels.shape == (6, 113)
    np.testing.assert_array_equal(clean.train.inputs, noisy.train.inputs)
    assert ((clean.train.labels != noisy.train.labels).sum(axis=1) == 23).all()
    np.testing.assert_array_equal(clean.validation.labels, noisy.validation.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imbalance": 61.0}, r"^data\.imbalance: expected at most 60, so that the rarest class keeps .*got 61$"),
        ({"imbalance": Zipf(3.0)}, r"^data\.imbalance\.zipf: expected at most 2\.953, .* \(.* has 60\), got 3$"),
        ({"balanced_test": False}, r"^data\.balanced_test: expected true where data\.imbalance does not"),
        (
            {"imbalance": 2.0, "split": SplitOptions(validation=3)},
            r"an example of every class in the validation part; make data\.split\.validation larger",
        ),
        ({"imbalance": 2.0, "balanced_test": False, "split": SplitOptions(test=3)}, r"make data\.split\.test larger"),
    ],
)
def test_what_cannot_be_thinned(options, message):
    with pytest.raises(ValueError, match=message):
        parts(**options)


@pytest.mark.parametrize("value", [0.5, -1.0, float("nan"), float("inf")])
def test_ratios_out_of_range(value):
    with pytest.raises(ValueError, match=r"^imbalance: expected a ratio from 1 or \{zipf = exponent\}"):
        PartOptions(imbalance=value)
    if value != 0.5:
        with pytest.raises(ValueError, match=r"^zipf: expected an exponent above 0"):
            Zipf(value)


def test_a_data_set_that_is_too_small_is_named():
    with pytest.raises(UserError, match=r"^dataset 'iris': data\.imbalance: expected at most 30, .* got 50$"):
        load_dataset("iris", DataOptions(imbalance=50.0))


@pytest.mark.usefixtures("quick_compilation", "own_cache")
@pytest.mark.parametrize(
    ("words", "knobs"),
    [
        (("data.imbalance=10", "data.balanced_test=false"), {"imbalance": 10, "balanced_test": False}),
        pytest.param(("data.imbalance={zipf=1}",), {"imbalance": {"zipf": 1}}, marks=pytest.mark.slow),
    ],
)
def test_both_doors_thin_alike(words, knobs, config, tmp_path):
    """`run` and `compare` give the same summary; losses are paired, and the page can be written."""
    assert run(config, tmp_path, "analysis.targets=0.8,0.9", *words) == 0  # above the share of the largest class
    stored = json.loads((the_folder(tmp_path) / "summary.json").read_text())
    iris = load_dataset("iris", DataOptions())
    found = compare(
        iris.inputs,
        np.array(iris.class_names)[iris.labels],
        model=linear(),
        steps=30,
        evaluations=8,
        learning_rates={"low": 0.01, "high": 10.0, "count": 4},
        widen=1,
        seeds=4,
        tuning_seeds=2,
        targets=[0.8, 0.9],
        resamples=199,
        name="small",
        dataset="iris",
        **knobs,
    )
    assert json.loads(json.dumps(found.summary)) == stored
    first, second = found.curves.losses.values()
    np.testing.assert_array_equal(first["ssr"][:, :, 0], second["ssr"][:, :, 0])  # before the first step


@pytest.mark.usefixtures("quick_compilation", "own_cache")
def test_a_run_on_heavy_tailed_classes(config, tmp_path, capsys):
    """From the config to the table, which has a column for the rare half of the seven classes."""
    assert run(config, tmp_path, "dataset=heavy_tail", "data.m=3", "data.scale=none", "analysis.targets=0.5") == 0
    workload = json.loads((the_folder(tmp_path) / "summary.json").read_text())["workload"]
    assert workload["examples"] == {"train": 24, "validation": 24, "test": 28}
    assert (workload["features"], len(workload["classes"]), workload["training_counts"]) == (32, 7, [2, 8])
    assert "on rare" in capsys.readouterr().out
    assert run(config, tmp_path / "other", "data.m=3") == 2
    assert "data.m: expected none, as only the data set heavy_tail" in capsys.readouterr().err


def test_workloads_of_one_data_set_that_differ_in_imbalance_alone_have_two_labels():
    plain = {"dataset": "digits", "model": "linear", "optimizer": "sgd", "start": "he", "batch_size": "full"}
    plain |= {"steps": 5, "schedule": "constant", "search": "grid", "options": {}}
    first, second = {"workload": plain}, {"workload": {**plain, "imbalance": 50}}
    assert label(second, [first]) == "digits · linear · sgd · imbalance 50"
    assert label(first, [second]) == "digits · linear · sgd"
    assert label(second, [{"workload": {**plain, "dataset": "iris"}}]) == "digits · linear · sgd"
