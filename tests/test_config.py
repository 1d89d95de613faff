"""Configs: what is read, what is refused and how, overrides, workloads."""

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest

from ce_jax.comparing import SweepOptions, TrainOptions, arms_of
from experiments import config as config_module
from experiments.config import Config, StdStart, as_dict, fingerprint, flatten, identity, load_config
from experiments.errors import UserError, users_input
from experiments.overrides import parse_override
from experiments.run.workload import find_loss, load_workload

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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"sepal length, cm"', "sepal length, cm"),
        ("'sepal length, cm'", "sepal length, cm"),
        ('"csv:a,b.csv"', "csv:a,b.csv"),
        ('iris,"csv:a,b.csv"', ["iris", "csv:a,b.csv"]),
        (r'"a \"b\", c"', 'a "b", c'),
        ("'a \"b', c", ['a "b', "c"]),
        ("it's,b", ["it's", "b"]),
        (r"csv:C:\data\new.csv", r"csv:C:\data\new.csv"),
        (r'"csv:C:\data\a,b.csv",iris', [r"csv:C:\data\a,b.csv", "iris"]),
        ("csv:a[1,2].csv,iris", ["csv:a[1,2].csv", "iris"]),
        ("csv:a[1.csv,iris", ["csv:a[1.csv", "iris"]),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ('{name="a,]}", gamma=[1, 2]},ssr', [{"name": "a,]}", "gamma": [1, 2]}, "ssr"]),
        ("[\"a,b\", 'c']", ["a,b", "c"]),
        ("a=b", "a=b"),
        ("5#6", "5#6"),
        ("1\nother = 2", "1\nother = 2"),
        ("0.9, 0.95", [0.9, 0.95]),
        ("", ""),
        ("true", True),
    ],
)
def test_commas_in_quotes_and_brackets_belong_to_what_they_hold(text, value):
    assert parse_override(f"some.key = {text}") == ("some.key", value)


def test_a_files_own_oddities(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_config(path)[1][0].dataset == "iris"
    for late, message in (
        ('loss = ["cross_entropy", "ssr"]', r"loss: this key is required; it stands below \[train\]"),
        ('start = "he"', r"train.start: unknown key; start belongs above the first \[table\]"),
    ):
        with pytest.raises(UserError, match=message):
            load(tmp_path, MINIMAL.replace(late, "") + f"[train]\n{late}\n")
    with pytest.raises(UserError, match="not valid TOML"):
        load(tmp_path, "a = " + "[" * 5000)


def test_seeds_end_where_keys_have_no_more_bits():
    SweepOptions(first_seed=2**32 - 60)
    with pytest.raises(ValueError, match="first_seed: expected at most"):
        SweepOptions(first_seed=2**32 - 59)
    with pytest.raises(ValueError, match="evaluate_every: expected at least 2000, so that"):
        TrainOptions(steps=2 * 10**9, evaluate_every=1999)


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
        ("train.steps=many", "command line: train.steps: expected a whole number, got 'many'"),
        ("train.steps=0", "command line: train.steps: expected at least 1, got 0"),
        ("train.steps=true", "command line: train.steps: expected a whole number, got True"),
        ("train.batch_size=half", "command line: train.batch_size: expected a whole number or 'full', got 'half'"),
        (
            "model=mpl",
            "command line: model: expected one of linear, mlp, cnn, module:attribute, got 'mpl'; did you mean 'mlp'?",
        ),
        ("optimizer=sdg", "did you mean 'sgd'?"),
        ("mlp.activation=rellu", "did you mean 'relu'?"),
        ("start=sturated", "did you mean 'saturated'?"),
        ("analysis.targets=95", "command line: analysis.targets: expected accuracies in 0..1, got (95.0,)"),
        ("sweep.learning_rates=0.1", "command line: sweep.learning_rates: expected a table, got 0.1"),
        ("sweep.learning_rates.low=-1", "expected 0 < low < high"),
        ("data.split.validation=2.5", "command line: data.split.validation: expected a fraction"),
        ("sweep.retire_reached=yes", "command line: sweep.retire_reached: expected true or false, got 'yes'"),
        ("train.steps", "command line: expected key=value, got 'train.steps'"),
        ("dataset.name=iris", "command line: dataset.name: 'dataset' is a value, not a table"),
        ("train.steps=10000000000000", "command line: train.steps: expected at most 2147483647, got 10000000000000"),
        ("train.batch_size=4294967296", "train.batch_size: expected 'full' or at least 1, got 4294967296"),
        ("data.dimensions=20001", "data.dimensions: expected a whole number from 1 to 20,000, got 20001"),
        ("data.copies=0", "data.copies: expected a whole number from 1, got 0"),
        ("train.evaluation_rows=0", "train.evaluation_rows: expected at least 1, got 0"),
        ("train.evaluations=2000000", "train.evaluations: expected at most 1000000, got 2000000"),
        ("sweep.seeds=10000000", "command line: sweep.seeds: expected at most 1000000, got 10000000"),
        ("sweep.learning_rates.count=10000000", "expected at most 1000000, got 10000000"),
        ("sweep.first_seed=4294967237", "command line: sweep.first_seed: expected at most 4294967236, got 4294967237"),
        ("analysis.sustained=3000000000", "analysis.sustained: expected at most 2147483647"),
        ("analysis.resamples=3000000", "analysis.resamples: expected at most 1000000"),
        (
            "mlp.hidden=[8,0]",
            "mlp.hidden: expected one or more widths of at least 1 and at most 2147483647, got (8, 0)",
        ),
        ("cnn.channels=4000000000", "cnn.channels: expected one or more widths of at least 1 and at most 2147483647"),
        ("data.features=5000000000", "data.features: expected a whole number from 1, got 5000000000"),
        ("optimizer_options={momentum=nan}", "optimizer_options: momentum: expected finite numbers"),
        ("optimizer_options.momentum=inf", "optimizer_options: momentum: expected finite numbers"),
        ("optimizer_options={momentum=[0.1,-inf]}", "expected finite numbers"),
        ("optimizer_options={momentum=2020-01-01}", "got datetime.date(2020, 1, 1)"),
        ('loss={name="focal_loss",gamma=nan}', "command line: loss: gamma: expected finite numbers"),
        ("data.noise=nan", "command line: data.noise: expected a finite number, got nan"),
        (f"data.noise={10**400}", "expected a finite number"),
        ("analysis.targets=0.9,inf", "expected a finite number, got inf"),
        ('data.label="a', "command line: data.label: expected a closing"),
        ("start={std=[1,2", "command line: start: expected TOML, got '{std=[1'"),
        ("start=" + "[" * 5000 + "]" * 5000, "command line: start: expected fewer brackets within brackets"),
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
        "retired runs have none, got True"
    )


