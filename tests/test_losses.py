"""One table, loss x route x transformation, and the behaviour that all losses share.

Files of their own have exactness in units of the last place (`test_loss_precision.py`), bad input and reductions
(`test_bad_input.py`), the families (`test_families.py`), second derivatives in closed form (`test_second_order.py`),
the losses for classes as they are (`test_classes.py`), log-probabilities, entropy and entmax (`test_predictions.py`),
what a reverse pass keeps (`test_residuals.py`) and the conventions of other libraries (`test_parity.py`).
"""

import functools
import importlib
import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import losses
from ce_jax.losses import LOSSES
from tests import oracle

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Every loss as it comes, and with options away from their defaults; the last number is the relative error allowed.
ROUNDING = 24 * float(np.finfo(np.float32).eps)
CASES = [
    ("cross_entropy", {}, ROUNDING),
    ("cross_entropy", {"label_smoothing": 0.125}, ROUNDING),
    ("ssr", {}, ROUNDING),
    ("ssr", {"label_smoothing": 0.125}, ROUNDING),
    ("ssr", {"label_smoothing": 1.0}, 1e-4),
    ("true_class_ssr", {}, ROUNDING),
    ("ssr_on_logits", {"scale": 3.0, "target": 5.0}, ROUNDING),
    ("power_loss", {"beta": 0.0}, ROUNDING),
    ("power_loss", {"beta": 0.5}, 1e-4),
    ("power_loss", {"beta": 1.0}, ROUNDING),
    ("power_loss", {"beta": 2.5}, 1e-4),
    ("lq_loss", {"q": 0.0}, ROUNDING),
    ("lq_loss", {"q": 0.75}, 1e-4),
    ("lq_loss", {"q": 1.0}, ROUNDING),
    ("focal_loss", {}, ROUNDING),
    ("focal_loss", {"gamma": 0.5}, 1e-4),
    ("poly1_loss", {"epsilon": 2.0}, ROUNDING),
    ("squentropy", {}, ROUNDING),
    ("mean_absolute_error", {}, ROUNDING),
    ("z_loss", {}, ROUNDING),
    ("stablemax_cross_entropy", {}, ROUNDING),
    ("logit_adjusted_cross_entropy", {}, ROUNDING),
    ("logit_adjusted_cross_entropy", {"prior": np.array([0.5, 2.0**-7, 0.125, 2.0**-15, 0.25])}, ROUNDING),
    ("logit_adjusted_cross_entropy", {"prior": np.array([8, 1, 1024, 2, 3]), "tau": 1.5}, ROUNDING),
    ("sigmoid_binary_cross_entropy", {}, ROUNDING),
    ("spherical_score", {}, ROUNDING),
    ("fenchel_young_loss", {}, ROUNDING),
    ("fenchel_young_loss", {"alpha": 1.0}, 1e-4),
    ("fenchel_young_loss", {"alpha": 1.25}, 1e-4),
    ("fenchel_young_loss", {"alpha": 2.0}, 1e-4),
]
# Two losses of probabilities and one of logits stand for the others where compiling takes long.
NAMES = list(LOSSES)
FEW = [
    name if name in ("cross_entropy", "ssr", "squentropy") else pytest.param(name, marks=pytest.mark.slow)
    for name in NAMES
]
K = 5


def case_id(case):
    return "-".join([case[0], *(f"{option}={value}" for option, value in case[1].items())])


def value_and_grad(function, z, y, **options):
    """One value per row and the gradient of their sum, with one forward pass."""
    value, pull = jax.vjp(lambda z: function(z, y, **options), z)
    return value, pull(jnp.ones_like(value))[0]


def test_the_table_holds_every_loss():
    assert set(LOSSES) == {case[0] for case in CASES} == {*oracle.OF_PROBABILITIES, *oracle.OF_LOGITS}
    for name, loss in LOSSES.items():
        assert loss.name == name
        assert loss.value is getattr(losses, name)
        assert loss.grad is getattr(losses, f"{name}_grad")


@functools.cache
def routes(name):
    """Compiled once per loss, for options are traced: (z, y, options) -> value and gradient by every route."""
    loss = LOSSES[name]

    @jax.jit
    def by_every_route(z, y, options):
        return {
            "autodiff": value_and_grad(loss.value, z, y, **options),
            "manual": value_and_grad(loss.manual, z, y, **options),
            "by hand": (loss.value(z, y, **options), loss.grad(z, y, **options)),
        }

    return by_every_route


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_route_against_the_oracle(case):
    """Autodiff, the gradient by hand and the rule made of it, at margins from -80 to 80."""
    name, options, tolerance = case
    z, y = oracle.adversarial_rows(K, 24, np.float32)
    truth = [oracle.value_and_grad(name, row, label, **options) for row, label in zip(z, y, strict=True)]
    for route, (values, grads) in routes(name)(z, y, options).items():
        assert values.dtype == grads.dtype == np.float32
        assert oracle.ulps(values, [t[0] for t in truth]).max() <= tolerance * 2**24, route
        errors = [oracle.relative_to_row(g, t[1]) for g, t in zip(np.asarray(grads), truth, strict=True)]
        assert max(errors) <= tolerance, (route, int(np.argmax(errors)))


