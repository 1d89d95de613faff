"""The lesson: its numbers against the textbook and a computation of its own in NumPy, its options, its page."""

import dataclasses
import html
import inspect
import io
import re

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from sklearn.datasets import load_iris

from ce_jax import Layer, linear
from ce_jax.analysis import Estimate
from experiments.errors import UserError
from experiments.lesson import command, compute, lesson_command, load_network, sentences, tables, terminal, training
from experiments.lesson.contrast import contrast
from experiments.lesson.derivatives import backpropagation, bias_step
from experiments.lesson.escape import RATE, closed_form, escape
from experiments.lesson.example import formula, worked_example
from experiments.lesson.network import TEXTBOOK, LayerTable
from experiments.lesson.page import write_page
from experiments.lesson.surfaces import surfaces

DEEP = """
class_names = ["no", "yes"]
activation = "tanh"
[[layers]]
weights = [[1, -2, 0.3], [0.5, 0.25, 0]]
biases = [0, 0.1]
[[layers]]
weights = [[1, -2], [0.5, 0.25], [-1, 0.75]]
biases = [0, 0.1, 0.2]
[[layers]]
weights = [[1, -2, 0.5], [0.5, 0.25, 2]]
biases = [0, 0.1]
[[rows]]
inputs = [0.1, 0.2, 0.3]
label = "yes"
[[rows]]
inputs = [-1, 0.5, 3]
label = "no"
"""
HIDDEN = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}


def losses_in_numpy(network):
    """The cross-entropy of every row from the fields of the file alone."""
    found = []
    for row in network.rows:
        values = np.array(row.inputs)
        for layer in network.layers[:-1]:
            values = HIDDEN[network.activation](np.array(layer.weights) @ values + layer.biases)
        powers = np.exp(np.array(network.layers[-1].weights) @ values + network.layers[-1].biases)
        found.append(-np.log(powers[network.class_names.index(row.label)] / powers.sum()))
    return np.array(found)


def with_parameter(network, layer, unit, source, value):
    """`network` with one weight (or, for source None, one bias) set."""
    weights, biases = [list(line) for line in network.layers[layer].weights], list(network.layers[layer].biases)
    if source is None:
        biases[unit] = value
    else:
        weights[unit][source] = value
    changed = list(network.layers)
    changed[layer] = LayerTable(tuple(map(tuple, weights)), tuple(biases))
    return dataclasses.replace(network, layers=tuple(changed))


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "deep.toml"
    path.write_text(DEEP)
    return load_network(path)


@pytest.fixture(scope="module")
def textbook():
    return load_network()


@pytest.fixture(scope="module")
def example(textbook):
    return worked_example(textbook)


@pytest.fixture(scope="module")
def lesson():
    return compute()


@pytest.fixture(scope="module")
def page(lesson, tmp_path_factory):
    return write_page(lesson, tmp_path_factory.mktemp("lesson"))


# 1 the worked example


def test_the_textbook_numbers(textbook, example):
    np.testing.assert_allclose(example.probabilities[[0, 1, 2], [0, 2, 1]], [0.5677, 0.5761, 0.5182], atol=5e-5)
    np.testing.assert_array_equal(example.predicted, textbook.labels)
    np.testing.assert_array_equal(example.rounded_probabilities, [0.57, 0.58, 0.52])
    np.testing.assert_array_equal(example.rounded_losses, [0.56, 0.54, 0.65])
    assert example.total_of_rounded_losses == pytest.approx(textbook.published.total, abs=1e-12)
    assert example.total_of_rounded_probabilities == pytest.approx(1.7608, abs=5e-5)
    assert example.total == pytest.approx(1.7750, abs=5e-5)


def test_every_number_follows_a_changed_weight(textbook, example, deep):
    changed = with_parameter(textbook, 1, 0, 1, 0.25)
    after = worked_example(changed)
    np.testing.assert_allclose(after.losses, losses_in_numpy(changed), rtol=1e-12)
    np.testing.assert_allclose(worked_example(deep).losses, losses_in_numpy(deep), rtol=1e-12)
    assert after.total != pytest.approx(example.total, abs=0.1)
    assert bias_step(changed).total_before != pytest.approx(bias_step(textbook).total_before, abs=0.01)
    assert formula(changed, after).likelihood == pytest.approx(np.exp(-losses_in_numpy(changed).sum()), rel=1e-12)


