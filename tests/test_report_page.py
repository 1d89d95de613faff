"""What a report's page holds beside its numbers, and how it behaves in a browser where one is at hand."""

import csv
import functools
import io
import json
import re
from urllib.parse import unquote

import numpy as np
import pytest

from experiments.pages import canvas, charts, report, series
from tests.browsing import watched
from tests.test_report import Page, make_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "demo"
    make_run(folder, ("cross_entropy", "ssr", "ssr_on_logits"))
    report.build_report(folder)
    return folder


@pytest.fixture(scope="module")
def source(run_dir):
    return (run_dir / "report.html").read_text(encoding="utf-8")


def test_the_rows_behind_a_figure_are_those_of_its_lines(run_dir):
    page = Page(run_dir / "report.html")
    rows = [value for tag, _, value in page.attributes if tag == "a" and value.startswith("data:text/csv")]
    assert len(rows) == 6
    table = list(csv.DictReader(io.StringIO(unquote(rows[1].partition(",")[2]))))
    run = report.read_run(run_dir)
    median = np.median(run.curves["ssr"]["validation_accuracy"][-2, 3:], axis=0)
    drawn = [row for row in table if (row["panel"], row["series"]) == ("validation accuracy", "ssr")]
    np.testing.assert_allclose([float(row["x"]) for row in drawn], run.curves.steps)
    np.testing.assert_allclose([float(row["y"]) for row in drawn], median, rtol=1e-3)


def test_a_map_shows_the_median_at_every_rate_and_step_it_was_measured_at(run_dir):
    page = Page(run_dir / "report.html")
    (rows,) = (value for tag, _, value in page.attributes if tag == "a" and "panel%2Cseries%2Cx%2Cy%2Cvalue" in value)
    run = report.read_run(run_dir)
    curves = run.curves["ssr"]
    table = [row for row in csv.DictReader(io.StringIO(unquote(rows.partition(",")[2]))) if row["series"] == "ssr"]
    accuracy = np.median(np.nan_to_num(curves["validation_accuracy"][:, 3:]), axis=1)
    np.testing.assert_allclose([float(row["value"]) for row in table], accuracy.ravel(), rtol=1e-3)
    np.testing.assert_allclose(
        [float(row["y"]) for row in table], np.repeat(curves.rates, accuracy.shape[1]), rtol=1e-3
    )
    np.testing.assert_allclose([float(row["x"]) for row in table], np.tile(run.curves.steps, len(curves.rates)))


def test_points_stand_where_the_file_draws_them(tmp_path):
    figure = charts.convergence(np.array([0, 1, 10, 100]), {"accuracy": {"ssr": np.array([[0.1, 0.2, 0.6, 0.9]])}})
    vector, _ = canvas.save(figure, tmp_path, "figure")
    (panel,) = series.panels_of(figure)
    (one,) = panel["series"]
    drawn = re.search(r'data-loss="ssr">\s*<path d="([^"]*)" clip-path[^>]*stroke: #d55e00', vector.read_text())
    found = np.array([float(number) for number in re.findall(r"\d+\.?\d*", drawn[1])]).reshape(-1, 2)
    np.testing.assert_allclose(found, [point[2:] for point in one["points"]], atol=0.06)
    assert [point[:2] for point in one["points"]] == [[0, 0.1], [1, 0.2], [10, 0.6], [100, 0.9]]


def test_text_is_text_and_colours_are_those_of_the_page(source):
    figures = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    assert len(figures) == 12  # each of them for a phone, too
    assert all(re.search(r">\s*SSR on logits", figure) for figure in figures)
    assert not re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", "".join(figures))
    assert "'DejaVu Sans', Verdana, sans-serif" in figures[0]
    wanted = {f"--loss-{place}:" for place, colour in enumerate(canvas.COLOURS) if colour != "#000000"}
    assert wanted <= set(re.findall(r"--loss-\d:", source))


def test_every_loss_of_a_figure_can_be_found_by_its_name(source):
    figures = [figure for figure in re.findall(r"<svg.*?</svg>", source, re.DOTALL) if "legend_1" in figure]
    assert len(figures) == 8
    for figure in figures:
        names = set(re.findall(r'data-legend="([^"]*)"', figure))
        assert names == {"cross_entropy", "ssr", "ssr_on_logits"} == set(re.findall(r'data-loss="([^"]*)"', figure))


def test_the_values_embedded_are_those_of_each_panel_and_the_page_stays_small(source):
    panels = [json.loads(words) for words in re.findall(r'application/json">(.*?)</script>', source, re.DOTALL)]
    assert [len(one) for one in panels] == [1, 1, 2, 2, 2, 2, 3, 3, 1, 1]
    assert len(source) < 1_000_000


