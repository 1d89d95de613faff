"""many-classes: its rule on made-up measurements, and what it measures of curves that are known."""

import functools

import numpy as np
import pytest

from ce_jax.comparing import AnalysisOptions, Listener
from experiments.claims import many_classes as claim
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

TUNING, FRESH = range(2), range(2, 8)  # of a quick run
LITTLE, MUCH = claim.REPAIRS
SLOPES = {"cross_entropy": 0.0, claim.PLAIN: 0.10, LITTLE: 0.06, MUCH: 0.02, "ssr": 0.04}
SWAPPED = {"cross_entropy": claim.PLAIN, claim.PLAIN: "cross_entropy"}
METRICS = ("validation_accuracy", "test_accuracy", "train_accuracy")


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def known(name, config, loss, rate, seed, steps, *, peak=lambda metric, seed: 1.0):
    """Accuracies that rise evenly to one that falls with ln K by `SLOPES`, and with the distance from the best rate."""
    k = int(name.removeprefix("classes-"))
    final = 0.95 - SLOPES[loss] * np.log(k / 3) + 0.002 * (seed % 2)
    return {m: steps / steps[-1] * (final - 0.02 * abs(np.log10(rate / peak(m, seed)))) for m in METRICS}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(curves=known, asked=None):
        monkeypatch.setattr(claim, "trained", stub_trained(curves, asked))
        monkeypatch.setattr(claim, "AnalysisOptions", functools.partial(AnalysisOptions, resamples=999))
        return claim.measure(Request(True, 0, tmp_path, Listener()))

    return measure


def idle(which, k):
    """`known`, where a loss has not begun to learn on some seeds at K classes: it guesses."""

    def curves(name, config, loss, rate, seed, steps):
        if name == f"classes-{k}" and which(loss, seed):
            return dict.fromkeys(METRICS, np.full(len(steps), 1.5 / k))
        return known(name, config, loss, rate, seed, steps)

    return curves


class TestDecide:
    @pytest.mark.parametrize(
        ("slope", "shares", "verdict"),
        [
            (0.05, (0.9, 0.9), "confirmed"),
            (0.05, (0.2, 0.9), "confirmed"),
            (-0.05, (0.9, 0.9), "refuted"),
            (0.05, (0.2, 0.3), "refuted"),
            (0.05, (0.2, 0.495), "undecided"),
            (0.005, (0.9, 0.9), "undecided"),
        ],
    )
    def test_verdicts(self, slope, shares, verdict):
        found = {f"{claim.PLAIN}/gap_slope": near(slope)}
        found |= {f"K=256/{loss}/closed": near(share) for loss, share in zip(claim.REPAIRS, shares, strict=True)}
        assert claim.decide(found) == verdict

    def test_no_share_is_picked_by_its_value(self):
        wide = Measurement(0.3, (0.0, 0.6))  # by its value not the better one, but it may be
        found = {f"{claim.PLAIN}/gap_slope": near(0.05), f"K=256/{LITTLE}/closed": wide}
        assert claim.decide({**found, f"K=256/{MUCH}/closed": near(0.4)}) == "undecided"


