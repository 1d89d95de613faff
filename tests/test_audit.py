"""The audit: its truth against a second oracle, its measures by hand, and planted mistakes that it has to find."""

import csv
import io
import json
import sys
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from mpmath import mp, mpf
from rich.console import Console

from ce_jax.auditing import (
    FIRST_ORDER,
    FORMULAS,
    PEERS,
    REGIMES,
    ROUTES,
    Program,
    Record,
    check_bounds,
    error_against_margin,
    torch_formulas,
    torch_peers,
)
from ce_jax.auditing import audit as run_audit
from ce_jax.auditing._measure import absolute_errors, measure
from ce_jax.auditing._oracle import DEFINITIONS, Exact, digits_for, make_row, truth
from ce_jax.auditing._regimes import make_batch, regimes_of
from ce_jax.losses import LOSSES, Loss, with_manual_grad
from experiments.audit import audit_command, command, measuring
from experiments.errors import UserError
from tests import oracle

OPTIONS = {
    "lq_loss": {"q": 0.5},
    "power_loss": {"beta": 0.5},
    "logit_adjusted_cross_entropy": {"prior": measuring.halving, "tau": 0.5},
}
SUBJECTS = ("cross_entropy", "ssr")


def every_loss():
    """The two losses of the subject always, the others in full runs."""
    return [pytest.param(name, marks=[] if name in SUBJECTS else pytest.mark.slow) for name in LOSSES]


def options_of(name, classes):
    """The options in which a loss is tested, arrays spelled out."""
    return {k: v(classes) if callable(v) else v for k, v in OPTIONS.get(name, {}).items()}


def broken(records):
    return [check for check in check_bounds(records) if not check.kept]


def complaints(records):
    return [check.describe() for check in broken(records)]


# The truth


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truth_agrees_with_a_second_oracle(name, dtype):
    batch = make_batch([r for r in regimes_of(5, dtype) if r != "masked class"], 5, 6, dtype)
    options = options_of(name, 5)
    exact_values = truth(name, batch.logits, batch.labels, options=options)
    for i, (z, y) in enumerate(zip(batch.logits, batch.labels, strict=True)):
        if np.ptp(z) > 160:  # the other oracle's precision is fixed
            continue
        value, grad = oracle.value_and_grad(name, z, int(y), **options)
        for exact, index, expected in [(exact_values["value"], i, value)] + [
            (exact_values["gradient"], (i, k), slope) for k, slope in enumerate(grad)
        ]:
            with mp.workprec(oracle.BITS):
                both = mpf(exact.high[index]) + mpf(exact.low[index])
                assert abs(both - expected) <= abs(expected) * mpf(10) ** -30 + mpf(10) ** -320, (i, index)


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, options_of(name, 4)) for name in DEFINITIONS]
    + [("cross_entropy", {"label_smoothing": 0.125}), ("lq_loss", {"q": 0.0}), ("power_loss", {"beta": 0.0})]
    + [("fenchel_young_loss", {"alpha": 1.0}), ("fenchel_young_loss", {"alpha": 1.25})]
    + [("power_loss", {"beta": 1.0}), ("focal_loss", {"gamma": 0.0}), ("ssr_on_logits", {"scale": 3.0, "target": 5.0})],
)
def test_gradients_of_the_definitions_are_differences_of_their_values(name, given):
    """The hand-derived partial derivatives, checked without any derivative."""
    options = {k: [Decimal(float(p)) for p in x] if np.ndim(x) else Decimal(x) for k, x in given.items()}
    logits, label, step = [Decimal(x) for x in ("2.5", "-1.25", "0.75", "0.5")], 1, Decimal(10) ** -25

    def value(k, sign):
        moved = [x + sign * step * (k == j) for j, x in enumerate(logits)]
        return DEFINITIONS[name](make_row(moved, label, 100), **options).value

    with localcontext() as context:
        context.prec = 100
        differences = [(value(k, 1) - value(k, -1)) / (2 * step) for k in range(4)]
    exact = truth(name, np.array([[float(x) for x in logits]]), np.array([label]), options=given)
    # A class without probability moves the iteration of the entmax by its last digit, and the value by as much.
    atol = 1e-60 if name == "fenchel_young_loss" else 0
    np.testing.assert_allclose(exact["gradient"].high[0], [float(x) for x in differences], rtol=1e-14, atol=atol)


