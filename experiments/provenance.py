"""What a run says about itself: its name, what was compared, and with what versions, where and when."""

import contextlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from experiments.config import as_dict, fingerprint, identity
from experiments.data import fingerprint as data_fingerprint
from experiments.workload import Workload, source_of


def run_name(workload: Workload) -> str:
    """`<config name>-<hash>`, the hash of everything that determines the numbers."""
    content = {
        "schema": 1,
        "config": identity(workload.config),
        "data": data_fingerprint(workload.dataset),
        "losses": [source_of(arm.loss) for arm in workload.arms],
    }
    return f"{workload.name}-{fingerprint(content)}"


def describe(workload: Workload) -> dict[str, Any]:
    """`workload` in `summary.json`: what was compared on what."""
    config = workload.config
    return {
        "name": workload.name,
        "dataset": workload.dataset.name,
        "model": config.model,
        "loss": [arm.label for arm in workload.arms],
        "optimizer": config.optimizer,
        "start": as_dict(config)["start"],
        "batch_size": config.train.batch_size,
        "steps": config.train.steps,
        "seeds": config.sweep.seeds,
        "tuning_seeds": config.sweep.tuning_seeds,
        "examples": {part: int(getattr(workload.splits, part).labels.shape[-1]) for part in workload.splits._fields},
        "features": int(workload.dataset.inputs.shape[1]),
        "classes": list(workload.dataset.class_names),
        "target_metric": config.analysis.target_metric,
        "confidence": config.analysis.confidence,
    }


def provenance(command: Sequence[str], compile_seconds: float, seconds: float) -> dict[str, Any]:
    """`provenance.json`: versions, devices, commit, command and times."""
    packages = ("ce-jax", "jax", "jaxlib", "optax", "numpy", "scipy", "scikit-learn")
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "versions": versions,
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "platform": platform.platform(),
        "git": _git(),
        "argv": list(command),
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "compile_seconds": round(compile_seconds, 3),
        "run_seconds": round(seconds - compile_seconds, 3),
    }


def _git() -> dict[str, Any] | None:
    """The commit of the checkout this file lies in, and whether the tree differs from it; None outside one."""

    def ask(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(("git", *words), cwd=here, capture_output=True, text=True, check=True, timeout=20).stdout

    try:
        return {"commit": ask("rev-parse", "HEAD").strip(), "dirty": bool(ask("status", "--porcelain").strip())}
    except (OSError, subprocess.SubprocessError):
        return None