def test_a_published_number_is_only_compared():
    assert sentences.against_print(1.75, 1.75).endswith("the same")
    assert sentences.against_print(1.76, 1.75).endswith("does not give")
    assert sentences.against_print(1.76, None) == ""


# 2 the formula


def test_cross_entropy_splits_into_entropy_and_divergence(textbook, example):
    found = formula(textbook, example)
    np.testing.assert_allclose(found.targets.sum(axis=1), 1)
    np.testing.assert_array_equal(found.targets.argmax(axis=1), textbook.labels)
    expected = -(found.targets * np.log(example.probabilities)).sum(axis=1)
    np.testing.assert_allclose(found.cross_entropy, expected, rtol=1e-12)
    np.testing.assert_allclose(found.entropy, np.log(3) - 2 / 3 * np.log(2), rtol=1e-12)
    np.testing.assert_allclose(found.cross_entropy, found.entropy + found.divergence, rtol=1e-12)
    assert found.likelihood == pytest.approx(found.likelihood_from_loss, rel=1e-12)
    for best in found.best.values():
        assert best[2 / 3] == pytest.approx(2 / 3)
        assert best[1 / 2] == pytest.approx(1 / 2)


# 3 cross-entropy against SSR


def test_gradient_norms_behind_the_softmax():
    found = contrast(3)
    norms = {name: [found.norm_at[name][lead] for lead in (0, 2, 4, 6, 8, 10)] for name in found.norm_at}
    published = [0.5443, 0.5076, 0.1234, 0.01828, 0.002505, 0.0003397]
    np.testing.assert_allclose(norms["ssr"], published, rtol=5e-4)
    np.testing.assert_allclose(norms["cross_entropy"], [0.8165, 1.1954, 1.3769, 1.4090, 1.4135, 1.4141], atol=5e-5)
    p = np.exp([0, -6, -6]) / np.exp([0, -6, -6]).sum()
    assert found.norm_at["cross_entropy"][-6] == pytest.approx(np.linalg.norm(p - [1, 0, 0]), rel=1e-9)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_ranges_and_slopes(num_classes):
    found = contrast(num_classes)
    even = num_classes / (num_classes - 1)
    assert found.at_zero == {
        "cross_entropy": (np.inf, np.inf),
        "true_class_ssr": (1, 1),
        "ssr": pytest.approx((even, 2.0)),
    }
    assert set(found.at_one.values()) == {0}
    for p in (0.01, 0.5, 0.99):
        assert found.slope_at["cross_entropy"][p] == pytest.approx(-1 / p)
        assert found.slope_at["true_class_ssr"][p] == pytest.approx(-2 * (1 - p))
        assert found.slope_at["ssr"][p] == pytest.approx(-2 * (1 - p) * even)
    assert found.norm_at["ssr"][0] / found.norm_at["cross_entropy"][0] == pytest.approx(2 / num_classes)
    np.testing.assert_allclose(found.ssr_one_wrong, 2 * (1 - found.probability) ** 2)


# 4 backpropagation


@pytest.mark.parametrize("which", ["textbook", "deep"])
def test_each_named_derivative_is_that_of_the_parameter_it_names(which, request):
    network = request.getfixturevalue(which)
    found = backpropagation(network, worked_example(network))
    assert len(found.table) == sum((len(layer.weights[0]) + 1) * len(layer.biases) for layer in network.layers)
    for one in found.table:
        layer = one.layer - 1
        unit = network.unit_names(one.layer).index(one.unit)
        source = None if one.source is None else network.unit_names(layer).index(one.source)
        up, down = (
            losses_in_numpy(with_parameter(network, layer, unit, source, one.value + step)).sum()
            for step in (1e-6, -1e-6)
        )
        for route in (one.by_hand, one.backprop, one.autodiff, one.finite_difference):
            assert route == pytest.approx((up - down) / 2e-6, abs=1e-7)
        assert one.by_hand == pytest.approx(np.dot(one.blame, one.inputs))
    assert found.largest_disagreement < 1e-12
    assert 0 < found.largest_difference_error < 1e-7


