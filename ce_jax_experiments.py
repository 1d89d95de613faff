"""The application by the name that it has when installed, in a checkout too, so that `ce-jax` starts the same."""

from pathlib import Path

__path__ = [str(Path(__file__).parent / "experiments")]  # a package whose modules are those of experiments/
