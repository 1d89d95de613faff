"""One run on two real processes over the loopback equals a run of one process; who leads, and what is refused."""

import importlib
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from experiments.config import load_config
from experiments.errors import UserError
from experiments.files import read_arrays
from experiments.run import distributed
from experiments.run.folder import open_run
from experiments.run.provenance import run_name
from experiments.run.workload import load_workload
from tests.small_run import ROOT, run, the_folder

pytestmark = pytest.mark.usefixtures("quick_compilation", "own_cache")


def start(config, out, cache, devices, *words, **variables):
    """A process of its own that runs the config on so many devices."""
    return subprocess.Popen(
        (sys.executable, "-m", "experiments", "run", str(config), "--out", str(out), *words),
        cwd=ROOT,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "XDG_CACHE_HOME": str(cache), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(*processes):
    """Their exit codes, and what they have printed."""
    try:
        printed = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], printed


def on_two_processes(config, outs, cache):
    """`run` by two processes of two devices each, given a folder each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return ended(
        *(
            start(config, out, cache, 2, "--distributed", f"{address},2,{i}", JAX_COORDINATOR_BIND_ADDRESS=address)
            for i, out in enumerate(outs)
        )
    )


@pytest.mark.slow
def test_two_processes_continue_and_finish_a_run(config, tmp_path):
    """To the last bit like one process with as many devices, because each device computes the same lanes.

    What is stored already is read by the leader alone: the follower is given a folder of its own, and leaves it.
    """
    cache = tmp_path / "cache"
    codes, printed = ended(start(config, tmp_path / "whole", cache, 4))
    assert codes == [0], printed
    codes, printed = ended(start(config, tmp_path / "out", cache, 4, "--shard", "1/2"))
    assert codes == [0], printed
    assert list(the_folder(tmp_path / "out").glob("parts/*.npz"))
    codes, printed = on_two_processes(config, (tmp_path / "out", tmp_path / "other"), cache)
    assert codes == [0, 0], printed
    assert "report.html" in printed[0][0]
    assert "learning rates" not in printed[1][0] + printed[1][1]
    assert not (tmp_path / "other").exists()
    whole, joint = the_folder(tmp_path / "whole"), the_folder(tmp_path / "out")
    assert joint.name == whole.name
    curves, expected = (read_arrays(folder / "curves.npz") for folder in (joint, whole))
    assert curves.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(curves[name], values, err_msg=name)
    assert (joint / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()


@pytest.mark.slow
def test_a_held_folder_ends_both_processes(config, tmp_path):
    """The follower looks at another folder: it can only have heard of it from the leader."""
    name, (one,) = load_config(config)
    with open_run(tmp_path / "out" / run_name(load_workload(name, one))):
        codes, printed = on_two_processes(config, (tmp_path / "out", tmp_path / "other"), tmp_path / "cache")
    assert codes == [2, 2], printed
    assert all("another process is working on this run" in errors for _, errors in printed)


@pytest.mark.parametrize("text", ["", "host", "host:1", "host:1,2", "host:1,2,2", "host:1,2,-1", "host,2,0"])
def test_a_wrong_address_is_refused(text):
    with pytest.raises(UserError, match="expected auto or HOST:PORT,PROCESSES,INDEX"):
        distributed.connect(text)


def test_words_reach_the_runtime(monkeypatch):
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *words, **knobs: calls.append(words))
    distributed.connect("[::1]:9876,4,3")
    distributed.connect("auto")
    assert calls == [("[::1]:9876", 4, 3), ()]


def test_no_cluster_is_one_line_and_exit_code_2(config, tmp_path, monkeypatch, capsys):
    def missing(*words, **knobs):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", missing)
    for words, message in (
        (("--distributed", "auto"), "auto finds no cluster"),
        (("--distributed", "auto", "--shard", "1/2"), "cannot be combined with --shard"),
    ):
        assert run(config, tmp_path / "out", *words) == 2
        captured = capsys.readouterr().err
        assert message in captured
        assert captured.count("\n") == 1


def test_devices_are_taken_from_all_processes_in_turn(monkeypatch):
    devices = [SimpleNamespace(process_index=process, name=f"{process}{i}") for process in range(3) for i in range(2)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    placement = importlib.import_module("ce_jax.sweeping._placement")
    assert [device.name for device in placement.devices(4)] == ["00", "10", "20", "01"]


def test_one_process_asks_itself():
    assert distributed.leads()
    assert distributed.agreed(lambda: 3) == 3
