"""Errors along a line: from confidently wrong to confidently right."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax.auditing._audit import FIRST_ORDER, MANUAL, OURS, VALUE, run_peers, run_routes
from ce_jax.auditing._measure import FLUSHED
from ce_jax.auditing._oracle import Exact, truth
from ce_jax.auditing._peers import PEERS, Peer
from ce_jax.auditing._regimes import Batch
from ce_jax.losses import LOSSES

BY_HAND = "ce_jax by hand"
SMALLEST_TRUTH = 1e-37  # a little above the smallest normal number of float32, so that its factors are normal, too


def error_against_margin(
    name: str,
    *,
    dtype: str = "float32",
    largest: float = 80.0,
    points: int = 641,
    peers: Mapping[str, Peer] = PEERS,
) -> dict[str, NDArray[np.float64] | dict[str, NDArray[np.float64]]]:
    """Relative errors of value and gradient against the label's lead over the largest other logit.

    Three classes: the label, its competitor, and one that lies 1 below the lower of the two.

    Args:
      name: a key of `LOSSES`; dtype: of the logits, which are rounded to it before the truth is computed from them;
        largest: margins run from -largest to largest; points: how many; peers: see `PEERS`.

    Returns:
      "margin" [P]; "value" and "gradient", by implementation [P]: the error relative to the truth, and the largest
      error of a row over its largest entry. For ce_jax the worst of all three routes to the gradient; in half
      precision that of the two by autodiff, whose result JAX rounds to the dtype of the logits, and "ce_jax by hand".
      NaN where the truth is below `SMALLEST_TRUTH`, or below the normal numbers of the dtype.

    >>> errors = error_against_margin("ssr", points=5, peers={})
    >>> bool(np.nanmax(errors["gradient"]["ce_jax"]) < 1e-6)
    True
    """
    margin = np.linspace(-largest, largest, points)
    logits = np.stack([margin / 2, -margin / 2, -np.abs(margin) / 2 - 1], axis=1).astype(dtype)
    labels = np.zeros(points, np.int32)
    batch = Batch(logits, labels, np.ones(logits.shape, bool), {"all": slice(None)})
    exact = truth(name, logits, labels)
    smallest = max(SMALLEST_TRUTH, float(jnp.finfo(dtype).smallest_normal))
    results = {OURS: run_routes(LOSSES[name], FIRST_ORDER, batch, None)[0]} | run_peers(name, batch, None, {}, peers)
    gradients = {peer: [x for route, x in routes.items() if route != VALUE] for peer, routes in results.items()}
    if jnp.finfo(dtype).bits < 32:
        by_hand = results[OURS][MANUAL]
        gradients = {OURS: [x for x in gradients[OURS] if x is not by_hand], BY_HAND: [by_hand]} | {
            peer: each for peer, each in gradients.items() if peer != OURS
        }
    return {
        "margin": margin,
        "value": {peer: _relative(routes[VALUE], exact["value"], smallest) for peer, routes in results.items()},
        "gradient": {
            peer: np.max([_relative(x, exact["gradient"], smallest) for x in each], axis=0)
            for peer, each in gradients.items()
        },
    }


def _relative(computed: NDArray[Any], exact: Exact, smallest: float) -> NDArray[np.float64]:
    n, eps = len(computed), float(jnp.finfo(computed.dtype).eps)
    errors = np.abs((computed.astype(np.float64) - exact.high) - exact.low).reshape(n, -1)
    largest = np.max(np.abs(exact.high).reshape(n, -1), axis=1, keepdims=True)
    # As in `absolute_errors`: processors flush numbers this small to 0, whatever formula they come from.
    errors = np.where(errors <= FLUSHED, np.minimum(errors, eps * largest), errors)
    return np.max(errors / np.where(largest < smallest, np.nan, largest), axis=1)
