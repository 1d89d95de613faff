"""Shares of one run, for batch schedulers: which of N shards this process is, and which waves are its own.

All shards work in one run folder. Every wave is computed by one of them and read by the others; whoever comes last puts
the run together.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import UserError


class PartsMissing(Exception):
    """What other shards have still to compute, in a sentence."""


class Shard(NamedTuple):
    """Shard `number` `of` so many, numbers from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, total: int) -> range:
        """Positions of this shard's waves among `total`: neighbours, which often share a compiled program.

        >>> [list(Shard(number, 3).share(4)) for number in (1, 2, 3)]
        [[0], [1], [2, 3]]
        """
        return range(total * (self.number - 1) // self.of, total * self.number // self.of)

    def owners(self, positions: Sequence[int], total: int) -> list[str]:
        """The shards that have some of these `positions` in their share."""
        shards = (Shard(number, self.of) for number in range(1, self.of + 1))
        return [str(shard) for shard in shards if set(positions) & set(shard.share(total))]


MOST_SHARES = 10**5


def parse_shard(text: str, where: str = "--shard") -> Shard | None:
    """`I/N`; None for 1/1, which is a whole run.

    >>> parse_shard("2/4"), parse_shard("1/1")
    (Shard(number=2, of=4), None)

    Raises:
      UserError: anything else.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    shard = Shard(int(match[1]), int(match[2])) if match else None
    if shard is None or not 1 <= shard.number <= shard.of <= MOST_SHARES:  # they are listed one by one
        raise UserError(f"{where}: expected I/N with I from 1 to N, at most {MOST_SHARES:,}, such as 2/4, got {text!r}")
    return shard if shard.of > 1 else None


def scheduled_shard(environment: Mapping[str, str]) -> Shard | None:
    """The shard that a Slurm array or an indexed Kubernetes job makes of this process, None outside of both.

    Slurm tells how many tasks an array has. Kubernetes does not tell how many completions a job wants: its manifest has
    to say it again in the variable JOB_COMPLETIONS.

    >>> scheduled_shard({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"})
    Shard(number=3, of=4)
    >>> scheduled_shard({"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "4"})
    Shard(number=1, of=4)

    Raises:
      UserError: the variables do not tell which share of how many this is.
    """
    if "SLURM_ARRAY_TASK_ID" in environment:
        names = ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT"]
        index, count = environment[names[0]], environment.get(names[3], "")
        first, step = environment.get(names[1], "0"), environment.get(names[2], "1")
    elif "JOB_COMPLETION_INDEX" in environment:
        names = ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"]
        index, count = environment[names[0]], environment.get(names[1], "")
        first, step = "0", "1"
    else:
        return None
    shown = ", ".join(f"{name}={environment.get(name, '')}" for name in names)
    if not all(word.isdecimal() for word in (index, count, first, step)):
        raise UserError(f"--shard: cannot tell the share from {shown}; give --shard I/N, or 1/1 for a whole run")
    # Uneven ids (--array=1,5,9) end beyond the count or between two steps.
    number, rest = divmod(int(index) - int(first), max(int(step), 1))
    if rest or not 0 <= number < int(count):
        raise UserError(f"--shard: {shown} is no evenly spaced array; give --shard I/N, or 1/1 for a whole run")
    return parse_shard(f"{number + 1}/{count}")
