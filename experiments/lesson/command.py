"""What `python -m experiments lesson` does."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ce_jax.models import STARTS

from ..errors import UserError, nearest
from ..files import make_folder
from ..pages.showing import show_page
from ..runtime import prepare_jax
from .network import load_network
from .page import write_page
from .record import compute
from .terminal import show

OPTIONS = ("start", "network")


def lesson_command(overrides: Sequence[str], out: Path, open_page: bool, console: Console) -> int:
    """Compute the lesson, print it, and write `out/lesson.html`.

    Args:
      overrides: `start=NAME`, where section 5 begins, and `network=FILE`, the network of sections 1 to 4.
      out: folder of the page.
      open_page: show the page in the browser.
      console: where the lesson is printed.

    Returns:
      0.

    Raises:
      UserError: an unknown option or value, or a network file that does not fit.
    """
    options = _options(overrides)
    network = load_network(options["network"]) if "network" in options else load_network()
    make_folder(out)
    prepare_jax()
    with console.status("computing every number of the lesson"):
        lesson = compute(network, options.get("start", "he"))
    show(lesson, console)
    show_page(write_page(lesson, out), open_page, console)
    return 0


def _options(overrides: Sequence[str]) -> dict[str, str]:
    options = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not value:
            raise UserError(f"command line: expected key=value, got {override!r}")
        if key not in OPTIONS:
            raise UserError(f"command line: {key}: expected one of {', '.join(OPTIONS)}{nearest(key, OPTIONS)}")
        options[key] = value
    start = options.get("start", "he")
    if start not in STARTS:
        expected = f"expected one of {', '.join(STARTS)}, got {start!r}"
        raise UserError(f"command line: start: {expected}{nearest(start, STARTS)}")
    return options
