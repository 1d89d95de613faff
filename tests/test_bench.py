"""The benches on points small enough for a test: what is written, which peers are timed, the cost model."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.__main__ import main
from experiments.bench import command, networks, peers, scaling, sweeps, tasks, timing
from experiments.bench.tables import point_line
from experiments.bench.timing import median_seconds, ratio_to_best, take_turns

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(tasks, "SPECS", {"small": tasks.TaskSpec("iris", tasks._of(networks.dense, 4, 3), None, 6, 3)})
    monkeypatch.setattr(command, "machine_limits", lambda runs: {"gemm_gflops": 1.0, "copy_gbps": 1.0, "exp_gps": 1.0})


@pytest.mark.slow
def test_bench_json_is_as_declared(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "have_torch", lambda: False)
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
    assert set(point["spread"]) == set(point["page_faults"]) == {"ours", *present}
    assert "missing" in capsys.readouterr().out


@pytest.mark.slow
def test_an_accelerator_is_filled_and_takes_whole_batches(monkeypatch):
    for module in (tasks, sweeps, peers):
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    assert {name: tasks.named_task(name).lanes for name in ("tiny-full", "small", "wide")} == {
        "tiny-full": 8192,
        "small": 8192,
        "wide": 1024,
    }
    assert peers.torch_device() in (None, "cuda")  # PyTorch on another device would be no peer
    monkeypatch.setattr(tasks, "SPECS", {"small": tasks.TaskSpec("iris", tasks._of(networks.dense, 4, 3), None, 6, 3)})
    monkeypatch.setattr(tasks, "FILLED", 1024)
    asked = []
    compile_wave = sweeps.compile_wave
    monkeypatch.setattr(sweeps, "compile_wave", lambda train, *rest: asked.append(train) or compile_wave(train, *rest))
    task = tasks.named_task("small")
    assert task.lanes == 128
    sweeps.prepare_ours(task).call()
    assert (asked[0].row_block, asked[0].evaluate_block) == (None, None)


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


def test_calls_take_turns_in_a_drawn_order_after_a_warm_up():
    orders = []
    for _ in range(2):
        order = []
        calls = {"a": lambda x=order: x.append("a"), "b": None, "c": lambda x=order: x.append("c")}
        timings = take_turns(calls, 20, calls_a_turn=3)
        orders.append("".join(order))
    assert orders[0] == orders[1]  # the same every time
    assert orders[0][:2] == "ac"
    turns = [orders[0][2:][i : i + 3] for i in range(0, 120, 3)]
    rounds = {(first, second) for first, second in zip(turns[::2], turns[1::2], strict=True)}
    assert rounds == {("aaa", "ccc"), ("ccc", "aaa")}
    assert timings["b"] is None
    assert median_seconds({"b": None}, 1) == {"b": None}
    assert ratio_to_best(2.0, {"b": None}, more_is_better=True) is None


def test_a_timing_is_of_one_call_and_tells_its_noise(monkeypatch):
    clock, faults = iter([0.0, 3.0, 3.0, 9.0, 9.0, 24.0]), iter([0, 6, 6, 12, 12, 72])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(timing.resource, "getrusage", lambda who: SimpleNamespace(ru_minflt=next(faults)))
    found = take_turns({"a": lambda: None, "b": None}, 3, calls_a_turn=3)
    assert found["a"] == (2.0, (3.5 - 1.5) / 2.0, 2.0)  # of calls of 1, 2 and 5 seconds, 2, 2 and 20 faults
    fields = timing.noise(found)
    assert fields == {"spread": {"a": 1.0}, "page_faults": {"a": 2.0}}
    point = timing.Point(
        "loss",
        "x",
        "ms",
        2.0,
        {"b": None, "c": 1.0},
        0.5,
        None,
        None,
        None,
        7,
        {"ours": 1.0, "c": 0.08},
        {"ours": 2.0, "c": 0.0},
    )
    assert point_line(point) == "loss x, ms: ours 2 (±50%, 2 page faults); b missing; c 1 (±4%, 0 page faults)"


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
