"""Tuning optimizer options with the rate: points, the protocol on them, what a choice is, and both doors."""

import json
import re

import jax
import numpy as np
import polars as pl
import pytest

from ce_jax import compare, linear
from ce_jax.comparing import (
    AnalysisOptions,
    Curves,
    LossCurves,
    Point,
    RateGrid,
    Redrawn,
    SweepOptions,
    Wave,
    arms_of,
    best_at_each_rate,
    caveats,
    choose_point,
    finding,
    first_points,
    grid_points,
    headline,
    joined_seeds,
    near_cliff,
    one_by_one,
    search_sentences,
    summarise,
    text_table,
    tune_and_report,
)
from ce_jax.training import METRICS
from experiments.config import load_config
from experiments.errors import UserError
from experiments.files import read_arrays, read_json
from experiments.pages import charts, report
from experiments.run import trainer
from experiments.run.workload import load_workload
from tests.small_run import run, the_folder

STEPS = np.arange(41)
OPTIONS = AnalysisOptions(targets=(0.9,), resamples=199)
GRID = RateGrid(0.1, 10.0, 3)
MOMENTA = {"momentum": [0.0, 0.9], "weight_decay": [0.0, 0.1]}


def test_a_grid_is_every_rate_with_every_combination():
    points = first_points(SweepOptions(GRID, MOMENTA))
    assert len(points) == len(set(points)) == 12
    assert points[:4] == grid_points([0.1], {"momentum": [0.0, 0.9], "weight_decay": [0.0, 0.1]})
    assert points[-1] == Point(10.0, (("momentum", 0.9), ("weight_decay", 0.1)))
    turned = first_points(SweepOptions(GRID, dict(reversed(MOMENTA.items()))))
    assert turned == points  # the order in which options are written says nothing


def test_draws_are_even_and_belong_to_the_first_seed():
    options = {"momentum": [0.0, 0.9], "weight_decay": {"low": 1e-4, "high": 1.0}}
    sweep = SweepOptions(GRID, options, search="random", draws=2000)
    points = first_points(sweep)
    assert points == first_points(sweep) == tuple(sorted(points))
    assert len(set(points)) == 2000
    rates = np.log10([point.rate for point in points])
    decays = np.log10([dict(point.options)["weight_decay"] for point in points])
    for found, low, high in ((rates, -1, 1), (decays, -4, 0)):
        np.testing.assert_allclose(np.quantile(found, [0, 0.25, 0.5, 0.75, 1]), np.linspace(low, high, 5), atol=0.1)
    assert abs(np.corrcoef(rates, decays)[0, 1]) < 0.1
    assert np.mean([dict(point.options)["momentum"] for point in points]) == pytest.approx(0.45, abs=0.04)
    other = SweepOptions(GRID, options, search="random", draws=2000, first_seed=1)
    assert not set(first_points(other)) & set(points)
    fewer = SweepOptions(GRID, options, search="random", draws=20)
    assert set(first_points(fewer)) < set(points)


def lanes_of(time_of, asked):
    """A `Train` of runs that reach the target at `time_of(loss, point, seed)`: inf is never, NaN a diverged run."""

    def lanes(arm, seeds, points):
        asked.append((arm.label, points, seeds))
        times = np.array([[time_of(arm.label, point, seed) for seed in seeds] for point in points], float)
        there = (np.nan_to_num(times, nan=np.inf)[..., None] <= STEPS).astype(float)
        measured = np.where(np.isnan(times)[..., None] & (STEPS[-1] == STEPS), np.nan, there)
        return {metric: measured.copy() for metric in METRICS}

    return one_by_one(lanes)


def time_of(loss, point, seed):
    """Best at rate 1 with momentum 0.9 for cross-entropy, at rate 1 without for SSR."""
    momentum = dict(point.options)["momentum"]
    return 10 + 5 * abs(np.log10(point.rate)) + 3 * abs(momentum - (0.9 if loss == "cross_entropy" else 0.0))


def tried(time_of, sweep, asked=None, **knobs):
    arms = arms_of(["cross_entropy", "ssr"])
    return tune_and_report(arms, STEPS, sweep, OPTIONS, lanes_of(time_of, [] if asked is None else asked), **knobs)


