"""The table of conventions in the docstring of `ce_jax.losses`, row by row, against the libraries that are installed.

What the table says on the right is evaluated as it stands there. Moderate logits: in the tails the others round, see
`test_loss_precision.py`. Keras, TensorFlow, T5X and MaxText are represented by their formulas, written out.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from ce_jax import losses
from ce_jax.losses import cross_entropy, cross_entropy_with_targets, mean_over, poly1_loss, ssr

pytestmark = pytest.mark.usefixtures("quick_compilation")

N, K = 7, 4
RNG = np.random.default_rng(11)
Z, Y = RNG.normal(size=(N, K)).astype(np.float32), RNG.integers(K, size=N)
T, W = RNG.dirichlet(np.ones(K), size=N).astype(np.float32), RNG.uniform(0.5, 2.0, N).astype(np.float32)
E = np.float32(0.125)  # smoothing
ONEHOT, BINARY = np.eye(K, dtype=np.float32)[Y], Y % 2
IGNORED = np.where(np.arange(N) % 3 == 0, -100, Y)
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 3.0], np.float32)


def softmax(z):
    powers = np.exp(z.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


P, TWO = softmax(Z), softmax(Z[:, :2])
LOG_P = np.log(P[np.arange(N), Y])


def torch_loss(function, *arrays, **options):
    torch = pytest.importorskip("torch")
    arrays = [torch.tensor(array) for array in arrays]
    options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(torch.nn.functional, function)(*arrays, **options).numpy()


def sklearn_metric(function, y, p, minversion=None, **options):
    pytest.importorskip("sklearn", minversion=minversion)
    from sklearn import metrics

    return getattr(metrics, function)(y, p, **options)


def smoothed_cross_entropy(at_label, elsewhere):
    return -(np.where(ONEHOT == 1, at_label, elsewhere) * np.log(P)).sum(-1)


brier = functools.partial(sklearn_metric, "brier_score_loss")
log_loss = functools.partial(sklearn_metric, "log_loss", Y, P, labels=np.arange(K))

# The left-hand side of every row: what it returns, and what the names on the right mean if not the usual.
THEIRS = {
    "optax": [
        (lambda: optax.losses.softmax_cross_entropy_with_integer_labels(Z, Y), {}),
        (lambda: optax.losses.softmax_cross_entropy(Z, 3 * T), {"t": 3 * T}),
        (lambda: optax.losses.softmax_cross_entropy(Z, optax.losses.smooth_labels(ONEHOT, E)), {}),
        (lambda: optax.losses.poly_loss_cross_entropy(Z, ONEHOT), {}),
        (
            lambda: optax.losses.sigmoid_focal_loss(jnp.asarray(Z[:, 0]), jnp.asarray(BINARY, jnp.float32)),
            {"z": Z[:, 0], "y": BINARY},
        ),
        (lambda: optax.losses.squared_error(P.astype(np.float32), ONEHOT).sum(-1), {}),
        (lambda: optax.losses.l2_loss(P.astype(np.float32), ONEHOT).sum(-1), {}),
        (lambda: optax.losses.sigmoid_binary_cross_entropy(jnp.asarray(Z), ONEHOT).sum(-1), {}),
        (lambda: optax.losses.multiclass_sparsemax_loss(jnp.asarray(Z), jnp.asarray(Y)), {}),
    ],
    "PyTorch": [
        (lambda: torch_loss("cross_entropy", Z, IGNORED), {"y": IGNORED}),
        (lambda: torch_loss("cross_entropy", Z, Y, weight=CLASS_WEIGHTS), {"w": CLASS_WEIGHTS}),
        (lambda: torch_loss("cross_entropy", Z, T, weight=CLASS_WEIGHTS), {"w": CLASS_WEIGHTS}),
        (lambda: torch_loss("cross_entropy", Z, Y, label_smoothing=float(E)), {}),
        (lambda: torch_loss("mse_loss", P.astype(np.float32), ONEHOT), {}),
    ],
    "Keras": [
        (lambda: -LOG_P.mean(), {}),
        (lambda: -(W * LOG_P).sum() / N, {}),
        (lambda: smoothed_cross_entropy(1 - E + E / K, E / K).mean(), {}),
        (lambda: (0.25 * (1 - np.exp(LOG_P)) ** 2 * -LOG_P).mean(), {}),
        (lambda: ((P - ONEHOT) ** 2).mean(), {}),
    ],
    "TensorFlow": [
        (lambda: -LOG_P, {}),
        (lambda: (P**2).sum(-1) - 2 * np.exp(LOG_P), {}),
    ],
    "scikit-learn": [
        (lambda: log_loss(sample_weight=W), {}),
        (lambda: log_loss(normalize=False), {}),
        (lambda: brier(Y, P, labels=np.arange(K), minversion="1.7"), {}),
        (lambda: brier(BINARY, TWO[:, 1]), {"z": Z[:, :2], "y": BINARY}),
    ],
    "T5X, MaxText": [(lambda: smoothed_cross_entropy(1 - E, E / (K - 1)), {})],
}


def table():
    """(library, how many rows before it, left cell, right cell) of every row of the docstring."""
    library, count = None, 0
    for line in losses.__doc__.splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")] if line.startswith("| ") else []
        heading = re.match(r"\| \*\*(.*?)\*\*", line)
        if heading:
            library, count = heading[1], 0
        elif library and cells:
            yield library, count, cells[0], cells[-1]
            count += 1


def same(theirs, ours):
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=2e-6, atol=1e-7)


def test_every_row_of_the_table_is_tested():
    counts = {}
    for library, *_ in table():
        counts[library] = counts.get(library, 0) + 1
    assert counts == {library: len(rows) for library, rows in THEIRS.items()}


@pytest.mark.parametrize(
    ("library", "row", "ours"), [pytest.param(*row[:2], row[3], id=f"{row[0]}: {row[2]}") for row in table()]
)
def test_a_row_of_the_table(library, row, ours):
    function, names = THEIRS[library][row]
    usual = {"z": Z, "y": Y, "t": T, "w": W, "e": E, "K": K, "stack": jnp.stack} | vars(losses)
    same(function(), eval(ours, usual | names))


def test_where_the_policy_differs_from_optax():
    """A label out of range, -100 among 128 classes included, and a label that `where` hides: NaN, not another class."""
    z = np.zeros((3, 128), np.float32)
    assert np.isnan(cross_entropy(z, np.array([-1, -100, 128]))).all()
    visible = np.ones((N, K), bool)
    visible[np.arange(N), Y] = False
    assert np.isnan(cross_entropy(Z, Y, where=visible)).all()
    # Where the label stays visible the two agree.
    shown = np.roll(visible, 1, axis=-1)
    theirs = optax.losses.softmax_cross_entropy_with_integer_labels(jnp.asarray(Z), jnp.asarray(Y), where=shown)
    same(theirs, cross_entropy(Z, Y, where=shown))


def test_where_the_policy_differs_from_pytorch():
    """The mean over no row is 0; PyTorch divides by 0."""
    nobody = np.full(N, -100)
    assert float(mean_over(cross_entropy(Z, nobody), where=nobody != -100)) == 0.0
    assert np.isnan(torch_loss("cross_entropy", Z, nobody))


def test_the_brier_score_with_other_options():
    """Weights, and the half that `scale_by_half` asks for; of two classes, the textbook's single output."""
    options = {"labels": np.arange(K), "minversion": "1.7"}
    same(brier(Y, P, sample_weight=W, **options), mean_over(ssr(Z, Y), weights=W))
    same(brier(Y, P, scale_by_half=True, **options), mean_over(ssr(Z, Y)) / 2)
    same(brier(BINARY, TWO[:, 1], sample_weight=W), mean_over(losses.true_class_ssr(Z[:, :2], BINARY), weights=W))


