"""What the rules look at, drawn from stored measurements against the thresholds that `decide` has."""

import numpy as np
import pytest

from experiments.claims import judged
from experiments.claims.answer import GALLERY
from experiments.claims.gentle_vs_saturated import GAP, TIE_INTERVAL
from experiments.claims.publish import read_result
from experiments.claims.registry import CLAIMS
from experiments.names import place
from experiments.source import ROOT


@pytest.mark.parametrize("name", CLAIMS)
def test_every_published_verdict_can_be_seen(name):
    stored = read_result(place(GALLERY, ROOT) / name)["measurements"]
    panels = judged.judged(name, stored)
    assert panels
    values = [row.value for panel in panels for row in panel.rows]
    assert np.isfinite(values).all()
    assert all(row.low <= row.high for panel in panels for row in panel.rows)
    drawn = judged.figure(panels, "wanted")
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [panel.title for panel in panels]


def test_numbers_and_zones_are_those_of_the_rule():
    def one(value, *ci):
        return {"value": value, "ci": list(ci), "unit": ""}

    pair = "cross_entropy-ssr/test_accuracy"
    stored = {f"mlp/gentle/{pair}": one(0.01, -0.01, 0.03), f"mlp/saturated/{pair}": one(0.3, 0.25, 0.35)}
    gentle, saturated = judged.judged("gentle-vs-saturated", stored)
    assert gentle.rows == [judged.Row("mlp", 0.01, -0.01, 0.03)]
    assert gentle.zone == (-TIE_INTERVAL, TIE_INTERVAL)
    assert saturated.zone == (GAP, np.inf)
    # The gentle interval leaves the zone, so its mark is open; the saturated one is inside.
    fills = [axes.lines[1].get_markerfacecolor() for axes in judged.figure([gentle, saturated], "").axes]
    assert fills == ["white", "0.25"]


def test_a_ratio_is_judged_by_its_distance_from_the_law():
    key = "fraction=0.25/ssr_on_logits"
    stored = {f"{key}/decay": {"value": -0.11, "ci": None}, f"{key}/predicted_decay": {"value": -0.1, "ci": None}}
    (panel,) = judged.judged("tail-law", stored)
    (row,) = panel.rows
    assert row.value == pytest.approx(0.1)
    assert judged.judged("tail-law", {}) == []
