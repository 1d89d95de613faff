"""stuck-deep-sigmoid: its rule on made-up measurements, and what it measures of curves that are known."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from ce_jax.comparing import AnalysisOptions, Listener
from experiments.claims import stuck_deep_sigmoid as claim
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

LEADS = [f"{start}/cross_entropy-ssr/reached" for start in claim.STARTS]
TUNING, FRESH = range(2), range(2, 8)  # of a quick run
SWAP = {"cross_entropy": "ssr", "ssr": "cross_entropy"}
METRICS = ("validation_accuracy", "test_accuracy")
BEST = {"cross_entropy": 1.0, "ssr": 10.0}


def near(value, half=0.001):
    return Measurement(value, (value - half, value + half))


def known(name, config, loss, rate, seed, steps, *, stuck=lambda loss, start, seed: loss == "ssr" and seed != 4):
    """Accuracies that rise to 0.95, or to 0.5 in the runs that are stuck; less far from the loss's best rate."""
    _, start, _ = name.split("-")
    final = (0.5 if stuck(loss, start, seed) else 0.95) - 0.01 * abs(np.log10(rate / BEST[loss]))
    return dict.fromkeys(METRICS, steps / steps[-1] * final)


def harmless(loss, seed, dataset):
    """Test error after the second stage, the same for both losses."""
    return 0.07 + 0.001 * (seed % 2)


def cost(loss, seed, dataset):
    """Two points more if the second stage is SSR's."""
    return harmless(loss, seed, dataset) + 0.02 * (loss == "ssr")


class StubSwitch:
    """What stands for `load_workload`, `switched` and `sweep`: knows the test error of every second stage."""

    def __init__(self, error):
        self.error, self.asked = error, []

    def load_workload(self, name, config):
        seeds = np.arange(config.sweep.tuning_seeds + config.sweep.seeds) + config.sweep.first_seed
        task = SimpleNamespace(
            arms=[SimpleNamespace(label=loss) for loss in config.loss],
            train=lambda arm: (config.dataset, arm.label),
            seeds=seeds,
            splits_of=lambda part: seeds[part],
        )
        return SimpleNamespace(task=task)

    def switched(self, first, second, *, rate_factor):
        return first, second, rate_factor

    def sweep(self, staged, seeds, hyper, splits, *, plan):
        (dataset, first), (_, second), factor = staged
        assert list(splits) == list(seeds)
        self.asked.append((dataset, first, second, factor, tuple(seeds), float(hyper.learning_rate[0])))
        errors = np.array([self.error(second, seed, dataset) for seed in seeds])
        accuracy = np.stack([np.full(len(seeds), 0.1), 1 - errors], axis=-1)  # only the last evaluation counts
        return {"test_accuracy": accuracy[None]}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(curves=known, error=harmless, asked=None, datasets=("mnist5k",)):
        stub = StubSwitch(error)
        monkeypatch.setattr(claim, "trained", stub_trained(curves, asked))
        for name in ("load_workload", "switched", "sweep"):
            monkeypatch.setattr(claim, name, getattr(stub, name))
        monkeypatch.setattr(claim, "AnalysisOptions", functools.partial(AnalysisOptions, resamples=999))
        monkeypatch.setattr(claim, "QUICK_DATASETS", datasets)
        found = claim.measure(Request(True, 0, tmp_path, Listener()))
        return found, stub.asked

    return measure


class TestDecide:
    @pytest.mark.parametrize(
        ("scaled", "wide", "harm", "verdict"),
        [
            (0.2, 0.2, -0.002, "confirmed"),
            (0.2, 0.2, 0.0, "confirmed"),
            (0.0, 0.2, -0.002, "undecided"),  # one of two
            (0.2, 0.0, -0.002, "undecided"),
            (-0.2, 0.2, -0.002, "refuted"),  # and the other against it
            (0.2, -0.2, -0.002, "refuted"),
            (0.2, 0.2, 0.002, "undecided"),  # there, but small
            (0.2, 0.2, 0.02, "refuted"),
        ],
    )
    def test_verdicts(self, scaled, wide, harm, verdict):
        found = dict(zip(LEADS, (near(scaled), near(wide)), strict=True)) | {"digits/switch/harm": near(0)}
        assert claim.decide(found | {"mnist5k/switch/harm": near(harm)}) == verdict

    @pytest.mark.parametrize("place", ["digits", "mnist5k"])
    def test_no_data_set_makes_up_for_another(self, place):
        found = dict.fromkeys(LEADS, near(0.2)) | {f"{one}/switch/harm": near(-0.05) for one in claim.DATASETS}
        assert claim.decide(found) == "confirmed"
        assert claim.decide(found | {f"{place}/switch/harm": near(0.02)}) == "refuted"
        assert claim.decide(found | {f"{place}/switch/harm": near(0.002)}) == "undecided"

    def test_nothing_stuck_at_all_refutes(self):
        found = dict.fromkeys(LEADS, Measurement(0.0, (0.0, 0.0))) | {"digits/switch/harm": near(0)}
        assert claim.decide(found) == "refuted"


