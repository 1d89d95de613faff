"""gentle-vs-saturated: its rule on made-up measurements, and what it measures of curves that are known."""

import functools

import numpy as np
import pytest

from ce_jax.comparing import AnalysisOptions, Listener
from experiments.claims import gentle_vs_saturated as claim
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

TUNING, FRESH = range(4), range(4, 12)  # of a quick run
SWAPPED = {"cross_entropy": "ssr", "ssr": "cross_entropy"}
LEAD = "cross_entropy-ssr/test_accuracy"


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def level(start, optimizer, loss):
    """Final accuracy at the best rate."""
    if start == "gentle" or loss == "cross_entropy":
        return 0.95
    return {"ssr": 0.6, "ssr_on_logits": 0.4, "squentropy": 0.81}[loss] + (0.07 if optimizer == "adam" else 0)


def known(name, config, loss, rate, seed, steps, *, peak=lambda metric, seed: 1.0):
    """Accuracies that rise to `level`, less where the rate is not the peak, in units of the best: 1 (Adam: 0.01)."""
    _, start, optimizer = name.rsplit("-", 2)
    final = level(start, optimizer, loss) + 0.002 * (seed % 3 - 1)
    unit = 0.01 if optimizer == "adam" else 1.0
    return {
        metric: steps / steps[-1] * (final - 0.05 * abs(np.log10(rate / unit / peak(metric, seed))))
        for metric in ("validation_accuracy", "test_accuracy")
    }


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(curves=known, asked=None):
        monkeypatch.setattr(claim, "trained", stub_trained(curves, asked))
        monkeypatch.setattr(claim, "AnalysisOptions", functools.partial(AnalysisOptions, resamples=999))
        return claim.measure(Request(True, 0, tmp_path, Listener()))

    return measure


class TestDecide:
    @pytest.mark.parametrize(
        ("gentle", "saturated", "verdict"),
        [(0.0, 0.4, "confirmed"), (0.05, 0.4, "refuted"), (0.0, 0.05, "refuted"), (0.015, 0.4, "undecided")],
    )
    def test_verdicts(self, gentle, saturated, verdict):
        found = {}
        for model in claim.MODELS:
            found[f"{model}/gentle/{LEAD}"] = near(gentle)
            found[f"{model}/saturated/{LEAD}"] = near(saturated)
        assert claim.decide(found) == verdict
        swapped = {key: Measurement(-one.value, (-one.high, -one.low)) for key, one in found.items()}
        assert claim.decide(swapped) == "refuted"

    def test_one_model_is_enough_to_refute_and_not_to_confirm(self):
        found = {f"{model}/gentle/{LEAD}": near(0.0) for model in claim.MODELS}
        found |= {f"{model}/saturated/{LEAD}": near(0.4) for model in claim.MODELS}
        assert claim.decide({**found, f"mlp/saturated/{LEAD}": near(0.05)}) == "refuted"
        assert claim.decide({**found, f"mlp/gentle/{LEAD}": near(0.0, half=0.03)}) == "undecided"


