"""What `python -m experiments docs` does: API pages of the library, made by pdoc (extra `docs`)."""

import inspect
from pathlib import Path

from rich.console import Console

import ce_jax

from .errors import UserError
from .pages.showing import show_page


def docs_command(out: Path, open_page: bool, console: Console) -> int:
    """Write the API pages into the folder `out`; returns 0.

    Args:
      out: folder of the pages; index.html leads to all of them.
      open_page: show them in the browser.
      console: where the path is printed.

    Raises:
      UserError: pdoc is not installed, or `out` cannot be written.
    """
    try:
        import pdoc
        import pdoc.render
    except ImportError:
        raise UserError("docs: needs pdoc; pip install 'ce-jax[docs]', or -e '.[docs]' in a checkout") from None
    inspect.getmembers(ce_jax)  # pdoc sees the names that have been looked up
    pdoc.render.configure(docformat="google", math=False, search=True)
    try:
        pdoc.pdoc("ce_jax", output_directory=out)
    except OSError as error:
        raise UserError(f"--out: cannot write to {out}: {error.strerror}") from None
    show_page(out / "ce_jax.html", open_page, console)
    return 0
