"""Hessians of cross-entropy and SSR in closed form, and products with them.

The truth is a central difference of the definition's gradient in 500 bits; the error of an entry is measured against
the largest of its row's Hessian, in tails where that is 1e-30 as well as where it is 1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from ce_jax import losses
from tests import oracle

NAMES = ("cross_entropy", "ssr")
K, ROWS = 4, 24
Z, Y = oracle.adversarial_rows(K, ROWS, np.float32, seed=5)
V = np.random.default_rng(5).normal(size=(ROWS, K)).astype(np.float32)
# By route: the closed forms are as exact as the gradients, differentiated gradients lose some more.
TOLERANCE = {"closed form": 4e-6, "of the value": 4e-6, "of the manual rule": 2e-5}


def exact_hessian(name, z, y):
    """From differences of the oracle's gradient, with a step far below its 500 bits."""
    with mp.workprec(oracle.BITS):
        step, z = mpf(2) ** -150, [mpf(float(x)) for x in z]
        slopes = oracle.OF_PROBABILITIES[name]

        def grad(moved):
            return oracle._through_softmax(moved, *slopes(oracle.softmax(moved), y))[1]

        columns = []
        for k in range(len(z)):
            ahead, back = (grad([x + sign * step * (i == k) for i, x in enumerate(z)]) for sign in (1, -1))
            columns.append([(a - b) / (2 * step) for a, b in zip(ahead, back, strict=True)])
        return columns


@functools.cache
def truth(name):
    return [exact_hessian(name, z, y) for z, y in zip(Z, Y, strict=True)]


@functools.cache
def computed(name):
    """Every way to the second derivative, compiled once."""
    hessian, hvp = getattr(losses, f"{name}_hessian"), getattr(losses, f"{name}_hvp")
    loss = losses.LOSSES[name]

    @jax.jit
    def everything(z, y, v):
        def by_autodiff(function):
            return jax.vmap(jax.hessian(function))(z, y)

        def product(z, y, v):
            return jax.jvp(lambda z: jax.grad(loss.value)(z, y), (z,), (v,))[1]

        matrices = {
            "closed form": hessian(z, y),
            "of the value": by_autodiff(loss.value),
            "of the manual rule": by_autodiff(loss.manual),
        }
        return matrices, {"closed form": hvp(z, y, v), "of the value": jax.vmap(product)(z, y, v)}

    return everything(Z, Y, V)


@pytest.mark.parametrize("name", NAMES)
def test_against_the_definition(name):
    """Confidently right and wrong, ties, common offsets; by the closed form and by autodiff of both routes."""
    for route, matrices in computed(name)[0].items():
        for i, (found, exact) in enumerate(zip(np.asarray(matrices), truth(name), strict=True)):
            flat = [x for column in exact for x in column]
            error = oracle.relative_to_row(found.T.ravel(), flat)
            assert error <= TOLERANCE[route], (route, i, Z[i], Y[i], error)


@pytest.mark.parametrize("name", NAMES)
def test_products_against_the_definition(name):
    for route, products in computed(name)[1].items():
        for found, v, exact in zip(np.asarray(products), V, truth(name), strict=True):
            with mp.workprec(oracle.BITS):
                terms = [[h * mpf(float(x)) for h in column] for column, x in zip(exact, v, strict=True)]
                product = [sum(entries) for entries in zip(*terms, strict=True)]
                largest = max(abs(t) for entries in terms for t in entries)
                if largest > np.finfo(np.float32).tiny:
                    errors = [abs(mpf(float(x)) - t) / largest for x, t in zip(found, product, strict=True)]
                    assert max(errors) <= TOLERANCE[route], (route, found, product)


@pytest.mark.parametrize("name", NAMES)
def test_symmetric_with_rows_that_sum_to_zero(name):
    """Adding a number to every logit changes nothing: the vector of ones is in the kernel."""
    found = np.asarray(computed(name)[0]["closed form"], np.float64)
    scale = np.abs(found).max((1, 2), keepdims=True)
    assert (scale > 0).any()
    found = found / np.where(scale > 1e-37, scale, np.inf)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), atol=4e-6)
    np.testing.assert_allclose(found.sum(-1), 0, atol=1e-5)


def test_cross_entropy_is_convex_and_does_not_look_at_the_label():
    found = np.asarray(computed("cross_entropy")[0]["closed form"], np.float64)
    scale = np.abs(found).max((1, 2))
    assert (np.linalg.eigvalsh(found)[:, 0] >= -4e-6 * scale).all()
    z = np.tile(np.array([0.5, -1.0, 2.0, 0.25], np.float32), (K, 1))
    p = np.exp(z[0]) / np.exp(z[0]).sum()
    for matrix in jax.jit(losses.cross_entropy_hessian)(z, np.arange(K)):
        np.testing.assert_allclose(matrix, np.diag(p) - np.outer(p, p), atol=1e-7)


