"""How JAX is set up for the application."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax


def prepare_jax() -> None:
    """One device for every core, and compiled programs kept between runs.

    A device of the CPU computes its lanes on a core of its own; within one device the parts of a small program are too
    small to share. JAX's own thresholds would not store programs as small as these.
    """
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with contextlib.suppress(RuntimeError):  # the devices exist already
            jax.config.update("jax_num_cpu_devices", cores)
    if cache := _cache():
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cache() -> Path | None:
    """A folder for compiled programs; None where none can be written, and JAX would warn of it at every program."""
    with contextlib.suppress(OSError, RuntimeError):  # no home, or none of one's own
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(base) / "ce_jax"
        cache.mkdir(parents=True, exist_ok=True)
        return cache if os.access(cache, os.W_OK) else None
    return None


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Double precision is switched on only for what asks for it."""
    with jax.enable_x64(dtype == "float64"):
        yield