@pytest.mark.parametrize(
    ("family", "options", "member"),
    [
        ("power_loss", {"beta": 0.0}, "cross_entropy"),
        ("power_loss", {"beta": 1.0}, "ssr"),
        ("lq_loss", {"q": 0.0}, "cross_entropy"),
        ("focal_loss", {"gamma": 0.0}, "cross_entropy"),
        ("poly1_loss", {"epsilon": 0.0}, "cross_entropy"),
        ("fenchel_young_loss", {"alpha": 1.0}, "cross_entropy"),
        ("logit_adjusted_cross_entropy", {"tau": 0.0}, "cross_entropy"),
    ],
)
def test_families_contain_their_members(family, options, member):
    batch = make_batch(("typical", "confidently right", "confidently wrong"), 3, 4, "float32")
    of_family, of_member = (
        truth(name, batch.logits, batch.labels, options=o) for name, o in ((family, options), (member, {}))
    )
    for quantity in ("value", "gradient"):
        np.testing.assert_allclose(of_family[quantity].high, of_member[quantity].high, rtol=1e-15)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_more_digits_do_not_change_the_truth(name, monkeypatch):
    batch = make_batch(("ties", "confidently right", "confidently wrong"), 3, 2, "float64")
    usual = truth(name, batch.logits, batch.labels, options=options_of(name, 3), second=True)
    monkeypatch.setattr(sys.modules[digits_for.__module__], "_KEPT_DIGITS", 200)
    with_more = truth(name, batch.logits, batch.labels, options=options_of(name, 3), second=True)
    for quantity, exact in usual.items():
        np.testing.assert_allclose(exact.high, with_more[quantity].high, rtol=1e-15, atol=1e-300)


def test_truth_of_a_hessian():
    """Cross-entropy's is diag p - p p^T."""
    z = np.array([[30.0, -1.0, 0.5]])
    with mp.workprec(oracle.BITS):
        p = oracle.softmax([mpf(x) for x in z[0]])
        expected = [[float((p[i] * (i == j)) - p[i] * p[j]) for j in range(3)] for i in range(3)]
    hessian = truth("cross_entropy", z, np.array([1]), second=True)["hessian"].high[0]
    np.testing.assert_allclose(hessian, expected, rtol=1e-14)


def test_truth_leaves_out_hidden_and_impossible_classes():
    z, where = np.array([[1.0, 50.0, 0.0, -np.inf]]), np.array([[True, False, True, True]])
    masked, smaller = truth("ssr", z, np.array([2]), where=where), truth("ssr", z[:, [0, 2]], np.array([1]))
    first, last = smaller["gradient"].high[0]
    assert masked["value"] == smaller["value"]
    assert masked["gradient"].high[0].tolist() == [first, 0.0, last, 0.0]


def test_digits_grow_with_the_spread_and_end():
    tie, clear, enormous, beyond = (digits_for(np.array([lead, 0.0])) for lead in (0.0, 80.0, 1e6, 1e9))
    assert tie < clear < enormous == beyond


# The measure of errors


def exactly(*numbers):
    return Exact(np.array(numbers), np.zeros(len(numbers)))


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 23), ("float64", 52), ("bfloat16", 7), ("float16", 10)])
def test_one_unit_in_the_last_place(dtype, bits):
    computed = (np.array([1 + 2.0**-bits, -4.0])).astype(dtype)
    assert measure(computed, exactly(1.0, -4.0)).ulp == 1
    assert measure(computed, exactly(1.0, -4.0)).relative == 2.0**-bits
    assert measure(computed, exactly(1 + 2.0**-bits, -4 + 2.0 ** (1 - bits))).ulp == 1  # rounded, the truth is below 4


def test_the_low_half_of_the_truth_counts():
    assert measure(np.array([1.0]), Exact(np.array([1.0]), np.array([2.0**-54]))).ulp == 0.25


def test_results_that_are_not_finite_are_infinitely_wrong():
    for bad in (np.nan, np.inf, -np.inf):
        assert measure(np.float32([bad]), exactly(1.0)).ulp == np.inf
        assert measure(np.float32([bad]), exactly(0.0))[:2] == (np.inf, np.inf)


