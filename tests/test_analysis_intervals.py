"""The bootstrap: reproducible, sober with degenerate samples, and covering as often as it promises."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ce_jax import analysis

INF, NAN = np.inf, np.nan


# ------------------------------------------------------------------------------------------------------- the bootstrap


def test_bootstrap_is_reproducible():
    x = np.random.default_rng(3).normal(size=15)
    first = analysis.bootstrap_ci(np.mean, x, rng=7)
    assert first == analysis.bootstrap_ci(np.mean, x, rng=7)
    assert first == analysis.bootstrap_ci(np.mean, x, rng=np.random.default_rng(7))
    assert first != analysis.bootstrap_ci(np.mean, x, rng=8)
    generator = np.random.default_rng(7)
    assert analysis.bootstrap_ci(np.mean, x, rng=generator) != analysis.bootstrap_ci(np.mean, x, rng=generator)


def test_bootstrap_does_not_depend_on_numpys_global_state():
    x = np.arange(9.0)
    np.random.seed(1)  # noqa: NPY002
    first = analysis.bootstrap_ci(np.mean, x, rng=0)
    np.random.seed(2)  # noqa: NPY002
    assert first == analysis.bootstrap_ci(np.mean, x, rng=0)


def test_expanded_interval_of_a_mean_has_students_width():
    # With normal data the bootstrap distribution of the mean is nearly normal with standard deviation
    # s sqrt((n-1)/n) / sqrt(n), so the expansion turns the interval into mean +- t_{n-1} s / sqrt(n).
    x = stats.norm.ppf((np.arange(30) + 0.5) / 30)
    t = stats.ttest_1samp(x, 0.0).confidence_interval(0.9)
    low, high = analysis.bootstrap_ci(np.mean, x, confidence_level=0.9, resamples=50_000, rng=0)
    np.testing.assert_allclose([low, high], [t.low, t.high], rtol=0.02)


def test_higher_confidence_is_wider():
    x = np.random.default_rng(0).exponential(size=25)
    intervals = [analysis.bootstrap_ci(np.mean, x, confidence_level=level, rng=0) for level in (0.5, 0.9, 0.95, 0.99)]
    assert np.all(np.diff([high - low for low, high in intervals]) > 0)


def test_pairing_draws_the_same_seeds_together():
    shared = np.random.default_rng(0).normal(size=30)
    a, b = shared + 0.5, shared

    def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    # a - b is 0.5 at every seed: paired, every resample says so.
    np.testing.assert_allclose(analysis.bootstrap_ci(difference, a, b, rng=0), 0.5)
    low, high = analysis.bootstrap_ci(difference, a, b, paired=False, rng=0)
    assert high - low > 0.5
    # Unpaired samples may differ in length.
    assert analysis.bootstrap_ci(difference, a, b[:20], paired=False, rng=0).low < 0.5


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ([0.1] * 20, 0.1),  # no variation
        ([0.7], 0.7),  # one seed
        ([INF, INF, INF], INF),
    ],
)
def test_bootstrap_of_degenerate_samples(sample, expected):
    np.testing.assert_allclose(analysis.bootstrap_ci(np.mean, sample, rng=0), [expected, expected], rtol=1e-15)


def test_bootstrap_of_two_observations_spans_them():
    assert analysis.bootstrap_ci(np.mean, [1.0, 3.0], rng=0) == (1.0, 3.0)


def test_nan_is_contagious_and_infinite_statistics_are_not():
    assert np.isnan(analysis.bootstrap_ci(np.mean, [1.0, NAN, 2.0], rng=0)).all()
    low, high = analysis.bootstrap_ci(np.mean, [1.0] * 19 + [INF], rng=0)
    assert (low, high) == (1.0, INF)


def test_leading_axes_are_separate_problems():
    x = np.random.default_rng(0).normal(size=(3, 12))
    together = analysis.bootstrap_ci(np.mean, x, resamples=500, rng=0)
    assert together.low.shape == (3,)
    for i, row in enumerate(x):
        np.testing.assert_allclose(
            analysis.bootstrap_ci(np.mean, row, resamples=500, rng=0), [together.low[i], together.high[i]]
        )


def test_batches_do_not_change_the_interval(monkeypatch):
    x = np.random.default_rng(0).normal(size=40)
    whole = analysis.bootstrap_ci(np.mean, x, resamples=500, rng=0)
    monkeypatch.setattr("ce_jax.analysis._intervals._BATCH_NUMBERS", 40 * 7)
    assert analysis.bootstrap_ci(np.mean, x, resamples=500, rng=0) == whole


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (([1.0, 2.0], [1.0]), {}, "same length"),
        (([],), {}, "at least one"),
        ((), {}, "one or more"),
        ((np.array(3.0),), {}, "at least one"),
        (([1.0, 2.0],), {"confidence_level": 1.0}, "confidence_level"),
        (([1.0, 2.0],), {"confidence_level": 95.0}, "confidence_level"),
    ],
)
def test_bootstrap_rejects_misuse(samples, options, message):
    with pytest.raises(ValueError, match=message):
        analysis.bootstrap_ci(np.mean, *samples, rng=0, **options)


# ------------------------------------------------------------------------- coverage: does 95 % mean 95 % of the time?

HORIZON = 200.0


def log_normal_times(
    rng: np.random.Generator,
    simulations: int,
    n: int,
    *,
    center: tuple[float, float],
    spread: float,
    correlation: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps of n paired seeds under two losses: log-normal, correlated through the seed, +inf past the horizon."""
    seed = np.sqrt(correlation) * rng.standard_normal((simulations, n))
    own = np.sqrt(1 - correlation) * rng.standard_normal((2, simulations, n))
    a, b = (np.exp(mu + spread * (seed + noise)) for mu, noise in zip(center, own, strict=True))
    return np.where(a > HORIZON, INF, a), np.where(b > HORIZON, INF, b)


