"""The benches on points small enough for a test: what is written, which peers are timed, the cost model."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.__main__ import main
from experiments.bench import command, networks, scaling, sweeps, tasks
from experiments.bench.timing import median_seconds, ratio_to_best

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(tasks, "SPECS", {"small": tasks.TaskSpec("iris", tasks._of(networks.dense, 4, 3), None, 6, 3)})
    monkeypatch.setattr(command, "machine_limits", lambda runs: {"gemm_gflops": 1.0, "copy_gbps": 1.0, "exp_gps": 1.0})


@pytest.mark.slow
def test_bench_json_is_as_declared(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "have_torch", lambda: False)
    assert main(["bench", "small", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert {"schema", "device", "versions", "limits", "points"} == set(stored)
    (point,) = stored["points"]
    assert (point["suite"], point["unit"], point["runs"]) == ("sweep", "classifier-steps/s", 7)
    assert point["peers"]["PyTorch loop"] is None  # a missing peer is said to be missing
    present = {name: rate for name, rate in point["peers"].items() if rate is not None}
    assert set(present) == {"JAX loop", "jax.vmap of optax scan"}
    assert point["ratio_to_best_peer"] == pytest.approx(point["ours"] / max(present.values()))
    # Iris through 4-4-3 at one billion flops and one billion exponentials a second.
    step = 2 * 150 * (4 * 4 * 2 + 4 * 3 * 3) / 1e9 + 150 * 3 / 1e9
    assert point["fraction_of_limit"] == pytest.approx(point["ours"] * step)
    assert "missing" in capsys.readouterr().out


@pytest.mark.slow
def test_scaling_measures_every_number_of_lanes_and_the_segments(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "LANES", (32, 128))
    monkeypatch.setattr(scaling, "STEPS", 3)
    monkeypatch.setattr(scaling, "SEGMENT", 3)
    assert main(["bench", "scaling", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "scaling.json").read_text())
    assert [point["lanes"] for point in stored["points"]] == [32, 128, 128]  # 32 are too few for eight devices
    assert np.isfinite(stored["segment_overhead"])
    assert "prediction, not a measurement" in capsys.readouterr().out
    assert not (tmp_path / "checkpoint.npz").exists()


def test_calls_take_turns_after_a_warm_up():
    order = []
    seconds = median_seconds({"a": lambda: order.append("a"), "b": None, "c": lambda: order.append("c")}, 3)
    assert order == ["a", "c"] * 4
    assert seconds["b"] is None
    assert ratio_to_best(2.0, {"b": None}, more_is_better=True) is None


@pytest.mark.parametrize(("words", "expected"), [(["sweeps"], "did you mean 'sweep'"), (["--runs", "3"], "at least 7")])
def test_wrong_input_is_one_line_and_exit_code_2(words, expected, tmp_path, capsys):
    assert main(["bench", *words, "--out", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert expected in errors


@pytest.mark.parametrize("name", ["small", "own-mlp", "deep", "cnn-small"])
def test_what_a_user_would_write_computes_the_same_as_ours(name):
    task = tasks.named_task(name)
    network, inputs = task.network, jnp.asarray(task.inputs[:5])
    params = network.ours.init(jax.random.key(0), inputs, task.num_classes)
    ours, written = network.ours.apply(params, inputs), network.written(params, inputs)
    np.testing.assert_allclose(ours, written, rtol=2e-4, atol=2e-5)
    weights = sum(one.fan_in * one.fan_out for one in network.products)
    assert weights == sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2)
