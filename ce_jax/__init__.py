"""ce_jax: when, by how much and why cross-entropy trains a classifier faster than the sum of squared residuals.

Pure functions on JAX arrays, to be read from the bottom up: `ce_jax.losses` (losses beside their hand-written
gradients), `ce_jax.models` and `backprop`, `ce_jax.auditing` (how exact they are), `ce_jax.training` (a run as one
pure function), `ce_jax.sweeping` (thousands of runs in one program), `ce_jax.landscape` (what a loss surface is like),
`ce_jax.analysis` (statistics on plain arrays) and `ce_jax.comparing` (the comparison of losses as one procedure).

A name is imported when it is first used (PEP 562), so that `from ce_jax import ssr` waits for the losses alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ce_jax._checking import nearest

_NAMES = {
    "_backprop": ("backprop",),
    "auditing": ("audit",),
    "comparing": ("Comparison", "Curves", "RateGrid", "SplitOptions", "compare"),
    "landscape": ("Walk", "gradient_walk", "hessian_eigenvalues"),
    "models": ("Layer", "Model", "cnn", "from_equinox", "from_haiku", "from_linen", "from_nnx", "linear", "mlp"),
    "sweeping": ("Plan", "plan_waves", "sweep"),
    "training": (
        "Hyperparameters",
        "Part",
        "Splits",
        "evaluation_steps",
        "make_optimizer",
        "make_train",
        "optimizer_names",
        "switched",
        "trained_parameters",
    ),
}
"""Which names of a module are public here, where not all of them are."""
_WHOLE = ("losses", "analysis")

if TYPE_CHECKING:  # the same for who reads types, as nothing is run then
    # isort: off
    from ce_jax._backprop import backprop as backprop
    from ce_jax.analysis import *  # noqa: F403
    from ce_jax.auditing import audit as audit
    from ce_jax.comparing import (
        Comparison as Comparison,
        Curves as Curves,
        RateGrid as RateGrid,
        SplitOptions as SplitOptions,
        compare as compare,
    )
    from ce_jax.landscape import (
        Walk as Walk,
        gradient_walk as gradient_walk,
        hessian_eigenvalues as hessian_eigenvalues,
    )
    from ce_jax.losses import *  # noqa: F403
    from ce_jax.models import (
        Layer as Layer,
        Model as Model,
        cnn as cnn,
        from_equinox as from_equinox,
        from_haiku as from_haiku,
        from_linen as from_linen,
        from_nnx as from_nnx,
        linear as linear,
        mlp as mlp,
    )
    from ce_jax.sweeping import Plan as Plan, plan_waves as plan_waves, sweep as sweep
    from ce_jax.training import (
        Hyperparameters as Hyperparameters,
        Part as Part,
        Splits as Splits,
        evaluation_steps as evaluation_steps,
        make_optimizer as make_optimizer,
        make_train as make_train,
        optimizer_names as optimizer_names,
        switched as switched,
        trained_parameters as trained_parameters,
    )
    # isort: on

else:

    def __getattr__(name: str) -> Any:
        if name in _NAMES or name in _WHOLE:
            return importlib.import_module(f"ce_jax.{name}")
        if name == "__all__":
            found = _public()
        elif home := _home(name):
            found = getattr(importlib.import_module(f"ce_jax.{home}"), name)
        else:
            raise AttributeError(f"module 'ce_jax' has no attribute {name!r}{nearest(name, _public())}")
        globals()[name] = found  # asked for once
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_WHOLE, *_public()})


def _public() -> list[str]:
    whole = (importlib.import_module(f"ce_jax.{module}").__all__ for module in _WHOLE)
    return sorted(name for names in (*_NAMES.values(), *whole) for name in names)


def _home(name: str) -> str | None:
    """The module that a public name comes from."""
    if name.startswith("__"):  # what Python itself looks for everywhere is known to be elsewhere without an import
        return None
    named = (module for module, names in _NAMES.items() if name in names)
    whole = (module for module in _WHOLE if name in importlib.import_module(f"ce_jax.{module}").__all__)
    return next(named, None) or next(whole, None)
