"""What the forward pass keeps for the reverse pass, counted in arrays of the size of the logits.

A gradient has that size, so one such array is the least that a loss can keep; no loss keeps more than two. Masks of
booleans take a quarter of an array, and the arrays of one number per row do not count.
"""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import losses
from ce_jax.losses import LOSSES

ROWS = 8
LEAST = 1  # the gradient itself
# Losses that keep one array more under autodiff: softmax of the other classes and the slope of a second sum.
MORE = {"ssr", "power_loss", "squentropy"}


def kept(function, logits):
    """Float arrays of the size of `logits` in the linear function that `jax.vjp` returns, and boolean ones."""
    pull = jax.eval_shape(lambda z: jax.vjp(function, z)[1], logits)
    large = [leaf.dtype for leaf in jax.tree.leaves(pull) if leaf.size >= logits.size]
    floats = sum(jnp.issubdtype(dtype, jnp.floating) for dtype in large)
    assert all(np.issubdtype(dtype, np.floating) or np.issubdtype(dtype, np.bool_) for dtype in large)
    return floats, len(large) - floats


@pytest.mark.parametrize("classes", [5, 200])
@pytest.mark.parametrize("name", LOSSES)
def test_what_a_loss_keeps(name, classes):
    loss, labels = LOSSES[name], np.zeros(ROWS, int)
    z = jnp.zeros((ROWS, classes))
    assert kept(lambda z: loss.value(z, labels), z) == (LEAST + (name in MORE), 0)
    assert kept(lambda z: loss.manual(z, labels), z) == (LEAST, 0)
    assert kept(lambda z: losses.mean_over(loss.value(z, labels)), z) == (LEAST + (name in MORE), 0)


def test_what_parameters_and_targets_add():
    """A traced parameter keeps rows only; a distribution of targets keeps itself, and a mask of the largest class."""
    labels, z, targets = np.zeros(ROWS, int), jnp.zeros((ROWS, 5)), jnp.full((ROWS, 5), 0.2)
    for name, option in (("cross_entropy", "label_smoothing"), ("power_loss", "beta"), ("lq_loss", "q")):
        value = LOSSES[name].value
        found = jax.eval_shape(
            lambda z, o, f=value, n=option: jax.vjp(lambda z, o: f(z, labels, **{n: o}), z, o)[1], z, jnp.float32(0.5)
        )
        assert sum(leaf.size >= z.size for leaf in jax.tree.leaves(found)) <= LEAST + 1, name
    for name in ("cross_entropy_with_targets", "ssr_with_targets"):
        assert kept(lambda z, n=name: getattr(losses, n)(z, targets), z) <= (LEAST + 1, 1), name
    for name in ("log_softmax", "softmax"):
        assert kept(getattr(losses, name), z) == (LEAST, 1), name
    assert kept(losses.logsumexp, z) == (LEAST, 0)


def test_the_count_sees_what_the_usual_formula_keeps():
    """Squared residuals of a softmax under autodiff, written as in a textbook."""
    z, onehot = jnp.zeros((ROWS, 5)), jnp.eye(5)[np.zeros(ROWS, int)]
    floats, _ = kept(lambda z: ((jnp.exp(z) / jnp.exp(z).sum(-1, keepdims=True) - onehot) ** 2).sum(-1), z)
    assert floats > 2


@pytest.mark.parametrize("name", ["cross_entropy", "ssr", "power_loss"])
def test_the_compiled_program_keeps_no_more(name):
    """Bytes that a compiled forward pass hands to the reverse pass; per row, a dozen numbers besides the arrays."""
    labels, z = np.zeros(ROWS, int), jnp.zeros((ROWS, 1000))
    program = jax.jit(lambda z: jax.vjp(lambda z: LOSSES[name].value(z, labels), z)).lower(z).compile()
    arrays = LEAST + (name in MORE)
    found = program.memory_analysis().output_size_in_bytes
    assert arrays * z.nbytes <= found <= arrays * z.nbytes + 40 * ROWS * 4


@pytest.mark.parametrize(("name", "arrays"), [("cross_entropy", 0), ("ssr", 1)])
def test_what_a_compiled_gradient_needs_besides_its_result(name, arrays):
    """A compiler that stores the residuals, or a label that is scattered or found by an iota, shows here."""
    rows = 256
    z, y = jnp.zeros((rows, 1000)), jnp.zeros(rows, jnp.int32)
    mean = jax.value_and_grad(lambda z, y: jnp.mean(LOSSES[name].value(z, y)))
    program = jax.jit(mean).lower(z, y).compile()
    assert program.memory_analysis().temp_size_in_bytes <= arrays * z.nbytes + 40 * rows * 4
    text = program.as_text()
    assert " scatter(" not in text
    assert not re.search(r"1000\]\S* iota\(", text)


@pytest.mark.skipif(os.cpu_count() == 1, reason="nothing is spread over one core")
@pytest.mark.parametrize("name", ["cross_entropy", "ssr"])
def test_passes_over_large_logits_are_spread_over_threads(name):
    """XLA does so where it counts more operations than bytes; a pass that has lost its operations would run alone."""
    shapes = jax.ShapeDtypeStruct((8192, 1000), jnp.float32), jax.ShapeDtypeStruct((8192,), jnp.int32)
    mean = jax.value_and_grad(lambda z, y: jnp.mean(LOSSES[name].value(z, y)))
    _, entry = jax.jit(mean).lower(*shapes).compile().as_text().split("ENTRY")
    passes = [line for line in entry.splitlines() if re.search(r"= f32\[8192,1000\]\S* fusion\(.*kind=kLoop", line)]
    assert 2 <= len(passes) <= {"cross_entropy": 2, "ssr": 4}[name]
    for line in passes:
        assert re.search(r'outer_dimension_partitions":\["\d', line)


def test_few_classes_are_summed_by_a_product():
    """XLA's sum over a few neighbours costs more than all else."""
    z, y = jnp.zeros((256, 10)), jnp.zeros(256, jnp.int32)
    for axis, products in ((-1, True), (0, False)):
        shaped = z if axis == -1 else z.T
        text = jax.jit(lambda z, a=axis: losses.cross_entropy(z, y, axis=a)).lower(shaped).compile().as_text()
        assert (" dot(" in text) == products
