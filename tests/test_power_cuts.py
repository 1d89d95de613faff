"""A run killed at random moments, its files cut short in between, continues to the bytes of an undisturbed one."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from experiments.files import read_arrays
from tests.small_run import CONFIG, ROOT, the_folder

pytestmark = pytest.mark.slow

# Every step is a segment, so that much of the time goes into checkpoints. The process kills itself shortly after it has
# begun to write its n-th file: counted like this, no machine is so slow or so fast that the kill misses the run.
PROGRAM = """
import os, signal, sys, threading
from ce_jax.comparing import _planning
from experiments.__main__ import main
_planning.SEGMENT_SECONDS = 1e-9
writes, seconds, *words = sys.argv[1:]
left, original = int(writes), os.fsync

def counting(descriptor):
    global left
    left -= 1
    if left == 0:
        threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()
    original(descriptor)

os.fsync = counting
sys.exit(main(words))
"""
WORDS = ("train.steps=40", "sweep.widen=0", "sweep.retire_reached=true", "sweep.tuning_seeds=6", "sweep.seeds=10")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A function that does the run in a process of its own, killed on the way or not; all share compiled programs."""
    place = tmp_path_factory.mktemp("place")
    (place / "small.toml").write_text(CONFIG)
    environment = {**os.environ, "XDG_CACHE_HOME": str(place), "JAX_NUM_CPU_DEVICES": "2"}

    def go(out, writes=-1, seconds=0.0):
        words = ("run", str(place / "small.toml"), "--out", str(out), *WORDS)
        command = (sys.executable, "-c", PROGRAM, str(writes), str(seconds), *words)
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    return go


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, start):
    out = tmp_path_factory.mktemp("undisturbed")
    assert start(out).returncode == 0
    return the_folder(out)


def assert_same(folder, expected):
    assert folder.name == expected.name
    assert (folder / "summary.json").read_bytes() == (expected / "summary.json").read_bytes()
    found, wanted = (read_arrays(one / "curves.npz") for one in (folder, expected))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_kills_and_truncated_files_change_nothing(undisturbed, start, tmp_path):
    generator, kills, damaged = np.random.default_rng(0), 0, 0
    while kills < 6:
        killed = start(tmp_path, generator.integers(1, 60), generator.uniform(0.0, 0.02))
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        kills += 1
        damaged += "damaged" in killed.stdout
        files = sorted(the_folder(tmp_path).glob("parts/*.npz"))
        for victim in generator.choice(files, min(len(files), int(generator.integers(2))), replace=False):
            os.truncate(victim, generator.integers(victim.stat().st_size))
    assert kills >= 3
    assert damaged
    last = start(tmp_path)
    assert last.returncode == 0, last.stderr
    assert_same(the_folder(tmp_path), undisturbed)