def log_normal_rmst(mu: float, sigma: float) -> float:
    """E min(T, H) = exp(mu + sigma^2/2) Phi((ln H - mu - sigma^2)/sigma) + H (1 - Phi((ln H - mu)/sigma))."""
    z = (np.log(HORIZON) - mu) / sigma
    return np.exp(mu + sigma**2 / 2) * stats.norm.cdf(z - sigma) + HORIZON * stats.norm.sf(z)


def coverage(
    interval: Callable[[np.random.Generator, int], analysis.Interval], truth: float, simulations: int, chunk: int = 25
) -> float:
    """Share of simulated samples whose interval holds the truth; a chunk of samples shares its resamples."""
    rng = np.random.default_rng(20)
    hits = 0
    for _ in range(simulations // chunk):
        low, high = interval(rng, chunk)
        hits += int(np.sum((low <= truth) & (truth <= high)))
    return hits / (simulations // chunk * chunk)


def mean_coverage(n: int, simulations: int, resamples: int) -> float:
    def interval(rng: np.random.Generator, chunk: int) -> analysis.Interval:
        return analysis.bootstrap_ci(np.mean, rng.normal(3.0, 2.0, (chunk, n)), resamples=resamples, rng=rng)

    return coverage(interval, 3.0, simulations)


RATIO_CASES = {
    "few censored": {"center": (4.0, 4.8), "spread": 0.6, "correlation": 0.5},  # 2 % of a and 20 % of b
    "half of b censored": {"center": (4.0, 5.3), "spread": 0.7, "correlation": 0.5},
}
NEARLY_ALL_CENSORED = {"center": (4.0, 6.0), "spread": 0.5, "correlation": 0.3}  # 92 % of b


def ratio_coverage(n: int, simulations: int, resamples: int, **case) -> float:
    def interval(rng: np.random.Generator, chunk: int) -> analysis.Interval:
        a, b = log_normal_times(rng, chunk, n, **case)
        estimate = analysis.rmst_ratio(a, b, HORIZON, resamples=resamples, rng=rng)
        return analysis.Interval(estimate.low, estimate.high)

    truth = log_normal_rmst(case["center"][0], case["spread"]) / log_normal_rmst(case["center"][1], case["spread"])
    return coverage(interval, truth, simulations)


def improvement_coverage(n: int, simulations: int, resamples: int, *, shift: float, correlation: float) -> float:
    """a and b normal, b shifted: P(a < b), for runs of different seeds, is Phi(shift / sqrt 2)."""

    def interval(rng: np.random.Generator, _: int) -> analysis.Interval:
        seed = np.sqrt(correlation) * rng.standard_normal(n)
        a, b = seed + np.sqrt(1 - correlation) * rng.standard_normal((2, n))
        estimate = analysis.probability_of_improvement(a, b + shift, resamples=resamples, rng=rng)
        return analysis.Interval(estimate.low, estimate.high)

    return coverage(interval, stats.norm.cdf(shift / np.sqrt(2)), simulations, chunk=1)


def difference_coverage(n: int, simulations: int, resamples: int, **case) -> float:
    """A difference of RMSTs, a and b paired by their seeds."""

    def interval(rng: np.random.Generator, chunk: int) -> analysis.Interval:
        a, b = log_normal_times(rng, chunk, n, **case)
        estimate = analysis.rmst_difference(a, b, HORIZON, resamples=resamples, rng=rng)
        return analysis.Interval(estimate.low, estimate.high)

    truth = log_normal_rmst(case["center"][0], case["spread"]) - log_normal_rmst(case["center"][1], case["spread"])
    return coverage(interval, truth, simulations)


def paired_mean_coverage(n: int, simulations: int, resamples: int, *, paired: bool = True) -> float:
    """A difference of means of two losses whose seeds have a correlation of 0.9."""

    def interval(rng: np.random.Generator, chunk: int) -> analysis.Interval:
        seed, own = rng.standard_normal((chunk, n)), rng.standard_normal((2, chunk, n)) / 3
        return analysis.bootstrap_ci(
            lambda a, b, axis: a.mean(axis) - b.mean(axis),
            seed + own[0] + 0.3,
            seed + own[1],
            paired=paired,
            resamples=resamples,
            rng=rng,
        )

    return coverage(interval, 0.3, simulations)


def spearman_coverage(
    levels: np.ndarray, rho: float, n: int, simulations: int, resamples: int, *, horizon: float = INF
) -> float:
    """Means `levels` in standard deviations of a run, observed on n seeds that share half of their variance."""

    def interval(rng: np.random.Generator, _: int) -> analysis.Interval:
        times = levels[:, None] + np.sqrt(0.5) * (rng.standard_normal(n) + rng.standard_normal((len(levels), n)))
        estimate = analysis.spearman(np.arange(len(levels)), np.minimum(times, horizon), resamples=resamples, rng=rng)
        return analysis.Interval(estimate.low - 1e-9, estimate.high + 1e-9)  # rho in 0.1s is subject to rounding

    return coverage(interval, rho, simulations, chunk=1)


FLAT = np.zeros(6)
"""Nothing rises or falls: how often an interval leaves 0 out is the rate of false alarms."""
SCATTERED = np.array([3.0, 5.0, 0.0, 4.0, 1.0, 6.0, 2.0])
"""Ranks whose correlation with 0..6 is 0 exactly; six levels have none such."""
RISING = np.array([0.0, 2.0, 4.0, 3.0, 1.0, 5.0])
"""Ranks whose correlation with 0..5 is 0.6."""


def test_coverage_of_a_mean_at_20_seeds():
    assert 0.93 <= mean_coverage(20, simulations=4000, resamples=499) <= 0.97


def test_coverage_of_a_censored_rmst_ratio_at_20_seeds():
    assert 0.93 <= ratio_coverage(20, simulations=2500, resamples=499, **RATIO_CASES["half of b censored"]) <= 0.97


def test_coverage_of_a_censored_rmst_difference_at_20_seeds():
    assert 0.93 <= difference_coverage(20, simulations=2500, resamples=499, **RATIO_CASES["few censored"]) <= 0.97


def test_coverage_of_a_paired_difference_of_means_at_20_seeds():
    assert 0.93 <= paired_mean_coverage(20, simulations=2500, resamples=499) <= 0.97
    # Unpaired resampling ignores what the seeds share, and covers far too often to be of use.
    assert paired_mean_coverage(20, simulations=500, resamples=499, paired=False) > 0.99


def test_spearman_finds_no_trend_where_there_is_none():
    assert 0.93 <= spearman_coverage(FLAT, 0.0, 20, simulations=500, resamples=499) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50])
