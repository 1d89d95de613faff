"""Backpropagation by hand for a loss of the table, see `ce_jax.models` for how it goes through a network."""

from jax import Array

from ce_jax.losses import Loss, as_loss, hand_written
from ce_jax.models import Model, Params, backward_of


def backprop(params: Params, model: Model, loss: Loss | str, inputs: Array, labels: Array) -> tuple[Array, Params]:
    """Mean loss and its hand-written gradient with respect to every weight and bias.

    Args:
      params: of `model`.
      model: a `linear` or `mlp`, whose every layer is gone through by hand; of any other model the loss's gradient is
        the one by hand, and `jax.vjp` carries it through the network.
      loss: a name of `LOSSES`, or a `Loss` with a hand-written gradient.
      inputs: [N, ...].
      labels: integers [N].

    Returns:
      `(value, gradients)`: the mean loss and gradients shaped like `params`.

    Raises:
      ValueError: an unknown loss, or one without a hand-written gradient.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import Layer, linear
    >>> model = linear()
    >>> params = (Layer(jnp.zeros((2, 2)), jnp.zeros(2)),)
    >>> value, (layer,) = backprop(params, model, "cross_entropy", jnp.array([[1.0, 2.0]]), jnp.array([0]))
    >>> print(layer.weight)
    [[-0.5  0.5]
     [-1.   1. ]]
    """
    record, grad = as_loss(loss), hand_written(loss)

    def value_and_logit_gradient(logits: Array) -> tuple[Array, Array]:
        return record.value(logits, labels, axis=0), grad(logits, labels, axis=0)

    mean, gradients, _ = backward_of(model)(model.packed(params), inputs, value_and_logit_gradient)
    return mean, model.unpacked(gradients)
