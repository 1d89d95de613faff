"""What surrounds the arithmetic of a loss: unknown keywords, JAX's own checks of numbers, and export."""

import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import checkify

from ce_jax import losses
from ce_jax.losses import LOSSES
from ce_jax.losses._keywords import INSTEAD, unknown_keyword

pytestmark = pytest.mark.usefixtures("quick_compilation")

LOGITS, LABELS = np.zeros((2, 3), np.float32), np.array([0, 1])
PUBLIC = {
    name: function
    for name, function in ((name, getattr(losses, name)) for name in losses.__all__)
    if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters)) in ("logits", "probs")
}


def test_keywords_of_other_libraries_are_answered_by_what_to_write():
    answers = {
        "ignore_index": (-100, r"mean_over\(cross_entropy\(logits, labels\), where=labels != -100\)"),
        "reduction": ("mean", r"mean_over\(cross_entropy\(logits, labels\)\), or \.sum\(\)"),
        "weight": (np.ones(3), r"weights=class_weight\[labels\]\)"),
        "sample_weight": (np.ones(2), r"weights=weights\)"),
        "from_logits": (True, "leave it out, logits are expected; probabilities have cross_entropy_from_probs"),
        "num_classes": (3, "the length of the class axis"),
        "dim": (1, "write axis=1$"),
        "onehot": (np.eye(3), "cross_entropy_with_targets"),
        "mask": (np.ones(2, bool), "where=mask hides classes"),
        "smoothing": (0.1, r"write label_smoothing=0\.1"),
    }
    start = "^cross_entropy: expected keywords among axis, where, label_smoothing, got "
    for keyword, (value, message) in answers.items():
        with pytest.raises(TypeError, match=f"{start}'{keyword}'; .*{message}"):
            losses.cross_entropy(LOGITS, LABELS, **{keyword: value})
    with pytest.raises(TypeError, match=start + "'label_smooth'; did you mean 'label_smoothing'"):
        losses.cross_entropy(LOGITS, LABELS, label_smooth=0.1)
    with pytest.raises(TypeError, match=start + "'xyz'$"):
        losses.cross_entropy(LOGITS, LABELS, xyz=0.1)
    for keyword in INSTEAD:
        assert str(unknown_keyword("ssr", {"axis": None}, {keyword: 1})).count("; ") >= 1


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function_of_logits_answers(name):
    """And stays the function that it is to `inspect`, `help` and pickle."""
    function = PUBLIC[name]
    with pytest.raises(TypeError, match=f"^{name}: expected keywords among .*axis.*, got 'dim'; write axis=0"):
        function(LOGITS, LABELS, dim=0)
    parameters = inspect.signature(function).parameters
    assert "axis" in parameters
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__module__.startswith("ce_jax.losses._")
    if name in LOSSES:
        with pytest.raises(TypeError, match=f"^{name}: expected keywords .* got 'reduction'; there is one value"):
            LOSSES[name].manual(LOGITS, LABELS, reduction="mean")


def test_the_public_functions_are_all_there():
    assert {*LOSSES, *(f"{name}_grad" for name in LOSSES), "softmax", "entropy", "log_odds", "ssr_hvp"} <= set(PUBLIC)


# Ordinary, tied, confidently right and wrong, up to where a share is flushed to 0.
ROWS = np.array(
    [
        [0.5, -1.0, 2.0, 0.25],
        [1.0, 1.0, 1.0, 1.0],
        [60.0, 0.0, -1.0, 2.0],
        [200.0, -200.0, 0.0, 1.0],
        [-60.0, 0.0, -1.0, 2.0],
        [-95.0, 0.0, 0.0, 2.0],
        [-200.0, 200.0, 0.0, 1.0],
    ],
    np.float32,
)
QUICK = ("ssr", "mean_absolute_error", "ssr_on_logits")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LOSSES])
def test_nothing_is_divided_by_zero_or_nan_on_the_way(name):
    """`checkify` looks at every operation, also at what a `where` throws away afterwards."""
    loss, y = LOSSES[name], np.zeros(len(ROWS), int)

    def everything(z):
        value, pull = jax.vjp(lambda z: loss.value(z, y), z)
        return value, pull(jnp.ones_like(value))[0], loss.grad(z, y)

    error, found = checkify.checkify(everything, errors=checkify.float_checks)(jnp.asarray(ROWS))
    error.throw()
    assert all(np.isfinite(leaf).all() for leaf in found)


def test_checkify_sees_what_is_hidden():
    error, _ = checkify.checkify(lambda z: jnp.where(z > 0, 1 / z, 0), errors=checkify.float_checks)(jnp.zeros(2))
    assert "division by zero" in error.get()


@pytest.mark.parametrize("name", [*LOSSES, "cross_entropy_hvp"])
def test_export_with_symbolic_batch_and_classes(name):
    """One exported program for any number of rows and classes; values are looked at for two losses."""
    function = LOSSES[name].value if name in LOSSES else lambda z, y: losses.cross_entropy_hvp(z, y, z)
    rows, classes = export.symbolic_shape("rows, classes")
    z, y = jax.ShapeDtypeStruct((rows, classes), jnp.float32), jax.ShapeDtypeStruct((rows,), jnp.int32)
    program = export.export(jax.jit(function))(z, y)
    if name in ("cross_entropy", "ssr"):
        given, labels = jnp.asarray(np.linspace(-2, 3, 300, dtype=np.float32).reshape(3, 100)), jnp.array([0, 99, 100])
        np.testing.assert_allclose(program.call(given, labels), function(given, labels), rtol=2e-6)


def test_an_array_mapped_inside_jit_is_one_of_jax():
    """A numpy array that is closed over fails there, for every function with a rule of its own: a limit of JAX."""
    z, y = np.zeros((2, 3), np.float32), np.array([0, 1])
    found = jax.jit(lambda: jax.vmap(losses.cross_entropy)(jnp.asarray(z), jnp.asarray(y)))()
    np.testing.assert_allclose(found, np.log(3), rtol=1e-6)
