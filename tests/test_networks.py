"""Networks other than dense ones: a user's own, convolutions, what is refused before anything trains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import Hyperparameters, Part, Splits, class_weights, compare, make_train, mlp, sweep
from ce_jax.losses import LOSSES
from ce_jax.models import ACTIVATIONS, Model, NormalizedLayer, as_model, backward_of, cnn, linear, logits_of
from ce_jax.sweeping import Plan, compile_wave

pytestmark = pytest.mark.usefixtures("quick_compilation")
KEY = jax.random.key(0)
RATES = np.array([0.01, 0.1, 1.0], np.float32)


def init(key, inputs, num_classes):
    return mlp((6,)).init(key, inputs, num_classes)


def apply(params, inputs):
    hidden = jax.nn.relu(inputs @ params[0].weight + params[0].bias[None, :])
    return hidden @ params[1].weight + params[1].bias[None, :]


def data(rows=40, shape=(3,), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    part = Part(rng.normal(size=(rows, *shape)).astype(np.float32), np.arange(rows) % classes)
    return Splits(part, part, part)


def curves(model, splits, *, loss="cross_entropy", classes=3, seeds=(0, 1), plan=None, **options):
    train = make_train(model, loss, num_classes=classes, evaluate_at=(0, 3, 8), **options)
    return sweep(train, list(seeds), Hyperparameters(RATES), splits, plan=plan)


# ------------------------------------------------------------------------------------------------- a user's own network


@pytest.mark.parametrize("gradient", ["autodiff", "manual"])
@pytest.mark.parametrize(
    "options",
    [{"row_block": 16}, *(pytest.param(one, marks=pytest.mark.slow) for one in ({}, {"batch_size": 16}))],
    ids=str,
)
def test_an_opaque_pair_trains_as_the_built_in_network(gradient, options):
    for loss in ("cross_entropy", "ssr"):
        opaque, known = (
            curves(model, data(), loss=loss, gradient=gradient, **options)
            for model in (as_model((init, apply), 3, (3,)), mlp((6,)))
        )
        for name, curve in known.items():
            np.testing.assert_allclose(opaque[name], curve, rtol=2e-5, atol=1e-6, err_msg=name)


def test_a_pair_may_leave_out_the_number_of_classes_and_have_any_tree():
    model = as_model(
        (lambda key, inputs: {"w": [jnp.zeros((inputs.shape[1], 3))], "b": {"x": jnp.zeros(3)}},
         lambda params, inputs: inputs @ params["w"][0] + params["b"]["x"][None, :]),
        3,
        (3,),
    )  # fmt: skip
    zero = linear(start=(0.0,))
    np.testing.assert_allclose(curves(model, data())["train_loss"], curves(zero, data())["train_loss"], rtol=1e-5)


def test_a_stopped_wave_of_an_own_network_goes_on_as_if_nothing_happened():
    model = as_model((init, apply), 3, (3,))
    train = make_train(model, "ssr", num_classes=3, evaluate_at=(0, 3, 8), optimizer="adam")
    program = compile_wave(train, Plan(2, 3, 1, segment_steps=3), Hyperparameters(RATES), data())
    stored = []
    whole = program.run([0, 1], Hyperparameters(RATES), data(), save=stored.append)
    again = program.run([0, 1], Hyperparameters(RATES), data(), checkpoint=stored[0])
    for name, curve in whole.items():
        np.testing.assert_array_equal(again[name], curve)


def dropping(params, inputs, *, key=None, train=False):
    hidden = jax.nn.relu(inputs @ params[0].weight + params[0].bias[None, :])
    if train:
        hidden = hidden * jax.random.bernoulli(key, 0.5, hidden.shape) * 2
    return hidden @ params[1].weight + params[1].bias[None, :]


@pytest.mark.slow
def test_keys_for_dropout_are_passed_per_step_and_only_in_training():
    seen = []

    def watched(params, inputs, *, key=None, train=False):
        jax.debug.callback(lambda k: seen.append(tuple(k.tolist())), jax.random.key_data(key)) if train else None
        return dropping(params, inputs, key=key, train=train)

    watching = as_model((init, watched), 3, (3,))
    train = make_train(watching, "ssr", num_classes=3, evaluate_at=(0, 3))
    jax.block_until_ready(train(KEY, Hyperparameters(0.1), data()))
    jax.effects_barrier()
    assert len(set(seen)) == 3  # one for each step, none of them twice
    dropped, kept = (curves(as_model((init, one), 3, (3,)), data()) for one in (dropping, apply))
    np.testing.assert_allclose(dropped["train_loss"][..., 0], kept["train_loss"][..., 0], rtol=1e-6)
    assert np.abs(dropped["train_loss"][1:, :, -1] - kept["train_loss"][1:, :, -1]).min() > 1e-5
    # A lane's draws are those of its seed and step alone, whoever shares its wave.
    alone = curves(as_model((init, dropping), 3, (3,)), data(), plan=Plan(1, 1, 1))
    np.testing.assert_allclose(alone["train_loss"], dropped["train_loss"], rtol=1e-5)


def mixing(params, inputs):
    return apply(params, inputs - inputs.mean(0, keepdims=True))


def impure(params, inputs, count=[0]):  # noqa: B006
    count[0] += 1
    return apply(params, inputs) + count[0] * inputs[:, :1]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((init, lambda p, x: apply(p, x)[:, :2]), r"expected logits of shape \(2, 3\) for two examples, got \(2, 2\)"),
        ((init, lambda p, x: apply(p, x).mean()), r"expected logits of shape \(2, 3\) for two examples, got \(\)"),
        ((lambda k, x: {"n": jnp.array(3)}, apply), r"expected floating-point parameters, got int32 at params\['n'\]"),
        ((lambda k, x: {}, apply), "expected parameters from init, got none"),
        ((init, mixing), "change with the others of its batch.*layer or group normalisation"),
        ((init, impure), "apply is not a pure function"),
        ((init, lambda p, x: x @ p[5].weight), r"apply fails on \[3\]: tuple index out of range"),
        ((lambda k: k, apply), "init fails on"),
    ],
)
def test_mistakes_are_one_line_before_anything_trains(pair, message):
    splits = data()
    with pytest.raises(ValueError, match=message) as error:
        compare(splits, model=pair, steps=2, seeds=2, tuning_seeds=1, widen=0)
    assert "\n" not in str(error.value)


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match=r"expected a Model, a pair \(init, apply\), .* got str"):
        as_model("mlp", 3, (3,))


def test_a_function_may_ask_for_classes_and_shape():
    assert as_model(lambda num_classes, input_shape: mlp((num_classes, *input_shape)), 3, (4,)).hidden == (3, 4)
    assert as_model(lambda k: mlp((k,)), 3, (4,)).hidden == (3,)
    assert as_model(lambda: linear(), 3, (4,)).hidden == ()
    assert as_model(lambda: linear(), 3, (4,)).name == "<lambda>"
    assert as_model(Model(init, apply, name="mine"), 3, (4,)).name == "mine"


def test_an_example_may_have_any_shape():
    model = as_model((lambda key, inputs: jnp.zeros((3, inputs.shape[2])), lambda p, x: x.sum(1) @ p.T), 3, (4, 5))
    assert curves(model, data(shape=(4, 5)))["train_loss"].shape == (3, 2, 3)


def test_statistics_over_a_batch_are_seen_in_training_too():
    def in_training(params, inputs, train=False):
        return mixing(params, inputs) if train else apply(params, inputs)

    with pytest.raises(ValueError, match="change with the others of its batch"):
        compare(data(), model=(init, in_training), steps=2, seeds=2, tuning_seeds=1, widen=0)


def test_collections_beside_the_parameters_are_refused():
    def begun(key, inputs, num_classes):
        return {"params": init(key, inputs, num_classes), "batch_stats": jnp.zeros(3)}

    with pytest.raises(ValueError, match="expected parameters alone, got the collection 'batch_stats'"):
        compare(data(), model=(begun, lambda p, x: apply(p["params"], x)), steps=2, seeds=2, tuning_seeds=1, widen=0)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["autodiff", "manual"])
def test_a_network_of_half_precision_is_measured_in_that_of_its_parameters(gradient):
    def half(params, inputs):
        return apply(jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params), inputs.astype(jnp.bfloat16))

    found = curves(as_model((init, half), 3, (3,)), data(), gradient=gradient)
    assert {str(curve.dtype) for curve in found.values()} == {"float32"}
    np.testing.assert_allclose(found["train_loss"][0], curves(mlp((6,)), data())["train_loss"][0], rtol=0.03)


def test_whole_numbers_may_be_inputs():
    def embedded(key, inputs):
        return jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)

    part = Part(np.arange(40) % 4, np.arange(40) % 3)
    part = Part(part.inputs[:, None], part.labels)
    found = curves(as_model((embedded, lambda p, x: p[x[:, 0]]), 3, (1,)), Splits(part, part, part))
    assert found["train_loss"].dtype == np.float32


def test_what_splits_leave_no_room_for_is_refused():
    with pytest.raises(ValueError, match="imbalance: expected nothing beside Splits"):
        compare(data(), model=linear(), imbalance=50)


def test_class_weights_may_be_an_array():
    found = compare(
        data(),
        model=linear(),
        losses=[{"name": "ssr", "class_weight": class_weights(np.repeat([0, 1, 2], [2, 1, 1]))}],
        steps=2,
        seeds=2,
        tuning_seeds=1,
        widen=0,
        resamples=99,
    )
    assert list(found.summary["losses"]) == ["ssr(class_weight=0.666667/1.33333/1.33333)"]


def test_an_own_loss_may_ask_for_a_prior():
    def loss(logits, labels, *, prior):
        return LOSSES["cross_entropy"].value(logits + jnp.log(prior)[None, :], labels)

    found = compare(data(), model=linear(), losses=[loss], steps=2, seeds=2, tuning_seeds=1, widen=0, resamples=99)
    assert np.isfinite(found.curves["loss"]["train_loss"]).any()


# ---------------------------------------------------------------------------------------------------- other libraries


@pytest.mark.slow
def test_flax_linen():
    nn = pytest.importorskip("flax.linen")

    class Net(nn.Module):
        normalize: bool = False

        @nn.compact
        def __call__(self, x, train=False):
            x = nn.Dropout(0.3, deterministic=not train)(nn.relu(nn.Dense(6)(x)))
            return nn.Dense(3)(nn.BatchNorm(use_running_average=True)(x) if self.normalize else x)

    check_library(Net())
    bound = as_model((Net().init, Net().apply), 3, (3,))  # a module's own two methods are the module
    assert bound.name == "Net"
    with pytest.raises(ValueError, match=r"collection 'batch_stats'.*nn.LayerNorm or nn.GroupNorm"):
        curves(as_model(Net(True), 3, (3,)), data())


@pytest.mark.slow
def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, classes, rngs, normalize=False):
            self.first, self.last = nnx.Linear(3, 6, rngs=rngs), nnx.Linear(6, classes, rngs=rngs)
            self.dropout = nnx.Dropout(0.3, rngs=rngs)
            self.norm = nnx.BatchNorm(6, rngs=rngs) if normalize else lambda x: x

        def __call__(self, x):
            return self.last(self.norm(self.dropout(nnx.relu(self.first(x)))))

    check_library(lambda num_classes, rngs: Net(num_classes, rngs))
    assert as_model(Net(3, nnx.Rngs(0)), 3, (3,)).start == "given"
    with pytest.raises(ValueError, match=r"BatchStat at norm.mean.*nnx.LayerNorm or nnx.GroupNorm"):
        as_model(Net(3, nnx.Rngs(0), normalize=True), 3, (3,))


@pytest.mark.slow
def test_equinox():
    eqx = pytest.importorskip("equinox")

    class Net(eqx.Module):
        first: eqx.nn.Linear
        dropout: eqx.nn.Dropout
        last: eqx.nn.Linear

        def __init__(self, key):
            keys = jax.random.split(key)
            self.first, self.last = eqx.nn.Linear(3, 6, key=keys[0]), eqx.nn.Linear(6, 3, key=keys[1])
            self.dropout = eqx.nn.Dropout(0.3)

        def __call__(self, x, *, key=None):
            return self.last(self.dropout(jax.nn.relu(self.first(x)), key=key))

    check_library(lambda key: Net(key))
    check_library(Net)  # a class that takes a key is a function that makes one
    given = as_model(Net(KEY), 3, (3,))
    assert given.start == "given"
    found = curves(given, data())["train_loss"][..., 0]
    assert np.ptp(found) == 0  # every seed begins at the parameters that the module has
    batch_norm = eqx.nn.BatchNorm(3, axis_name="batch", mode="batch")
    with pytest.raises(ValueError, match=r"StateIndex.*eqx.nn.LayerNorm or eqx.nn.GroupNorm"):
        as_model(batch_norm, 3, (3,))


@pytest.mark.slow
def test_haiku():
    hk = pytest.importorskip("haiku")

    def net(x, is_training):
        x = jax.nn.relu(hk.Linear(6)(x))
        return hk.Linear(3)(hk.dropout(hk.next_rng_key(), 0.3, x) if is_training else x)

    check_library(hk.transform(net))
    check_library(hk.transform(lambda x, is_training=False: net(x, is_training)))
    plain = hk.transform(lambda x: hk.Linear(3)(x))
    assert np.isfinite(curves(as_model(hk.without_apply_rng(plain), 3, (3,)), data())["train_loss"]).all()
    state = hk.transform_with_state(lambda x, is_training: hk.Linear(3)(hk.BatchNorm(True, True, 0.9)(x, is_training)))
    with pytest.raises(ValueError, match=r"state of 'batch_norm.*hk.LayerNorm or hk.GroupNorm"):
        curves(as_model(state, 3, (3,)), data())


def check_library(given):
    """It trains, seeds differ, dropout acts in training alone, and two runs are the same."""
    model = as_model(given, 3, (3,))
    found = curves(model, data())
    assert np.isfinite(found["train_loss"]).all()
    assert np.all(found["train_loss"][1, :, -1] < found["train_loss"][1, :, 0])
    assert found["train_loss"][0, 0, 0] != found["train_loss"][0, 1, 0]
    np.testing.assert_array_equal(curves(model, data())["train_loss"], found["train_loss"])
    params = model.init(KEY, jnp.asarray(data().train.inputs[:1]))
    inputs = jnp.asarray(data().train.inputs)
    calm, one, other = (logits_of(model, params, inputs, key) for key in (None, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(logits_of(model, params, inputs), calm)
    assert not np.allclose(one, calm)
    assert not np.allclose(one, other)


# ------------------------------------------------------------------------------------------------------- convolutions


def by_definition(params, images, channels, norm, residual):
    """The same network by `lax.conv`, samples first."""
    layers = iter(params)

    def convolved(x, layer):
        size = round((layer.weight.shape[0] / x.shape[-1]) ** 0.5)
        kernel = layer.weight.reshape(size, size, x.shape[-1], -1)
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = x + layer.bias[None, None, None, :]
        if not isinstance(layer, NormalizedLayer):
            return x
        groups = 1 if norm == "layer" else np.gcd(x.shape[-1], 4)
        split = x.reshape(*x.shape[:3], groups, -1)
        split = split - split.mean((1, 2, 4), keepdims=True)
        split = split / jnp.sqrt(split.var((1, 2, 4), keepdims=True) + 1e-5)
        return split.reshape(x.shape) * layer.scale[None, None, None, :] + layer.shift[None, None, None, :]

    x = images
    for wide in channels:
        block = convolved(x, next(layers))
        if residual:
            block = convolved(jax.nn.relu(block), next(layers))
            block += x if x.shape[-1] == wide else convolved(x, next(layers))
        x = jax.lax.reduce_window(jax.nn.relu(block), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    *hidden, last = layers
    for layer in hidden:
        x = jax.nn.relu(x @ layer.weight + layer.bias[None, :])
    return x @ last.weight + last.bias[None, :]


def moved(params):
    """Parameters none of which is 0 or 1."""
    return jax.tree.map(
        lambda leaf: leaf + 0.1 * jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape), params
    )


@pytest.mark.parametrize(
    ("norm", "residual"),
    [
        ("none", False),
        ("group", True),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in [("none", True), ("group", False), ("layer", True)]),
    ],
)
def test_convolutions_are_those_of_lax(norm, residual):
    model = cnn((4, 4, 6), hidden=(5,), normalization=norm, residual=residual)
    images = jnp.asarray(data(7, (9, 8, 2)).train.inputs)
    params = moved(model.init(KEY, images, 3))

    def total(function):
        return jax.jit(jax.value_and_grad(lambda params: jnp.sum(jnp.sin(function(params)))))

    ours = total(lambda params: model.apply(params, images))(params)
    theirs = total(lambda params: by_definition(params, images, (4, 4, 6), norm, residual))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), ours, theirs)


@pytest.mark.parametrize(
    "shape", [(18, 7, 1), pytest.param((8, 8, 1), marks=pytest.mark.slow)], ids=["in tiles", "at once"]
)
def test_ties_in_a_pooled_square_go_to_its_first_place(shape):
    """On a constant background every place is the largest, and positive where the bias is."""
    model = cnn((4, 6), kernel=5, hidden=())
    images = jnp.asarray(data(6, shape).train.inputs).at[:, :, :5].set(0.5)
    params = jax.tree.map(jnp.abs, moved(model.init(KEY, images, 3)))

    # Not a function of the logits, which are large here: it would enlarge their last digits.
    weights = jnp.sin(jnp.arange(18.0)).reshape(6, 3)

    def total(function):
        return jax.jit(jax.grad(lambda images: jnp.sum(weights * function(params, images))))(images)

    theirs = total(lambda params, images: by_definition(params, images, (4, 6), "none", False))
    np.testing.assert_allclose(total(model.apply), theirs, rtol=2e-4, atol=2e-5)
    by_columns = total(lambda params, images: model.columns(model.packed(params), images).T)
    np.testing.assert_allclose(by_columns, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("activation", ["gelu", pytest.param("tanh", marks=pytest.mark.slow)])
def test_pooling_is_that_of_activations(activation):
    """Whether it comes before them, as it may where they are monotone, or after; and forward mode follows."""
    assert [name for name, unit in ACTIVATIONS.items() if not unit.monotone] == ["gelu", "silu"]
    model, images = cnn((3,), hidden=(), pool=3, activation=activation), jnp.asarray(data(4, (7, 10, 2)).train.inputs)
    params = moved(model.init(KEY, images, 3))

    def defined(params):
        kernel = params[0].weight.reshape(3, 3, 2, 3)
        x = jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = ACTIVATIONS[activation].value(x + params[0].bias[None, None, None, :])
        # By places: JAX's maximum over axes is compared with what may have been rounded differently.
        x = functools.reduce(jnp.maximum, [x[:, i:6:3, j:9:3] for i in range(3) for j in range(3)])
        x = x.transpose(0, 3, 1, 2).reshape(4, -1)
        return x @ params[1].weight + params[1].bias[None, :]

    ours, theirs = (
        jax.jit(lambda p, one=one: jax.jvp(one, (p,), (p,)))(params)
        for one in (lambda params: model.apply(params, images), defined)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), ours, theirs)


def test_what_does_not_fit_a_convolution_is_said():
    for options, message in [
        ({"kernel": 2}, "kernel: expected an odd number, got 2"),
        ({"channels": ()}, "channels: expected whole numbers from 1"),
        ({"pool": 0}, "pool: expected whole numbers from 1"),
        ({"normalization": "batch"}, "expected one of none, layer, group, got 'batch'"),
        ({"activation": "rellu"}, "activation: expected one of relu"),
        ({"start": "heh"}, "start: expected one of he"),
    ]:
        with pytest.raises(ValueError, match=message):
            cnn(**options)
    with pytest.raises(
        ValueError, match=r"expected images \[N, height, width, channels\], got examples of shape \[3\]"
    ):
        compare(data(), model=cnn(), steps=2, seeds=2, tuning_seeds=1, widen=0)
    with pytest.raises(ValueError, match="expected one entry for each of the 4 layers, got 2"):
        cnn(start=(1.0, 1.0)).init(KEY, jnp.ones((1, 8, 8, 1)), 3)


# ------------------------------------------------------------------------------------------------------- dense networks


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("gelu", "elu") else pytest.mark.slow) for name in ACTIVATIONS]
)
def test_slopes_are_the_derivatives_and_backpropagation_uses_them(name):
    unit, places = ACTIVATIONS[name], jnp.linspace(-6.0, 6.0, 50)
    slopes = jax.vmap(jax.grad(unit.value))(places)
    np.testing.assert_allclose(unit.slope(places, unit.value(places)), slopes, rtol=1e-5, atol=1e-6)
    by_hand, by_autodiff = (
        curves(mlp((5, 4), activation=name), data(), gradient=gradient) for gradient in ("manual", "autodiff")
    )
    np.testing.assert_allclose(by_hand["train_loss"], by_autodiff["train_loss"], rtol=1e-4)


def test_layer_normalisation_is_that_of_its_definition():
    model = mlp((5,), normalization="layer")
    inputs = jnp.asarray(data().train.inputs)
    hidden, output = params = moved(model.init(KEY, inputs, 3))
    x = inputs @ hidden.weight + hidden.bias[None, :]
    x = (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 1e-5)
    x = jax.nn.relu(x * hidden.scale[None, :] + hidden.shift[None, :])
    expected = x @ output.weight + output.bias[None, :]
    np.testing.assert_allclose(model.apply(params, inputs), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.columns(model.packed(params), inputs).T, expected, rtol=1e-5, atol=1e-5)


def test_back_through_a_network_by_transposition_is_its_gradient():
    model, inputs = mlp((5,), normalization="layer"), jnp.asarray(data().train.inputs)
    labels, loss = jnp.asarray(data().train.labels), LOSSES["ssr"]
    params = model.packed(model.init(KEY, inputs, 3))

    def mean(params):
        return jnp.mean(loss.value(logits_of(model, params, inputs), labels, axis=0))

    def by_hand(logits):
        return loss.value(logits, labels, axis=0), loss.grad(logits, labels, axis=0)

    value, gradients, _ = backward_of(model)(params, inputs, by_hand)
    expected = jax.value_and_grad(mean)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), (value, gradients), expected)


# -------------------------------------------------------------------------------------------------------- class weights


@pytest.mark.parametrize("gradient", ["autodiff", "manual"])
@pytest.mark.parametrize("options", [{}, {"row_block": 16}], ids=str)
def test_a_weighted_loss_is_the_weighted_mean_and_is_what_is_trained_on(gradient, options):
    part = data().train
    part = Part(part.inputs, np.repeat([0, 1, 2], [28, 9, 3]))
    splits = Splits(part, part, part)
    for weight in ("balanced", (1.0, 0.5, 4.0)):
        weights = class_weights(part.labels, 3) if weight == "balanced" else jnp.array(weight)
        own = weights[part.labels]

        def mean(params, own=own):
            losses = LOSSES["ssr"].value(linear().apply(params, jnp.asarray(part.inputs)), jnp.asarray(part.labels))
            return jnp.sum(own * losses) / jnp.sum(own)

        params = linear().init(jax.random.split(KEY)[0], part.inputs, 3)
        value, gradients = jax.value_and_grad(mean)(params)
        stepped = mean(jax.tree.map(lambda leaf, slope: leaf - 0.5 * slope, params, gradients))
        train = make_train(
            linear(), "ssr", num_classes=3, evaluate_at=(0, 1), gradient=gradient, class_weight=weight, **options
        )
        found = train(KEY, Hyperparameters(0.5), splits)["train_loss"]
        np.testing.assert_allclose(found, [value, stepped], rtol=1e-5)


def test_a_loss_that_takes_a_prior_is_given_that_of_the_training_part():
    part = data().train
    part = Part(part.inputs, np.repeat([0, 1, 2], [28, 9, 3]))
    found = curves(linear(), Splits(part, part, part), loss="logit_adjusted_cross_entropy")["train_loss"]
    logits = linear().apply(linear().init(jax.random.split(KEY)[0], part.inputs, 3), jnp.asarray(part.inputs))
    value = LOSSES["logit_adjusted_cross_entropy"].value
    expected = value(logits, jnp.asarray(part.labels), prior=jnp.array([28, 9, 3]) / 40).mean()
    assert found[0, 0, 0] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    "weight", ["balancd", "bal", (1.0, 2.0), (1.0, -1.0, 1.0), (1.0, float("nan"), 1.0), (1.0, 1.0, float("inf"))]
)
def test_wrong_class_weights_are_refused(weight):
    with pytest.raises(ValueError, match="class_weight: expected 'balanced' or 3 numbers from 0, one for each class"):
        make_train(linear(), "ssr", num_classes=3, evaluate_at=(0, 1), class_weight=weight)