# What names the results of the shipped configs, workload by workload. If this test fails, results that users have
# stored are no longer found under their names: a default or the reading of a config has changed. Is that meant?
IDENTITIES = {
    "breast_cancer": ["e3a4c2e91a", "61392f8757", "d67ac55305", "56e1a87c70"],
    "cnn": ["93eff6ec71", "9a683f2205"],
    "digits": ["af0f1f00ac", "f5a966eca2", "d3f4035f95", "08311751a4"],
    "imbalanced": ["4b433b4e1c", "22f7e74ea7", "007232985f", "8caa2c403e"],
    "iris": ["5a5fb75de8", "b09634247b", "cb364f68dc", "6c58b4456a"],
    "mixtures": ["e267a66777", "45dfbe5dc8", "d366af4ffb", "f7fb86bbe8"],
    "mnist5k": ["2309d8d4a6", "b512d783b7", "181e6dec8d", "bfbbcf42ed"],
    "own_model": ["17023b2ceb"],
    "quickstart": ["57b9866877", "567f94d5a2"],
    "schedules": ["f45467a33c"],
    "wine": ["06fec77f6a", "9016ea79c5", "92c82c3ee2", "b5431f72ee"],
}


def name_of(config):
    return fingerprint(identity(config))


def test_the_shipped_configs_keep_their_names():
    assert {path.stem: [name_of(config) for config in load_config(path)[1]] for path in CONFIGS} == IDENTITIES


def test_a_key_at_its_default_changes_no_name(tmp_path):
    _, (plain,) = load(tmp_path)
    defaults = {key: value for key, value in flatten(as_dict(plain)).items() if value is not None}
    words = [f"{key}={json.dumps(value)}" for key, value in defaults.items()]
    assert {"sweep.retire_reached=false", "optimizer_options={}", "analysis.targets=[0.9, 0.95]"} <= set(words)
    _, (spelled,) = load(tmp_path, MINIMAL, *words)
    assert identity(spelled) == {"dataset": "iris", "model": "linear", "loss": ["cross_entropy", "ssr"]}
    assert name_of(spelled) == name_of(plain)


def test_a_key_that_differs_from_its_default_changes_the_name(tmp_path):
    words = ["loss=ssr,cross_entropy", "model=mlp", "mlp.hidden=8", "optimizer=adam", "optimizer_options.momentum=0.9"]
    words += ["start=glorot", "start={std=[1.0]}", "data.split.seed=1", "data.examples=60", "train.evaluate_every=5"]
    words += ["sweep.learning_rates.count=12", "sweep.retire_reached=true", "analysis.targets=0.9"]
    words += ["train.schedule=cosine", "sweep.options.momentum=0,0.9", "sweep.search=random", "sweep.draws=33"]
    _, (plain,) = load(tmp_path)
    names = [name_of(load(tmp_path, MINIMAL, word)[1][0]) for word in words]
    assert len({name_of(plain), *names}) == 1 + len(words)