class TestMeasure:
    def test_known_curves(self, measured):
        findings = measured()
        found = findings.measurements
        noise = np.mean([0.002 * (seed % 3 - 1) for seed in FRESH])
        assert found[f"mlp/gentle/{LEAD}"].value == pytest.approx(0, abs=1e-12)
        assert found[f"mlp/saturated/{LEAD}"].value == pytest.approx(0.35)
        assert found["mlp/saturated/ssr/test_accuracy"].value == pytest.approx(0.6 + noise)
        assert found["mlp/saturated/ssr+adam/test_accuracy"].value == pytest.approx(0.67 + noise)
        shares = {"ssr+adam": 0.07 / 0.35, "ssr_on_logits": -0.2 / 0.35, "squentropy": 0.21 / 0.35}
        for arm, share in shares.items():
            assert found[f"mlp/saturated/{arm}/share_of_gap_closed"].value == pytest.approx(share)
        assert claim.decide(found) == "confirmed"

    def test_the_sign_turns_with_the_losses(self, measured):
        found = measured(
            lambda name, config, loss, *rest: known(name, config, SWAPPED.get(loss, loss), *rest)
        ).measurements
        for model in claim.MODELS:
            assert found[f"{model}/saturated/{LEAD}"].value == pytest.approx(-0.35)
            assert found[f"{model}/saturated/{LEAD}"].high < 0
        assert claim.decide(found) == "refuted"

    def test_rates_are_chosen_by_validation_accuracy_of_the_tuning_seeds_alone(self, measured):
        def peak(metric, seed):
            return 1.0 if metric == "validation_accuracy" and seed in TUNING else 10.0

        asked = []
        found = measured(lambda *which: known(*which, peak=peak), asked).measurements
        noise = np.mean([0.002 * (seed % 3 - 1) for seed in FRESH])
        for key, one in found.items():
            if key.endswith("/learning_rate"):
                assert one.value == pytest.approx(0.01 if "+adam" in key else 1.0)
        assert found["mlp/saturated/ssr/test_accuracy"].value == pytest.approx(0.6 + noise - 0.05)
        trained = {(name, loss) for name, loss, _, _ in asked}
        for which in trained:
            assert {seed for *one, seed, _ in asked if tuple(one) == which} == {*TUNING, *FRESH}
            assert len({rate for *one, seed, rate in asked if tuple(one) == which and seed in FRESH}) == 1

    def test_fresh_seeds_do_not_choose_among_rates_that_may_be_the_best(self, measured):
        def contended(name, config, loss, rate, seed, steps):
            """Redrawn tuning seeds choose rate 1 or 10, all of them choose 1; fresh seeds would choose 10."""
            at_1, at_10 = rate == pytest.approx(1.0), rate == pytest.approx(10.0)
            tuning = 0.5 + (0.05 * at_10 if seed % 2 else 0.1 * at_1)
            final = tuning if seed in TUNING else 0.9 if at_10 else 0.6
            return dict.fromkeys(("validation_accuracy", "test_accuracy"), steps / steps[-1] * final)

        asked = []
        found = measured(contended, asked).measurements
        assert {round(rate, 6) for name, _, seed, rate in asked if "sgd" in name and seed in FRESH} == {1.0, 10.0}
        assert found["mlp/saturated/ssr/learning_rate"].value == pytest.approx(1.0)
        assert found["mlp/saturated/ssr/test_accuracy"].value == pytest.approx(0.6)

    def test_a_diverged_run_stays_in_and_counts_as_accuracy_0(self, measured):
        def one_diverges(name, config, loss, rate, seed, steps):
            curves = known(name, config, loss, rate, seed, steps)
            if loss == "ssr" and seed == FRESH[0]:
                curves = {metric: np.where(steps < steps[-1], curve, np.nan) for metric, curve in curves.items()}
            return curves

        rest = sum(0.6 + 0.002 * (seed % 3 - 1) for seed in FRESH[1:])
        found = measured(one_diverges).measurements
        assert found["mlp/saturated/ssr/test_accuracy"].value == pytest.approx(rest / len(FRESH))

    def test_intervals_cover_the_choice_of_the_rate(self, measured):
        def unsure(name, config, loss, rate, seed, steps):
            """Half of the tuning seeds like one rate and half the other; on fresh seeds one of them is far worse."""
            curves = known(name, config, loss, rate, 1, steps)  # all seeds alike
            if loss == "ssr" and "sgd" in name:
                likes = rate == pytest.approx(1.0 if seed % 2 else 10.0)
                curves["validation_accuracy"] = steps / steps[-1] * (0.5 + 0.1 * likes)
                curves["test_accuracy"] = steps / steps[-1] * (0.6 if rate < 3 else 0.3)
            return curves

        found = measured(unsure).measurements
        accuracy, lead = found["mlp/saturated/ssr/test_accuracy"], found[f"mlp/saturated/{LEAD}"]
        assert accuracy.low < 0.35 < 0.55 < accuracy.high
        assert lead.low < 0.40 < 0.60 < lead.high
        assert found["mlp/saturated/cross_entropy/test_accuracy"].ci == pytest.approx((0.95, 0.95))

    def test_leads_are_paired_over_seeds_and_accuracies_keep_within_0_and_1(self, measured):
        def shared(name, config, loss, rate, seed, steps):
            curves = known(name, config, loss, rate, 1, steps)
            return {metric: curve + 0.04 * (seed % 2) * steps / steps[-1] for metric, curve in curves.items()}

        found = measured(shared).measurements
        accuracy, lead = found["mlp/gentle/cross_entropy/test_accuracy"], found[f"mlp/saturated/{LEAD}"]
        assert accuracy.high - accuracy.low > 0.02
        assert accuracy.high <= 1
        assert lead.ci == pytest.approx((0.35, 0.35), abs=1e-9)

    def test_the_caption_prints_every_share_with_its_interval(self, measured):
        def noisy(name, config, loss, rate, seed, steps):
            curves = known(name, config, loss, rate, 1, steps)
            own = 0.1 * ((seed * (3 if "adam" in name else 5)) % 7 - 3) / 3 if loss == "ssr" else 0.0
            return {metric: curve + own * steps / steps[-1] for metric, curve in curves.items()}

        findings = measured(noisy)
        for model in claim.MODELS:
            for arm in claim.REMEDIES:
                one = findings.measurements[f"{model}/saturated/{arm}/share_of_gap_closed"]
                assert f"{one.value:.0%} [{one.low:.0%}, {one.high:.0%}]" in findings.caption
        adam = findings.measurements["mlp/saturated/ssr+adam/share_of_gap_closed"]
        assert adam.high - adam.low > 0.1
