"""The claim on the learning-rate unit: what it measures on curves that are known."""

from dataclasses import replace

import numpy as np
import pytest

from ce_jax.analysis import redraw
from ce_jax.comparing import Listener
from experiments.claims import rate_unit, speeds_by_rate
from experiments.claims.record import Measurement, Request

STEPS = np.array([0, *np.unique(np.round(np.geomspace(1, 2000, 40)).astype(int))])
RATES = np.geomspace(1e-2, 1e2, 25)
SHORT = rate_unit.HORIZONS["short"]


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def request(folder, quick=True):
    return Request(quick, 0, folder, Listener())


def runs(num_classes, best, slower=1.0, seeds=6, rng=None, rates=RATES):
    """[R, S, E] of runs that approach 0.9 within 20 steps at a best rate and more slowly off it."""
    spread = np.zeros((1, seeds)) if rng is None else 0.2 * rng.standard_normal((1, seeds))
    off = np.log(rates)[:, None] - np.log(best) - spread
    duration = 20 * slower * np.exp(np.abs(off) ** 1.5)
    chance = 1 / num_classes
    return chance + (0.9 - chance) * (1 - np.exp(-STEPS / duration[..., None]))


def workload(num_classes, ratio, slower=1.0, **more):
    """Cross-entropy is fastest at 0.5, SSR at `ratio` times that."""
    curves = {"cross_entropy": runs(num_classes, 0.5, **more), "ssr": runs(num_classes, 0.5 * ratio, slower, **more)}
    return rate_unit.Accuracies(num_classes, STEPS, RATES, curves)


def ones(seeds=6):
    return np.ones((3, seeds), int)


def swapped(one):
    return one._replace(runs={"cross_entropy": one.runs["ssr"], "ssr": one.runs["cross_entropy"]})


@pytest.fixture
def known(monkeypatch):
    """`measure` on workloads whose best rates are in the ratio (K/2)^power."""

    def install(power, swap=False, slower=1.0):
        def accuracies(name, config, request):
            k = config.data.num_classes
            one = workload(k, (k / 2) ** power, slower, seeds=config.sweep.seeds)
            return swapped(one) if swap else one

        monkeypatch.setattr(rate_unit, "accuracies", accuracies)

    return install


@pytest.mark.parametrize(
    ("slope", "unit", "verdict"),
    [
        (1.0, 0.8, "confirmed"),
        (0.4, 0.8, "refuted"),
        (0.745, 0.8, "undecided"),
        (1.0, 0.3, "refuted"),
        (1.0, 0.505, "undecided"),
    ],
)
def test_rule(slope, unit, verdict):
    found = {f"{model}/short/slope": near(slope) for model in rate_unit.MODELS}
    found |= {f"{model}/short/slowness/unit": near(unit) for model in rate_unit.MODELS}
    assert rate_unit.decide(found) == verdict


def test_measure_finds_a_known_slope(known, tmp_path):
    known(1.0)
    found = rate_unit.measure(request(tmp_path)).measurements
    for model in rate_unit.MODELS:
        assert found[f"{model}/short/slope"].value == pytest.approx(1.0, abs=0.05)
        # K/2 times the rate is where SSR is as fast as cross-entropy: all of the slowness is the unit.
        assert found[f"{model}/short/slowness/unit"].value == pytest.approx(1.0, abs=0.05)
        assert found[f"{model}/short/K=32/slowness/equal_rate"].value > 10
    assert rate_unit.decide(found) == "confirmed"


def test_the_sign_turns_with_the_losses(known, tmp_path):
    known(1.0, swap=True)
    found = rate_unit.measure(request(tmp_path)).measurements
    assert found["linear/short/slope"].value == pytest.approx(-1.0, abs=0.05)
    assert rate_unit.decide(found) == "refuted"


def test_slowness_that_is_no_unit_is_not_called_one(known, tmp_path):
    known(0.0, slower=4.0)
    found = rate_unit.measure(request(tmp_path)).measurements
    assert found["linear/short/slope"].value == pytest.approx(0.0, abs=0.05)
    assert found["linear/short/slowness/left"].value == pytest.approx(1.0, abs=0.05)
    assert found["linear/short/slowness/unit"].value < 0.1


