"""What is asked of a prediction besides its loss: log-probability, entropy, entmax; and the weights of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from ce_jax import losses
from tests import oracle

K, ROWS = 5, 48
Z, Y = oracle.adversarial_rows(K, ROWS, np.float32, seed=8)


def exact_entropy(row):
    """H, its gradient and Hessian, from the definition: dH/dz_i = -p_i (log p_i + H)."""
    with mp.workprec(oracle.BITS):
        z = [mpf(float(x)) for x in row]

        def gradient(z):
            p = oracle.softmax(z)
            h = -sum(x * mp.log(x) for x in p)
            return h, [-x * (mp.log(x) + h) for x in p]

        h, grad = gradient(z)
        step, rows = mpf(2) ** -150, []
        for k in range(len(z)):
            ends = [gradient([x + sign * step * (i == k) for i, x in enumerate(z)])[1] for sign in (1, -1)]
            rows.append([(a - b) / (2 * step) for a, b in zip(*ends, strict=True)])
        return h, grad, rows


@pytest.fixture(scope="module")
def exact():
    return [exact_entropy(row) for row in Z]


def test_entropy_and_its_derivatives(exact):
    """At margins up to 80, ties, common offsets: value, gradient in both modes, Hessian."""

    @jax.jit
    def everything(z):
        grad = jax.grad(lambda z: losses.entropy(z).sum())(z)
        return (
            losses.entropy(z),
            grad,
            jax.vmap(jax.jacfwd(losses.entropy))(z),
            jax.vmap(jax.hessian(losses.entropy))(z),
        )

    value, reverse, forward, hessian = (np.asarray(x) for x in everything(Z))
    assert oracle.ulps(value, [h for h, _, _ in exact]).max() <= 8
    for i, (_, grad, matrix) in enumerate(exact):
        for found in (reverse[i], forward[i]):
            assert oracle.relative_to_row(found, grad) <= 2e-6, (i, Z[i])
        assert oracle.relative_to_row(hessian[i].ravel(), [x for row in matrix for x in row]) <= 1e-5, (i, Z[i])


@pytest.mark.slow
def test_entropy_in_double_precision_of_many_classes():
    with jax.enable_x64(True):
        z, _ = oracle.adversarial_rows(300, 16, np.float64, seed=9)
        value, grad = jax.jit(jax.vmap(jax.value_and_grad(losses.entropy)))(z)
        for row, h, slope in zip(z, np.asarray(value), np.asarray(grad), strict=True):
            with mp.workprec(oracle.BITS):
                p = oracle.softmax([mpf(float(x)) for x in row])
                exact = -sum(x * mp.log(x) for x in p)
                assert oracle.ulps(np.array([h]), [exact]).max() <= 16
                assert oracle.relative_to_row(slope, [-x * (mp.log(x) + exact) for x in p]) <= 1e-14


def test_entropy_of_impossible_and_hidden_classes():
    """A class of probability 0 contributes 0, to the derivatives either; ties are no corner."""
    z = jnp.array([0.5, -1.0, 2.0, 2.0])
    where = jnp.array([True, False, True, True])

    @jax.jit
    def everything(z, where):
        def function(z):
            return losses.entropy(z, where=where)

        return function(z), jax.grad(function)(z), jax.hessian(function)(z)

    kept = np.array([0, 2, 3])
    small = everything(z[kept], jnp.ones(3, bool))
    for given, mask in ((z.at[1].set(-jnp.inf), jnp.ones(4, bool)), (z.at[1].set(jnp.nan), where)):
        for found, reduced in zip(everything(given, mask), small, strict=True):
            expected = np.zeros((4,) * reduced.ndim)
            expected[np.ix_(*[kept] * reduced.ndim)] = reduced
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    p = np.exp(np.array([0.5, 2.0, 2.0], np.float64))
    p /= p.sum()
    assert float(small[0]) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-6)
    alone = jnp.array([3.0, -jnp.inf])
    assert float(losses.entropy(alone)) == 0.0
    np.testing.assert_array_equal(jax.jit(jax.grad(losses.entropy))(alone), 0)


def test_entropy_of_bad_rows_and_other_axes():
    z = Z.clip(-9, 9)
    np.testing.assert_allclose(losses.entropy(z.T, axis=0), losses.entropy(z), rtol=2e-6)
    assert losses.entropy(z.astype(jnp.bfloat16)).dtype == jnp.float32
    assert float(losses.entropy(jnp.zeros(8))) == pytest.approx(np.log(8), rel=1e-6)
    bad = jnp.array([[0.0, 1.0, 2.0], [jnp.nan, 0, 1], [jnp.inf, 0, 1], [-jnp.inf] * 3])
    value, grad = jax.jit(jax.vmap(jax.value_and_grad(losses.entropy)))(bad)
    assert np.isfinite(value[0])
    assert np.isnan(value[1:]).all()
    assert np.isnan(grad[1:]).all()
    kept = jnp.array([True, False, False, False])
    mean = jax.jit(jax.grad(lambda z: losses.mean_over(losses.entropy(z), where=kept)))(bad)
    np.testing.assert_array_equal(mean[1:], 0)
    assert np.abs(mean[0]).max() > 0.01


def test_log_prob_is_minus_cross_entropy():
    """Bit for bit, with its derivatives."""
    np.testing.assert_array_equal(losses.log_prob(Z, Y), -losses.cross_entropy(Z, Y))
    grad = jax.jit(jax.grad(lambda z: losses.log_prob(z, Y).sum()))(Z)
    for found, z, y in zip(np.asarray(grad), Z, Y, strict=True):
        exact = [-x for x in oracle.value_and_grad("cross_entropy", z, y)[1]]
        assert oracle.ulps(found, exact).max() <= 8
    hessians = jax.jit(jax.vmap(jax.hessian(losses.log_prob)))(Z, Y)
    np.testing.assert_allclose(hessians, -losses.cross_entropy_hessian(Z, Y), atol=1e-6)
    assert np.isnan(losses.log_prob(jnp.zeros(3), 3))
    assert losses.log_prob(jnp.array([-jnp.inf, 0.0]), 0) == -jnp.inf


# Entmax


@pytest.mark.parametrize("alpha", [1.0, 1.25, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("traced", [False, True])
def test_entmax_against_its_definition(alpha, traced):
    """By sorting and by iteration, alpha above 2 too; the sum is 1, and zeros are exact."""
    given = jnp.float32(alpha) if traced else alpha
    p = np.asarray(jax.jit(lambda z: losses.entmax(z, alpha=given))(Z))
    with mp.workprec(oracle.BITS):
        exact = [[float(x) for x in oracle.entmax([mpf(float(x)) for x in row], alpha)] for row in Z]
    np.testing.assert_allclose(p, exact, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=2e-6)
    if alpha >= 1.5 and not traced:
        assert ((p == 0) == (np.asarray(exact) == 0)).all()


def test_sparsemax_and_entmax_by_hand():
    z = jnp.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(losses.entmax(z, alpha=2), [0.75, 0.25, 0.0], rtol=1e-6)
    tau = (0.75 - np.sqrt(2 - 0.0625)) / 2  # (0.5 - tau)^2 + (0.25 - tau)^2 = 1 gives tau < 0: all three count
    assert tau < 0
    thirds = np.array([0.5, 0.25, 0.0])
    mean = thirds.mean()
    tau = mean - np.sqrt((1 - ((thirds - mean) ** 2).sum()) / 3)
    np.testing.assert_allclose(losses.entmax(z), (thirds - tau) ** 2, rtol=1e-6)
    np.testing.assert_allclose(losses.entmax(jnp.zeros(1000)), 1e-3, rtol=2e-6)
    np.testing.assert_allclose(losses.entmax(jnp.zeros(1000), alpha=2), 1e-3, rtol=2e-5)


@pytest.mark.parametrize("alpha", [1.25, 1.5, 2.0, 3.0])
def test_the_jacobian_of_entmax(alpha):
    """diag(s) - s s^T / sum s with s = p^(2 - alpha) on the support, against differences; and by alpha."""
    with jax.enable_x64(True):
        z, step, given = jnp.array([0.3, -0.2, 0.1, -3.0]), 1e-6, jnp.asarray(alpha)

        def f(z, alpha):
            return losses.entmax(z, alpha=alpha)

        @jax.jit
        def everything(z, given):
            jacobians = [jac(f)(z, a) for jac in (jax.jacrev, jax.jacfwd) for a in (given, alpha)]
            moves = step * jnp.concatenate([jnp.eye(4), -jnp.eye(4)])
            moved = jax.vmap(lambda move: f(z + move, given))(moves)
            by_alpha = (f(z, given + step) - f(z, given - step)) / (2 * step)
            return f(z, given), jacobians, (moved[:4] - moved[4:]).T / (2 * step), jax.jacfwd(f, 1)(z, given), by_alpha

        p, jacobians, differences, slope, by_alpha = everything(z, given)
        s = np.where(p > 0, np.where(p > 0, p, 1) ** (2 - alpha), 0)
        expected = np.diag(s) - np.outer(s, s) / s.sum()
        for found in jacobians:
            np.testing.assert_allclose(found, expected, atol=1e-9)
        np.testing.assert_allclose(differences, expected, atol=1e-8)
        np.testing.assert_allclose(slope, by_alpha, atol=1e-8)


def test_bad_alphas_of_entmax():
    for function in (losses.entmax, lambda z, alpha: losses.fenchel_young_loss(z, 0, alpha=alpha)):
        with pytest.raises(
            ValueError, match=r"alpha: expected a finite number of at least 1, got 0\.5; 1 is the softmax"
        ):
            function(jnp.zeros(3), alpha=0.5)
        assert np.isnan(jax.jit(function)(jnp.zeros(3), alpha=jnp.float32(0.5))).all()
    assert np.isnan(losses.entmax(jnp.array([jnp.nan, 0.0]))).all()


# Class weights


def test_class_weights_are_those_of_scikit_learn():
    labels = np.random.default_rng(0).choice(4, size=200, p=[0.7, 0.2, 0.07, 0.03])
    utils = pytest.importorskip("sklearn.utils.class_weight")
    expected = utils.compute_class_weight("balanced", classes=np.arange(4), y=labels)
    eager = losses.class_weights(labels)
    np.testing.assert_allclose(eager, expected, rtol=1e-6)
    jitted = jax.jit(losses.class_weights, static_argnums=1)(labels, 4)
    np.testing.assert_allclose(jitted, expected, rtol=1e-6)
    assert eager.dtype == jnp.float32


def test_with_class_weights_a_mean_is_the_mean_of_the_classes():
    labels, rows = np.array([0, 0, 0, 1, 2, 2]), jnp.array([1.0, 2.0, 3.0, 10.0, 4.0, 6.0])
    mean = losses.mean_over(rows, weights=losses.class_weights(labels)[labels])
    assert float(mean) == pytest.approx((2 + 10 + 5) / 3, rel=1e-6)


def test_class_weights_of_absent_classes_and_left_out_rows():
    np.testing.assert_allclose(losses.class_weights(jnp.array([0, 0, 2]), 4), [3 / 8, 0, 3 / 4, 0], rtol=1e-6)
    where = np.array([True, True, False, True])
    np.testing.assert_allclose(losses.class_weights(np.array([[0], [0], [-100], [1]])[:, 0], where=where), [0.75, 1.5])
    np.testing.assert_array_equal(losses.class_weights(jnp.array([0]), 2, where=jnp.array([False])), 0)
    jitted = jax.jit(lambda y, w: losses.class_weights(y, 2, where=w))
    np.testing.assert_allclose(jitted(jnp.array([0, 0, -100, 1]), where), [0.75, 1.5])


def test_class_weights_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"labels\[1\]: expected 0\.\.1, got 2"):
        losses.class_weights(np.array([0, 2]), 2)
    with pytest.raises(ValueError, match=r"labels.*got -1"):
        losses.class_weights(np.array([0, -1]))
    with pytest.raises(TypeError, match="integers, got float32"):
        losses.class_weights(np.zeros(2, np.float32), 2)
    with pytest.raises(TypeError, match="num_classes: expected a number for traced labels"):
        jax.jit(losses.class_weights)(jnp.array([0, 1]))
    with pytest.raises(ValueError, match="num_classes: expected a number where no row counts"):
        losses.class_weights(np.zeros(0, int))
    assert np.isnan(jax.jit(losses.class_weights, static_argnums=1)(jnp.array([0, 2]), 2)).all()