class TestMeasure:
    def test_known_curves(self, measured):
        found = measured().measurements
        for loss, slope in SLOPES.items():
            if loss != "cross_entropy":
                assert found[f"{loss}/gap_slope"].value == pytest.approx(slope)
                assert found[f"{loss}/after=300/gap_slope"].value == pytest.approx(slope / 3)
                assert found[f"{loss}/after=600/gap_slope"].value == pytest.approx(2 * slope / 3)
                assert found[f"{loss}/begun/gap_slope"].value == pytest.approx(slope)
                lead = found[f"K=256/cross_entropy-{loss}/test_accuracy"]
                assert lead.value == pytest.approx(slope * np.log(256 / 3))
        assert found[f"K=256/{LITTLE}/closed"].value == pytest.approx(0.4)
        assert found[f"K=256/{MUCH}/closed"].value == pytest.approx(0.8)
        assert claim.decide(found) == "confirmed"

    def test_the_sign_turns_with_the_losses(self, measured):
        found = measured(
            lambda name, config, loss, *rest: known(name, config, SWAPPED.get(loss, loss), *rest)
        ).measurements
        assert found[f"{claim.PLAIN}/gap_slope"].value == pytest.approx(-0.10)
        assert found[f"{claim.PLAIN}/gap_slope"].high < 0
        assert claim.decide(found) == "refuted"

    def test_a_repair_that_repairs_nothing_refutes(self, measured):
        found = measured(
            lambda name, config, loss, *rest: known(name, config, claim.PLAIN if loss in claim.REPAIRS else loss, *rest)
        ).measurements
        assert claim.decide(found) == "refuted"

    def test_rates_are_chosen_by_validation_accuracy_of_the_tuning_seeds_alone(self, measured):
        def peak(metric, seed):
            return 1.0 if metric == "validation_accuracy" and seed in TUNING else 10.0

        asked = []
        found = measured(lambda *which: known(*which, peak=peak), asked).measurements
        for key, one in found.items():
            if key.endswith("/learning_rate"):
                assert one.value == pytest.approx(1.0)
        assert found["K=3/ssr/test_accuracy"].value == pytest.approx(0.95 + 0.001 - 0.02)
        for which in {(name, loss) for name, loss, _, _ in asked}:
            assert {seed for *one, seed, _ in asked if tuple(one) == which} == {*TUNING, *FRESH}

    def test_fresh_seeds_do_not_choose_among_rates_that_may_be_the_best(self, measured):
        def contended(name, config, loss, rate, seed, steps):
            """Redrawn tuning seeds choose rate 1 or 10, all of them choose 1; fresh seeds would choose 10."""
            at_1, at_10 = rate == pytest.approx(1.0), rate == pytest.approx(10.0)
            tuning = 0.5 + (0.05 * at_10 if seed % 2 else 0.1 * at_1)
            final = tuning if seed in TUNING else 0.9 if at_10 else 0.6
            return dict.fromkeys(("validation_accuracy", "test_accuracy"), steps / steps[-1] * final)

        asked = []
        found = measured(contended, asked).measurements
        assert {round(rate, 6) for name, _, seed, rate in asked if seed in FRESH} == {1.0, 10.0}
        assert found["K=256/ssr/learning_rate"].value == pytest.approx(1.0)
        assert found["K=256/ssr/test_accuracy"].value == pytest.approx(0.6)

    def test_runs_that_had_not_begun_are_counted_and_stay_in(self, measured):
        findings = measured(idle(lambda loss, seed: loss == claim.PLAIN and seed in FRESH[2:], 256))
        found = findings.measurements
        learnt = 0.95 - 0.10 * np.log(256 / 3) + 0.001
        assert found[f"K=256/{claim.PLAIN}/not_begun"].value == pytest.approx(4 / 6)
        assert found[f"K=256/{claim.PLAIN}/test_accuracy"].value == pytest.approx((2 * learnt + 4 * 1.5 / 256) / 6)
        assert found[f"{claim.PLAIN}/gap_slope"].value > 0.10 + 0.01
        assert found[f"{claim.PLAIN}/begun/gap_slope"].value == pytest.approx(0.10)  # without K = 256
        for loss in ("cross_entropy", *claim.REPAIRS, "ssr"):
            assert found[f"K=256/{loss}/not_begun"] == Measurement(0.0, (0.0, 0.0), "fraction of runs")
        assert "67% of the runs had not begun to learn" in findings.caption
        rings = [line for line in findings.figure.axes[0].lines if str(line.get_label()).endswith("not begun")]
        assert [line.get_xdata().tolist() for line in rings] == [[256]]

    def test_not_begun_is_said_of_a_run_and_not_of_a_mean(self, measured):
        """One seed that learns lifts the mean above chance; the others have begun no more than before."""
        found = measured(idle(lambda loss, seed: loss == "ssr" and seed in FRESH[1:], 256)).measurements
        assert found["K=256/ssr/train_accuracy"].value > 2 / 256
        assert found["K=256/ssr/not_begun"].value == pytest.approx(5 / 6)

    def test_the_caption_tells_ssr_on_probabilities_as_plainly(self, measured):
        findings = measured()
        for name, loss in (("SSR on probabilities", "ssr"), ("SSR on logits (scale=1, target=1)", claim.PLAIN)):
            one = findings.measurements[f"K=256/{loss}/test_accuracy"]
            assert f"{name} {one.value:.1%} [{one.low:.1%}, {one.high:.1%}]" in findings.caption

    def test_a_diverged_run_stays_in_and_counts_as_accuracy_0(self, measured):
        def one_diverges(name, config, loss, rate, seed, steps):
            curves = known(name, config, loss, rate, seed, steps)
            if loss == "ssr" and seed == FRESH[0]:
                curves = {m: np.where(steps < steps[-1], curve, np.nan) for m, curve in curves.items()}
            return curves

        found = measured(one_diverges).measurements
        rest = sum(0.95 + 0.002 * (seed % 2) for seed in FRESH[1:])
        assert found["K=3/ssr/test_accuracy"].value == pytest.approx(rest / len(FRESH))
        assert found["ssr/after=600/gap_slope"].value == pytest.approx(2 * SLOPES["ssr"] / 3)  # still there by then

    def test_intervals_cover_the_choice_of_the_rate(self, measured):
        def unsure(name, config, loss, rate, seed, steps):
            """The two tuning seeds like different rates; on fresh seeds one of these is far worse at many classes."""
            if loss != claim.PLAIN or name != "classes-256":
                return known(name, config, loss, rate, 0, steps)
            likes = rate == pytest.approx(1.0 if seed % 2 else 10.0)
            curves = dict.fromkeys(METRICS, steps / steps[-1] * (0.6 if rate < 3 else 0.3))
            return curves | {"validation_accuracy": steps / steps[-1] * (0.5 + 0.1 * likes)}

        found = measured(unsure).measurements
        accuracy, slope = found[f"K=256/{claim.PLAIN}/test_accuracy"], found[f"{claim.PLAIN}/gap_slope"]
        assert accuracy.low < 0.35 < 0.55 < accuracy.high
        assert slope.high - slope.low > 0.05
        assert found["K=256/ssr/test_accuracy"].ci == pytest.approx((found["K=256/ssr/test_accuracy"].value,) * 2)
