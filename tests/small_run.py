"""A small experiment for the tests of everything that runs one."""

from pathlib import Path

from experiments.__main__ import main

ROOT = Path(__file__).parent.parent
CONFIG = """# a small test
dataset = "iris"
model = "linear"
loss = ["cross_entropy", "ssr"]
[train]
steps = 30
evaluations = 8
[sweep]
learning_rates = {low = 0.01, high = 10, count = 4}
widen = 1
seeds = 4
tuning_seeds = 2
[analysis]
targets = [0.7, 0.9]
resamples = 199
"""


def run(config, out, *words):
    """The exit code of a run."""
    return main(["run", str(config), "--out", str(out), *words])


def folders(out):
    """The folders of the runs in `out`, which also holds what keeps them apart."""
    return sorted(path for path in out.iterdir() if not path.name.startswith("."))


def the_folder(out):
    """The folder of the only run in `out`."""
    (folder,) = folders(out)
    return folder
