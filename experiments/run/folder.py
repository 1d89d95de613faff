"""The run folder: parts while a run is under way, one finished folder at the end, nothing ever half-written.

A run works in `<name>.partial/` and is renamed to `<name>/` when everything in it is complete, so a finished folder
is its own marker. Shards of one run share the working folder. Finished waves lie in `<name>.partial/parts/`; each file
is written under another name, flushed to the disk and renamed, and its checksum tells a damaged one, whose work alone
is done again.
"""

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout

from ..errors import UserError
from ..files import read_arrays, set_aside
from .shards import Shard

NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system without locks answers."""


PARTS, PLAN = "parts", "plan.json"
"""What a working folder holds beside the results."""


def tidy(final: Path) -> None:
    """Remove what a finished run no longer needs: its parts, plan and locks, and the run that it replaced.

    A finish that was stopped may have left it there. Whoever looks at results that he may not change leaves it.
    """
    shutil.rmtree(final / PARTS, ignore_errors=True)
    for left in (*final.glob(f"{PLAN}*"), *final.glob("*lock")):
        with contextlib.suppress(OSError):
            left.unlink()
    shutil.rmtree(_old(final), ignore_errors=True)


def _old(final: Path) -> Path:
    """Where a finished run waits to be replaced by a new one of its name."""
    return final.with_name(final.name + ".old")


class UnfinishedRun:
    """An unfinished run's folder, held by this process alone, or shared with the other shards of the run."""

    def __init__(self, final: Path, shard: Shard | None = None) -> None:
        self.final, self.shard, self.shared = final, shard, shard is not None
        self.folder = final.with_name(final.name + ".partial")
        self.parts = self.folder / PARTS
        self.old = _old(final)
        self.warn: Callable[[str], None] = lambda message: None
        self.without_locks = False
        self.held: list[BaseFileLock] = []

    @contextlib.contextmanager
    def claim(self, path: Path, *, wait: bool) -> Iterator[bool]:
        """Keep the other shards off one file; yields False where one of them has it and `wait` is False."""
        if not self.shared:
            yield True
            return
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def take_over(self) -> bool:
        """Hold the folder alone, to finish the run; False while other shards are in it, or when one has finished it.

        A shard that gets False has let go of the folder: so the last one to ask gets it.
        """
        if self.shared:
            with self._entrance():
                self.let_go()
                if not self.folder.exists() or self._others():
                    return False
                self._hold("lock")
            self.shared = False
        return True

    def part(self, key: Mapping[str, Any]) -> Path:
        """The file of the wave that `key` describes."""
        return self.parts / (hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20] + ".npz")

    def load_part(
        self, path: Path, fits: Callable[[dict[str, np.ndarray]], bool] = lambda part: True, *, claimed: bool = True
    ) -> dict[str, np.ndarray] | None:
        """A finished wave, or None where there is none; a damaged file is set aside, never used and never deleted.

        Args:
          path: of the wave.
          fits: whether what a whole file holds is what belongs there.
          claimed: whether no other shard is at this file; if one is, a damaged file is its to set aside.
        """
        try:
            part = read_arrays(path, sealed=True)
            if fits(part):
                return part
        except FileNotFoundError:
            return None
        except (ValueError, OSError):
            pass
        if not claimed:
            return None
        self.warn(f"damaged, set aside, and its work done again: {set_aside(path)}")
        return None

    def finish(self) -> None:
        """Turn the working folder into the finished one, in place of an older one of the same name.

        Whatever stops it, a finished folder, old or new, is there, or all parts are; what is left over goes last.
        """
        with self._entrance():
            self.let_go()
            if self.final.exists():
                shutil.rmtree(self.old, ignore_errors=True)
                self.final.rename(self.old)
            self.folder.rename(self.final)
            tidy(self.final)

    def enter(self) -> None:
        """Hold the folder, made where it is missing: alone, or beside other shards."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self._entrance():
            if self.old.exists() and not self.final.exists():
                self.old.rename(self.final)  # a try to replace it was stopped half-way
            self.folder.mkdir(exist_ok=True)
            name = f"{self.shard.number}-of-{self.shard.of}.lock" if self.shard else "lock"
            busy = {"lock", name} if self.shard else {"lock", *self._others()}
            if any(self._busy(other) for other in busy):
                what = f"shard {self.shard} of this run" if self.shard and not self._busy("lock") else "this run"
                raise UserError(f"{self.folder}: another process is working on {what}; wait for it or stop it")
            self._hold(name)

    def let_go(self) -> None:
        """Release what this process holds of the folder."""
        while self.held:
            self.held.pop().release()

    def _entrance(self) -> contextlib.AbstractContextManager[Any]:
        """Only one process at a time looks at who is in a folder, enters it, or renames it.

        The lock lies beside the folders of all runs, as a folder that is renamed takes its own locks with it.
        """
        if self.without_locks:
            return contextlib.nullcontext()
        lock = FileLock(self.final.with_name(".lock"))
        try:
            return lock.acquire()
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            if self.shard:
                raise UserError(
                    f"--shard: expected a file system with locks, got none at {self.final.parent}"
                ) from None
            self.without_locks = True
            self.warn("this file system has no locks: do not start the run twice")
            return contextlib.nullcontext()

    def _others(self) -> list[str]:
        """Names of locks that shards of this run hold."""
        names = [path.name for path in self.folder.glob("*-of-*.lock")]
        return [name for name in names if self._busy(name)]

    def _busy(self, name: str) -> bool:
        """Whether another process holds a lock of the folder; asked at the entrance alone."""
        if self.without_locks:
            return False
        lock = FileLock(self.folder / name)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def _hold(self, name: str) -> None:
        if not self.without_locks:
            lock = FileLock(self.folder / name)
            lock.acquire(blocking=False)
            self.held.append(lock)


@contextlib.contextmanager
def open_run(
    final: Path, *, fresh: bool = False, shard: Shard | None = None, warn: Callable[[str], None] | None = None
) -> Iterator[UnfinishedRun]:
    """Hold the working folder of the run that will become `final`; `fresh` forgets what an earlier try left there.

    A whole run holds the folder alone. Shards share it; each excludes whole runs and a second one of its own number.

    Raises:
      UserError: another process holds it, or the folder cannot be written.
    """
    run = UnfinishedRun(final, shard)
    run.warn = warn or run.warn
    try:
        run.enter()
        if fresh:
            shutil.rmtree(run.parts, ignore_errors=True)
            (run.folder / PLAN).unlink(missing_ok=True)
        run.parts.mkdir(exist_ok=True)
    except OSError as error:
        run.let_go()
        raise UserError(f"--out: cannot write to {final.parent}: {error.strerror}") from None
    try:
        yield run
    finally:
        run.let_go()
