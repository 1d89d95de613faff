"""The claims: their definitions and exact numbers, their rules on made-up measurements, and what the command writes."""

import io
import json
import re

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from ce_jax import Hyperparameters
from ce_jax.comparing import AnalysisOptions, Choice, Curves, Listener, RateGrid, SweepOptions, Trained, TrainOptions
from experiments.__main__ import main
from experiments.claims import (
    CLAIMS,
    command,
    escape_time,
    nielsen_erratum,
    textbook_network,
)
from experiments.claims.record import Claim, Findings, Measurement, Request, effect_text, verdict_of
from experiments.claims.workloads import TrainedConfig, moved, trained
from experiments.config import Config
from experiments.run.workload import load_workload

IDS = {
    "escape-time", "nielsen-erratum", "textbook-network", "gentle-vs-saturated", "rate-unit", "tail-law",
    "dose-response", "landscape", "stuck-deep-sigmoid", "many-classes", "calibration", "default-gap",
}  # fmt: skip
KEYS = {"schema", "id", "statement", "source", "verdict", "rule", "quick", "seeds", "minutes", "measurements"}
KEYS |= {"source_code"}


def request(folder, seed=0):
    return Request(True, seed, folder, Listener())


def test_the_twelve_claims_are_there():
    assert set(CLAIMS) == IDS
    for name, claim in CLAIMS.items():
        assert claim.id == name
        assert all((claim.statement, claim.source, claim.protocol, claim.rule, claim.effect))
        assert re.search("[Cc]onfirmed", claim.rule)
        assert re.search("[Rr]efuted", claim.rule)
        assert re.fullmatch("[0-9a-f]{16}", claim.definition)


def test_a_bare_ssr_in_a_statement_says_on_what():
    for claim in CLAIMS.values():
        for found in re.finditer("SSR", claim.statement):
            assert claim.statement[found.end() :].startswith((" on probabilities", " on logits", " does no harm"))


class TestExactClaims:
    def test_escape_time_counts_the_published_steps(self, tmp_path):
        findings = escape_time.measure(request(tmp_path))
        found = findings.measurements
        assert found["z0=4/cross_entropy/steps"].value == 17
        assert found["z0=4/ssr/steps"].value == 232
        assert found["z0=4/cross_entropy/closed_form"].value == pytest.approx(16.6, abs=0.05)
        assert found["z0=4/ssr/closed_form"].value == pytest.approx(230.1, abs=0.05)
        assert escape_time.decide(found) == "confirmed"
        swapped = {
            key.replace("ssr", "?").replace("cross_entropy", "ssr").replace("?", "cross_entropy"): one
            for key, one in found.items()
        }
        assert escape_time.decide(swapped) == "refuted"
        off = {**found, "z0=4/ssr/finer_steps": Measurement(230.1 * 1.04)}
        assert escape_time.decide(off) == "refuted"

    def test_escape_time_breaks_when_the_losses_are_swapped(self, monkeypatch):
        from ce_jax.losses import hand_written

        swap = {"cross_entropy": "ssr", "ssr": "cross_entropy"}
        monkeypatch.setattr("experiments.lesson.escape.hand_written", lambda loss: hand_written(swap[loss]))
        monkeypatch.setattr("experiments.claims.escape_time.STARTS", (4.0, 6.0))
        escape_time.count_steps.clear_cache()
        counted, closed = escape_time.count(0.15)[""], escape_time.predict(0.15)[""]
        escape_time.count_steps.clear_cache()
        assert np.all(np.abs(counted["ssr"] / closed["ssr"] - 1) > 0.5)

    def test_nielsen_ends_where_the_book_does(self, tmp_path):
        found = nielsen_erratum.measure(request(tmp_path)).measurements
        for key, end in nielsen_erratum.PUBLISHED.items():
            assert found[f"{key}/end"].value == pytest.approx(end, abs=0.5e-4)
        assert nielsen_erratum.decide(found) == "confirmed"
        swap = {"equation_61": "published_code", "published_code": "equation_61"}
        swapped = {re.sub("|".join(swap), lambda hit: swap[hit[0]], key): one for key, one in found.items()}
        assert nielsen_erratum.decide(swapped) == "refuted"

    def test_textbook_network_meets_every_published_number(self):
        found = textbook_network.worked()
        for key, (value, half) in textbook_network.PUBLISHED.items():
            if key.startswith("published/"):
                assert found[key].value == pytest.approx(value, abs=half)

    def test_textbook_accuracies_are_the_published_ones(self):
        train, test = textbook_network.flowers()
        begin = textbook_network.starts(np.arange(1))
        for loss, published in {"ssr_on_logits": (0.74, 0.92), "cross_entropy": (0.66, 0.95)}.items():
            reached = textbook_network.accuracies(loss, begin, train, test)[0]
            assert np.round(reached, 2).tolist() == list(published)


