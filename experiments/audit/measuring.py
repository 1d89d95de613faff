"""What the command measures: the options of each loss, the programs in each dtype, and the audits of them all."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ce_jax.auditing import FIRST_ORDER, PROGRAMS, ROUTES, Option, Peer, Program, Record, audit
from ce_jax.losses import LOSSES, Loss

from ..errors import UserError, first_line

ProgramsByDtype = Mapping[str, Sequence[Program]]


def halving(num_classes: int) -> NDArray[np.float64]:
    """A prior of a long tail, exact in every dtype: 1, 1/2, 1/4 and so on to 1/4096, and from 1 again."""
    return np.exp2(-(np.arange(num_classes, dtype=np.float64) % 13))


# Options that a loss is audited at, beside its defaults; all can be traced, so each loss is compiled once.
OPTIONS: dict[str, tuple[Mapping[str, Option], ...]] = {
    "ssr": ({}, {"label_smoothing": 0.125}),
    "lq_loss": ({"q": 0.0}, {"q": 0.5}, {"q": 1.0}),
    "power_loss": ({"beta": 0.0}, {"beta": 0.5}, {"beta": 1.0}),
    "logit_adjusted_cross_entropy": ({"prior": halving, "tau": 1.0}, {"prior": halving, "tau": 0.5}),
    "fenchel_young_loss": ({}, {"alpha": 1.0}, {"alpha": 1.25}, {"alpha": 1.5}),
}
# As many classes as a language model has tokens: float32 shows what half precision loses.
VOCABULARY = Program(32_000, FIRST_ORDER, 2)
FULL: ProgramsByDtype = {
    "float32": (*PROGRAMS, VOCABULARY),
    "float64": (Program(10), Program(1000, FIRST_ORDER, 4, peers=False)),
    "bfloat16": (Program(10), VOCABULARY),
    "float16": (Program(10, peers=False), VOCABULARY),
}
SHORT: ProgramsByDtype = {
    "float32": (Program(10), Program(4, ROUTES[4:], 9), Program(1, FIRST_ORDER[:2], 5, peers=False)),
    "float64": (Program(10, FIRST_ORDER[:3], peers=False),),
    "bfloat16": (Program(10, FIRST_ORDER[:2], peers=False),),
}
QUICK: ProgramsByDtype = {"float32": (Program(10, FIRST_ORDER[:3]),)}
QUICK_FULL: ProgramsByDtype = {
    "float32": (Program(10), Program(1, FIRST_ORDER[:2], 5, peers=False)),
    "bfloat16": (Program(10, FIRST_ORDER[:2], peers=False),),
}


def run_audit(subjects: Iterable[tuple[Loss, ProgramsByDtype]], peers: Mapping[str, Peer]) -> list[Record]:
    """Audits of all losses in all dtypes; several at a time, because compiling takes most of the time."""
    tasks = [(loss, dtype, programs) for loss, by_dtype in subjects for dtype, programs in by_dtype.items()]

    def run(task: tuple[Loss, str, Sequence[Program]]) -> list[Record]:
        loss, dtype, programs = task
        try:
            return audit(loss, dtype=dtype, options=OPTIONS.get(loss.name, ()), programs=programs, peers=peers)
        except Exception as error:
            if loss.name in LOSSES:
                raise
            reason = first_line(error)
            raise UserError(f"loss: {loss.name}: fails on {dtype} logits [N, K] and labels [N]: {reason}") from None

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return [record for records in pool.map(run, tasks) for record in records]