@pytest.mark.parametrize("name", FEW)
def test_every_transformation_gives_the_same(name):
    """The class axis first under vmap, in the middle, and rows one by one in a scan: as for one batch of rows."""
    loss, (z, y) = LOSSES[name], oracle.adversarial_rows(K, 12, np.float32, seed=1)
    z = np.clip(z, -30, 30)

    @jax.jit
    def everything(z, y):
        lanes = jax.vmap(lambda z, y: value_and_grad(loss.value, z, y, axis=0))
        columns, column_grads = lanes(z.reshape(3, 4, K).swapaxes(1, 2), y.reshape(3, 4))
        middle = loss.manual(z.reshape(3, 4, K).swapaxes(1, 2), y.reshape(3, 4), axis=1)
        middle_grads = loss.grad(z.reshape(3, 4, K).swapaxes(1, 2), y.reshape(3, 4), axis=-2)

        def one(_, row):
            grad = jax.jacfwd(loss.value)(*row)
            return None, (loss.value(*row), grad)

        def as_rows(values, grads):
            return values.reshape(12), grads.swapaxes(1, 2).reshape(12, K)

        return {
            "batch": value_and_grad(loss.value, z, y),
            "class axis first under vmap": as_rows(columns, column_grads),
            "class axis in the middle": as_rows(middle, middle_grads),
            "scan, forward mode": jax.lax.scan(one, None, (z, y))[1],
        }

    found = everything(z, y)
    expected, expected_grad = found.pop("batch")
    scale = np.abs(expected_grad).max(-1, keepdims=True)
    for route, (value, grad) in found.items():
        np.testing.assert_allclose(value, expected, rtol=2e-6, err_msg=route)
        np.testing.assert_allclose(grad / scale, expected_grad / scale, atol=4e-6, err_msg=route)


def check_second_derivatives(name, modes):
    """Second derivatives of the value and of the manual rule against differences of the gradient."""
    loss = LOSSES[name]
    with jax.enable_x64(True):
        z, y = jnp.array([0.3, -1.2, 2.0, 0.7]), jnp.array(1)
        functions = {"value": loss.value, "manual": loss.manual}
        found = jax.jit(
            lambda z: {
                f"{mode} of {route}": modes[mode](lambda z, f=function: f(z, y))(z)
                for route, function in functions.items()
                for mode in modes
            }
        )(z)
        step = 1e-5 * jnp.eye(4)
        ahead, back = (loss.grad(z[None] + sign * step, jnp.full(4, y)) for sign in (1, -1))
        for mode, matrix in found.items():
            np.testing.assert_allclose(matrix, (ahead - back) / 2e-5, rtol=1e-7, atol=1e-9, err_msg=mode)


@pytest.mark.parametrize("name", FEW)
def test_hessian(name):
    check_second_derivatives(name, {"jax.hessian": jax.hessian})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_in_every_mode(name):
    check_second_derivatives(
        name,
        {
            "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
            "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
            "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f)),
            "products under vmap": lambda f: (
                lambda z: jax.vmap(lambda v: jax.jvp(jax.grad(f), (z,), (v,))[1])(jnp.eye(len(z)))
            ),
        },
    )


@pytest.mark.parametrize("name", FEW)
def test_a_class_of_probability_zero_changes_nothing(name):
    """-inf on a wrong class, or a class hidden by `where` whatever it holds: as if the class were not there."""
    loss, y, kept = LOSSES[name], jnp.array(1), np.array([0, 1, 3])
    z = jnp.array([0.5, -1.0, 2.0, 0.25])

    def derivatives(z, where):
        def value(z):
            return loss.value(z, y, where=where)

        manual = value_and_grad(loss.manual, z, y, where=where)
        return value(z), jax.grad(value)(z), jax.hessian(value)(z), *manual, loss.grad(z, y, where=where)

    reduced = jax.jit(derivatives)(z[kept], jnp.ones(3, bool))
    rows = jnp.stack([z.at[2].set(-jnp.inf), z.at[2].set(jnp.nan)])
    found = jax.jit(jax.vmap(derivatives))(rows, jnp.array([[True] * 4, [True, True, False, True]]))
    for both, small in zip(found, reduced, strict=True):
        expected = np.zeros((4,) * small.ndim)
        expected[np.ix_(*[kept] * small.ndim)] = small
        for kind, full in zip(("-inf", "hidden NaN"), both, strict=True):
            np.testing.assert_allclose(full, expected, rtol=1e-6, atol=1e-7, err_msg=kind)


