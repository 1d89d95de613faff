"""Published claims re-run as experiments: one module per claim, a setting plus an analysis."""

from .command import claims_command
from .registry import CLAIMS

__all__ = ["CLAIMS", "claims_command"]
