"""What run folders and their tables say: names by what tells workloads apart, settings that apply, joined folders."""

import json
import shutil

import polars as pl
import pytest

from experiments.__main__ import main
from experiments.config import Config, as_dict, flatten, load_config
from experiments.run.applying import applying
from experiments.run.naming import folder_of, run_names
from experiments.shipped import shipped
from tests.small_run import CONFIG, folders

HASH = "0123456789"


def names(tmp_path, *overrides):
    path = tmp_path / "mine.toml"
    path.write_text(CONFIG)
    return run_names(*load_config(path, overrides))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), ["mine"]),
        (["start=he,saturated"], ["mine-he", "mine-saturated"]),
        (["start={std=[2]},he"], ["mine-std-2.0", "mine-he"]),
        (["model=linear,mlp", "optimizer=adam"], ["mine-linear", "mine-mlp"]),
        (["model=my_module:make,linear"], ["mine-my_module-make", "mine-linear"]),
        (["dataset=csv:/some where/my data.csv,iris"], ["mine-my-data", "mine-iris"]),
        (["dataset={name='digits', imbalance=50},digits"], ["mine-imbalance-50.0", "mine-imbalance-1.0"]),
    ],
)
def test_names_bear_what_tells_workloads_apart(tmp_path, overrides, expected):
    assert names(tmp_path, *overrides) == expected


def test_every_workload_of_a_shipped_config_has_a_name_of_its_own():
    for path in shipped():
        every = run_names(*load_config(path))
        assert len(set(every)) == len(every)
        assert all(name.replace("-", "").replace("_", "").isalnum() for name in every)


def test_names_stay_short(tmp_path):
    long = run_names("mine", [Config(dataset=f"csv:{'x' * 300}{i}.csv", model="mlp", loss=("ssr",)) for i in range(2)])
    assert max(map(len, long)) < 60


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], "quickstart-saturated"),
        (["quickstart"], "quickstart"),  # run with this workload alone, or by an earlier version
        (["quickstart-saturated-sgd"], "quickstart-saturated-sgd"),
        (["quickstart.partial", "quickstart-saturated"], "quickstart-saturated"),
        (["quickstart", "quickstart-saturated.partial"], "quickstart"),  # what is finished is not done again
        (["other", "quick", "quickstart-sat", "quickstart-saturated-x-joined"], "quickstart-saturated"),
    ],
)
def test_a_result_is_found_by_its_hash_under_a_shorter_or_longer_name(tmp_path, there, found):
    for name in there:
        stem, dot, partial = name.partition(".")
        end = "-joined" if stem.endswith("-joined") else ""
        (tmp_path / f"{stem.removesuffix('-joined')}-{HASH}{end}{dot}{partial}").mkdir()
    (tmp_path / "quickstart-9999999999").mkdir()
    assert folder_of(f"quickstart-saturated-{HASH}", tmp_path).name == f"{found}-{HASH}"


IRIS = {"dataset": "iris", "model": "linear"}


@pytest.mark.parametrize(
    ("key", "with_it", "without"),
    [
        ("data.features", {"dataset": "mixtures"}, {"dataset": "spirals"}),
        ("data.turns", {"dataset": "spirals"}, {"dataset": "mixtures"}),
        ("data.generator_seed", {"data.examples": 50}, {}),
        ("data.label", {"dataset": "csv:a.csv", "data.label": "y"}, {"dataset": "csv:a.csv"}),
        ("data.balanced_test", {"data.imbalance": 50.0}, {}),
        ("data.balanced_test", {"data.imbalance.zipf": 1.0}, {}),
        ("mlp.hidden", {"model": "mlp"}, {"model": "cnn"}),
        ("cnn.kernel", {"model": "cnn"}, {"model": "my_module:make"}),
        ("start", {"model": "mlp"}, {"model": "my_module:make"}),
        ("sweep.draws", {"sweep.search": "random"}, {}),
        ("sweep.widen", {}, {"sweep.search": "random"}),
        ("train.evaluations", {}, {"train.evaluate_every": 5}),
        ("optimizer_options.momentum", {"optimizer_options.momentum": 0.9}, {}),
        ("mlp.hidden", {"mlp.hidden": [8]}, {}),  # it was set
    ],
)
def test_settings_that_apply_or_were_set_are_shown(key, with_it, without):
    plain = flatten(as_dict(Config(dataset="iris", model="linear", loss=("ssr",))))
    if "data.imbalance.zipf" in with_it:
        del plain["data.imbalance"]
    assert key in applying(plain | with_it)
    plain |= {} if "data.imbalance" in plain else {"data.imbalance": 1.0}
    assert key not in applying(plain | without)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """A folder with the results of a config of two workloads."""
    place = tmp_path_factory.mktemp("joined")
    (place / "small.toml").write_text(CONFIG)
    words = ["start=he,saturated", "sweep.widen=0", "train.steps=8", "train.evaluations=4"]
    assert main(["run", str(place / "small.toml"), "--out", str(place / "out"), *words]) == 0
    return place


@pytest.mark.slow
class TestTwoWorkloads:
    def test_folders_are_told_apart_and_the_table_holds_what_applies(self, joined):
        he, saturated, page = sorted(folders(joined / "out"), key=lambda path: ("joined" in path.name, path.name))
        assert he.name.startswith("small-he-")
        assert saturated.name.startswith("small-saturated-")
        assert page.name == f"small-{he.name[-10:]}-joined"
        columns = pl.read_parquet(saturated / "runs.parquet").columns
        assert {"start", "train.steps", "learning_rate", "data.split.test"} <= set(columns)
        assert not [name for name in columns if name.startswith(("mlp.", "cnn.")) or name == "data.features"]

    def test_one_of_them_alone_is_found_again(self, joined, tmp_path, capsys):
        out = shutil.copytree(joined / "out", tmp_path / "out")
        words = ["start=saturated", "sweep.widen=0", "train.steps=8", "train.evaluations=4"]
        assert main(["run", str(joined / "small.toml"), "--out", str(out), *words]) == 0
        assert "finished before" in capsys.readouterr().out
        assert len(folders(out)) == 3

    def test_report_rebuilds_a_joined_folder_wherever_the_results_lie(self, joined, tmp_path, capsys):
        out = shutil.copytree(joined / "out", tmp_path / "moved")
        (page,) = out.glob("*-joined")
        (page / "report.html").unlink()
        assert main(["report", str(page)]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "On iris (linear, sgd)" in shown
        assert (page / "report.html").is_file()
        (run,) = out.glob("small-he-*")
        run.rename(tmp_path / "elsewhere")
        assert main(["report", str(page)]) == 2
        assert f"{run} is missing" in capsys.readouterr().err
        (page / "joined.json").write_text(json.dumps({"runs": 3}))
        assert main(["report", str(page)]) == 2
        assert "joined.json is damaged" in capsys.readouterr().err
