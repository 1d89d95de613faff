"""Runs in stages: a switch continues where the first run ended, at the rate and under the loss asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import (
    LOSSES,
    Hyperparameters,
    Part,
    Plan,
    Splits,
    linear,
    make_train,
    mlp,
    sweep,
    switched,
    trained_parameters,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(30, 4)).astype(np.float32)
    part = Part(inputs, (inputs[:, 0] + 0.3 * inputs[:, 1] > 0).astype(np.int32))
    return Splits(part, part, part)


def run(loss, steps, model=None):
    return make_train(model or linear(), LOSSES[loss], num_classes=2, evaluate_at=steps)


def test_one_loss_in_two_stages_is_one_run(data):
    hyper = Hyperparameters(0.5, {})
    whole = jax.jit(run("cross_entropy", (0, 10, 14)))(KEY, hyper, data)
    stages = jax.jit(switched(run("cross_entropy", (0, 10)), run("cross_entropy", (0, 4))))(KEY, hyper, data)
    np.testing.assert_allclose(stages["cross_entropy"], whole["cross_entropy"][1:], rtol=1e-5)


def test_the_second_stage_trains_on_its_own_loss_at_its_own_rate(data):
    hyper = Hyperparameters(0.5, {})
    first = run("cross_entropy", (0, 10))
    params = trained_parameters(first)(KEY, hyper, data)
    alone = jax.jit(run("ssr", (0, 5), linear(start=params)))(KEY, Hyperparameters(0.05, {}), data)
    stages = jax.jit(switched(first, run("ssr", (0, 5)), rate_factor=0.1))(KEY, hyper, data)
    for metric in ("train_loss", "ssr", "cross_entropy"):
        np.testing.assert_allclose(stages[metric], alone[metric], rtol=1e-5)
    other = jax.jit(switched(first, run("ssr", (0, 5))))(KEY, hyper, data)
    assert abs(float(other["ssr"][-1] - stages["ssr"][-1])) > 1e-4


def test_final_parameters_give_the_final_metrics(data):
    model, hyper = mlp((3,), activation="sigmoid"), Hyperparameters(0.5, {})
    train = run("ssr", (0, 7), model)
    logits = model.apply(trained_parameters(train)(KEY, hyper, data), jnp.asarray(data.train.inputs))
    last = jax.jit(train)(KEY, hyper, data)["ssr"][-1]
    np.testing.assert_allclose(jnp.mean(LOSSES["ssr"].value(logits, jnp.asarray(data.train.labels))), last, rtol=1e-5)


def test_a_sweep_takes_a_run_in_stages(data):
    stages = switched(run("cross_entropy", (0, 10)), run("ssr", (0, 5)))
    hyper = Hyperparameters(np.array([0.1, 0.5], np.float32), {})
    curves = sweep(stages, [0, 1], hyper, data, plan=Plan(2, 2, 1))
    assert curves["ssr"].shape == (2, 2, 2)
    key = jax.random.key(1, impl="threefry2x32")
    alone = jax.jit(stages)(key, Hyperparameters(jnp.float32(0.5), {}), data)
    np.testing.assert_allclose(curves["ssr"][1, 1], alone["ssr"], rtol=1e-4)


def test_a_run_that_diverged_stays_diverged(data):
    first = run("ssr_on_logits", (0, 200))
    curves = jax.jit(switched(first, run("cross_entropy", (0, 2)), rate_factor=1e-3))(
        KEY, Hyperparameters(1e3, {}), data
    )
    assert np.isnan(curves["train_loss"]).all()
