"""What a run takes of the machine's memory, by formula: what cannot fit is refused before anything is allocated."""

import contextlib
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ce_jax.comparing import KEPT
from ce_jax.sweeping import lane_bytes
from ce_jax.training import AT_END, METRICS

from ..config import Config
from ..errors import UserError

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Need(NamedTuple):
    """A part of the memory that a run takes."""

    what: str
    size: int
    """Bytes."""
    keys: str
    """Those of a config that make it smaller."""


def machine_memory() -> int:
    """Bytes of main memory that this process may have: of the machine, its container and its own limit the least."""
    limits = [2**63]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # there is none, or it says "max"
            limits.append(int(Path(path).read_text(encoding="ascii")))
    with contextlib.suppress(ImportError, OSError):
        import resource

        limits += [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    return min(limit for limit in limits if limit > 0)


def refuse_beyond(needs: Sequence[Need], memory: int) -> None:
    """Refuse what takes more than the memory together; the largest part says which keys to change.

    >>> refuse_beyond([Need("the data set", 2**40, "data.features")], 2**33)
    Traceback (most recent call last):
    experiments.errors.UserError: memory: expected at most 8 GiB, what this machine has, got an estimate of 1,024 GiB, \
of which the data set takes 1,024 GiB; make data.features smaller
    """
    total, largest = sum(need.size for need in needs), max(needs, key=lambda need: need.size)
    if total > memory:
        raise UserError(
            f"memory: expected at most {_gib(memory)}, what this machine has, got an estimate of {_gib(total)}, of "
            f"which {largest.what} takes {_gib(largest.size)}; make {largest.keys} smaller"
        )


def _gib(size: int) -> str:
    # Whole numbers, as a float cannot hold all that a config can ask for.
    return f"{size // 2**30:,} GiB" if size >= 100 * 2**30 else f"{size / 2**30:.3g} GiB"


def data_need(config: Config) -> Need:
    """The arrays of a data set that is made from its options, while it is made; nothing for any other."""
    data = config.data
    examples = data.num_classes * data.examples_per_class
    features = {"mixtures": data.features, "spirals": 2}.get(config.dataset, 0)
    # Values, what they are the sum of, and the labels, all in 64 bits.
    size = 8 * (3 * examples * features + (features * data.num_classes)) + 16 * examples * bool(features)
    names = ("features", "num_classes", "examples_per_class")
    return Need("the data set", size, f"data.{max(names, key=lambda name: getattr(data, name))}")


def run_needs(config: Config, examples: int, features: int, num_classes: int, held: int) -> list[Need]:
    """What a run takes: its data, curves and the smallest wave.

    Args:
      config: of the run.
      examples, features, num_classes: sizes of the data set; held: bytes of its arrays.
    """
    width = 8 if config.train.dtype == "float64" else 4
    split = width * examples * features
    seeds = config.sweep.seeds + config.sweep.tuning_seeds
    own = config.data.split.seed == "run"
    # A wave of one seed and its copy on the device, unless all seeds' splits are small enough to be kept.
    splits = max(2 * split, min(seeds * split, KEPT)) if own else 2 * split
    inner = _hidden(config)
    widths = (features, *inner, num_classes)
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(widths))
    # Parameters before and after a step, gradients and updates; and an evaluation of all examples.
    lane = 4 * width * parameters + lane_bytes(widths, examples, width)
    hidden = max(inner, default=0) >= max(features, num_classes)
    named = {"mixtures": ("data.features", "data.num_classes"), "spirals": ("data.features", "data.num_classes")}
    of_data = named.get(config.dataset, ("the number of features", "the number of classes (data.classes)"))
    wide = f"{config.model}.hidden" if hidden else of_data[num_classes > features]
    return [
        Need("the data set", held, "data.examples"),
        Need("the split of a seed, scaled, and its copy on the device", splits, "data.examples"),
        Need("the training of one classifier", lane, wide),
        Need("what the runs measure", _curves(config, seeds, num_classes, width), _curve_keys(config)),
    ]


def _curve_keys(config: Config) -> str:
    points = "sweep.draws" if config.sweep.search == "random" else "sweep.learning_rates.count"
    every = config.train.evaluate_every is not None
    return f"sweep.seeds, {points} or {'the steps for each of train.evaluate_every' if every else 'train.evaluations'}"


def _hidden(config: Config) -> tuple[int, ...]:
    """Widths within a network; of a convolutional one those of its dense layers."""
    return {"mlp": config.mlp.hidden, "cnn": config.cnn.hidden}.get(config.model, ())


def _curves(config: Config, seeds: int, num_classes: int, width: int) -> int:
    """Bytes of all curves, twice: as they come in, and put together."""
    train, sweep = config.train, config.sweep
    options = math.prod(len(values) for values in sweep.options.values() if not isinstance(values, dict))
    points = sweep.draws if sweep.search == "random" else sweep.learning_rates.count * options
    every = train.evaluate_every
    evaluations = train.evaluations + 1 if every is None else -(-train.steps // every) + 1
    numbers = min(evaluations, train.steps + 1) * len(METRICS) + num_classes * len(AT_END)
    return 2 * width * len(config.loss) * points * seeds * numbers
