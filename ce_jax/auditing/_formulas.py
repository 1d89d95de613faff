"""What a user would write or call instead, one value per row: the textbook formulas, optax and PyTorch.

The audit measures their errors and the benches their time, so each formula stands here alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

# (logits [N, K], labels [N], where [N, K] or None, **options) -> [N]
Formula = Callable[..., Array]


def _at(values: Array, labels: Array) -> Array:
    return jnp.take_along_axis(values, labels[:, None], 1)[:, 0]


def _of_softmax(formula: Callable[..., Array]) -> Formula:
    """A formula in p and the one-hot label, after jax.nn.softmax."""

    def value(logits, labels, where, **options):
        visible = logits if where is None else jnp.where(where, logits, -jnp.inf)
        p = jax.nn.softmax(visible, -1)
        return formula(p, _at(p, labels), jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), **options)

    return value


def _cross_entropy(p, p_y, onehot, label_smoothing=0.0):
    del onehot
    plain = -jnp.log(p_y)
    if not label_smoothing:
        return plain
    return (1 - label_smoothing) * plain - label_smoothing * jnp.mean(jnp.log(p), -1)


def _ssr(logits, labels, where, label_smoothing=0.0):
    def squares(p, p_y, onehot):
        del p_y
        if not label_smoothing:
            return jnp.sum((p - onehot) ** 2, -1)
        visible = jnp.ones_like(p) if where is None else jnp.asarray(where, p.dtype)
        spread = label_smoothing * visible / jnp.sum(visible, -1, keepdims=True)
        return jnp.sum((p - (1 - label_smoothing) * onehot - spread) ** 2, -1)

    return _of_softmax(squares)(logits, labels, where)


def _squentropy(logits, labels, where):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    visible = jnp.ones_like(onehot) if where is None else where
    squares = jnp.sum(jnp.where(visible & ~onehot, logits, 0) ** 2, -1)
    plain = _of_softmax(_cross_entropy)(logits, labels, where)
    return plain + squares / (jnp.sum(visible, -1) - 1).astype(squares.dtype)


def _ssr_on_logits(logits, labels, where, scale=1.0, target=1.0):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    visible = logits if where is None else jnp.where(where, logits, 0)
    return jnp.sum(jnp.where(onehot == 1, scale, 1) * (visible - target * onehot) ** 2, -1, dtype=logits.dtype)


def _z_loss(logits, labels, where):
    del labels
    return jax.nn.logsumexp(logits, -1, where=where) ** 2


def _stablemax(logits, labels, where):
    visible = logits if where is None else jnp.where(where, logits, -jnp.inf)
    s = jnp.where(visible >= 0, visible + 1, 1 / (1 - visible))
    return -jnp.log(_at(s / jnp.sum(s, -1, keepdims=True), labels))


def _logit_adjusted(logits, labels, where, prior=None, tau=1.0):
    if prior is not None:
        logits = logits + (tau * jnp.log(jnp.asarray(prior, logits.dtype))).astype(logits.dtype)[None]
    return _of_softmax(_cross_entropy)(logits, labels, where)


def _sigmoid_binary_cross_entropy(logits, labels, where):
    p = jax.nn.sigmoid(logits)
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    terms = -jnp.log(jnp.where(is_label, p, 1 - p))
    return jnp.sum(terms if where is None else jnp.where(where, terms, 0), -1)


def _entmax_loss(logits, labels, where, alpha=1.5):
    """The threshold by bisection and the gradient by the envelope theorem, as in the package entmax."""
    z = logits if where is None else jnp.where(where, logits, -jnp.inf)
    b = alpha - 1
    if not b:
        return _of_softmax(_cross_entropy)(logits, labels, where)
    x = b * jax.lax.stop_gradient(z)
    low, high = jnp.max(x, -1, keepdims=True) - 1, jnp.max(x, -1, keepdims=True)
    for _ in range(50):
        middle = (low + high) / 2
        enough = jnp.sum(jnp.maximum(x - middle, 0) ** (1 / b), -1, keepdims=True) >= 1
        low, high = jnp.where(enough, middle, low), jnp.where(enough, high, middle)
    p = jnp.maximum(x - low, 0) ** (1 / b)
    p = p / jnp.sum(p, -1, keepdims=True)
    dot = jnp.sum(p * jnp.where(p > 0, z, 0), -1)
    return dot + (1 - jnp.sum(p**alpha, -1)) / (alpha * b) - _at(z, labels)


TEXTBOOK: dict[str, Formula] = {
    "cross_entropy": _of_softmax(_cross_entropy),
    "ssr": _ssr,
    "true_class_ssr": _of_softmax(lambda p, p_y, onehot: (1 - p_y) ** 2),
    "ssr_on_logits": _ssr_on_logits,
    "lq_loss": _of_softmax(lambda p, p_y, onehot, q: (1 - p_y**q) / q),
    "power_loss": _of_softmax(
        lambda p, p_y, onehot, beta: jnp.sum(p ** (1 + beta), -1) + (1 - (1 + beta) * p_y**beta) / beta
    ),
    "focal_loss": _of_softmax(lambda p, p_y, onehot, gamma=2.0: -((1 - p_y) ** gamma) * jnp.log(p_y)),
    "poly1_loss": _of_softmax(lambda p, p_y, onehot, epsilon=1.0: -jnp.log(p_y) + epsilon * (1 - p_y)),
    "squentropy": _squentropy,
    "mean_absolute_error": _of_softmax(lambda p, p_y, onehot: jnp.sum(jnp.abs(p - onehot), -1)),
    "z_loss": _z_loss,
    "stablemax_cross_entropy": _stablemax,
    "logit_adjusted_cross_entropy": _logit_adjusted,
    "sigmoid_binary_cross_entropy": _sigmoid_binary_cross_entropy,
    "spherical_score": _of_softmax(lambda p, p_y, onehot: 1 - p_y / jnp.linalg.norm(p, axis=-1)),
    "fenchel_young_loss": _entmax_loss,
}


def _optax_cross_entropy(logits, labels, where, label_smoothing=0.0):
    if label_smoothing:
        targets = optax.losses.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
        return optax.losses.softmax_cross_entropy(logits, targets, where=where)
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels, where=where)


def _optax_one_hot(logits, labels, where):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.losses.softmax_cross_entropy(logits, onehot, where=where)


def _optax_poly1(logits, labels, where, epsilon=1.0):
    if where is not None:  # it takes no mask; its users write a large negative number
        logits = jnp.where(where, logits, jnp.finfo(logits.dtype).min / 2)
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.losses.poly_loss_cross_entropy(logits, onehot, epsilon=epsilon)


def _optax_squared_error(logits, labels, where):
    visible = logits if where is None else jnp.where(where, logits, -jnp.inf)
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return jnp.sum(optax.losses.squared_error(jax.nn.softmax(visible, -1), onehot), -1)


def _optax_sigmoid(logits, labels, where):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    terms = optax.losses.sigmoid_binary_cross_entropy(logits, onehot)
    return jnp.sum(terms if where is None else jnp.where(where, terms, 0), -1)


# By peer, then by the name of the loss that the formula stands for.
FORMULAS: dict[str, dict[str, Formula]] = {
    "textbook": TEXTBOOK,
    "optax": {
        "cross_entropy": _optax_cross_entropy,
        "poly1_loss": _optax_poly1,
        "sigmoid_binary_cross_entropy": _optax_sigmoid,
    },
    "optax one-hot": {"cross_entropy": _optax_one_hot},
    "optax squared_error": {"ssr": _optax_squared_error},
}


def have_torch() -> bool:
    """Whether PyTorch, which is optional, is installed."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.__version__)


def torch_formulas() -> dict[str, Callable[..., Any]]:
    """PyTorch's cross-entropy, and SSR as one would compose it, by the name of the loss that each stands for.

    Each is a function of tensors (logits [N, K], labels [N]), and of `reduction`: "none" gives [N], "mean" its mean.

    Raises:
      ImportError: PyTorch is not installed.
    """
    import torch
    from torch.nn import functional

    def cross_entropy(logits: Any, labels: Any, reduction: str = "none") -> Any:
        return functional.cross_entropy(logits, labels, reduction=reduction)

    def ssr(logits: Any, labels: Any, reduction: str = "none") -> Any:
        onehot = functional.one_hot(labels, logits.shape[-1]).to(logits.dtype)
        values = functional.mse_loss(torch.softmax(logits, -1), onehot, reduction="none").sum(-1)
        return values.mean() if reduction == "mean" else values

    return {"cross_entropy": cross_entropy, "ssr": ssr}
