"""What changed between two runs: numbers of both, an interval that pairs nothing, and a page of its own."""

import functools
import json
import re

import numpy as np
import pytest
from rich.console import Console

from ce_jax.comparing import AnalysisOptions, Curves, summarise
from experiments.__main__ import main
from experiments.errors import UserError
from experiments.pages.changes import Ranged, changes
from experiments.pages.finished import read_run
from experiments.pages.two_runs import finding
from experiments.run.comparing import compare_command
from tests.browsing import watched
from tests.test_report import STEPS, Page, make_run


def make(folder, *, slower=1.0, losses=("cross_entropy", "ssr"), seed=0, targets=(0.9, 0.95), end=None, **settings):
    """A run whose curves reach every level `slower` times as late, summarised as a real one is."""
    make_run(folder, losses)
    arrays = dict(np.load(folder / "curves.npz"))
    luck = np.exp(0.2 * np.random.default_rng(seed).normal(size=15))
    for loss in losses:
        rates = arrays[f"learning_rates/{loss}"][:, None, None]
        effort = rates * luck[:, None] * STEPS / (slower * (1 + 0.5 * losses.index(loss)))
        arrays |= {
            f"{loss}/{part}_accuracy": 0.3 + 0.68 * (1 - np.exp(-0.2 * effort))
            for part in ("validation", "test", "train")
        }
        for part in ("test_balanced", "test_rare"):
            arrays[f"{loss}/{part}_accuracy"] = arrays[f"{loss}/test_accuracy"]
        arrays[f"{loss}/train_loss"] = np.ones_like(effort)
    if end is not None:
        arrays = {
            name: values[..., : end + 1] if values.shape[-1] == len(STEPS) else values
            for name, values in arrays.items()
        }
    np.savez(folder / "curves.npz", **arrays)
    config = json.loads((folder / "config.json").read_text())
    config["analysis"] |= {"targets": targets, "resamples": 499} | settings.pop("analysis", {})
    config |= {"model": "mlp", "train.steps": 2000} | settings
    options = AnalysisOptions(**config["analysis"] | {"targets": tuple(targets)})
    work = json.loads((folder / "summary.json").read_text())["workload"] | {"target_metric": options.target_metric}
    summary = summarise(work, Curves.from_arrays(arrays), 3, options)
    for name, content in (("config", config), ("summary", summary)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return make(folder / "fast-0123456789"), make(folder / "slow-9876543210", slower=2.0, mlp={"hidden": [8]})


@pytest.fixture(scope="module")
def page(pair):
    assert main(["report", *map(str, pair)]) == 0
    return pair[0].parent / "compared" / "fast-0123456789--slow-9876543210.html"


def test_each_side_has_the_numbers_of_its_own_summary(pair):
    runs = [read_run(folder) for folder in pair]
    found = changes(*runs)
    assert [(one.loss, one.target) for one in found.speeds[:2]] == [("cross_entropy", 0.95), ("ssr", 0.95)]
    for one in found.speeds:
        for side, run in enumerate(runs):
            stored = run.summary["losses"][one.loss]["by_target"][f"{one.target:g}"]
            assert one.steps[side].value == pytest.approx(stored["rmst_steps"])
            assert one.steps[side].ci == pytest.approx(stored["rmst_ci"])
            assert one.reached[side] == stored["reached"]
    for one in found.leads:
        for side, run in enumerate(runs):
            (stored,) = [c for c in run.summary["comparisons"] if c["b"] == one.loss and c["target"] == one.target]
            assert one.ratios[side].value == pytest.approx(stored["rmst_ratio"])
            assert one.ratios[side].ci == pytest.approx(stored["ci"])
    for one in found.accuracies:
        stored = [run.summary["losses"][one.loss]["final"]["test_accuracy"] for run in runs]
        assert [side.value for side in one.finals] == pytest.approx([each["mean"] for each in stored])
        assert one.change.value == pytest.approx(stored[1]["mean"] - stored[0]["mean"])


def test_the_interval_is_that_of_two_independent_samples(pair):
    """On the logarithm, its width is that of both sides' own intervals put together, though all seeds are the same."""
    found = changes(*(read_run(folder) for folder in pair))
    for one in found.speeds:
        widths = [np.log(side.ci[1]) - np.log(side.ci[0]) for side in one.steps]
        width = np.log(one.change.ci[1]) - np.log(one.change.ci[0])
        assert width == pytest.approx(np.hypot(*widths), rel=0.2)
        assert one.change.changed
        assert 1.6 < one.change.value < 2.4


def test_the_finding_tells_which_other_targets_say_otherwise(pair):
    runs = [read_run(folder) for folder in pair]
    found, same = changes(*runs), {"data": True}
    sentence = finding(found, runs[0].summary, same)
    assert sentence.count("became slower") == 2
    assert sentence.endswith(" To 90 %: the same.")
    (place,) = [at for at, one in enumerate(found.speeds) if (one.loss, one.target) == ("ssr", 0.9)]
    quicker = found.speeds[place]._replace(change=Ranged(0.5, (0.4, 0.6)))
    mixed = found._replace(speeds=[*found.speeds[:place], quicker, *found.speeds[place + 1 :]])
    *_, other = finding(mixed, runs[0].summary, same).split(" To 90 %: ")
    assert "cross-entropy became slower" in other
    assert "SSR on probabilities became faster (0.50 times the steps, 0.40 to 0.60)" in other


def test_two_samples_of_the_same_show_no_change(tmp_path):
    first, second = make(tmp_path / "one"), make(tmp_path / "two", seed=1)
    found = changes(read_run(first), read_run(second))
    assert not any(one.change.changed for one in (*found.speeds, *found.leads))
    same = changes(read_run(first), read_run(first))
    assert all(one.change.value == 1 for one in same.speeds)
    assert not any(one.change.changed for one in same.speeds)


def test_a_loss_that_never_arrives_makes_a_bound_and_the_shorter_run_says_how_far_is_counted(tmp_path):
    first = make(tmp_path / "one", end=25)
    second = make(tmp_path / "two", slower=1e4, end=30)
    found = changes(read_run(first), read_run(second))
    assert found.horizon == STEPS[25]
    assert {one.change.censored for one in found.speeds if one.target == 0.9} == {"a"}
    assert all(one.steps[1].value == found.horizon for one in found.speeds)
    compare_command((first, second), tmp_path / "page.html", Console(quiet=True))
    text = Page(tmp_path / "page.html").text
    assert "cross-entropy got there in A alone, so that it needs at least" in text
    assert "The runs differ in length: steps are counted up to" in text


def test_the_page_says_what_differs_and_how_sure(page):
    text = Page(page).text
    assert "From A to B to 95 % validation accuracy (95 % intervals): cross-entropy became slower (" in text
    assert re.search(r"mlp\.hidden ?– ?\[8\]", text)
    assert "Both ran the same seeds" in text
    assert 'href="../fast-0123456789/report.html"' not in page.read_text()  # nobody has written it
    assert len(re.findall(r"<svg.*?</svg>", page.read_text(), re.DOTALL)) == 4  # each of them for a phone, too
    assert sorted(path.name for path in page.parent.iterdir()) == [page.name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": ("lq_loss", "focal_loss")}, "got no loss that both have"),
        ({"targets": (0.5,)}, r"got no target that both have \(0.9, 0.95; 0.5\)"),
        ({"analysis": {"target_metric": "test_accuracy"}}, "in validation_accuracy, of the other in test_accuracy"),
    ],
)
def test_runs_of_different_questions_are_refused(tmp_path, pair, change, message):
    other = make(tmp_path / "other", **change)
    with pytest.raises(UserError, match=f"report: expected two runs of one question, .*{message}"):
        compare_command((pair[0], other), None, Console(quiet=True))


def test_what_is_no_run_is_refused_in_one_line(tmp_path, pair, capsys):
    (tmp_path / "empty").mkdir()
    (joined := tmp_path / "all-joined").mkdir()
    (joined / "joined.json").write_text("{}")
    wrong = {
        (pair[0], tmp_path / "empty"): "expected the folder of a finished run, but provenance.json is missing",
        (pair[0].with_name("fas-0123456789"), pair[1]): "no such folder; did you mean 'fast-0123456789'?",
        (pair[0], joined): "expected the folder of one run, got the page over several",
        (pair[0], pair[0]): "expected two runs, got",
    }
    for folders, message in wrong.items():
        assert main(["report", *map(str, folders)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert main(["report", str(pair[0]), "--out", str(tmp_path / "x.html")]) == 2
    assert main(["report", *map(str, pair), "--out", str(tmp_path)]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_scrolls_sideways_and_rows_tell_their_values(browser, page, width):
    with watched(browser) as open_page:
        view = functools.partial(open_page, page.as_uri())(viewport={"width": width, "height": 800})
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        shown = f"figure:has(#caption-speeds) .{'narrow' if width < 640 else 'wider'}"
        view.focus(f"{shown} svg")
        assert " · A\n" in view.inner_text(f"{shown} .point")
