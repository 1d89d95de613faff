"""tail-law: its rule on made-up measurements, and what it measures of curves whose exponents are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax import LOSSES, Part
from ce_jax.comparing import Listener
from experiments.claims import tail_law as claim
from experiments.claims.record import Request

PLACES = [claim.place_of(fraction) for fraction in claim.FRACTIONS]


@functools.cache
def rates_of(loss, compute=claim.stable_rates):
    return compute(loss, claim.flowers())


def curves_of(exponent, *, missed=lambda loss, row: 1e-5, drift=0.0, slow=1.0):
    """What stands for `train`: cross-entropy that falls by a power of time that may depend on (loss, row of the rate).

    Args:
      exponent: `exponent(loss, row)`.
      missed: how far the continuation misses the run.
      drift: what the exponent still changes by over two decades of the continuation.
      slow: the decay of SSR on logits as a share of what it should be, at the fastest rate.
    """

    def train(seeds, part, rates, length):
        made = {}
        for loss in claim.EXPECTED:
            steps = np.maximum(claim.steps_of(loss, length), 0.5)
            powers = np.array([exponent(loss, row) for row in range(len(rates[loss]))])[:, None, None]
            logs = np.log(claim.LATER / claim.LATER[-1])
            bent = np.exp(powers * logs + drift * logs**2 / (4 * np.log(10)))
            made[loss] = {
                "cross_entropy": np.repeat(steps ** (powers + 0.05), len(seeds), axis=1),
                "later": np.repeat(bent, len(seeds), axis=1),
                "missed": np.array([[missed(loss, row)] * len(seeds) for row in range(len(powers))]),
            }
        steps, least = np.array(claim.steps_of("ssr_on_logits", length)), claim.least_squares(part)
        decays = 2 * np.log1p(-2 * rates["ssr_on_logits"] * claim.modes(part)[0]) * [1, 1, 1, slow]
        made["ssr_on_logits"] = {
            "train_loss": np.repeat(least + np.exp(decays[:, None, None] * steps), len(seeds), axis=1)
        }
        return made

    return train


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(train):
        monkeypatch.setattr(claim, "train", train)
        monkeypatch.setattr(claim, "stable_rates", lambda loss, part: rates_of(loss))
        return claim.measure(Request(True, 0, tmp_path, Listener())).measurements

    return measure


def lawful(loss, row):
    return claim.EXPECTED[loss]


class TestMeasure:
    def test_the_laws_are_confirmed(self, measured):
        found = measured(curves_of(lawful))
        assert claim.decide(found) == "confirmed"
        for place in PLACES:
            assert found[f"{place}/cross_entropy/slope"].value == pytest.approx(-1)
            assert found[f"{place}/ssr/slope"].value == pytest.approx(-0.5)
            assert found[f"{place}/ssr/slope_at_last_step"].value == pytest.approx(-0.45)
            assert found[f"{place}/ssr/drift"].value == pytest.approx(0, abs=1e-9)

    def test_swapped_losses_are_refuted(self, measured):
        swap = {"cross_entropy": "ssr", "ssr": "cross_entropy"}
        found = measured(curves_of(lambda loss, row: claim.EXPECTED[swap[loss]]))
        assert claim.decide(found) == "refuted"
        assert found["ssr/slope"].value == pytest.approx(-1)

    @pytest.mark.parametrize("off", range(4))
    @pytest.mark.parametrize("loss", claim.EXPECTED)
    def test_one_rate_that_is_off_refutes_and_is_shown(self, measured, off, loss):
        def exponent(name, row):
            return claim.EXPECTED[name] + 0.03 * (name == loss and row == off)

        found = measured(curves_of(exponent))
        assert claim.decide(found) == "refuted"
        assert found[f"{loss}/slope"] == found[f"{PLACES[off]}/{loss}/slope"]
        assert found[f"{loss}/slope"].value == pytest.approx(claim.EXPECTED[loss] + 0.03)

    @pytest.mark.parametrize("off", range(4))
    def test_a_continuation_that_misses_the_run_shows_nothing(self, measured, off):
        def missed(loss, row):
            return 0.02 if (loss, row) == ("ssr", off) else 1e-5

        assert claim.decide(measured(curves_of(lawful, missed=missed))) == "undecided"
        assert claim.decide(measured(curves_of(lambda *_: -0.7, missed=missed))) == "undecided"

    def test_an_exponent_that_still_changes_shows_nothing(self, measured):
        found = measured(curves_of(lawful, drift=0.012))
        assert found["fraction=0.5/ssr/drift"].value == pytest.approx(0.012, rel=1e-6)
        assert claim.decide(found) == "undecided"

    def test_a_run_that_diverges_shows_nothing(self, measured):
        found = measured(curves_of(lawful, missed=lambda *_: np.nan))
        assert claim.decide(found) == "undecided"

    def test_a_mode_that_is_too_slow_at_one_rate_refutes(self, measured):
        assert claim.decide(measured(curves_of(lawful, slow=0.96))) == "refuted"


class TestRates:
    def test_the_bound_on_cross_entropy_is_that_of_softmax(self):
        part = claim.flowers()
        expected = np.array(claim.FRACTIONS) * 2 / (claim.modes(part)[-1] / 2)
        assert rates_of("cross_entropy") == pytest.approx(expected)

    @pytest.mark.slow
    @pytest.mark.parametrize("loss", claim.TRAINED)
    def test_no_hessian_is_steeper_than_the_bound(self, loss):
        part = claim.flowers()
        limit = rates_of(loss)[-1] / claim.FRACTIONS[-1]
        inputs = np.column_stack([part.inputs, np.ones(150)])

        @jax.jit
        @jax.hessian
        def hessian(weights):
            return LOSSES[loss].value(inputs @ weights.reshape(5, 2), jnp.asarray(part.labels)).mean()

        with jax.enable_x64(True):
            draws = np.random.default_rng(0).normal(size=(20, 10)) * np.geomspace(1e-3, 10, 20)[:, None]
            steepest = max(float(np.linalg.eigvalsh(hessian(w))[-1]) for w in draws)
        assert steepest <= 2 / limit * (1 + 1e-9)
        assert steepest >= 0.3 * 2 / limit  # a bound, but no wasteful one


@pytest.mark.parametrize("length", [claim.STEPS, claim.QUICK_STEPS])
def test_the_step_of_the_earlier_continuation_is_evaluated(length):
    steps = claim.steps_of("ssr", length)
    assert claim.EARLIER in steps
    assert steps[-1] == length


def test_decay_of_a_known_curve():
    curve = np.exp(-0.01 * np.arange(3000.0))[None] + 0.25
    assert claim.decay(np.arange(3000.0), curve, 0.25) == pytest.approx([-0.01], rel=1e-3)


@pytest.mark.parametrize("loss", claim.EXPECTED)
def test_the_continuation_solves_the_flow(loss):
    # One row x = 0 whose bias alone is trained: its margin m = z_0 - z_1 obeys dm/dt = -2 df/dm, f the loss of m.
    part = Part(np.zeros((1, 1)), np.zeros(1, np.int32))
    weight, margins = np.zeros((1, 1, 2, 1)), np.array([1.0, 2.0])
    params = ((weight.repeat(2, axis=0), np.stack([margins / 2, -margins / 2], axis=-1)[:, None]),)
    begin, ratios = np.array([3.0, 5.0]), np.array([1.0, 10.0, 1e6])
    found = claim.continued(loss, part, params, begin, ratios)[:, 0]
    # The time from margin m on, as an integral in closed form: with cross-entropy t = (e^m + m)/2, with SSR, whose
    # slope is -4 s^2 (1 - s) at s = 1/(1 + e^m), t = (e^2m/2 + 3 e^m + 3m - e^-m)/8.
    time = {
        "cross_entropy": lambda m: (np.exp(m) + m) / 2,
        "ssr": lambda m: (np.exp(2 * m) / 2 + 3 * np.exp(m) + 3 * m - np.exp(-m)) / 8,
    }[loss]
    reached = -np.log(np.expm1(found))  # margins, from cross-entropy log(1 + e^-m)
    expected = time(margins)[:, None] + begin[:, None] * (ratios - 1)
    np.testing.assert_allclose(time(reached), expected, rtol=1e-6)


@pytest.mark.slow
def test_training_and_continuing_agree(monkeypatch):
    monkeypatch.setattr(claim, "EARLIER", 100)
    monkeypatch.setattr(claim, "DENSITY", 10)
    monkeypatch.setattr(claim, "TRAINED", ("ssr",))
    part = claim.flowers()
    rates = rates_of("ssr")
    curves = claim.train(range(2), part, {"ssr": rates}, 1000)["ssr"]
    np.testing.assert_allclose(curves["later"][..., 0], curves["cross_entropy"][..., -1], rtol=1e-6)
    assert curves["missed"].max() < 0.01
    assert curves["missed"].shape == (4, 2)
    # The faster the rate, the further the run.
    assert np.all(np.diff(curves["cross_entropy"][:, 0, -1]) < 0)