def test_the_bias_example(textbook):
    found = bias_step(textbook)
    np.testing.assert_allclose(found.probabilities, [0.1509, 0.0351, 0.0408], atol=5e-5)
    assert found.derivative == pytest.approx(-0.7732, abs=5e-5)
    assert found.autodiff == pytest.approx(found.derivative, rel=1e-12)
    assert found.new == pytest.approx(-1.2268, abs=5e-5)
    totals = (found.total_before, found.total_after, found.total_after_rounded)
    assert totals == pytest.approx((2.6659, 2.1415, 2.1433), abs=6e-5)
    assert (found.rounded_derivative, found.rounded_new) == (-0.77, -1.23)
    np.testing.assert_allclose(found.path[:2], [found.old, found.new])
    assert found.path_totals[-1] == pytest.approx(found.totals.min(), abs=1e-4)


def test_without_a_bias_in_the_file_the_first_class_begins_where_it_is(deep):
    found = bias_step(deep)
    assert (found.class_name, found.old, found.learning_rate) == ("no", 0, 1)
    assert found.total_before == pytest.approx(losses_in_numpy(deep).sum())


# 5 the workflow


def test_the_loop_is_gradient_descent():
    inputs, labels = np.array([[1.0, 2.0], [0.5, -1.0], [-1.0, 0.3]], np.float32), np.array([0, 1, 1])
    weight, bias = np.array([[0.1, -0.2], [0.3, 0.4]]), np.array([0.0, 0.1])
    params = (Layer(jnp.float32(weight), jnp.float32(bias)),)
    found = training.training_loop(params, linear(), "cross_entropy", inputs, labels, learning_rate=0.5, steps=3)
    for loss, accuracy in found:
        powers = np.exp(inputs @ weight + bias)
        p = powers / powers.sum(axis=1, keepdims=True)
        assert loss == pytest.approx(-np.log(p[np.arange(3), labels]).mean(), rel=1e-5)
        assert accuracy == pytest.approx((p.argmax(axis=1) == labels).mean())
        blame = (p - np.eye(2)[labels]) / 3
        weight, bias = weight - 0.5 * inputs.T @ blame, bias - 0.5 * blame.sum(axis=0)
    assert found.shape == (4, 2)


def test_a_path_is_gradient_descent_on_its_surface():
    start = (Layer(jnp.array([[3.0, 4.0]]), jnp.zeros(2)), Layer(jnp.array([[2.0], [-2.0]]), jnp.zeros(1)))
    found = surfaces(start, ("ssr",))
    data = load_iris()
    x = data.data[data.target != 1, 3]
    x, right = (x - x.mean()) / x.std(), data.target[data.target != 1] // 2

    def loss(w, v):
        p = 1 / (1 + np.exp(-v * np.tanh(w * x)))
        return 2 * ((p - right) ** 2).mean()

    column, row = 40, 20
    w, v = found.axis[column], found.axis[row]
    assert found.values["ssr"][row, column] == pytest.approx(loss(w, v), rel=1e-4)
    for path in found.paths["ssr"].values():
        for before, after in ((0, 1), (7, 8)):
            w, v = path.weights[before].astype(float)
            slope = [(loss(w + 1e-5, v) - loss(w - 1e-5, v)) / 2e-5, (loss(w, v + 1e-5) - loss(w, v - 1e-5)) / 2e-5]
            np.testing.assert_allclose(path.weights[after], [w - slope[0], v - slope[1]], rtol=1e-3)
            assert path.losses[before] == pytest.approx(loss(w, v), rel=1e-4)
    np.testing.assert_allclose(found.paths["ssr"]["start"].weights[0], [12.5**0.5, -2.0], rtol=1e-6)
    halves = found.paths["ssr"]["corner"].losses < found.paths["ssr"]["corner"].losses[0] / 2
    assert found.halving["ssr"] == np.flatnonzero(halves)[0]


