"""The explorer: its numbers, and the page in a real browser where one is at hand (extra `browser`)."""

import json
import re

import numpy as np
import pytest
from rich.console import Console

from experiments.errors import UserError
from experiments.explore import explore_command, golden, race, tuning
from tests.browsing import watched


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("explore") / "explore.html"
    assert explore_command(out, False, Console(quiet=True)) == 0
    return out


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL).group(1))


def test_the_page_is_one_small_file_that_names_no_address(page):
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 300_000
    assert not re.findall(r"(?:https?:)?//[a-z]+\.", text)
    assert "connect-src" not in text
    assert "default-src 'none'" in text


def test_the_golden_values_are_those_of_the_definitions(page):
    """cross-entropy and SSR from their definitions in float64, where no digits are lost."""
    for row in data_of(page)["golden"]["rows"]:
        z, y = np.array(row["logits"]), row["label"]
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        beta = row["beta"]
        value = -np.log(p[y]) if beta == 0 else np.sum(p ** (1 + beta)) + (1 - (1 + beta) * p[y] ** beta) / beta
        assert row["loss"] == pytest.approx(value, rel=1e-6, abs=1e-12)


def test_a_lead_of_ten_takes_37_steps_and_15332_and_a_sigmoid_unit_73534(page):
    found = data_of(page)["golden"]
    assert [one["steps"] for one in found["descents"]] == [37, 15_332]
    assert found["unit"]["steps"] == [37, 73_534]
    assert "37 steps of cross-entropy and 73,534 of squared" in page.read_text(encoding="utf-8")


def test_label_noise_moves_every_label_to_another_class_and_each_class_comes_in_turn():
    one = race.race("spirals")
    assert set(one.moved.tolist()) == {1, 2}
    assert one.labels[:6].tolist() == [0, 1, 2, 0, 1, 2]
    assert sorted(one.order.tolist()) == list(range(len(one.labels)))


def test_there_is_a_rate_for_every_setting_and_loss():
    rates, finals, _ = race.best_rates().values()
    expected = 2 * 4 * 3 * 3
    names = {
        race.setting(dataset, spread, noise, imbalance)
        for dataset in race.DATASETS
        for spread in race.SPREADS.values()
        for noise in race.NOISES
        for imbalance in race.IMBALANCES
    }
    assert set(rates) == set(finals) == names
    assert len(names) == expected
    ends = tuning.GRID["low"], tuning.GRID["high"]  # which no best rate is: no edge hides a better one
    assert all(ends[0] < rate < ends[1] for pair in rates.values() for rate in pair)
    assert all(1 / 3 < final <= 1 for pair in finals.values() for final in pair)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "start"), [*((name, "gentle") for name in race.DATASETS), ("spirals", "saturated")]
)
def test_the_table_of_rates_is_what_the_engine_finds(dataset, start):
    """From a saturated start, too, where the time to a target did not decide: rates of SSR a decade apart tied."""
    cell = (dataset, race.SPREADS[start], 0.0, 1)
    found, stored = tuning.tuned(*cell), race.best_rates()
    assert found.rates == pytest.approx(stored["rates"][race.setting(*cell)], rel=1e-3)
    # Chaotic runs differ in last digits between processors.
    assert found.finals == pytest.approx(stored["finals"][race.setting(*cell)], abs=0.03)


def test_a_folder_is_no_page(tmp_path):
    with pytest.raises(UserError, match="expected a file to write"):
        explore_command(tmp_path, False, Console(quiet=True))


def test_golden_networks_train(page):
    first, last = golden._network(race.race("spirals"), 0.0, steps=0), data_of(page)["golden"]["networks"][0]
    assert last["loss"] < first["loss"]


# In a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(browser, page):
    """Open the page, at an address within it, and wait for its self-check."""
    with watched(browser) as open_page:

        def checked(address="", **context):
            view = open_page(page.as_uri() + address, **context)
            view.wait_for_selector("#self-check[data-passed]")
            return view

        yield checked


def picture(view, name):
    return view.evaluate(f"document.getElementById('{name}').toDataURL()")


def settled(view, name, before):
    """Wait until a canvas shows something else than before."""
    view.wait_for_function(f"before => document.getElementById('{name}').toDataURL() !== before", arg=before)


@pytest.mark.slow
def test_its_mathematics_agrees_with_the_library(opened):
    view = opened(reduced_motion="reduce")
    assert view.get_attribute("#self-check", "data-passed") == "true"
    assert float(re.search(r"difference ([\d.e+-]+)\)", view.inner_text("#self-check")).group(1)) < 1e-6


@pytest.mark.slow
def test_motion_starts_without_a_click(opened):
    view = opened()
    before = int(view.inner_text("#count-right").replace(",", ""))
    view.wait_for_function(
        "before => Number(document.getElementById('count-right').textContent.replace(',', '')) > before", arg=before
    )
    assert view.inner_text("#play") == "Pause"


@pytest.mark.slow
def test_under_reduced_motion_the_end_stands_still(opened):
    view = opened(reduced_motion="reduce")
    assert view.inner_text("#count-left") == "37"
    assert view.inner_text("#count-right") == "15,332"
    before = picture(view, "race-right")
    view.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert picture(view, "race-right") == before


@pytest.mark.slow
def test_presets_and_the_keyboard_change_the_picture_and_the_address(opened):
    view = opened(reduced_motion="reduce")
    before = picture(view, "triangle-left")
    view.focus("#preset-undecided")
    view.keyboard.press("Enter")
    settled(view, "triangle-left", before)
    before = picture(view, "triangle-right")
    view.focus("#triangle-right")
    view.keyboard.press("ArrowDown")
    settled(view, "triangle-right", before)
    assert "z=0%2C1%2C1" in view.url
    before = picture(view, "race-left")
    view.focus("#spread")
    view.keyboard.press("ArrowLeft")
    settled(view, "race-left", before)
    assert "spread=strong" in view.url


@pytest.mark.slow
def test_the_address_brings_a_view_back_and_nonsense_in_it_does_no_harm(opened):
    view = opened("#z=0,2,2&beta=0.5&dataset=mixtures&rate=1e9&noise=7&mode=nothing", reduced_motion="reduce")
    assert view.inner_text("#name-right") == "bridge at 0.50"
    assert view.input_value("#dataset") == "mixtures"
    assert view.inner_text("#rate-value") == "0.15"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways(opened, scheme):
    view = opened(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    uncovered = """one => {
      one.scrollIntoView({block: "nearest"});
      const box = one.getBoundingClientRect();
      return one.contains(document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2));
    }"""
    controls = view.query_selector_all("button, input, select")
    assert [one.get_attribute("id") for one in controls if not one.evaluate(uncovered)] == []
