"""API pages: every public name has its place on them."""

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
