"""Modules of a user's own: found in the current folder and beside the config, whatever way the program was started."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from .names import HOME, PACKAGE

_FOLDERS: list[str] = []


@contextlib.contextmanager
def searched(folder: Path) -> Iterator[None]:
    """Modules in `folder` can be imported in here: first by `import_own`, last by everything else.

    First, because an own module is meant even where something installed bears its name; last, because a file that
    happens to be called `queue.py` must not stand in the way of what the program itself has yet to import.
    """
    name = str(folder.resolve())
    _FOLDERS.append(name)
    sys.path.append(name)
    try:
        yield
    finally:
        _FOLDERS.remove(name)
        if name in sys.path:  # the last one: what was there before stays where it was
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(name)]


def import_own(name: str) -> ModuleType:
    """The module that a config names; an example of the application's own by the name that it has in a checkout.

    >>> import_own("experiments.examples.own_model").WIDTH
    32
    """
    if name.startswith(f"{HOME}.examples."):
        name = PACKAGE + name.removeprefix(HOME)
    inserted = list(_FOLDERS)
    sys.path[:0] = inserted
    try:
        importlib.invalidate_caches()  # a file written a moment ago may not be known yet
        return importlib.import_module(name)
    finally:
        for folder in inserted:  # one by one, as the module may have put there what it needs
            with contextlib.suppress(ValueError):
                sys.path.remove(folder)
