"""What every command does with a page that it has written: say where it is, and open it where that was asked for."""

import webbrowser
from pathlib import Path

from rich.console import Console


def show_page(page: Path, open_page: bool, console: Console) -> None:
    """Print the path of a page, and open it in a browser if `open_page`."""
    console.print(f"page: {page}", markup=False, soft_wrap=True)
    if open_page:
        webbrowser.open(page.resolve().as_uri())