def test_every_loss_gets_the_same_points_and_chooses_its_own():
    asked, sweep = [], SweepOptions(GRID, MOMENTA, seeds=4, tuning_seeds=3)
    found = tried(time_of, sweep, asked)
    assert [ask[1:] for ask in asked[::2]] == [ask[1:] for ask in asked[1::2]]
    assert {ask[1] for ask in asked} == {first_points(sweep)}
    # A tie between values of weight decay goes to the first.
    assert found.point("cross_entropy") == Point(1.0, (("momentum", 0.9), ("weight_decay", 0.0)))
    assert found.point("ssr") == Point(1.0, (("momentum", 0.0), ("weight_decay", 0.0)))
    for loss in ("cross_entropy", "ssr"):
        assert found.choices[loss].edge == 0
        assert found.best(loss).points == (found.point(loss),)
        reached = found.best(loss)["validation_accuracy"][0].argmax(axis=-1)
        np.testing.assert_array_equal(reached, [10] * 4)


def test_the_grid_grows_on_the_axis_of_rates_for_every_combination():
    asked = []

    def faster_below(loss, point, seed):
        return 20 + 5 * np.log10(point.rate) if loss == "ssr" else time_of(loss, point, seed)

    found = tried(faster_below, SweepOptions(GRID, MOMENTA, seeds=2, tuning_seeds=1, widen=1), asked)
    added = asked[2][1]
    assert added == asked[3][1]
    assert len(added) == 4 * 4
    assert {point.options for point in added} == {point.options for point in asked[0][1]}
    assert max(point.rate for point in added) < 0.1
    tuning = found.tuning["cross_entropy"]
    assert tuning.points == tuple(sorted(asked[0][1] + added))
    assert found.tuning["ssr"].points == tuning.points == found.fresh["ssr"].points
    np.testing.assert_allclose(
        tuning["ssr"].argmax(axis=-1)[:, 0], [np.ceil(time_of("cross_entropy", p, 0)) for p in tuning.points]
    )
    assert found.choices["ssr"].edge == -1


def test_a_random_search_is_the_same_for_all_losses_and_says_when_the_best_rate_is_the_last():
    asked, sweep = [], SweepOptions(GRID, MOMENTA, search="random", draws=9, seeds=12, tuning_seeds=3)
    found = tried(lambda loss, point, seed: 30 - 2 * first_points(sweep).index(point), sweep, asked)
    assert {ask[1] for ask in asked} == {first_points(sweep)}
    assert len(asked) == 4  # tuning and fresh seeds, once for each loss: nothing is added
    assert {choice.edge for choice in found.choices.values()} == {1}
    told = {"search": "random", "options": MOMENTA}
    summary = summarise({**WORKLOAD, **told}, joined(found), 3, OPTIONS)
    (caveat,) = caveats(summary)
    assert "is the lowest or the highest of those drawn" in caveat
    assert search_sentences(summary)[0].startswith("The same 9 points, drawn at random, were tried for each loss")
    assert summary["losses"]["ssr"]["points"] == 9


def test_only_points_that_a_redraw_chooses_are_reported():
    def close(loss, point, seed):
        """Which momentum is faster depends on the seed; rate and weight decay are clear."""
        options = dict(point.options)
        return (
            10 + 9 * abs(np.log10(point.rate)) + 9 * options["weight_decay"] + (options["momentum"] > 0) * (-1) ** seed
        )

    found = tried(close, SweepOptions(GRID, MOMENTA, seeds=4, tuning_seeds=5), report_at="contending rates")
    assert {point.rate for point in found.fresh["ssr"].points} == {1.0}
    assert [dict(point.options)["momentum"] for point in found.fresh["ssr"].points] == [0.0, 0.9]
    redrawn = Redrawn(found.tuning, found.fresh, OPTIONS)
    shares = redrawn.shares("ssr")
    rows = [found.tuning["ssr"].row(point) for point in found.fresh["ssr"].points]
    assert shares[rows].min() > 0.1
    assert shares.sum() == pytest.approx(shares[rows].sum())
    # A figure of each point: its mean over redraws is that of the points chosen.
    means = redrawn.means("ssr", np.array([[0.0] * 4, [1.0] * 4]))
    assert means.mean() == pytest.approx(shares[rows[1]])


WORKLOAD = {
    "name": "made", "dataset": "made", "model": "linear", "optimizer": "sgd", "steps": 40, "seeds": 12,
    "target_metric": "validation_accuracy", "confidence": 0.95, "start": "he", "batch_size": "full",
}  # fmt: skip


def joined(found):
    return joined_seeds(found.tuning, found.fresh)


@pytest.fixture(scope="module")
def summary():
    """Cross-entropy chooses momentum, SSR does not."""
    found = tried(time_of, SweepOptions(GRID, MOMENTA, seeds=12, tuning_seeds=3))
    return summarise({**WORKLOAD, "options": MOMENTA, "schedule": "cosine"}, joined(found), 3, OPTIONS)


