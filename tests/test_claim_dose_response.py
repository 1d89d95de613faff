"""dose-response: its rule on made-up measurements, and what it measures of curves that are known."""

import functools
import re

import numpy as np
import pytest
from scipy import stats

from ce_jax.comparing import AnalysisOptions, Listener
from ce_jax.training import evaluation_steps
from experiments.claims import dose_response as claim
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

TUNING, FRESH = range(6), range(6, 14)  # of a quick run
NEVER = np.inf


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def time_of(dataset, start, level, seed):
    """Steps to the target at the best rate: five times as many at the far end, from a saturated start eleven times."""
    return 10 * (1 + (10 if start == "saturated" else 4) * level) + seed % 3


def curves_of(time=time_of, peak=lambda seed: 1.0):
    """Curves that reach the target after `time`, and later at rates other than the peak."""

    def curves(name, config, loss, rate, seed, steps):
        dataset, _, start = name.split("-")
        level = float(re.search(r"=(.+)\)", loss)[1])
        slower = 1 + 2 * abs(round(np.log10(rate / peak(seed)), 6))
        return {"validation_accuracy": np.where(steps >= time(dataset, start, level, seed) * slower, 0.95, 0.1)}

    return curves


def evaluated(dataset, time):
    """The first evaluated step from `time` on, or the horizon."""
    horizon = claim.DATASETS[dataset][0]
    steps = np.array(evaluation_steps(horizon, every=None, points=30))
    return float(steps[steps >= time][0]) if time <= horizon else float(horizon)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(curves, asked=None):
        monkeypatch.setattr(claim, "trained", stub_trained(curves, asked))
        monkeypatch.setattr(claim, "AnalysisOptions", functools.partial(AnalysisOptions, resamples=999))
        return claim.measure(Request(True, 0, tmp_path, Listener()))

    return measure


RISING = near(0.9)


def made_up(saturated=RISING, gentle=RISING, growth=(8, 2), censored=(0, 0)):
    found = {}
    for dataset, family in claim.cells():
        for start, rho, factor, bound in zip(
            ("saturated", "gentle"), (saturated, gentle), growth, censored, strict=True
        ):
            key = f"{dataset}/{start}/{family}"
            found[f"{key}/spearman"] = rho
            found[f"{key}/rmst_growth"] = Measurement(factor)
            found[f"{key}/rmst_growth/censored"] = Measurement(bound)
    return found


class TestDecide:
    @pytest.mark.parametrize(
        ("cells", "verdict"),
        [
            ({}, "confirmed"),
            ({"saturated": near(-0.9)}, "refuted"),
            ({"gentle": near(-0.9)}, "refuted"),
            ({"gentle": near(0.1, 0.5)}, "undecided"),
            ({"saturated": near(0.1, 0.5)}, "refuted"),
            ({"growth": (2, 8)}, "undecided"),
        ],
    )
    def test_verdicts(self, cells, verdict):
        assert claim.decide(made_up(**cells)) == verdict

    @pytest.mark.parametrize("start", claim.STARTS)
    def test_one_cell_of_either_start_is_enough_to_fail(self, start):
        cell = f"wine/{start}/lq_loss/spearman"
        assert claim.decide({**made_up(), cell: near(0.3, 0.4)}) == "undecided"
        assert claim.decide({**made_up(), cell: near(-0.5, 0.4)}) == "refuted"

    @pytest.mark.parametrize(
        ("growth", "censored", "verdict"),
        [
            ((8, 2), (1, 0), "confirmed"),  # at least 8 against 2
            ((8, 2), (0, 1), "undecided"),  # 8 against at least 2
            ((8, 2), (1, 1), "undecided"),
            ((0.9, 0.5), (1, 0), "undecided"),  # at most 0.9 against 0.5
            ((1, 0.5), (1, 0), "undecided"),  # neither end has arrived
            ((8, 0.5), (0, 1), "confirmed"),  # 8 against at most 0.5
        ],
    )
    def test_a_bound_counts_where_it_settles_which_is_larger(self, growth, censored, verdict):
        assert claim.decide(made_up(growth=growth, censored=censored)) == verdict


