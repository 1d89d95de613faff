"""A reference for losses of unknown definition: their own value in float64 and its finite differences."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from ce_jax.auditing._oracle import Exact
from ce_jax.auditing._regimes import Batch

_STEP = 2.0**-10
_WANTED = 1e-6  # of the largest entry of a row


def differences(
    value: Callable[..., Array],
    batch: Batch,
    where: NDArray[np.bool_] | None,
    options: Mapping[str, Any],
    second: bool,
) -> dict[str, Exact]:
    """Value, gradient and Hessian by finite differences; NaN in rows where they are not good for six digits.

    Central differences D(h) with steps h and 2h give (4 D(h) - D(2h)) / 3, whose error is of order h^4, and their
    difference tells how far to trust it.
    """
    with jax.enable_x64(True):
        z, y = jnp.asarray(batch.logits.astype(np.float64)), jnp.asarray(batch.labels)
        given = {} if where is None else {"where": jnp.asarray(where)}

        @jax.jit
        def values(z):
            return value(z, y, **given, **options)

        @jax.jit
        def slopes(z):
            return jax.grad(lambda z: jnp.sum(values(z)))(z)

        exact = {"value": _exact(np.asarray(values(z))), "gradient": _exact(_trusted(values, z))}
        if second:
            exact["hessian"] = _exact(_trusted(slopes, z))
    return exact


def _trusted(function: Callable[[Array], Array], z: Array) -> NDArray[np.float64]:
    """The derivative of [N, ...] by every logit, [N, ..., K]."""

    def central(step: float) -> NDArray[np.float64]:
        moves = step * np.eye(z.shape[1])[:, None]
        ends = [(np.asarray(function(z + move)), np.asarray(function(z - move))) for move in moves]
        return np.stack([(up - down) / (2 * step) for up, down in ends], -1)

    with np.errstate(invalid="ignore"):
        fine, coarse = central(_STEP), central(2 * _STEP)
        best = (4 * fine - coarse) / 3
        n = len(best)
        largest = np.max(np.abs(best).reshape(n, -1), axis=1)
        scale = np.max(np.abs(np.asarray(function(z))).reshape(n, -1), axis=1)
        rounding = scale * np.finfo(np.float64).eps / _STEP
        # fine - coarse is of order h^2, what is left in `best` of order h^4.
        doubt = np.max(np.abs(fine - coarse).reshape(n, -1), axis=1) ** 2 / np.maximum(largest, 1e-300) + rounding
        good = doubt <= _WANTED * largest
    return np.where(good.reshape(n, *[1] * (best.ndim - 1)), best, np.nan)


def _exact(high: NDArray[np.float64]) -> Exact:
    return Exact(high, np.zeros_like(high))
