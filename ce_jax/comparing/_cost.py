"""What a training run takes: memory and operations, by formula for dense networks, from the compiler for all others."""

import itertools
import math
from typing import Any, NamedTuple

import jax

from ce_jax.models import is_stochastic
from ce_jax.sweeping import lane_bytes, step_bytes
from ce_jax.training import Hyperparameters, Part, Splits, Training, evaluated_rows

# Not all temporaries of a step live at once, and lanes of a seed share those of the first layer: by trials with small
# and larger images, waves train fastest that count a fifth of them.
_DEAD = 5
_LOGITS = 8  # arrays of them that an evaluation holds at once, see `lane_bytes`


class LaneCost(NamedTuple):
    """Estimates for one run."""

    temporary: int
    """Bytes of temporary memory, which an evaluation takes most of."""
    step: int
    """Bytes that a training step touches, parameters three times, for the caches of a CPU."""
    products: float
    """Multiplications and additions in the products of a step."""


def lane_cost(train: Training, hyper: Hyperparameters, examples: Splits) -> LaneCost:
    """The cost of one run.

    Args:
      train: the run.
      hyper: shapes of its hyperparameters, those of one lane.
      examples: shapes of the parts of one seed.
    """
    inputs = examples.train.inputs
    batch = train.batch_size or len(examples.train.labels)
    if train.model.hidden is not None:
        sizes = (math.prod(inputs.shape[1:]), *train.model.hidden, train.num_classes)
        products = 6 * batch * sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
        memory = lane_bytes(sizes, len(inputs), inputs.dtype.itemsize)
        return LaneCost(memory, step_bytes(sizes, batch, inputs.dtype.itemsize), products)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(train.begin, key, hyper, examples)
    several = Part(*(jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype) for leaf in examples.train))
    # Most of a step is its gradient, and nobody runs this program: what takes time in compiling, LLVM's optimization,
    # changes nothing of its memory.
    options: Any = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    own_key = key if is_stochastic(train.model) else None
    lowered = jax.jit(train.gradient_on).lower(several, state.params, hyper, examples.train, own_key)
    step: Any = lowered.compile(compiler_options=options)
    parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params))
    own = int(step.memory_analysis().temp_size_in_bytes)
    blocks = math.ceil(batch / train.row_block) if train.row_block else 1  # a loop's body is counted once
    operations = blocks * max(float((step.cost_analysis() or {}).get("flops", 0.0)), 1.0)
    # An evaluation goes through the same network and back with more rows, and holds arrays of all logits and a copy of
    # the inputs beside it; to compile it too would take longer than all else that a dry run does.
    evaluated = evaluated_rows(len(examples.train.labels), train.evaluation_rows)
    rows = min(train.evaluate_block or evaluated, evaluated) / min(train.row_block or batch, batch)
    most = max(evaluated, len(examples.validation.labels), len(examples.test.labels))
    beside = most * (_LOGITS * train.num_classes + math.prod(inputs.shape[1:])) * inputs.dtype.itemsize
    return LaneCost(int(own * max(rows, 1) + beside), own // _DEAD + 3 * parameters, operations)
