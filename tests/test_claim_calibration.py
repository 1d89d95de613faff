"""The claim on calibration: what it measures on curves and logits that are known."""

import numpy as np
import pytest

from ce_jax.comparing import Listener, RateGrid
from experiments.claims import calibration
from experiments.claims.record import Measurement, Request
from tests.stub_trainer import stub_trained

CLASSES, ROWS = 3, 4000
CELLS = [f"{dataset}/noise={noise:g}" for dataset in calibration.DATASETS for noise in calibration.NOISE]


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def request(folder):
    return Request(True, 0, folder, Listener())


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(-0.03, 0.0, "confirmed"), (0.03, 0.0, "refuted"), (-0.03, -0.03, "refuted"), (0.0, 0.0, "undecided")],
)
def test_rule(before, after, verdict):
    found = {}
    for cell in CELLS:
        found[f"{cell}/ssr-cross_entropy/ece/before"] = near(before)
        found[f"{cell}/ssr-cross_entropy/ece/after"] = near(after)
    assert calibration.decide(found) == verdict


def calibrated(rng, spread=2.0):
    """Logits [N, K] and labels drawn from them."""
    logits = spread * rng.standard_normal((ROWS, CLASSES))
    draws = logits + rng.gumbel(size=logits.shape)
    return logits, np.argmax(draws, axis=1).astype(np.int32)


def test_the_temperature_is_fitted_on_the_validation_part():
    rng = np.random.default_rng(0)
    validation, validation_labels = calibrated(rng)
    test, labels = calibrated(rng)
    # Twice too sure on validation, and three times on test: one cannot be mended by the other's temperature.
    found = calibration.errors_of(2 * validation, validation_labels, 3 * test, labels, labels)
    assert found["temperature"] == pytest.approx(2, rel=0.1)
    assert found["before"] > found["after"] > 0.02
    alike = calibration.errors_of(3 * validation, validation_labels, 3 * test, labels, labels)
    assert alike["after"] < 0.02


def test_a_run_that_diverged_has_the_worst_error():
    logits, labels = calibrated(np.random.default_rng(0))
    broken = np.where(logits > 3, np.nan, logits)
    for validation, test in ((broken, logits), (logits, broken)):
        assert calibration.errors_of(validation, labels, test, labels, labels) == calibration.WORST


def test_noise_moves_its_share_of_the_labels_and_depends_on_seed_and_part():
    labels = np.arange(1000, dtype=np.int32) % 10
    first = calibration.noisy(labels, 10, 0.2, 3, "test")
    assert np.sum(first != labels) == 200
    assert labels.tolist() == (np.arange(1000) % 10).tolist()  # not in place
    np.testing.assert_array_equal(first, calibration.noisy(labels, 10, 0.2, 3, "test"))
    for seed, part in ((4, "test"), (3, "validation")):
        assert np.any(first != calibration.noisy(labels, 10, 0.2, seed, part))
    np.testing.assert_array_equal(labels, calibration.noisy(labels, 10, 0.0, 3, "test"))
    assert set(first.tolist()) == set(range(10))


# ------------------------------------------------------------------------------------------- measured on known logits

BEST = 10**-0.5


def curve(name, config, loss, rate, seed, steps, best=BEST):
    level = 0.95 - 0.05 * abs(np.log10(rate / best))
    return {"validation_accuracy": level * (steps > 0), "test_accuracy": level * (steps > 0)}


@pytest.fixture
def known(monkeypatch):
    """`measure` on digits, with logits that are made from the labels: as sure as `sure[loss](rate)` times too much."""
    seen = []

    def install(sure, curves=curve):
        monkeypatch.setattr(calibration, "DATASETS", {"digits": calibration.DATASETS["digits"]})
        monkeypatch.setattr(calibration, "trained", stub_trained(curves))
        loss_of = iter([])

        def errors(config, loss, rates):
            nonlocal loss_of
            loss_of = iter([(loss, rate) for rate in rates])
            return real(config, loss, rates)

        def over_seeds(function, seeds, rate, data):
            loss, asked = next(loss_of)
            np.testing.assert_allclose(data.rate, asked, rtol=1e-6)
            seen.append((loss, asked, list(seeds)))
            parts = []
            for part in (data.validation, data.test):
                columns = []
                for column, seed in enumerate(seeds):
                    rng = np.random.default_rng([int(seed), len(part.labels[column])])
                    right = np.eye(10)[part.labels[column]]
                    # Right in 9 of 10 rows, and says so: a logit of ln 81 is a probability of 0.9 among ten.
                    wrong = np.eye(10)[rng.integers(0, 10, len(right))]
                    told = np.where(rng.random((len(right), 1)) < 0.89, right, wrong)
                    columns.append(np.log(81) * sure[loss](asked) * told)
                parts.append(np.stack(columns))
            return tuple(parts)

        real = calibration.calibration_errors
        monkeypatch.setattr(calibration, "calibration_errors", errors)
        monkeypatch.setattr(calibration, "over_seeds", over_seeds)
        return seen

    return install


