"""A network in plain JAX that a config can name as `experiments.examples.own_model:make`: a mixture of two experts."""

import jax
import jax.numpy as jnp

WIDTH = 32


def make(num_classes, input_shape):
    """Two hidden layers side by side, and a gate that says for every example how much of each counts."""

    def init(key, inputs):
        features = inputs[0].size
        keys = jax.random.split(key)
        return {
            "gate": jnp.zeros(features),
            "hidden": jax.random.normal(keys[0], (2, features, WIDTH)) * (2 / features) ** 0.5,
            "output": jax.random.normal(keys[1], (2, WIDTH, num_classes)) * (1 / WIDTH) ** 0.5,
        }

    def apply(params, inputs):
        x = inputs.reshape(len(inputs), -1)
        first, second = (jax.nn.relu(x @ w) @ v for w, v in zip(params["hidden"], params["output"], strict=True))
        share = jax.nn.sigmoid(x @ params["gate"])[:, None]
        return share * first + (1 - share) * second

    return init, apply
