"""The claim on the gap at default settings: what it measures on curves that are known."""

import numpy as np
import pytest

from ce_jax import analysis
from ce_jax.comparing import Listener
from experiments.claims import cross_fitting, default_gap
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

CHUNK = 10
SGD = "sgd/network/cross_entropy"


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def request(folder):
    return Request(True, 0, folder, Listener())


def made_up(**changes):
    """What makes both parts hold; `changes` are (SSR on probabilities, SSR on logits)."""
    usual = {"equivalent": 1.0, "outside": 0.0, "profile_area": 0.2, "rate_band": 0.2}
    found = {}
    for optimizer in default_gap.GRIDS:
        for place, loss in enumerate(default_gap.OTHERS):
            for name, value in usual.items():
                value = changes[name][place] if name in changes else value
                found[f"{optimizer}/network/cross_entropy-{loss}/{name}"] = near(value)
    return found


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "confirmed"),
        ({"outside": (0.0, 0.8)}, "refuted"),
        ({"outside": (0.8, 0.0)}, "refuted"),
        ({"outside": (0.0, 0.4)}, "undecided"),
        ({"equivalent": (1.0, 0.6)}, "undecided"),
        ({"profile_area": (-0.2, 0.2)}, "refuted"),
        ({"rate_band": (0.2, 0.005)}, "undecided"),
        ({"rate_band": (0.2, -0.2)}, "refuted"),
    ],
)
def test_rule(changes, verdict):
    assert default_gap.decide(made_up(**changes)) == verdict


# ------------------------------------------------------------------------------------------- measured on known curves


def learning(level, duration, steps, noise=0.0):
    return np.clip(level * (1 - np.exp(-steps / duration)) + noise * (steps > 0), 0, 1)


def curve(loss, rate, seed, steps, *, gap=0.0, slow=3.0, best=0.3):
    """Cross-entropy is good over a decade more, faster, and `gap` better."""
    off = abs(np.log10(rate / best))
    reference = loss == "cross_entropy"
    level = 0.97 - (0.0 if reference else gap) - 0.05 * max(0.0, off - (1.0 if reference else 0.5))
    accuracy = learning(level, (5 if reference else 5 * slow) * 10**off, steps, 0.002 * np.sin(seed))
    return {
        "train_accuracy": learning(1.0, 5 * slow, steps),
        "validation_accuracy": accuracy,
        "test_accuracy": accuracy,
    }


def swap(loss):
    return {"cross_entropy": "ssr", "ssr": "cross_entropy"}.get(loss, loss)


def measured(monkeypatch, folder, curves, asked=None, quick=True):
    few = {name: default_gap.DATASETS[name]._replace(seeds=12) for name in ("iris", "wine")}
    monkeypatch.setattr(default_gap, "DATASETS", few)
    # A grid that reaches to both sides of the best rate for either optimizer.
    monkeypatch.setattr(default_gap, "GRIDS", dict.fromkeys(default_gap.GRIDS, default_gap.RateGrid(1e-3, 1e2, 21)))
    monkeypatch.setattr(default_gap, "trained", stub_trained(curves, asked))
    return default_gap.measure(request(folder)._replace(quick=quick)).measurements


def plain(**more):
    return lambda name, config, loss, rate, seed, steps: curve(loss, rate, seed, steps, **more)


def test_a_lead_in_speed_and_width_alone_confirms(monkeypatch, tmp_path):
    found = measured(monkeypatch, tmp_path, plain())
    for loss in default_gap.OTHERS:
        pair = f"{SGD}-{loss}"
        assert found[f"{pair}/equivalent"].value == found[f"{pair}/plateau"].value == 1
        assert found[f"{pair}/outside"].value == 0
        assert found[f"{pair}/profile_area"].value > 0.3
        assert found[f"{pair}/rate_band"].value == pytest.approx(1.0)
        assert found[f"network/cross_entropy-{loss}/part"].unit == "confirmed"
    assert found["iris/network/sgd/cross_entropy/rmst"].value < found["iris/network/sgd/ssr/rmst"].value
    assert default_gap.decide(found) == "confirmed"


def test_the_signs_turn_with_the_losses(monkeypatch, tmp_path):
    found = measured(
        monkeypatch,
        tmp_path,
        lambda name, config, loss, rate, seed, steps: curve(swap(loss), rate, seed, steps, gap=0.03),
    )
    assert found[f"{SGD}-ssr/test_accuracy"].value == pytest.approx(-0.03, abs=0.003)
    assert found["iris/network/sgd/cross_entropy-ssr/test_accuracy"].high < -default_gap.WITHIN
    assert found["iris/network/sgd/cross_entropy-ssr/probability_of_improvement"].value == 0
    assert found[f"{SGD}-ssr/profile_area"].value < 0
    assert found[f"{SGD}-ssr/rate_band"].value == pytest.approx(-1.0)
    assert found["network/cross_entropy-ssr/part"].unit == "refuted"
    assert default_gap.decide(found) == "refuted"


