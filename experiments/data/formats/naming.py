"""Names of columns and of the features made of them: how they are compared, told apart and quoted."""

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..account import first_few
from ..options import DataOptions


def quoted(names: Iterable[str]) -> str:
    """The first names, quoted and cut to a length that a line can bear, and how many there are beyond.

    >>> quoted(["width", "w" * 50])
    "'width', 'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww...'"
    """
    return first_few(repr(name if len(name) <= 40 else name[:37] + "...") for name in names)


def composed(name: str) -> str:
    """A name with its accents as they are typed: some systems store a letter and its accent apart, which look alike.

    >>> len("gro\N{COMBINING DIAERESIS}sse"), len(composed("gro\N{COMBINING DIAERESIS}sse"))
    (7, 6)
    """
    return unicodedata.normalize("NFC", name)


def composed_options(options: DataOptions) -> DataOptions:
    """The options with the columns that they name written as `composed` writes them."""
    label = None if options.label is None else composed(options.label)
    columns, exclude = (
        None if names is None else tuple(composed(str(name)) for name in names)
        for names in (options.columns, options.exclude)
    )
    return replace(options, label=label, columns=columns, exclude=exclude)


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of which those that come again bear a number: a text in one column may read like another column's name.

    >>> told_apart(["colour=red", "size", "colour=red", "colour=red (2)"])
    ['colour=red', 'size', 'colour=red (3)', 'colour=red (2)']
    """
    given = set(names)
    taken: dict[str, None] = {}
    for name in names:
        free = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        taken[next(one for one in free if one not in taken and (one == name or one not in given))] = None
    return list(taken)