def test_below_the_smallest_normal_number_small_is_enough():
    smallest = float(np.finfo(np.float32).smallest_normal)
    for x, wrong in ((0.0, False), (3 * smallest, False), (6 * smallest, True), (1e-30, True)):
        assert (absolute_errors(np.float32([x]), exactly(smallest / 3))[0] > 0) == wrong


def test_relative_to_the_row_and_sum_of_the_row():
    errors = measure(np.array([[2.0, -1.5, 0.0]]), Exact(np.array([[2.0, -1.0, -1.0]]), np.zeros((1, 3))))
    assert errors.relative == 0.5
    assert errors.row_sum == 0.5 / 2.0**-51


def test_unknown_truth_is_not_judged():
    assert measure(np.array([5.0, 1.0]), exactly(np.nan, 1.0))[:2] == (0.0, 0.0)


# The rows


def test_rows_are_what_their_regime_says():
    batch = make_batch(("confidently right", "confidently wrong", "masked class"), 6, 9, "float64")
    z, y = batch.logits, batch.labels
    lead = z[np.arange(27), y] - np.max(np.where(np.arange(6) == y[:, None], -np.inf, z), 1)
    assert (lead[batch.slices["confidently right"]] > 0).all()
    assert (lead[batch.slices["confidently wrong"]] <= -2 + 1e-12).sum() >= 8
    assert lead[batch.slices["confidently wrong"]].min() < -79
    assert batch.where[np.arange(27), y].all()
    assert not batch.where[batch.slices["masked class"]].all()
    assert np.isneginf(z[batch.slices["masked class"]]).any()


def test_a_vocabulary_has_rows_of_one_kind():
    """The label has probability .999, whatever the dtype; no other regime is worth its time there."""
    for dtype in ("float32", "bfloat16"):
        assert regimes_of(32_000, dtype) == ("p = .999",)
    z, y = make_batch(("p = .999",), 32_000, 2, "float64")[:2]
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(p[np.arange(2), y], 0.999, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "optax", "ours"), [("bfloat16", 1.0, 2**-8), ("float16", 0.029, 2**-11)])
def test_half_precision_is_told(dtype, optax, ours):
    """The figures of the README: the gradient of the true class at p = .999 of 32,000 classes, relative."""
    program = Program(32_000, ("jax.grad", "hand-written gradient"), 2)
    records = run_audit("cross_entropy", dtype=dtype, programs=[program], peers={"optax": PEERS["optax"]})
    found = {(r.implementation, r.route): r.relative for r in records}
    assert found["optax", "jax.grad"] == pytest.approx(optax, rel=0.05)
    assert 0 < found["ce_jax", "jax.grad"] <= ours
    assert found["ce_jax", "hand-written gradient"] < 1e-6
    assert {c.bound.title for c in check_bounds(records)} >= {"p = .999 of 32,000 classes, gradient"}
    assert not complaints(records)


def test_curves_in_half_precision():
    """What autodiff returns is rounded to the dtype, what is written by hand is not; the textbook is lost at a lead."""
    peers = {"textbook": PEERS["textbook"]}
    curves = error_against_margin("cross_entropy", dtype="bfloat16", largest=20.0, points=9, peers=peers)
    at = {key: errors[curves["margin"] >= 10] for key, errors in curves["gradient"].items()}
    assert (at["textbook"] == 1).all()
    assert at["ce_jax"].max() <= 2**-8
    assert at["ce_jax by hand"].max() < 1e-6
    short = error_against_margin("cross_entropy", dtype="float16", largest=20.0, points=9, peers={})
    assert np.isnan(short["gradient"]["ce_jax"][short["margin"] > 10]).all()


def test_rows_depend_on_nothing_but_the_arguments():
    rows, same, other = (make_batch(("typical",), 4, 5, "float32", seed) for seed in (1, 1, 2))
    assert (rows.logits == same.logits).all()
    assert (rows.logits != other.logits).any()
    both = make_batch(("ties", "typical"), 4, 5, "float32", 1)
    assert (both.logits[both.slices["typical"]] == rows.logits).all()


# The losses: a small version of the table that the command prints


