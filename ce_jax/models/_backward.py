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

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from ce_jax.models._activations import Activation
from ce_jax.models._records import Layer

LogitGradient = Callable[[Array], tuple[Array, Array]]
"""logits [K, N] -> (losses [N], their gradients [K, N])."""


def backward(
    params: tuple[Layer, ...], unit: Activation, value_and_logit_gradient: LogitGradient, inputs: Array
) -> tuple[Array, tuple[Layer, ...], Array]:
    """Mean loss, the gradient of every layer, and the logits [K, N].

    Args:
      params: the layers, weights [in, out].
      unit: what hidden units compute.
      value_and_logit_gradient: the loss.
      inputs: [D, N].
    """
    layer_inputs, before = [inputs], []
    for layer in params[:-1]:
        before.append(layer.weight.T @ layer_inputs[-1] + layer.bias[:, None])
        layer_inputs.append(unit.value(before[-1]))
    logits = params[-1].weight.T @ layer_inputs[-1] + params[-1].bias[:, None]
    losses, delta = value_and_logit_gradient(logits)
    delta = delta / losses.shape[0]  # the 1/N of the mean, once: everything below is linear in delta
    gradients = []
    for index in reversed(range(len(params))):
        below = layer_inputs[index]
        gradients.append(Layer(below @ delta.T, delta.sum(1)))
        if index:  # the data has no parameters below it
            delta = (params[index].weight @ delta) * unit.slope(before[index - 1], below)
    return jnp.mean(losses), tuple(reversed(gradients)), logits
