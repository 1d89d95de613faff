"""Published claims re-run as experiments: one module per claim, a setting plus an analysis."""

from experiments.claims.command import claims_command
from experiments.claims.registry import CLAIMS

__all__ = ["CLAIMS", "claims_command"]
