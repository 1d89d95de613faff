"""The families that join cross-entropy to other losses: their ends, their parameter, what lies between.

The parameter is traced throughout: every number here comes out of one compiled program per family and route.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import losses
from ce_jax.losses import LOSSES
from tests import oracle

FAMILIES = {"power_loss": "beta", "lq_loss": "q"}
PARAMETERS = np.array([0.0, 1e-6, 0.01, 0.3, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0], np.float32)
K, ROWS = 4, 32
Z, Y = oracle.adversarial_rows(K, ROWS, np.float32, seed=7)


@functools.cache
def along_the_family(name):
    """Value, gradients by every route and derivative by the parameter, one lane per parameter; and how often traced."""
    loss, option, traced = LOSSES[name], FAMILIES[name], []

    @jax.jit
    def lanes(parameters, z, y):
        def one(parameter):
            traced.append(parameter)

            def value(z, parameter):
                return loss.value(z, y, **{option: parameter})

            def manual(z):
                return loss.manual(z, y, **{option: parameter}).sum()

            rows, pull = jax.vjp(lambda z: value(z, parameter), z)
            by_parameter = jax.jvp(lambda p: value(z, p), (parameter,), (jnp.ones(()),))[1]
            reverse = jax.grad(lambda p: value(z, p).sum())(parameter)
            by_hand = loss.grad(z, y, **{option: parameter})
            grads = {"autodiff": pull(jnp.ones_like(rows))[0], "manual": jax.grad(manual)(z), "by hand": by_hand}
            return rows, grads, by_parameter, reverse

        return jax.vmap(one)(parameters)

    return lanes(PARAMETERS, Z, Y), lanes, traced


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_between_the_ends(name):
    """Within 1e-4 of the definition, value and gradient by every route, at margins from -80 to 80."""
    (values, grads, _, _), _, _ = along_the_family(name)
    for i, parameter in enumerate(PARAMETERS):
        options = {FAMILIES[name]: float(parameter)}
        truth = [oracle.value_and_grad(name, z, y, **options) for z, y in zip(Z, Y, strict=True)]
        exact = parameter in (0, 1)
        assert oracle.ulps(values[i], [t[0] for t in truth]).max() <= (16 if exact else 1e-4 * 2**23), parameter
        for route, grad in grads.items():
            errors = [oracle.relative_to_row(g, t[1]) for g, t in zip(grad[i], truth, strict=True)]
            assert max(errors) <= (2e-6 if exact else 1e-4), (parameter, route, int(np.argmax(errors)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_ends_are_the_losses_found_there(name):
    """The bounds of those losses are kept, see above; here both are compared as they are computed."""
    (values, grads, _, _), _, _ = along_the_family(name)
    last = losses.ssr if name == "power_loss" else lambda z, y: losses.mean_absolute_error(z, y) / 2
    for parameter, end in ((0.0, losses.cross_entropy), (1.0, last)):
        i = list(PARAMETERS).index(parameter)
        expected, pull = jax.vjp(jax.jit(lambda z, end=end: end(z, Y)), Z)
        (slope,) = pull(np.ones(ROWS, np.float32))
        np.testing.assert_allclose(values[i], expected, rtol=3e-6, atol=1e-37)
        scale = np.abs(slope).max(-1, keepdims=True) + 1e-37
        for route, grad in grads.items():
            np.testing.assert_allclose(grad[i] / scale, slope / scale, atol=4e-6, err_msg=f"{parameter} {route}")


@pytest.mark.parametrize("name", FAMILIES)
def test_derivative_by_the_parameter(name):
    """At 0 as anywhere else, forward and reverse; no 0/0, and finite at every margin."""
    (_, _, by_parameter, reverse), _, _ = along_the_family(name)
    assert np.isfinite(by_parameter).all()
    np.testing.assert_allclose(reverse, by_parameter.sum(-1), rtol=1e-5)
    for i, parameter in enumerate(PARAMETERS):
        at = float(parameter)
        truth = [float(oracle.by_option(name, FAMILIES[name], at, z, y)) for z, y in zip(Z, Y, strict=True)]
        np.testing.assert_allclose(by_parameter[i], truth, rtol=1e-5, atol=1e-37, err_msg=str(parameter))


@pytest.mark.parametrize("name", FAMILIES)
def test_derivative_by_the_parameter_at_zero_in_closed_form(name):
    """-c^2 / 2 for two equal logits: the power score adds c to it and sum_k p_k log p_k, which is -c there."""
    option = FAMILIES[name]
    found = jax.jit(jax.grad(lambda b: LOSSES[name].value(jnp.zeros(2), jnp.array(0), **{option: b})))(0.0)
    assert float(found) == pytest.approx(-(np.log(2) ** 2) / 2, rel=1e-6)


def test_an_impossible_label_leaves_the_family_finite_but_for_its_start():
    """p_y = 0: 1/q for the L_q loss, 1/b + sum_k p_k^(1+b) for the power score, gradient 0; +inf at parameter 0."""
    z, y = np.array([-np.inf, 0.0, 0.0], np.float32), np.array(0)
    parameters = np.array([0.0, 0.5, 1.0, 2.0], np.float32)
    for name, option in FAMILIES.items():
        value = functools.partial(lambda z, b, name, option: LOSSES[name].value(z, y, **{option: b}), name=name)
        lanes = jax.jit(jax.vmap(jax.value_and_grad(functools.partial(value, option=option)), in_axes=(None, 0)))
        found, grads = lanes(z, parameters)
        b = parameters[1:]
        np.testing.assert_allclose(found[1:], 1 / b + (2 * 0.5 ** (1 + b) if name == "power_loss" else 0), rtol=1e-6)
        np.testing.assert_array_equal(grads[1:], 0)
        assert found[0] == np.inf
        np.testing.assert_allclose(grads[0], [-1, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_compiled_program_for_the_whole_bridge(name):
    """Other parameters, the same program; a lane gives what the loss gives alone with a number for a parameter."""
    (values, _, _, _), lanes, traced = along_the_family(name)
    before = len(traced)
    others, *_ = lanes(PARAMETERS[::-1].copy(), Z, Y)
    assert len(traced) == before
    np.testing.assert_allclose(others[::-1], values, rtol=1e-6)
    option = FAMILIES[name]
    alone = jax.jit(lambda z: LOSSES[name].value(z, Y, **{option: 0.5}))(Z)
    np.testing.assert_allclose(alone, values[list(PARAMETERS).index(0.5)], rtol=1e-5)


@pytest.mark.slow
def test_training_along_the_bridge_is_one_compiled_program():
    """The parameter moves from 0 to 1 during the run, so that it starts on cross-entropy and ends on SSR."""
    traced, rng = [], np.random.default_rng(0)
    labels = rng.integers(3, size=60)
    inputs = (np.eye(3)[labels] + 0.3 * rng.normal(size=(60, 3))).astype(np.float32)

    @jax.jit
    def train(betas):
        traced.append(betas)

        def step(weights, beta):
            grad = jax.grad(lambda w: losses.mean_over(losses.power_loss(inputs @ w, labels, beta=beta)))(weights)
            return weights - 0.5 * grad, None

        return jax.lax.scan(step, jnp.zeros((3, 3)), betas)[0]

    annealed = train(jnp.linspace(0.0, 1.0, 50))
    by_cross_entropy, by_ssr = train(jnp.zeros(50)), train(jnp.ones(50))
    assert len(traced) == 1
    for weights in (annealed, by_cross_entropy, by_ssr):
        assert (np.argmax(inputs @ weights, -1) == labels).mean() > 0.9
    assert np.linalg.norm(by_cross_entropy) > np.linalg.norm(annealed) > np.linalg.norm(by_ssr)


def test_the_power_score_is_proper():
    """Its expected gradient vanishes where the model states the true probabilities, for every parameter."""
    z, y = np.tile(np.array([0.3, -1.2, 0.8, 0.0], np.float32), (4, 1)), np.arange(4)
    of_betas = jax.jit(jax.vmap(lambda b: losses.power_loss_grad(z, y, beta=b)))
    p, grads = losses.softmax(z[0]), of_betas(np.array([0.0, 0.3, 1.0, 2.5], np.float32))
    np.testing.assert_allclose(np.einsum("y,byk->bk", p, grads), 0, atol=1e-7)
    improper = np.einsum("y,yk->k", p, jax.jit(losses.lq_loss_grad)(z, y, q=1.0))
    assert np.abs(improper).max() > 0.01
