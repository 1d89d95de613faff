"""The look at the data before anything is trained: on the terminal, in dry runs, in the summary and on the page."""

import json
import subprocess
import sys

import numpy as np

from experiments.config import load_config
from experiments.data import Dataset, account_record, examine, load_dataset
from experiments.data.options import DataOptions
from experiments.pages.report import build_report
from experiments.run import workload
from tests.small_run import CONFIG, ROOT, run, the_folder


def dataset(inputs, labels):
    inputs = np.asarray(inputs, float)
    names = tuple(f"x{place}" for place in range(inputs.shape[1]))
    return Dataset("a", inputs, np.asarray(labels, np.int32), ("u", "v"), names, "a")


def test_nothing_is_said_of_ordinary_data():
    assert examine(dataset(np.random.default_rng(0).normal(size=(20, 3)), [0, 1] * 10)) == []


def test_what_is_odd_is_counted():
    rows = [[i, 7.0, np.nan] for i in range(8)]
    found = dict(examine(dataset([*rows, [0, 7, np.nan], [-0.0, 7, np.nan]], [0] * 8 + [0, 1])))
    assert list(found) == ["imbalance", "duplicates", "contradictions", "constant"]
    assert found["imbalance"].startswith("90 % of the examples are of class 'u', 9 times as many as of the rarest")
    assert found["duplicates"].startswith("1 of 10 examples repeat another one")
    assert found["contradictions"].startswith("3 of 10 examples have the inputs of an example of another class")
    assert found["constant"].endswith("of no use: 'x1', 'x2'")


def test_the_record_is_plain_json():
    flowers = load_dataset("iris", DataOptions(classes=("setosa", "virginica")))
    record = account_record(flowers, examine(flowers))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["classes"] == [["setosa", 50], ["virginica", 50]]
    assert record["dropped"] == [["data.classes", 50]]
    assert [finding["kind"] for finding in record["findings"]] == ["duplicates"]


def test_a_run_says_it_everywhere(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(CONFIG)
    copies = np.repeat(np.random.default_rng(0).normal(size=(40, 2)), 2, axis=0)
    rows = "".join(f"{x},{y},1,{'uv'[i % 4 // 2]}\n" for i, (x, y) in enumerate(copies))
    (tmp_path / "a.csv").write_text(f"a,<b>,c,label\n{rows}")
    words = [f"dataset=csv:{tmp_path}/a.csv", "sweep.widen=0", "train.steps=2", "train.evaluations=2"]
    assert run(tmp_path / "small.toml", tmp_path / "out", *words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "note: 40 of 80 examples repeat another one" in said
    assert "note: the same in every example, and of no use: 'c'" in said
    folder = the_folder(tmp_path / "out")
    summary = json.loads((folder / "summary.json").read_text())
    kinds = [finding["kind"] for finding in summary["data"]["findings"]]
    assert kinds[:2] == ["duplicates", "constant"]
    assert summary["data"]["label"] == "label"
    page = (folder / "report.html").read_text()
    assert "40 of 80 examples repeat another one" in page
    assert "u (40), v (40)" in page
    assert "&lt;b&gt;" in page
    # Results of before this was told are still shown.
    del summary["data"]
    (folder / "summary.json").write_text(json.dumps(summary))
    made = json.loads((folder / "provenance.json").read_text())
    del made["sha256"]
    (folder / "provenance.json").write_text(json.dumps(made))
    assert 'id="data"' not in build_report(folder).read_text()


def test_a_dry_run_of_several_workloads_is_one_table(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(CONFIG)
    assert run(tmp_path / "small.toml", tmp_path / "out", "start=he,gentle", "model=linear,mlp", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 20
    assert "{" not in "".join(lines)
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["small-mlp-gentle"][:6] == ["90", "30", "30", "3", "48", "2"]
    assert rows["total"][:2] == ["192", "8"]
    assert sum(line.startswith("data: iris") for line in lines) == 1  # which all four share
    assert sum(line.startswith("run folder") for line in lines) == 4


def test_workloads_planned_together_share_the_splits_of_one_data_set_alone(tmp_path, monkeypatch):
    drawn, original = [], workload.drawn_dataset
    monkeypatch.setattr(workload, "drawn_dataset", lambda *given: drawn.append(given) or original(*given))
    text = CONFIG.replace('dataset = "iris"', 'dataset = ["iris", {name = "iris", label_noise = 0.5}, "wine"]')
    (tmp_path / "small.toml").write_text(text)
    assert run(tmp_path / "small.toml", tmp_path / "out", "start=he,gentle", "--dry-run") == 0
    assert [(given[0].name, given[1].label_noise) for given in drawn] == [("iris", 0), ("iris", 0.5), ("wine", 0)]


def test_a_dry_run_shows_the_settings_that_differ(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(CONFIG)
    assert run(tmp_path / "small.toml", tmp_path / "out", "--dry-run", "train.steps=1000") == 0
    shown = capsys.readouterr().out
    head, _, rest = shown.partition("\n}\n")
    config = json.loads(head + "}")
    assert "train.steps" not in config  # nested as in the file
    assert config["dataset"] == "iris"
    assert "cnn" not in config
    assert "expected time" in rest


def test_no_shipped_config_has_a_target_that_one_class_meets():
    from ce_jax.comparing import yardstick
    from experiments.run.workload import load_workload

    for name in ("breast_cancer", "mixtures"):  # others have classes of one size, and more of them
        for config in load_config(ROOT / "configs" / f"{name}.toml")[1][:1]:
            assert yardstick(load_workload(name, config).task).share < min(config.analysis.targets)


def test_mistakes_and_dry_runs_do_without_what_draws_figures():
    """Seconds of a newcomer's time: what reads tables, draws and counts is not needed to say that a key is unknown."""
    code = "import sys; from experiments.__main__ import main; code = main(sys.argv[1:]); print(code, *sys.modules)"
    slow = {"matplotlib", "scipy.stats", "sklearn", "pandas", "polars"}
    for words, expected in (
        (["run", "iris", "train.step=3"], "2"),
        (["run", "iris", "model=linear", "optimizer=sgd", "--dry-run"], "0"),
        (["list"], "0"),
    ):
        ran = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
        code_of, *modules = ran.stdout.splitlines()[-1].split()
        assert code_of == expected, ran.stderr
        assert slow.isdisjoint(modules)
