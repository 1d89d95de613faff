"""Losses, networks and data of the user's own: the examples, and what `audit` checks of a loss before it is trusted."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from ce_jax import LOSSES, Loss, cross_entropy, log_odds, ssr
from ce_jax.auditing import check_loss
from experiments.__main__ import main
from experiments.audit import command
from experiments.config import load_config
from experiments.examples import own_data, own_loss
from experiments.run.provenance import run_name
from experiments.run.workload import load_workload
from tests.small_run import CONFIG

pytestmark = pytest.mark.usefixtures("quick_compilation")

BAD_LABELS = "labels that are no class give NaN"
DIFFERENCES = "the gradient is that of finite differences in float64"
BY_ITSELF = "each example by itself"
SIDES = "less where the model is right than where it is wrong"
NAN = "NaN logits give NaN"
HALF = "bfloat16 logits give float32"


def textbook(logits, labels):
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels]


def of_infinity(logits, labels):
    p = jax.nn.softmax(logits)
    return -jnp.log(jnp.where(p > 1e-3, p, 0.0))[jnp.arange(len(labels)), labels]


def stopped(logits, labels):
    return jax.lax.stop_gradient(ssr(logits, labels)) + 0 * logits.sum(1)


def coupled(logits, labels):
    return cross_entropy(logits, labels) - cross_entropy(logits, labels).mean()


def unmasked(logits, labels, *, where=None):
    return cross_entropy(logits, labels)


def without_nan(logits, labels):
    return cross_entropy(jnp.nan_to_num(logits), labels)


def rounded(logits, labels):
    return cross_entropy(logits.astype(jnp.float16), labels).astype(jnp.float32)


FAULTS = {
    textbook: {BAD_LABELS},
    stopped: {DIFFERENCES, BAD_LABELS},
    without_nan: {NAN},
    unmasked: {"hidden classes have no part"},
    rounded: {DIFFERENCES},
}


@pytest.mark.slow
@pytest.mark.parametrize("loss", FAULTS, ids=lambda loss: loss.__name__)
def test_each_fault_is_found_and_no_other(loss):
    assert {one.what for one in check_loss(loss) if one.outcome == "fails"} == FAULTS[loss]


@pytest.mark.slow
def test_other_faults_are_among_those_that_are_found():
    def failing(loss):
        return {one.what for one in check_loss(loss) if one.outcome == "fails"}

    assert "finite values" in failing(of_infinity)
    assert {"finite gradients", SIDES} <= failing(lambda z, y: jnp.sqrt(0 * z[:, 0]))
    assert {BY_ITSELF, "the same under jit and vmap", DIFFERENCES} <= failing(coupled)
    assert SIDES in failing(lambda z, y: -cross_entropy(z, y))
    by_hand = Loss("mine", ssr, lambda z, y: 2 * LOSSES["ssr"].grad(z, y), None)
    assert failing(by_hand) == {"the gradient by hand is that of autodiff"}


@pytest.mark.parametrize(
    ("loss", "seen"),
    [
        (lambda z, y: jnp.mean(z), "float32[] of 36 examples"),
        (lambda z, y: jnp.argmax(z, -1), "int32[36] of 36 examples"),
        (lambda z, y: {}, "dict of 36 examples"),
        (lambda z, y: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda z, y: z[:, 7].at[0].set(float(z[0, 0])), "ConcretizationTypeError: "),
    ],
)
def test_what_is_no_loss_is_said_in_one_line(loss, seen):
    (only,) = check_loss(loss)
    assert only.outcome == "fails"
    assert only.seen.startswith(seen)
    assert "\n" not in only.seen


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cross_entropy", "ssr_on_logits", "logit_adjusted_cross_entropy"])
def test_shipped_losses_pass(name):
    assert [one for one in check_loss(name) if one.outcome == "fails"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("margin", 0), ("textbook", 1)])
def test_the_command_checks_an_own_loss_first(name, code, tmp_path, monkeypatch):
    monkeypatch.setattr(command.measuring, "QUICK_FULL", {})
    monkeypatch.setattr(command.measuring, "QUICK", {})
    monkeypatch.setattr(command, "error_against_margin", lambda *a, **k: {})
    monkeypatch.setattr(command, "margin_figure", lambda *a: None)
    monkeypatch.setattr(command, "saved", lambda *figure: (None, None))
    loss = f"experiments.examples.own_loss:{name}" if name == "margin" else f"{__name__}:{name}"
    stream = io.StringIO()
    assert command.audit_command([loss], tmp_path, True, Console(file=stream, width=80)) == code
    lines = stream.getvalue().splitlines()
    stored = json.loads((tmp_path / "audit.json").read_text())["own"][loss]
    for one in stored:
        (line,) = [line for line in lines if line.startswith("  ") and f" {one['what']} " in f"{line} "]
        assert line.split()[0] == {"holds": "ok", "fails": "FAILS", "note": "note"}[one["outcome"]]
    assert (f"FAILS: {loss}: {BAD_LABELS}" in lines) == bool(code)


def test_the_examples_of_losses_pass_their_checks():
    for loss in (own_loss.margin, own_loss.tempered):
        assert [one for one in check_loss(loss) if one.outcome == "fails"] == []
    z, y = jnp.array([[0.0, 2.0, -1.0]]), jnp.array([1])
    np.testing.assert_allclose(own_loss.margin(z, y), np.log1p(np.exp(1 - log_odds(z, y))), rtol=1e-6)
    np.testing.assert_allclose(own_loss.tempered(z, y), 2 * (1 - jax.nn.softmax(z)[0, 1] ** 0.5)[None], rtol=1e-5)


def test_the_examples_fit_into_a_config(tmp_path):
    """An own loss with an option, an own network, own data of both kinds: everything resolves and is traced."""
    own_data.write(tmp_path)
    (tmp_path / "mine.toml").write_text(CONFIG)
    margin, tempered = (f'"experiments.examples.own_loss:{name}"' for name in ("margin", "tempered"))
    loss = f'["cross_entropy", {margin}, {{name = {tempered}, power = [0.5, 1.0]}}]'
    names = set()
    for kind in ("npz", "csv"):
        words = [f"dataset={kind}:{tmp_path}/spots.{kind}", "model=experiments.examples.own_model:make", f"loss={loss}"]
        name, (config,) = load_config(tmp_path / "mine.toml", words)
        workload = load_workload(name, config)
        assert workload.dataset.inputs.shape == (120, 2)
        assert len(workload.task.arms) == 4
        names.add(run_name(workload))
    assert len(names) == 2


@pytest.mark.slow
def test_an_example_runs(tmp_path):
    (tmp_path / "mine.toml").write_text(CONFIG)
    words = ["loss=cross_entropy,experiments.examples.own_loss:margin", "train.steps=8", "train.evaluations=4"]
    assert main(["run", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out"), "sweep.widen=0", *words]) == 0
