"""The audit: how exact a loss is, by every route to its derivatives, where it matters, next to what else one could use.

audit(loss, dtype=...)    records of the worst errors, against the definition in decimal arithmetic
check_bounds(records)     the declared bounds (`BOUNDS`) and whether they hold
error_against_margin      the errors along a line from confidently wrong to confidently right
"""

from ce_jax.audit._audit import FIRST_ORDER, PROGRAMS, ROUTES, Program, Record, audit, label_of
from ce_jax.audit._bounds import BOUNDS, Bound, Verdict, check_bounds
from ce_jax.audit._margins import error_against_margin
from ce_jax.audit._peers import PEERS
from ce_jax.audit._regimes import REGIMES

__all__ = [
    "BOUNDS",
    "FIRST_ORDER",
    "PEERS",
    "PROGRAMS",
    "REGIMES",
    "ROUTES",
    "Bound",
    "Program",
    "Record",
    "Verdict",
    "audit",
    "check_bounds",
    "error_against_margin",
    "label_of",
]