def test_the_summary_says_which_point_each_loss_chose(summary):
    entropy, ssr = summary["losses"]["cross_entropy"], summary["losses"]["ssr"]
    assert (entropy["best_learning_rate"], entropy["best_options"]) == (1.0, {"momentum": 0.9, "weight_decay": 0.0})
    assert (ssr["best_learning_rate"], ssr["best_options"]) == (1.0, {"momentum": 0.0, "weight_decay": 0.0})
    assert entropy["points"] == ssr["points"] == 12
    assert entropy["learning_rates"] == [0.1, 1.0, 10.0]
    assert entropy["choice"]["runner_up_options"].keys() == MOMENTA.keys()
    (comparison,) = summary["comparisons"]
    assert comparison["options"] == {"cross_entropy": entropy["best_options"], "ssr": ssr["best_options"]}
    for record in summary["untuned_comparisons"]:
        assert record["options"]["cross_entropy"] == record["options"]["ssr"]  # the rate alone may differ
    json.dumps(summary, allow_nan=False)


def test_words_and_table_say_which_point_each_loss_chose(summary):
    said = headline(summary)
    assert "On made (linear, sgd, cosine schedule), " in said
    assert "each loss at its own tuned learning rate, momentum and weight decay" in finding(summary)
    assert "The same 12 points of a grid were tried for each loss (learning rate, momentum and weight decay)." in said
    chose = "Cross-entropy chose rate 1, momentum 0.9, weight decay 0; SSR on probabilities chose rate 1, momentum 0"
    assert chose in said
    table = text_table([summary])
    assert re.search(r"cross-entropy .*\nrate 1 .*\nmomentum 0\.9\nweight decay 0\n", table)
    assert max(map(len, table.splitlines())) <= 80


def loss_curves(times, rates, **options):
    times = np.asarray(times, float)
    measured = (np.nan_to_num(times, nan=np.inf)[..., None] <= STEPS).astype(float)
    lost = np.where(np.isnan(times)[..., None] & (STEPS[-1] == STEPS), np.nan, measured)
    return LossCurves(np.array(rates), {metric: lost.copy() for metric in METRICS}, options)


def test_near_a_cliff_is_the_next_larger_rate_with_the_same_options():
    momentum = np.array([0.0, 0.9, 0.0, 0.9, 0.0, 0.9])
    curves = loss_curves([[20], [9], [12], [np.nan], [14], [np.nan]], [1.0, 1, 2, 2, 3, 3], momentum=momentum)
    assert [near_cliff(curves, row) for row in range(6)] == [False, True, False, True, False, True]
    assert choose_point(curves, STEPS, OPTIONS) == (1, -1)
    assert best_at_each_rate(curves, STEPS, OPTIONS).tolist() == [1, 2, 4]


def test_the_tie_goes_to_the_smaller_rate_and_edges_are_those_of_the_rates():
    momentum = np.array([0.0, 0.9, 0.0, 0.9])
    tie = loss_curves([[20], [9], [9], [9]], [1.0, 1, 2, 2], momentum=momentum)
    assert choose_point(tie, STEPS, OPTIONS) == (1, -1)
    last = loss_curves([[20], [9], [8], [9]], [1.0, 1, 2, 2], momentum=momentum)
    assert choose_point(last, STEPS, OPTIONS) == (2, 1)


def test_curves_keep_their_points_as_arrays():
    curves = Curves(STEPS, np.arange(1), {"ssr": loss_curves([[9], [8]], [1.0, 1.0], momentum=np.array([0.0, 0.9]))})
    arrays = curves.to_arrays()
    assert {"learning_rates/ssr", "options/ssr/momentum"} < set(arrays)
    back = Curves.from_arrays(arrays)
    assert (
        back["ssr"].points
        == curves["ssr"].points
        == (Point(1.0, (("momentum", 0.0),)), Point(1.0, (("momentum", 0.9),)))
    )
    assert set(back["ssr"].metrics) == set(METRICS)
    assert back.at_seeds(slice(1))["ssr"].at(rows=[1]).points == (Point(1.0, (("momentum", 0.9),)),)
    plain = Curves(STEPS, np.arange(1), {"ssr": loss_curves([[9], [8]], [1.0, 2.0])})
    assert not [name for name in plain.to_arrays() if name.startswith("options/")]


