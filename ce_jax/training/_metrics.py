"""What is measured at every evaluation of a run."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Shaped

from ce_jax.losses import cross_entropy, log_odds, ssr
from ce_jax.models import Params
from ce_jax.training._records import Splits


def metrics(
    logits_of: Callable[[Array], Array], data: Splits, trained: Array, value: Array, gradients: Params, logits: Array
) -> dict[str, Array]:
    """The values of `METRICS` and `AT_END`.

    From inputs' logits [K, N], and from what the evaluated rows of the training part have already. Which classes are
    rare follows from all labels that are `trained` on.
    """
    labels = data.train.labels
    right = {"train": _right(logits, labels)}
    for name in ("validation", "test"):
        part = getattr(data, name)
        right[name] = _right(logits_of(part.inputs), part.labels)
    # In the dtype of the other metrics, which holds every count below 2^24.
    rows, hits = {}, {}
    for name, hit in right.items():
        own = _of_class(getattr(data, name).labels, logits)
        rows[name] = jnp.sum(own, axis=1, dtype=logits.dtype)
        hits[name] = jnp.sum(own & hit[None, :], axis=1, dtype=logits.dtype)
    rare = rarest_half(jnp.sum(_of_class(trained, logits), axis=1, dtype=logits.dtype))
    by_class = {name: _quotient(hits[name], rows[name]) for name in right}
    return {
        "train_loss": value,
        "cross_entropy": jnp.mean(cross_entropy(logits, labels, axis=0)),
        "ssr": jnp.mean(ssr(logits, labels, axis=0)),
        **{f"{name}_accuracy": jnp.mean(hit, dtype=logits.dtype) for name, hit in right.items()},
        "gradient_norm": optax.tree.norm(gradients),
        # sigmoid(log-odds of the true class) is its softmax probability.
        "true_class_probability": jnp.mean(jax.nn.sigmoid(log_odds(logits, labels, axis=0))),
        **{f"{name}_balanced_accuracy": jnp.nanmean(accuracies) for name, accuracies in by_class.items()},
        **{
            f"{name}_rare_accuracy": _quotient(*(jnp.sum(jnp.where(rare, counts[name], 0)) for counts in (hits, rows)))
            for name in right
        },
        "test_class_accuracy": by_class["test"],
    }


def rarest_half(counts: Shaped[Array, " classes"]) -> Bool[Array, " classes"]:
    """Which of K classes are the K // 2 with the smallest counts, or the one where K is 1.

    Among equal counts the class with the smaller number is the rarer.

    >>> rarest_half(jnp.array([5, 1, 3, 3, 9])).tolist()
    [False, True, True, False, False]
    """
    place = jnp.arange(len(counts))
    fewer, equal = counts[None, :] < counts[:, None], counts[None, :] == counts[:, None]
    # How many classes are rarer than each: a K x K table takes less time than a sort of every lane.
    rarer = jnp.sum(fewer | (equal & (place[None, :] < place[:, None])), axis=1)
    return rarer < max(1, len(counts) // 2)


def _of_class(labels: Array, logits: Array) -> Array:
    """Which of the labels [N] are each of the classes of logits [K, ...]: [K, N]."""
    return jnp.arange(logits.shape[0])[:, None] == labels[None, :]


def _right(logits: Array, labels: Array) -> Array:
    """Which columns [N] have the strictly largest logit in their own class: a tie is not a correct prediction."""
    own = _of_class(labels, logits)
    best_other = jnp.max(jnp.where(own, -jnp.inf, logits), axis=0)
    return jnp.max(jnp.where(own, logits, -jnp.inf), axis=0) > best_other


def _quotient(hits: Array, rows: Array) -> Array:
    """hits / rows, NaN where there are no rows."""
    return jnp.where(rows > 0, hits / jnp.maximum(rows, 1), jnp.nan)
