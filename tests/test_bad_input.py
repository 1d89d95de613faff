"""The declared policy for bad input, for every loss of the table.

What shows in a dtype, a rank or a shape raises when traced, and the message says what was expected, what came and what
to do. What shows only in a value gives NaN, in its own row and nowhere else; rows left out of a mean give nothing.
"""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import losses
from ce_jax.losses import LOSSES
from ce_jax.losses._labels import fitting_labels
from ce_jax.losses._parameters import check_range

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = list(LOSSES)
FEW = [name if name in ("ssr", "squentropy") else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
N, K = 3, 4
LOGITS, LABELS = np.linspace(-1.0, 1.0, N * K, dtype=np.float32).reshape(N, K), np.array([0, 3, 1])

# What is changed, the error, and what its message has to name: expected, got, what to do.
MISUSE = {
    "integer logits": ({"logits": np.ones((N, K), int)}, TypeError, "floating point.*got int.*astype"),
    "complex logits": ({"logits": np.ones((N, K), complex)}, TypeError, "floating point.*got complex.*astype"),
    "scalar logits": ({"logits": np.float32(1.0)}, ValueError, "class axis.*got a scalar.*pass an array"),
    "no classes": ({"logits": np.ones((N, 0), np.float32)}, ValueError, r"one class, got shape \(3, 0\); pass"),
    "float labels": ({"labels": np.zeros(N, np.float32)}, TypeError, "integers, got float32; .*_with_targets"),
    "boolean labels": ({"labels": np.zeros(N, bool)}, TypeError, "integers, got bool; .*_with_targets"),
    "one-hot labels": ({"labels": np.eye(N, K, dtype=int)}, ValueError, r"\(3,\), got \(3, 4\); .*never broadcast"),
    "labels as a column": ({"labels": np.zeros((N, 1), int)}, ValueError, r"\(3,\), got \(3, 1\); .*never broadcast"),
    "too few labels": ({"labels": np.zeros(2, int)}, ValueError, r"\(3,\), got \(2,\); .*never broadcast"),
    "one label for all": ({"labels": np.array(0)}, ValueError, r"\(3,\), got \(\); .*never broadcast"),
    "0/1 where": ({"where": np.ones((N, K), int)}, TypeError, "boolean, got int.*comparison"),
    "where of another shape": ({"where": np.ones((2, K), bool)}, ValueError, r"\(3, 4\), got \(2, 4\); give it"),
    "where with more axes": ({"where": np.ones((2, N, K), bool)}, ValueError, r"\(3, 4\), got \(2, 3, 4\); give it"),
    "axis behind the last": ({"axis": 2}, ValueError, r"-2\.\.1 .*\(3, 4\), got 2; pass"),
    "axis before the first": ({"axis": -3}, ValueError, r"-2\.\.1 .*\(3, 4\), got -3; pass"),
}
KNOBS = [
    ("cross_entropy", "label_smoothing"),
    ("ssr", "label_smoothing"),
    ("ssr_on_logits", "scale"),
    ("ssr_on_logits", "target"),
    ("power_loss", "beta"),
    ("lq_loss", "q"),
    ("focal_loss", "gamma"),
    ("poly1_loss", "epsilon"),
    ("logit_adjusted_cross_entropy", "tau"),
    ("fenchel_young_loss", "alpha"),
]


def raises_when_traced(function, logits, *rest, error, message, **options):
    """Only traced, never run: under `jax.eval_shape` no value exists that could be looked at."""
    with pytest.raises(error, match=message):
        jax.eval_shape(lambda z, *rest: function(z, *rest, **options), logits, *rest)


@pytest.mark.parametrize("misuse", MISUSE)
@pytest.mark.parametrize("name", NAMES)
def test_misuse_raises_when_traced(name, misuse):
    change, error, message = MISUSE[misuse]
    given = {"logits": LOGITS, "labels": LABELS} | change
    loss = LOSSES[name]
    for function in (loss.value, loss.grad, loss.manual):
        raises_when_traced(function, given.pop("logits"), given.pop("labels"), error=error, message=message, **given)
        given = {"logits": LOGITS, "labels": LABELS} | change


@pytest.mark.parametrize("misuse", MISUSE)
def test_misuse_of_the_other_functions(misuse):
    change, error, message = MISUSE[misuse]
    given = {"logits": LOGITS, "labels": LABELS} | change
    logits, labels = given.pop("logits"), given.pop("labels")
    expected = {"error": error, "message": message}
    raises_when_traced(losses.log_odds, logits, labels, **expected, **given)
    raises_when_traced(losses.log_prob, logits, labels, **expected, **given)
    for name in ("cross_entropy", "ssr"):
        vector = np.ones(logits.shape, np.float32)
        raises_when_traced(getattr(losses, f"{name}_hessian"), logits, labels, **expected, **given)
        raises_when_traced(getattr(losses, f"{name}_hvp"), logits, labels, vector, **expected, **given)
    if "labels" not in change:
        for name in ("softmax", "log_softmax", "logsumexp", "entropy", "entmax"):
            raises_when_traced(getattr(losses, name), logits, **expected, **given)
        for name in ("cross_entropy", "ssr"):
            targets = np.full(logits.shape, 0.25, np.float32)
            for form in (f"{name}_with_targets", f"{name}_with_targets_grad"):
                raises_when_traced(getattr(losses, form), logits, targets, **expected, **given)
    if "where" not in change:
        for name in ("cross_entropy_from_probs", "ssr_from_probs", "true_class_ssr_from_probs"):
            for form in (name, f"{name}_grad"):
                raises_when_traced(getattr(losses, form), logits, labels, **expected, **given)


@pytest.mark.parametrize(("name", "option"), KNOBS)
def test_a_parameter_is_one_number(name, option):
    loss = LOSSES[name]
    for function in (loss.value, loss.grad, loss.manual):
        expected = {"error": ValueError, "message": rf"{option}: expected a number, got shape \(3,\); use jax.vmap"}
        raises_when_traced(function, LOGITS, LABELS, **expected, **{option: np.ones(3, np.float32)})


NOT_FINITE = (np.nan, np.inf, -np.inf)
# Parameters and their ends; beyond an end, and where there is none at what is not finite, every form of a loss raises.
OUT_OF_RANGE = {
    ("cross_entropy", "label_smoothing"): (0.0, 1.0, (-0.5, 1.5)),
    ("ssr", "label_smoothing"): (0.0, 1.0, (-0.5, 1.5)),
    ("ssr_on_logits", "scale"): (0.0, 1e9, (-1e-3,)),
    ("ssr_on_logits", "target"): (-1e9, 1e9, ()),
    ("power_loss", "beta"): (0.0, 9.0, (-1,)),
    ("lq_loss", "q"): (0.0, 9.0, (-1, -1e-9)),
    ("focal_loss", "gamma"): (0.0, 9.0, (-1, 1e39)),
    ("poly1_loss", "epsilon"): (-1.0, 9.0, (-1.5,)),
    ("logit_adjusted_cross_entropy", "tau"): (-2.0, 2.0, ()),
    ("fenchel_young_loss", "alpha"): (1.0, 3.0, (0.5,)),
}


@pytest.mark.parametrize(("name", "option"), OUT_OF_RANGE)
def test_a_parameter_out_of_range_raises_where_it_is_concrete(name, option):
    """A Python number, one of numpy and a JAX array that a traced function has closed over."""
    loss, (low, high, outside) = LOSSES[name], OUT_OF_RANGE[name, option]
    assert set(OUT_OF_RANGE) == set(KNOBS)
    by_rule = jax.grad(lambda z, y, **options: loss.manual(z, y, **options).sum())
    given = [float(number) for number in (*outside, *NOT_FINITE)]
    given += [
        kind(number) for number in (outside[0] if outside else np.inf, np.nan) for kind in (np.float32, jnp.float32)
    ]

    def trace(function, number):
        jax.eval_shape(lambda z, y: function(z, y, **{option: number}), LOGITS, LABELS)

    for number in given:
        for function in (loss.value, loss.grad, loss.manual, by_rule)[: 4 if number is given[-1] else 2]:
            with pytest.raises(ValueError, match=rf"^{option}: expected a .*number.*, got {re.escape(f'{number:g}')}"):
                trace(function, number)
    for number in (low, high):
        trace(loss.value, number)
    jax.eval_shape(lambda z, y, n: loss.value(z, y, **{option: n}), LOGITS, LABELS, np.float32(-5.0))  # traced
    for wrong, kind in (("1", "str"), (1j, "complex"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"^{option}: expected a number, got {kind}"):
            check_range(wrong, option)


def test_misuse_of_targets_and_directions():
    for name in ("cross_entropy", "ssr"):
        for form in (f"{name}_with_targets", f"{name}_with_targets_grad"):
            function = getattr(losses, form)
            raises_when_traced(
                function, LOGITS, LABELS, error=TypeError, message="floating point, got int.*integer form"
            )
            row = np.full(K, 0.25, np.float32)
            raises_when_traced(function, LOGITS, row, error=ValueError, message=r"\(3, 4\), got \(4,\); .*broadcast")
        expected = {"error": ValueError, "message": r"\(3, 4\), got \(4,\); use jax.vmap"}
        raises_when_traced(getattr(losses, f"{name}_hvp"), LOGITS, LABELS, np.ones(K, np.float32), **expected)


INF, NAN = np.inf, np.nan
# Logits, label, visible classes: two rows in order, then everything that can be wrong with one.
ROWS = [
    ([0.5, -1.0, 2.0, 0.25], 1, [1, 1, 1, 1]),
    ([-0.5, 1.0, 0.75, 3.0], 3, [1, 0, 1, 1]),
    ([0.5, -1.0, 2.0, 0.25], -1, [1, 1, 1, 1]),
    ([0.5, -1.0, 2.0, 0.25], -100, [1, 1, 1, 1]),
    ([0.5, -1.0, 2.0, 0.25], K, [1, 1, 1, 1]),
    ([0.5, -1.0, 2.0, 0.25], K + 5, [1, 0, 1, 1]),
    ([0.5, -1.0, 2.0, 0.25], -K, [1, 1, 0, 1]),
    ([0.5, -1.0, 2.0, 0.25], 2, [1, 1, 0, 1]),
    ([40.0, -1.0, 2.0, 0.25], 0, [0, 0, 0, 0]),
    ([0.5, NAN, 2.0, 0.25], 0, [1, 1, 1, 1]),
    ([0.5, NAN, 2.0, 0.25], 1, [1, 1, 1, 1]),
    ([0.5, INF, 2.0, 0.25], 0, [1, 1, 1, 1]),
    ([0.5, INF, 2.0, 0.25], 1, [1, 1, 1, 1]),
    ([NAN, NAN, NAN, NAN], K, [1, 1, 1, 1]),
]
GOOD = 2
Z, Y, W = (np.array(column) for column in zip(*ROWS, strict=True))
Z, W = Z.astype(np.float32), W.astype(bool)


KEPT = np.arange(len(Y)) < GOOD
HEALTHY = np.where(KEPT, np.arange(len(Y)), 0)  # the first row in place of every bad one


@functools.cache
def by_every_route(name):
    """Compiled once per loss: (z, y, w) -> rows and their gradient, the mean over KEPT, its gradient and its slope."""
    loss = LOSSES[name]
    direction = np.cos(np.arange(Z.size, dtype=np.float32)).reshape(Z.shape)

    @jax.jit
    def everything(z, y, w):
        def by(function):
            def rows_and_mean(z):
                rows = function(z, y, where=w)
                return rows, losses.mean_over(rows, where=KEPT)

            (rows, mean), pull = jax.vjp(rows_and_mean, z)
            slope = jax.jvp(rows_and_mean, (z,), (direction,))[1][1]
            ones, one = jnp.ones_like(rows), jnp.ones_like(mean)
            return rows, pull((ones, 0 * one))[0], mean, pull((0 * ones, one))[0], slope

        return {"value": by(loss.value), "manual": by(loss.manual), "by hand": (None, loss.grad(z, y, where=w))}

    return everything


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_row_is_nan_and_its_neighbours_do_not_notice(name):
    """Value and every entry of the gradient, by every route; never another class, never 0."""
    found, healthy = by_every_route(name)(Z, Y, W), by_every_route(name)(Z[HEALTHY], Y[HEALTHY], W[HEALTHY])
    for route, results in found.items():
        for leaf, expected in zip(results[:2], healthy[route][:2], strict=True):
            if leaf is not None:
                assert np.isnan(leaf[GOOD:]).all(), (route, leaf)
                assert np.isfinite(expected).all(), (route, expected)
                np.testing.assert_array_equal(leaf[:GOOD], expected[:GOOD], err_msg=route)


@pytest.mark.parametrize("name", NAMES)
def test_rows_left_out_of_a_mean_contribute_nothing(name):
    """Value, gradient and forward derivative do not change in a single bit when the rows left out become healthy."""
    found, healthy = by_every_route(name)(Z, Y, W), by_every_route(name)(Z[HEALTHY], Y[HEALTHY], W[HEALTHY])
    for route in ("value", "manual"):
        rows, _, mean, grad, slope = healthy[route]
        assert float(mean) == pytest.approx(float(rows[:GOOD].mean()), rel=1e-6)
        assert np.abs(grad[:GOOD]).max() > 1e-3
        np.testing.assert_array_equal(grad[GOOD:], 0)
        for leaf, expected in zip(found[route][2:], (mean, grad, slope), strict=True):
            np.testing.assert_array_equal(leaf, expected, err_msg=route)


@pytest.mark.parametrize("name", FEW)
def test_rows_left_out_of_a_mean_are_not_in_its_hessian(name):
    @jax.jit
    def hessians(z, y, w):
        return [
            jax.hessian(lambda z, f=f: losses.mean_over(f(z, y, where=w), where=KEPT))(z)
            for f in (LOSSES[name].value, LOSSES[name].manual)
        ]

    for found, healthy in zip(hessians(Z, Y, W), hessians(Z[HEALTHY], Y[HEALTHY], W[HEALTHY]), strict=True):
        np.testing.assert_array_equal(found[GOOD:], 0)
        np.testing.assert_array_equal(found[:, :, GOOD:], 0)
        np.testing.assert_array_equal(found, healthy)
        assert np.abs(healthy).max() > 1e-3


@pytest.mark.slow
def test_bad_rows_of_the_forms_with_probabilities_and_targets():
    """The same policy where the table does not reach; a hidden class must have target 0."""
    probs, labels = np.full((4, K), 0.25, np.float32), np.array([1, -1, K, 0])
    probs[3, 0] = np.nan
    targets, visible = np.full((4, K), 0.25, np.float32), np.ones((4, K), bool)
    targets[0], visible[:2, 2] = [0.5, 0.25, 0.0, 0.25], False
    targets[2, 1], logits = np.nan, np.ones((4, K), np.float32)
    logits[3, 2] = np.inf

    @functools.partial(jax.jit, static_argnums=0)
    def by(name, x, given, **options):
        value, pull = jax.vjp(lambda x: getattr(losses, name)(x, given, **options), x)
        return value, pull(jnp.ones_like(value))[0], getattr(losses, f"{name}_grad")(x, given, **options)

    for name in ("cross_entropy_from_probs", "ssr_from_probs", "true_class_ssr_from_probs"):
        for leaf in by(name, probs, labels):
            assert np.isfinite(leaf[0]).all()
            assert np.isnan(leaf[1:]).all(), name
    for name in ("cross_entropy_with_targets", "ssr_with_targets"):
        for leaf in by(name, logits, targets, where=visible):
            assert np.isfinite(leaf[0]).all()
            assert np.isnan(leaf[1:]).all(), name


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int32])
def test_every_integer_type_labels(dtype):
    """200 classes do not fit in int8; -100, which other libraries ignore or count from the end, is no class."""
    z = np.zeros((3, 200), np.float32)
    labels = np.array([127, 0, -100]).astype(dtype)  # unsigned: 156 as uint8, which is a class, and 4294967196
    found = np.asarray(losses.cross_entropy(z, labels))
    np.testing.assert_allclose(found[:2], np.log(200), rtol=1e-6)
    assert np.isnan(found[2]) == (dtype != np.uint8)


