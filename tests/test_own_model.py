"""A network of the user's own in a config: it runs, its source names the run, mistakes are one line."""

import json
import sys

import pytest

from ce_jax import mlp
from experiments.__main__ import main
from experiments.config import load_config
from experiments.run.workload import load_workload
from tests.small_run import CONFIG, ROOT, folders, run, the_folder

pytestmark = pytest.mark.usefixtures("quick_compilation")
NETWORK = """
import jax
from tiny_helper import SCALE
from ce_jax import mlp


def make(num_classes, input_shape):
    assert (num_classes, input_shape) == (3, (4,))

    def apply(params, inputs):
        hidden = jax.nn.relu(inputs @ params[0].weight + params[0].bias[None, :])
        return SCALE * (hidden @ params[1].weight + params[1].bias[None, :])

    return mlp((5,)).init, apply


def wide(num_classes):
    return mlp((5,)).init, lambda params, inputs: inputs @ params[0].weight


number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that writes the user's two modules and forgets what was imported of them."""
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.replace('"linear"', '"tiny_network:make"'))

    def write(scale):
        (tmp_path / "tiny_network.py").write_text(NETWORK)
        (tmp_path / "tiny_helper.py").write_text(f"SCALE = {scale}\n")
        for name in ("tiny_network", "tiny_helper"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        sys.dont_write_bytecode = True  # two versions within a second would share a .pyc
        return config

    yield write
    for name in ("tiny_network", "tiny_helper"):
        sys.modules.pop(name, None)


def test_it_runs_and_its_source_is_part_of_what_names_the_run(own, tmp_path):
    out = tmp_path / "results"
    assert run(own(1.0), out) == 0
    summary = json.loads((the_folder(out) / "summary.json").read_text())
    assert summary["workload"]["model"] == "tiny_network:make"
    assert summary["workload"]["start"] == "own"
    assert run(own(1.0), out) == 0
    assert len(folders(out)) == 1
    assert run(own(2.0), out) == 0  # only a constant that the helper holds has changed
    assert len(folders(out)) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=tiny_network:make", "start=saturated"], "start: expected no start for a network of your own"),
        (["model=tiny_network:mak"], "module 'tiny_network' has no 'mak'"),
        (["model=no_such:make"], "model: no_such:make: cannot import 'no_such'"),
        (["model=tiny_network:number"], "model: tiny_network:number: expected a Model, a pair"),
        (["model=tiny_network:wide"], "expected logits of shape (2, 3) for two examples, got (2, 5)"),
        (["model=mpl"], "did you mean 'mlp'?"),
    ],
)
def test_mistakes_are_one_line(own, tmp_path, capsys, words, message):
    assert run(own(1.0), tmp_path / "results", *words) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["cnn", "imbalanced", "own_model"])
def test_shipped_configs_of_networks_resolve(name):
    _, configs = load_config(ROOT / "configs" / f"{name}.toml")
    assert len(configs) == {"cnn": 2, "imbalanced": 4, "own_model": 1}[name]
    for config in configs[:1]:
        task = load_workload(name, config).task
        assert task.model.name == {"own_model": config.model}.get(name, config.model)


def test_a_data_set_may_bring_its_own_options(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        'dataset = [{ name = "digits", imbalance = 50 }, "iris"]\n'
        'model = "linear"\nloss = ["ssr"]\n[data]\nscale = "unit"\n'
    )
    first, second = load_config(path)[1]
    assert (first.dataset, first.data.imbalance, first.data.scale) == ("digits", 50, "unit")
    assert (second.dataset, second.data.imbalance, second.data.scale) == ("iris", 1, "unit")


def test_options_of_built_in_networks_reach_them(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        'dataset = "digits"\nmodel = ["mlp", "cnn"]\nloss = ["ssr"]\n'
        '[mlp]\nnormalization = "layer"\n[cnn]\nresidual = true\n'
    )
    dense, images = (load_workload("one", config).task for config in load_config(path)[1])
    assert dense.model.name == mlp((16,), normalization="layer").name
    assert images.model.name == "residual cnn"
    assert images.features == 64
    assert images.cost.step > 0
    assert main(["run", str(path), "cnn.kernel=2", "--dry-run"]) == 2
