"""The package as a whole: import direction, purity, the README, the wheel's contents."""

import ast
import doctest
import re
import tomllib
from pathlib import Path

import pytest

import ce_jax

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "ce_jax").rglob("*.py"))
APPLICATION = sorted((ROOT / "experiments").rglob("*.py"))
README = (ROOT / "README.md").read_text()

# The floor plan, bottom first: a file of the library imports only from rows above its own.
FLOORS = (
    "ce_jax.losses",
    "ce_jax.models",
    "ce_jax.backprop",
    "ce_jax.audit",
    "ce_jax.training",
    "ce_jax.sweep",
    "ce_jax.analysis",
)


def imports(path):
    """Names of modules a file imports, `from a import b` as a."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor(name):
    found = [row for row, prefix in enumerate(FLOORS) if name == prefix or name.startswith(prefix + ".")]
    return found[0] if found else None


@pytest.mark.parametrize("path", LIBRARY, ids=module_name)
def test_imports_run_one_way(path):
    own = floor(module_name(path))
    for name in imports(path):
        assert not name.startswith("experiments"), name
        if own is not None and floor(name) is not None:
            assert floor(name) <= own, f"{module_name(path)} imports {name}"


@pytest.mark.parametrize("path", LIBRARY, ids=module_name)
def test_the_library_is_pure(path):
    """No file, clock, print, environment, plotting, process or global random state in ce_jax."""
    forbidden = {
        "os",
        "sys",
        "io",
        "time",
        "datetime",
        "pathlib",
        "random",
        "logging",
        "subprocess",
        "shutil",
        "tempfile",
    }
    forbidden |= {"matplotlib", "rich", "polars", "sklearn"}
    assert not forbidden & {name.split(".")[0] for name in imports(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "open", "input"}, called
            assert not re.fullmatch(r"(np|numpy)\.random\.(?!default_rng|Generator)\w+", called), called


@pytest.mark.parametrize("path", LIBRARY + APPLICATION, ids=module_name)
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= 400


def test_everything_public_is_exported_and_documented():
    assert len(set(ce_jax.__all__)) == len(ce_jax.__all__)
    for name in ce_jax.__all__:
        entry = getattr(ce_jax, name)
        assert getattr(entry, "__doc__", None), name


def test_readme_commands():
    """The two commands stand in the README as they are promised, and name files that exist."""
    for command in (
        "python3 -m venv .venv && .venv/bin/pip install -q -c configs/constraints.txt -e '.[experiments]' "
        "&& .venv/bin/python -m experiments run configs/quickstart.toml",
        "python3 -m venv .venv && .venv/bin/pip install -q -c configs/constraints.txt -e '.[all]' "
        "&& .venv/bin/python -m pytest",
    ):
        assert f"    {command}\n" in README
    for name in re.findall(r"configs/\w+\.(?:toml|txt)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / name).exists(), name


@pytest.mark.slow
def test_readme_snippets():
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert attempted >= 8
    assert failed == 0


def test_constraints_are_plain_pins_of_every_requirement():
    lines = [line for line in (ROOT / "configs/constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [entry for extra in project["optional-dependencies"].values() for entry in extra]
    names = {re.split(r"[\[<>=]", entry)[0].lower().replace("_", "-") for entry in wanted} - {"ce-jax"}
    assert names <= pinned


def test_every_door_is_there():
    """What users import from the top level, by the names of the field."""
    losses = "cross_entropy ssr true_class_ssr ssr_on_logits lq_loss power_loss focal_loss poly1_loss squentropy"
    losses = [*losses.split(), "mean_absolute_error", "z_loss", "stablemax_cross_entropy"]
    losses += [f"{name}_{form}" for name in ("cross_entropy", "ssr") for form in ("with_targets", "from_probs")]
    losses += ["true_class_ssr_from_probs"]
    others = "softmax log_softmax logsumexp log_odds Loss LOSSES with_manual_grad mean_over validate_labels audit"
    others += " cross_entropy_hessian ssr_hessian cross_entropy_hvp ssr_hvp linear mlp backprop make_train sweep"
    others += " steps_to_target survival rmst bootstrap_ci probability_of_improvement performance_profile iqm"
    for name in (*losses, *(f"{name}_grad" for name in losses), *others.split()):
        assert name in ce_jax.__all__, name
        assert callable(getattr(ce_jax, name)) or name == "LOSSES", name