def test_what_only_the_own_rate_removes_is_not_called_the_unit(known, tmp_path):
    # The best ratio is the root of K/2: K/2 times the rate is as much too large as the equal rate is too small.
    known(0.5)
    found = rate_unit.measure(request(tmp_path)).measurements
    assert found["linear/short/slowness/unit"].value == pytest.approx(0.0, abs=0.05)
    assert found["linear/short/slowness/own_rate"].value == pytest.approx(1.0, abs=0.05)
    assert rate_unit.decide(found) == "refuted"


def test_the_three_shares_add_up(known, tmp_path):
    known(0.5, slower=1.5)
    found = rate_unit.measure(request(tmp_path)).measurements
    for horizon in rate_unit.HORIZONS:
        parts = [found[f"network/{horizon}/slowness/{name}"].value for name in ("unit", "own_rate", "left")]
        assert sum(parts) == pytest.approx(1)


def test_the_best_rate_lies_between_grid_points():
    place, height = speeds_by_rate.vertex((np.log(RATES) - np.log(0.7)) ** 2 + 3, np.log(RATES))
    assert np.exp(place) == pytest.approx(0.7)
    assert height == pytest.approx(3)
    place, height = speeds_by_rate.vertex(-np.log(RATES), np.log(RATES))
    assert np.exp(place) == pytest.approx(100)
    assert height == pytest.approx(-np.log(100))


def test_times_lie_between_looks_and_never_below_one_step():
    means = np.array([[[0.0, 0.5, 0.9, 1.0], [0.0, 0.1, 0.2, 0.3], [0.8, 0.9, 0.9, 0.9]]])
    times = speeds_by_rate.crossings(means, np.array([0, 10, 20, 100]), np.array([0.7]))
    np.testing.assert_allclose(times, [[15, 100, 1]])


def test_half_way_rates_lie_between_grid_points():
    rates, steps = np.geomspace(0.01, 100, 5), np.array([0, 10, 20])
    known = np.array([0.2, 0.5, 0.9, 1.0, 0.3])  # after 15 steps, half between two looks
    means = np.stack([0 * known, known - 0.1, known + 0.1], axis=-1)[None]
    scores = speeds_by_rate.heights(means, steps, np.array([15.0]))
    np.testing.assert_allclose(scores, [known])
    found = [speeds_by_rate.reaching(scores, np.log(rates), np.array([level])) for level in (0.7, 0.1)]
    np.testing.assert_allclose(np.exp(found).ravel(), [0.1 * 10**0.5, 0.01])


def test_a_rate_off_the_grid_is_censored_and_left_out_of_the_slope():
    every = [rate_unit.speeds(workload(k, k / 2), SHORT, ones()) for k in (2, 8, 32)]
    every.append(rate_unit.speeds(workload(64, 1000.0), SHORT, ones()))
    found = rate_unit.of_one("x", every[-1], ones()) | rate_unit.over_classes("y", every, ones())
    assert found["x/best_rate_ratio/censored"].value == 1
    assert found["x/best_rate_ratio"].ci is None
    assert found["x/best_rate_ratio"].unit.endswith("at least")
    assert found["y/slope/censored"].value == 1
    assert found["y/slope"].value == pytest.approx(1.0, abs=0.05)


def test_half_way_rates_on_the_floor_are_no_ratio_of_1():
    one = workload(4, 2.0)
    lifted = {loss: np.maximum(runs, 0.8 * (STEPS > 0)) for loss, runs in one.runs.items()}
    found = rate_unit.of_one("x", rate_unit.speeds(one._replace(runs=lifted), SHORT, ones()), ones())
    assert np.isnan(found["x/half_way_rate_ratio"].value)
    assert found["x/half_way_rate_ratio"].unit.endswith("unknown")
    assert found["x/half_way_rate_ratio/censored"].value == 1