def made_up(accuracies):
    """A `TrainedConfig` of one loss from validation accuracies [S, E]; NaN means diverged."""
    config = Config("iris", "linear", ("ssr",), analysis=AnalysisOptions((0.9,)))
    arrays = {"steps": np.array([0, 10, 20]), "seeds": np.arange(len(accuracies)), "learning_rates/ssr": np.ones(1)}
    arrays["ssr/validation_accuracy"] = accuracies[None]
    arrays["ssr/train_loss"] = np.where(np.isnan(accuracies), np.nan, 1.0)[None]
    curves = Curves.from_arrays(arrays)
    return TrainedConfig(config, Trained(curves, curves, {"ssr": Choice(0, 0)}))


def test_censored_and_diverged_runs_stay_in_the_sample():
    run = made_up(np.array([[0.3, 0.95, 0.96], [0.3, 0.4, 0.5], [0.3, 0.95, np.nan]]))
    assert run.times("ssr", 0.9).tolist() == [10, np.inf, np.inf]
    assert run.mean_time("ssr", 0.9).value == pytest.approx(50 / 3)  # 10 if misses were dropped
    assert run.reached("ssr", 0.9).value == pytest.approx(1 / 3)
    assert run.final("ssr", "validation_accuracy").tolist() == [0.96, 0.5, 0]


@pytest.mark.slow
def test_training_tunes_on_other_seeds_and_stores_its_curves(tmp_path, monkeypatch):
    config = Config(
        "iris", "linear", ("cross_entropy", "ssr"), train=TrainOptions(20, evaluations=4),
        sweep=SweepOptions(RateGrid(0.1, 10.0, 3), widen=1, seeds=3, tuning_seeds=2),
        analysis=AnalysisOptions(tune_by="final_accuracy"),
    )  # fmt: skip
    first = trained("x", config, request(tmp_path, seed=2))
    assert first.config.sweep.first_seed == moved(config, request(tmp_path, 2)).sweep.first_seed == 20_000
    assert first.trained.tuning["ssr"]["test_accuracy"].shape == (len(first.rates), 2, len(first.steps))
    assert first.curve("ssr", "test_accuracy").shape == (3, len(first.steps))
    # The same metric of both runs, before any step.
    np.testing.assert_allclose(*(first.curve(loss, "ssr")[:, 0] for loss in first.losses), rtol=1e-6)
    monkeypatch.setattr("experiments.claims.workloads.load_workload", None)  # nothing may be trained again
    again = trained("x", config, request(tmp_path, seed=2))
    np.testing.assert_array_equal(again.curve("ssr", "ssr"), first.curve("ssr", "ssr"))
    # Curves that other code has stored are trained again, and what was to train is gone.
    monkeypatch.setattr("experiments.run.provenance.source", lambda *more: "other")
    with pytest.raises(TypeError):
        trained("x", config, request(tmp_path, seed=2))