@pytest.mark.slow
def test_the_sweep_holds_the_loop_and_its_summary_is_that_of_its_curves(lesson):
    flow = lesson.workflow
    assert flow.loop_against_sweep < 1e-3
    for speed in (flow.equal, flow.tuned):
        times = {}
        for loss, accuracy in speed.accuracy.items():
            reached = accuracy >= training.TARGET
            times[loss] = np.where(reached.any(axis=1), flow.steps[reached.argmax(axis=1)], training.STEPS)
            assert speed.reached[loss] == reached.any(axis=1).mean()
            assert speed.mean_steps[loss] == pytest.approx(times[loss].mean())
        assert speed.ratio.value == pytest.approx(times["cross_entropy"].mean() / times["ssr"].mean())
        assert speed.ratio.low <= speed.ratio.value <= speed.ratio.high
    assert set(flow.equal.rates.values()) == {training.LOOP_RATE}
    first = {loss: curve[0, 1] for loss, curve in flow.loops.items()}
    assert first["ssr"] == first["cross_entropy"]  # the same start


# 6 why


@pytest.fixture(scope="module")
def escapes():
    return escape()


def test_escape_times_of_the_unit(escapes):
    found = escapes
    at = found.starts.tolist().index(4.0)
    assert {name: steps[at] for name, steps in found.unit.counted.items()} == {"cross_entropy": 17, "ssr": 232}
    assert found.unit.predicted["cross_entropy"][at] == pytest.approx(16.6, abs=0.05)
    assert found.unit.predicted["ssr"][at] == pytest.approx(230.1, abs=0.05)
    assert found.unit.last_slope["ssr"] == pytest.approx(1, abs=0.03)
    a = 1 / (1 + np.exp(-found.fine))
    np.testing.assert_allclose(found.slope_of_unit["cross_entropy"], a, rtol=1e-12)
    np.testing.assert_allclose(found.slope_of_unit["ssr"], a**2 * (1 - a), rtol=1e-12)


def test_escape_times_of_three_classes(escapes):
    found = escapes
    for name in ("cross_entropy", "ssr"):
        counted, predicted = found.tied.counted[name], found.tied.predicted[name]
        assert np.abs(counted - predicted).max() < 4
    start = found.starts[5]
    z, steps = np.array([0.0, start, 0.0]), 0
    while np.exp(z[0]) <= np.exp(z[1:]).sum():
        p = np.exp(z) / np.exp(z).sum()
        residual = p - [1, 0, 0]
        z = z - 2 * RATE * 2 * p * (residual - p @ residual)
        steps += 1
    assert found.one_wrong.counted["ssr"][5] == steps


def test_the_closed_form_is_the_integral():
    u = np.linspace(0.5, 1 / (1 + np.exp(-3.0)), 200_001)
    for loss, speed in (("cross_entropy", u), ("ssr", u**2 * (1 - u))):
        assert closed_form(loss, 3.0, 1.0) == pytest.approx(np.trapezoid(1 / (speed * u * (1 - u)), u), rel=1e-6)


# Sentences that depend on numbers


@pytest.mark.parametrize(
    ("estimate", "word"),
    [((0.5, 0.4, 0.9), "faster."), ((1.2, 1.1, 1.3), "slower."), ((0.8, 0.5, 1.1), "no difference shown.")],
)
def test_a_verdict_claims_no_more_than_its_interval(estimate, word):
    assert sentences.verdict(Estimate(*estimate), "tuned").endswith(word)


