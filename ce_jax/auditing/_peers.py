"""The peers of the audit: formulas of others, each differentiated by its own framework."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ce_jax.auditing._formulas import FORMULAS, Formula, have_torch, torch_formulas

Results = dict[str, NDArray[Any]]
# (name of the loss, logits [N, K], labels [N], where [N, K] or None, options) -> {"value": [N], "gradient": [N, K]},
# None where the peer has no such loss.
Peer = Callable[[str, NDArray[Any], NDArray[Any], NDArray[np.bool_] | None, Mapping[str, Any]], Results | None]


def _peer(formulas: Mapping[str, Formula]) -> Peer:
    def run(name, logits, labels, where, options):
        if name not in formulas:
            return None

        def total(z, y, given):
            value = formulas[name](z, y, given, **options)
            return jnp.sum(value), value

        differentiated = jax.jit(jax.value_and_grad(total, has_aux=True))
        (_, value), slopes = differentiated(logits, labels, where)
        return {"value": np.asarray(value), "gradient": np.asarray(slopes)}

    return run


# Without optax's squared_error: it computes what the textbook formula does, operation by operation.
PEERS: dict[str, Peer] = {name: _peer(FORMULAS[name]) for name in ("textbook", "optax", "optax one-hot")}


def torch_peers() -> dict[str, Peer]:
    """PyTorch as a peer, by `torch_formulas` and torch.autograd; empty where it is not installed."""
    if not have_torch():
        return {}
    import torch

    formulas = torch_formulas()

    def run(name, logits, labels, where, options):
        if name not in formulas or options:
            return None
        dtype = logits.dtype
        visible = logits if where is None else np.where(where, logits, -np.inf)
        # By way of float64, because torch.tensor does not know numpy's bfloat16.
        z = torch.tensor(visible.astype(np.float64)).to(getattr(torch, dtype.name)).requires_grad_()
        value = formulas[name](z, torch.tensor(labels.astype(np.int64)))
        (slopes,) = torch.autograd.grad(value.sum(), z)
        return {
            "value": value.detach().double().numpy().astype(dtype),
            "gradient": slopes.double().numpy().astype(dtype),
        }

    return {"PyTorch": run}
