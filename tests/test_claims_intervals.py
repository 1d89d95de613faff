"""Intervals of the claims' own statistics: do they hold a known truth as often as they promise?"""

import numpy as np
import pytest

from ce_jax import analysis
from experiments.claims import default_gap, many_classes, rate_unit, statistics

CHUNK = 10
RATES = np.geomspace(1e-2, 1e4, 25)


@pytest.fixture
def many_at_once(monkeypatch):
    """The claims' statistics on several simulated samples at a time, which share their resamples."""
    rng = np.random.default_rng(30)

    def bootstrapped(statistic, samples, unit=""):
        return analysis.bootstrap_ci(statistic, *samples, resamples=499, rng=rng)

    for module in (many_classes, rate_unit, statistics):
        monkeypatch.setattr(module, "bootstrapped", bootstrapped)


def coverage(interval, truth, simulations):
    """The share of simulated samples, drawn by `interval(rng)` in chunks, whose interval holds the truth."""
    rng = np.random.default_rng(40)
    hits = 0
    for _ in range(simulations // CHUNK):
        low, high = interval(rng)
        hits += int(np.sum((low <= truth) & (truth <= high)))
    return hits / (simulations // CHUNK * CHUNK)


def noise(rng, n, spread):
    return spread * rng.standard_normal((CHUNK, n))


# -------------------------------------------------------------------------------------------------- many classes


def gap_slope_coverage(n, simulations):
    """A gap of 2 points for each unit of ln K, under seeds that both losses share."""

    def interval(rng):
        reference = [0.9 - 0.03 * i + noise(rng, n, 0.02) for i in range(len(many_classes.CLASSES))]
        other = [
            one - 0.02 * np.log(k) + noise(rng, n, 0.01) for one, k in zip(reference, many_classes.CLASSES, strict=True)
        ]
        return many_classes.slope_of_gap(many_classes.CLASSES, reference, other)

    return coverage(interval, 0.02, simulations)


def closed_coverage(n, simulations, gap):
    """A repair that closes 0.7 of a gap."""

    def interval(rng):
        seed = noise(rng, n, 0.02)
        return statistics.share_closed(
            *(0.8 - loss + seed + noise(rng, n, 0.02) for loss in (0.0, gap, 0.3 * gap)),
        )

    return coverage(interval, 0.7, simulations)


def test_slope_of_the_gap_is_covered(many_at_once):
    assert 0.93 <= gap_slope_coverage(10, simulations=2000) <= 0.97


def test_the_share_of_the_gap_that_is_closed_is_covered(many_at_once):
    assert 0.93 <= closed_coverage(10, simulations=2000, gap=0.1) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 20])
def test_coverage_of_many_classes(many_at_once, n):
    assert 0.93 <= gap_slope_coverage(n, simulations=6000) <= 0.97
    for gap in (0.3, 0.05):
        assert 0.93 <= closed_coverage(n, simulations=6000, gap=gap) <= 0.97


# ------------------------------------------------------------------------------------------------ best learning rates


def rate_slope_coverage(n, simulations, *, spread=0.2, own=0.05, flat=False):
    """Scores that peak at a rate of 0.5, under SSR at K/2 times that: slope 1.

    A seed moves both peaks by `spread` (in units of ln rate; neighbours of the grid are 0.58 apart), and every run has
    noise of its own. `flat`: scores hardly fall above their peak, as where a large rate does no harm.
    """

    def interval(rng):
        scores = []
        for k in rate_unit.CLASSES:
            seed = noise(rng, n, spread)
            for shift in (0.0, np.log(k / 2)):
                above = np.log(RATES)[:, None, None] - (np.log(0.5) + shift + seed + noise(rng, n, spread / 2))
                score = np.exp(-(above**2) / 4.5)
                score = np.where(above > 0, 1 - 0.01 * np.tanh(above / 3), score) if flat else score
                scores.append(score + own * rng.standard_normal(score.shape))
        return rate_unit.slope_of(scores, RATES)

    return coverage(interval, 1.0, simulations)


def test_slope_of_best_rates_is_covered(many_at_once):
    assert 0.93 <= rate_slope_coverage(10, simulations=300, own=0.0) <= 0.98


@pytest.mark.slow
def test_coverage_of_the_slope_of_best_rates(many_at_once):
    # The best of 25 noisy rates varies more among resamples of a sample than among samples: on the safe side.
    assert 0.93 <= rate_slope_coverage(10, simulations=600, own=0.0) <= 0.97
    for own, flat in ((0.02, False), (0.1, False), (0.01, True)):
        assert rate_slope_coverage(10, simulations=300, own=own, flat=flat) >= 0.94


# -------------------------------------------------------------------------------------------------- over 20 workloads

# {case: (median ratio, its spread, the share of workloads that a does not solve, and that b does not)}
PROFILES = {"a ahead": (1.35, 0.85, 0.1, 0.2), "a a little ahead": (1.1, 0.85, 0.1, 0.2), "level": (1.0, 0.6, 0.1, 0.1)}
# On nearly every workload the lead is much the same, on a few it is not: the skew costs up to 3 % at 20 workloads.
SKEWED = (2.2, 0.4, 0.05, 0.1)


def times(rng, shape, ratio, spread, missed_a, missed_b):
    """Mean steps of two losses on unlike workloads."""
    workload = rng.normal(4.0, 1.0, shape)
    a, b = (np.exp(workload + lead + spread * rng.standard_normal(shape) / 2**0.5) for lead in (0.0, np.log(ratio)))
    return np.where(rng.random(shape) < missed_a, np.inf, a), np.where(rng.random(shape) < missed_b, np.inf, b)


def profile_lead(*times, axis):
    """The lead over one other loss; the third, which never gets there, changes nothing."""
    never = [np.full_like(times[0], np.inf)] * (len(times) // 2)
    return default_gap.profile_lead(*times, *never, axis=axis, loss="ssr")


def profile_coverage(workloads, simulations, case, models=1):
    """`workloads` are resampled, each of them with all its models."""
    truth = np.mean([profile_lead(*times(np.random.default_rng(i), 10_000, *case), axis=-1) for i in range(40)])

    def interval(rng):
        pairs = [times(rng, (CHUNK, workloads), *case) for _ in range(models)]
        samples = [one for loss in zip(*pairs, strict=True) for one in loss]
        return analysis.bootstrap_ci(profile_lead, *samples, resamples=499, rng=rng)

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
        return analysis.bootstrap_ci(np.mean, lead, resamples=499, rng=rng)

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
    assert 0.88 <= profile_coverage(5, 4000, PROFILES["a ahead"], models=2) <= 0.96


@pytest.mark.slow
def test_no_lead_in_width_is_seen_where_widths_seldom_differ():
    assert band_coverage(20, 4000, MOSTLY_EQUAL) >= 0.97


@pytest.mark.slow
def test_workloads_that_share_a_data_set_are_covered_as_rarely_as_documented():
    # 20 workloads on 5 data sets; a third of the spread of their leads lies between data sets.
    def interval(rng):
        shared = np.repeat(noise(rng, 5, 1.0), 4, axis=1)
        return analysis.bootstrap_ci(np.mean, shared + noise(rng, 20, 2**0.5), resamples=499, rng=rng)

    assert 0.78 <= coverage(interval, 0.0, 4000) <= 0.86
