"""Training runs as pure functions: `make_train`, what it takes and measures, and runs in stages."""

from ce_jax.training._loop import advance, evaluation_steps, segments, whole_run
from ce_jax.training._metrics import rarest_half
from ce_jax.training._optimizers import (
    make_optimizer,
    no_option,
    optimizer_names,
    option_names,
    tunable_options,
)
from ce_jax.training._records import AT_END, METRICS, Hyperparameters, Part, Splits, State, Trainable
from ce_jax.training._run import Training, evaluated_rows, make_train
from ce_jax.training._schedules import SCHEDULES
from ce_jax.training._shuffle import shuffled
from ce_jax.training._stages import Switched, switched, trained_parameters

__all__ = [
    "AT_END",
    "METRICS",
    "SCHEDULES",
    "Hyperparameters",
    "Part",
    "Splits",
    "State",
    "Switched",
    "Trainable",
    "Training",
    "advance",
    "evaluated_rows",
    "evaluation_steps",
    "make_optimizer",
    "make_train",
    "no_option",
    "optimizer_names",
    "option_names",
    "rarest_half",
    "segments",
    "shuffled",
    "switched",
    "trained_parameters",
    "tunable_options",
    "whole_run",
]
