"""Exactness: values and gradients by every route against definitions in high precision.

One table: rows (typical, tied, far ahead, far behind, at a large common offset) x losses x routes. The bounds are those
the library declares, in units of the last place of the rounded truth. Compiled as users compile, optimisations on.
"""

import functools

import jax
import numpy as np
import pytest

from ce_jax import LOSSES
from tests import oracle
from tests.test_losses import ORACLE, gradient

ROUTES = ("autodiff", "manual rule", "by hand", "forward mode")
VALUE_ULPS = {"cross_entropy": 8, "ssr": 16, "true_class_ssr": 16}
GRADIENT_ULPS = {"cross_entropy": 8}
GRADIENT_OF_ROW = 2e-6
CLASSES = (3, *(pytest.param(classes, marks=pytest.mark.slow) for classes in (2, 10, 100)))


def rows(classes, seed=0):
    """Logits [N, K] and labels [N] from every regime in which losses go wrong."""
    rng = np.random.default_rng(seed)
    found = [rng.normal(size=classes) * scale for scale in (0.1, 1, 5, 20) for _ in range(4)]
    for margin in (-80, -40, -17, -3, 0, 3, 17, 40, 80):
        ahead = rng.normal(size=classes)
        ahead[0] = ahead[1:].max() + margin
        found += [ahead, np.where(np.arange(classes) == 0, margin, 0.0)]  # the second with all others tied
        if classes > 2:
            dominated = rng.normal(size=classes)
            dominated[1] = dominated.max() + abs(margin)  # one wrong class dominates
            found.append(dominated)
    found += [row + 1e4 for row in found[:20]]
    logits = np.stack(found).astype(np.float32)
    return logits, np.zeros(len(logits), np.int32)


@functools.cache
def truth(name, classes):
    logits, labels = rows(classes)
    found = [oracle.value_and_grad(name, row, label) for row, label in zip(logits, labels, strict=True)]
    return [value for value, _ in found], [gradient for _, gradient in found]


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("name", ORACLE)
def test_values_are_exact(name, classes):
    logits, labels = rows(classes)
    for function in (LOSSES[name].value, LOSSES[name].manual):
        errors = oracle.ulps(jax.jit(function)(logits, labels), truth(name, classes)[0])
        assert errors.max() <= VALUE_ULPS[name], logits[errors.argmax()]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("name", ORACLE)
def test_gradients_are_exact(name, classes, route):
    logits, labels = rows(classes)
    found = np.asarray(jax.jit(gradient(name, route))(logits, labels))
    for row, exact, logit in zip(found, truth(name, classes)[1], logits, strict=True):
        largest = float(max(abs(entry) for entry in exact))
        if name in GRADIENT_ULPS:
            assert oracle.ulps(row, exact).max() <= GRADIENT_ULPS[name], logit
        elif largest > np.finfo(np.float32).tiny:
            error = max(abs(float(entry - float(ours))) for entry, ours in zip(exact, row, strict=True))
            assert error / largest <= GRADIENT_OF_ROW, logit


@pytest.mark.parametrize("name", ORACLE)
def test_double_precision(name):
    with jax.enable_x64(True):
        logits, labels = rows(3)
        wide = logits.astype(np.float64)
        value, slope = jax.jit(lambda z, y: (LOSSES[name].value(z, y), LOSSES[name].grad(z, y)))(wide, labels)
        assert value.dtype == slope.dtype == np.float64
        assert oracle.ulps(value, truth(name, 3)[0]).max() <= 2 * VALUE_ULPS[name]
        for row, exact in zip(np.asarray(slope), truth(name, 3)[1], strict=True):
            largest = max(abs(entry) for entry in exact)
            assert max(abs(e - oracle.mpf(float(o))) for e, o in zip(exact, row, strict=True)) / largest <= 8e-15