def test_a_wave_without_options_keeps_its_name():
    """So that runs that were begun before there were any go on."""
    (arm,) = arms_of(["ssr"])
    assert Wave(((arm, Point(0.5)),), (3, 4)).key == {"points": [["ssr", 0.5]], "seeds": [3, 4]}
    with_options = Wave(((arm, Point(0.5, (("momentum", 0.9),))),), (3, 4)).key
    assert with_options == {"points": [["ssr", 0.5, {"momentum": 0.9}]], "seeds": [3, 4]}


def tiny():
    labels = np.repeat(["a", "b", "c"], 20)
    return np.repeat(np.eye(3), 20, axis=0) + 0.5 * np.random.default_rng(0).normal(size=(60, 3)), labels


KNOBS = {
    "model": linear(), "steps": 12, "seeds": 3, "tuning_seeds": 2, "widen": 0, "targets": (0.8,), "resamples": 99,
    "learning_rates": {"low": 0.1, "high": 10.0, "count": 3}, "batch_size": 8, "evaluations": 6,
}  # fmt: skip
FAMILY = ["ssr", {"name": "power_loss", "beta": [0.0, 0.5]}]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_joint_tuning_is_a_loop_over_fixed_options_in_one_program_for_each_loss(monkeypatch):
    compiled, original = [], jax.stages.Lowered.compile

    def counting(self, *arguments, **knobs):
        compiled.append(self)
        return original(self, *arguments, **knobs)

    monkeypatch.setattr(jax.stages.Lowered, "compile", counting)
    found = compare(*tiny(), losses=FAMILY, **KNOBS, options=MOMENTA, schedule="cosine")
    assert len(compiled) == 2 * 2  # SSR and the family: what begins runs, and what advances them
    monkeypatch.undo()
    curves = found.curves["ssr"]
    assert len(curves.points) == 12
    for momentum in MOMENTA["momentum"]:
        for decay in MOMENTA["weight_decay"]:
            fixed = {"momentum": momentum, "weight_decay": decay}
            alone = compare(*tiny(), losses=["ssr"], **KNOBS, optimizer_options=fixed, schedule="cosine").curves["ssr"]
            rows = [curves.row(Point(float(rate), tuple(fixed.items()))) for rate in alone.rates]
            for metric in METRICS:
                np.testing.assert_allclose(curves[metric][rows], alone[metric], rtol=2e-5, atol=2e-6, err_msg=metric)
    apart = [curves["train_loss"][row, 0, -1] for row in range(4)]
    assert len(set(np.round(apart, 4))) == 4
    best = found.summary["losses"]["ssr"]
    assert Point(best["best_learning_rate"], tuple(best["best_options"].items())) in curves.points
    assert found.summary["workload"]["schedule"] == "cosine"


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_random_search_by_compare():
    knobs = {**KNOBS, "search": "random", "draws": 5, "options": {"weight_decay": {"low": 1e-3, "high": 0.1}}}
    found = compare(*tiny(), losses=["cross_entropy", "ssr"], **knobs)
    assert found.curves["ssr"].points == found.curves["cross_entropy"].points
    assert found.curves["ssr"]["ssr"].shape[:2] == (5, 5)
    assert "5 points, drawn at random" in found.headline


MINIMAL = 'dataset = "iris"\nmodel = "linear"\nloss = ["cross_entropy", "ssr"]\n'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.schedule=cosin"], "train.schedule: expected one of constant, cosine, linear, exponential, "
         "warmup_cosine, step, got 'cosin'; did you mean 'cosine'?"),
        (["train.schedule=cosine", "optimizer=sm3"], "schedule: expected 'constant', as optax.sm3 takes a fixed rate"),
        (["sweep.search=grit"], "sweep.search: expected one of grid, random, got 'grit'; did you mean 'grid'?"),
        (["sweep.draws=1"], "sweep.draws: expected at least 2, got 1"),
        (["sweep.options.momentum=[]"], "sweep.options.momentum: expected a list of different numbers, got []"),
        (["sweep.options.momentum=true"], "sweep.options.momentum: expected a list of different numbers, got True"),
        (["sweep.options.momentum=0.1,high"], "expected a list of different numbers, got [0.1, 'high']"),
        (["sweep.options.momentum=0.9,0.9"], "expected a list of different numbers, got [0.9, 0.9]"),
        (["sweep.options.momentum=0.9,nan"], "expected finite numbers, texts, true or false, or lists of"),
        (["sweep.options.weight_decay={low=0.1,high=1}"], "expected a list of numbers where search is 'grid'"),
        (["sweep.search=random", "sweep.options.weight_decay={low=0,high=1}"], "expected {low, high} with 0 < low"),
        (["sweep.search=random", "sweep.options.weight_decay={lo=1,high=2}"], "expected {low, high} with 0 < low"),
        (["sweep.options=0.1"], "sweep.options: expected a table, got 0.1"),
        (["sweep.options.momentun=0.9"], "sweep.options.momentun: optax.sgd has no option 'momentun'; "
         "did you mean 'momentum'?"),
        (["sweep.options.momentum=0.9", "optimizer_options.momentum=0.5"], "sweep.options.momentum: expected an option "
         "that is not fixed in optimizer_options as well"),
        (["sweep.options.nesterov=0,1"], "sweep.options.nesterov: expected an option that is a number (momentum, "
         "weight_decay), got 'nesterov'"),
        (["sweep.options.learning_rate=0.1"], "none called learning_rate, as rates belong to sweep.learning_rates"),
    ],
)  # fmt: skip
def test_mistakes_get_one_clear_line(tmp_path, words, message):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)

    def load():
        name, (config,) = load_config(path, words)
        load_workload(name, config)

    with pytest.raises(UserError) as caught:
        load()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


