"""ce_jax: when, by how much and why cross-entropy trains a classifier faster than the sum of squared residuals.

Pure functions on JAX arrays, to be read from the bottom up: `ce_jax.losses` (losses beside their hand-written
gradients), `ce_jax.models` and `backprop`, `ce_jax.auditing` (how exact they are), `ce_jax.training` (a run as one
pure function), `ce_jax.sweeping` (thousands of runs in one program), `ce_jax.landscape` (what a loss surface is like),
`ce_jax.analysis` (statistics on plain arrays) and `ce_jax.comparing` (the comparison of losses as one procedure).
"""

from ce_jax import analysis, losses
from ce_jax._backprop import backprop
from ce_jax.analysis import *  # noqa: F403  the package re-exports; the names are listed in __all__ there
from ce_jax.auditing import audit
from ce_jax.comparing import Comparison, Curves, RateGrid, SplitOptions, compare
from ce_jax.landscape import Walk, gradient_walk, hessian_eigenvalues
from ce_jax.losses import *  # noqa: F403
from ce_jax.models import (
    Layer,
    Model,
    cnn,
    from_equinox,
    from_haiku,
    from_linen,
    from_nnx,
    linear,
    mlp,
)
from ce_jax.sweeping import Plan, plan_waves, sweep
from ce_jax.training import (
    Hyperparameters,
    Part,
    Splits,
    evaluation_steps,
    make_optimizer,
    make_train,
    optimizer_names,
    switched,
    trained_parameters,
)

__all__ = [  # noqa: PLE0604  what is unpacked are lists of strings
    "Comparison",
    "Curves",
    "Hyperparameters",
    "Layer",
    "Model",
    "Part",
    "Plan",
    "RateGrid",
    "SplitOptions",
    "Splits",
    "Walk",
    "audit",
    "backprop",
    "cnn",
    "compare",
    "evaluation_steps",
    "from_equinox",
    "from_haiku",
    "from_linen",
    "from_nnx",
    "gradient_walk",
    "hessian_eigenvalues",
    "linear",
    "make_optimizer",
    "make_train",
    "mlp",
    "optimizer_names",
    "plan_waves",
    "sweep",
    "switched",
    "trained_parameters",
    *analysis.__all__,
    *losses.__all__,
]
