"""A model as a record of pure functions, over any tree of parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax import Array
from jaxtyping import Float


class Layer(NamedTuple):
    """One affine map `x @ weight + bias`: weight [in, out], bias [out]."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


Params = Any
"""Any tree of floating-point arrays; those of a dense network are a tuple of `Layer`."""
Start = str | Sequence[float] | tuple[Layer, ...]


def unchanged(params: Params) -> Params:
    """Parameters that train in the form that the model gives them."""
    return params


class Model(NamedTuple):
    """A classifier as pure functions. `init` and `apply` are enough; the rest makes it faster, or says what it is.

    `init(key, inputs, num_classes) -> params` consumes `key`; of inputs [N, ...] only shape and dtype matter.
    `apply(params, inputs [N, ...]) -> logits [N, K]`. If it takes `key` and `train`, a training step passes a key of
    its own and train=True (dropout), an evaluation key=None and train=False.
    """

    init: Callable[..., Params]
    apply: Callable[..., Array]
    columns: Callable[[Params, Array], Array] | None = None
    """(parameters as they train, inputs [N, ...]) -> logits [K, N]: the same map with samples innermost, which
    vectorises over samples instead of over the handful of classes."""
    packed: Callable[[Params], Params] = unchanged
    """Parameters as they train, for instance weights as [out, in]."""
    unpacked: Callable[[Params], Params] = unchanged
    """The inverse of `packed`."""
    backward: Callable[..., tuple[Array, Params, Array]] | None = None
    """Backpropagation by hand, (parameters as they train, inputs, loss) -> (mean loss, gradients, logits [K, N]), see
    `backward_of`, which without it goes back through the network by `jax.vjp`."""
    hidden: tuple[int, ...] | None = None
    """Widths of a dense network's hidden layers, from which memory is estimated; None for any other network, whose
    compiled program is asked."""
    activation: str | None = None
    name: str = "own"
    """What results call it."""
    start: Start = "own"
    """Where it begins, in results: a name, standard deviations, or parameters."""
