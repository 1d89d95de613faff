"""A training run: against a plain NumPy loop, across routes, pairing, divergence, evaluation steps."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax.losses import LOSSES, Loss, cross_entropy
from ce_jax.models import Layer, cnn, linear, mlp
from ce_jax.training import (
    AT_END,
    METRICS,
    Hyperparameters,
    Part,
    Splits,
    evaluation_steps,
    make_optimizer,
    make_train,
    optimizer_names,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")


def data(samples=24, features=3, classes=3):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, features)) * 2
    parts = []
    for _ in range(3):
        labels = np.arange(samples) % classes
        parts.append(Part((centres[labels] + rng.normal(size=(samples, features))).astype(np.float32), labels))
    return Splits(*parts)


def curves(model=None, loss=LOSSES["cross_entropy"], rate=0.5, options=None, seed=0, steps=(0, 1, 5, 20), **knobs):
    train = make_train(model or linear(), loss, num_classes=3, evaluate_at=steps, **knobs)
    return jax.jit(train)(jax.random.key(seed), Hyperparameters(rate, options or {}), data())


def by_numpy(loss, rate, steps):
    """Gradient descent on softmax regression in float64, written from the definitions."""
    train, validation, _ = data()
    init_key, _ = jax.random.split(jax.random.key(0))
    (layer,) = linear().init(init_key, 3, 3)
    weight, bias = np.asarray(layer.weight, np.float64), np.zeros(3)
    onehot = np.eye(3)[train.labels]
    losses, accuracies, norms = [], [], []
    for step in range(max(steps) + 1):
        z = train.inputs @ weight + bias
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        if loss == "cross_entropy":
            value, delta = -np.log(p[onehot == 1]), p - onehot
        else:
            value = ((p - onehot) ** 2).sum(1)
            delta = 2 * p * ((p - onehot) - (p * (p - onehot)).sum(1, keepdims=True))
        grad_w, grad_b = train.inputs.T @ delta / len(z), delta.mean(0)
        if step in steps:
            losses.append(value.mean())
            accuracies.append(((validation.inputs @ weight + bias).argmax(1) == validation.labels).mean())
            norms.append(np.sqrt((grad_w**2).sum() + (grad_b**2).sum()))
        weight, bias = weight - rate * grad_w, bias - rate * grad_b
    return losses, accuracies, norms


@pytest.mark.parametrize("loss", ["cross_entropy", "ssr"])
@pytest.mark.parametrize("gradient", ["autodiff", "manual"])
def test_training_equals_a_numpy_loop(loss, gradient):
    steps = (0, 1, 5, 20)
    found = curves(loss=LOSSES[loss], gradient=gradient, steps=steps)
    losses, accuracies, norms = by_numpy(loss, 0.5, steps)
    np.testing.assert_allclose(found["train_loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(found["gradient_norm"], norms, rtol=1e-4)
    np.testing.assert_allclose(found["validation_accuracy"], accuracies, atol=1e-6)
    np.testing.assert_allclose(found["train_loss"], found[loss], rtol=1e-6)
    assert set(found) == {*METRICS, *AT_END}


@pytest.mark.parametrize(
    ("optimizer", "batch_size"),
    [
        ("sgd", None),
        ("adamw", 5),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("momentum", 5), ("adam", None), ("lion", 5))),
    ],
)
def test_both_gradient_routes_give_the_same_curves(optimizer, batch_size):
    knobs = {"model": mlp((4,), activation="tanh"), "optimizer": optimizer, "batch_size": batch_size, "rate": 0.01}
    routes = [curves(loss=LOSSES["ssr"], gradient=gradient, **knobs) for gradient in ("autodiff", "manual")]
    for metric in METRICS:
        np.testing.assert_allclose(routes[0][metric], routes[1][metric], rtol=2e-4, atol=1e-5, err_msg=metric)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row_block", "batch_size", "gradient"),
    [(8, None, "autodiff"), (7, None, "manual"), (5, 13, "autodiff"), (100, None, "autodiff")],
)
def test_row_blocks_change_nothing(row_block, batch_size, gradient):
    """Blocks that divide the rows, blocks that leave a rest, minibatches, and a block wider than the data."""
    knobs = {"model": mlp((4,)), "batch_size": batch_size, "gradient": gradient}
    whole, cut = curves(**knobs), curves(**knobs, row_block=row_block)
    for metric in METRICS:
        np.testing.assert_allclose(cut[metric], whole[metric], rtol=2e-5, atol=1e-6, err_msg=metric)


@pytest.mark.parametrize("class_weight", [None, pytest.param((1.0, 0.5, 4.0), marks=pytest.mark.slow)])
def test_evaluation_in_blocks_changes_nothing(class_weight):
    """With rows that are left over, which must count neither in the loss nor in its gradient."""
    rows, knobs = data().train.labels.shape[0], {"model": mlp((4,)), "class_weight": class_weight}
    assert rows % 16
    whole, cut = curves(**knobs), curves(**knobs, evaluate_block=16)
    for metric in METRICS:
        np.testing.assert_allclose(cut[metric], whole[metric], rtol=2e-5, atol=1e-6, err_msg=metric)


@pytest.mark.parametrize("class_weight", [None, pytest.param((1.0, 0.5, 4.0), marks=pytest.mark.slow)])
def test_an_evaluation_of_some_rows_changes_only_what_is_measured_on_them(class_weight):
    """The rows' own mean loss, where all rows are evaluated the same run; weights as before, of all rows."""
    knobs, rows = {"model": mlp((4,)), "class_weight": class_weight}, 10
    every, some = curves(**knobs), curves(**knobs, evaluation_rows=rows)
    of_part = [name for name in METRICS if name.startswith(("validation_", "test_"))]
    for metric in of_part:
        np.testing.assert_array_equal(some[metric], every[metric], err_msg=metric)
    for metric in ("train_loss", "gradient_norm", "true_class_probability"):
        assert not np.allclose(some[metric], every[metric], rtol=1e-4)
    assert np.allclose(some["train_accuracy"] * rows, np.round(some["train_accuracy"] * rows), atol=1e-5)
    enough = curves(**knobs, evaluation_rows=len(data().train.labels))
    np.testing.assert_array_equal(enough["train_loss"], every["train_loss"])


