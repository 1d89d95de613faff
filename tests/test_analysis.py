"""Times, tuning and calibration against cases worked by hand and against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize, special, stats

from ce_jax import analysis

INF, NAN = np.inf, np.nan


# Steps of n runs, some of them censored; whole numbers, so that ties are common and sums exact.
run_times = st.lists(st.one_of(st.integers(0, 60).map(float), st.just(INF)), min_size=1, max_size=12).map(np.array)


# ------------------------------------------------------------------------------------------------ steps to a target

STEPS = [0, 5, 10, 20, 50]


@pytest.mark.parametrize("stored", [np.float32, np.float64])
def test_a_count_meets_the_target_that_it_meets_in_whole_numbers(stored):
    """k of n right, for every n up to 500, against targets in steps of 0.05 and other counts, however divided."""
    n = np.repeat(np.arange(1, 501), np.arange(2, 502))
    k = np.concatenate([np.arange(one + 1) for one in range(1, 501)])
    of_n, of_k = n.astype(np.float32), k.astype(np.float32)
    # Divided in float32 and in float64, and multiplied by the reciprocal, as a compiler may choose.
    for accuracies in (of_k / of_n, k / n, of_k * (np.float32(1) / of_n), k * (1 / n)):
        values = accuracies.astype(stored)[:, None]
        for percent in range(5, 101, 5):
            reached = np.isfinite(analysis.steps_to_target(values, [0], percent / 100))
            np.testing.assert_array_equal(reached, 100 * k >= percent * n)
        for right, of in ((1, 3), (2, 7), (54, 60), (320, 457), (499, 500)):
            reached = np.isfinite(analysis.steps_to_target(values, [0], right / of))
            np.testing.assert_array_equal(reached, k * of >= right * n)


@pytest.mark.parametrize(
    ("values", "sustained", "expected"),
    [
        ([0.1, 0.9, 0.2, 0.9, 0.9], 1, 5.0),  # equality counts
        ([0.1, 0.9, 0.2, 0.9, 0.9], 2, 20.0),  # the dip at 10 breaks the first pair; the pair 20, 50 counts from 20
        ([0.1, 0.9, 0.9, 0.9, 0.2], 3, 5.0),
        ([0.1, 0.1, 0.1, 0.1, 0.9], 1, 50.0),
        ([0.1, 0.1, 0.1, 0.1, 0.9], 2, INF),  # a single evaluation at the end is not two in a row
        ([0.9, 0.9, 0.9, 0.9, 0.9], 5, 0.0),
        ([0.9, 0.9, 0.9, 0.9, 0.9], 6, INF),  # more in a row than there are evaluations
        ([0.1, 0.89, 0.89, 0.89, 0.89], 1, INF),
        ([0.1, NAN, 0.95, NAN, NAN], 1, 10.0),
        ([0.1, NAN, 0.95, NAN, NAN], 2, INF),
        ([NAN] * 5, 1, INF),
        ([0.1, INF, 0.1, 0.1, 0.1], 1, 5.0),
    ],
)
def test_steps_to_target_by_hand(values, sustained, expected):
    assert analysis.steps_to_target(values, STEPS, 0.9, sustained=sustained) == expected


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 8)), elements=st.sampled_from([0.1, 0.5, 0.9, NAN])),
    st.integers(1, 4),
)
def test_steps_to_target_matches_a_loop(values, sustained):
    steps = np.arange(values.shape[-1]) * 10.0

    def first(row: np.ndarray) -> float:
        for e in range(len(row) - sustained + 1):
            if all(row[e + i] >= 0.5 for i in range(sustained)):
                return steps[e]
        return INF

    times = analysis.steps_to_target(values, steps, 0.5, sustained=sustained)
    assert times.dtype == np.float64
    np.testing.assert_array_equal(times, [first(row) for row in values])


def test_steps_to_target_keeps_leading_axes_and_handles_no_evaluations():
    assert analysis.steps_to_target(np.ones((2, 3, 4)), range(4), 0.5).shape == (2, 3)
    assert analysis.steps_to_target(np.ones((2, 0)), [], 0.5).tolist() == [INF, INF]


@pytest.mark.parametrize(
    ("values", "steps", "sustained", "message"),
    [
        ([0.1, 0.2], [0, 1, 2], 1, "steps \\[E\\]"),
        ([0.1, 0.2], [[0, 1]], 1, "steps \\[E\\]"),
        ([0.1, 0.2], [1, 0], 1, "increase"),
        ([0.1, 0.2], [1, 1], 1, "increase"),
        ([0.1, 0.2], [0, 1], 0, "sustained"),
    ],
)
def test_steps_to_target_rejects_misuse(values, steps, sustained, message):
    with pytest.raises(ValueError, match=message):
        analysis.steps_to_target(values, steps, 0.5, sustained=sustained)


# -------------------------------------------------------------------------------------------- survival, RMST, log-rank


def test_survival_by_hand():
    # Six runs watched to step 100. At 10 one of six arrives: S = 5/6. At 40 two of five: S = 5/6 * 3/5 = 1/2. At 100
    # one of three: S = 1/2 * 2/3 = 1/3, and the last two (one never, one after the end of watching) are censored.
    curve = analysis.survival([40.0, INF, 10.0, 40.0, 100.0, 130.0], 100.0)
    np.testing.assert_array_equal(curve.steps, [0, 10, 40, 100])
    np.testing.assert_allclose(curve.probability, [1, 5 / 6, 1 / 2, 1 / 3])
    # Clopper-Pearson at 6 of 6: low = 0.025^(1/6) = 0.5407, high = 1.
    np.testing.assert_allclose([curve.low[0], curve.high[0]], [0.025 ** (1 / 6), 1])


@pytest.mark.parametrize(
    ("times", "steps", "probability"),
    [
        ([INF, INF, 80.0], [0, 50], [1, 1]),  # all censored (80 is beyond the horizon)
        ([20.0, 20.0, 20.0], [0, 20, 50], [1, 0, 0]),  # all tied
        ([50.0, 50.0], [0, 50], [1, 0]),  # arriving at the horizon is arriving
        ([0.0, 0.0, 30.0], [0, 30, 50], [1 / 3, 0, 0]),  # at the target from the start
        ([INF], [0, 50], [1, 1]),  # one seed
        ([7.0], [0, 7, 50], [1, 0, 0]),
    ],
)
def test_survival_of_degenerate_samples(times, steps, probability):
    curve = analysis.survival(times, 50.0)
    np.testing.assert_array_equal(curve.steps, steps)
    np.testing.assert_allclose(curve.probability, probability)
    assert np.all((curve.low <= curve.probability) & (curve.probability <= curve.high))


@settings(max_examples=30)
@given(run_times, st.sampled_from([0.5, 0.95, 0.99]))
def test_survival_band_is_the_exact_binomial_one_and_its_area_is_the_rmst(times, level):
    curve = analysis.survival(times, 50.0, confidence_level=level)
    for step, low, high in zip(curve.steps, curve.low, curve.high, strict=True):
        exact = stats.binomtest(int(np.sum(times > step)), len(times)).proportion_ci(level, method="exact")
        np.testing.assert_allclose([low, high], [exact.low, exact.high], atol=1e-12)
    area = np.sum(np.diff(curve.steps) * curve.probability[:-1])
    np.testing.assert_allclose(area, analysis.rmst(times, 50.0), atol=1e-12)


def test_rmst_by_hand():
    # min(T, 40) = 10, 30, 40, 40: mean 30.
    assert analysis.rmst([10.0, 30.0, INF, 55.0], 40.0) == 30.0
    assert analysis.rmst([INF, INF], 40.0) == 40.0
    np.testing.assert_array_equal(analysis.rmst([[10.0, INF], [30.0, 20.0]], 40.0, axis=0), [20.0, 30.0])


@pytest.mark.parametrize("function", [analysis.rmst, analysis.survival])
@pytest.mark.parametrize(
    ("times", "horizon", "message"),
    [
        ([1.0, NAN], 10.0, "NaN"),
        ([], 10.0, "at least one run"),
        ([1.0], 0.0, "horizon"),
        ([1.0], INF, "horizon"),
        ([1.0], NAN, "horizon"),
    ],
)
def test_times_are_checked(function, times, horizon, message):
    with pytest.raises(ValueError, match=message):
        function(times, horizon)


def test_log_rank_by_hand():
    # a arrives at 1 and 3, b at 2 and never. At 1: 2 of a and 2 of b wait, E = 1/2, V = 1/4. At 2: 1 and 2 wait,
    # E = 1/3, V = 1/3 * 2/3 = 2/9. At 3: 1 and 1, E = 1/2, V = 1/4. O - E = 2 - 4/3 = 2/3, V = 13/18.
    test = analysis.log_rank([1.0, 3.0], [2.0, INF], 5.0)
    z = (2 / 3) / np.sqrt(13 / 18)
    np.testing.assert_allclose(test, [z, 2 * stats.norm.sf(z)])
    np.testing.assert_allclose(analysis.log_rank([2.0, INF], [1.0, 3.0], 5.0), [-z, 2 * stats.norm.sf(z)])
    # Beyond the horizon is censored: nothing later can be seen.
    assert analysis.log_rank([1.0, 3.0], [2.0, 9.0], 5.0) == test


@pytest.mark.parametrize(
    ("a", "b"),
    [([INF, INF], [INF, 70.0]), ([20.0, 20.0], [20.0]), ([INF], [INF]), ([20.0], [20.0])],
)
def test_log_rank_without_information(a, b):
    assert analysis.log_rank(a, b, 50.0) == (0.0, 1.0)


# ------------------------------------------------------------------------------------------------------------- tuning


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=5), st.integers(1, 4))
def test_expected_best_matches_enumeration(scores, budget):
    drawn = np.mean([max(draw) for draw in itertools.product(scores, repeat=budget)])
    np.testing.assert_allclose(analysis.expected_best(scores, [budget]), [drawn], atol=1e-12)
    if budget <= len(scores):
        drawn = np.mean([max(draw) for draw in itertools.combinations(scores, budget)])
        np.testing.assert_allclose(analysis.expected_best(scores, [budget], replace=False), [drawn], atol=1e-12)


def test_expected_best_limits_and_shapes():
    # n = 2, k = 2 by hand: max is 0.6 in one of the four draws, 0.9 in three: 0.825.
    assert analysis.expected_best([0.9, 0.6], [2]) == pytest.approx(0.825)
    scores = np.random.default_rng(0).normal(size=(4, 300))
    curve = analysis.expected_best(scores, [1, 5, 300], replace=False)
    assert curve.shape == (4, 3)
    np.testing.assert_allclose(curve[:, 0], scores.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(curve[:, 2], scores.max(axis=1))
    assert np.isnan(analysis.expected_best([0.5, NAN], [1, 2])).all()


@pytest.mark.parametrize(
    ("scores", "budgets", "replace", "message"),
    [
        ([0.5], [0], True, "integers from 1"),
        ([0.5], [1.5], True, "integers from 1"),
        ([0.5], [2], False, "only 1 trials"),
        ([], [1], True, "shapes"),
        ([0.5], np.array(1), True, "shapes"),
    ],
)
def test_expected_best_rejects_misuse(scores, budgets, replace, message):
    with pytest.raises(ValueError, match=message):
        analysis.expected_best(scores, budgets, replace=replace)


RATES = [1e-3, 1e-2, 1e-1, 1e0, 1e1]


@pytest.mark.parametrize(
    ("scores", "width"),
    [
        ([0.5, 0.89, 0.90, 0.90, 0.5], 2.0),  # exactly `within` below the best still counts
        ([0.5, 0.88, 0.90, 0.90, 0.5], 1.0),
        ([0.90, 0.90, 0.5, 0.90, 0.5], 1.0),  # the hole ends the band
        ([0.90, 0.90, 0.5, 0.90, 0.90], 1.0),
        (np.array([0.5, 0.96, 0.97, 0.5, 0.5], np.float32), 1.0),  # in float32 these are more than 0.01 apart
        ([0.5, 0.8899, 0.90, 0.5, 0.5], 0.0),
        ([0.90, 0.5, 0.90, 0.90, 0.89], 2.0),  # the widest band counts
        ([0.5, 0.5, 0.90, 0.5, 0.5], 0.0),
        ([0.90] * 5, 4.0),
        ([NAN, 0.90, 0.90, NAN, NAN], 1.0),
        ([NAN] * 5, 0.0),
    ],
)
def test_rate_band_by_hand(scores, width):
    assert analysis.rate_band(RATES, scores, 0.01) == pytest.approx(width)
    np.testing.assert_allclose(analysis.rate_band(RATES, [scores, [0.9] * 5], 0.01), [width, 4.0])


@pytest.mark.parametrize(
    ("rates", "scores", "within", "message"),
    [
        ([0.1, 0.01], [0.5, 0.5], 0.1, "increasing"),
        ([0.0, 0.1], [0.5, 0.5], 0.1, "positive"),
        ([0.1, 1.0], [0.5], 0.1, "shapes"),
        ([0.1, 1.0], [0.5, 0.5], -0.1, "within"),
        ([0.1, 1.0], [0.5, 0.5], NAN, "within"),
    ],
)
def test_rate_band_rejects_misuse(rates, scores, within, message):
    with pytest.raises(ValueError, match=message):
        analysis.rate_band(rates, scores, within)


# --------------------------------------------------------------------------------------------------------- calibration


def test_expected_calibration_error_by_hand():
    # Two bins, (0, .5] and (.5, 1]. Confidences .5 (right; the edge belongs below), .6 (wrong), .8 and 1.0
    # (right).
    # Lower: |1 - .5| * 1/4 = .125. Upper: accuracy 2/3, confidence .8: |2/3 - .8| * 3/4 = .1.
    probs = [[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]]
    assert analysis.expected_calibration_error(probs, [0, 1, 1, 2], bins=2) == pytest.approx(0.225)
    # An ulp above 1, as float32 has it, shares the last bin: |1/2 - .8|.
    rounded = [[1.0 + 1e-7, 0.0], [0.6, 0.4]]
    assert analysis.expected_calibration_error(rounded, [1, 0], bins=2) == pytest.approx(0.3, abs=1e-6)
    # One bin: |3/4 - .725|.
    assert analysis.expected_calibration_error(probs, [0, 1, 1, 2], bins=1) == pytest.approx(0.025)


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.floats(-4, 4)), st.integers(1, 20)
)
def test_expected_calibration_error_matches_a_loop(logits, bins):
    probs = special.softmax(logits, axis=1)
    labels = np.arange(len(probs)) % probs.shape[1]
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    edges[-1] = 2.0  # rounding may put a probability an ulp above 1
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert analysis.expected_calibration_error(probs, labels, bins=bins) == pytest.approx(expected, abs=1e-12)


def test_fit_temperature_by_hand():
    # Log-odds log 9 on every row, right 3 times in 4: the best sigmoid(log 9 / T) is 3/4, so T = log 9 / log 3 = 2.
    logits = np.log([[0.9, 0.1]] * 4)
    assert analysis.fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(2.0, rel=1e-9)
    # A third class ruled out by -inf changes nothing, nor does an offset per row.
    ruled_out = np.column_stack([logits + np.array([[0], [7], [-300], [5e3]]), np.full(4, -INF)])
    assert analysis.fit_temperature(ruled_out, [0, 0, 0, 1]) == pytest.approx(2.0, rel=1e-6)


def test_fit_temperature_is_the_minimum_and_scales_with_the_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 5))
    labels = np.array([rng.choice(5, p=p) for p in special.softmax(logits, axis=1)])
    sharp = 3.0 * logits

    def cross_entropy(log_temperature: float) -> float:
        return -special.log_softmax(sharp / np.exp(log_temperature), axis=1)[np.arange(400), labels].mean()

    temperature = analysis.fit_temperature(sharp, labels)
    best = optimize.minimize_scalar(cross_entropy, bounds=(-3, 4), method="bounded", options={"xatol": 1e-9})
    assert temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    assert temperature == pytest.approx(3.0, rel=0.15)  # the labels were drawn at temperature 1
    assert analysis.fit_temperature(5 * sharp, labels) == pytest.approx(5 * temperature, rel=1e-9)
    before, after = (
        analysis.expected_calibration_error(special.softmax(z, axis=1), labels) for z in (sharp, sharp / temperature)
    )
    assert after < before / 2


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ([[3.0, 0.0], [0.0, 2.0]], [0, 1], 0.01),  # all right: the sharper the better
        ([[3.0, 0.0], [3.0, 0.0]], [0, 1], 100.0),  # the logits say nothing about the labels
        ([[3.0, 0.0], [0.0, 2.0]], [1, 0], 100.0),  # all wrong
        ([[3.0, 3.0], [-1.0, -1.0]], [0, 1], 1.0),  # T makes no difference
        ([[4.0]], [0], 1.0),  # one class
    ],
)
def test_fit_temperature_at_its_bounds(logits, labels, expected):
    assert analysis.fit_temperature(logits, labels) == expected


@pytest.mark.parametrize("function", [analysis.expected_calibration_error, analysis.fit_temperature])
@pytest.mark.parametrize(
    ("table", "labels", "error", "message"),
    [
        ([[0.5, 0.5]], [2], ValueError, "0..1, got 2 at index 0"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, -1], ValueError, "got -1 at index 1"),
        ([[0.5, 0.5]], [0.0], TypeError, "integers"),
        ([[0.5, 0.5]], [0, 1], ValueError, "shapes"),
        ([0.5, 0.5], [0, 1], ValueError, "shapes"),
        (np.zeros((0, 2)), np.zeros(0, int), ValueError, "shapes"),
    ],
)
def test_calibration_rejects_misuse(function, table, labels, error, message):
    with pytest.raises(error, match=message):
        function(table, labels)


def test_calibration_rejects_the_wrong_numbers():
    with pytest.raises(ValueError, match="apply softmax"):
        analysis.expected_calibration_error([[2.0, -1.0]], [0])
    with pytest.raises(ValueError, match="at least one bin"):
        analysis.expected_calibration_error([[0.5, 0.5]], [0], bins=0)
    with pytest.raises(ValueError, match="apply softmax"):
        analysis.expected_calibration_error([[1.5, 0.5]], [0])
    assert np.isnan(analysis.expected_calibration_error([[NAN, NAN], [0.5, 0.5]], [0, 1]))
    for logits in ([[NAN, 0.0]], [[0.0, INF]], [[-INF, 0.0]]):
        with pytest.raises(ValueError, match="finite"):
            analysis.fit_temperature(logits, [0])
    with pytest.raises(ValueError, match="bounds"):
        analysis.fit_temperature([[1.0, 0.0]], [0], bounds=(0.0, 1.0))