@pytest.mark.parametrize("name", every_loss())
def test_value_and_gradients_keep_their_bounds(name):
    records = run_audit(name, programs=[Program(4, FIRST_ORDER, 9)], options=OPTIONS.get(name, {}), peers={})
    assert {(r.route, r.regime) for r in records} == {
        (route, regime) for route in FIRST_ORDER for regime in regimes_of(4, "float32")
    }
    assert not complaints(records)


@pytest.mark.parametrize("name", every_loss())
def test_forward_mode_and_hessian_keep_their_bounds(name):
    assert not complaints(
        run_audit(name, programs=[Program(4, ROUTES[4:], 6)], options=OPTIONS.get(name, {}), peers={})
    )


@pytest.mark.parametrize(
    ("name", "dtype", "classes"),
    [("cross_entropy", "float64", 3), ("ssr", "bfloat16", 3), ("ssr", "float32", 1), ("ssr", "float32", 40)],
)
def test_other_dtypes_and_numbers_of_classes_keep_their_bounds(name, dtype, classes):
    records = run_audit(name, dtype=dtype, programs=[Program(classes, ("value", "jax.grad"), 5)], peers={})
    assert records
    assert not complaints(records)
    assert jnp.ones(()).dtype == jnp.float32  # double precision is off again


@pytest.mark.parametrize(("peer", "name"), [(peer, name) for peer, formulas in FORMULAS.items() for name in formulas])
def test_a_formula_computes_the_loss_it_stands_for(peer, name):
    batch = make_batch(("typical",), 5, 6, "float32")
    z, y, options = jnp.asarray(batch.logits), jnp.asarray(batch.labels), options_of(name, 5)
    for where in (None, jnp.arange(5)[None] != jnp.where(y == 0, 1, 0)[:, None]):
        given = {} if where is None else {"where": where}
        expected = LOSSES[name].value(z, y, **given, **options)
        computed = FORMULAS[peer][name](z, y, where, **options)
        np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-6)


def test_peers_fail_where_they_are_known_to_fail():
    records = run_audit("ssr", programs=[Program(4, ("jax.grad",), 5)], peers={"textbook": PEERS["textbook"]})
    relative = {(r.implementation, r.regime): r.relative for r in records if r.route == "jax.grad"}
    assert relative["textbook", "confidently wrong"] > 0.99
    assert relative["textbook", "confidently right"] > 0.5
    assert relative["ce_jax", "confidently wrong"] < 2e-6
    assert not any(check.record.implementation == "textbook" for check in check_bounds(records))


def test_error_against_margin_shows_the_known_defect():
    """Cross-entropy by softmax and log returns 0 beyond a margin of 17 in float32; the gradient of SSR, before -17."""
    curves = error_against_margin("cross_entropy", points=9, peers={"textbook": PEERS["textbook"]})
    assert curves["value"]["textbook"][curves["margin"] >= 20] == pytest.approx(1.0)
    assert curves["value"]["textbook"][0] < 1e-6
    assert (curves["value"]["ce_jax"] < 1e-6).all()
    assert (curves["gradient"]["ce_jax"] < 1e-6).all()


# Planted mistakes


SSR = LOSSES["ssr"]


def flipped(z, y, **options):
    return -SSR.grad(z, y, **options)


def halved(z, y, **options):
    return SSR.grad(z, y, **options) / 2


def coarse(z, y, **options):
    return SSR.grad(z, y, **options).astype(jnp.bfloat16).astype(jnp.float32)


def test_a_wrong_gradient_is_found_on_its_routes_alone():
    loss = Loss("ssr", SSR.value, flipped, with_manual_grad(SSR.value, flipped))
    records = run_audit(loss, programs=[Program(4, FIRST_ORDER, 5)], peers={})
    assert {r.route for r in records if broken([r])} == {"hand-written gradient", "custom rule"}


