"""Runs with nothing to show, and figures that fail: a page is written all the same, and says what is missing."""

import dataclasses
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from ce_jax.comparing import AnalysisOptions, Curves, headline, joined_headline, summarise, text_table
from ce_jax.training import AT_END, METRICS
from experiments.files import write_arrays, write_json
from experiments.pages import charts, report
from experiments.pages.drawing import saved

STEPS = np.array([0, 1, 3, 10])
WORKLOAD = {
    "name": "odd", "dataset": "iris", "model": "mlp", "optimizer": "sgd", "start": "he", "batch_size": "full",
    "target_metric": "validation_accuracy", "confidence": 0.95, "features": 4, "classes": ["a", "b"],
    "examples": {"train": 90, "validation": 30, "test": 30},
}  # fmt: skip


def odd_curves(change=None, *, losses=("cross_entropy", "ssr"), rates=3, tuning=2, fresh=4, steps=STEPS):
    """Curves that rise; `change(loss, metrics)` makes them odd."""
    arrays = {"steps": steps, "seeds": np.arange(tuning + fresh)}
    for loss in losses:
        rise = np.broadcast_to(np.linspace(0.3, 0.99, len(steps)), (rates, tuning + fresh, len(steps)))
        metrics = {name: rise.copy() for name in METRICS}
        metrics |= {name: np.full((*rise.shape[:2], len(WORKLOAD["classes"])), 0.5) for name in AT_END}
        if change:
            change(loss, metrics)
        arrays[f"learning_rates/{loss}"] = np.geomspace(0.1, 1, rates)
        arrays |= {f"{loss}/{name}": values for name, values in metrics.items()}
    return Curves.from_arrays(arrays)


def write_run(folder, curves, tuning=2):
    options = AnalysisOptions(targets=(0.5, 0.9), resamples=99)
    count = len(curves.seeds) - tuning
    facts = {"steps": int(curves.steps[-1]), "seeds": count, "tuning_seeds": tuning, "loss": list(curves.losses)}
    summary = summarise(WORKLOAD | facts, curves, tuning, options)
    folder.mkdir(parents=True)
    write_arrays(folder / "curves.npz", curves.to_arrays())
    write_json(folder / "summary.json", summary)
    config = {"dataset": "iris", "sweep": {"tuning_seeds": tuning}, "analysis": dataclasses.asdict(options)}
    write_json(folder / "config.json", config)
    write_json(folder / "provenance.json", {"argv": ["x"], "git": None, "versions": {}, "devices": []})
    return summary


def everything(value, *names):
    def change(loss, metrics):
        for name in names or metrics:
            metrics[name][:] = value

    return change


def one_loss(loss_changed, change):
    return lambda loss, metrics: change(loss, metrics) if loss == loss_changed else None


ODD = {
    "all NaN": odd_curves(everything(np.nan)),
    "gradient 0": odd_curves(everything(0.0, "gradient_norm")),
    "gradient infinite": odd_curves(everything(np.inf, "gradient_norm")),
    "gradient 0 of one": odd_curves(one_loss("ssr", everything(0.0, "gradient_norm"))),
    "loss NaN": odd_curves(everything(np.nan, "train_loss")),
    "loss infinite": odd_curves(everything(np.inf, "train_loss", "cross_entropy")),
    "one diverged": odd_curves(one_loss("cross_entropy", everything(np.nan))),
    "accuracy 0": odd_curves(everything(0.0)),
    "accuracy 1": odd_curves(everything(1.0)),
    "one fresh seed": odd_curves(fresh=1),
    "one seed each": odd_curves(fresh=1, tuning=1),
    "one rate": odd_curves(rates=1),
    "one of each": odd_curves(rates=1, fresh=1, tuning=1, losses=("ssr",), steps=np.array([0, 1])),
    "one evaluation": odd_curves(steps=np.array([5])),
    "nine losses": odd_curves(losses=tuple("abcdefghi")),
    "markup in names": odd_curves(losses=("a$b$", "[red]:boom:<b>", "my_module:loss(x=1)")),
}


QUICK = ("all NaN",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ODD])
def test_an_odd_run_has_its_sentences_and_its_page(name, tmp_path):
    curves = ODD[name]
    tuning = 1 if len(curves.seeds) == 2 else 2
    summary = write_run(tmp_path / "run", curves, tuning)
    assert headline(summary)
    assert text_table([summary])
    assert joined_headline([summary, summary])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of glyphs that a font lacks
        page = report.build_report(tmp_path / "run").read_text()
        joined = report.build_joined_report(tmp_path / "joined", [tmp_path / "run"] * 2, "two").read_text()
    for text in (page, joined):
        assert "could not be drawn" not in text
        assert text.count("<svg") >= 1
    assert not list(tmp_path.rglob("*.traceback.txt"))


def test_a_panel_with_nothing_to_show_says_so():
    nothing = np.full((4, len(STEPS)), np.nan)
    figure = charts.gradient(
        {"ssr": nothing + 0.5, "cross_entropy": 0.5 + 0 * nothing}, {"ssr": nothing, "cross_entropy": nothing}
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "no line for SSR on probabilities and cross-entropy" in " ".join(texts[0].split())
    figure = charts.convergence(STEPS, {"accuracy": {"ssr": nothing}})
    assert "nothing to show" in figure.axes[0].texts[0].get_text()
    # One loss without a line leaves the other's.
    norm = np.ones((4, len(STEPS)))
    figure = charts.gradient({"ssr": norm / 2, "cross_entropy": norm / 2}, {"ssr": 0 * norm, "cross_entropy": norm})
    assert "no line for SSR on probabilities:" in " ".join(figure.axes[0].texts[0].get_text().split())
    assert {line.get_color() for line in figure.axes[0].lines} == {"#0072B2"}


def test_a_figure_that_raises_is_a_note_on_the_page(tmp_path, monkeypatch):
    write_run(tmp_path / "run", odd_curves())

    def broken(*arguments):
        raise IndexError("index $0$ is out of <bounds>\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(charts, "gradient", broken)
        page = report.build_report(tmp_path / "run").read_text()
    note = "This figure could not be drawn (IndexError: index $0$ is out of &lt;bounds&gt;); the traceback is in"
    assert page.count(note) == 2  # in the caption, and in the figure
    assert page.count("could not be drawn") == 3  # in the figure for a phone, in shorter lines
    traceback = tmp_path / "run" / "figures" / "gradient.traceback.txt"
    assert f"{note} {traceback.name}" in page
    assert "in broken" in traceback.read_text()
    assert (tmp_path / "run" / "figures" / "gradient.png").stat().st_size > 1000
    saved(lambda: charts.gradient({}, {}), traceback.parent, "gradient")
    assert not traceback.exists()  # of an earlier try


def test_a_figure_that_cannot_be_saved_is_replaced_by_what_it_says(tmp_path):
    class Unsaveable(Figure):
        def savefig(self, *arguments, **options):
            raise ZeroDivisionError

    paths, note = saved(Unsaveable, tmp_path, "figure")
    assert [path.name for path in paths] == ["figure.svg", "figure.png"]
    assert "(ZeroDivisionError: ZeroDivisionError)" in note
    assert all(path.exists() for path in paths)


def test_a_full_disk_is_no_fault_of_a_figures(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        saved(lambda: charts.convergence(STEPS, {"accuracy": {"ssr": np.ones((4, 4))}}), tmp_path, "figure")
    assert list(tmp_path.iterdir()) == []
