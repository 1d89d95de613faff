"""Reports from made-up run folders: every number comes from the summary, every word is earned by the numbers."""

import copy
import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ce_jax import comparing
from ce_jax.analysis import rmst, steps_to_target
from ce_jax.comparing import AnalysisOptions
from experiments.errors import UserError
from experiments.pages import report

STEPS = np.array([0, *np.unique(np.geomspace(1, 2000, 40).astype(int))])
TARGETS = (0.9, 0.95)
SPEED = {"cross_entropy": 1.0, "ssr": 0.4, "ssr_on_logits": 0.7}


def make_curves(losses, *, seeds=12, tuning=3, rates=7, steps=STEPS):
    """Curves that rise as 1 - exp(-(speed x rate x step)^0.8), with noise, and blow up at the largest rate."""
    rng = np.random.default_rng(0)
    curves = {"steps": steps, "seeds": np.arange(tuning + seeds)}
    grid = np.geomspace(1e-3, 1.0, rates)
    luck = np.exp(0.35 * rng.normal(size=tuning + seeds))
    for place, loss in enumerate(losses):
        speed = SPEED.get(loss, 1 / (1 + 0.5 * place))
        effort = speed * grid[:, None, None] * luck[:, None] * steps * 0.2
        rise = 1 - np.exp(-(effort**0.8))
        top = 0.97 + 0.01 * rng.normal(size=(1, tuning + seeds, 1))
        accuracy = 0.33 + (top - 0.33) * rise
        probability = 0.34 + 0.62 * rise
        stopped = np.zeros(rise.shape, bool)
        stopped[-1, ::2, len(steps) // 3 :] = True
        values = {
            "train_loss": 1.1 * (1 - rise) + 0.01,
            "cross_entropy": 1.1 * (1 - rise) + 0.01,
            "ssr": 0.7 * (1 - rise) + 0.01,
            "train_accuracy": accuracy,
            "validation_accuracy": np.round(accuracy * 60) / 60,
            "test_accuracy": np.round((accuracy - 0.01) * 60) / 60,
            "gradient_norm": (0.8 if loss == "cross_entropy" else 0.5) * (1 - probability) ** (1 + 0.3 * place),
            "true_class_probability": probability,
        }
        curves[f"learning_rates/{loss}"] = grid
        curves |= {f"{loss}/{name}": np.where(stopped, np.nan, value) for name, value in values.items()}
    return curves


def make_summary(curves, losses, *, tuning=3, best=-2, **workload):
    horizon = int(curves["steps"][-1])
    fresh = slice(tuning, None)
    times = {
        (loss, target): steps_to_target(curves[f"{loss}/validation_accuracy"][best, fresh], curves["steps"], target)
        for loss in losses
        for target in TARGETS
    }

    def around(value, width=0.12):
        return [value * (1 - width), value * (1 + width)]

    def at(loss, target):
        median, mean = float(np.median(times[loss, target])), float(rmst(times[loss, target], horizon))
        return {
            "reached": float(np.mean(np.isfinite(times[loss, target]))),
            "median_steps": median if np.isfinite(median) else None,
            "rmst_steps": mean,
            "rmst_ci": around(mean),
        }

    def compare(a, b, target, rates, **more):
        ratio = float(rmst(times[a, target], horizon) / rmst(times[b, target], horizon))
        chance = {"probability_a_faster": 0.81, "ci_probability": [0.7, 0.9], "log_rank_p": 0.0123}
        return {"a": a, "b": b, "target": target, "rmst_ratio": ratio, "ci": around(ratio), **chance, **rates, **more}

    def result(loss):
        grid = curves[f"learning_rates/{loss}"]
        final = {name: float(np.mean(curves[f"{loss}/{name}"][best, fresh, -1])) for name in ("test_accuracy", "ssr")}
        return {
            "best_learning_rate": float(grid[best]),
            "learning_rates": grid.tolist(),
            "on_edge": False,
            "runs": len(curves["seeds"]) - tuning,
            "diverged": 0,
            "by_target": {f"{target:g}": at(loss, target) for target in TARGETS},
            "final": {name: {"mean": mean, "ci": around(mean, 0.01)} for name, mean in final.items()},
        }

    pairs = [(losses[0], loss, target) for loss in losses[1:] for target in TARGETS]
    known = {"dataset": "iris", "model": "mlp", "optimizer": "sgd", "start": "he", "batch_size": "full", "name": "demo"}
    judged = {"target_metric": "validation_accuracy", "confidence": 0.95, "features": 4, "classes": ["a", "b", "c"]}
    judged["examples"] = {"train": 1090, "validation": 30, "test": 30}
    sizes = {"steps": horizon, "seeds": len(curves["seeds"]) - tuning, "tuning_seeds": tuning, "loss": list(losses)}
    rates = {"learning_rates": dict.fromkeys(losses, 0.1)}
    return {
        "schema": 1,
        "workload": {**known, **sizes, **judged, **workload},
        "targets": list(TARGETS),
        "losses": {loss: result(loss) for loss in losses},
        "comparisons": [compare(*pair, {}) for pair in pairs],
        "untuned_comparisons": [
            compare(*pair, rates, kind=kind) for kind in ("equal_rate", "equal_first_step") for pair in pairs
        ],
    }


def make_run(folder, losses=("cross_entropy", "ssr"), **workload):
    folder.mkdir(parents=True)
    curves = make_curves(losses)
    np.savez(folder / "curves.npz", **curves)
    summary = make_summary(curves, losses, **workload)
    config = {
        "dataset": "iris",
        "loss": list(losses),
        "sweep": {"tuning_seeds": 3, "seeds": 12},
        "analysis": dataclasses.asdict(AnalysisOptions()),
    }
    provenance = {
        "versions": {"jax": "0.10.2", "python": "3.11.2"},
        "devices": ["cpu:0"],
        "git": {"commit": "0123abcd", "dirty": True},
        "command": "python -m experiments run configs/quickstart.toml train.steps=2000",
        "run_seconds": 12.5,
    }
    for name, content in (("summary", summary), ("config", config), ("provenance", provenance)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return summary


class Page(HTMLParser):
    """What a browser would make of a page: its text, its tags and what they refer to."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.pieces = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join("".join(self.pieces).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.pieces.append(data)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "demo-0123"
    make_run(folder, ("cross_entropy", "ssr", "ssr_on_logits"))
    report.build_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run_dir):
    return Page(run_dir / "report.html")


@pytest.fixture
def summary():
    """A plain case: cross-entropy takes 0.42 times the steps, all runs reach 90 %, four fifths of SSR's reach 95 %."""

    def loss(*reached):
        at = {"median_steps": 50.0, "rmst_steps": 60.0, "rmst_ci": [50.0, 70.0]}
        by_target = {key: {"reached": value, **at} for key, value in zip(("0.9", "0.95"), reached, strict=True)}
        final = {"test_accuracy": {"mean": 0.96, "ci": [0.95, 0.97]}}
        best = {"best_learning_rate": 0.1, "learning_rates": [0.01, 0.1, 1.0], "on_edge": False}
        return {**best, "runs": 50, "diverged": 0, "by_target": by_target, "final": final}

    chance = {"probability_a_faster": 0.9, "ci_probability": [0.8, 0.95]}
    pair = {"a": "cross_entropy", "b": "ssr", **chance}
    known = {"dataset": "iris", "model": "mlp", "optimizer": "sgd", "start": "he", "batch_size": "full", "steps": 2000}
    return {
        "schema": 1,
        "workload": {
            **known,
            "seeds": 50,
            "tuning_seeds": 10,
            "target_metric": "validation_accuracy",
            "confidence": 0.95,
        },
        "targets": [0.9, 0.95],
        "losses": {"cross_entropy": loss(1.0, 1.0), "ssr": loss(1.0, 0.8)},
        "comparisons": [
            {**pair, "target": 0.9, "rmst_ratio": 0.51, "ci": [0.45, 0.6]},
            {**pair, "target": 0.95, "rmst_ratio": 0.42, "ci": [0.36, 0.5]},
        ],
    }


def set_reached(summary, target, cross_entropy, ssr):
    for loss, share in (("cross_entropy", cross_entropy), ("ssr", ssr)):
        summary["losses"][loss]["by_target"][target]["reached"] = share


def test_the_finding_gives_ratio_interval_and_seeds(summary):
    assert comparing.finding(summary) == (
        "On iris (mlp, sgd), cross-entropy reached 95 % validation accuracy in 0.42 times the steps SSR on "
        "probabilities needed (95 % interval 0.36 to 0.50; 50 fresh seeds, each loss at its own tuned learning rate)."
    )


@pytest.mark.parametrize(
    ("ratio", "ci", "status", "words"),
    [
        (0.42, [0.36, 0.5], "faster", "reached 95 % validation accuracy in 0.42 times"),
        (1.8, [1.2, 2.5], "slower", "cross-entropy was slower: it needed 1.80 times the steps SSR on probabilities"),
        (0.9, [0.8, 1.05], "open", "no difference in speed could be shown: cross-entropy took 0.90 times"),
        (0.9, [0.8, 1.0], "open", "no difference in speed could be shown"),
        (1.1, [0.998, 1.2], "open", "0.998 to 1.20"),
        (None, None, "untimed", "no ratio of speeds could be told"),
        (float("nan"), [0.5, float("inf")], "untimed", "no ratio of speeds could be told"),
    ],
)
def test_the_words_follow_the_interval(summary, ratio, ci, status, words):
    summary["comparisons"][1] |= {"rmst_ratio": ratio, "ci": ci}
    assert comparing.main_pair(summary).status == status
    assert words in comparing.finding(summary)


def test_the_headline_keeps_to_the_target_that_the_config_fixes(summary):
    """Whatever the outcome: the highest unless it says another."""
    set_reached(summary, "0.95", 0.1, 0.02)
    assert comparing.shown_target(summary) == 0.95
    summary["headline_target"] = 0.9
    assert comparing.shown_target(summary) == 0.9
    assert "90 % validation accuracy in 0.51 times" in comparing.finding(summary)


def test_when_neither_loss_gets_there_nothing_is_claimed(summary):
    set_reached(summary, "0.95", 0.0, 0.0)
    set_reached(summary, "0.9", 0.12, 0.04)
    said = comparing.headline(summary)
    assert "which loss is faster to 95 % validation accuracy stays open" in said
    assert "neither cross-entropy nor SSR on probabilities got there in any run" in said
    assert "the highest target reached was 90 % validation accuracy, by cross-entropy in 12 % and" in said
    assert "times the steps" not in said


@pytest.mark.parametrize(("reached", "side"), [((1.0, 0.0), "b"), ((0.0, 1.0), "a")])
def test_a_loss_that_never_gets_there_makes_the_ratio_a_bound(summary, reached, side):
    set_reached(summary, "0.95", *reached)
    summary["comparisons"][1] |= {"rmst_ratio": 0.2 if side == "b" else 5.0, "ci": [4.0, 6.0], "censored": side}
    assert "at least 5.00 times the steps" in comparing.finding(summary)
    assert "in every run" in comparing.finding(summary)
    assert comparing.bounded(summary["comparisons"][1]) in comparing.text_table([summary])


def test_workloads_that_differ_in_their_start_alone_are_told_in_one_sentence(summary):
    stalled = copy.deepcopy(summary)
    stalled["workload"]["start"] = "saturated"
    summary["comparisons"][1] |= {"ci": [0.3, 1.2]}
    for record, norms in ((summary, (2.0, 1.0)), (stalled, (10.0, 0.5))):
        for loss, norm in zip(("cross_entropy", "ssr"), norms, strict=True):
            record["losses"][loss]["first_gradient_norm"] = norm
    said = comparing.joined_headline([summary, stalled])
    assert "from the start he, no difference in speed could be shown" in said
    assert "from the start saturated, cross-entropy is faster" in said
    assert "0.50 times that of cross-entropy from he and 0.05 times that of cross-entropy from saturated" in said
    del summary["losses"]["ssr"]["first_gradient_norm"]
    assert "Why" not in comparing.joined_headline([summary, stalled])


def test_caveats_name_misses_divergence_edges_and_few_seeds_and_nothing_else(summary):
    set_reached(summary, "0.95", 1.0, 1.0)
    assert comparing.caveats(summary) == []
    set_reached(summary, "0.95", 1.0, 0.8)
    (misses,) = comparing.caveats(summary)
    assert misses.startswith("Cross-entropy got there in 100 % of its runs, SSR on probabilities in 80 %")
    summary["losses"]["ssr"] |= {"diverged": 3, "on_edge": True}
    summary["workload"]["seeds"] = 4
    _, diverged, edge, few = comparing.caveats(summary)
    assert "3 of the 50 runs of SSR on probabilities diverged" in diverged
    assert "SSR on probabilities still lies on the edge" in edge
    assert "cross-entropy" not in edge
    assert "only 4 fresh seeds" in few


def test_a_single_loss_is_described_and_not_compared(summary):
    del summary["losses"]["ssr"]
    summary["comparisons"] = []
    said = comparing.headline(summary)
    assert "cross-entropy reached 95 % validation accuracy within 2,000 steps in 100 % of its runs" in said
    assert "no other loss" in said


def test_other_pairs_metrics_and_levels_are_named(summary):
    summary["losses"]["ssr_on_logits"] = summary["losses"].pop("ssr")
    for comparison in summary["comparisons"]:
        comparison["b"] = "ssr_on_logits"
    summary["workload"]["target_metric"] = "test_accuracy"
    summary["workload"]["confidence"] = 0.9
    said = comparing.headline(summary)
    assert "95 % test accuracy in 0.42 times the steps SSR on logits needed (90 % interval" in said
    assert "on probabilities" not in said


def test_the_joined_sentence_counts_workloads_and_pools_nothing(summary):
    slower, unsure, lost = (copy.deepcopy(summary) for _ in range(3))
    for record, model in ((slower, "linear"), (unsure, "cnn"), (lost, "my_module:make")):
        record["workload"]["model"] = model
    slower["comparisons"][1] |= {"rmst_ratio": 1.5, "ci": [1.2, 1.9]}
    unsure["comparisons"][1] |= {"ci": [0.3, 1.2]}
    for target in ("0.9", "0.95"):
        set_reached(lost, target, 0.0, 0.0)
    said = comparing.joined_headline([summary, slower, unsure, lost])
    fewer = "in 1 of 4 workloads (mlp) cross-entropy needed fewer steps than SSR on probabilities, 0.42 times"
    assert said.startswith(f"On iris · sgd: {fewer}")
    others = ("(linear) it needed more", "(cnn) no difference could be shown", "(my_module:make) they could not be")
    for part in [f"in 1 {other}" for other in others]:
        assert part in said


def test_the_joined_sentence_of_ties_says_so(summary):
    summary["comparisons"][1] |= {"ci": [0.3, 1.2]}
    said = comparing.joined_headline([summary, summary])
    both = "(iris · mlp · sgd, iris · mlp · sgd)"  # nothing tells them apart
    assert said.startswith(
        f"In 2 of 2 workloads {both} no difference in steps between cross-entropy and SSR on probabilities"
    )
    assert "fewer" not in said


def test_the_terminal_table_fits_80_columns_and_takes_names_literally(summary):
    summary["losses"]["mine:loss[red]"] = copy.deepcopy(summary["losses"]["ssr"])
    summary["losses"]["ssr"]["by_target"]["0.95"] |= {
        "median_steps": None,
        "rmst_steps": 1834.0,
        "rmst_ci": [1700.0, 1999.0],
    }
    printed = comparing.text_table([summary])
    assert max(map(len, printed.splitlines())) <= 80
    for piece in ("SSR on probabilities", "mine:loss[red]", "80 %", "1,834", "1,700–1,999", "0.42", "0.36–0.50", " – "):
        assert piece in printed
    assert "…" not in printed


def test_the_table_of_a_notebook_has_the_same_rows_and_takes_names_literally(summary):
    summary["losses"]["mine:<b>"] = copy.deepcopy(summary["losses"]["ssr"])
    summary["workload"]["dataset"] = "<script>"
    fragment = comparing.html_table(summary)
    assert "<script>" not in fragment
    assert "<b>" not in fragment
    assert "&lt;script&gt; · mlp · sgd: 95 % validation accuracy" in fragment
    assert "<td>mine:&lt;b&gt;</td><td>80 %</td><td>50</td><td>60<br>50–70</td>" in fragment
    assert fragment.count("<tr>") == 4
    assert "<td>0.42<br>0.36–0.50</td>" in fragment


def test_the_first_sentence_of_the_page_is_the_finding(run_dir, page):
    stored = json.loads((run_dir / "summary.json").read_text())
    first = re.search(r"<p[^>]*>(.*?)</p>", page.source, re.DOTALL).group(1)
    assert first == comparing.finding(stored)
    assert page.text.index(first) < page.text.index("How fast")


def test_every_number_of_the_summary_is_on_the_page(run_dir, page):
    stored = json.loads((run_dir / "summary.json").read_text())
    for result in stored["losses"].values():
        for at in result["by_target"].values():
            assert comparing.count(at["rmst_steps"]) in page.text
            assert comparing.interval(at["rmst_ci"], comparing.count) in page.text
        assert comparing.share(result["final"]["test_accuracy"]["mean"]) in page.text
    for comparison in stored["comparisons"]:
        assert comparing.interval(comparison["ci"], comparing.ratio) in page.text
    command = re.search(r'<pre id="command">(.*?)</pre>', page.source, re.DOTALL).group(1).splitlines()
    assert command == ["git checkout 0123abcd", "python -m experiments run configs/quickstart.toml train.steps=2000"]
    for piece in ("equal rate", "equal first step", "0.012", "1,090 training, 30 validation and 30 test examples"):
        assert piece in page.text
    for piece in ("sweep.tuning_seeds", "versions.jax", "0.10.2", "working tree had changes", "SSR on logits"):
        assert piece in page.text


def test_a_changed_summary_changes_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "draw", lambda run: [])  # only the words are looked at here
    make_run(tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    changed = json.loads(path.read_text())
    changed["comparisons"][1] |= {"rmst_ratio": 0.1234, "ci": [0.0911, 7.77]}
    changed["losses"]["ssr"]["final"]["test_accuracy"] = {"mean": None, "ci": None}
    changed["workload"]["dataset"] = "<script>alert('x')</script>"
    path.write_text(json.dumps(changed))
    page = Page(report.build_report(tmp_path / "run"))
    assert "no difference in speed could be shown: cross-entropy took 0.12 times" in page.text
    assert "0.091 to 7.77" in page.text
    assert "<script>alert" not in page.source
    assert "On <script>alert('x')</script> (mlp, sgd)" in page.text


def test_the_page_fetches_nothing(run_dir, page):
    assert not {"iframe", "object", "embed", "img", "base"} & set(page.tags)
    references = [
        value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "action")
    ]
    local = [value for value in references if not value.startswith(("#", "data:"))]
    assert local
    for value in local:
        assert "//" not in value
        assert value == "runs.parquet" or (run_dir / value).is_file()
    assert "@import" not in page.source
    assert "script" not in {tag for tag, name, _ in page.attributes if name == "src"}
    assert all(value.startswith("#") for value in re.findall(r"url\(([^)]*)\)", page.source))
    assert "default-src 'none'" in page.source


def test_inlined_figures_do_not_share_ids(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert page.tags.count("svg") == 12  # each of them for a phone, too
    used = re.findall(r'(?:href="#|url\(#)([^")]*)', page.source)
    assert used
    assert set(used) <= set(ids)


def test_a_rebuild_gives_the_same_bytes(run_dir):
    paths = sorted(path for path in run_dir.rglob("*") if path.suffix in (".svg", ".png", ".html"))
    drawn = ["convergence", "gradient", "map", "rates", "ratios", "survival"]
    assert [path.stem for path in paths if path.suffix == ".svg"] == drawn
    before = [path.read_bytes() for path in paths]
    report.build_report(run_dir)
    assert [path.read_bytes() for path in paths] == before


def test_figures_show_the_fresh_seeds_at_the_best_rate(run_dir):
    run = report.read_run(run_dir)
    drawn = {drawing.name: drawing.figure for drawing in report.draw(run)}
    line = drawn["convergence"].axes[0].lines[1]
    np.testing.assert_allclose(line.get_ydata(), np.median(run.curves["ssr"]["validation_accuracy"][-2, 3:], axis=0))
    steps = run.summary["losses"]["ssr"]["by_target"]["0.95"]["median_steps"]
    ring = [line for line in drawn["rates"].axes[1].lines if line.get_markersize() == 12][1]
    assert ring.get_xdata() == [run.summary["losses"]["ssr"]["best_learning_rate"]]
    assert ring.get_ydata() == [steps]


def test_the_joined_page_links_to_each_run(tmp_path):
    folders = [tmp_path / "results" / name for name in ("a run", "b")]
    for folder, model in zip(folders, ("linear", "mlp"), strict=True):
        make_run(folder, model=model)
    page = Page(report.build_joined_report(tmp_path / "results" / "joined", folders, "two <models>"))
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert {"../a%20run/report.html", "../b/report.html", "figures/ratios.svg"} <= links
    assert "in 2 of 2 workloads (linear, mlp) cross-entropy needed fewer steps" in page.text
    assert "two <models>" in page.text
    assert (tmp_path / "results" / "joined" / "figures" / "ratios.png").is_file()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("curves.npz", None, "curves.npz is missing"),
        ("curves.npz", b"cut off", "cannot be read back"),
        ("summary.json", b"{", "cannot be read back"),
        ("summary.json", b'{"schema": 2}', "expected summary.json of schema 1, got 2"),
    ],
)
def test_a_folder_that_is_no_finished_run_is_refused_in_one_line(tmp_path, name, content, words):
    make_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        report.build_report(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "report.html").exists()
