"""The comparison of losses as one procedure, from arrays to a sentence; read from the top of this list.

`_options` settings and their defaults; `_points` what is tried; `_parts` and `_drawn` splits and scaling; `_arms` the
losses compared; `_curves` what was measured; `_choice` what diverged, reached and best mean; `_protocol` tune, widen,
report; `_task`, `_sense`, `_trial`, `_cost`, `_planning` and `_waves` the work itself on this machine's devices;
`_redrawing` the procedure again on redrawn seeds; `_summary` the numbers; `_formats`, `_chosen`, `_words` and `_table`
how they are told; `_compare` all of it in one call. Nothing here opens a file.
"""

from ce_jax.comparing._arms import Arm, arms_of
from ce_jax.comparing._choice import (
    Choice,
    best_at_each_rate,
    choose_by,
    choose_point,
    choose_points,
    diverged,
    final_scores,
    long_reached,
    near_cliff,
    retired,
    times_to,
    tuning_keys,
)
from ce_jax.comparing._chosen import chosen_parts, listed, point_parts, search_sentences, tuned_options, tuned_words
from ce_jax.comparing._compare import Comparison, compare, describe
from ce_jax.comparing._cost import lane_cost
from ce_jax.comparing._curves import Curves, LossCurves, joined_seeds, marked
from ce_jax.comparing._drawn import KEPT, DrawnSplits, drawn_parts_of, make_splits, parts_of, split_drawer
from ce_jax.comparing._formats import count, display_name, interval, known, metric_name, percent, ratio, share, text
from ce_jax.comparing._options import (
    AnalysisOptions,
    PartOptions,
    RateGrid,
    Scale,
    SplitOptions,
    SweepOptions,
    TrainOptions,
    Zipf,
    check_together,
)
from ce_jax.comparing._parts import kept_counts, part_sizes, scaled, split_indices, stratified_share
from ce_jax.comparing._planning import data_memory, expected_seconds, lane_memory, plan_task, wave_memory
from ce_jax.comparing._points import Point, first_points, grid_points
from ce_jax.comparing._protocol import Ask, Listener, Train, Trained, one_by_one, rates_beyond, tune_and_report
from ce_jax.comparing._redrawing import Redrawn, redrawn_choices, sureness
from ce_jax.comparing._sense import Yardstick, check_targets, sensible_target, target_warnings, yardstick
from ce_jax.comparing._summary import summarise
from ce_jax.comparing._table import html_table, text_table
from ce_jax.comparing._task import Task, on_cpu
from ce_jax.comparing._trial import check_task
from ce_jax.comparing._waves import Wave, Waves, cut, gather
from ce_jax.comparing._words import (
    INTERVALS,
    at_least,
    bounded,
    caveats,
    finding,
    first_loss,
    goal_text,
    headline,
    joined_headline,
    label,
    level,
    main_pair,
    shown_target,
    speed_rows,
    tells_rare,
)

__all__ = [
    "INTERVALS",
    "KEPT",
    "AnalysisOptions",
    "Arm",
    "Ask",
    "Choice",
    "Comparison",
    "Curves",
    "DrawnSplits",
    "Listener",
    "LossCurves",
    "PartOptions",
    "Point",
    "RateGrid",
    "Redrawn",
    "Scale",
    "SplitOptions",
    "SweepOptions",
    "Task",
    "Train",
    "TrainOptions",
    "Trained",
    "Wave",
    "Waves",
    "Yardstick",
    "Zipf",
    "arms_of",
    "at_least",
    "best_at_each_rate",
    "bounded",
    "caveats",
    "check_targets",
    "check_task",
    "check_together",
    "choose_by",
    "choose_point",
    "choose_points",
    "chosen_parts",
    "compare",
    "count",
    "cut",
    "data_memory",
    "describe",
    "display_name",
    "diverged",
    "drawn_parts_of",
    "expected_seconds",
    "final_scores",
    "finding",
    "first_loss",
    "first_points",
    "gather",
    "goal_text",
    "grid_points",
    "headline",
    "html_table",
    "interval",
    "joined_headline",
    "joined_seeds",
    "kept_counts",
    "known",
    "label",
    "lane_cost",
    "lane_memory",
    "level",
    "listed",
    "long_reached",
    "main_pair",
    "make_splits",
    "marked",
    "metric_name",
    "near_cliff",
    "on_cpu",
    "one_by_one",
    "part_sizes",
    "parts_of",
    "percent",
    "plan_task",
    "point_parts",
    "rates_beyond",
    "ratio",
    "redrawn_choices",
    "retired",
    "scaled",
    "search_sentences",
    "sensible_target",
    "share",
    "shown_target",
    "speed_rows",
    "split_drawer",
    "split_indices",
    "stratified_share",
    "summarise",
    "sureness",
    "target_warnings",
    "tells_rare",
    "text",
    "text_table",
    "times_to",
    "tune_and_report",
    "tuned_options",
    "tuned_words",
    "tuning_keys",
    "wave_memory",
    "yardstick",
]
