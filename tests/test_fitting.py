"""Memory: splits that are drawn when they are asked for, and what is refused because it cannot fit."""

import dataclasses
import tracemalloc

import jax
import numpy as np
import pytest

from ce_jax.comparing import DrawnSplits, PartOptions, Point, Wave, Waves, drawn_parts_of, make_splits, split_drawer
from ce_jax.sweeping import Plan, plan_waves
from experiments.__main__ import main
from experiments.config import load_config
from experiments.errors import UserError
from experiments.run import fitting, planning
from experiments.run.workload import load_workload
from tests.small_run import CONFIG

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [50, 40, 30])
INPUTS = RNG.normal(size=(120, 3)) + LABELS[:, None]
SEEDS = (5, 0, 7)


def assert_equal(found, expected):
    for leaf, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(leaf, other)
        assert leaf.dtype == other.dtype


def drawn(options, seeds=SEEDS, inputs=INPUTS, labels=LABELS, **knobs):
    draw = split_drawer(inputs, labels, options, ("a", "b", "c"))
    return drawn_parts_of(draw, options, seeds, num_classes=3, **knobs)


@pytest.mark.parametrize(
    "options",
    [
        PartOptions(),
        PartOptions(label_noise=0.3, scale="minmax"),
        PartOptions(imbalance=5.0, scale="unit"),
    ],
)
def test_what_is_drawn_when_asked_for_is_what_was_drawn_at_once(options):
    at_once, asked = make_splits(INPUTS, LABELS, options, SEEDS), drawn(options, kept=0)
    assert isinstance(asked, DrawnSplits)
    assert_equal(asked.of(slice(None)), at_once)
    assert_equal(asked.of(np.array([2, 0])), jax.tree.map(lambda leaf: leaf[[2, 0]], at_once))
    assert_equal(asked.of(1), jax.tree.map(lambda leaf: leaf[1], at_once))
    assert_equal(drawn(options), at_once)  # which are small


def test_one_split_for_all_seeds_is_drawn_once():
    options = PartOptions(split=dataclasses.replace(PartOptions().split, seed=3))
    assert drawn(options, kept=0).train.inputs.ndim == 2


def test_sixty_seeds_take_the_memory_of_a_few():
    inputs = np.tile(INPUTS, (100, 20)).astype(np.float32)  # 2.7 MiB
    tracemalloc.start()
    try:
        asked = drawn(PartOptions(), range(60), inputs, np.tile(LABELS, 100), kept=2**20)
        asked.of([3, 4])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * inputs.nbytes


@pytest.fixture
def workload(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)

    def load(*words):
        name, (config,) = load_config(path, words)
        return load_workload(name, config)

    return load


def test_waves_of_splits_that_are_drawn_are_those_of_splits_that_are_kept(workload, quick_compilation):
    given = workload("train.batch_size=16")
    asked = drawn_parts_of(
        split_drawer(given.dataset.inputs, given.dataset.labels, given.config.data, given.dataset.class_names),
        given.config.data,
        given.task.seeds.tolist(),
        num_classes=3,
        kept=0,
    )
    lazy = dataclasses.replace(given.task, splits=asked)
    assert (lazy.batch, lazy.features, lazy.example) == (given.task.batch, given.task.features, given.task.example)
    wave = Wave(((given.task.arms[1], Point(0.1)),), (4, 2))
    kept, found = (Waves(task, Plan(2, 1, 1)).train(wave) for task in (given.task, lazy))
    for name, curve in kept.items():
        np.testing.assert_array_equal(found[name], curve)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("dataset=mixtures", "data.features=1000000000"), "data set takes 13,433 GiB; make data.features smaller"),
        (("dataset=mixtures", "data.num_classes=1000000000"), "data.num_classes"),
        (("dataset=mixtures", "data.examples_per_class=2000000000"), "data.examples_per_class"),
        (("dataset=mixtures", "data.num_classes=10000", "data.examples_per_class=10"), "data.num_classes"),
        (("model=mlp", "mlp.hidden=1000000000"), "mlp.hidden"),
        (("model=mlp", "mlp.hidden=[8, 100000, 100000]"), "mlp.hidden"),
        (("dataset=digits", "model=cnn", "cnn.hidden=1000000000"), "cnn.hidden"),
        (("train.steps=1000000", "train.evaluate_every=1", "sweep.seeds=1000"), "sweep.seeds, sweep.learning_rates"),
        (("sweep.learning_rates.count=1000000",), "sweep.learning_rates.count or train.evaluations"),
        (("sweep.search=random", "sweep.draws=1000000"), "sweep.seeds, sweep.draws"),
    ],
)
def test_what_cannot_fit_is_refused_by_its_key(workload, monkeypatch, words, key):
    monkeypatch.setattr("experiments.run.workload.machine_memory", lambda: 2**33)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="memory: expected at most 8 GiB") as caught:
            workload(*words)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()
    assert key in str(caught.value)


def test_a_network_that_only_its_program_can_tell_is_refused_by_the_plan(workload, monkeypatch, capsys, tmp_path):
    task = workload().task
    monkeypatch.setattr(planning, "lane_memory", lambda task: 2**50)
    with pytest.raises(UserError, match="training of one classifier takes 1,048,576 GiB; make the network"):
        planning.plan_for(task)
    assert main(["run", str(tmp_path / "small.toml"), "--dry-run"]) == 2
    assert "memory: expected at most" in capsys.readouterr().err


def test_the_limits_of_container_and_process_count(tmp_path, monkeypatch):
    whole = fitting.machine_memory()
    assert 2**28 < whole < 2**50
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(fitting, "_CGROUPS", (str(limit), str(tmp_path / "none")))
    limit.write_text("max\n")
    assert fitting.machine_memory() >= whole
    limit.write_text("123456789\n")
    assert fitting.machine_memory() == 123456789


def test_a_waves_seeds_bring_their_data():
    assert plan_waves((10, 50), 4, 1000, budget=100_000).seeds_per_wave == 10
    assert plan_waves((10, 50), 4, 1000, bytes_per_seed=16_000, budget=100_000).seeds_per_wave == 5
    assert plan_waves((10, 50), 4, 1000, bytes_per_seed=10**9, budget=100_000).seeds_per_wave == 1