def test_coverage_of_a_mean(n):
    assert 0.93 <= mean_coverage(n, simulations=6000, resamples=999) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", RATIO_CASES)
@pytest.mark.parametrize("n", [20, 50])
def test_coverage_of_a_censored_rmst_ratio(n, case):
    assert 0.93 <= ratio_coverage(n, simulations=4000, resamples=999, **RATIO_CASES[case]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", RATIO_CASES)
@pytest.mark.parametrize("n", [20, 50])
def test_coverage_of_a_censored_rmst_difference(n, case):
    assert 0.93 <= difference_coverage(n, simulations=4000, resamples=999, **RATIO_CASES[case]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 20, 30])
def test_coverage_of_a_paired_difference_of_means(n):
    assert 0.93 <= paired_mean_coverage(n, simulations=6000, resamples=999) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("n", "least", "most"), [(4, 0.85, 0.89), (5, 0.9, 0.94), (6, 0.92, 0.95), (8, 0.93, 0.97)])
def test_below_8_observations_a_mean_is_covered_as_rarely_as_documented(n, least, most):
    assert least <= mean_coverage(n, simulations=6000, resamples=999) <= most


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [INF, 0.0])  # 0 censors half of the runs
@pytest.mark.parametrize("n", [8, 20])
def test_false_alarms_of_spearman(n, horizon):
    assert 0.93 <= spearman_coverage(FLAT, 0.0, n, simulations=1500, resamples=499, horizon=horizon) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.05, 0.1, 0.2])
