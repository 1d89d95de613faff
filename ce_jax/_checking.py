"""Checks of what a caller gives, in one voice: what was expected, what came, and the name that was meant."""

import difflib
import math
from collections.abc import Iterable
from typing import Any, Literal, TypeGuard, get_args, get_origin, get_type_hints

MOST_COUNTED = 2**31 - 1
"""The largest step, size or width: programs count in 32 bits."""
MOST_LISTED = 10**6
"""The largest number of what is listed one by one: seeds, rates, evaluations, resamples."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the end of an error line that names the choice closest to `name`, or nothing when none is close.

    >>> nearest("irs", ["iris", "wine"])
    "; did you mean 'iris'?"
    >>> nearest("mixture_of_experts", ["iris", "wine"])
    ''
    """
    # Matching ignores case, as difflib would count "Iris" and "iris" as two different letters apart.
    spelt = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"; did you mean {spelt[matches[0]]!r}?" if matches else ""


def check(fine: bool, key: str, expected: str, came: object) -> None:
    """Raise the ValueError that an options record owes to a wrong value; a config puts file and table before it."""
    if not fine:
        raise ValueError(f"{key}: expected {expected}, got {came!r}")


def check_one_of(key: str, value: object, choices: Iterable[str]) -> None:
    """`check` that a name is among the `choices`; the error names the nearest one."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{key}: expected one of {', '.join(choices)}, got {value!r}{nearest(str(value), choices)}")


def check_choices(record: Any) -> None:
    """`check_one_of` for the fields of an options record that are one of some texts, and `check` for its switches."""
    for key, hint in get_type_hints(type(record)).items():
        if get_origin(hint) is Literal:
            check_one_of(key, getattr(record, key), get_args(hint))
        elif hint is bool:
            check(isinstance(getattr(record, key), bool), key, "True or False", getattr(record, key))


def is_count(value: object, least: int = 1) -> bool:
    """Tell whether `value` is a whole number from `least` to `MOST_COUNTED`; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_COUNTED


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether `value` is a finite number of Python; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_count(key: str, value: object, least: int = 1, most: int = MOST_COUNTED) -> None:
    """`check` that a value is a whole number from `least` to `most`; the error names the end that it is beyond.

    >>> check_count("steps", 10**13)
    Traceback (most recent call last):
    ValueError: steps: expected at most 2147483647, got 10000000000000
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    check(whole, key, "a whole number", value)
    check(value >= least, key, f"at least {least}", value)  # type: ignore[operator]
    check(value <= most, key, f"at most {most}", value)  # type: ignore[operator]


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its name where it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]
