"""The run folder: parts while a run is under way, one finished folder at the end, nothing ever half-written.

A run works in `<name>.partial/` and is renamed to `<name>/` when everything in it is complete, so a finished folder
is its own marker. Shards of one run share the working folder. Finished waves lie in `<name>.partial/parts/`; each file
is written under another name, flushed to the disk and renamed, and the zip checksums inside an npz tell a damaged one,
whose work alone is done again."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from experiments.errors import UserError
from experiments.shards import Shard


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it exists whole or not at all, power cut included."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that every parser reads: no NaN, no infinity."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> None:
    """Write an npz without pickles."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an npz whole; a damaged file raises ValueError.

    Every member is read, and with it its checksum: a truncated or altered file never passes for data.
    """
    try:
        # Opened here, because np.load does not close what it opened when it finds no zip in it.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, zipfile.error) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: damaged: {error}") from error


class Run:
    """An unfinished run's folder, held by this process alone, or shared with the other shards of the run."""

    def __init__(self, final: Path, lock: IO[str] | None = None, shared: bool = False) -> None:
        self.final, self.lock, self.shared = final, lock, shared
        self.folder = final.with_name(final.name + ".partial")
        self.warn: Callable[[str], None] = lambda message: None
        self.parts = self.folder / "parts"

    @contextlib.contextmanager
    def claim(self, path: Path, *, wait: bool) -> Iterator[bool]:
        """Keep the other shards off one file; yields False where one of them has it and `wait` is False."""
        if not self.shared:
            yield True
            return
        with open(path.with_suffix(".lock"), "a+") as lock:
            yield _locked(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

    def take_over(self) -> bool:
        """Hold the folder alone, to finish the run; False while other shards are in it, or when one has finished it.

        A shard that gets False has let go of the folder: so the last one to ask gets it.
        """
        if (
            self.lock
            and self.shared
            and not (_locked(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB) and _in_place(self.lock))
        ):
            return False
        self.shared = False
        return True

    def part(self, key: Mapping[str, Any]) -> Path:
        """The file of the wave that `key` describes."""
        return self.parts / (hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20] + ".npz")

    def load_part(self, path: Path) -> dict[str, np.ndarray] | None:
        """A finished wave, or None where there is none; a damaged file is set aside, never used and never deleted."""
        try:
            return read_arrays(path)
        except FileNotFoundError:
            return None
        except ValueError:
            path.rename(path.with_suffix(".damaged"))
            self.warn(f"damaged, set aside, and its work done again: {path}")
            return None

    def finish(self) -> None:
        """Turn the working folder into the finished one, in place of an older one of the same name."""
        shutil.rmtree(self.parts)
        for lock in self.folder.glob("*lock"):
            lock.unlink()
        (self.folder / "plan.json").unlink(missing_ok=True)
        old = self.final.with_name(self.final.name + ".old")
        if self.final.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.final.rename(old)
        self.folder.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def open_run(final: Path, *, fresh: bool = False, shard: Shard | None = None) -> Iterator[Run]:
    """Hold the working folder of the run that will become `final`; `fresh` forgets what an earlier try left there.

    A whole run holds the folder alone. Shards share it; each excludes whole runs and a second one of its own number.

    Raises:
      UserError: another process holds it, or the folder cannot be written.
    """
    partial = final.with_name(final.name + ".partial")
    with contextlib.ExitStack() as held:

        def hold(name: str, how: int) -> IO[str]:
            lock = held.enter_context(open(partial / name, "a+"))
            if not _locked(lock, how | fcntl.LOCK_NB):
                what = f"shard {shard} of this run" if name != "lock" else "this run"
                raise UserError(f"{partial}: another process is working on {what}; wait for it or stop it")
            return lock

        try:
            partial.mkdir(parents=True, exist_ok=True)
            lock = hold("lock", fcntl.LOCK_SH if shard else fcntl.LOCK_EX)
            while not _in_place(lock):  # whoever held it has just finished the run and renamed the folder
                partial.mkdir(parents=True, exist_ok=True)
                lock = hold("lock", fcntl.LOCK_SH if shard else fcntl.LOCK_EX)
            if shard:
                hold(f"{shard.number}-of-{shard.of}.lock", fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(f"--out: cannot write to {final.parent}: {error.strerror}") from None
        if fresh:
            shutil.rmtree(partial / "parts", ignore_errors=True)
            (partial / "plan.json").unlink(missing_ok=True)
        (partial / "parts").mkdir(exist_ok=True)
        yield Run(final, lock, shard is not None)


def _locked(lock: IO[str], how: int) -> bool:
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        return False
    return True


def _in_place(lock: IO[str]) -> bool:
    """Whether the open file is still the one of its name."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name))
    except FileNotFoundError:
        return False
