"""The tutorial runs from its first cell to its last, and its numbers say what its text says."""

import runpy
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "experiments" / "tutorial.py"


@pytest.mark.slow
def test_every_cell_runs_and_says_what_the_text_says(capsys):
    shown = runpy.run_path(str(TUTORIAL))
    assert shown["sizes"][20.0][0] == pytest.approx(2**0.5, rel=1e-3)
    assert shown["sizes"][20.0][1] < 1e-7
    pair = shown["saturated"].summary["comparisons"][0]
    assert pair["ci"][1] < 0.5, "from a saturated start cross-entropy is faster"
    low, high = shown["ordinary"].summary["comparisons"][0]["ci"]
    assert low < 1 < high, "from an ordinary start neither is"
    assert "half_and_half" in shown["own"].summary["losses"]
    assert shown["verdict"] == "confirmed"
    assert "73,534 steps" in capsys.readouterr().out


def test_it_is_cut_into_cells():
    text = TUTORIAL.read_text(encoding="utf-8")
    assert text.count("# %% [markdown]\n# ") >= 8
    assert text.count("\n# %%\n") >= 8
