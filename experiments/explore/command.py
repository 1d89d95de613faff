"""What `python -m experiments explore` does."""

from pathlib import Path

from rich.console import Console

from ..errors import UserError
from ..pages.showing import show_page
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
    show_page(page, open_page, console)
    return 0