def test_ssr_is_not_convex():
    """Where the model is wrong it has negative eigenvalues, where it is right the smallest is 0."""
    z = np.array([[-4.0, 4.0, 0.0], [4.0, 0.0, 0.0]], np.float32)
    wrong, right = np.linalg.eigvalsh(jax.jit(losses.ssr_hessian)(z, np.array([0, 0])))
    assert wrong[0] < -1e-4
    assert right[0] > -1e-6
    assert right[-1] > 1e-4


@pytest.mark.parametrize("classes", [2, 5])
def test_true_class_ssr_turns_where_the_probability_is_one_third(classes):
    """The curvature of (1 - sigmoid(m))^2 in the log-odds m is negative exactly where sigmoid(m) < 1/3."""
    p = np.array([0.01, 0.2, 0.33, 0.34, 0.5, 0.9])
    z = np.zeros((len(p), classes), np.float32)
    z[:, 0] = np.log(p / (1 - p)) + np.log(classes - 1)

    def curvature(z):
        return jax.grad(lambda m: jax.grad(lambda m: losses.true_class_ssr(z.at[0].add(m), jnp.array(0)))(m))(0.0)

    found = jax.jit(jax.vmap(curvature))(z)
    np.testing.assert_allclose(found, 2 * p * (1 - p) ** 2 * (3 * p - 1), rtol=1e-3)
    np.testing.assert_array_equal(np.sign(found), np.sign(p - 1 / 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_shapes_axes_and_hidden_classes(name):
    """Class axis first and in the middle, under vmap, with `where`: the same matrices; bad labels give NaN."""
    hessian, hvp = getattr(losses, f"{name}_hessian"), getattr(losses, f"{name}_hvp")
    z, y, v = Z[:6].clip(-5, 5), Y[:6], V[:6]
    where = np.ones((6, K), bool)
    where[np.arange(6), (y + 1) % K] = False
    bad = np.array([-1, K, -100, (y[3] + 1) % K, y[4], y[5]])

    @jax.jit
    def everything(z, y, v):
        cube, vectors = z.reshape(2, 3, K).swapaxes(1, 2), v.reshape(2, 3, K).swapaxes(1, 2)
        kept = np.stack([np.flatnonzero(row) for row in where])
        small = hessian(jnp.take_along_axis(z, kept, 1), jnp.argmax(kept == y[:, None], 1))
        return {
            "rows": (hessian(z, y), hvp(z, y, v)),
            "vmap": jax.vmap(lambda *row: (hessian(*row[:2]), hvp(*row)))(z, y, v),
            "first": (jnp.moveaxis(hessian(z.T, y, axis=0), 2, 0), hvp(z.T, y, v.T, axis=0).T),
            "middle": (
                jnp.moveaxis(hessian(cube, y.reshape(2, 3), axis=1), 3, 1).reshape(6, K, K),
                hvp(cube, y.reshape(2, 3), vectors, axis=-2).swapaxes(1, 2).reshape(6, K),
            ),
            "hidden": (hessian(z, y, where=where), hvp(z, y, v, where=where)),
            "small": small,
            "bad": (hessian(z, bad, where=where), hvp(z, bad, v, where=where)),
        }

    found = everything(z, y, v)
    for route in ("vmap", "first", "middle"):
        for leaf, expected in zip(found[route], found["rows"], strict=True):
            np.testing.assert_allclose(leaf, expected, rtol=1e-5, atol=1e-7, err_msg=route)
    matrices, products = (np.asarray(leaf) for leaf in found["hidden"])
    expected = np.zeros((6, K, K))
    for row, matrix, small in zip(where, expected, found["small"], strict=True):
        matrix[np.ix_(row, row)] = small
    np.testing.assert_allclose(matrices, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(products, np.einsum("nij,nj->ni", expected, v), rtol=1e-4, atol=1e-6)
    for leaf in found["bad"]:
        assert np.isnan(leaf[:4]).all()
        assert np.isfinite(leaf[4:]).all()


@pytest.mark.parametrize("name", NAMES)
def test_double_precision(name):
    with jax.enable_x64(True):
        z, y = oracle.adversarial_rows(K, ROWS, np.float64, seed=6)
        matrices = {
            "closed form": getattr(losses, f"{name}_hessian"),
            "of the value": jax.vmap(jax.hessian(losses.LOSSES[name].value)),
        }
        for route, function in matrices.items():
            for found, row, label in zip(np.asarray(jax.jit(function)(z, y)), z, y, strict=True):
                flat = [x for column in exact_hessian(name, row, label) for x in column]
                assert oracle.relative_to_row(found.T.ravel(), flat) <= 2e-14, route