# Options


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[-2.5, 0.6]", "[[-2.5]", r"layers: layer 1: weights: row 1: expected 2 finite numbers, got \[-2.5\]"),
        ("biases = [1.6, 0.7]", "biases = [1.6]", "layer 1: weights: expected 1 rows"),
        ("biases = [1.6, 0.7]", "biases = [1.6, nan]", "layers.biases: expected a finite number, got nan"),
        ('label = "setosa"', 'label = "setossa"', "row 1: label: .* did you mean 'setosa'"),
        ('class_name = "setosa"', 'class_name = "rose"', "output_bias.class_name: expected one of"),
        ("learning_rate = 1.0", "learning_rate = 0", "output_bias.learning_rate: expected a number above 0, got 0"),
        ("[1.0, 0.54]", "[1.0]", "row 2: inputs: expected 2 finite numbers"),
        ('"relu"', '"rely"', "activation: .* did you mean 'relu'"),
        ('"petal width", ', "", "feature_names: expected 2 names"),
        ('"virginica"]', '"setosa"]', "class_names: expected every name once"),
        ("total = 1.75", "totals = 1.75", "published.totals: unknown key; did you mean 'published.total'"),
        ("[[layers]]", "[[layer]]", "layer: unknown key; did you mean 'layers'"),
        ("class_names =", "= ", "not valid TOML"),
    ],
)
def test_a_wrong_network_file_is_said_in_one_line(tmp_path, old, new, message):
    path = tmp_path / "network.toml"
    text = TEXTBOOK.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert old in text
    with pytest.raises(UserError, match=message) as error:
        load_network(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("start=saturatd", "start: expected one of .* did you mean 'saturated'"),
        ("netwerk=x.toml", "netwerk: expected one of start, network; did you mean 'network'"),
        ("saturated", "expected key=value, got 'saturated'"),
        ("network=/no/such.toml", "no such network file"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_computed(tmp_path, override, message, monkeypatch):
    monkeypatch.setattr(command, "compute", lambda *_: pytest.fail("computed"))
    with pytest.raises(UserError, match=message):
        lesson_command([override], tmp_path, False, Console())


def test_options_reach_the_lesson_and_the_page_is_opened(tmp_path, monkeypatch):
    path = tmp_path / "deep.toml"
    path.write_text(DEEP)
    seen = []
    monkeypatch.setattr(command, "prepare_jax", lambda: None)
    monkeypatch.setattr(command, "compute", lambda network, start: seen.append((network, start)))
    monkeypatch.setattr(command, "show", lambda lesson, console: None)
    monkeypatch.setattr(command, "write_page", lambda lesson, out: out / "lesson.html")
    monkeypatch.setattr("webbrowser.open", seen.append)
    console = Console(quiet=True)
    assert lesson_command(["start=gentle", f"network={path}"], tmp_path / "out", True, console) == 0
    assert lesson_command([], tmp_path / "out", False, console) == 0
    page = (tmp_path / "out" / "lesson.html").as_uri()
    assert seen == [(load_network(path), "gentle"), page, (load_network(), "he")]


# The page


@pytest.mark.slow
def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    outside = [link for link in re.findall(r'(?:src|href)="([^"]*)"', text) if not link.startswith(("#", "data:"))]
    assert outside == []
    assert "<script" not in text
    assert not re.findall(r"url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in re.findall(r'href="(#[^"]+)"', text)} <= set(ids)
    assert text.count("<figure>") == text.count("<figcaption") == text.count("<svg ") / 2  # each for a phone, too
    assert [path.name for path in page.parent.iterdir()] == ["lesson.html"]


@pytest.mark.slow
def test_the_page_shows_the_numbers_and_the_code_that_ran(page):
    text = html.unescape(page.read_text(encoding="utf-8"))
    for shown in ("1.7608", "1.7750", "−0.7732", "−1.2268", "2.6659", "2.1415", "2.1433", "0.5677", "published: 1.75"):
        assert shown in text
    assert inspect.getsource(training.training_loop) in text
    assert inspect.getsource(training.many_runs) in text
    assert len(inspect.getsource(training.training_loop).splitlines()) <= 18
    assert "None" not in re.sub(r"<svg.*?</svg>|<pre.*?</pre>|<style>.*?</style>", "", text, flags=re.DOTALL)


@pytest.mark.slow
def test_the_terminal_shows_the_same_tables(lesson):
    console = Console(file=io.StringIO(), width=170, highlight=False)
    terminal.show(lesson, console)
    text = console.file.getvalue()
    for table in (tables.losses(lesson), tables.derivatives(lesson), tables.speeds(lesson)):
        for row in table.rows:
            assert all(cell in text for cell in row)
    assert re.search(r"17\b.*\b230\.1\b.*\b232\b", text)