# The first is fine; JAX alone keeps the lower 32 bits, so that the others would be the classes 1, 0, 2 and none.
BEYOND_INT32 = {
    "int64": np.array([1, 2**32 + 1, -(2**63), 2**33 + 2, 2**31]),
    "uint64": np.array([1, 2**32 + 1, 2**63, 2**33 + 2, 2**31], np.uint64),
    "Python": [1, 2**32 + 1, -(2**70), 2**63, 2**31],
}


@pytest.mark.parametrize("kind", BEYOND_INT32)
def test_labels_are_looked_at_before_jax_truncates_them(kind):
    given, fitting = BEYOND_INT32[kind], fitting_labels
    assert fitting(given).tolist() == [1, -1, -1, -1, -1]
    assert fitting(given[1]).tolist() == -1
    for untouched in (given[:1], np.array([0, -100, 2**31 - 1, -(2**31)])):
        np.testing.assert_array_equal(fitting(untouched), untouched)
    on_device = jnp.array([1, 2])
    assert fitting(on_device) is on_device
    for other in ([0.0, 1.0], [True], np.array([1e300]), []):
        assert not np.issubdtype(fitting(other).dtype, np.integer)


@pytest.mark.parametrize("name", NAMES)
def test_a_label_beyond_int32_is_no_class(name):
    """Eagerly, and closed over under jit: the value, the gradient by every route, of every loss."""
    loss, z, y = LOSSES[name], np.zeros((5, K), np.float32), BEYOND_INT32["int64"]

    @jax.jit
    def everything(z):
        value, pull = jax.vjp(lambda z: loss.manual(z, y), z)
        return loss.value(z, y), value, loss.grad(z, y), pull(jnp.ones_like(value))[0]

    for leaf in (loss.value(z, y), *everything(z)):
        assert np.isfinite(leaf[0]).all()
        assert np.isnan(leaf[1:]).all()


