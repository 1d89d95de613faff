"""What a quick start leaves out: names are imported when they are used, and all of them can be."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ce_jax
from experiments.names import ROOT


def modules_after(code):
    """The modules that a fresh Python holds after `code`."""
    told = "import sys; print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(ended.stderr.split())


def test_names_for_types_are_the_names_there_are():
    """The table that is read at run time, and the imports that a type checker reads instead."""
    tree = ast.parse(Path(ce_jax.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        node.module.removeprefix("ce_jax."): {name.asname or name.name for name in node.names} for node in block.body
    }
    whole = {module: {"*"} for module in ce_jax._WHOLE}
    assert typed == {module: set(names) for module, names in ce_jax._NAMES.items()} | whole


def test_every_name_is_that_of_its_module():
    listed = {module: importlib.import_module(f"ce_jax.{module}").__all__ for module in ce_jax._WHOLE}
    for module, names in (ce_jax._NAMES | listed).items():
        home = importlib.import_module(f"ce_jax.{module}")
        assert getattr(ce_jax, module) is home
        for name in names:
            assert getattr(ce_jax, name) is getattr(home, name)
            assert name in ce_jax.__all__
            assert name in dir(ce_jax)


def test_everything_can_be_imported_with_a_star():
    held = {}
    exec("from ce_jax import *", held)
    assert set(held) - {"__builtins__"} == set(ce_jax.__all__)


def test_a_name_that_is_missing_names_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'cross_entrop'; did you mean 'cross_entropy'\?"):
        ce_jax.cross_entrop  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'mpl'"):
        exec("from ce_jax import mpl")
    assert not hasattr(ce_jax, "__wrapped__")


@pytest.mark.parametrize(
    ("code", "held", "left_out"),
    [
        ("import ce_jax", "ce_jax", ("jax", "numpy")),
        ("from ce_jax import ssr", "ce_jax.losses", ("ce_jax.models", "optax", "scipy.stats")),
        ("from experiments.__main__ import main; main(['--help'])", "cyclopts", ("jax",)),
    ],
)
def test_a_start_leaves_out_what_it_has_no_use_for(code, held, left_out):
    modules = modules_after(code)
    assert held in modules
    assert modules & set(left_out) == set()