@pytest.mark.parametrize("name", NAMES)
def test_huge_logits_stay_finite(name):
    loss = LOSSES[name]
    z = jnp.array([[1e9, 0.0, -1e9], [0.0, 1e9, 1e9 - 640], [-1e9, -1e9, -1e9]], jnp.float32)
    y = jnp.array([0, 0, 2])
    found = jax.jit(lambda z: (value_and_grad(loss.value, z, y), loss.grad(z, y)))(z)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", [*oracle.OF_PROBABILITIES, "stablemax_cross_entropy"])
def test_falls_to_zero_as_the_label_gets_ahead(name):
    z = jnp.array([[0.0, 0.0], [1.0, 0.0], [20.0, 0.0], [1e8, 0.0]])
    values = np.asarray(jax.jit(LOSSES[name].value)(z, jnp.zeros(4, int)))
    assert (np.diff(values) < 0).all(), values
    assert values[-1] < 1e-7


def test_with_manual_grad_uses_the_gradient_it_is_given():
    """A wrong gradient must show: otherwise comparing autodiff with the rule compares a thing with itself."""
    wrong = losses.with_manual_grad(losses.ssr, lambda z, y, **options: 7 * losses.ssr_grad(z, y, **options))
    z, y = jnp.array([0.0, 1.0, 2.0]), jnp.array(1)
    reverse, forward = jax.jit(lambda z: (jax.grad(wrong)(z, y), jax.jvp(lambda z: wrong(z, y), (z,), (z,))[1]))(z)
    expected = 7 * jax.jit(losses.ssr_grad)(z, y)
    np.testing.assert_allclose(reverse, expected, rtol=1e-6)
    np.testing.assert_allclose(forward, expected @ z, rtol=1e-6)


LATER = ("_adjusted", "_one_against_rest", "_spherical", "_fenchel_young")


def test_autodiff_does_not_use_the_gradients_written_by_hand(monkeypatch):
    """The comparison of the two would be circular."""

    def forbidden(*args, **kwargs):
        raise AssertionError("autodiff called a hand-written gradient")

    for module in ("_cross_entropy", "_ssr", "_of_label", "_power", "_on_logits", "_stablemax", *LATER):
        module = importlib.import_module(f"ce_jax.losses.{module}")
        for attribute in [name for name in vars(module) if name.endswith("_grad")]:
            monkeypatch.setattr(module, attribute, forbidden)
    z, y = jnp.array([0.0, 1.0, 2.0]), jnp.array(1)
    with pytest.raises(AssertionError, match="hand-written"):
        importlib.import_module("ce_jax.losses._ssr").ssr_grad(z, y)
    for loss in LOSSES.values():
        jax.make_jaxpr(jax.grad(loss.value))(z, y)


def test_files_import_from_above_alone():
    """The listing in the docstring of the package is complete, and its order is that of the imports."""
    folder = Path(losses.__file__).parent
    order = re.findall(r"^    (_\w+)  ", losses.__doc__, re.M)
    assert sorted(order) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    for row, name in enumerate(order):
        imported = re.findall(r"^from ce_jax\.losses\.(\w+) import", (folder / f"{name}.py").read_text(), re.M)
        assert set(imported) <= set(order[:row]), name


def test_the_map_of_derivative_rules_is_complete():
    """The docstring of `_odds` names every rule of the package, and the file of those that stand elsewhere."""
    table = importlib.import_module("ce_jax.losses._odds").__doc__.split("| name |")[1]
    named = set(re.findall(r"`(\w+)`", table))
    files, rules = set(), set()
    for path in Path(losses.__file__).parent.glob("*.py"):
        found = re.findall(r"^ *@?(\w+)\.defjvp\b", path.read_text(), re.M)
        rules.update(found)
        files.update([path.stem] if found else [])
    assert named == rules | (files - {"_odds"})


@pytest.mark.parametrize("name", NAMES)
def test_as_loss_knows_its_own(name):
    loss = LOSSES[name]
    for given in (name, loss, loss.value, loss.manual):
        assert losses.as_loss(given) is loss


def test_as_loss_takes_a_function_and_names_it():
    def hinge(logits, labels):
        raise AssertionError("not called")

    sharp = functools.partial(losses.focal_loss, gamma=5.0)
    assert losses.as_loss(hinge) == losses.Loss("hinge", hinge, None, None)
    assert losses.as_loss(sharp) == losses.Loss("partial", sharp, None, None)
    assert losses.as_loss(losses.ssr_grad).grad is None


def test_as_loss_says_what_it_expects():
    start = "loss: expected one of cross_entropy, ssr, .*, a Loss or a function of .logits, labels., got "
    with pytest.raises(ValueError, match=start + "'crossentropy'; did you mean 'cross_entropy'"):
        losses.as_loss("crossentropy")
    with pytest.raises(ValueError, match=start + "'xyz'$"):
        losses.as_loss("xyz")
    as_loss = inspect.unwrap(losses.as_loss)  # without the shape checks of conftest, which come first
    for wrong in (3, None, losses.Loss):
        with pytest.raises(TypeError, match=start + "<class"):
            as_loss(wrong)
