"""The declared bounds, in one table, and the check of an audit against them."""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from ce_jax.auditing._audit import AUTODIFF, FORWARD, HESSIAN, MANUAL, OURS, RULE, VALUE, Record

GRADIENTS = (AUTODIFF, MANUAL, RULE, FORWARD)
CROSS_ENTROPY = ("cross_entropy", "power_loss(beta=0)", "lq_loss(q=0)")  # the families' end points coincide with it
SSR = ("ssr", "power_loss(beta=1)")
SINGLE = ("float32", "bfloat16", "float16")  # half precision is computed in float32
DOUBLE = ("float64",)


class Bound(NamedTuple):
    """A promise: in every record that is covered, the worst `measure` is at most `limit`."""

    title: str
    losses: tuple[str, ...] | None  # None: every loss
    routes: tuple[str, ...]
    measure: str  # "ulp", "relative" or "row_sum" of a `Record`
    dtypes: tuple[str, ...]
    limit: float
    num_classes: tuple[int, int] = (1, 1000)
    reference: str = "decimal"
    regimes: tuple[str, ...] | None = None  # None: every regime

    def covers(self, record: Record) -> bool:
        """Whether the bound says anything about a record."""
        return (
            record.implementation == OURS
            and (self.losses is None or record.loss in self.losses)
            and record.route in self.routes
            and record.dtype in self.dtypes
            and self.num_classes[0] <= record.num_classes <= self.num_classes[1]
            and record.reference == self.reference
            and (self.regimes is None or record.regime in self.regimes)
        )

    def limit_for(self, record: Record) -> float:
        """The limit; a derivative that JAX has to return in half precision is rounded to that at the end."""
        info = jnp.finfo(record.result)
        return max(self.limit, float(info.eps)) if self.measure == "relative" and info.bits < 32 else self.limit


def _both(title, losses, routes, measure, single, double, **more) -> tuple[Bound, Bound]:
    """The bound for results computed in single precision, and for those computed in double."""
    bound = partial(Bound, title=title, losses=losses, routes=routes, measure=measure, **more)
    return bound(dtypes=SINGLE, limit=float(single)), bound(dtypes=DOUBLE, limit=float(double))


BOUNDS: tuple[Bound, ...] = (
    *_both("cross-entropy, value", CROSS_ENTROPY, (VALUE,), "ulp", 8, 16),
    *_both("cross-entropy, gradient, K <= 10", CROSS_ENTROPY, GRADIENTS, "ulp", 8, 16, num_classes=(1, 10)),
    *_both("cross-entropy, gradient, K <= 1000", CROSS_ENTROPY, GRADIENTS, "ulp", 12, 24, num_classes=(11, 1000)),
    *_both("cross-entropy, sum of a gradient's row", CROSS_ENTROPY, GRADIENTS, "row_sum", 8, 24),
    *_both("SSR, value", SSR, (VALUE,), "ulp", 16, 32),
    *_both("SSR, gradient", SSR, GRADIENTS, "relative", 2e-6, 8e-15),
    *_both("SSR, sum of a gradient's row", SSR, GRADIENTS, "row_sum", 128, 128),
    *_both("every loss, value and gradient", None, (VALUE, *GRADIENTS), "relative", 1e-4, 1e-12),
    *_both("every loss, Hessian", None, (HESSIAN,), "relative", 1e-4, 1e-12),
    # What JAX has to return in half precision is rounded to that at the end: eps of the dtype, see `limit_for`.
    Bound(
        "p = .999 of 32,000 classes, gradient",
        ("cross_entropy",),
        GRADIENTS,
        "relative",
        SINGLE,
        2e-6,
        num_classes=(32_000, 32_000),
    ),
    *_both(
        "your loss: the routes agree with its finite differences",
        None,
        (VALUE, *GRADIENTS, HESSIAN),
        "relative",
        1e-3,
        1e-5,
        reference="finite differences",
        regimes=("typical", "ties"),
    ),
)


class BoundCheck(NamedTuple):
    """A bound and the record that comes closest to breaking it, or breaks it."""

    bound: Bound
    limit: float
    worst: float
    record: Record

    @property
    def kept(self) -> bool:
        """Whether the bound holds in all records."""
        return self.worst <= self.limit

    def describe(self) -> str:
        """The bound, where it is strained most, and by how much, in one line."""
        r = self.record
        place = f"{r.loss}, {r.dtype}, {r.route}, {r.regime}, K = {r.num_classes}"
        return f"{self.bound.title}: {place}: {self.bound.measure} {self.worst:.2g}, declared {self.limit:.2g}"


def check_bounds(records: Iterable[Record], bounds: Sequence[Bound] = BOUNDS) -> list[BoundCheck]:
    """A check of every bound for every loss and dtype that the records say something about.

    >>> from ce_jax.auditing import audit, Program
    >>> checks = check_bounds(audit("ssr", programs=[Program(3, ("value",), 4)], peers={}))
    >>> [(check.bound.title, check.kept) for check in checks]
    [('SSR, value', True), ('every loss, value and gradient', True)]
    """
    worst: dict[tuple[int, str, str], BoundCheck] = {}
    for record in records:
        for number, bound in enumerate(bounds):
            error = getattr(record, bound.measure)
            if not bound.covers(record) or (math.isnan(error) and bound.measure == "row_sum"):
                continue
            # A NaN where a number is due breaks every bound.
            worst_error = math.inf if math.isnan(error) else error
            check = BoundCheck(bound, bound.limit_for(record), worst_error, record)
            key = (number, record.loss, record.dtype)
            if key not in worst or _strain(check) > _strain(worst[key]):
                worst[key] = check
    return [worst[key] for key in sorted(worst)]


def _strain(check: BoundCheck) -> float:
    return check.worst / check.limit
