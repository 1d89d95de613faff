"""Exactness: values and gradients by every route against definitions in high precision.

The bounds are those the library declares, in units of the last place of the rounded truth wherever that is a normal
number. Compiled as users compile, with XLA's optimisations on.

All of it: pytest tests/test_loss_precision.py
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from ce_jax import losses
from ce_jax.losses import LOSSES
from tests import oracle


class Bounds(NamedTuple):
    """In units of the last place, but for `row`: the largest error of a gradient over its largest entry."""

    value: float
    entry: float
    entry_many: float  # with more than 10 classes
    row: float
    row_sum: float  # sum of a gradient, in units of its largest entry


INF = float("inf")
BOUNDS = {
    ("cross_entropy", np.float32): Bounds(8, 8, 12, INF, 8),
    ("cross_entropy", np.float64): Bounds(16, 16, 24, INF, 24),
    ("ssr", np.float32): Bounds(16, INF, INF, 2e-6, 128),
    ("ssr", np.float64): Bounds(32, INF, INF, 8e-15, 128),
    ("true_class_ssr", np.float32): Bounds(16, 16, 16, 2e-6, 8),
    ("true_class_ssr", np.float64): Bounds(32, 32, 32, 8e-15, 24),
    ("logit_adjusted_cross_entropy", np.float32): Bounds(8, 8, 12, INF, 8),  # without a prior it is cross-entropy
    ("logit_adjusted_cross_entropy", np.float64): Bounds(16, 16, 24, INF, 24),
    ("sigmoid_binary_cross_entropy", np.float32): Bounds(8, 8, 8, 1e-6, INF),
    ("sigmoid_binary_cross_entropy", np.float64): Bounds(16, 16, 16, 4e-15, INF),
    ("spherical_score", np.float32): Bounds(16, 16, 24, 2e-6, 16),
    ("spherical_score", np.float64): Bounds(32, 32, 48, 8e-15, 24),
    # As a class reaches the border of the support its probability is (reach - delta)^2, of two nearly equal numbers.
    ("fenchel_young_loss", np.float32): Bounds(16, INF, INF, 2e-6, 8),
    ("fenchel_young_loss", np.float64): Bounds(32, INF, INF, 8e-15, 24),
}
CLASSES = (3, *(pytest.param(classes, marks=pytest.mark.slow) for classes in (2, 10, 100, 1000)))
DTYPES = (np.float32, pytest.param(np.float64, marks=pytest.mark.slow))


def worst_of_routes(name, dtype, classes, count, axis=-1):
    """The worst of every bounded quantity over rows and routes."""
    loss = LOSSES[name]
    z, y = oracle.adversarial_rows(classes, count, dtype)
    truth = [oracle.value_and_grad(name, row, label) for row, label in zip(z, y, strict=True)]

    def total(function):
        return lambda z, y: function(z, y, axis=axis).sum()

    routes = {
        "autodiff": jax.grad(total(loss.value)),
        "autodiff with value": lambda z, y: jax.value_and_grad(total(loss.value))(z, y)[1],
        "by hand": lambda z, y: loss.grad(z, y, axis=axis),
        "manual": jax.grad(total(loss.manual)),
    }
    if classes <= 10 and axis == -1:
        routes["forward"] = jax.vmap(jax.jacfwd(loss.value))
    given = z if axis == -1 else z.T
    values = [jax.jit(lambda z, y, f=f: f(z, y, axis=axis))(given, y) for f in (loss.value, loss.manual)]
    worst = {"value": max(oracle.ulps(found, [t[0] for t in truth]).max() for found in values)}
    for route, function in routes.items():
        grads = np.asarray(jax.jit(function)(given, y))
        assert grads.dtype == dtype, route
        for grad, (_, exact) in zip(grads if axis == -1 else grads.T, truth, strict=True):
            found = {
                "entry": oracle.ulps(grad, exact).max(),
                "row": oracle.relative_to_row(grad, exact),
                "row_sum": row_sum(grad, exact),
            }
            worst = {key: max(worst.get(key, 0), found.get(key, 0)) for key in worst | found}
    return worst


def row_sum(grad, exact):
    """The sum of a gradient in units of its largest entry; what is flushed below the normal numbers is no error."""
    info = np.finfo(grad.dtype)
    if max(abs(t) for t in exact) < info.tiny:
        return 0.0
    with mp.workprec(oracle.BITS):
        total = abs(sum(mpf(float(g)) for g in grad)) - len(grad) * float(info.tiny)
        return float(max(0, total) / mpf(float(np.spacing(np.abs(grad).max()))))


@pytest.mark.parametrize("axis", [-1, pytest.param(0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in BOUNDS))
def test_bounds(name, dtype, classes, axis):
    bounds = BOUNDS[name, dtype]
    with jax.enable_x64(dtype == np.float64):
        worst = worst_of_routes(name, dtype, classes, count=48 if classes <= 10 else 16, axis=axis)
    assert worst["value"] <= bounds.value
    assert worst["entry"] <= (bounds.entry if classes <= 10 else bounds.entry_many)
    assert worst["row"] <= bounds.row
    assert worst["row_sum"] <= bounds.row_sum


@pytest.mark.parametrize("name", ["cross_entropy", "ssr"])
def test_one_hot_targets_are_as_exact_as_labels(name):
    """The forms with a distribution as target, at targets that are one-hot: the tails must not be lost there."""
    z, y = oracle.adversarial_rows(4, 32, np.float32, seed=3)
    targets = np.eye(4, dtype=np.float32)[y]
    value, by_hand = getattr(losses, f"{name}_with_targets"), getattr(losses, f"{name}_with_targets_grad")
    found = jax.jit(value)(z, targets)
    truth = [oracle.value_and_grad(name, row, label) for row, label in zip(z, y, strict=True)]
    assert oracle.ulps(found, [t[0] for t in truth]).max() <= 16
    for grads in (jax.jit(jax.grad(lambda z, t: value(z, t).sum()))(z, targets), jax.jit(by_hand)(z, targets)):
        assert max(oracle.relative_to_row(g, t[1]) for g, t in zip(np.asarray(grads), truth, strict=True)) <= 2e-6


def test_softmax_family():
    """Every entry of softmax and log-softmax, and the log-odds even where no probability can hold them."""
    z, y = oracle.adversarial_rows(6, 32, np.float32, seed=4)
    p, log_p, odds = jax.jit(lambda z: (losses.softmax(z), losses.log_softmax(z), losses.log_odds(z, y)))(z)
    far = losses.log_odds(np.array([300.0, 0.0, 0.0], np.float32), np.array(0))
    with mp.workprec(oracle.BITS):
        for i, row in enumerate(z):
            exact = oracle.softmax([mpf(float(x)) for x in row])
            assert oracle.ulps(p[i], exact).max() <= 4
            assert oracle.ulps(log_p[i], [mp.log(x) for x in exact]).max() <= 4
            m = mp.log(exact[y[i]] / (1 - exact[y[i]]))
            assert abs(float(odds[i]) - m) <= 4e-7 * max(1.0, abs(float(m)))
        assert abs(float(far) - float(300 - mp.log(2))) < 1e-4


def test_classes_far_below_a_peak_that_is_no_whole_number():
    """The cheap rounding error of z_j - z_a holds for whole numbers z_a alone; here it would cost 60 units.

    Nor may what is subtracted be a larger number: the last class would be flushed to 0.
    """
    z = np.array([[0.1, -50.0, -55.0], [0.3, -71.0, -80.0], [-3.0, 0.1, -87.0]], np.float32)
    p, log_p = jax.jit(lambda z: (losses.softmax(z), losses.log_softmax(z)))(z)
    first = jnp.zeros(len(z), int)
    value, grad = jax.jit(jax.vmap(jax.value_and_grad(losses.cross_entropy)))(z, first)
    odds = jax.jit(losses.log_odds)(z, first)
    for i, row in enumerate(z):
        with mp.workprec(oracle.BITS):
            exact = oracle.softmax([mpf(float(x)) for x in row])
            logs, m = [mp.log(x) for x in exact], mp.log(exact[0] / (1 - exact[0]))
        assert oracle.ulps(p[i], exact).max() <= 4
        assert oracle.ulps(log_p[i], logs).max() <= 4
        assert oracle.ulps(odds[i : i + 1], [m]).max() <= 2
        loss, slopes = oracle.value_and_grad("cross_entropy", row, 0)
        assert oracle.ulps(value[i : i + 1], [loss]).max() <= 8
        assert oracle.ulps(grad[i], slopes).max() <= 8


def test_log_softmax_derivative_where_autodiff_of_the_usual_form_rounds_to_zero():
    """d log p_a / d z_a = 1 - p_a, 2e-9 at a lead of 20; and a distribution of cotangents in all modes."""
    z, c = np.array([20.0, 0.0, -3.0], np.float32), np.array([0.2, -1.0, 0.7], np.float32)
    with mp.workprec(oracle.BITS):
        p = oracle.softmax([mpf(float(x)) for x in z])
        exact = [[(mpf(i == k) - p[k]) for k in range(3)] for i in range(3)]
        pulled = [sum(mpf(float(c[i])) * exact[i][k] for i in range(3)) for k in range(3)]
    for jacobian in (jax.jacrev(losses.log_softmax), jax.jacfwd(losses.log_softmax)):
        for row, truth in zip(np.asarray(jax.jit(jacobian)(z)), exact, strict=True):
            assert oracle.ulps(row, truth).max() <= 8
    found = jax.jit(jax.grad(lambda z: losses.log_softmax(z) @ c))(z)
    assert oracle.relative_to_row(found, pulled) <= 1e-6


@pytest.mark.slow
def test_what_the_usual_formulas_lose():
    """The figures that the README quotes: loss and label gradient at a lead of 20, SSR at a lag of 20, in float32."""
    ahead, behind, y = np.array([20.0, 0.0], np.float32), np.array([0.0, 20.0], np.float32), np.array(0)
    usual = jax.nn.log_softmax(ahead)
    assert float(usual[0]) == 0.0
    assert float(losses.cross_entropy(ahead, y)) == pytest.approx(2.0611536e-09, rel=1e-6)
    assert float(losses.cross_entropy_grad(ahead, y)[0]) == pytest.approx(-2.0611536e-09, rel=1e-6)
    textbook = jax.grad(lambda z: ((jax.nn.softmax(z) - np.array([1.0, 0.0], np.float32)) ** 2).sum())(behind)
    assert float(textbook[1]) == 0.0
    assert float(jax.grad(losses.ssr)(behind, y)[1]) == pytest.approx(8.2446e-09, rel=1e-4)