class TestRankCorrelation:
    def test_it_is_scipys(self):
        values = np.random.default_rng(0).integers(0, 6, (len(claim.LEVELS), 50)).astype(float)
        found = claim.rank_correlation(*values)
        for column, rho in zip(values.T, found, strict=True):
            assert rho == pytest.approx(stats.spearmanr(claim.LEVELS, column).statistic)

    def test_equal_values_are_no_trend(self):
        assert claim.rank_correlation(*[600.0] * 6) == 0
        assert claim.rank_correlation(*[np.array([600.0, 1.0])] * 6).tolist() == [0, 0]


class TestMeasure:
    def test_known_curves(self, measured):
        findings = measured(curves_of())
        found = findings.measurements
        for dataset, family in claim.cells():
            parameter = claim.FAMILIES[family]
            for start in claim.STARTS:
                key = f"{dataset}/{start}/{family}"
                means = [
                    np.mean([evaluated(dataset, time_of(dataset, start, level, seed)) for seed in FRESH])
                    for level in claim.LEVELS
                ]
                for level, mean in zip(claim.LEVELS, means, strict=True):
                    assert found[f"{key}/{parameter}={level:g}/rmst"].value == pytest.approx(mean)
                    assert found[f"{key}/{parameter}={level:g}/reached"].value == 1
                assert found[f"{key}/rmst_growth"].value == pytest.approx(means[-1] / means[0])
                assert found[f"{key}/rmst_growth"].unit == "ratio of the two ends"
                assert found[f"{key}/rmst_growth/censored"].value == 0
                assert found[f"{key}/spearman"].value == pytest.approx(stats.spearmanr(claim.LEVELS, means).statistic)
                assert found[f"{key}/tied_at_horizon"].value == 0
        assert claim.decide(found) == "confirmed"
        assert "at least" not in findings.caption

    def test_the_sign_turns_with_the_ends_of_the_bridge(self, measured):
        turned = measured(curves_of(lambda dataset, start, level, seed: time_of(dataset, start, 1 - level, seed)))
        for dataset, family in claim.cells():
            for start in claim.STARTS:
                assert turned.measurements[f"{dataset}/{start}/{family}/spearman"].high < 0
                assert turned.measurements[f"{dataset}/{start}/{family}/rmst_growth"].high < 1
        assert claim.decide(turned.measurements) == "refuted"

    def test_starts_that_are_swapped_do_not_confirm(self, measured):
        other = {"gentle": "saturated", "saturated": "gentle"}
        swapped = measured(curves_of(lambda dataset, start, level, seed: time_of(dataset, other[start], level, seed)))
        assert claim.decide(swapped.measurements) == "undecided"

    def test_no_trend_from_one_gentle_start_leaves_it_undecided(self, measured):
        def flat_on_wine(dataset, start, level, seed):
            noise = (7 * seed + 10 * level) % 4
            return 2 + noise if (dataset, start) == ("wine", "gentle") else time_of(dataset, start, level, seed)

        found = measured(curves_of(flat_on_wine)).measurements
        assert found["wine/gentle/power_loss/spearman"].low < 0 < found["wine/gentle/power_loss/spearman"].high
        assert claim.decide(found) == "undecided"

    def test_runs_that_never_arrive_stay_in_as_the_horizon(self, measured):
        def half_arrive(dataset, start, level, seed):
            late = start == "saturated" and level == 0.6 and seed in FRESH and seed % 2
            return NEVER if late else time_of(dataset, start, level, seed)

        found = measured(curves_of(half_arrive)).measurements
        times = [evaluated("digits", half_arrive("digits", "saturated", 0.6, seed)) for seed in FRESH]
        assert times.count(600.0) == len(FRESH) / 2
        assert found["digits/saturated/lq_loss/q=0.6/rmst"].value == pytest.approx(np.mean(times))
        assert found["digits/saturated/lq_loss/q=0.6/reached"].value == 0.5
        assert found["digits/saturated/lq_loss/tied_at_horizon"].value == 0

    def test_an_end_that_never_arrives_makes_growth_a_bound(self, measured):
        def far_end_never(dataset, start, level, seed):
            return NEVER if start == "saturated" and level > 0.7 else time_of(dataset, start, level, seed)

        findings = measured(curves_of(far_end_never))
        found, key = findings.measurements, "digits/saturated/power_loss"
        near_end = np.mean([evaluated("digits", time_of("digits", "saturated", 0, seed)) for seed in FRESH])
        assert found[f"{key}/rmst_growth"].value == pytest.approx(600 / near_end)
        assert found[f"{key}/rmst_growth"].unit.endswith(", at least")
        assert found[f"{key}/rmst_growth/censored"].value == 1
        assert found[f"{key}/beta=1/reached"].value == 0
        assert found[f"{key}/tied_at_horizon"].value == 2
        assert found["digits/gentle/power_loss/rmst_growth/censored"].value == 0
        assert claim.decide(found) == "confirmed"
        bound = claim.growth_text(found, key)
        assert bound.startswith("at least ")
        assert f"{bound} [" in findings.caption
        assert "(0% arrive at 1, 2 of 6 values tied at the horizon)" in findings.caption
        legends = [text.get_text() for axes in findings.figure.axes for text in axes.get_legend().get_texts()]
        assert sum(f"{bound} times" in text for text in legends) == 2  # both families

    def test_a_near_end_that_never_arrives_is_a_bound_the_other_way(self, measured):
        found = measured(
            curves_of(lambda dataset, start, level, seed: time_of(dataset, start, 0, seed) if level else NEVER)
        ).measurements
        assert found["wine/gentle/lq_loss/rmst_growth"].unit.endswith(", at most")
        assert claim.growth_text(found, "wine/gentle/lq_loss").startswith("at most ")

    def test_where_nobody_arrives_nothing_is_known(self, measured):
        found = measured(curves_of(lambda *which: NEVER)).measurements
        assert found["wine/gentle/lq_loss/tied_at_horizon"].value == len(claim.LEVELS)
        assert found["wine/gentle/lq_loss/spearman"].value == 0
        assert claim.growth_text(found, "wine/gentle/lq_loss") == "–"
        assert claim.decide(found) == "refuted"  # no interval above 0 from the saturated start

    def test_rates_are_chosen_on_tuning_seeds_alone(self, measured):
        asked = []
        found = measured(curves_of(peak=lambda seed: 1.0 if seed in TUNING else 10.0), asked).measurements
        for key, one in found.items():
            if key.endswith("/learning_rate"):
                assert one.value == pytest.approx(1.0)
        times = [evaluated("digits", 3 * time_of("digits", "gentle", 0, seed)) for seed in FRESH]
        assert found["digits/gentle/power_loss/beta=0/rmst"].value == pytest.approx(np.mean(times))
        for loss in {loss for _, loss, _, _ in asked}:
            assert {seed for _, one, seed, _ in asked if one == loss} == {*TUNING, *FRESH}

    def test_fresh_seeds_do_not_choose_among_rates_that_may_be_the_best(self, measured):
        def contended(name, config, loss, rate, seed, steps):
            """Redrawn tuning seeds choose rate 1 or 10, all of them choose 1; fresh seeds would choose 10."""
            at_1, at_10 = rate == pytest.approx(1.0), rate == pytest.approx(10.0)
            late = 100 if at_1 else 200
            fast = at_10 if seed % 2 or seed in FRESH else at_1
            return {"validation_accuracy": np.where(steps >= (20 if fast else late), 0.95, 0.1)}

        asked = []
        found = measured(contended, asked).measurements
        assert {round(rate, 6) for _, _, seed, rate in asked if seed in FRESH} == {1.0, 10.0}
        assert found["digits/gentle/power_loss/beta=0/learning_rate"].value == pytest.approx(1.0)
        assert found["digits/gentle/power_loss/beta=0/rmst"].value == evaluated("digits", 100)

    def test_intervals_cover_the_choice_of_the_rate(self, measured):
        def unsure(name, config, loss, rate, seed, steps):
            """Half of the tuning seeds like one rate and half the other, which on fresh seeds is far slower."""
            liked = rate == pytest.approx(1.0 if seed % 2 else 10.0) if seed in TUNING else rate < 3
            late = 40 if seed in TUNING else 100
            return {"validation_accuracy": np.where(steps >= (20 if liked else late), 0.95, 0.1)}

        one = measured(unsure).measurements["digits/gentle/power_loss/beta=0/rmst"]
        assert one.high - one.low > 40