class TestMeasure:
    def test_leads_by_start_cover_the_tuning_and_keep_their_sign(self, measured):
        found = measured()[0].measurements
        for lead in LEADS:
            assert found[lead].value == pytest.approx(5 / 6)
            assert found[lead].low > 0
        assert claim.decide(found) == "confirmed"
        assert found["mnist5k/wide/depth=3/ssr/reached"].value == pytest.approx(1 / 6)
        assert found["mnist5k/wide/depth=3/cross_entropy-ssr/reached"].value == pytest.approx(5 / 6)
        assert found["mnist5k/wide/depth=3/cross_entropy/test_accuracy"].value == pytest.approx(0.95)
        assert found["scaled/cells"].value == 2

    def test_swapped_curves_turn_the_sign(self, measured):
        def swapped(name, config, loss, rate, seed, steps):
            return known(name, config, SWAP[loss], rate, seed, steps)

        found = measured(swapped)[0].measurements
        assert [found[lead].value for lead in LEADS] == pytest.approx([-5 / 6] * 2)
        assert claim.decide(found) == "refuted"

    def test_one_start_alone_is_not_hidden_by_a_mean(self, measured):
        def stuck(loss, start, seed):
            return loss == "ssr" and (start == "wide" or seed == 2)

        found = measured(functools.partial(known, stuck=stuck))[0].measurements
        assert found["scaled/cross_entropy-ssr/reached"].value == pytest.approx(1 / 6)
        assert found["scaled/cross_entropy-ssr/reached"].low <= 0
        assert found["wide/cross_entropy-ssr/reached"].value == 1
        assert not any(key.startswith("cross_entropy-ssr") for key in found)
        assert claim.decide(found) == "undecided"

    def test_cells_that_show_nothing_are_counted(self, measured):
        def stuck(loss, start, seed):
            return start == "wide"

        findings, _ = measured(functools.partial(known, stuck=stuck))
        counts = {key: one.value for key, one in findings.measurements.items() if "/cells_" in key}
        assert counts == {
            "scaled/cells_that_neither_reaches": 0, "scaled/cells_that_both_always_reach": 2,
            "wide/cells_that_neither_reaches": 2, "wide/cells_that_both_always_reach": 0,
        }  # fmt: skip
        assert "2 from N(0, 1)" in findings.caption

    def test_an_interval_covers_another_choice_of_the_rate(self, measured):
        # The two tuning seeds like different rates; at one of them SSR is stuck on every fresh seed, at the other on
        # none: the interval of a fixed rate would be a point.
        def torn(name, config, loss, rate, seed, steps):
            likes = 10.0 if seed % 2 else 1.0
            final = 0.95 - 0.01 * abs(np.log10(rate / likes))
            if loss == "ssr" and seed in FRESH and rate > 3:
                final = 0.5
            return dict.fromkeys(METRICS, steps / steps[-1] * final)

        lead = measured(torn)[0].measurements[LEADS[0]]
        assert lead.value in (0, 1)
        assert lead.high - lead.low > 0.4

    def test_a_switch_that_costs_has_a_positive_harm_on_its_data_set(self, measured):
        def on_digits(loss, seed, dataset):
            return cost(loss, seed, dataset) if dataset == "digits" else 0.07 - 0.03 * (loss == "ssr")

        found = measured(error=on_digits, datasets=("digits", "mnist5k"))[0].measurements
        assert found["digits/switch/harm"].value == pytest.approx(0.02)
        assert found["mnist5k/switch/harm"].value == pytest.approx(-0.03)
        assert found["digits/switch/cross_entropy->ssr/test_error"].value == pytest.approx(0.0905)
        assert "at the rate chosen once" in found["digits/switch/harm"].unit
        assert claim.decide(found) == "refuted"

        def turned(loss, seed, dataset):
            return on_digits(SWAP[loss], seed, "digits")

        found = measured(error=turned, datasets=("digits",))[0].measurements
        assert found["digits/switch/harm"].value == pytest.approx(-0.02)

    def test_the_switch_goes_on_from_cross_entropy_at_its_own_rate_on_fresh_seeds(self, measured):
        _, asked = measured()
        assert asked == [
            ("mnist5k", "cross_entropy", second, claim.RATE_DROP, tuple(FRESH), pytest.approx(1.0))
            for second in claim.LOSSES
        ]

    def test_a_cell_is_trained_once(self, measured):
        asked = []
        measured(asked=asked)
        assert len(asked) == len(set(asked))