@pytest.mark.slow
def test_every_arm_is_trained_on_its_own_loss_at_its_own_rate_and_seed(tmp_path):
    config = Config(
        "iris", "linear", ("cross_entropy", "ssr"), train=TrainOptions(20, batch_size=16, evaluations=4),
        sweep=SweepOptions(RateGrid(0.01, 1.0, 3), widen=0, seeds=2, tuning_seeds=2),
    )  # fmt: skip
    run = trained("x", config, request(tmp_path), everywhere=True)
    task = load_workload("x", run.config).task
    for arm in task.arms:
        loss, train = arm.label, jax.jit(task.train(arm))
        np.testing.assert_allclose(run.curve(loss, "train_loss"), run.curve(loss, loss), rtol=1e-5)
        for seed in range(4):  # two that tune, then two fresh ones
            splits = task.splits_of(seed)
            key = jax.random.key(int(task.seeds[seed]), impl="threefry2x32")
            for place, rate in enumerate(run.rates):
                alone = train(key, Hyperparameters(np.float32(rate)), splits)
                part = run.trained.tuning if seed < 2 else run.trained.fresh
                found = part[loss]["cross_entropy"][place, seed % 2]
                np.testing.assert_allclose(found, alone["cross_entropy"], rtol=1e-4)
                if seed >= 2 and rate == run.rate(loss):
                    np.testing.assert_array_equal(run.curve(loss, "cross_entropy")[seed - 2], found)


def measure_something(request):
    value = {0: 1.0, 1: np.inf}[request.seed]
    findings = {"a/b": Measurement(value, (0.5, 1.5), "steps"), "c": Measurement(2.0)}
    figure = Figure()
    figure.subplots().plot([1, 2])
    return Findings(findings, figure, "A caption.", 3, "Something.")


SMALL = Claim(
    "small", "A statement.", "A source", "A protocol.", "A rule.", ("A choice.",), "a/b", measure_something,
    lambda found: verdict_of(found["c"].value == 2, False),
)  # fmt: skip


@pytest.fixture
def only_small(monkeypatch):
    for place in ("command", "page"):
        monkeypatch.setattr(f"experiments.claims.{place}.CLAIMS", {"small": SMALL})


def test_verdict_file_page_and_resumption(tmp_path, only_small, monkeypatch):
    assert main(["claims", "small", "--quick", "--out", str(tmp_path)]) == 0
    verdict = json.loads((tmp_path / "small" / "verdict.json").read_text())
    assert set(verdict) == KEYS
    assert (verdict["schema"], verdict["verdict"], verdict["quick"], verdict["seeds"]) == (1, "confirmed", True, 3)
    assert verdict["measurements"]["a/b"] == {"value": 1.0, "ci": [0.5, 1.5], "unit": "steps"}
    assert verdict["measurements"]["c"]["ci"] is None
    assert {path.name for path in (tmp_path / "small").iterdir()} >= {"figure.svg", "figure.png", "figure-narrow.svg"}
    page = (tmp_path / "claims.html").read_text()
    for text in ("A statement.", "A source", "A choice.", "confirmed", "1 [0.5, 1.5] steps", "claims small --fresh"):
        assert text in page

    calls = []
    monkeypatch.setattr("experiments.claims.command.measure", lambda *arguments: calls.append(arguments))
    asked = ["claims", "small", "--quick", "--out", str(tmp_path)]
    main(asked)
    assert not calls  # finished
    for more in (["--fresh"], ["--seed", "1"]):
        main([*asked, *more])
    main([word for word in asked if word != "--quick"])
    assert len(calls) == 3


def test_infinite_values_are_null(tmp_path):
    verdict = command.measure(SMALL, Request(True, 1, tmp_path / "small" / "runs", Listener()))
    assert verdict["measurements"]["a/b"]["value"] is None
    assert effect_text(verdict["measurements"]["a/b"]).startswith("–")


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["escape-tme"], "did you mean 'escape-time'"), (["nielsen-erratum", "--seed", "-1"], "--seed")],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, expected, tmp_path, capsys):
    assert main(["claims", *words, "--out", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert expected in errors
    assert not list(tmp_path.iterdir())


def test_the_table_names_effect_and_interval(tmp_path, only_small):
    command.measure(SMALL, Request(False, 0, tmp_path / "small" / "runs", Listener()))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(command.table([SMALL], tmp_path))
    assert re.search(r"small +A statement\. +confirmed +a/b: 1 \[0\.5, 1\.5\] steps +0\.0", console.export_text())
