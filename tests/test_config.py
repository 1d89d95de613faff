"""Configs: what is read, what is refused and how, overrides, workloads."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from experiments.config import Config, StdStart, as_dict, identity, load_config
from experiments.errors import UserError
from experiments.workload import load_workload, resolve_losses

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
MINIMAL = 'dataset = "iris"\nmodel = "linear"\nloss = ["cross_entropy", "ssr"]\n'


def load(tmp_path, text=MINIMAL, *overrides):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_config(path, overrides)


def test_three_keys_are_enough(tmp_path):
    name, (config,) = load(tmp_path)
    assert name == "mine"
    assert config == Config(dataset="iris", model="linear", loss=("cross_entropy", "ssr"))


def test_overrides(tmp_path):
    _, (config,) = load(
        tmp_path,
        MINIMAL,
        "train.steps=200",
        "loss=ssr",
        "analysis.targets=0.95,0.5",
        "start={std=[2]}",
        "sweep.learning_rates.high=10",
        "optimizer_options.momentum=0.9",
        "data.split.seed=3",
    )
    assert config.train.steps == 200
    assert config.loss == ("ssr",)
    assert config.analysis.targets == (0.5, 0.95)
    assert config.start == StdStart((2.0,))
    assert config.sweep.learning_rates.high == 10.0
    assert config.optimizer_options == {"momentum": 0.9}
    assert config.data.split.seed == 3


def test_lists_of_tables_on_the_command_line(tmp_path):
    _, (config,) = load(tmp_path, MINIMAL, 'loss={name="ssr_on_logits", target=[1, 5]},ssr')
    assert config.loss == ({"name": "ssr_on_logits", "target": [1, 5]}, "ssr")


def test_lists_of_workload_keys_make_workloads(tmp_path):
    _, workloads = load(tmp_path, MINIMAL, "model=linear,mlp", "optimizer=sgd,adam")
    assert [(w.model, w.optimizer) for w in workloads] == [
        ("linear", "sgd"),
        ("linear", "adam"),
        ("mlp", "sgd"),
        ("mlp", "adam"),
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=5", "command line: train.stepz: unknown key; did you mean 'train.steps'?"),
        ("optimiser=sgd", "command line: optimiser: unknown key; did you mean 'optimizer'?"),
        ("train.steps=many", "command line: train.steps: expected a whole number, came 'many'"),
        ("train.steps=0", "command line: train.steps: expected at least 1, came 0"),
        ("train.steps=true", "command line: train.steps: expected a whole number, came True"),
        ("train.batch_size=half", "command line: train.batch_size: expected a whole number or 'full', came 'half'"),
        ("model=mpl", "command line: model: expected 'linear' or 'mlp', came 'mpl'; did you mean 'mlp'?"),
        ("optimizer=sdg", "did you mean 'sgd'?"),
        ("mlp.activation=rellu", "did you mean 'relu'?"),
        ("start=sturated", "did you mean 'saturated'?"),
        ("analysis.targets=95", "command line: analysis.targets: expected accuracies in 0..1, came (95.0,)"),
        ("sweep.learning_rates=0.1", "command line: sweep.learning_rates: expected a table, came 0.1"),
        ("sweep.learning_rates.low=-1", "expected 0 < low < high"),
        ("data.split.validation=2.5", "command line: data.split.validation: expected a fraction"),
        ("sweep.retire_reached=yes", "command line: sweep.retire_reached: expected true or false, came 'yes'"),
        ("train.steps", "command line: expected key=value, came 'train.steps'"),
        ("dataset.name=iris", "command line: dataset.name: 'dataset' is a value, not a table"),
    ],
)
def test_wrong_input_gets_one_clear_line(tmp_path, override, message):
    with pytest.raises(UserError) as caught:
        load(tmp_path, MINIMAL, override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_retired_runs_have_no_final_accuracy_to_tune_by(tmp_path):
    load(tmp_path, MINIMAL, "sweep.retire_reached=true")
    with pytest.raises(UserError) as caught:
        load(tmp_path, MINIMAL, "sweep.retire_reached=true", "analysis.tune_by=final_accuracy")
    assert str(caught.value) == (
        "command line: sweep.retire_reached: expected false where analysis.tune_by is 'final_accuracy', because "
        "retired runs have none, came True"
    )


def test_a_key_that_came_later_leaves_earlier_names_alone(tmp_path):
    _, (plain,) = load(tmp_path, MINIMAL, "sweep.retire_reached=false")
    _, (other,) = load(tmp_path, MINIMAL, "sweep.retire_reached=true")
    assert "retire_reached" not in identity(plain)["sweep"]
    assert identity(other) == as_dict(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset = 'iris'\nmodel = 'linear'\n", "mine.toml: loss: this key is required"),
        ("dataset = ", "mine.toml: not valid TOML"),
        (MINIMAL + "[trian]\nsteps = 3\n", "mine.toml: trian: unknown key; did you mean 'train'?"),
        (MINIMAL + "[sweep]\nlearning_rates = {lo = 1}\n", "sweep.learning_rates.lo: unknown key"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "quickstart.toml").write_text(MINIMAL)
    with pytest.raises(UserError, match=r"no such config file; did you mean '.*quickstart.toml'"):
        load_config(tmp_path / "quikstart.toml")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["ssrr"], "loss: unknown name 'ssrr'; did you mean 'ssr'?"),
        (["no_such_module:f"], "cannot import 'no_such_module'"),
        (["math:no_such"], "module 'math' has no 'no_such'"),
        (["math:pi"], "expected a function of (logits, labels), came float"),
        ([{"name": "ssr_on_logits", "targt": 2}], "ssr_on_logits has no option 'targt'; did you mean 'target'?"),
        ([{"name": "ssr_on_logits", "target": "high"}], "expected a number or a list of numbers, came 'high'"),
        ([{"target": 2}], "a table needs the key 'name'"),
        (["ssr", "ssr"], "ssr is listed twice"),
    ],
)
def test_wrong_losses_are_named(entries, message):
    with pytest.raises(UserError) as caught:
        resolve_losses(entries)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=tests.bad_losses:summed", "expected one value per example, shape (5,), came ()"),
        ("loss=tests.bad_losses:broken", "fails on logits [5, 3]: I am broken"),
        ("train.batch_size=91", "expected at most the 90 training examples of iris, came 91"),
        ("optimizer_options.momentun=1", "optax.sgd has no option 'momentun'"),
        ("start=npz:nowhere.npz", "start: nowhere.npz: expected an npz with weight_0"),
        ("start={std=[1,2]}", "one entry for each of the 1 layers; got 2"),
        ("dataset=irs", "did you mean 'iris'?"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(tmp_path, override, message):
    name, (config,) = load(tmp_path, MINIMAL, override)
    with pytest.raises(UserError) as caught:
        load_workload(name, config)
    assert message in str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_fair_and_load(path):
    _, workloads = load_config(path)
    for config in workloads:
        assert "cross_entropy" in config.loss
        assert "ssr" in config.loss
        assert config.sweep.seeds >= 20
        assert config.sweep.learning_rates.count >= 9
    if path.stem != "quickstart":
        assert {(w.model, w.optimizer) for w in workloads} == {
            (model, optimizer) for model in ("linear", "mlp") for optimizer in ("sgd", "adam")
        }


def test_the_resolved_config_says_everything(tmp_path):
    _, (config,) = load(tmp_path)
    resolved = as_dict(config)
    assert set(resolved) == {field.name for field in dataclasses.fields(Config)}
    assert resolved["sweep"]["learning_rates"] == {"low": 1e-3, "high": 1e2, "count": 11}


def test_defaults_stand_in_one_place():
    """No shipped config is the only place that knows a key: each key in it exists in the dataclasses."""
    for path in CONFIGS:
        assert tomllib.loads(path.read_text())
        load_config(path)
