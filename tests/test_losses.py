"""Every loss under every transformation, the policy for bad input, and the relations between losses.

Exactness has a file of its own, `test_loss_precision.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ce_jax
from ce_jax import LOSSES, mean_over, validate_labels, with_manual_grad

pytestmark = pytest.mark.usefixtures("quick_compilation")

ORACLE = ("cross_entropy", "ssr", "true_class_ssr")


def gradient(name, route, axis=-1):
    """(logits, labels) -> gradient of the sum of losses, by a route; rows are independent."""
    loss = LOSSES[name]
    if route == "by hand":
        return jax.jit(lambda z, y: loss.grad(z, y, axis=axis))
    value = loss.manual if route == "manual rule" else loss.value
    if route == "forward mode":
        return jax.jit(jax.vmap(lambda z, y: jax.jacfwd(lambda one: loss.value(one, y))(z)))
    return jax.jit(jax.grad(lambda z, y: value(z, y, axis=axis).sum()))


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_transformation_agrees(name):
    """jit, vmap, another class axis, scan and a Hessian by two routes give what the plain call gives."""
    loss = LOSSES[name]
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6, 4)).astype(np.float32) * 3
    labels = rng.integers(0, 4, 6).astype(np.int32)
    plain, slope = jax.jit(loss.value)(logits, labels), jax.jit(loss.grad)(logits, labels)
    np.testing.assert_allclose(jax.jit(jax.vmap(loss.value))(logits, labels), plain, rtol=2e-6)
    np.testing.assert_allclose(jax.jit(lambda z, y: loss.value(z, y, axis=0))(logits.T, labels), plain, rtol=2e-6)
    np.testing.assert_allclose(
        jax.jit(lambda z, y: loss.grad(z, y, axis=0))(logits.T, labels).T, slope, rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(jax.jit(gradient(name, "autodiff", 0))(logits.T, labels).T, slope, rtol=1e-4, atol=1e-6)
    scanned = jax.jit(lambda z, y: jax.lax.scan(lambda c, row: (c, loss.value(*row)), 0, (z, y))[1])(logits, labels)
    np.testing.assert_allclose(scanned, plain, rtol=2e-6)
    hessian = jax.jit(jax.vmap(jax.hessian(loss.value)))(logits, labels)
    by_rule = jax.jit(jax.vmap(jax.hessian(loss.manual)))(logits, labels)
    by_hand = jax.jit(jax.vmap(jax.jacrev(loss.grad)))(logits, labels)
    np.testing.assert_allclose(hessian, by_hand, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_rule, by_hand, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_label_out_of_range_is_nan_in_its_row_alone(name):
    logits = np.arange(15, dtype=np.float32).reshape(5, 3)
    labels = np.array([-1, 3, 1, 100, -100])
    expected = [True, True, False, True, True]
    for function in (LOSSES[name].value, LOSSES[name].manual):
        assert np.isnan(jax.jit(function)(logits, labels)).tolist() == expected
    for route in ("autodiff", "manual rule", "by hand"):
        assert np.isnan(gradient(name, route)(logits, labels)).all(axis=1).tolist() == expected, route


@pytest.mark.parametrize("name", ORACLE)
def test_masked_classes_are_as_if_absent(name):
    """`where` gives what the smaller problem gives, whatever the hidden logits hold; a hidden label is NaN."""
    loss = LOSSES[name]
    logits = jnp.array([[1.0, jnp.nan, -2.0, 0.5], [0.0, 1e30, 3.0, 1.0]])
    where = jnp.array([True, False, True, True])
    labels, smaller = jnp.array([0, 3]), jnp.array([0, 2])
    kept = logits[:, jnp.array([0, 2, 3])]
    np.testing.assert_allclose(loss.value(logits, labels, where=where), loss.value(kept, smaller), rtol=1e-6)
    slope = jax.jit(jax.grad(lambda z: loss.value(z, labels, where=where).sum()))(logits)
    np.testing.assert_allclose(slope[:, jnp.array([0, 2, 3])], loss.grad(kept, smaller), rtol=1e-5, atol=1e-7)
    assert not slope[:, 1].any()
    assert bool(jnp.isnan(loss.value(logits, jnp.array([1, 1]), where=where)).all())


@pytest.mark.parametrize("name", ORACLE)
def test_infinite_logits(name):
    """-inf on a wrong class is a class of probability 0; on the right class cross-entropy is +inf."""
    loss = LOSSES[name]
    finite, infinite = jnp.array([1.0, 0.5]), jnp.array([1.0, 0.5, -jnp.inf])
    assert loss.value(infinite, jnp.array(0)) == pytest.approx(float(loss.value(finite, jnp.array(0))), rel=1e-6)
    slope = jax.jit(jax.grad(lambda z: loss.value(z, jnp.array(0))))(infinite)
    np.testing.assert_allclose(slope, [*np.asarray(loss.grad(finite, jnp.array(0))), 0], rtol=1e-5)
    assert bool(jnp.isfinite(jax.jit(jax.hessian(lambda z: loss.value(z, jnp.array(0))))(infinite)).all())
    expected = {"cross_entropy": jnp.inf, "ssr": None, "true_class_ssr": 1.0}[name]
    if expected is not None:
        assert loss.value(infinite, jnp.array(2)) == expected


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (np.zeros((2, 3), np.int32), np.zeros(2, np.int32), TypeError, "floating point"),
        (np.zeros((2, 3), np.float32), np.zeros(2, np.float32), TypeError, "integers"),
        (np.zeros((2, 3), np.float32), np.zeros(3, np.int32), ValueError, "never broadcast"),
        (np.zeros((2, 3), np.float32), np.zeros((), np.int32), ValueError, "never broadcast"),
        (np.zeros((), np.float32), np.zeros((), np.int32), ValueError, "class axis"),
    ],
)
def test_misuse_is_said_at_trace_time(name, logits, labels, error, message):
    for function in (LOSSES[name].value, LOSSES[name].grad):
        with pytest.raises(error, match=message):
            jax.eval_shape(function, logits, labels)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    logits = jnp.zeros(70_000, dtype)
    value = ce_jax.cross_entropy(logits, jnp.array(5))
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(np.log(70_000), rel=1e-6)  # optax returns inf in float16
    assert ce_jax.softmax(logits).dtype == jnp.float32


def test_relations_between_losses():
    """Forms of one loss agree: from probabilities, from targets, and the bounds that join two losses."""
    rng = np.random.default_rng(2)
    logits = jnp.asarray(rng.normal(size=(5, 4)).astype(np.float32))
    labels = jnp.asarray(rng.integers(0, 4, 5))
    targets, probs = jax.nn.one_hot(labels, 4), ce_jax.softmax(logits)
    for stem in ("cross_entropy", "ssr"):
        value = getattr(ce_jax, stem)(logits, labels)
        np.testing.assert_allclose(getattr(ce_jax, f"{stem}_with_targets")(logits, targets), value, rtol=1e-5)
        np.testing.assert_allclose(getattr(ce_jax, f"{stem}_from_probs")(probs, labels), value, rtol=1e-5)
    single, full = ce_jax.true_class_ssr(logits, labels), ce_jax.ssr(logits, labels)
    np.testing.assert_allclose(ce_jax.true_class_ssr_from_probs(probs, labels), single, rtol=1e-5)
    assert bool(jnp.all((single * 4 / 3 <= full * (1 + 1e-6)) & (full <= 2 * single * (1 + 1e-6))))
    np.testing.assert_allclose(
        ce_jax.cross_entropy(logits, labels),
        optax.softmax_cross_entropy_with_integer_labels(logits, labels),
        rtol=1e-5,
    )
    smooth = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, 0.1))
    np.testing.assert_allclose(ce_jax.cross_entropy(logits, labels, label_smoothing=0.1), smooth, rtol=1e-5)
    rescaled = ce_jax.ssr_on_logits(logits, labels, scale=2.0, target=3.0)
    own = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    np.testing.assert_allclose(rescaled, (logits**2).sum(1) - own**2 + 2 * (own - 3) ** 2, rtol=1e-5)
    assert ce_jax.cross_entropy_from_probs(jnp.array([0.0, 1.0]), jnp.array(0)) == jnp.inf


def test_softmax_family_matches_jax():
    rng = np.random.default_rng(3)
    logits = jnp.asarray(rng.normal(size=(5, 7)).astype(np.float32) * 4)
    where = jnp.asarray(rng.random((5, 7)) < 0.7).at[:, 0].set(True)
    weights = jnp.asarray(rng.normal(size=(5, 7)).astype(np.float32))
    for axis in (0, 1, -1):
        for ours, theirs in ((ce_jax.softmax, jax.nn.softmax), (ce_jax.log_softmax, jax.nn.log_softmax)):
            np.testing.assert_allclose(ours(logits, axis=axis), theirs(logits, axis), rtol=2e-5, atol=1e-6)
            slopes = [
                jax.jit(jax.grad(lambda z, f=f, k=axis: (f(z, axis=k) * weights).sum()))(logits) for f in (ours, theirs)
            ]
            np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ce_jax.logsumexp(logits, axis=axis), jax.nn.logsumexp(logits, axis=axis), rtol=1e-5)
    masked = ce_jax.softmax(logits, where=where)
    np.testing.assert_allclose(masked, jax.nn.softmax(logits, where=where), rtol=2e-5, atol=1e-6)
    odds = ce_jax.log_odds(logits, jnp.zeros(5, jnp.int32))
    np.testing.assert_allclose(odds, logits[:, 0] - jax.nn.logsumexp(logits[:, 1:], axis=1), rtol=1e-5, atol=1e-6)


def test_masked_rows_never_leak():
    losses = jnp.array([1.0, jnp.nan, 3.0, jnp.inf])
    where = jnp.array([True, False, True, False])
    assert mean_over(losses, where=where) == 2.0
    assert mean_over(losses, where=jnp.zeros(4, bool)) == 0.0
    assert mean_over(jnp.array([1.0, 4.0]), weights=jnp.array([3.0, 1.0])) == pytest.approx(1.75)
    logits = jnp.array([[1.0, 2.0], [jnp.nan, 1.0], [0.0, 3.0], [jnp.inf, jnp.inf]])

    def mean(z):
        return mean_over(ce_jax.cross_entropy(z, jnp.array([0, 1, 9, 0])), where=jnp.array([True, False, False, False]))

    slope, second = jax.jit(lambda z: (jax.grad(mean)(z), jax.hessian(mean)(z)))(logits)
    alone = ce_jax.cross_entropy_grad(logits[0], jnp.array(0))
    np.testing.assert_allclose(slope[0], alone, rtol=1e-6)
    assert not slope[1:].any()
    assert bool(jnp.isfinite(second).all())
    value, tangent = jax.jit(lambda z: jax.jvp(mean, (z,), (jnp.ones_like(z),)))(logits)
    assert bool(jnp.isfinite(value) & jnp.isfinite(tangent))


def test_manual_rule_really_uses_the_given_gradient():
    """A wrong gradient must show: otherwise the comparison of autodiff with the rule compares a thing with itself."""
    loss = LOSSES["ssr"]
    planted = with_manual_grad(loss.value, lambda z, y, *, axis=-1: -loss.grad(z, y, axis=axis))
    logits, label = jnp.array([0.3, -0.2, 1.0]), jnp.array(1)
    np.testing.assert_allclose(jax.grad(planted)(logits, label), -loss.grad(logits, label), rtol=1e-6)


def test_validate_labels_names_the_first_bad_one():
    validate_labels(np.array([0, 2]), 3)
    with pytest.raises(ValueError, match=r"labels\[1\] is 3, expected 0\.\.2"):
        validate_labels(np.array([0, 3, -1]), 3)
    validate_labels(np.array([0, 3]), 3, where=np.array([True, False]))
