"""Products of float32 in float32, where GPUs round factors to 10 bits and TPUs to 7; JAX's own setting wins."""

from collections.abc import Callable
from typing import Any

import jax


def exactly(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, its products traced with the highest precision unless JAX is told another."""
    setting = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    with jax.default_matmul_precision(setting or "highest"):
        return function(*arguments)