def test_the_rows_evaluated_are_drawn_and_the_rare_classes_those_of_all_rows():
    """Sorted rows: the first ten would hold only class 0. Class 2, the rarest, may not be among those drawn."""
    labels = np.repeat([0, 1, 2], [150, 148, 2])
    identity = (Layer(jnp.eye(3), jnp.zeros(3)),)
    train = Part(np.eye(3, dtype=np.float32)[labels], labels)  # all right
    other = Part(np.eye(3, dtype=np.float32)[[0, 1, 1]], np.array([0, 1, 2]))  # the rarest class wrong
    run = make_train(linear(start=identity), "ssr", num_classes=3, evaluate_at=(0,), evaluation_rows=10)
    found = jax.jit(run)(jax.random.key(0), Hyperparameters(0.0), Splits(train, other, other))
    chosen = run._evaluated(train)
    assert len(chosen.labels) == 10
    assert {0, 1} <= set(chosen.labels.tolist())
    np.testing.assert_array_equal(chosen.inputs.argmax(axis=1), chosen.labels)
    assert found["train_loss"][0] == pytest.approx(2 * (1 / (2 + np.e)) ** 2 + (1 - np.e / (2 + np.e)) ** 2, rel=1e-6)
    assert found["validation_rare_accuracy"][0] == 0


@pytest.mark.parametrize(("setting", "expected"), [(None, {"HIGHEST"}), ("tensorfloat32", {"HIGH"})])
def test_products_are_exact_unless_jax_is_told_otherwise(setting, expected):
    """Accelerators round the factors of a float32 product by default: a run there would be another run."""
    train = make_train(mlp((4,)), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 2))
    model, inputs = cnn((2,)), jnp.ones((3, 8, 8, 1))
    params = model.init(jax.random.key(0), inputs, 3)
    with jax.default_matmul_precision(setting):
        trained = jax.jit(train).lower(jax.random.key(0), Hyperparameters(0.1, {}), data()).as_text()
        applied = jax.jit(jax.grad(lambda params: model.apply(params, inputs).sum())).lower(params).as_text()
    for program in (trained, applied):
        products = [line for line in program.splitlines() if "dot_general" in line]
        assert products
        assert {one for line in products for one in re.findall(r"precision = \[(\w+), \1\]", line)} == expected


@pytest.mark.slow
def test_every_listed_optimizer_trains():
    for name in optimizer_names():
        transform = make_optimizer(name, 0.01)
        params = {"w": jnp.ones((2, 2))}
        updates, _ = transform.update({"w": jnp.ones((2, 2))}, transform.init(params), params)
        assert bool(jnp.all(jnp.isfinite(updates["w"]))), name