def test_a_key_that_comes_later_leaves_earlier_names_alone(tmp_path, monkeypatch):
    key = ("newer", int, dataclasses.field(default=3))
    later = dataclasses.make_dataclass("Later", [key], bases=(Config,), frozen=True)
    names = {}
    for record in (Config, later):
        monkeypatch.setattr(config_module, "Config", record)
        _, (config,) = load(tmp_path)
        names[record] = name_of(config)
    assert config.newer == 3
    assert names[later] == names[Config]
    assert name_of(dataclasses.replace(config, newer=4)) != names[Config]


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
        (["math:pi"], "expected a function of (logits, labels) or a Loss, got float"),
        ([{"name": "ssr_on_logits", "targt": 2}], "ssr_on_logits has no option 'targt'; did you mean 'target'?"),
        ([{"name": "ssr_on_logits", "target": "high"}], "expected a number or a list of numbers, got 'high'"),
        ([{"target": 2}], "loss: expected a table with the key 'name', got {'target': 2}"),
        ([{"name": 5}], "got 5"),
        ([{"name": "power_loss", "beta": []}], "got []"),
        (["ssr", "ssr"], "loss: expected each loss once, got ssr twice"),
    ],
)
def test_wrong_losses_are_named(entries, message):
    with pytest.raises(UserError) as caught, users_input():
        arms_of(entries, find_loss)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=tests.bad_losses:summed", "expected one value per example, shape (5,), got ()"),
        ("loss=tests.bad_losses:broken", "fails on logits [5, 3]: I am broken"),
        ('loss={name="cross_entropy", label_smoothing=1.5}', "label_smoothing: expected a number from 0 to 1, got 1.5"),
        ('loss={name="focal_loss", gamma=[2, -1]}', "gamma: expected a finite number of at least 0, got -1"),
        ('loss={name="lq_loss", q=-1}', "q: expected a finite number of at least 0, got -1"),
        ("train.batch_size=91", "expected at most the 90 training examples, got 91"),
        ("loss=tests.bad_losses:whole", "expected values of float32, as the logits are, got int32"),
        ("loss=tests.bad_losses:half", "expected values of float32, as the logits are, got float16"),
        ("loss=tests.bad_losses:endless", "bad_losses:endless: cannot be differentiated: Reverse-mode"),
        ("loss=tests.bad_losses:on_the_host", "fails on logits [5, 3]: The numpy.ndarray conversion"),
        ("loss=tests.bad_losses:keeping", "keeps a traced value after it has returned; expected a pure function"),
        ("loss=tests.bad_losses:caching", "bad_losses:caching: "),
        ("loss=tests.bad_losses:printing", "expected no call back to Python"),
        ("loss=tests.bad_losses:calling", "got pure_callback"),
        ("loss=tests.bad_losses:of_five", "a training step with tests.bad_losses:of_five fails: "),
        ("model=tests.bad_losses:model_that_calls", "model: tests.bad_losses:model_that_calls: expected no call back"),
        ("optimizer_options.momentun=1", "optax.sgd has no option 'momentun'"),
        ("optimizer_options={learning_rate=0.1}", "optimizer_options: expected none called learning_rate, as rates "),
        ("sweep.options={learning_rate=[0.1]}", "sweep.options: expected none called learning_rate, as rates belong"),
        ('optimizer_options={momentum="x"}', "optimizer_options: optax.sgd fails with {'momentum': 'x'}: "),
        ("optimizer_options={momentum=true}", "optimizer_options: momentum: expected a number, got True"),
        ("optimizer_options={momentum=[0.1,0.2]}", "optimizer_options: optax.sgd fails with"),
        ("optimizer_options={nesterov=1}", "optimizer_options: nesterov: expected true or false, got 1"),
        ('optimizer_options={weight_decay="x"}', "optimizer_options: weight_decay: expected a number, got 'x'"),
        ("start=npz:nowhere.npz", "start: nowhere.npz: expected an npz with weight_0"),
        ("start={std=[1,2]}", "one entry for each of the 1 layers, got 2"),
        ("dataset=irs", "did you mean 'iris'?"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(tmp_path, override, message):
    name, (config,) = load(tmp_path, MINIMAL, override)
    with pytest.raises(UserError) as caught:
        load_workload(name, config)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "cannot import 'own_failing': SyntaxError: '(' was never closed (own_failing.py, line 1)"),
        ("import own_other\n", "SyntaxError: invalid syntax (own_other.py, line 2)"),
        ("\nimport no_such_thing\n", "No module named 'no_such_thing' (own_failing.py, line 2)"),
        ("\n\nraise SystemExit(3)\n", "SystemExit: 3 (own_failing.py, line 3)"),
        (
            "import json\njson.loads('x')\n",
            "JSONDecodeError: Expecting value: line 1 column 1 (char 0) (own_failing.py, l",
        ),
        ("raise ValueError\n", "ValueError (own_failing.py, line 1)"),
        ("\0", "cannot import 'own_failing': SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(tmp_path, monkeypatch, text, message):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_failing.py").write_text(text)
    (tmp_path / "own_other.py").write_text("\ndef f(:\n")
    with pytest.raises(UserError) as caught:
        find_loss("own_failing:loss")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_fair_and_load(path):
    _, workloads = load_config(path)
    for config in workloads:
        assert "cross_entropy" in config.loss
        assert "ssr" in config.loss
        assert config.sweep.seeds >= 20
        assert config.sweep.learning_rates.count >= 9
    if path.stem not in ("cnn", "imbalanced", "own_model", "quickstart", "schedules"):
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
