"""The audit: how exact a loss is, by every route to its derivatives, where it matters, next to what else one could use.

audit(loss, dtype=...)    records of the worst errors, against the definition in decimal arithmetic
check_loss(loss)          what a loss of one's own has to be, a finding a line
check_bounds(records)     the declared bounds (`BOUNDS`) and whether they hold
error_against_margin      the errors along a line from confidently wrong to confidently right
FORMULAS, torch_formulas  what optax, the textbook and PyTorch compute in place of a loss
PEERS, torch_peers        the same with derivatives, measured beside the loss
"""

from ce_jax.auditing._audit import FIRST_ORDER, PROGRAMS, ROUTES, Option, Program, Record, audit, label_of
from ce_jax.auditing._bounds import BOUNDS, Bound, BoundCheck, check_bounds
from ce_jax.auditing._formulas import FORMULAS, have_torch, torch_formulas
from ce_jax.auditing._margins import error_against_margin
from ce_jax.auditing._peers import PEERS, Peer, torch_peers
from ce_jax.auditing._properties import Finding, check_loss
from ce_jax.auditing._regimes import REGIMES

__all__ = [
    "BOUNDS",
    "FIRST_ORDER",
    "FORMULAS",
    "PEERS",
    "PROGRAMS",
    "REGIMES",
    "ROUTES",
    "Bound",
    "BoundCheck",
    "Finding",
    "Option",
    "Peer",
    "Program",
    "Record",
    "audit",
    "check_bounds",
    "check_loss",
    "error_against_margin",
    "have_torch",
    "label_of",
    "torch_formulas",
    "torch_peers",
]
