"""How a sweep is cut: the shape of a wave from the memory that lanes need, and the lanes of each wave."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ce_jax.models import Model

_MOST_RATES = 16
# What a step of all lanes on one core may touch, and the rows that a step takes at a time, by `bench sweep` and trials
# of larger networks: with twice the bytes or all 1,797 rows of digits at once, lanes train up to twice as slowly.
_CACHE = 4 * 2**20
_ROWS, _FEW_ROWS = 256, 64
_CALL = 0.05  # what storing a wave and calling for the next costs, in waves of the largest size


class Plan(NamedTuple):
    """Shape of a wave, the devices it is spread over (`seeds_per_wave` is a multiple of their number), and its cuts."""

    seeds_per_wave: int
    rates_per_wave: int
    devices: int
    segment_steps: int | None = None
    """Steps after which a wave returns to the host; None for the whole run in one call."""


class Block(NamedTuple):
    """The lanes of one wave: entries of the two sequences that `blocks` has cut.

    In `sweep` both are positions in its lists: `seeds` holds the position of each seed there, not the seed itself.
    """

    seeds: tuple[int, ...]
    hyper: tuple[int, ...]


def plan_waves(
    seed_counts: Sequence[int],
    num_rates: int,
    bytes_per_lane: int,
    *,
    bytes_per_step: int = 0,
    bytes_per_seed: int = 0,
    budget: int = 2**30,
    devices: int = 1,
) -> Plan:
    """Choose the wave's shape: up to 16 rates wide, as many seeds as the cache and the byte budget hold.

    Wide waves share each seed's batches and its first layer's product among more lanes. Among the numbers of seeds that
    fit, the one is taken that wastes least on padding lanes and on calls.

    Args:
      seed_counts: sizes of the groups of seeds that are trained one after another (tuning seeds, fresh seeds).
      num_rates: number of hyperparameters in the narrowest group.
      bytes_per_lane: memory that one run needs, see `lane_bytes`.
      bytes_per_step: what a training step touches, see `step_bytes`; waves are kept small enough for the caches of a
        CPU. 0 for devices that want waves as large as their memory.
      bytes_per_seed: memory for the data of a seed, where each has its own; 0 where all share it.
      budget: bytes that one wave may need on one device.
      devices: number of devices that share a wave's seeds.

    Returns:
      A `Plan`, with no segments yet.

    >>> plan_waves((10, 50), 11, 10_000)
    Plan(seeds_per_wave=10, rates_per_wave=11, devices=1, segment_steps=None)
    >>> plan_waves((10, 50), 32, 10_000_000)
    Plan(seeds_per_wave=5, rates_per_wave=16, devices=1, segment_steps=None)
    """
    lanes = min(budget // max(bytes_per_lane, 1), _CACHE // bytes_per_step if bytes_per_step else budget)
    # Two seeds side by side train faster than more rates of one seed (measured on a CPU); 20 rates are two waves of 10,
    # not one of 16 and one of 4 that is mostly padding.
    rates = math.ceil(num_rates / math.ceil(num_rates / min(_MOST_RATES, max(1, lanes // 2))))
    devices = min(devices, max(seed_counts))  # a device without a seed of its own would train nothing but padding
    held = min(lanes // rates, budget // max(1, rates * bytes_per_lane + bytes_per_seed))
    largest = max(devices, min(max(1, held) * devices, max(seed_counts)))

    def cost(size: int) -> float:
        # Every wave takes as long as a full one, padding included, and a fixed time for its call.
        return sum(math.ceil(count / size) * (size + _CALL * largest) for count in seed_counts)

    return Plan(min(range(devices, largest + 1, devices), key=cost), rates, devices)


def lane_bytes(sizes: Sequence[int], examples: int, itemsize: int = 4) -> int:
    """Estimate the temporary memory of one run; that of its state and of the data comes to it.

    Evaluating the training part takes most: about eight arrays of its logits, and 2.4 of its hidden units' values,
    fitted to what compiled programs report (`tests/test_planning.py` holds it to 25 %).

    Args:
      sizes: widths of all layers, features first and classes last.
      examples: size of the training part.
      itemsize: bytes of one number.

    >>> lane_bytes((4, 16, 3), 90)
    23904
    """
    return int(itemsize * examples * (8 * sizes[-1] + 2.4 * sum(sizes[1:-1]) + 4))


def row_block(batch: int) -> int | None:
    """Rows of a batch that a training step on a CPU takes at a time, for `make_train`; None for the whole batch.

    >>> row_block(128), row_block(1797)
    (None, 256)
    """
    return _ROWS if batch > _ROWS else None


def evaluate_block(model: Model, batch: int) -> int | None:
    """Examples that an evaluation on a CPU takes at a time, for `make_train`; None for all, as in a dense network.

    Other networks hold far more values for each example: as many as in a step, for which waves are planned, or a few
    more where steps are of hardly any.
    """
    return min(max(batch, _FEW_ROWS), _ROWS) if model.hidden is None else None


def step_bytes(sizes: Sequence[int], batch: int, itemsize: int = 4) -> int:
    """Estimate what one training step of one run touches: its parameters three times, a block of rows as `lane_bytes`.

    >>> step_bytes((4, 16, 3), 32)
    9559
    """
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    rows = row_block(batch) or batch
    return int(itemsize * (3 * parameters + rows * (8 * sizes[-1] + 2.4 * sum(sizes[1:-1]))))


def blocks(seeds: Sequence[int], hyper: Sequence[int], plan: Plan) -> Iterator[Block]:
    """Cut seeds x hyperparameters into waves, hyperparameters innermost; `sweep` passes positions in its lists.

    >>> list(blocks(range(3), range(2), Plan(2, 2, 1)))
    [Block(seeds=(0, 1), hyper=(0, 1)), Block(seeds=(2,), hyper=(0, 1))]
    """
    for first_seed in range(0, len(seeds), plan.seeds_per_wave):
        for first in range(0, len(hyper), plan.rates_per_wave):
            yield Block(
                tuple(seeds[first_seed : first_seed + plan.seeds_per_wave]),
                tuple(hyper[first : first + plan.rates_per_wave]),
            )