# Below, what optax asks of its own losses, asked of ours: published values, masks, axes, infinite logits, gradients.


@pytest.mark.parametrize("transformed", [jax.jit, lambda f: jax.jit(jax.vmap(f))], ids=["jit", "vmap"])
def test_published_values_of_cross_entropy(transformed):
    z, y = np.array([[10.0, 1.0, -2.0], [1.0, 4.0, 0.2]], np.float32), np.array([1, 0])
    expected = [9.00013, 3.0696733]
    np.testing.assert_allclose(transformed(cross_entropy)(z, y), expected, rtol=1e-5)
    onehot = np.eye(3, dtype=np.float32)[y]
    np.testing.assert_allclose(transformed(cross_entropy_with_targets)(z, onehot), expected, rtol=1e-5)


def test_published_values_with_infinite_logits():
    """0 log 0 is 0, a target on an impossible class costs infinity."""
    z = np.array([[-np.inf, 0, 0], [-np.inf, 0, 0], [-np.inf, 0, -np.inf]], np.float32)
    t = np.array([[0, 0.5, 0.5], [0.4, 0.3, 0.3], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(cross_entropy_with_targets(z, t), [0.693147, np.inf, 0.0], rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(z, np.array([1, 0, 1])), [0.693147, np.inf, 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("epsilon", "expected"), [(2, 0.4823), (1, 0.3261), (0, 0.1698), (-0.5, 0.0917), (1.15, 0.3495), (5.45, 1.0211)]
)
def test_published_values_of_poly_loss(epsilon, expected):
    found = poly1_loss(np.array([4.0, 2.0, 1.0], np.float32), np.array(0), epsilon=epsilon)
    assert float(found) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["cross_entropy", "ssr"])
def test_a_mask_is_the_smaller_problem(name):
    """Logits and targets of the visible classes alone, in the form with targets."""
    visible = np.array([True, False, True, True])
    targets = T * visible
    both = getattr(losses, f"{name}_with_targets")
    same(both(Z, targets, where=visible[None]), both(Z[:, visible], targets[:, visible]))


@pytest.mark.parametrize("axis", [1, *(pytest.param(axis, marks=pytest.mark.slow) for axis in (0, 2, -2))])
def test_every_axis(axis):
    z = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    y = RNG.integers(z.shape[axis], size=np.delete(z.shape, axis))
    t = RNG.dirichlet(np.ones(6), size=(4, 5)).astype(np.float32)  # no distribution along the other axes
    of_labels, of_targets = optax.losses.softmax_cross_entropy_with_integer_labels, optax.losses.softmax_cross_entropy
    for theirs, ours, given in ((of_labels, cross_entropy, y), (of_targets, cross_entropy_with_targets, t)):
        same(*jax.jit(lambda f=theirs, g=ours, x=given: (f(z, x, axis=axis), g(z, x, axis=axis)))())


def test_gradients_against_differences():
    def everything(z):
        return cross_entropy(z, Y), cross_entropy_with_targets(z, T), ssr(z, Y), poly1_loss(z, Y)

    with jax.enable_x64(True):
        check_grads(jax.jit(everything), (Z.astype(np.float64),), order=1, rtol=1e-5)