def test_spearman_covers_a_correlation_of_0_of_unequal_means(step):
    assert spearman_coverage(step * SCATTERED, 0.0, 20, simulations=500, resamples=499) >= 0.93


@pytest.mark.slow
def test_spearman_of_unclear_ranks_is_drawn_towards_0_as_documented():
    # Neighbours 0.05, 0.1 and 0.2 standard deviations apart; the standard error of a mean is 0.22.
    measured = [spearman_coverage(step * RISING, 0.6, 20, simulations=600, resamples=499) for step in (0.05, 0.1, 0.2)]
    assert 0.84 <= measured[0] <= 0.91
    assert 0.90 <= measured[1] <= 0.95
    assert measured[2] >= 0.96


@pytest.mark.slow
def test_coverage_when_nearly_all_of_one_loss_is_censored():
    # Two arrivals among 20 carry all the information: about 93.4 %, on the edge of the band at n = 20, inside at 50.
    assert 0.92 <= ratio_coverage(20, simulations=4000, resamples=999, **NEARLY_ALL_CENSORED) <= 0.97
    assert 0.93 <= ratio_coverage(50, simulations=4000, resamples=999, **NEARLY_ALL_CENSORED) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "correlation"), [(0.5, 0.0), (1.5, 0.5), (0.5, 0.9)])
@pytest.mark.parametrize("n", [20, 50])
def test_coverage_of_the_probability_of_improvement(n, shift, correlation):
    measured = improvement_coverage(n, simulations=1000, resamples=499, shift=shift, correlation=correlation)
    assert 0.93 <= measured <= 0.97


@pytest.mark.slow
def test_nearly_identical_pairs_do_not_break_the_probability_of_improvement():
    # Counting a seed against itself would cover about 73 % here.
    assert improvement_coverage(20, simulations=1000, resamples=499, shift=0.5, correlation=0.99) >= 0.93
