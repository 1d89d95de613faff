"""Statistics of training speed: plain NumPy arrays in, arrays and small records out, no JAX.

Read in this order: `_times` (steps to a target, censoring), `_intervals` (the bootstrap), `_bagging` (intervals after
a choice that the data made), `_comparisons` (two losses), `_summaries` (many problems), `_tuning` (many learning
rates), `_calibration` (probabilities).
"""

from ce_jax.analysis._bagging import bagged_interval, redraw
from ce_jax.analysis._calibration import expected_calibration_error, fit_temperature
from ce_jax.analysis._comparisons import (
    LogRank,
    log_rank,
    meetings,
    probability_of_improvement,
    rmst_difference,
    rmst_ratio,
)
from ce_jax.analysis._intervals import Estimate, Interval, bootstrap_ci
from ce_jax.analysis._summaries import iqm, performance_profile, spearman
from ce_jax.analysis._times import Survival, rmst, steps_to_target, survival
from ce_jax.analysis._tuning import expected_best, rate_band

__all__ = [
    "Estimate",
    "Interval",
    "LogRank",
    "Survival",
    "bagged_interval",
    "bootstrap_ci",
    "expected_best",
    "expected_calibration_error",
    "fit_temperature",
    "iqm",
    "log_rank",
    "meetings",
    "performance_profile",
    "probability_of_improvement",
    "rate_band",
    "redraw",
    "rmst",
    "rmst_difference",
    "rmst_ratio",
    "spearman",
    "steps_to_target",
    "survival",
]
