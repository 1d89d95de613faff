"""Side-by-side timings: `python -m experiments bench [SUITE ...]`, ratios and never bare times."""

from .command import bench_command

__all__ = ["bench_command"]
