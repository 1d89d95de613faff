"""Shards of a run sent to processes, submitit and dask, one of which is killed on the way: the run is completed."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from experiments.files import read_arrays
from tests.killed_once import share
from tests.small_run import run, the_folder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation", "own_cache")]

SHARDS = ("1/2", "2/2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config, quick_compilation, own_cache):
    """The folder of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole")
    assert run(config, out) == 0
    return the_folder(out)


@pytest.fixture
def asked(config, tmp_path, monkeypatch, whole):
    """What each shard is called with, and a check of what they have left."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # a process for each shard
    out, marker = tmp_path / "out", tmp_path / "killed"

    def complete():
        assert marker.exists()
        folder = the_folder(out)
        assert folder.name == whole.name
        found, expected = (read_arrays(one / "curves.npz") for one in (folder, whole))
        assert found.keys() == expected.keys()
        for name, curve in expected.items():
            assert found[name].shape == curve.shape, name
            # Programs of other processes round otherwise, which large rates make larger and larger.
            gentle = slice(0, 3) if "/" in name else slice(None)
            np.testing.assert_allclose(found[name][gentle], curve[gentle], rtol=1e-3, atol=1e-4, err_msg=name)
        assert json.loads((folder / "summary.json").read_text())["losses"].keys() == {"cross_entropy", "ssr"}

    return [(str(config), out, shard, str(marker)) for shard in SHARDS], complete


def test_processes(asked):
    calls, complete = asked
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        futures = [pool.submit(share, *call) for call in calls]
        with pytest.raises(BrokenProcessPool):
            [future.result() for future in futures]
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        assert [future.result() for future in [pool.submit(share, *call) for call in calls]] == [0, 0]
    complete()


def test_submitit(asked, tmp_path):
    submitit = pytest.importorskip("submitit")
    calls, complete = asked
    executor = submitit.LocalExecutor(folder=tmp_path / "jobs")
    jobs = [executor.submit(share, *call) for call in calls]
    failed = [job.exception() is not None for job in jobs]
    assert failed.count(True) == 1
    again = executor.submit(share, *calls[failed.index(True)])
    assert again.result() == 0
    complete()


def test_dask_gives_the_work_of_a_lost_worker_to_another(asked):
    distributed = pytest.importorskip("distributed")
    calls, complete = asked
    local = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster) as client:
        futures = [client.submit(share, *call, pure=False) for call in calls]
        assert client.gather(futures) == [0, 0]
    complete()
