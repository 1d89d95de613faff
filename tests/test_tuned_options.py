"""Schedules and traced optimizer options of a single run: against plain loops of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ce_jax import Hyperparameters, Part, Splits, linear, make_optimizer, make_train, sweep, switched
from ce_jax.losses import cross_entropy
from ce_jax.sweeping import Plan, compile_wave
from ce_jax.training import SCHEDULES, optimizer_names, tunable_options

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(12, 3)).astype(np.float32)
LABELS = np.arange(12) % 3
PART = Part(INPUTS, LABELS)
DATA = Splits(PART, PART, PART)
KEY = jax.random.key(0, impl="threefry2x32")
STEPS = 40


def train_of(steps=STEPS, **knobs):
    return make_train(linear(), "cross_entropy", num_classes=3, evaluate_at=tuple(range(steps + 1)), **knobs)


def plain_loop(transform, steps=STEPS):
    """The training loss after every step of an ordinary loop of optax."""
    (layer,) = linear().init(jax.random.split(KEY)[0], 3, 3)

    def loss(params):
        return jnp.mean(cross_entropy(INPUTS @ params[0] + params[1][None], LABELS))

    params = (layer.weight, layer.bias)
    state, values = transform.init(params), [loss(params)]

    @jax.jit
    def step(params, state):
        updates, state = transform.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        return params, state, loss(params)

    for _ in range(steps):
        params, state, value = step(params, state)
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_a_scheduled_run_is_a_plain_loop_of_optax(name, optimizer):
    found = jax.jit(train_of(optimizer=optimizer, schedule=name))(KEY, Hyperparameters(jnp.float32(0.3)), DATA)
    factor = SCHEDULES[name](STEPS)
    loop = plain_loop(getattr(optax, optimizer)(lambda step: 0.3 * factor(step)))
    np.testing.assert_allclose(found["train_loss"], loop, rtol=2e-5)
    assert abs(loop[-1] - plain_loop(getattr(optax, optimizer)(0.3))[-1]) > 1e-4 or name == "constant"


def test_the_shapes_of_schedules():
    """The factor of the rate after so many of 200 steps."""
    at = {0: 0, 10: 10, 20: 20, 99: 99, 100: 100, 149: 149, 150: 150, 200: 200}
    found = {name: [float(SCHEDULES[name](200)(step)) for step in at] for name in SCHEDULES}
    steps = np.array(list(at))
    down = 0.5 * (1 + np.cos(np.pi * (steps - 20) / 180))
    expected = {
        "constant": np.ones(8),
        "cosine": 0.5 * (1 + np.cos(np.pi * steps / 200)),
        "linear": 1 - steps / 200,
        "exponential": 0.01 ** (steps / 200),
        "warmup_cosine": np.where(steps < 20, steps / 20, down),
        "step": np.array([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)
    for name, make in SCHEDULES.items():
        for horizon in (1, 2, 3):
            assert all(0 <= float(make(horizon)(step)) <= 1 for step in range(horizon + 1)), (name, horizon)


def test_constant_is_the_program_of_before():
    hyper = Hyperparameters(jnp.float32(0.3))
    text = jax.jit(train_of(schedule="constant")).lower(KEY, hyper, DATA).as_text()
    assert text == jax.jit(train_of()).lower(KEY, hyper, DATA).as_text()
    assert text != jax.jit(train_of(schedule="linear")).lower(KEY, hyper, DATA).as_text()
    state = train_of().begin(KEY, hyper, DATA)
    assert jax.tree.leaves(state.optimizer_state) == []  # nobody counts steps


def test_a_schedule_goes_on_over_segments():
    train, hyper = train_of(schedule="cosine", batch_size=5), Hyperparameters(np.float32([0.1, 0.3]))
    whole, cut = (sweep(train, [0, 1], hyper, DATA, plan=Plan(2, 2, 1, segment)) for segment in (None, 7))
    for name, values in whole.items():
        np.testing.assert_array_equal(cut[name], values, err_msg=name)


@pytest.mark.slow
def test_after_a_switch_the_schedule_begins_anew():
    hyper = Hyperparameters(jnp.float32(0.3))
    found = switched(train_of(6), train_of(4, schedule="step"))(KEY, hyper, DATA)["train_loss"]
    # The second run takes its first half at the full rate.
    np.testing.assert_allclose(found[:3], plain_loop(optax.sgd(0.3))[6:9], rtol=2e-5)
    assert found[2] - found[3] < 0.2 * (found[1] - found[2])


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"schedule": "cosin"}, "schedule: expected one of constant, cosine, .*, got 'cosin'; did you mean 'cosine'"),
        ({"schedule": "cosine", "optimizer": "rprop"}, "schedule: expected 'constant', as optax.rprop takes a fixed"),
        ({"optimizer_options": {"momentun": 1}}, "optax.sgd has no option 'momentun'; did you mean 'momentum'"),
        ({"optimizer": "adafactor", "optimizer_options": {"weight_decay": 1}}, "did you mean 'weight_decay_rate'"),
        ({"optimizer_options": {"learning_rate": 1}}, "optax.sgd has no option 'learning_rate'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(knobs, message):
    with pytest.raises(ValueError, match=message):
        train_of(**knobs)


OPTIONS = {"momentum": np.float32([0.0, 0.9]), "weight_decay": np.float32([0.1, 0.01])}


def test_traced_options_are_those_of_a_plain_loop_and_one_program(monkeypatch):
    """Two points of SGD, side by side in a wave, against two loops; weight decay is L2 in the gradient."""
    compiled, original = [], jax.stages.Lowered.compile
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self, *a, **k: compiled.append(self) or original(self, *a, **k)
    )
    hyper = Hyperparameters(np.float32([0.3, 0.05]), {}, OPTIONS)
    wave = compile_wave(train_of(), Plan(1, 2, 1), hyper, DATA)
    found = wave.run([0], hyper, DATA)["train_loss"][:, 0]
    again = wave.run(
        [0], Hyperparameters(hyper.learning_rate, {}, {**OPTIONS, "momentum": np.float32([0.5, 0.5])}), DATA
    )
    assert len(compiled) == 2  # what begins runs and what advances them
    for row, (rate, momentum, decay) in enumerate([(0.3, 0.0, 0.1), (0.05, 0.9, 0.01)]):
        transform = optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate, momentum=momentum))
        np.testing.assert_allclose(found[row], plain_loop(transform), rtol=2e-5)
    half = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.3, momentum=0.5))
    np.testing.assert_allclose(again["train_loss"][0, 0], plain_loop(half), rtol=2e-5)


@pytest.mark.slow
def test_an_optimizer_with_its_own_weight_decay_keeps_it():
    hyper = Hyperparameters(jnp.float32(0.05), {}, {"weight_decay": jnp.float32(0.3), "b1": jnp.float32(0.7)})
    found = jax.jit(train_of(optimizer="adamw"))(KEY, hyper, DATA)["train_loss"]
    np.testing.assert_allclose(found, plain_loop(optax.adamw(0.05, b1=0.7, weight_decay=0.3)), rtol=5e-5)
    added = jax.jit(train_of(optimizer="adam", optimizer_options={"weight_decay": 0.3}))
    l2 = optax.chain(optax.add_decayed_weights(0.3), optax.adam(0.05))
    found = added(KEY, Hyperparameters(jnp.float32(0.05)), DATA)["train_loss"]
    np.testing.assert_allclose(found, plain_loop(l2), rtol=5e-5)


@pytest.mark.slow
def test_options_that_can_be_tuned_are_numbers():
    assert tunable_options("sgd", {"momentum": 0.9}) == ("weight_decay",)
    assert tunable_options("adam") == ("b1", "b2", "eps", "eps_root", "weight_decay")
    assert "clipping_threshold" in tunable_options("adafactor")
    for name in optimizer_names():
        for option in tunable_options(name):
            assert not {"nesterov", "mask", "dtype", "accumulator_dtype"} & {option}, name
        assert tunable_options(name), name
    make_optimizer("rmsprop", 0.1, {"centered": True})
    assert "centered" not in tunable_options("rmsprop")
