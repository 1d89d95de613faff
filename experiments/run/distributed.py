"""One run on many processes, on JAX's own distributed runtime: the first process leads, the others follow.

All processes run the same programs in the same order, each on its own devices. Whatever could differ between them, and
so steer them apart, is what is read from files: that is asked of the leader, who alone writes and prints.
"""

import contextlib
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from ..errors import UserError
from .folder import UnfinishedRun, open_run
from .shards import Shard

Answer = TypeVar("Answer")


def connect(text: str) -> None:
    """Join the other processes: `auto` where a cluster tells who they are, else HOST:PORT,PROCESSES,INDEX.

    HOST:PORT is where the first process (INDEX 0) listens. To be called before any device is used.

    Raises:
      UserError: anything else, or no cluster that JAX knows.
    """
    match = re.fullmatch(r"([^,\s]+:\d+),(\d+),(\d+)", text)
    if text != "auto" and (not match or not int(match[3]) < int(match[2])):
        raise UserError(
            "--distributed: expected auto or HOST:PORT,PROCESSES,INDEX with INDEX from 0 to PROCESSES - 1, such as "
            f"10.0.0.1:9876,4,0, got {text!r}"
        )
    # JAX's own service would swallow SIGTERM; here it stops the run, and what is finished is stored.
    jax.config.update("jax_enable_preemption_service", False)
    if match:
        jax.distributed.initialize(match[1], int(match[2]), int(match[3]), cluster_detection_method="deactivate")
        return
    try:
        jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"--distributed: auto finds no cluster ({error}); give HOST:PORT,PROCESSES,INDEX") from None


def leads() -> bool:
    """Whether this process writes and prints: the only one, or the first of many."""
    return jax.process_index() == 0


def agreed(ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns, or raises, in the leader: in every process, which all have to call this."""
    if jax.process_count() == 1:
        return ask()
    content = b""
    if leads():
        try:
            content = pickle.dumps(ask())  # between processes of one run; nothing of it is ever stored
        except Exception as error:
            content = pickle.dumps(error)
    size = int(multihost_utils.broadcast_one_to_all(np.array(len(content), np.int32)))
    # Padded to a power of two: every new size is a new program.
    padded = np.frombuffer(content.ljust(1 << max(size - 1, 0).bit_length(), b"\0"), np.uint8)
    answer = pickle.loads(multihost_utils.broadcast_one_to_all(padded).tobytes()[:size])
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextlib.contextmanager
def open_jointly(
    final: Path, *, fresh: bool, shard: Shard | None, warn: Callable[[str], None]
) -> Iterator[UnfinishedRun]:
    """`open_run` by the leader, for all processes; what the others get only names files."""
    with contextlib.ExitStack() as held:
        opened = []
        agreed(lambda: opened.append(held.enter_context(open_run(final, fresh=fresh, shard=shard, warn=warn))))
        yield opened[0] if opened else UnfinishedRun(final)
