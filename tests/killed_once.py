"""What executors are given to do in `test_killed_executors.py`: a share of a run, in a process that is killed once."""

import os
import signal
from pathlib import Path

from experiments.run import trainer
from tests.small_run import run


def share(config, out, shard, marker):
    """The exit code of a shard; the first process of all that has stored a part is killed at that moment."""
    stored = trainer.write_arrays

    def killing(path, *arguments, **options):
        stored(path, *arguments, **options)
        try:
            os.close(os.open(Path(marker), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    trainer.write_arrays = killing
    try:
        return run(config, out, "--shard", shard)
    finally:
        trainer.write_arrays = stored
