"""The losses for classes as they are, in closed form: rare classes, one against the rest, another score, margins."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from mpmath import mp, mpf

from ce_jax import losses
from ce_jax.losses import LOSSES
from tests import oracle

K = 4
Z, Y = oracle.adversarial_rows(K, 40, np.float32, seed=12)
PRIOR = np.array([0.5, 0.25, 0.125, 2.0**-12], np.float32)


def row_errors(grads, exact):
    return max(oracle.relative_to_row(g, t) for g, t in zip(np.asarray(grads), exact, strict=True))


# Logit adjustment


@pytest.mark.parametrize("tau", [1.0, 0.5, 2.0])
def test_logit_adjustment_keeps_the_tails(tau):
    """The prior is never added to a logit: at offsets of 10,000 that would round it away."""
    truth = [
        oracle.value_and_grad("logit_adjusted_cross_entropy", z, y, prior=PRIOR, tau=tau)
        for z, y in zip(Z, Y, strict=True)
    ]

    def value(z, prior, tau):
        return losses.logit_adjusted_cross_entropy(z, Y, prior=prior, tau=tau)

    by_hand = losses.logit_adjusted_cross_entropy_grad
    for function in (jax.jit(value), jax.jit(value, static_argnums=2)):
        assert oracle.ulps(function(Z, PRIOR, tau), [t[0] for t in truth]).max() <= 24
    grads = jax.jit(jax.grad(lambda z, tau: value(z, PRIOR, tau).sum()))(Z, tau)
    assert row_errors(grads, [t[1] for t in truth]) <= 2e-6
    assert row_errors(jax.jit(lambda z: by_hand(z, Y, prior=PRIOR, tau=tau))(Z), [t[1] for t in truth]) <= 2e-6


def test_logit_adjustment_without_a_prior_is_cross_entropy():
    plain = losses.cross_entropy(Z, Y)
    np.testing.assert_array_equal(losses.logit_adjusted_cross_entropy(Z, Y), plain)
    for prior, tau in ((np.full(K, 0.25), 1.0), (np.full(K, 7), 2.0), (PRIOR, 0.0), (np.array([0, 1, 0, 1]), 0.0)):
        np.testing.assert_allclose(losses.logit_adjusted_cross_entropy(Z, Y, prior=prior, tau=tau), plain, rtol=1e-6)
    counts = np.array([8, 4, 2, 1])
    np.testing.assert_allclose(
        losses.logit_adjusted_cross_entropy(Z, Y, prior=counts),
        losses.logit_adjusted_cross_entropy(Z, Y, prior=counts / 15),
        rtol=3e-6,
    )


def test_derivatives_by_tau_and_by_the_prior():
    """By tau E log prior - log prior_y, by a prior tau (q_k - [k = y]) / prior_k, with q the adjusted softmax."""
    with jax.enable_x64(True):
        z, y, prior, tau = jnp.array([0.5, -1.0, 2.0, 0.1]), jnp.array(3), jnp.asarray(PRIOR, float), 0.7

        def value(prior, tau):
            return losses.logit_adjusted_cross_entropy(z, y, prior=prior, tau=tau)

        by_prior, by_tau = jax.jit(jax.grad(value, argnums=(0, 1)))(prior, tau)
        q = jax.nn.softmax(z + tau * jnp.log(prior))
        assert float(by_tau) == pytest.approx(float(q @ jnp.log(prior) - jnp.log(prior)[3]), rel=1e-12)
        np.testing.assert_allclose(by_prior, tau * (q - jnp.eye(4)[3]) / prior, rtol=1e-12)


def test_a_class_of_prior_zero():
    """No competitor; as a label it costs infinity, with a finite gradient."""
    z, prior = jnp.array([[0.5, 9.0, 2.0], [0.5, 9.0, 2.0]]), jnp.array([0.5, 0.0, 0.5])
    y = jnp.array([0, 1])
    for function in (losses.logit_adjusted_cross_entropy, LOSSES["logit_adjusted_cross_entropy"].manual):
        value = jax.jit(lambda z, f=function: f(z, y, prior=prior))
        value, grad = value(z), jax.jit(jax.grad(lambda z, f=value: f(z).sum()))(z)
        assert float(value[0]) == pytest.approx(float(losses.cross_entropy(z[0, ::2], 0)), rel=1e-6)
        assert value[1] == jnp.inf
        p = jax.nn.softmax(z[0, ::2])
        np.testing.assert_allclose(grad, [[p[0] - 1, 0, p[1]], [p[0], -1, p[1]]], rtol=1e-6)
    traced = jax.jit(lambda prior: losses.logit_adjusted_cross_entropy(z, y, prior=prior))
    assert np.isnan(traced(-prior)).all()
    assert np.isnan(traced(prior.at[1].set(jnp.nan))).all()


def test_adjustment_on_another_axis_under_vmap_of_priors_and_with_hidden_classes():
    z = Z.clip(-9, 9)
    rows = losses.logit_adjusted_cross_entropy(z, Y, prior=PRIOR)
    np.testing.assert_allclose(losses.logit_adjusted_cross_entropy(z.T, Y, prior=PRIOR, axis=0), rows, rtol=1e-6)
    priors = jnp.stack([jnp.asarray(PRIOR), jnp.full(K, 0.25)])
    lanes = jax.jit(jax.vmap(lambda prior: losses.logit_adjusted_cross_entropy(z, Y, prior=prior)))(priors)
    np.testing.assert_allclose(lanes, [rows, losses.cross_entropy(z, Y)], rtol=2e-6)
    where = np.arange(K)[None] != ((Y + 1) % K)[:, None]
    masked = losses.logit_adjusted_cross_entropy(z, Y, prior=PRIOR, where=where)
    expected = losses.cross_entropy(z + np.log(PRIOR)[None], Y, where=where)
    np.testing.assert_allclose(masked, expected, rtol=2e-5, atol=1e-6)


def test_misuse_of_a_prior():
    for function in LOSSES["logit_adjusted_cross_entropy"][1:]:
        with pytest.raises(ValueError, match=r"prior: .*shape \(4,\), got \(3,\); use jax.vmap"):
            jax.eval_shape(lambda z, f=function: f(z, Y, prior=jnp.ones(3)), Z)
        for wrong, index, shown in ((np.array([1, -0.5, 0, 1]), 1, "-0.5"), (jnp.array([1, 1, jnp.nan, 1]), 2, "nan")):
            with pytest.raises(ValueError, match=rf"prior\[{index}\]: expected a finite .* at least 0, got {shown}"):
                jax.eval_shape(lambda z, f=function, p=wrong: f(z, Y, prior=p), Z)
        with pytest.raises(ValueError, match=r"prior: .* positive frequency, got 0 for every class"):
            jax.eval_shape(lambda z, f=function: f(z, Y, prior=np.zeros(4, int)), Z)
        with pytest.raises(TypeError, match="prior: expected numbers, got bool"):
            jax.eval_shape(lambda z, f=function: f(z, Y, prior=jnp.ones(4, bool)), Z)


# One against the rest


def test_one_against_the_rest_is_a_sum_of_logistic_losses():
    z = Z.clip(-8, 8)
    onehot = np.eye(K, dtype=np.float32)[Y]
    expected = optax.losses.sigmoid_binary_cross_entropy(jnp.asarray(z), jnp.asarray(onehot)).sum(-1)
    np.testing.assert_allclose(losses.sigmoid_binary_cross_entropy(z, Y), expected, rtol=1e-5)
    alone = losses.cross_entropy(jnp.stack([z[:, 0], 0 * z[:, 0]], -1), np.zeros(len(z), int))
    np.testing.assert_allclose(losses.sigmoid_binary_cross_entropy(z[:, :1], 0 * Y), alone, rtol=1e-6)


def test_one_against_the_rest_in_its_tails():
    """e^-80 on both sides, where 1 - sigmoid(z) is 0; second derivatives sigmoid(z) sigmoid(-z) too."""
    z, y = jnp.array([80.0, -80.0]), jnp.array(0)
    tiny = float(np.exp(-80.0))

    def f(z):
        return losses.sigmoid_binary_cross_entropy(z, y)

    assert float(f(z)) == pytest.approx(2 * tiny, rel=1e-5)
    grad, hessian = jax.jit(lambda z: (jax.grad(f)(z), jax.hessian(f)(z)))(z)
    np.testing.assert_allclose(grad, [-tiny, tiny], rtol=1e-5)
    np.testing.assert_allclose(np.diag(hessian), [tiny, tiny], rtol=1e-5)


# The spherical score


def test_the_spherical_score_is_a_cosine_and_the_root_of_a_softmax():
    z = Z.clip(-8, 8)
    p = np.asarray(losses.softmax(z), np.float64)
    expected = 1 - p[np.arange(len(z)), Y] / np.linalg.norm(p, axis=-1)
    np.testing.assert_allclose(losses.spherical_score(z, Y), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(losses.spherical_score(Z, Y), losses.lq_loss(2 * Z, Y, q=0.5) / 2, rtol=1e-4, atol=1e-37)


def test_the_spherical_score_is_proper():
    """Its expected gradient vanishes at the true probabilities."""
    z, y = np.tile(np.array([0.3, -1.2, 0.8, 0.0], np.float32), (4, 1)), np.arange(4)
    p, grads = losses.softmax(z[0]), losses.spherical_score_grad(z, y)
    np.testing.assert_allclose(p @ grads, 0, atol=1e-7)
    assert np.abs(grads).max() > 0.1


# Fenchel-Young


def near_the_margin(alpha, count=60):
    """A lead over one competitor that falls short of the margin by 2^-1 to 2^-20, at several offsets."""
    short = 2.0 ** -np.linspace(1, 20, count)
    z = np.zeros((count, 3))
    z[:, 0], z[:, 2] = 1 / (alpha - 1) - short, -5
    return (z + np.resize([0.0, 3.0, -0.4, 100.0], count)[:, None]).astype(np.float32)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_a_plain_alpha_is_exact_up_to_the_margin(alpha):
    z, y = near_the_margin(alpha), np.zeros(60, int)
    truth = [oracle.value_and_grad("fenchel_young_loss", row, 0, alpha=alpha) for row in z]
    value = jax.jit(lambda z: losses.fenchel_young_loss(z, y, alpha=alpha))
    assert oracle.ulps(value(z), [t[0] for t in truth]).max() <= 16
    assert row_errors(jax.jit(jax.grad(lambda z: value(z).sum()))(z), [t[1] for t in truth]) <= 1e-6
    by_hand = jax.jit(lambda z: losses.fenchel_young_loss_grad(z, y, alpha=alpha))
    assert row_errors(by_hand(z), [t[1] for t in truth]) <= 1e-6


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_loss_and_gradient_are_zero_beyond_the_margin(alpha):
    lead = 1 / (alpha - 1)
    for given in (alpha, jnp.float32(alpha)):
        value = jax.jit(jax.value_and_grad(lambda z, a=given: losses.fenchel_young_loss(z, 0, alpha=a)))
        for ahead, zero in ((lead, True), (lead + 5, True), (lead - 0.01, False)):
            found, grad = value(jnp.array([ahead, 0.0, -1.0]))
            assert (float(found) == 0) == zero
            assert (np.abs(grad).max() == 0) == zero


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("classes", [4, 40])
def test_a_plain_alpha_in_the_tails(alpha, classes):
    z, y = oracle.adversarial_rows(classes, 24, np.float32, seed=13)
    truth = [
        oracle.value_and_grad("fenchel_young_loss", row, label, alpha=alpha) for row, label in zip(z, y, strict=True)
    ]
    value, grad = jax.jit(
        lambda z: (losses.fenchel_young_loss(z, y, alpha=alpha), losses.fenchel_young_loss_grad(z, y, alpha=alpha))
    )(z)
    assert oracle.ulps(value, [t[0] for t in truth]).max() <= 16
    assert row_errors(grad, [t[1] for t in truth]) <= 4e-6


def test_the_sparsemax_loss_is_that_of_optax():
    z = Z.clip(-4, 4)
    theirs = optax.losses.multiclass_sparsemax_loss(jnp.asarray(z), jnp.asarray(Y))
    np.testing.assert_allclose(losses.fenchel_young_loss(z, Y, alpha=2), theirs, rtol=1e-4, atol=1e-6)


def test_alpha_is_continuous_from_cross_entropy_on():
    """Traced alphas in one program: at 1 cross-entropy, and the derivative by alpha against the definition."""
    alphas = jnp.array([1.0, 1.0 + 2**-20, 1.0625, 1.5, 2.0, 3.0], jnp.float32)
    z, y = jnp.asarray(Z), jnp.asarray(Y)

    @jax.jit
    def everything(alphas):
        def rows(alpha):
            return losses.fenchel_young_loss(z, y, alpha=alpha)

        return jax.vmap(rows)(alphas), jax.vmap(jax.jacfwd(rows))(alphas)

    values, slopes = everything(alphas)
    np.testing.assert_allclose(values[0], losses.cross_entropy(z, y), rtol=2e-5)
    np.testing.assert_allclose(values[1], losses.cross_entropy(z, y), rtol=1e-3, atol=1e-5)
    assert np.isfinite(slopes).all()
    with mp.workprec(oracle.BITS):
        for a, found in zip(alphas[2:5], slopes[2:5], strict=True):
            step = mpf(2) ** -60
            for row, label, slope in zip(Z[::5], Y[::5], found[::5], strict=True):
                logits = [mpf(float(x)) for x in row]
                ends = [oracle._fenchel_young_loss(logits, label, mpf(float(a)) + s * step)[0] for s in (1, -1)]
                assert abs(float((ends[0] - ends[1]) / (2 * step)) - float(slope)) <= 1e-4


def test_many_classes_beyond_the_smallest_number_add_up():
    """e^-80 in all is e^-87 each, which no float32 holds; a traced alpha must not lose them."""
    z, y = jnp.zeros((1, 1000)).at[0, 0].set(80 + np.log(999)), jnp.array([0])
    found = jax.jit(lambda a: losses.fenchel_young_loss(z, y, alpha=a))(1.0)
    np.testing.assert_allclose(found, losses.cross_entropy(z, y), rtol=2e-5)


def test_the_entmax_attains_the_maximum_that_the_loss_is():
    """L + Omega(e_y) - z_y is the maximum over p: any other distribution gives less."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=K)
    for alpha in (1.25, 1.5, 2.0):
        found = float(losses.fenchel_young_loss(jnp.asarray(z, jnp.float32), 0, alpha=alpha)) + z[0]
        best = np.asarray(losses.entmax(jnp.asarray(z, jnp.float32), alpha=alpha), float)
        p = np.concatenate([best[None], rng.dirichlet(np.ones(K), size=2000)])
        values = p @ z - ((p**alpha).sum(-1) - 1) / (alpha * (alpha - 1))
        assert values[0] == pytest.approx(found, rel=1e-6)
        assert values[1:].max() < values[0]
