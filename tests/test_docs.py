"""API pages: every public name has its place on them."""

import inspect
import sys

import pytest
from rich.console import Console

import ce_jax
from experiments.docs import docs_command
from experiments.errors import UserError


@pytest.mark.slow
def test_every_public_name_is_on_the_page(tmp_path):
    pytest.importorskip("pdoc", reason="needs the extra docs")
    assert docs_command(tmp_path, False, Console(quiet=True)) == 0
    text = (tmp_path / "ce_jax.html").read_text(encoding="utf-8")
    assert [name for name in ce_jax.__all__ if f'id="{name}"' not in text] == []


def test_without_pdoc_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    with pytest.raises(UserError, match=r"needs pdoc; pip install"):
        docs_command(tmp_path, False, Console(quiet=True))


def lacking(function):
    """What the docstring of a function has to say and does not."""
    text = inspect.getdoc(function) or ""
    parameters = inspect.signature(function).parameters
    result = inspect.signature(function).return_annotation
    said = {
        "its arguments": not parameters or "Args" in text,  # "Args as in `cross_entropy`" is enough
        "what it returns": result is None or "Return" in text or "shape is that of" in " ".join(text.split()),
        "an example": ">>>" in text,
    }
    return [what for what, there in said.items() if not there]


FUNCTIONS = {name: entry for name in ce_jax.__all__ if inspect.isfunction(entry := getattr(ce_jax, name))}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_goes_in_what_comes_out_and_how(name):
    assert lacking(FUNCTIONS[name]) == []


@pytest.mark.parametrize("name", ce_jax.LOSSES)
def test_a_loss_has_its_formula_its_gradient_and_its_shapes(name):
    text = inspect.getdoc(ce_jax.LOSSES[name].value)
    assert "radient" in text
    assert "[" in text
    assert any(sign in text for sign in ("sum", "log", "exp", "^", "=")), "no formula"


def test_what_a_docstring_lacks_is_seen():
    def bare(x: int) -> int:
        """A number."""
        return x

    assert lacking(bare) == ["its arguments", "what it returns", "an example"]
