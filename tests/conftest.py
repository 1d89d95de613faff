"""Strict settings for every test: eight fake CPU devices, no rank promotion, shapes checked at run time."""

import json
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["JAX_NUM_CPU_DEVICES"] = "8"

# What one test has compiled no other test compiles again, in whichever worker it runs; removed when the tests end.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    CACHE = tempfile.TemporaryDirectory(prefix="compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest
from hypothesis import HealthCheck, settings
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")

# Annotations are executed: a wrong shape or dtype inside the library fails the test that met it.
install_import_hook("ce_jax", "beartype.beartype")

settings.register_profile("ce_jax", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("ce_jax")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile without XLA's expensive passes: for tests of what a program does, not of how exact or fast it is."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """A compilation cache for a module alone: few programs, each compiled once, and the user's is untouched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        compilation_cache.reset_cache()
        yield
        jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
        compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def browser():
    """Chromium, for a module's tests; without it, or what drives it, they are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def computed(monkeypatch):
    """Names of the waves trained so far, in their order."""
    from ce_jax.comparing import Waves  # here, like CONFIG below

    names, original = [], Waves.train

    def counting(self, wave, **knobs):
        names.append(json.dumps(wave.key))
        return original(self, wave, **knobs)

    monkeypatch.setattr(Waves, "train", counting)
    return names


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The small experiment as a file."""
    from tests.small_run import CONFIG  # here, because it imports what has to be checked from the first import on

    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(CONFIG)
    return path
