"""Gradient walks and curvature: downhill in every coordinate, of bounded random lengths, and known Hessians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import LOSSES, gradient_walk, hessian_eigenvalues, linear

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(5)


def bowl(params):
    return jnp.sum(params["a"] ** 2) + 3 * jnp.sum(params["b"] ** 2)


START = {"a": jnp.array([40.0, -40.0]), "b": jnp.array([[25.0], [0.0]])}


def test_a_walk_goes_downhill_in_each_coordinate_by_random_lengths():
    walk = gradient_walk(bowl, START, KEY, steps=30, step_size=0.5)
    a, b = walk.points["a"], walk.points["b"]
    np.testing.assert_array_equal(a[0], START["a"])
    lengths = -np.diff(a, axis=0) * np.sign(a[:-1])
    assert np.all((lengths >= 0) & (lengths < 0.5))
    assert np.ptp(lengths) > 0.3
    assert len(np.unique(lengths[0])) == 2  # of its own for each coordinate
    np.testing.assert_array_equal(b[:, 1], 0)  # no derivative, no step
    expected = np.sqrt(4 * np.sum(np.square(a), axis=1) + 36 * np.sum(np.square(b), axis=(1, 2)))
    np.testing.assert_allclose(walk.gradient_norms, expected, rtol=1e-5)


def test_a_walk_does_not_depend_on_the_scale_of_the_loss():
    first = gradient_walk(bowl, START, KEY, steps=20, step_size=1.0)
    second = gradient_walk(lambda params: 0.2 * bowl(params), START, KEY, steps=20, step_size=1.0)
    np.testing.assert_array_equal(first.points["a"], second.points["a"])
    np.testing.assert_allclose(second.gradient_norms, 0.2 * first.gradient_norms, rtol=1e-5)


def test_walks_are_vmapped():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: gradient_walk(bowl, START, key, steps=4, step_size=1.0))(keys)
    alone = gradient_walk(bowl, START, keys[2], steps=4, step_size=1.0)
    np.testing.assert_allclose(together.points["b"][2], alone.points["b"], rtol=1e-6)


def test_eigenvalues_of_a_known_hessian():
    np.testing.assert_allclose(hessian_eigenvalues(bowl, START), [2, 2, 6, 6], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "convex"), [("cross_entropy", True), ("ssr", False)])
def test_cross_entropy_of_a_linear_model_is_convex_and_ssr_is_not(loss, convex):
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(30, 3)), jnp.float32)
    labels, model = rng.integers(0, 3, 30), linear(start=(4.0,))
    params = model.init(KEY, 3, 3)

    def value(params):
        return jnp.mean(LOSSES[loss].value(model.apply(params, inputs), labels))

    assert bool(hessian_eigenvalues(value, params)[0] > -1e-4) == convex