def constant(value):
    return lambda rate: value


def test_the_better_calibrated_loss_is_found_and_the_sign_turns(known, tmp_path):
    known({"cross_entropy": constant(2.0), "ssr": constant(1.0)})
    found = calibration.measure(request(tmp_path)).measurements
    gap = found["digits/noise=0/ssr-cross_entropy/ece/before"]
    assert gap.high < -0.03
    assert abs(found["digits/noise=0/ssr-cross_entropy/ece/after"].value) < 0.005
    assert found["digits/noise=0/cross_entropy/temperature"].value == pytest.approx(2, rel=0.15)


def test_swapped_losses_refute(known, tmp_path):
    known({"cross_entropy": constant(1.0), "ssr": constant(2.0)})
    found = calibration.measure(request(tmp_path)).measurements
    assert found["digits/noise=0/ssr-cross_entropy/ece/before"].low > 0.03
    assert calibration.decide(found) == "refuted"


def test_noise_cells_are_judged_on_noisy_labels(known, tmp_path):
    # As sure as the clean labels warrant: too sure where a fifth of the labels is wrong.
    known({"cross_entropy": constant(1.0), "ssr": constant(1.0)})
    found = calibration.measure(request(tmp_path)).measurements
    for loss in calibration.TRAINED:
        assert found[f"digits/noise=0.2/{loss}/ece/before"].value == pytest.approx(0.18, abs=0.04)
        assert found[f"digits/noise=0.2/{loss}/ece/clean/before"].value < 0.04
        # The temperature sees noisy labels too, and takes the sureness away.
        assert found[f"digits/noise=0.2/{loss}/temperature"].value > 1.3
        assert found[f"digits/noise=0.2/{loss}/ece/after"].value < 0.05
        assert found[f"digits/noise=0/{loss}/ece/before"] == found[f"digits/noise=0/{loss}/ece/clean/before"]


def test_the_rate_is_chosen_on_tuning_seeds_and_calibrated_on_fresh_ones(known, tmp_path):
    def curves(name, config, loss, rate, seed, steps):  # the best rate of fresh seeds is another one
        return curve(name, config, loss, rate, seed, steps, best=BEST if seed < 3 else 10.0)

    seen = known(dict.fromkeys(calibration.TRAINED, constant(1.0)), curves)
    calibration.measure(request(tmp_path))
    np.testing.assert_allclose([rate for _, rate, _ in seen], BEST)
    assert all(seeds == list(range(3, 9)) for _, _, seeds in seen)


def test_intervals_cover_the_choice_of_the_rate(known, tmp_path):
    def curves(name, config, loss, rate, seed, steps):  # tuning seeds disagree
        best = {0: 1.0, 1: 1.0, 2: 0.1}.get(seed, 1.0) if loss == "ssr" else BEST
        return curve(name, config, loss, rate, seed, steps, best=best)

    seen = known({"cross_entropy": constant(1.0), "ssr": lambda rate: 1.0 if rate > 0.5 else 4.0}, curves)
    found = calibration.measure(request(tmp_path)).measurements
    assert len({rate for loss, rate, _ in seen if loss == "ssr"}) > 1
    assert len({rate for loss, rate, _ in seen if loss == "cross_entropy"}) == 1
    sure, unsure = (found[f"digits/noise=0/{loss}/ece/before"] for loss in ("cross_entropy", "ssr"))
    assert unsure.high - unsure.low > 2 * (sure.high - sure.low)


def test_amendments_are_dated_and_say_whether_results_were_seen():
    for one in calibration.AMENDMENTS:
        assert set(one) == {"date", "what", "why", "results_seen"}


@pytest.mark.slow
def test_logits_of_a_real_run_are_those_of_the_stated_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "DATASETS", {"digits": (4, 32)})
    config = calibration.setting("digits", 0.1, request(tmp_path))
    assert config.sweep.learning_rates == RateGrid(1e-2, 10.0, 7)
    seen = calibration.calibration_errors(config, "cross_entropy", [1e-4, 0.3])
    assert seen["before"].shape == (2, 6)
    # A rate of 1e-4 leaves the network at chance, and about as unsure as that.
    assert np.all(seen["before"][0] < 0.3)
    assert np.all(np.abs(seen["before"][1] - seen["before"][0]) > 1e-4)
