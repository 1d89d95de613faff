"""The lesson as one record of numbers: everything that the terminal and the page print, and nothing else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import jax

from .contrast import Contrast, contrast
from .derivatives import Backpropagation, BiasStep, backpropagation, bias_step
from .escape import Escape, escape
from .example import Formula, WorkedExample, formula, worked_example
from .network import Network, load_network
from .surfaces import Surfaces, surfaces
from .training import LOSS_PAIR, Workflow, begin_sweeps, workflow


class Lesson(NamedTuple):
    """All numbers of the lesson, section by section."""

    network: Network
    example: WorkedExample
    formula: Formula
    contrast: Contrast
    backpropagation: Backpropagation
    bias: BiasStep
    workflow: Workflow
    surfaces: Surfaces
    escape: Escape


def compute(network: Network | None = None, start: str = "he") -> Lesson:
    """Compute the whole lesson, most of the time in compilation.

    Args:
      network: the network of sections 1 to 4, from `load_network`; without one, the textbook's.
      start: one of `ce_jax.models.STARTS`, where section 5 begins.
    """
    network = network or load_network()
    # What takes longest is compiled on one core while the rest is worked out on another.
    with _quick_compilation(), ThreadPoolExecutor(2) as pool:
        sweeps = begin_sweeps(pool, start)
        landscape = pool.submit(surfaces, sweeps.params, LOSS_PAIR)
        example = worked_example(network)
        # Arguments are computed in the order in which they stand: the two that wait for the pool come last.
        return Lesson(
            network=network,
            example=example,
            formula=formula(network, example),
            contrast=contrast(len(network.class_names)),
            backpropagation=backpropagation(network, example),
            bias=bias_step(network),
            escape=escape(),
            workflow=workflow(sweeps),
            surfaces=landscape.result(),
        )


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Compile in half the time: these programs run for a moment each."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