def test_a_way_that_is_over_at_once_has_no_best_rate():
    one = workload(2, 1.0)
    fast = {loss: np.where(STEPS > 0, 0.9, 0.5) + 0 * runs for loss, runs in one.runs.items()}
    assert rate_unit.speeds(one._replace(runs=fast), SHORT, ones()).censored("best") == "over too early"


def test_a_level_that_is_never_reached_gives_no_ratio():
    one = workload(2, 1.0)
    poor = {**one.runs, "ssr": np.minimum(one.runs["ssr"], 0.6)}
    assert rate_unit.speeds(one._replace(runs=poor), SHORT, ones()).censored("best") == "never there"


def test_slowness_past_the_horizon_is_a_bound():
    one = workload(64, 32.0)
    found = rate_unit.of_one("x", rate_unit.speeds(one, SHORT, ones()), ones())
    assert found["x/slowness/equal_rate"].unit.endswith("at least")
    assert found["x/slowness/equal_rate/censored"].value == 1
    assert found["x/slowness/half_K_rate/censored"].value == 0


def test_every_seed_has_a_mixture_of_its_own(tmp_path, monkeypatch):
    seen, drawn = [], []
    real = rate_unit.load_dataset

    def load_dataset(spec, options):
        drawn.append(options.generator_seed)
        return real(spec, options)

    def sweep(train, seeds, hyper, data, plan):
        seen.append((list(seeds), np.asarray(data.train.inputs)))
        shape = (len(hyper.learning_rate), len(seeds), len(train.evaluate_at))
        return {"validation_accuracy": np.zeros(shape)}

    monkeypatch.setattr(rate_unit, "load_dataset", load_dataset)
    monkeypatch.setattr(rate_unit, "sweep", sweep)
    config = rate_unit.setting("linear", 8, request(tmp_path))
    one = rate_unit.accuracies("x", config, request(tmp_path))
    assert {loss: runs.shape[1] for loss, runs in one.runs.items()} == {"cross_entropy": 6, "ssr": 6}
    (seeds, inputs), (again, same) = seen
    assert seeds == again == list(range(1, 7))
    np.testing.assert_array_equal(inputs, same)
    assert drawn == seeds
    assert len({part.tobytes() for part in inputs}) == 6
    later = rate_unit.accuracies("x", config, request(tmp_path)._replace(seed=1))
    assert seen[2][0] == list(range(10_001, 10_007))
    assert later.num_classes == 8


def slope_coverage(simulations, seeds=10):
    rng, hits = np.random.default_rng(40), 0
    for _ in range(simulations):
        counts = np.concatenate([np.ones((1, seeds), int), redraw(seeds, 299, rng)])
        every = []
        for k in (2, 8, 32):
            one = workload(k, k / 2)
            noisy = {
                loss: runs(k, 0.5 * ratio, seeds=seeds, rng=rng)
                for loss, ratio in zip(one.runs, (1, k / 2), strict=True)
            }
            every.append(rate_unit.speeds(one._replace(runs=noisy), SHORT, counts))
        slope = rate_unit.over_classes("x", every, counts)["x/slope"]
        hits += slope.low <= 1.0 <= slope.high
    return hits / simulations


@pytest.mark.slow
def test_slope_of_best_rates_is_covered():
    assert 0.9 <= slope_coverage(400) <= 0.985


def test_amendments_are_dated_and_say_whether_results_were_seen():
    for one in rate_unit.AMENDMENTS:
        assert set(one) == {"date", "what", "why", "results_seen"}
    assert any("near 0.4" in one["why"] for one in rate_unit.AMENDMENTS)


def test_the_number_of_examples_does_not_depend_on_the_classes(tmp_path):
    for k in rate_unit.STEPS:
        data = rate_unit.setting("linear", k, request(tmp_path)).data
        assert data.examples_per_class * k == rate_unit.EXAMPLES
        assert replace(data, num_classes=2) == replace(
            rate_unit.setting("linear", 2, request(tmp_path)).data, examples_per_class=data.examples_per_class
        )
