"""The one exception for problems the user can mend, and the search for the name that was meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A problem the user can mend, in one line: what was expected, what came, where, and the nearest valid name.

    The command line prints the line without a traceback and exits with 2.
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the end of an error line that names the choice closest to `name`, or nothing when none is close.

    >>> nearest("irs", ["iris", "wine"])
    "; did you mean 'iris'?"
    >>> nearest("mixture_of_experts", ["iris", "wine"])
    ''
    """
    # Matching ignores case, as difflib would count "Iris" and "iris" as two different letters apart.
    spelt = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"; did you mean {spelt[found[0]]!r}?" if found else ""