def test_a_label_beyond_int32_is_no_class_elsewhere():
    z, y = jnp.zeros((5, K)), BEYOND_INT32["int64"]
    others = (losses.log_odds, losses.log_prob, losses.cross_entropy_hessian, losses.ssr_hessian)
    of_probs = (losses.cross_entropy_from_probs, losses.ssr_from_probs, losses.true_class_ssr_from_probs_grad)
    products = (lambda z, y: losses.cross_entropy_hvp(z, y, z + 1), lambda z, y: losses.ssr_hvp(z, y, z + 1))
    for function in (*others, *of_probs, *products):
        found = np.asarray(function(z + 0.25, y))
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1:]).all()
    for call in (losses.validate_labels, losses.class_weights):
        with pytest.raises(ValueError, match=r"labels\[1\]: expected 0\.\.3, got 4294967297; 4 of 5"):
            call(y, K)
    with pytest.raises(ValueError, match=r"labels\[1\]: expected 0\.\.1, got 4294967297"):
        losses.class_weights(y)  # which takes no class from a label that does not fit, and no memory for so many


def test_a_label_of_logit_minus_infinity():
    """+inf for the losses that are unbounded there, the bound for the others, and gradients that are finite."""
    z, y, w = np.full_like(Z, [-np.inf, 0.0, 0.0, 7.0]), np.zeros_like(Y), np.full_like(W, [True, True, True, False])
    expected = {
        "cross_entropy": np.inf,
        "ssr": 1.5,
        "true_class_ssr": 1.0,
        "ssr_on_logits": np.inf,
        "power_loss": 2 + 0.5**0.5,  # 1 / b + Q at b = 1/2
        "lq_loss": 1 / 0.7,
        "focal_loss": np.inf,
        "poly1_loss": np.inf,
        "squentropy": np.inf,
        "mean_absolute_error": 2.0,
        "z_loss": np.log(2) ** 2,
        "stablemax_cross_entropy": np.inf,
        "logit_adjusted_cross_entropy": np.inf,
        "sigmoid_binary_cross_entropy": np.inf,
        "spherical_score": 1.0,
        "fenchel_young_loss": np.inf,
    }
    assert set(expected) == set(LOSSES)
    for name in LOSSES:
        found = by_every_route(name)(z, y, w)
        by_hand = found["by hand"][1]
        for route in ("value", "manual"):
            np.testing.assert_allclose(found[route][0], expected[name], rtol=1e-6, err_msg=name)
            assert np.isfinite(found[route][1]).all(), (name, route)
            np.testing.assert_allclose(found[route][1], by_hand, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", FEW)
def test_half_precision_is_computed_in_single(name, dtype):
    """Bit for bit the result for the same logits in float32; only the gradient of autodiff is rounded, to the input."""
    loss, rng = LOSSES[name], np.random.default_rng(0)
    half, y = jnp.asarray(4 * rng.normal(size=(6, 5)), dtype), rng.integers(5, size=6)

    @jax.jit
    def everything(z):
        value, pull = jax.vjp(lambda z: loss.value(z, y), z)
        return value, loss.manual(z, y), loss.grad(z, y), pull(jnp.ones_like(value))[0]

    *found, rounded = everything(half)
    *expected, grad = everything(half.astype(jnp.float32))
    for ours, single in zip(found, expected, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_array_equal(ours, single)
    assert rounded.dtype == dtype
    np.testing.assert_array_equal(rounded, grad.astype(dtype))


@pytest.mark.slow
def test_many_equal_logits_of_half_precision():
    """The sum of 70,000 exponentials is beyond float16, its logarithm is 11.156."""
    z, y = jnp.zeros(70_000, jnp.float16), jnp.array(69_999)
    for found in (
        losses.cross_entropy(z, y),
        losses.cross_entropy(z, y, label_smoothing=0.1),
        -losses.log_softmax(z)[0],
        losses.logsumexp(z),
        losses.cross_entropy_with_targets(z, jnp.full(70_000, 1 / 70_000)),
    ):
        assert found.dtype == jnp.float32
        assert float(found) == pytest.approx(11.156250521, rel=1e-5)


def test_mean_over():
    """Weighted by sum(w l) / sum(w); what is left out may hold anything, its weight included."""
    rows, nan = jnp.array([1.0, 3.0, jnp.nan]), jnp.nan
    kept = jnp.array([True, True, False])
    assert float(losses.mean_over(rows[:2])) == 2.0
    assert float(losses.mean_over(rows[:2], weights=jnp.array([3.0, 1.0]))) == 1.5
    assert float(losses.mean_over(rows, where=kept, weights=jnp.array([3.0, 1.0, nan]))) == 1.5
    assert float(losses.mean_over(rows[:2], weights=jnp.array([1.0, -1.0]))) == 0.0
    assert np.isnan(losses.mean_over(rows))
    assert losses.mean_over(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    with pytest.raises(TypeError, match="floating point, got int"):
        losses.mean_over(jnp.array([1, 2]))
    with pytest.raises(TypeError, match=r"boolean, got float.*comparison"):
        losses.mean_over(rows, where=jnp.ones(3))
    for option in ({"where": jnp.ones(2, bool)}, {"weights": jnp.ones(2)}):
        with pytest.raises(ValueError, match=rf"{next(iter(option))}: .*\(3,\), got \(2,\); give it"):
            losses.mean_over(rows, **option)


def test_the_mean_over_no_row_is_zero():
    @jax.jit
    def of_none(z):
        none = {"where": np.zeros(len(Y), bool)}, {"where": KEPT, "weights": 0.0}
        return [jax.value_and_grad(lambda z, o=o: losses.mean_over(losses.ssr(z, Y), **o))(z) for o in none]

    for leaf in jax.tree.leaves(of_none(Z)):
        np.testing.assert_array_equal(leaf, 0)


def test_weights_reach_the_gradient_and_have_one():
    """A row of weight 2 counts as two rows, and the weight itself can be trained."""
    z, y, weights = Z[:GOOD], Y[:GOOD], jnp.array([2.0, 1.0])

    @jax.jit
    def everything(z, weights):
        def mean(z, weights):
            return losses.mean_over(losses.ssr(z, y), weights=weights)

        def of_three(z):
            return losses.mean_over(losses.ssr(z[np.array([0, 0, 1])], y[[0, 0, 1]]))

        return losses.ssr(z, y), mean(z, weights), jax.grad(mean, argnums=(0, 1))(z, weights), jax.grad(of_three)(z)

    rows, mean, (grad, by_weight), twice = everything(z, weights)
    np.testing.assert_allclose(grad, twice, rtol=1e-6)
    np.testing.assert_allclose(by_weight, (rows - mean) / 3, rtol=1e-5)


def test_validate_labels_names_the_first_wrong_label():
    losses.validate_labels(np.array([[0, 4], [2, 1]]), 5)
    with pytest.raises(ValueError, match=r"labels\[1, 0\]: expected 0..4, got -100; 2 of 4 labels"):
        losses.validate_labels(np.array([[0, 4], [-100, 5]]), 5)
    with pytest.raises(ValueError, match=r"labels: expected 0\.\.4, got 5"):
        losses.validate_labels(5, 5)
    losses.validate_labels(np.array([0, -100]), 5, where=np.array([True, False]))
    with pytest.raises(ValueError, match=r"labels\[2\]: .* got 9"):
        losses.validate_labels(np.array([0, -100, 9]), 5, where=np.array([True, False, True]))
    with pytest.raises(TypeError, match="integers, got float"):
        losses.validate_labels(np.array([0.0]), 5)
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(lambda labels: losses.validate_labels(labels, 5))(jnp.array([0]))


@pytest.mark.parametrize("call", [losses.validate_labels, losses.class_weights])
def test_a_number_of_classes_is_a_whole_number_of_at_least_one(call):
    call, labels = inspect.unwrap(call), np.array([0])  # without the annotations' checks, which come first
    for wrong in (0, -3, np.int64(-1)):
        with pytest.raises(ValueError, match=f"num_classes: expected at least 1, got {wrong}; pass the length"):
            call(labels, wrong)
    for wrong, shown in ((2.5, "2.5"), (True, "True"), ("3", "str"), (np.float32(3), "float32")):
        with pytest.raises(TypeError, match=f"num_classes: expected a whole number, got {shown}; pass the length"):
            call(labels, wrong)
    call(labels, np.int64(1))
