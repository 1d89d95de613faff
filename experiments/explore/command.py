"""What `python -m experiments explore` does."""

import webbrowser
from pathlib import Path

from rich.console import Console

from ..errors import UserError
from ..runtime import prepare_jax
from .page import write_explorer


def explore_command(out: Path, open_page: bool, console: Console) -> int:
    """Write the explorer into the file `out`; returns 0.

    Args:
      out: the page to write.
      open_page: show it in the browser.
      console: where its path is printed.

    Raises:
      UserError: `out` cannot be written.
    """
    if out.is_dir():
        raise UserError(f"--out: expected a file to write, got the folder {out}")
    prepare_jax()
    try:
        page = write_explorer(out)
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror}") from None
    console.print(f"page: {page} ({page.stat().st_size / 1024:.0f} KB)", markup=False, soft_wrap=True)
    if open_page:
        webbrowser.open(page.resolve().as_uri())
    return 0
