"""The parameters of losses: what each may be, in one table, and the checks that a loss makes.

A value that is concrete when the loss is called or traced raises where it is out of its range; a traced one cannot.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike


class Range(NamedTuple):
    """Finite numbers from `least` to `most`, both included."""

    least: float = -math.inf
    most: float = math.inf
    hint: str = ""  # what its ends, or numbers beyond them, would be

    def __contains__(self, number: object) -> bool:
        return isinstance(number, float) and math.isfinite(number) and self.least <= number <= self.most

    def __str__(self) -> str:
        if math.isfinite(self.most):
            return f"a number from {self.least:g} to {self.most:g}"
        return f"a finite number of at least {self.least:g}" if math.isfinite(self.least) else "a finite number"


RANGES: dict[str, Range] = {
    "label_smoothing": Range(0, 1, "0 is the label itself, 1 the same for every class"),
    "scale": Range(0, hint="a negative weight would drive the true class away"),
    "target": Range(),
    "beta": Range(0, hint="0 is cross-entropy, 1 SSR"),
    "q": Range(0, hint="0 is cross-entropy, 1 is 1 - p_y"),
    "gamma": Range(0, hint="0 is cross-entropy"),
    "epsilon": Range(-1, hint="below -1 the loss would rise as the label becomes likely"),
    "tau": Range(),
    "alpha": Range(1, hint="1 is the softmax, 2 the sparsemax"),
}


def concrete(value: Any) -> np.ndarray | None:
    """A value as a numpy array; None where it is traced, or on other processes."""
    if isinstance(value, jax.core.Tracer) or (isinstance(value, jax.Array) and not value.is_fully_addressable):
        return None
    return np.asarray(value)


def check_range(value: Any, name: str, largest: float = math.inf) -> None:
    """Checks a parameter, where it is concrete, against its range.

    Raises:
      TypeError: it is no number; ValueError: it is outside its range, infinite, NaN or beyond `largest`.
    """
    known = concrete(value)
    if known is None or known.ndim:
        return
    if known.dtype.kind not in "biuf" and not jnp.issubdtype(known.dtype, jnp.floating):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    number, allowed = float(known), RANGES[name]
    if number not in allowed or abs(number) > largest:
        hint = f"; {allowed.hint}" if allowed.hint else ""
        raise ValueError(f"{name}: expected {allowed}, got {number:g}{hint}")


def check_number(value: ArrayLike, like: Array, name: str) -> Array:
    """A parameter of a loss as a scalar of the dtype of `like`.

    Raises:
      ValueError: it is not a scalar, or concrete and outside its range in `RANGES`; TypeError: it is no number.
    """
    check_range(value, name, float(jnp.finfo(like.dtype).max))
    scalar = jnp.asarray(value, like.dtype)
    if scalar.ndim:
        raise ValueError(f"{name}: expected a number, got shape {scalar.shape}; use jax.vmap for several of them")
    return scalar


def is_zero(number: ArrayLike) -> bool:
    """Whether a parameter is a plain 0, for which the shorter formula is taken."""
    return isinstance(number, int | float) and number == 0


def check_prior(prior: ArrayLike) -> None:
    """Checks the frequencies of classes where they are concrete.

    Raises:
      ValueError: one is negative, infinite or NaN, or all are 0.
    """
    known = concrete(prior)
    if known is None:
        return
    numbers = known.astype(np.float64)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < math.inf)))
    if wrong.size:
        raise ValueError(f"prior[{wrong[0]}]: expected a finite number of at least 0, got {numbers[wrong[0]]:g}")
    if not numbers.any():
        raise ValueError("prior: expected a class of positive frequency, got 0 for every class")
