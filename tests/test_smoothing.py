"""Label smoothing: what it is by the forms with targets, what it leaves alone, and the derivative by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import losses
from tests import oracle

pytestmark = pytest.mark.usefixtures("quick_compilation")

K, E = 5, 0.2
Z, Y = oracle.adversarial_rows(K, 24, np.float32, seed=3)
WHERE = np.random.default_rng(0).uniform(size=Z.shape) < 0.7
WHERE[np.arange(len(Y)), Y] = True
TARGETS = np.where(WHERE, (1 - E) * np.eye(K)[Y] + E / WHERE.sum(-1, keepdims=True), 0).astype(np.float32)


@pytest.mark.parametrize("name", ["ssr", "cross_entropy"])
def test_smoothing_spreads_over_the_visible_classes(name):
    """Value and gradient by every route, with hidden classes, are those for the target written out."""
    loss, with_targets = losses.LOSSES[name], getattr(losses, f"{name}_with_targets")

    @jax.jit
    def everything(z, e):
        def by(function):
            value, pull = jax.vjp(function, z)
            return value, pull(jnp.ones_like(value))[0]

        options = {"where": WHERE, "label_smoothing": e}
        routes = [by(lambda z, f=f: f(z, Y, **options)) for f in (loss.value, loss.manual)]
        by_hand = (routes[0][0], loss.grad(z, Y, **options))
        return by(lambda z: with_targets(z, TARGETS, where=WHERE)), [*routes, by_hand]

    (value, grad), routes = everything(Z, E)
    scale = np.abs(grad).max(-1, keepdims=True)
    for found, found_grad in routes:
        np.testing.assert_allclose(found, value, rtol=5e-6)
        np.testing.assert_allclose(found_grad / scale, grad / scale, atol=5e-6)
        np.testing.assert_array_equal(np.asarray(found_grad)[~WHERE], 0)


def test_smoothed_ssr_at_its_ends():
    """A plain 0 is the loss without smoothing, bit for bit; where the prediction is the target it is 0 to rounding."""
    row = int(np.argmax(WHERE.all(-1)))
    target, label = jnp.log(jnp.asarray(TARGETS[row])), Y[row]

    @jax.jit
    def everything(e):
        def both(z, y, **options):
            return losses.ssr(z, y, **options), losses.ssr_grad(z, y, **options)

        plain, traced = both(Z, Y), both(Z, Y, label_smoothing=e)
        return plain, both(Z, Y, label_smoothing=0), traced, both(target, label, label_smoothing=E)

    plain, zero, traced, (least, flat) = everything(0.0)
    for expected, found in zip(plain, zero, strict=True):
        np.testing.assert_array_equal(expected, found)
    np.testing.assert_allclose(traced[0], plain[0], rtol=2e-6)
    scale = np.abs(plain[1]).max(-1, keepdims=True)
    np.testing.assert_allclose(traced[1] / scale, plain[1] / scale, atol=2e-6)
    assert float(least) < 1e-13
    assert np.abs(flat).max() < 1e-6


def test_a_bad_row_of_smoothed_ssr_is_nan_and_leaves_others_alone():
    """For 1, too, where every class has the same target and equal logits have no slope."""
    z, y, kept = jnp.asarray(np.zeros((3, K), np.float32) + np.arange(K)), np.array([1, K, -1]), np.arange(3) < 1

    @jax.jit
    def of(e):
        def loss(z):
            return losses.ssr(z, y, label_smoothing=e)

        slope = jax.jvp(loss, (z,), (jnp.ones_like(z).at[:, 4].set(2.0),))[1]
        grad = jax.grad(lambda z: loss(z).sum())(z)
        mean = jax.grad(lambda z: losses.mean_over(loss(z), where=kept))(z)
        return loss(z), slope, grad, losses.ssr_grad(z, y, label_smoothing=e), mean

    for e in (0.1, 1.0):
        *rows, mean = of(e)
        for leaf in rows:
            assert np.isfinite(leaf[0]).all()
            assert np.isnan(leaf[1:]).all()
        np.testing.assert_array_equal(mean[1:], 0)
        assert np.abs(mean[0]).max() > 1e-3


def test_derivative_by_the_smoothing():
    """-2 u + 2 e (1 - 1/K), from SSR = u^2 (1 + S) - 2 e u + e^2 (1 - 1/K)."""
    z = jnp.asarray(Z)
    by_e = jax.jit(jax.vmap(jax.grad(lambda e, z, y: losses.ssr(z, y, label_smoothing=e)), (None, 0, 0)))(E, z, Y)
    wrong = 1 - np.asarray(losses.softmax(z))[np.arange(len(Y)), Y]
    np.testing.assert_allclose(by_e, -2 * wrong + 2 * E * (1 - 1 / K), rtol=1e-5, atol=1e-6)