WORDS = ("sweep.options.momentum=0,0.9", "sweep.widen=0", "train.steps=8", "train.schedule=step")


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation", "own_cache")
def test_a_run_with_options_goes_on_where_it_was_stopped_and_shows_its_points(
    config, tmp_path, monkeypatch, computed, capsys
):
    assert run(config, tmp_path / "dry", *WORDS, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "classifiers        96 (more if" in shown
    assert "compiled programs  2" in shown
    assert "points             8 for each loss: learning rate, momentum" in shown
    monkeypatch.setattr("ce_jax.comparing._planning.SEGMENT_SECONDS", 1e-9)
    assert run(config, tmp_path / "undisturbed", *WORDS) == 0
    folder, every = the_folder(tmp_path / "undisturbed"), list(computed)
    assert "momentum 0" in capsys.readouterr().out
    written, original = [], trainer.write_arrays

    def stopping(path, arrays, **options):
        original(path, arrays, **options)
        written.append(path)
        if len(written) == 12:
            raise KeyboardInterrupt

    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_arrays", stopping)
        assert run(config, tmp_path / "out", *WORDS) == 130
    assert written[-1].name.endswith(".checkpoint.npz")
    begun = len(computed)
    assert run(config, tmp_path / "out", *WORDS) == 0
    assert computed[begun - 1] == computed[begun]  # the wave that was stopped, and none that was finished
    assert len(computed) == len(every) + 1
    expected, found = (read_arrays(one / "curves.npz") for one in (folder, the_folder(tmp_path / "out")))
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    np.testing.assert_array_equal(found["options/ssr/momentum"], [0.0, 0.9] * 4)
    table, summary = pl.read_parquet(folder / "runs.parquet"), read_json(folder / "summary.json")
    for loss, record in summary["losses"].items():
        rows = table.filter(
            (pl.col("loss") == loss)
            & (pl.col("role") == "report")
            & (pl.col("learning_rate") == record["best_learning_rate"])
            & (pl.col("optimizer_options.momentum") == record["best_options"]["momentum"])
        )
        assert rows.height == record["runs"] == 4
        times = rows["steps_to/0.9"].fill_null(8).to_numpy()
        assert record["by_target"]["0.9"]["rmst_steps"] == pytest.approx(times.mean())
    page = (folder / "report.html").read_text()
    for words in (*search_sentences(summary), "8 points, rates", "equal rate and options", "step schedule"):
        assert words in page
    drawn = {drawing.name: drawing for drawing in report.draw(report.read_run(folder))}
    axes = drawn["rates"].figure.axes
    assert axes[2].get_xlabel() == "learning rate (at each of them the best momentum, by the tuning seeds)"
    assert len(axes[0].lines[0].get_xdata()) == 4
    assert "with the momentum that the tuning seeds find best" in drawn["rates"].caption


def test_points_drawn_at_random_are_not_joined_by_lines():
    rate = {"ssr": np.array([0.01, 0.1, 1.0])}
    figures = [
        charts.rates(
            rate, {"ssr": np.full((3, 2), 0.5)}, {"ssr": np.full((3, 2), 9.0)}, {"ssr": 0.1},
            steps=STEPS, goal="90 %", joined=joined,
        )
        for joined in (True, False)
    ]  # fmt: skip
    lines, bands = zip(
        *(({line.get_linestyle() for line in one.axes[2].lines}, len(one.axes[0].collections)) for one in figures),
        strict=True,
    )
    assert lines[0] != {"None"} == lines[1]
    assert bands == (1, 0)