# In a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(browser, run_dir):
    """Open the page."""
    with watched(browser) as open_page:
        yield functools.partial(open_page, (run_dir / "report.html").as_uri())


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800])
def test_nothing_scrolls_sideways_and_figures_stay_whole(opened, width, scheme):
    view = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    named = "for (const one of document.querySelectorAll('h1, p, li, dd')) one.append(' module:model"
    view.evaluate(named + "' + '_of_a_long_name'.repeat(9))")
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    beyond = "[...document.querySelectorAll('figure .paper')].map((one) => one.scrollWidth - one.clientWidth)"
    assert max(view.evaluate(beyond)) <= 0
    letters = """[...document.querySelectorAll('figure svg')].filter((one) => one.clientWidth).flatMap((one) =>
      [...one.querySelectorAll('text')].map((text) =>
        parseFloat(getComputedStyle(text).fontSize) * one.clientWidth / one.viewBox.baseVal.width))"""
    assert min(view.evaluate(letters)) > 8  # pixels
    paper = view.evaluate("getComputedStyle(document.querySelector('figure svg g path')).fill")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(27, 30, 34)"}[scheme]


@pytest.mark.slow
def test_the_first_column_stays_while_a_table_scrolls(opened):
    view = opened(viewport={"width": 390, "height": 800})
    left = "document.querySelector('#speed tbody tr:nth-child(2) td').getBoundingClientRect().left"
    before = view.evaluate(left)
    view.evaluate("document.querySelector('#speed').parentElement.scrollLeft = 200")
    assert view.evaluate("document.querySelector('#speed').parentElement.scrollLeft") == 200
    assert view.evaluate(left) == before


@pytest.mark.slow
def test_a_legend_entry_hides_its_loss_by_the_keyboard(opened):
    view = opened()
    entry = "figure:has(#caption-convergence) [data-legend='ssr'][role=button]"
    line = "figure:has(#caption-convergence) [data-loss='ssr'] >> nth=0"
    assert view.is_visible(line)
    view.focus(entry)
    view.keyboard.press("Enter")
    assert view.get_attribute(entry, "aria-pressed") == "false"
    assert not view.is_visible(line)
    view.click(entry)
    assert view.is_visible(line)


@pytest.mark.slow
def test_points_tell_their_values_by_the_keyboard_and_under_the_pointer(opened):
    view = opened()
    figure = "figure:has(#caption-convergence)"
    view.focus(f"{figure} svg")
    view.keyboard.press("Home")
    assert re.search(r"SSR on probabilities: [\d.]+ % at step 0$", view.inner_text(f"{figure} .point"), re.MULTILINE)
    view.keyboard.press("End")
    assert " at step 2,000" in view.inner_text(f"{figure} .point")
    view.keyboard.press("Escape")
    assert not view.is_visible(f"{figure} .point")
    view.hover(f"{figure} svg", position={"x": 300, "y": 200})
    assert "validation accuracy" in view.inner_text(f"{figure} .point")
    view.focus("figure:has(#caption-ratios) svg")
    assert view.inner_text("figure:has(#caption-ratios) .point").startswith("SSR on probabilities · 95 %\n0.4")


@pytest.mark.slow
def test_tables_are_sorted_by_size_within_each_target(opened):
    view = opened()
    names = "[...one.rows].map((row) => row.cells[0].innerText)"
    cells = f"[...document.querySelectorAll('#speed tbody')].map((one) => {names})"
    view.click("#speed th:nth-child(4) button")
    assert view.get_attribute("#speed th:nth-child(4)", "aria-sort") == "ascending"
    bodies = view.evaluate(cells)
    assert len(bodies) == 2
    assert all(body[0].startswith("to ") for body in bodies)
    assert all(body[1:] == ["cross-entropy", "SSR on logits", "SSR on probabilities"] for body in bodies)
    view.click("#speed th:nth-child(4) button")
    assert view.evaluate(cells)[0][1] == "SSR on probabilities"
    view.click("#speed th:nth-child(5) button")
    assert view.evaluate(cells)[0][-1] == "cross-entropy"  # without a ratio: last, whichever way


@pytest.mark.slow
def test_without_script_the_page_is_whole(opened):
    view = opened(java_script_enabled=False)
    assert view.is_visible("figure svg >> nth=4")
    assert view.is_visible("#speed")
    assert not view.is_visible("button >> nth=0")
    assert view.locator("a[download]").count() == 6
