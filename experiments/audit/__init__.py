"""`audit`: every loss against its definition: the errors printed, stored and drawn, the declared bounds checked."""

from experiments.audit.command import audit_command

__all__ = ["audit_command"]
