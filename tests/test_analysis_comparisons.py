"""Comparisons of losses against cases worked by hand, brute force and SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from ce_jax import analysis

INF, NAN = np.inf, np.nan


def equal_length_times(**bounds: int) -> st.SearchStrategy:
    element = st.one_of(st.integers(0, 60).map(float), st.just(INF))
    return st.integers(**bounds).flatmap(lambda n: st.tuples(*[hnp.arrays(float, n, elements=element)] * 2))


# ----------------------------------------------------------------------------------------------- comparing two losses


def test_rmst_ratio_and_difference_by_hand():
    # min(T, 50): a = 10, 20, 30 (mean 20), b = 20, 50, 50 (mean 40).
    a, b = [10.0, 20.0, 30.0], [20.0, INF, 70.0]
    assert analysis.rmst_ratio(a, b, 50.0, rng=0).value == 0.5
    assert analysis.rmst_difference(a, b, 50.0, rng=0).value == -20.0
    # Three seeds at 95 %: a' is below 1e-4, so the ends are the extreme resamples that 9999 draws of 3 all visit:
    # differences of a single seed, -30 (seed 2) and -10 (seed 1); ratios 20/50 and 30/50.
    assert analysis.rmst_difference(a, b, 50.0, rng=0)[1:] == (-30.0, -10.0)
    assert analysis.rmst_ratio(a, b, 50.0, rng=0)[1:] == (0.4, 0.6)


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [
        ([INF, INF], [INF, 90.0], 1.0),  # all censored
        ([20.0, 20.0], [20.0, 20.0], 1.0),  # all tied
        ([10.0], [40.0], 0.25),  # one seed
        ([0.0, 0.0], [0.0, 0.0], 1.0),  # both at the target from the start
        ([10.0, 20.0], [0.0, 0.0], INF),
        ([0.0, 0.0], [10.0, 20.0], 0.0),
    ],
)
def test_rmst_ratio_of_degenerate_samples(a, b, ratio):
    assert analysis.rmst_ratio(a, b, 50.0, rng=0) == (ratio, ratio, ratio)


def test_rmst_ratio_that_is_sometimes_infinite_has_no_nan():
    estimate = analysis.rmst_ratio([10.0] * 4, [0.0, 0.0, 0.0, 10.0], 50.0, rng=0)
    assert estimate.value == 4.0
    assert (estimate.low, estimate.high) == (1.0, INF)


@settings(max_examples=30)
@given(equal_length_times(min_value=2, max_value=8))
def test_rmst_comparisons_do_not_depend_on_unit_or_order(pair):
    a, b = pair
    options = {"resamples": 199, "rng": 0}
    ratio = analysis.rmst_ratio(a + 1, b + 1, 50.0, **options)
    np.testing.assert_allclose(analysis.rmst_ratio(4 * a + 4, 4 * b + 4, 200.0, **options), ratio)
    np.testing.assert_allclose(analysis.rmst_ratio(b + 1, a + 1, 50.0, **options).value, 1 / ratio.value)
    difference = analysis.rmst_difference(a, b, 50.0, **options)
    np.testing.assert_allclose(analysis.rmst_difference(b, a, 50.0, **options).value, -difference.value, atol=1e-12)
    np.testing.assert_allclose(difference.value, analysis.rmst(a, 50.0) - analysis.rmst(b, 50.0), atol=1e-12)


def test_unpairing_the_seeds_widens_a_paired_comparison():
    rng = np.random.default_rng(1)
    seed, own = 0.4 * rng.standard_normal(40), 0.1 * rng.standard_normal((2, 40))
    a, b = np.exp(4.0 + seed + own[0]), np.exp(4.4 + seed + own[1])
    paired = analysis.rmst_ratio(a, b, 200.0, rng=0)
    shuffled = analysis.rmst_ratio(a, rng.permutation(b), 200.0, rng=0)
    assert shuffled.value == pytest.approx(paired.value)
    assert shuffled.high - shuffled.low > 1.5 * (paired.high - paired.low)


def test_dropping_censored_runs_would_change_the_ratio():
    a, b = np.array([30.0, 30.0, 30.0, 30.0]), np.array([10.0, 10.0, INF, INF])
    assert analysis.rmst_ratio(a, b, 100.0, rng=0).value < 1 < analysis.rmst_ratio(a[:2], b[:2], 100.0, rng=0).value


def test_probability_of_improvement_by_hand():
    # Pairs (a, b): 1 beats 2, 3 and never (3); 3 loses to 2, ties 3, beats never (1.5); never loses twice, ties never
    # (0.5). 5 of 9.
    result = analysis.probability_of_improvement([1.0, 3.0, INF], [2.0, 3.0, INF], rng=0)
    assert result.value == pytest.approx(5 / 9)
    assert result.low <= result.value <= result.high
    # More is better: the same pairs, the other way round.
    accuracy = analysis.probability_of_improvement([1.0, 3.0, 9.0], [2.0, 3.0, 9.0], lower_is_better=False, rng=0)
    assert accuracy.value == pytest.approx(4 / 9)


@settings(max_examples=30)
@given(equal_length_times(min_value=1, max_value=9))
def test_probability_of_improvement_is_mann_whitney_and_antisymmetric(pair):
    a, b = pair
    options = {"resamples": 99, "rng": 0}
    result = analysis.probability_of_improvement(a, b, **options)
    # U counts the pairs with the first argument above: those are a's losses. Ranks take a large number for never.
    finite_a, finite_b = np.minimum(a, 1e6), np.minimum(b, 1e6)
    u = stats.mannwhitneyu(finite_b, finite_a, method="asymptotic", use_continuity=False).statistic
    assert result.value == pytest.approx(u / a.size**2)
    mirrored = analysis.probability_of_improvement(b, a, **options)
    assert mirrored.value == pytest.approx(1 - result.value)
    assert 0 <= result.low <= result.value <= result.high <= 1
    np.testing.assert_allclose(
        analysis.probability_of_improvement(-finite_a, -finite_b, lower_is_better=False, **options), result
    )


def test_interval_of_the_probability_matches_resampling_pair_by_pair():
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 12, (2, 8)).astype(float)
    seeds = np.random.default_rng(0).integers(0, 8, (1000, 8))
    distribution = []
    for row in seeds:
        pairs = [(i, j) for i, j in itertools.product(row, row) if i != j]
        distribution.append(np.mean([(a[i] < b[j]) + 0.5 * (a[i] == b[j]) for i, j in pairs]))
    tail = stats.norm.cdf(np.sqrt(8 / 7) * stats.t.ppf(0.025, 7))
    expected = np.quantile(distribution, [tail, 1 - tail], method="inverted_cdf")
    result = analysis.probability_of_improvement(a, b, resamples=1000, rng=0)
    np.testing.assert_allclose([result.low, result.high], expected, atol=1e-12)


def test_interval_of_the_probability_holds_its_value():
    # b is half a step behind a at every seed. Of two distinct seeds exactly one of (a_i, b_j), (a_j, b_i) is won:
    # 1/2 in every resample. The ten own pairs are all won: (45 + 10) / 100.
    a = np.arange(10.0)
    result = analysis.probability_of_improvement(a, a + 0.5, rng=0)
    np.testing.assert_allclose(result, [0.55, 0.5, 0.55])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([INF, INF, INF], [INF, INF, INF], 0.5),  # all censored: tied
        ([5.0, 5.0], [5.0, 5.0], 0.5),
        ([1.0, 2.0], [3.0, 4.0], 1.0),
        ([3.0, INF], [1.0, 2.0], 0.0),
        ([3.0], [INF], 1.0),  # one seed
    ],
)
def test_probability_of_improvement_of_degenerate_samples(a, b, expected):
    assert analysis.probability_of_improvement(a, b, rng=0) == (expected, expected, expected)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([1.0, NAN], [1.0, 2.0], "NaN"), ([1.0], [1.0, 2.0], "same number"), ([], [], "same number")],
)
def test_probability_of_improvement_rejects_misuse(a, b, message):
    with pytest.raises(ValueError, match=message):
        analysis.probability_of_improvement(a, b, rng=0)


# ----------------------------------------------------------------------------------------------- means, profiles, ranks


def test_iqm_by_hand():
    # floor(9 / 4) = 2 cut at each end: -100 and 3, 9 and infinity. The mean of 4..8 is left.
    assert analysis.iqm([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, -100.0, INF]) == 6.0
    assert analysis.iqm([1.0, 2.0, 6.0]) == 3.0  # nothing to cut
    np.testing.assert_array_equal(analysis.iqm([[1.0, 3.0], [5.0, 7.0]], axis=0), [3.0, 5.0])
    assert analysis.iqm([[0.0, 3.0], [5.0, 90.0]], axis=None) == 4.0
    assert np.isnan(analysis.iqm([1.0, 2.0, 3.0, NAN]))
    with pytest.raises(ValueError, match="at least one"):
        analysis.iqm([])


def test_performance_profile_by_hand():
    # Best per problem 10, 10, none, 0. First: ratios 1, 3, -, 1. Second: 2, 1, -, never (5 against 0).
    # Third: solves none.
    times = [[10.0, 30.0, INF, 0.0], [20.0, 10.0, INF, 5.0], [INF] * 4]
    profile = analysis.performance_profile(times, [1.0, 2.0, 2.9, 3.0, 4.0])
    np.testing.assert_array_equal(
        profile, [[0.5, 0.5, 0.5, 0.75, 0.75], [0.25, 0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0, 0.0]]
    )


@given(hnp.arrays(float, (3, 5), elements=st.one_of(st.integers(0, 9).map(float), st.just(INF))))
def test_performance_profile_rises_to_the_share_solved(times):
    profile = analysis.performance_profile(times + 1, [1.0, 1.5, 4.0, 1e9])
    assert np.all(np.diff(profile, axis=1) >= 0)
    np.testing.assert_allclose(profile[:, -1], np.isfinite(times).mean(axis=1))
    fastest = np.isfinite(times) & (times == times.min(axis=0))
    np.testing.assert_allclose(profile[:, 0], fastest.mean(axis=1))


@pytest.mark.parametrize(
    ("times", "taus", "message"),
    [
        ([[1.0, NAN]], [1.0], "not NaN"),
        ([[-1.0]], [1.0], "at least 0"),
        ([[1.0]], [0.5], "at least 1"),
        ([[1.0]], [INF], "finite"),
        ([1.0], [1.0], "methods, problems"),
        ([[]], [1.0], "methods, problems"),
    ],
)
def test_performance_profile_rejects_misuse(times, taus, message):
    with pytest.raises(ValueError, match=message):
        analysis.performance_profile(times, taus)


def test_spearman_by_hand():
    # Ranks 1 2 3 4 5 against 2 1 4 3 5: d^2 = 1 1 1 1 0, rho = 1 - 6 * 4 / (5 * 24) = 0.8.
    assert analysis.spearman([1, 2, 3, 4, 5], [20, 10, 40, 30, 50], rng=0).value == pytest.approx(0.8)


def test_spearman_of_a_fixed_design_resamples_the_seeds():
    # Means over seeds 11, 12, 13 rise with x; seed 2 alone falls from 14 to 10, so its resamples give -1.
    y = np.array([[8.0, 14.0], [13.0, 11.0], [16.0, 10.0]])
    result = analysis.spearman([0.1, 0.2, 0.9], y, rng=0)
    assert result == (1.0, -1.0, 1.0)
    # A trend that every seed shows has no spread, however few the levels.
    assert analysis.spearman([0.1, 0.2, 0.9], y[:, :1] + [0.0, 5.0, 9.0], rng=0) == (1.0, 1.0, 1.0)


@settings(max_examples=30)
@given(hnp.arrays(float, st.tuples(st.just(2), st.integers(2, 12)), elements=st.integers(0, 5).map(float)))
def test_spearman_matches_scipy(pair):
    x, y = pair
    result = analysis.spearman(x, y, resamples=99, rng=0)
    assert -1 - 1e-12 <= result.low <= result.high <= 1 + 1e-12
    expected = 0.0 if np.ptp(x) == 0 or np.ptp(y) == 0 else stats.spearmanr(x, y).statistic
    assert result.value == pytest.approx(expected, abs=1e-12)


def test_spearman_degenerate_and_misused():
    assert analysis.spearman([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], rng=0) == (0.0, 0.0, 0.0)
    assert analysis.spearman([1.0, 2.0, 3.0], [[4.0], [5.0], [6.0]], rng=0) == (1.0, 1.0, 1.0)  # one seed
    assert np.isnan(analysis.spearman([1.0, 2.0, 3.0], [1.0, NAN, 2.0], rng=0)).all()
    with pytest.raises(ValueError, match="shapes"):
        analysis.spearman([1.0, 2.0], [1.0, 2.0, 3.0], rng=0)
    with pytest.raises(ValueError, match="two points"):
        analysis.spearman([1.0], [1.0], rng=0)
