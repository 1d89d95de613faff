"""The application as the wheel installs it: files under other names, outside of a checkout."""

import shutil
import subprocess
import sys
import tomllib

import pytest

from experiments.claims.lock import rules_of
from experiments.claims.registry import CLAIMS
from experiments.config import load_config
from experiments.run.provenance import run_name
from experiments.run.workload import load_workload
from experiments.source import source
from tests.small_run import ROOT

SCRIPT = """
import sys
from ce_jax_experiments.__main__ import main
from ce_jax_experiments.claims.registry import CLAIMS
from ce_jax_experiments.claims.lock import rules_of
from ce_jax_experiments.source import source

sys.argv[0] = "ce-jax"
assert "experiments" not in sys.modules, "the name in a checkout"
assert main(["list"]) == 0
assert main(["run", "own_model", "--dry-run"]) == 0
assert main(["run", "quickstart.toml", "--dry-run"]) == 0
assert main(["claims", "--lock"]) == 2
print("source", source())
print("rules", {name: rules_of(claim) for name, claim in CLAIMS.items()})
print("uses", {name: claim.uses for name, claim in CLAIMS.items()})
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel would hold, and what the script says that runs on it."""
    place = tmp_path_factory.mktemp("installed")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for folder in wheel["only-include"]:
        target = place / "site" / wheel["sources"].get(folder, folder)
        shutil.copytree(ROOT / folder, target, ignore=shutil.ignore_patterns("__pycache__", *wheel["exclude"]))
    (place / "elsewhere").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=place / "elsewhere", env={"PYTHONPATH": str(place / "site")},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.slow
def test_what_is_installed_is_the_same_application(installed):
    name, (config,) = load_config(ROOT / "configs" / "own_model.toml")
    assert run_name(load_workload(name, config)) in installed.stdout
    assert f"source {source()}\n" in installed.stdout
    assert f"rules { {one: rules_of(claim) for one, claim in CLAIMS.items()} }" in installed.stdout
    assert f"uses { {one: claim.uses for one, claim in CLAIMS.items()} }" in installed.stdout
    for word in ("quickstart.toml", "nielsen-erratum", "cross_entropy", "waves"):
        assert word in installed.stdout
    assert "--lock: expected a git checkout" in installed.stderr
    assert "(see ce-jax --help)" not in installed.stderr


def test_the_script_and_the_versions_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, attribute = project["scripts"]["ce-jax"].partition(":")
    assert module == "ce_jax_experiments.__main__"
    assert callable(getattr(__import__(module, fromlist=["x"]), attribute))  # by way of ce_jax_experiments.py
    citation = dict(line.split(": ", 1) for line in (ROOT / "CITATION.cff").read_text().splitlines() if ": " in line)
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["cff-version"] == "1.2.0"
