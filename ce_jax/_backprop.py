"""Backpropagation written by hand: the gradient of every weight and bias, with no autodiff inside.

For one layer a_l = W_l^T h_{l-1} + b_l, h_l = phi(a_l), logits z = a_L and the mean loss L = (1/N) sum_n l(z_n, y_n),
write delta_l = dL/da_l (one column per sample). The chain rule gives, from the output backwards,

    delta_L   = (1/N) dl/dz                       the hand-written gradient of the loss
    dL/dW_l   = h_{l-1} delta_l^T                 each weight: its input times its unit's delta, summed over samples
    dL/db_l   = sum_n delta_l                     a bias is a weight whose input is 1
    delta_l-1 = (W_l delta_l) * phi'(a_{l-1})     blame goes back along the weights, damped by the unit's slope

(Rumelhart, Hinton & Williams 1986.) Only the first line knows which loss is trained: cross-entropy and SSR differ in
nothing else, which is why their difference can be read off dl/dz alone.
"""

import jax.numpy as jnp
from jax import Array

from ce_jax.losses import Loss, as_loss, hand_written
from ce_jax.models import ACTIVATIONS, Layer, Model, Params


def backprop(params: Params, model: Model, loss: Loss | str, inputs: Array, labels: Array) -> tuple[Array, Params]:
    """Mean loss and its hand-written gradient with respect to every weight and bias.

    Args:
      params: layers of `model`.
      model: a `linear` or `mlp`.
      loss: a name of `LOSSES`, or a `Loss` with a hand-written gradient.
      inputs: [N, D].
      labels: integers [N].

    Returns:
      `(value, gradients)`: the mean loss and a tuple of `Layer`s shaped like `params`.

    Raises:
      ValueError: an unknown loss, or one without a hand-written gradient.

    >>> import jax, jax.numpy as jnp
    >>> from ce_jax import linear
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

    return backprop_columns(params, model, value_and_logit_gradient, inputs.T)


def backprop_columns(params: Params, model: Model, value_and_logit_gradient, inputs: Array) -> tuple[Array, Params]:
    """`backprop` for inputs [D, N] and any function logits [K, N] -> (losses [N], gradients [K, N])."""
    unit = ACTIVATIONS[model.activation]
    layer_inputs = [inputs]
    for layer in params[:-1]:
        layer_inputs.append(unit.value(layer.weight.T @ layer_inputs[-1] + layer.bias[:, None]))
    logits = params[-1].weight.T @ layer_inputs[-1] + params[-1].bias[:, None]
    losses, delta = value_and_logit_gradient(logits)
    delta = delta / losses.shape[0]  # the 1/N of the mean, once: everything below is linear in delta
    gradients = []
    for layer, below in zip(reversed(params), reversed(layer_inputs), strict=True):
        gradients.append(Layer(below @ delta.T, delta.sum(1)))
        if below is not inputs:  # the data has no parameters below it
            # `below` is the output h of the units there, which is what their slope is written in.
            delta = (layer.weight @ delta) * unit.slope(below)
    return jnp.mean(losses), tuple(reversed(gradients))
