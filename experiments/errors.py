"""The one exception for problems the user can mend, and how a ValueError of the library becomes one."""

import contextlib
from collections.abc import Iterator

from ce_jax._checking import check, check_count, check_one_of, first_line, is_count, nearest

__all__ = ["UserError", "check", "check_count", "check_one_of", "first_line", "is_count", "nearest", "users_input"]


class UserError(Exception):
    """A problem the user can mend, in one line: what was expected, what came, where, and the nearest valid name.

    The command line prints the line without a traceback and exits with 2.
    """


@contextlib.contextmanager
def users_input(where: str = "") -> Iterator[None]:
    """Whatever the library refuses in here is the user's input: its ValueError becomes a UserError after `where`.

    >>> with users_input("configs/a.toml: "):
    ...     raise ValueError("steps: expected at least 1, got 0")
    Traceback (most recent call last):
    experiments.errors.UserError: configs/a.toml: steps: expected at least 1, got 0
    """
    try:
        yield
    except ValueError as error:
        raise UserError(f"{where}{error}") from None