def test_a_gap_is_outside_and_one_part_refutes(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        return curve(loss, rate, seed, steps, gap=0.05 if loss == "ssr_on_logits" else 0.0)

    found = measured(monkeypatch, tmp_path, curves)
    assert found[f"{SGD}-ssr_on_logits/outside"].value == 1
    assert found["network/cross_entropy-ssr/part"].unit == "confirmed"
    assert found["network/cross_entropy-ssr_on_logits/part"].unit == "refuted"
    assert default_gap.decide(found) == "refuted"


def test_an_unsure_difference_is_neither_equivalent_nor_outside(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        unsure = {"test_accuracy": 0.9 + 0.05 * (-1) ** seed} if loss == "ssr" else {"test_accuracy": 0.9}
        return {**curve(loss, rate, seed, steps), **unsure}

    found = measured(monkeypatch, tmp_path, curves)
    assert found["iris/network/sgd/cross_entropy-ssr/test_accuracy"].value == pytest.approx(0)
    assert found[f"{SGD}-ssr/plateau"].value == 1
    assert found[f"{SGD}-ssr/equivalent"].value == found[f"{SGD}-ssr/outside"].value == 0


def test_linear_models_are_reported_and_not_judged(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        return curve(loss, rate, seed, steps, gap=0.1 if config.model == "linear" else 0.0)

    found = measured(monkeypatch, tmp_path, curves, quick=False)
    assert found["linear/cross_entropy-ssr/part"].unit == "refuted"
    assert default_gap.decide(found) == "confirmed"


def test_what_still_moves_is_neither_equivalent_nor_outside(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        known = curve(loss, rate, seed, steps, gap=0.05)
        if "iris" in name and loss == "ssr":
            known["validation_accuracy"] = known["validation_accuracy"] * steps / steps[-1]
        return known

    found = measured(monkeypatch, tmp_path, curves)
    assert found["iris/network/sgd/ssr/moving/validation"].value == pytest.approx(0.5, abs=0.15)
    assert found[f"{SGD}-ssr/plateau"].value == found[f"{SGD}-ssr/outside"].value == 0.5
    assert found[f"{SGD}-ssr_on_logits/outside"].value == 1


def test_runs_that_miss_the_target_stay_in_as_the_horizon(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        if loss == "ssr" and seed % 3 == 0:
            return {"validation_accuracy": 0.5, "test_accuracy": 0.5, "train_accuracy": 1.0}
        return curve(loss, rate, seed, steps)

    found = measured(monkeypatch, tmp_path, curves)
    assert found["iris/network/sgd/ssr/reached"].value == pytest.approx(2 / 3)
    # A third of them at the horizon of 1,000; the mean would be some 40 if misses were dropped.
    assert found["iris/network/sgd/ssr/rmst"].value > 333
    assert found["iris/network/sgd/ssr/test_accuracy"].value == pytest.approx(0.97 * 2 / 3 + 0.5 / 3, abs=0.05)


def test_fresh_runs_that_diverge_stay_in_with_an_accuracy_of_0(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        if loss == "ssr" and seed >= 6 and seed % 2:  # half of the fresh seeds, at any rate
            return {"test_accuracy": np.where(steps < 100, 0.9, np.nan)}
        return curve(loss, rate, seed, steps)

    found = measured(monkeypatch, tmp_path, curves)
    assert found["iris/network/sgd/ssr/diverged"].value == 0.5
    assert found["iris/network/sgd/ssr/test_accuracy"].value == pytest.approx(0.97 / 2, abs=0.02)


def test_a_rate_under_which_a_tuning_seed_diverges_is_not_chosen(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        if loss == "ssr_on_logits" and rate > 0.1 and seed == 3:
            return {"validation_accuracy": np.where(steps < 500, 0.97, np.nan)}
        return curve(loss, rate, seed, steps)

    asked = []
    found = measured(monkeypatch, tmp_path, curves, asked)
    # The best rate, 0.3, lies beyond the cliff, and so it is not even a contender but for the redraws without seed 3.
    assert found["iris/network/sgd/ssr_on_logits/near_cliff"].value == 1
    assert found["iris/network/sgd/cross_entropy/near_cliff"].value == 0
    assert found["iris/network/sgd/ssr_on_logits/diverged"].value == 0


def test_rates_are_chosen_on_tuning_seeds_and_reported_on_fresh_ones(monkeypatch, tmp_path):
    asked = []

    def curves(name, config, loss, rate, seed, steps):
        # On fresh seeds another rate would be the best, and far better.
        best = 0.3 if seed < 6 else 0.01
        level = 0.99 if seed >= 6 and rate < 0.03 else 0.9
        accuracy = learning(level - 0.05 * abs(np.log10(rate / best)), 5.0, steps)
        return {"train_accuracy": 1.0, "validation_accuracy": accuracy, "test_accuracy": accuracy}

    found = measured(monkeypatch, tmp_path, curves, asked)
    rates = {rate for name, loss, seed, rate in asked if seed >= 6}
    np.testing.assert_allclose(sorted(rates), [10**-0.5])  # fresh seeds at the contending rate alone
    assert found["iris/network/sgd/ssr/test_accuracy"].value == pytest.approx(0.9 - 0.05 * 1.5, abs=0.002)


def test_speed_is_measured_on_seeds_that_did_not_choose_the_rate(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        # Every tuning seed is fast at a rate of its own half alone.
        own = 0.1 if seed % 2 else 1.0
        fast = np.isclose(np.log10(rate), np.log10(own), atol=0.01)
        return {
            "train_accuracy": 1.0,
            "validation_accuracy": learning(0.97, 1.0 if fast else 100.0, steps),
            "test_accuracy": 0.97,
        }

    found = measured(monkeypatch, tmp_path, curves)
    assert found["iris/network/sgd/cross_entropy/rmst"].value > 150


def test_the_ratio_of_speeds_has_an_interval_and_turns_with_the_losses(monkeypatch, tmp_path):
    def curves(name, config, loss, rate, seed, steps):
        # Accuracy rises in a straight line; the duration varies over seeds, alike for all losses, with a third more.
        own = np.random.default_rng([seed, *loss.encode()]).uniform(0.9, 1.1)
        duration = 200 * (1 + 0.3 * np.sin(seed)) * own * {"cross_entropy": 1.0, "ssr": 2.0}.get(loss, 0.5)
        return {"validation_accuracy": np.minimum(1.0, steps / duration), "train_accuracy": 1.0, "test_accuracy": 0.97}

    found = measured(monkeypatch, tmp_path, curves, quick=False)
    for loss, truth in {"ssr": 2.0, "ssr_on_logits": 0.5}.items():
        one = found[f"wine/network/sgd/{loss}/rmst_ratio"]
        assert one.value == pytest.approx(truth, rel=0.1)
        assert one.low < truth < one.high
        assert one.high / one.low < 1.3


@pytest.mark.parametrize(
    ("absent", "unit", "value"),
    [("ssr", "times the steps, at least", 3.0), ("cross_entropy", "times the steps, at most", 1.0)],
)
def test_a_ratio_of_speeds_that_meets_the_horizon_is_a_bound(monkeypatch, tmp_path, absent, unit, value):
    def curves(name, config, loss, rate, seed, steps):
        return {"validation_accuracy": 0.5} if loss == absent else curve(loss, rate, seed, steps)

    one = measured(monkeypatch, tmp_path, curves)["iris/network/sgd/ssr/rmst_ratio"]
    assert one.unit == unit
    assert (one.value > value) == (absent == "ssr")


@pytest.mark.slow
def test_the_interval_of_the_ratio_of_speeds_covers_as_documented(monkeypatch, tmp_path):
    """Two rates that are exactly as good: the choice is noise, and its product with the noise of the other half counts
    twice in the jackknife's variance, so that intervals of twenty seeds are a little too wide, as the claim says."""
    monkeypatch.setattr(default_gap, "DATASETS", {"wine": default_gap.DATASETS["wine"]._replace(seeds=2)})
    rates = default_gap.RateGrid(0.1, 1.0, 3)
    monkeypatch.setattr(default_gap, "GRIDS", {"sgd": rates})
    hits, repeats, truth = 0, 300, 1.5
    for repeat in range(repeats):

        def curves(name, config, loss, rate, seed, steps, repeat=repeat):
            rng = np.random.default_rng([repeat, seed, int(100 * rate), *loss.encode()])
            shared = np.random.default_rng([repeat, seed]).normal()
            mean = (400 if 0.3 < rate < 1.1 else 640) * {"ssr": truth}.get(loss, 1.0)
            duration = mean * np.exp(0.2 * shared + 0.2 * rng.normal())
            return {"validation_accuracy": np.clip(steps / duration, 0, 0.949) + 0.06 * (steps >= duration)}

        monkeypatch.setattr(default_gap, "trained", stub_trained(curves))
        config = default_gap.setting("wine", "network", "sgd", request(tmp_path)._replace(quick=False))
        run = default_gap.trained("wine", config, request(tmp_path))
        one = cross_fitting.slowness(run, "ssr")
        hits += one.low <= truth <= one.high
    assert 0.95 <= hits / repeats <= 0.99


# ---------------------------------------------------------------------------------------------------- over data sets


def test_profile_lead_changes_sign_with_the_losses():
    a, b, never = np.array([1.0, 2.0, np.inf]), np.array([3.0, 10.0, np.inf]), np.full(3, np.inf)
    lead, behind = (default_gap.profile_lead(*times, never, axis=-1, loss="ssr") for times in ((a, b), (b, a)))
    assert lead == pytest.approx(-behind)
    # a is best on two of three problems; b comes within a ratio of 3 on one of them.
    assert lead == pytest.approx(2 / 3 - 21 / 61 / 3)


def test_amendments_are_dated_and_say_whether_results_were_seen():
    for one in default_gap.AMENDMENTS:
        assert set(one) == {"date", "what", "why", "results_seen"}


# {case: (median ratio, its spread, the share of workloads that a does not solve, and that b does not)}
PROFILES = {"a ahead": (1.35, 0.85, 0.1, 0.2), "a a little ahead": (1.1, 0.85, 0.1, 0.2), "level": (1.0, 0.6, 0.1, 0.1)}
# On nearly every workload the lead is much the same, on a few it is not: the skew costs up to 3 % at 20 workloads.
SKEWED = (2.2, 0.4, 0.05, 0.1)


def coverage(interval, truth, simulations):
    """The share of simulated samples, drawn by `interval(rng)` in chunks, whose interval holds the truth."""
    rng = np.random.default_rng(40)
    hits = 0
    for _ in range(simulations // CHUNK):
        low, high = interval(rng)
        hits += int(np.sum((low <= truth) & (truth <= high)))
    return hits / (simulations // CHUNK * CHUNK)


def times(rng, shape, ratio, spread, missed_a, missed_b):
    """Mean steps of two losses on unlike workloads."""
    workload = rng.normal(4.0, 1.0, shape)
    a, b = (np.exp(workload + lead + spread * rng.standard_normal(shape) / 2**0.5) for lead in (0.0, np.log(ratio)))
    return np.where(rng.random(shape) < missed_a, np.inf, a), np.where(rng.random(shape) < missed_b, np.inf, b)


def profile_lead(*times, axis):
    """The lead over one other loss; the third, which never gets there, changes nothing."""
    return default_gap.profile_lead(*times, np.full_like(times[0], np.inf), axis=axis, loss="ssr")


def profile_coverage(workloads, simulations, case):
    truth = np.mean([profile_lead(*times(np.random.default_rng(i), 10_000, *case), axis=-1) for i in range(40)])

    def interval(rng):
        return analysis.bootstrap_ci(profile_lead, *times(rng, (CHUNK, workloads), *case), resamples=499, rng=rng)

    return coverage(interval, truth, simulations)


# {case: probabilities of a band narrower by one half-decade, equal, wider by one, by two}
BANDS = {"wider": (0.1, 0.5, 0.3, 0.1), "no wider": (0.25, 0.5, 0.25, 0.0)}
SELDOM_WIDER = (0.05, 0.65, 0.2, 0.1)
MOSTLY_EQUAL = (0.05, 0.9, 0.05, 0.0)


def band_coverage(workloads, simulations, chances):
    """Mean difference of two widths in half-decades."""
    steps = 0.5 * np.array([-1, 0, 1, 2])

    def interval(rng):
        lead = rng.choice(steps, (CHUNK, workloads), p=chances)
        return analysis.bootstrap_ci(default_gap.band_lead, lead, 0 * lead, resamples=499, rng=rng)

    return coverage(interval, steps @ chances, simulations)


@pytest.mark.slow
def test_leads_over_20_workloads_are_covered():
    assert 0.93 <= profile_coverage(20, 500, PROFILES["a ahead"]) <= 0.97
    assert 0.93 <= band_coverage(20, 4000, BANDS["wider"]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", PROFILES)
def test_coverage_of_the_lead_in_the_profile(case):
    assert 0.93 <= profile_coverage(20, 4000, PROFILES[case]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", BANDS)
def test_coverage_of_the_lead_in_width(case):
    assert 0.93 <= band_coverage(20, 8000, BANDS[case]) <= 0.97


@pytest.mark.slow
def test_skewed_leads_are_covered_a_little_less():
    assert 0.92 <= profile_coverage(20, 4000, SKEWED) <= 0.97
    assert 0.92 <= band_coverage(20, 8000, SELDOM_WIDER) <= 0.97


@pytest.mark.slow
def test_leads_over_five_data_sets_are_covered_as_often_as_documented():
    assert 0.88 <= profile_coverage(5, 4000, PROFILES["a ahead"]) <= 0.97


@pytest.mark.slow
def test_no_lead_in_width_is_seen_where_widths_seldom_differ():
    assert band_coverage(20, 4000, MOSTLY_EQUAL) >= 0.97
