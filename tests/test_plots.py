"""Figures show what they are given: the right numbers in the right place, told apart, the same bytes every time."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ce_jax.analysis import survival
from experiments.pages import canvas, charts

FAMILY = ["cross_entropy", "ssr", "ssr_on_logits", *(f"power_loss(beta={beta / 6:.2g})" for beta in range(7))]
STEPS = np.array([0, 1, 10, 100])


def lines(axes, **wanted):
    return [line for line in axes.lines if all(line.properties()[name] == value for name, value in wanted.items())]


def test_ten_losses_differ_in_look():
    looks = canvas.styles(FAMILY)
    assert len({(look.color, look.linestyle) for look in looks.values()}) == 10
    assert len({look.marker for look in looks.values()}) == 10


def test_a_loss_looks_the_same_in_every_figure_and_run():
    assert canvas.styles([*FAMILY, *FAMILY]) == canvas.styles(FAMILY)
    for loss in canvas.PINNED:
        assert canvas.styles([loss, "other"])[loss] == canvas.styles(FAMILY)[loss]


def test_colours_stand_out_from_white():
    for colour in canvas.COLOURS:
        linear = np.where((rgb := np.array(to_rgb(colour))) <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        contrast = 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)
        assert contrast > 2


def test_quartiles_rank_infinities_without_nan():
    low, middle, high = charts.quartiles(np.array([[1.0, -np.inf], [2.0, -np.inf], [3.0, -np.inf], [np.inf, 0.5]]))
    np.testing.assert_array_equal(low, [1.0, -np.inf])
    np.testing.assert_array_equal(middle, [2.5, -np.inf])
    np.testing.assert_array_equal(high, [3.0, -np.inf])


def test_a_diverged_seed_pulls_the_median_down_and_most_seeds_end_it():
    values = np.array([[0.2, 0.5, 0.8, 0.9], [0.3, 0.6, np.nan, np.nan], [0.4, 0.7, 0.9, np.nan]])
    figure = charts.convergence(STEPS, {"validation accuracy": {"ssr": values}}, targets=[0.95])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.3, 0.6, 0.8, np.nan])
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim()[0] <= 0
    assert [text.get_text() for text in axes.texts] == ["95 %"]
    assert axes.get_ylim()[1] > 0.95


@pytest.mark.parametrize(
    ("steps", "scale"),
    [([0, 25, 50, 75, 100], "linear"), ([0, 40, 80, 100], "linear"), ([0, 40, 80, 130], "symlog"), ([0, 9], "symlog")],
)
def test_a_step_axis_is_linear_where_evaluations_are_evenly_spaced(steps, scale):
    panels = {"validation accuracy": {"ssr": np.full((2, len(steps)), 0.5)}}
    (axes,) = charts.convergence(np.array(steps), panels).axes
    assert axes.get_xscale() == scale
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1] == steps[-1]


def test_survival_draws_the_estimate_and_marks_those_never_there():
    curves = {"ssr": survival([10.0, 100.0, np.inf, np.inf], 1000), "cross_entropy": survival([1.0, 10.0], 1000)}
    axes = charts.survival({"90 %": curves}, steps=np.array([0, 1, 10, 100, 1000])).axes[0]
    staircase = lines(axes, drawstyle="steps-post")
    np.testing.assert_array_equal(staircase[0].get_xdata(), [0, 10, 100, 1000])
    np.testing.assert_array_equal(staircase[0].get_ydata(), [1, 0.75, 0.5, 0.5])
    (missed,) = lines(axes, markersize=9)
    assert (missed.get_xdata()[0], missed.get_ydata()[0]) == (1000, 0.5)


@pytest.mark.parametrize(("count", "bands"), [(2, 2), (10, 0)])
def test_bands_are_drawn_only_where_they_can_be_told_apart(count, bands):
    curves = dict.fromkeys(FAMILY[:count], np.full((3, 4), 0.5))
    assert len(charts.convergence(STEPS, {"accuracy": curves}).axes[0].collections) == bands


def test_rates_show_misses_at_the_horizon_the_choice_and_divergence():
    rate = {"ssr": np.array([0.01, 0.1, 1.0])}
    accuracy = {"ssr": np.array([[0.5, 0.5, 0.5], [0.9, 0.9, 0.9], [0.9, np.nan, np.nan]])}
    times = {"ssr": np.array([[np.inf, np.inf, np.inf], [10.0, 20.0, 30.0], [10.0, np.inf, np.inf]])}
    figure = charts.rates(rate, accuracy, times, {"ssr": 0.1}, steps=STEPS, goal="90 %")
    top, middle, bottom = figure.axes
    np.testing.assert_array_equal(top.lines[0].get_ydata(), [0.5, 0.9, 0.0])
    (cross,) = lines(middle, marker="x")
    np.testing.assert_array_equal(cross.get_xdata(), [0.01, 1.0])
    np.testing.assert_array_equal(cross.get_ydata(), [100, 100])
    (ring,) = lines(middle, markersize=12)
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (0.1, 20)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), [0, 0, 2 / 3])
    assert bottom.get_xscale() == "log"


@pytest.mark.parametrize("missed", [False, True])
def test_panels_of_rates_fill_their_figure_whether_or_not_a_rate_misses(missed):
    rate, accuracy = {"ssr": np.array([0.01, 0.1, 1.0])}, {"ssr": np.full((3, 2), 0.9)}
    times = {"ssr": np.array([[np.inf if missed else 40.0] * 2, [10.0, 20.0], [10.0, 30.0]])}
    figure = charts.rates(rate, accuracy, times, {"ssr": 0.1}, steps=STEPS, goal="90 %")
    canvas.svg(figure, "rates")
    assert sum(axes.get_position().height for axes in figure.axes) > 0.7


def test_the_gradient_path_starts_at_its_open_marker():
    probability = {"ssr": np.array([[0.1, 0.5, 0.9], [0.2, 0.6, np.nan], [0.3, 0.7, np.nan]])}
    norm = {"ssr": np.array([[1.0, 0.1, 0.0], [2.0, 0.2, np.nan], [3.0, 0.3, np.nan]])}
    axes = charts.gradient(probability, norm).axes[0]
    path, start = axes.lines
    np.testing.assert_array_equal(path.get_xdata(), [0.2, 0.6])
    np.testing.assert_array_equal(path.get_ydata(), [2.0, 0.2])
    assert (start.get_xdata()[0], start.get_ydata()[0], axes.get_yscale()) == (0.2, 2.0, "log")


def test_ratios_look_undecided_when_the_interval_contains_one():
    low, high = np.array([0.3, 1.2, 0.8]), np.array([0.6, 2.0, 1.1])
    axes = charts.ratios(["faster", "slower", "$open$"], (low + high) / 2, low, high, title="").axes[0]
    dots = [line.get_marker() for line in axes.lines if line.get_marker() != "None"]
    assert dots == ["o", "s", "d"]
    assert axes.get_xlim()[0] < 0.3
    assert axes.get_xlim()[1] > 2
    assert len(axes.get_xticks()) >= 3


@pytest.mark.parametrize("bounds", [(0.9, 1.1), (0.3, 3.0), (1e-4, 20.0)])
def test_ratio_ticks_are_neither_too_few_nor_too_many(bounds):
    low, high = (np.array([bound]) for bound in bounds)
    assert 3 <= len(charts.ratios(["one"], low, low, high, title="").axes[0].get_xticks()) <= 9


def test_a_legend_of_ten_stays_inside_its_figure():
    curves = dict.fromkeys([*FAMILY[:9], "my_package.my_module:my_loss"], np.full((3, 4), 0.5))
    figure = charts.convergence(STEPS, {"validation accuracy": curves, "test accuracy": curves})
    figure.draw_without_rendering()
    inside = figure.bbox
    for text in figure.legends[0].get_texts():
        extent = text.get_window_extent()
        assert inside.x0 <= extent.x0
        assert extent.x1 <= inside.x1
    assert min(axes.get_window_extent().height for axes in figure.axes) > 200


def test_saved_figures_have_the_same_bytes_and_no_date(tmp_path):
    def draw():
        return charts.convergence(
            STEPS, {"accuracy": {"ssr": np.linspace(0, 1, 12).reshape(3, 4), "a$b$": np.ones((3, 4))}}
        )

    first = [path.read_bytes() for path in canvas.save(draw(), tmp_path / "one", "figure")]
    second = [path.read_bytes() for path in canvas.save(draw(), tmp_path / "two", "figure")]
    assert first == second
    assert b"<dc:date>" not in first[0]
    assert first[0].startswith(b"<?xml")
    assert first[1].startswith(b"\x89PNG")
