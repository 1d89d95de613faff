"""The explorer: one page in which cross-entropy and SSR go downhill side by side, on a triangle and in a network."""

from .command import explore_command

__all__ = ["explore_command"]
