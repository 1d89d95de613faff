"""`audit`: every loss against its definition: the errors printed, stored and drawn, the declared bounds checked."""

from .command import audit_command

__all__ = ["audit_command"]
