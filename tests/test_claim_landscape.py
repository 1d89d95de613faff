"""landscape: its rule on made-up measurements, and what it measures of surfaces that are known."""

import jax
import numpy as np
import pytest

from ce_jax.comparing import Listener
from experiments.claims import landscape as claim
from experiments.claims.record import Measurement, Request

OWN, RAW = "surface/own_steepest/cross_entropy<ssr/draws", "surface/cross_entropy<ssr/draws"
STEEPER = "surface/gradient/cross_entropy>ssr*K/2/draws"


def near(value, half=0.01):
    return Measurement(value, (value - half, value + half))


def made_up(flat, size):
    """What stands for `slopes_on_grid`: {loss: share of the area at 1 % of the steepest}, {loss: norm of the rest}."""

    def slopes_on_grid(loss, key, draws, span):
        norms = np.full((draws, 10, 10), size[loss])
        norms[:, : round(10 * flat[loss])] *= 0.01
        return norms

    return slopes_on_grid


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def measure(flat, size, directions=None):
        def walk(loss, sizes, key, inputs, labels, walks, extent):
            eigenvalues = np.ones((walks, claim.LOOKS, 10))
            eigenvalues[..., : (directions or {"cross_entropy": 2, "ssr": 5})[loss]] = 1e-6
            return eigenvalues, np.ones((walks, claim.WALK_STEPS))

        monkeypatch.setattr(claim, "slopes_on_grid", made_up(flat, size))
        monkeypatch.setattr(claim, "walk", walk)
        return claim.measure(Request(True, 0, tmp_path, Listener())).measurements

    return measure


FLATTER = {"cross_entropy": 0.2, "ssr": 0.5}
STEEP = {"cross_entropy": 1.0, "ssr": 0.1}  # the constant alone would make it 0.2
SWAP = {"cross_entropy": "ssr", "ssr": "cross_entropy"}


class TestDecide:
    @pytest.mark.parametrize(
        ("steeper", "flatter", "verdict"),
        [
            (0.9, 0.9, "confirmed"),
            (0.9, 0.1, "refuted"),
            (0.1, 0.9, "refuted"),
            (0.5, 0.9, "undecided"),
            (0.9, 0.5, "undecided"),
        ],
    )
    def test_verdicts(self, steeper, flatter, verdict):
        assert claim.decide({STEEPER: near(steeper), OWN: near(flatter)}) == verdict


class TestMeasure:
    def test_flatter_and_less_steep(self, measured):
        found = measured(FLATTER, STEEP)
        assert claim.decide(found) == "confirmed"
        assert found["surface/own_steepest/cross_entropy/flat_fraction"].value == pytest.approx(0.2)
        assert found["surface/own_steepest/ssr/flat_fraction"].value == pytest.approx(0.5)
        assert found["walk/xor/range=1/ssr-cross_entropy/flat_directions"].value == pytest.approx(0.3)

    def test_swapped_losses_are_refuted(self, measured):
        flat = {loss: FLATTER[SWAP[loss]] for loss in SWAP}
        found = measured(flat, STEEP)
        assert claim.decide(found) == "refuted"
        assert (found[OWN].value, found[STEEPER].value) == (0, 1)
        steep = {loss: STEEP[SWAP[loss]] for loss in SWAP}
        found = measured(FLATTER, steep)
        assert claim.decide(found) == "refuted"
        assert (found[OWN].value, found[STEEPER].value, found[claim.CLAIM.effect].value) == (1, 0, 0)

    @pytest.mark.parametrize("constant", [0.001, 0.2, 30.0])
    def test_a_constant_factor_makes_no_surface_flat(self, measured, constant):
        # The same surface but for a factor: by a common yardstick flatter where the factor is small, by its own never.
        found = measured({"cross_entropy": 0.3, "ssr": 0.3}, {"cross_entropy": 1.0, "ssr": constant})
        assert found[OWN].value == 0.5
        assert claim.decide(found) != "confirmed"
        if constant == 0.001:
            assert found[RAW].value == 1

    def test_the_constant_of_the_number_of_classes_is_taken_out_of_gradients(self, measured):
        found = measured({"cross_entropy": 0.3, "ssr": 0.3}, {"cross_entropy": 1.0, "ssr": 2 / claim.CLASSES * 1.1})
        assert found["surface/gradient/cross_entropy>ssr/draws"].value == 1
        assert found[STEEPER].value == 0
        assert found["surface/gradient_ratio"].value == pytest.approx(0.22)

    def test_the_share_of_the_constant(self, monkeypatch):
        # SSR is a fifth of cross-entropy everywhere: all of its extra flat area is the constant's.
        def norms(loss, key, draws, span):
            steps = np.tile(np.linspace(0.06, 1, 100).reshape(10, 10), (draws, 1, 1))
            return steps * {"cross_entropy": 1.0, "ssr": 2 / claim.CLASSES}[loss]

        monkeypatch.setattr(claim, "slopes_on_grid", norms)
        found = claim.surfaces(Request(True, 0, None, Listener()))[1]
        assert found["surface/ssr/flat_fraction"].value > 0.1
        assert found["surface/due_to_constant"].value == pytest.approx(1)
        assert found[OWN].value == 0.5

    def test_both_losses_see_the_same_draws_and_walks(self, tmp_path, monkeypatch):
        surfaces, walks = [], []

        def slopes_on_grid(loss, key, draws, span):
            surfaces.append((loss, *jax.random.key_data(key).tolist()))
            return made_up(FLATTER, STEEP)(loss, key, draws, span)

        def walk(loss, sizes, key, inputs, labels, walked, extent):
            walks.append((loss, *jax.random.key_data(key).tolist(), sizes, extent))
            return np.ones((walked, claim.LOOKS, 10)), np.ones((walked, claim.WALK_STEPS))

        monkeypatch.setattr(claim, "slopes_on_grid", slopes_on_grid)
        monkeypatch.setattr(claim, "walk", walk)
        for seed in (0, 1):
            claim.measure(Request(True, seed, tmp_path, Listener()))
        for seen in (surfaces, walks):
            ce, ssr = ([rest for loss, *rest in seen if loss == name] for name in claim.PAIR)
            assert ce == ssr
            assert ce[0] != ce[-1]  # of another --seed
