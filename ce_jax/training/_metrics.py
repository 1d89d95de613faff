"""What is measured at every evaluation of a run."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ce_jax.losses import cross_entropy, log_odds, ssr
from ce_jax.models import Model, Params, logits_of
from ce_jax.training._records import Part, Splits


def metrics(
    model: Model, params: Params, data: Splits, value: Array, gradients: Params, logits: Array
) -> dict[str, Array]:
    """The values of `METRICS`; `params` are as they train, value, gradients and logits those of the training part."""

    def accuracy(part: Part) -> Array:
        return accuracy_of(logits_of(model, params, part.inputs), part.labels)

    labels = data.train.labels
    return {
        "train_loss": value,
        "cross_entropy": jnp.mean(cross_entropy(logits, labels, axis=0)),
        "ssr": jnp.mean(ssr(logits, labels, axis=0)),
        "train_accuracy": accuracy_of(logits, labels),
        "validation_accuracy": accuracy(data.validation),
        "test_accuracy": accuracy(data.test),
        "gradient_norm": optax.tree.norm(gradients),
        # sigmoid(log-odds of the true class) is its softmax probability.
        "true_class_probability": jnp.mean(jax.nn.sigmoid(log_odds(logits, labels, axis=0))),
    }


def accuracy_of(logits: Array, labels: Array) -> Array:
    """Fraction of columns whose own class has the strictly largest logit: a tie is not a correct prediction."""
    own = jnp.arange(logits.shape[0])[:, None] == labels[None, :]
    best_other = jnp.max(jnp.where(own, -jnp.inf, logits), axis=0)
    # The mean of booleans in the dtype of the other metrics: `advance` fills in NaN of one dtype for all.
    return jnp.mean(jnp.max(jnp.where(own, logits, -jnp.inf), axis=0) > best_other, dtype=logits.dtype)
