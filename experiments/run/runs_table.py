"""The table `runs.parquet`: one row for each trained classifier."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ce_jax.comparing import AnalysisOptions, Curves, diverged, marked, retired, times_to
from ce_jax.sweeping import MEASURED
from ce_jax.training import METRICS

from ..files import printable, set_aside, write_bytes
from .applying import applying


def run_table(
    flat_config: Mapping[str, Any], curves: Curves, tuning_seeds: int, options: AnalysisOptions
) -> pl.DataFrame:
    """One row for each trained classifier: what it was, how it ended, when it reached each target.

    Of the config what applies: a data set has no column for an option that it has no use for.
    """
    frames = []
    seeds = curves.seeds
    for loss, own in curves.losses.items():
        times = {target: times_to(own, curves.steps, target, options) for target in options.targets}
        lost = diverged(own)
        status = np.where(
            lost, "diverged", np.where(np.isfinite(times[max(options.targets)]), "reached", "not_reached")
        )
        shape, tuned = status.shape, own.options.items()
        columns: dict[str, Any] = {
            "loss": [loss] * status.size,
            "learning_rate": np.broadcast_to(own.rates[:, None], shape).ravel(),
            **{f"optimizer_options.{name}": np.broadcast_to(values[:, None], shape).ravel() for name, values in tuned},
            "seed": np.broadcast_to(seeds, shape).ravel(),
            "role": np.broadcast_to(np.where(np.arange(len(seeds)) < tuning_seeds, "tune", "report"), shape).ravel(),
            "status": status.ravel(),
        }
        moments = {f"steps_to/{target:g}": steps for target, steps in times.items()}
        if marked(own):
            ends = curves.steps[own[MEASURED].sum(axis=-1) - 1]
            moments["retired_at"] = np.where(retired(own), ends, np.inf)
        for name, steps in moments.items():
            columns[name] = pl.Series(
                [int(step) if np.isfinite(step) else None for step in steps.ravel()], dtype=pl.Int64
            )
        for metric in METRICS:
            columns[f"final/{metric}"] = pl.Series(own[metric][..., -1].ravel()).fill_nan(None)
        frames.append(pl.DataFrame(columns))
    constants = {key: value for key, value in applying(flat_config).items() if key not in ("loss",)}
    shown = [
        pl.lit(value if isinstance(value, int | float | bool) else printable(str(value))).alias(printable(key))
        for key, value in constants.items()
    ]
    return pl.concat(frames).with_columns(shown)


def write_table(folder: Path, table: pl.DataFrame) -> bool:
    """Write `runs.parquet`, whole or not at all; False where the folder holds just that already.

    A folder of that name is set aside.
    """
    path, buffer = folder / "runs.parquet", io.BytesIO()
    if path.is_dir():
        set_aside(path)
    table.write_parquet(buffer)
    with contextlib.suppress(OSError):
        if path.read_bytes() == buffer.getvalue():
            return False
    write_bytes(path, buffer.getvalue())
    return True