@pytest.mark.parametrize("mistake", [halved, coarse])
def test_a_slightly_wrong_gradient_is_found_in_every_regime(mistake):
    loss = SSR._replace(grad=mistake)
    records = run_audit(loss, programs=[Program(4, ("hand-written gradient",), 5)], peers={})
    assert {r.regime for r in records if broken([r])} == set(regimes_of(4, "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "mistake",
    [lambda x: -x, lambda x: x / 2, lambda x: x.astype(jnp.float16).astype(x.dtype), lambda x: x * jnp.nan],
    ids=["flipped", "halved", "coarse", "not a number"],
)
def test_a_wrong_value_is_found(mistake, dtype):
    def value(z, y, *, axis=-1, where=None):
        return mistake(LOSSES["cross_entropy"].value(z, y, axis=axis, where=where))

    loss = Loss("cross_entropy", value, LOSSES["cross_entropy"].grad, LOSSES["cross_entropy"].manual)
    failures = broken(
        run_audit(loss, dtype=dtype, programs=[Program(3, ("value", "hand-written gradient"), 4)], peers={})
    )
    assert {check.record.route for check in failures} == {"value"}


def test_the_textbook_formula_passed_off_as_ours_is_found():
    def value(z, y, *, axis=-1, where=None):
        z = z if where is None else jnp.where(where, z, -jnp.inf)
        p = jax.nn.softmax(z, axis)
        return jnp.sum((p - jax.nn.one_hot(y, z.shape[-1], dtype=p.dtype)) ** 2, axis)

    loss = Loss("ssr", value, LOSSES["ssr"].grad, LOSSES["ssr"].manual)
    failures = broken(run_audit(loss, programs=[Program(4, ("value", "jax.grad"), 6)], peers={}))
    assert {"SSR, value", "SSR, gradient"} <= {check.bound.title for check in failures}


# A loss without a definition


def squared_hinge(z, y):
    """Not smooth where a margin is exactly 1."""
    z_y = jnp.take_along_axis(z, y[:, None], 1)
    wrong = jnp.arange(z.shape[1])[None] != y[:, None]
    return jnp.sum(jnp.where(wrong, jnp.maximum(0, 1 + z - z_y), 0) ** 2, -1)


def test_a_loss_of_ones_own_is_compared_with_its_differences():
    records = run_audit(squared_hinge, programs=[Program(4, ("value", "jax.grad", "forward mode"), 6)])
    assert {r.reference for r in records} == {"finite differences"}
    assert {r.route for r in records} == {"value", "jax.grad", "forward mode"}
    assert "masked class" not in {r.regime for r in records}  # it takes no mask
    assert check_bounds(records)
    assert not complaints(records)


def test_a_wrong_gradient_of_ones_own_loss_is_found():
    loss = Loss("mine", squared_hinge, lambda z, y: -jax.grad(lambda z: squared_hinge(z, y).sum())(z), None)
    failures = broken(run_audit(loss, programs=[Program(4, ("jax.grad", "hand-written gradient"), 6)]))
    assert {check.record.route for check in failures} == {"hand-written gradient"}


def test_differences_skip_rows_they_cannot_judge():
    def steps(z, y):
        return jnp.sum(jnp.floor(z), -1) + 0 * y

    records = run_audit(steps, dtype="float64", programs=[Program(3, ("jax.grad",), 6)])
    assert all(record.relative == 0 for record in records)


# Bounds


def test_a_check_shows_the_record_that_strains_its_bound_most():
    fields = {"dtype": "float32", "num_classes": 3, "rows": 1, "relative": 0.0, "row_sum": np.nan, "result": "float32"}
    records = [
        Record(
            loss="cross_entropy",
            regime=regime,
            implementation="ce_jax",
            route="value",
            ulp=ulp,
            reference="decimal",
            **fields,
        )
        for regime, ulp in (("typical", 3.0), ("ties", 9.0), ("huge scale", 5.0))
    ]
    first = check_bounds(records)[0]
    assert (first.record.regime, first.worst, first.limit, first.kept) == ("ties", 9.0, 8, False)
    assert check_bounds(records[:1])[0].kept
    assert not check_bounds([records[0]._replace(ulp=float("nan"))])[0].kept


# The command


@pytest.fixture
def small_command(monkeypatch):
    """The command on few rows, without the figure's rows, and without touching the user's compilation cache."""
    routes = ("value", "jax.grad", "hand-written gradient")
    monkeypatch.setattr(measuring, "QUICK_FULL", {"float32": (Program(3, routes, 3),)})
    monkeypatch.setattr(command, "torch_peers", dict)
    monkeypatch.setattr(command, "prepare_jax", lambda: None)
    margin = np.linspace(-80, 80, 33)
    errors = {"ce_jax": np.where(margin > 40, np.nan, 1e-7), "textbook": np.ones(33)}
    curves = {"margin": margin, "value": errors, "gradient": errors}
    monkeypatch.setattr(command, "error_against_margin", lambda name, **options: curves)


def run_command(losses, out):
    output = io.StringIO()
    code = audit_command(losses, out, True, Console(file=output, highlight=False, width=80))
    return code, output.getvalue()


def test_the_command_prints_and_writes(small_command, tmp_path):
    code, output = run_command(["ssr"], tmp_path / "audit")
    assert code == 0
    for word in (
        "jax.grad",
        "hand-written gradient",
        "PyTorch is not installed",
        "textbook: value",
        "textbook: gradient",
        "typical",
        "masked class",
        "kept",
    ):
        assert word in output, word
    assert "BROKEN" not in output
    with open(tmp_path / "audit/audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = json.loads((tmp_path / "audit/audit.json").read_text())
    assert (
        len(rows) == len(stored["records"]) == 2 * 6 * (3 + 2)
    )  # regimes, and routes of ours and of the textbook, plain and smoothed
    assert list(rows[0]) == list(Record._fields)
    assert {row["regime"] for row in rows} < set(REGIMES)
    assert all(bound["kept"] for bound in stored["bounds"])
    assert (tmp_path / "audit/error-against-margin.svg").read_text().startswith("<?xml")
    assert (tmp_path / "audit/error-against-margin.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_fails_where_a_bound_is_broken(small_command, tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES, "ssr", SSR._replace(grad=flipped))
    monkeypatch.setattr(measuring, "QUICK_FULL", {"float32": (Program(3, ("hand-written gradient",), 3),)})
    monkeypatch.setattr(command, "saved", lambda *figure: (None, None))
    code, output = run_command(["ssr"], tmp_path)
    assert code == 1
    assert "BROKEN: SSR, gradient: ssr, float32, hand-written gradient" in output
    assert not all(bound["kept"] for bound in json.loads((tmp_path / "audit.json").read_text())["bounds"])


def test_the_command_names_what_it_does_not_know(small_command, tmp_path):
    with pytest.raises(UserError, match="did you mean 'ssr'"):
        run_command(["srr"], tmp_path)
    with pytest.raises(UserError, match="fails on float32 logits"):
        run_command(["tests.bad_losses:broken"], tmp_path)
    with pytest.raises(UserError, match=r"expected one value per row, shape \(15,\), got \(\)"):
        run_command(["tests.bad_losses:summed"], tmp_path)


def test_pytorch_is_measured_where_it_is_installed():
    pytest.importorskip("torch")
    (peer,) = torch_peers().values()
    z, y = np.array([[0.0, 20.0, 1.0]], np.float32), np.array([0], np.int32)
    results = peer("cross_entropy", z, y, None, {})
    assert results["value"] == pytest.approx(20.0)
    assert results["gradient"][0] == pytest.approx([-1.0, 1.0, 0.0], abs=1e-6)
    assert peer("ssr", z, y, np.array([[True, True, False]]), {})["value"] == pytest.approx(2.0)
    assert peer("focal_loss", z, y, None, {}) is None


@pytest.mark.parametrize("name", SUBJECTS)
def test_formulas_of_pytorch_reduce_as_asked(name):
    torch = pytest.importorskip("torch")
    batch = make_batch(("typical",), 5, 6, "float32")
    z, y = torch.tensor(batch.logits), torch.tensor(batch.labels).long()
    formula = torch_formulas()[name]
    np.testing.assert_allclose(formula(z, y), LOSSES[name].value(batch.logits, batch.labels), rtol=1e-4)
    np.testing.assert_allclose(formula(z, y, reduction="mean"), formula(z, y).mean(), rtol=1e-6)


def test_figures_of_half_precision_are_numbers():
    """numpy's own finfo and spacing know nothing of bfloat16."""
    assert measure(np.array([1.0], ml_dtypes.bfloat16), exactly(1.0)).ulp == 0
