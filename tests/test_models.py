"""Models, and backpropagation by hand against autodiff, finite differences and the published worked example."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import backprop
from ce_jax.losses import LOSSES
from ce_jax.models import Layer, linear, mlp

# The iris network of the textbook (weights as published, rows = units; ours are [in, out], hence the transposes).
TEXTBOOK = (
    Layer(jnp.array([[-2.5, 0.6], [-1.5, 0.4]]).T, jnp.array([1.6, 0.7])),
    Layer(jnp.array([[-0.1, 1.5], [2.4, -5.2], [-2.2, 3.7]]).T, jnp.array([0.0, 0.0, 1.0])),
)

pytestmark = pytest.mark.usefixtures("quick_compilation")
FLOWERS = jnp.array([[0.04, 0.42], [1.00, 0.54], [0.50, 0.37]])
SPECIES = jnp.array([0, 2, 1])


def problem(activation="tanh", hidden=(5, 4), classes=3, features=3, samples=7):
    rng = np.random.default_rng(3)
    model = mlp(hidden, activation=activation)
    params = model.init(jax.random.key(0), features, classes)
    inputs = jnp.asarray(rng.normal(size=(samples, features)).astype(np.float32))
    return model, params, inputs, jnp.asarray(rng.integers(0, classes, samples))


def test_apply_and_columns_are_the_same_map():
    model, params, inputs, _ = problem()
    np.testing.assert_allclose(
        model.apply(params, inputs), model.columns(model.packed(params), inputs).T, rtol=2e-6, atol=1e-6
    )


@pytest.mark.parametrize("start", ["he", "glorot", "gentle", "saturated", (0.3, 0.7)])
def test_starts_have_their_standard_deviation(start):
    fan_in, width, classes = 300, 200, 100
    hidden, output = mlp((width,), start=start).init(jax.random.key(1), fan_in, classes)
    expected = {
        "he": ((2 / fan_in) ** 0.5, (1 / width) ** 0.5),
        "glorot": ((2 / (fan_in + width)) ** 0.5, (2 / (width + classes)) ** 0.5),
        "gentle": ((2 / fan_in) ** 0.5, 0.01),
        "saturated": ((2 / fan_in) ** 0.5, 4.0),
    }.get(start, start)
    assert np.allclose([hidden.weight.std(), output.weight.std()], expected, rtol=0.03)
    assert not hidden.bias.any()
    assert not output.bias.any()


def test_explicit_parameters_are_the_start():
    params = mlp((2,), start=TEXTBOOK).init(jax.random.key(0), 2, 3)
    assert all(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(TEXTBOOK), strict=True))
    with pytest.raises(ValueError, match=r"expected weights of shapes \[\(4, 2\), \(2, 3\)\]"):
        mlp((2,), start=TEXTBOOK).init(jax.random.key(0), 4, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "reluu"}, "activation: expected one of relu, tanh, sigmoid"),
        ({"start": "het"}, "start: expected one of he, glorot"),
        ({"start": (0.1, 0.2, 0.3)}, "one entry for each of the 2 layers"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp((4,), **arguments)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_backprop_equals_autodiff(name, activation):
    model, params, inputs, labels = problem(activation)
    loss = LOSSES[name]
    value, gradients = jax.jit(lambda p: backprop(p, model, loss, inputs, labels))(params)
    expected, autodiff = jax.jit(jax.value_and_grad(lambda p: jnp.mean(loss.value(model.apply(p, inputs), labels))))(
        params
    )
    assert np.isclose(value, expected, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(autodiff), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6 * (np.abs(theirs).max() + 1e-3))


@pytest.mark.parametrize("name", ["cross_entropy", "ssr"])
def test_backprop_equals_finite_differences(name):
    with jax.enable_x64(True):
        model, params, inputs, labels = problem("sigmoid")
        params, inputs = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, inputs))
        flat, rebuild = jax.flatten_util.ravel_pytree(params)
        _, gradients = jax.jit(lambda p: backprop(p, model, name, inputs, labels))(params)
        value = jax.jit(jax.vmap(lambda p: jnp.mean(LOSSES[name].value(model.apply(rebuild(p), inputs), labels))))
        step = 1e-6 * np.eye(len(flat))
        differences = (value(flat[None] + step) - value(flat[None] - step)) / 2e-6
        np.testing.assert_allclose(jax.flatten_util.ravel_pytree(gradients)[0], differences, atol=1e-9)


def test_textbook_network():
    """facts.md, 'The textbook example': probabilities, total, and the derivative for one bias."""
    model = mlp((2,), start=TEXTBOOK)
    probabilities = jax.nn.softmax(model.apply(TEXTBOOK, FLOWERS))
    np.testing.assert_allclose(probabilities[jnp.arange(3), SPECIES], [0.5677, 0.5761, 0.5182], atol=5e-5)
    value, _ = backprop(TEXTBOOK, model, "cross_entropy", FLOWERS, SPECIES)
    assert np.isclose(3 * value, 1.7750, atol=5e-5)
    moved = (TEXTBOOK[0], TEXTBOOK[1]._replace(bias=jnp.array([-2.0, 0.0, 1.0])))
    value, gradients = backprop(moved, model, "cross_entropy", FLOWERS, SPECIES)
    assert np.isclose(3 * value, 2.6659, atol=5e-5)
    assert np.isclose(3 * gradients[1].bias[0], -0.7732, atol=5e-5)


def test_linear_has_no_hidden_layer():
    (layer,) = linear(start="gentle").init(jax.random.key(0), 4, 3)
    assert layer.weight.shape == (4, 3)
