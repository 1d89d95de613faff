"""Waves trained by an executor: threads, fresh processes, submitit; what is sent there, and what comes back."""

import importlib
import multiprocessing
import pickle
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import jax
import numpy as np
import pytest

from ce_jax.losses import LOSSES, Loss
from ce_jax.models import linear, mlp
from ce_jax.sweeping import Plan, sweep
from ce_jax.training import Hyperparameters, Training, make_train, switched
from tests.test_training import data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

SEEDS = (3, 1, 4, 15, 9)
HYPER = Hyperparameters(np.array([0.01, 0.1, 1.0], np.float32), {})
PLAN = Plan(2, 2, 1)
TRAIN = make_train(mlp((4,)), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 2, 10), batch_size=5)


class Pickling:
    """An executor that sends everything through pickle, and does the work at once in the reverse order."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, /, *arguments):
        future = Future()
        self.waiting.append((pickle.dumps((function, arguments)), future))
        return Delayed(self, future)

    def work(self):
        while self.waiting:
            content, future = self.waiting.pop()
            function, arguments = pickle.loads(content)
            future.set_result(function(*arguments))


class Delayed:
    def __init__(self, executor, future):
        self.executor, self.future = executor, future

    def result(self):
        self.executor.work()
        return self.future.result()


@pytest.fixture(scope="module")
def here(quick_compilation):
    return sweep(TRAIN, SEEDS, HYPER, data(), plan=PLAN)


def assert_same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, err_msg=name, **tolerance)


def test_threads_give_the_same_curves(here):
    with ThreadPoolExecutor(2) as pool:
        assert_same(sweep(TRAIN, SEEDS, HYPER, data(), plan=PLAN, executor=pool), here, rtol=0)


def test_waves_are_pickled_gathered_in_order_and_compiled_once(here, monkeypatch):
    module = importlib.import_module("ce_jax.sweeping._sweep")
    compiled, original = [], module.compile_wave

    def counting(*arguments):
        compiled.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(module, "compile_wave", counting)
    assert_same(sweep(TRAIN, SEEDS, HYPER, data(), plan=PLAN, executor=Pickling()), here, rtol=0)
    assert len(compiled) == 1
    # Another sweep with other numbers in the program is another program.
    other = make_train(mlp((4,)), LOSSES["cross_entropy"], num_classes=3, evaluate_at=(0, 2, 10), batch_size=5)
    found = sweep(other, SEEDS, HYPER, data(), plan=PLAN, executor=Pickling())
    assert len(compiled) == 2
    assert not np.allclose(found["train_loss"], here["train_loss"])


def test_double_precision_travels_along():
    double = jax.tree.map(lambda leaf: leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf, data())
    hyper = Hyperparameters(np.array([0.1]), {})
    with jax.enable_x64(True), ThreadPoolExecutor(1) as pool:
        found = sweep(TRAIN, SEEDS, hyper, double, plan=PLAN, executor=pool)
    assert found["train_loss"].dtype == np.float64


def test_each_seed_keeps_its_own_split():
    splits = [jax.tree.map(lambda leaf, i=i: np.roll(leaf, i, axis=0), data()) for i in range(len(SEEDS))]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *splits)
    found = sweep(TRAIN, SEEDS, HYPER, stacked, plan=PLAN, executor=Pickling())
    assert_same(found, sweep(TRAIN, SEEDS, HYPER, stacked, plan=PLAN), rtol=0)


def test_a_failure_comes_back():
    too_large = make_train(mlp(()), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 2), batch_size=500)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="batch_size"):
        sweep(too_large, SEEDS, HYPER, data(), plan=PLAN, executor=pool)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_are_pickled_by_name(name):
    assert pickle.loads(pickle.dumps(LOSSES[name])) is LOSSES[name]


def test_a_run_is_pickled_by_its_settings():
    own = Loss("own", LOSSES["ssr"].value, None, None)
    assert pickle.loads(pickle.dumps(own)) == own
    knobs = {"optimizer": "momentum", "optimizer_options": {"momentum": 0.8}, "batch_size": 5, "row_block": 2}
    train = make_train(linear(start="gentle"), own, num_classes=3, evaluate_at=(0, 2), **knobs)
    other = pickle.loads(pickle.dumps(train))
    assert isinstance(other, Training)
    settings = [
        {name: value for name, value in vars(one).items() if name != "model"} | {"start": one.model.start}
        for one in (train, other)
    ]
    assert settings[0] == settings[1]
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(make_train(linear(), lambda z, y: z[:, 0], num_classes=3, evaluate_at=(0, 2)))


def test_a_run_in_stages_is_pickled_with_both():
    """The second under another loss, batch size and optimizer, at a rate of its own."""
    second = make_train(
        mlp((4,)), LOSSES["cross_entropy"], num_classes=3, evaluate_at=(0, 3, 8), optimizer="adam", batch_size=7
    )
    stages = switched(TRAIN, second, rate_factor=0.01)
    here = sweep(stages, SEEDS, HYPER, data(), plan=PLAN)
    found = sweep(stages, SEEDS, HYPER, data(), plan=PLAN, executor=Pickling())
    assert found["train_loss"].shape == (3, 5, 3)
    assert_same(found, here, rtol=0)
    one_stage = sweep(second, SEEDS, HYPER, data(), plan=PLAN)
    assert not np.allclose(found["cross_entropy"], one_stage["cross_entropy"])


def test_fresh_processes_give_the_same_curves(here):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = sweep(TRAIN, SEEDS, HYPER, data(), plan=PLAN, executor=pool)
    assert_same(found, here, rtol=1e-4, atol=1e-5)  # those compile with all optimizations


def test_submitit_gives_the_same_curves(here, tmp_path):
    submitit = pytest.importorskip("submitit")
    executor = submitit.LocalExecutor(folder=tmp_path)
    found = sweep(TRAIN, SEEDS[:2], HYPER, data(), plan=PLAN, executor=executor)
    assert_same(found, {name: curve[:, :2] for name, curve in here.items()}, rtol=1e-4, atol=1e-5)
