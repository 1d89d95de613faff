"""Data of one's own in three lines: what `run CONFIG dataset=npz:spots.npz` and `csv:spots.csv` read.

`python -m experiments.examples.own_data` writes both into the current folder.
"""

from pathlib import Path

import numpy as np


def write(folder):
    """Two spots in the plane, 60 points each: arrays `inputs` [N, D] and `labels` [N], and the same as a table."""
    labels = np.repeat([0, 1], 60)
    inputs = np.random.default_rng(0).normal(size=(120, 2)) + 2.0 * labels[:, None]
    np.savez(folder / "spots.npz", inputs=inputs, labels=labels)
    rows = [f"{x:.4f},{y:.4f},{'right' if label else 'left'}" for (x, y), label in zip(inputs, labels, strict=True)]
    (folder / "spots.csv").write_text("\n".join(["width,height,class", *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path())
