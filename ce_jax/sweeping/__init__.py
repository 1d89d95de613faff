"""Thousands of training runs in one compiled program: lanes = seeds x hyperparameters, by vmap.

A sweep is cut into **waves** of one fixed shape [seeds, hyperparameters], and a wave's steps into **segments** between
which the host can look, store and stop; every call is a call of the same executable, so learning rates, seeds and loss
parameters never recompile. Seeds are the outer axis: the lanes of one seed share data and batches, so that their first
layers are one matrix product. Over several devices, of one process or of many, the seed axis is sharded with
`shard_map`; lanes never talk to each other, so the program holds no collective.
"""

from ce_jax.sweeping._checkpoint import Checkpoint
from ce_jax.sweeping._measured import MEASURED, Done
from ce_jax.sweeping._plan import Block, Plan, blocks, evaluate_block, lane_bytes, plan_waves, row_block, step_bytes
from ce_jax.sweeping._program import CompiledWave, compile_wave, compiler_options
from ce_jax.sweeping._sweep import Executor, sweep

__all__ = [
    "MEASURED",
    "Block",
    "Checkpoint",
    "CompiledWave",
    "Done",
    "Executor",
    "Plan",
    "blocks",
    "compile_wave",
    "compiler_options",
    "evaluate_block",
    "lane_bytes",
    "plan_waves",
    "row_block",
    "step_bytes",
    "sweep",
]