def test_losses_are_paired():
    """The same seed means the same initial parameters and the same batches, whatever the loss and the rate."""
    model = mlp((4,))
    first = curves(model, LOSSES["cross_entropy"], batch_size=5)
    second = curves(model, LOSSES["ssr"], batch_size=5)
    for metric in ("cross_entropy", "ssr", "train_accuracy", "true_class_probability"):
        assert first[metric][0] == second[metric][0]
    other_seed = curves(model, LOSSES["cross_entropy"], batch_size=5, seed=1)
    assert other_seed["cross_entropy"][0] != first["cross_entropy"][0]


def test_batches_do_not_depend_on_the_loss():
    """Cross-entropy times a constant at a rate divided by it takes the same steps, batch by batch."""

    def doubled(logits, labels):
        return 2 * cross_entropy(logits, labels)

    plain = curves(rate=0.2, batch_size=5)
    twice = curves(loss=Loss("doubled", doubled, None, None), rate=0.1, batch_size=5)
    np.testing.assert_allclose(plain["cross_entropy"], twice["cross_entropy"], rtol=1e-5)


def test_an_epoch_visits_every_example_once():
    """One-hot inputs and a linear loss count visits: example i's weight falls by 1/4 each time a batch holds it."""
    size, batch = 12, 4
    part = Part(np.eye(size, dtype=np.float32), np.zeros(size, np.int32))
    linear_loss = Loss("own logit", lambda logits, labels: logits[:, 0], None, None)  # type: ignore[arg-type]
    steps = (0, 1, 2, 3, 4, 6)
    train = make_train(linear(start=(0.0,)), linear_loss, num_classes=2, evaluate_at=steps, batch_size=batch)
    found = jax.jit(train)(jax.random.key(0), Hyperparameters(1.0, {}), Splits(part, part, part))
    for step, value in zip(steps, found["cross_entropy"], strict=True):
        # So far every example was visited `often` times and step * 4 - 12 * often of them once more.
        often, once_more = divmod(step * batch, size)
        logits = -np.array([often] * (size - once_more) + [often + 1] * once_more) / batch - step
        assert float(value) == pytest.approx(np.log1p(np.exp(-logits)).mean(), rel=1e-5), step


def test_divergence_is_a_status():
    found = curves(mlp((8,)), rate=1e9, steps=(0, 1, 20, 40))
    assert np.isfinite(found["train_loss"][0])
    for metric in METRICS:
        assert np.isnan(found[metric][-1]), metric


def test_ties_are_not_correct():
    train = make_train(linear(start=(0.0,)), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 1))
    assert train(jax.random.key(0), Hyperparameters(0.0, {}), data())["train_accuracy"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("knobs", [{}, {"batch_size": 5}, {"gradient": "manual", "row_block": 7}])
def test_a_dense_model_flattens_images(knobs):
    """Inputs [N, 1, 3, 1] give the curves of their rows, to the last bit."""
    flat = data()
    images = jax.tree.map(lambda leaf: leaf.reshape(-1, 1, 3, 1) if leaf.ndim == 2 else leaf, flat)
    train = make_train(mlp((4,)), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 3), **knobs)
    one, other = (jax.jit(train)(jax.random.key(0), Hyperparameters(0.5, {}), each) for each in (flat, images))
    for metric in METRICS:
        np.testing.assert_array_equal(one[metric], other[metric], err_msg=metric)


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf, data())
        train = make_train(linear(), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 3))
        found = train(jax.random.key(0), Hyperparameters(jnp.float64(0.1), {}), wide)
        assert {curve.dtype for curve in found.values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"steps": (1, 2)}, "increasing steps that start at 0"),
        ({"steps": (0, 5, 5)}, "increasing steps that start at 0"),
        ({"gradient": "numeric"}, "'autodiff' or 'manual'"),
        ({"optimizer": "sdg"}, "optimizer: expected one of"),
        ({"optimizer_options": {"momentun": 0.9}}, "optax.sgd has no option 'momentun'"),
        ({"batch_size": 25}, "at most the 24 training examples"),
        ({"loss": Loss("mine", cross_entropy, None, None), "gradient": "manual"}, "mine has no hand-written gradient"),
    ],
)
def test_wrong_arguments_are_named(knobs, message):
    with pytest.raises(ValueError, match=message):
        curves(**knobs)


def test_evaluation_steps():
    assert evaluation_steps(7, every=3) == (0, 3, 6, 7)
    assert evaluation_steps(1) == (0, 1)
    steps = evaluation_steps(1_000_000, points=64)
    assert steps[0] == 0
    assert steps[-1] == 1_000_000
    assert list(steps) == sorted(set(steps))
