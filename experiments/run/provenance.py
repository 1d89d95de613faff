"""What a run says about itself: its name, what was compared, and with what versions, where and when."""

import contextlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jax

from ce_jax import comparing

from ..config import as_dict, fingerprint, identity
from ..data import fingerprint as data_fingerprint
from ..names import CHECKOUT, ROOT
from ..source import source
from .workload import Workload


def run_name(workload: Workload) -> str:
    """`<config name>-<hash>`: of settings that differ from their defaults, of the data and of the user's own code."""
    content = {
        "config": identity(workload.config),
        "data": data_fingerprint(workload.dataset),
        "own code": list(workload.own_code),
    }
    return f"{workload.name}-{fingerprint(content)}"


def describe(workload: Workload) -> dict[str, Any]:
    """`workload` in `summary.json`: what was compared on what."""
    dataset, config = workload.dataset, workload.config
    described = comparing.describe(workload.task, workload.name, dataset.name, dataset.class_names, config.data)
    # As it was typed, where it is a file or a list; a network of the user's own has none that could be typed.
    return described if ":" in config.model else described | {"start": as_dict(config)["start"]}


def provenance(command: Sequence[str], compile_seconds: float, seconds: float) -> dict[str, Any]:
    """`provenance.json`: versions, devices, commit, hash of the code, command and times."""
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
        "source": source(),
        "argv": list(command),
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "compile_seconds": round(compile_seconds, 3),
        "run_seconds": round(seconds - compile_seconds, 3),
    }


def _git() -> dict[str, Any] | None:
    """The commit of the checkout this file lies in, and whether the tree differs from it; None outside one."""

    def ask(*words: str) -> str:
        return subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout

    if not CHECKOUT:  # the history of whatever an environment lies in is not ours
        return None
    try:
        return {"commit": ask("rev-parse", "HEAD").strip(), "dirty": bool(ask("status", "--porcelain").strip())}
    except (OSError, subprocess.SubprocessError):
        return None


def made_by_other_code(provenance: Mapping[str, Any], *more: str) -> str | None:
    """What to say of a stored result that the present code would not make the same way; None where it would.

    Args:
      provenance: of the result, with its `source`.
      more: as in `source`.
    """
    if provenance.get("source") == source(*more):
        return None
    commit = (provenance.get("git") or {}).get("commit", "")
    return f"made by other code ({f'commit {commit[:10]}' if commit else 'of an unknown commit'})"
