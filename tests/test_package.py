"""The package as a whole: import direction, names, purity, the README, the wheel's contents."""

import ast
import doctest
import graphlib
import importlib
import importlib.util
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import ce_jax

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "ce_jax").rglob("*.py"))
APPLICATION = sorted((ROOT / "experiments").rglob("*.py"))
README = (ROOT / "README.md").read_text()

# The house, to be read from the top: a file imports only from its own row and from the rows above it.
HOUSE = (
    "ce_jax._checking",
    "ce_jax.losses",
    "ce_jax.models",
    "ce_jax._backprop",
    "ce_jax.auditing",
    "ce_jax.training",
    "ce_jax.sweeping",
    "ce_jax.analysis",
    "ce_jax.comparing",
    "ce_jax.landscape",
    "ce_jax",
    "experiments",
    "experiments.names",
    "experiments.errors",
    "experiments.own_modules",
    "experiments.shipped",
    "experiments.source",
    "experiments.toml_files",
    "experiments.files",
    "experiments.surroundings",
    "experiments.progress",
    "experiments.runtime",
    "experiments.data",
    "experiments.examples",
    "experiments.overrides",
    "experiments.config",
    "experiments.pages",
    "experiments.run",
    "experiments.audit",
    "experiments.bench",
    "experiments.lesson",
    "experiments.explore",
    "experiments.claims",
    "experiments.tutorial",
    "experiments.drafting",
    "experiments.docs",
    "experiments.listing",
    "experiments.__main__",
)
# What a function may import when it is called: libraries that are optional, or slow to import and rarely needed.
WHEN_CALLED = {"equinox", "flax", "pdoc", "resource", "torch"}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in LIBRARY + APPLICATION}


def imported(node, package):
    """Modules that a statement imports; of `from a import b` it is a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        names = (f"{source}.{alias.name}" for alias in node.names)
        return [name if name in MODULES else source for name in names]
    return []


def package_of(name):
    return name if name in MODULES and MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def imports(name, text):
    """All modules that the source text of a module imports, wherever it does."""
    return [other for node in ast.walk(ast.parse(text)) for other in imported(node, package_of(name))]


def imports_when_called(text, package=""):
    """The modules imported inside a function."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
    return {other for body in bodies for node in ast.walk(body) for other in imported(node, package)}


def row(name):
    """The row of a module in the house, None for the modules of others."""
    if name.partition(".")[0] not in ("ce_jax", "experiments"):
        return None
    return HOUSE.index(".".join(name.split(".")[:2]))


def uphill(name, text):
    """What a module imports from rows below its own."""
    rows = {other: row(other) for other in imports(name, text)}
    return sorted(other for other, place in rows.items() if place is not None and place > row(name))


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    assert uphill(name, MODULES[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("ce_jax.losses._ssr", "from ce_jax.training import make_train", ["ce_jax.training"]),
        ("ce_jax.models", "import ce_jax", ["ce_jax"]),
        ("ce_jax.models", "from ce_jax import sweeping", ["ce_jax.sweeping"]),
        ("ce_jax.comparing", "if TYPE_CHECKING:\n    from experiments.config import Config", ["experiments.config"]),
        ("experiments.config", "def f():\n    from experiments import run", ["experiments.run"]),
        ("experiments.data", "from ..config import Config", ["experiments.config"]),
        ("experiments.data.readers", "from . import datasets\nfrom ..pages import html", ["experiments.pages.html"]),
        ("experiments.claims.page", "import experiments.run.folder, experiments.listing", ["experiments.listing"]),
        ("experiments.run.command", "import numpy\nfrom ce_jax import compare\nfrom experiments.run import folder", []),
    ],
)
def test_imports_uphill_are_found(name, text, found):
    assert uphill(name, text) == found


def test_every_module_has_its_row_and_every_row_its_module():
    rows = {".".join(name.split(".")[:2]) for name in MODULES}
    assert rows == set(HOUSE)


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: set(imports(name, path.read_text())) & set(MODULES) for name, path in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({**graph, order[0]: {order[-1]}, order[-1]: {order[0]}}).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_at_the_top(name):
    """A command imports its package when it is called, and a format its reader, for a quick start; nobody else does."""
    inside = imports_when_called(MODULES[name].read_text(), package_of(name))
    own = [other for other in inside if row(other) is not None]
    assert own == [] or name in ("experiments.__main__", "experiments.data.readers")
    assert {other.partition(".")[0] for other in inside if row(other) is None} <= WHEN_CALLED


def test_imports_inside_functions_are_found():
    text = "import a\nclass C:\n    def f(self):\n        if True:\n            from b.c import d\n        import e\n"
    assert imports_when_called(text) == {"b.c", "e"}


def test_no_public_module_bears_the_name_of_a_public_function():
    """`import ce_jax.x` would put the module in the place of the function."""
    packages = [entry.name for entry in pkgutil.iter_modules(ce_jax.__path__) if entry.ispkg]
    assert "comparing" in packages
    for package in ("ce_jax", *(f"ce_jax.{name}" for name in packages)):
        for name in importlib.import_module(package).__all__:
            assert importlib.util.find_spec(f"{package}.{name}") is None, f"{package}.{name}"
            assert importlib.util.find_spec(f"ce_jax.{name}") is None, name
    assert importlib.util.find_spec("ce_jax.landscape") is not None


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
    assert not forbidden & {name.split(".")[0] for name in imports(module_name(path), path.read_text())}
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


def test_readme_conversions_are_those_of_the_tested_table():
    """What the README says to write stands in the docstring of `ce_jax.losses`, which the parity tests run."""
    table = README.split("| you used | write |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert len(table) == 8
    for line in table:
        theirs, ours = (cell.strip() for cell in line.strip("|").split("|"))
        known = [row.split("|") for row in ce_jax.losses.__doc__.splitlines() if row.endswith(f"| {ours} |")]
        keyword = re.search(r"`([^`]+)`", theirs)[0]
        assert any(keyword in row[1] for row in known), line


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
    losses += ["logit_adjusted_cross_entropy", "sigmoid_binary_cross_entropy", "spherical_score", "fenchel_young_loss"]
    losses += [f"{name}_{form}" for name in ("cross_entropy", "ssr") for form in ("with_targets", "from_probs")]
    losses += ["true_class_ssr_from_probs"]
    others = "softmax log_softmax logsumexp log_odds Loss LOSSES with_manual_grad mean_over validate_labels audit"
    others += " log_prob entropy entmax class_weights"
    others += " cross_entropy_hessian ssr_hessian cross_entropy_hvp ssr_hvp linear mlp backprop make_train sweep"
    others += " steps_to_target survival rmst bootstrap_ci probability_of_improvement performance_profile iqm"
    for name in (*losses, *(f"{name}_grad" for name in losses), *others.split()):
        assert name in ce_jax.__all__, name
        assert callable(getattr(ce_jax, name)) or name == "LOSSES", name
