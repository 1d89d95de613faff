"""Classification losses on logits, exact in both tails, each beside its hand-written gradient."""

from ce_jax.losses._checks import validate_labels
from ce_jax.losses._cross_entropy import (
    cross_entropy,
    cross_entropy_from_probs,
    cross_entropy_from_probs_grad,
    cross_entropy_grad,
    cross_entropy_with_targets,
    cross_entropy_with_targets_grad,
)
from ce_jax.losses._families import lq_loss, lq_loss_grad, power_loss, power_loss_grad
from ce_jax.losses._logit_losses import (
    squentropy,
    squentropy_grad,
    stablemax_cross_entropy,
    stablemax_cross_entropy_grad,
    z_loss,
    z_loss_grad,
)
from ce_jax.losses._odds import log_odds
from ce_jax.losses._reductions import mean_over
from ce_jax.losses._registry import LOSSES, Loss, with_manual_grad
from ce_jax.losses._second_order import cross_entropy_hessian, cross_entropy_hvp, ssr_hessian, ssr_hvp
from ce_jax.losses._softmax import log_softmax, logsumexp, softmax
from ce_jax.losses._squared_errors import (
    ssr_from_probs,
    ssr_from_probs_grad,
    ssr_on_logits,
    ssr_on_logits_grad,
    true_class_ssr,
    true_class_ssr_from_probs,
    true_class_ssr_from_probs_grad,
    true_class_ssr_grad,
)
from ce_jax.losses._ssr import ssr, ssr_grad, ssr_with_targets, ssr_with_targets_grad
from ce_jax.losses._variants import (
    focal_loss,
    focal_loss_grad,
    mean_absolute_error,
    mean_absolute_error_grad,
    poly1_loss,
    poly1_loss_grad,
)

__all__ = [
    "LOSSES",
    "Loss",
    "cross_entropy",
    "cross_entropy_from_probs",
    "cross_entropy_from_probs_grad",
    "cross_entropy_grad",
    "cross_entropy_hessian",
    "cross_entropy_hvp",
    "cross_entropy_with_targets",
    "cross_entropy_with_targets_grad",
    "focal_loss",
    "focal_loss_grad",
    "log_odds",
    "log_softmax",
    "logsumexp",
    "lq_loss",
    "lq_loss_grad",
    "mean_absolute_error",
    "mean_absolute_error_grad",
    "mean_over",
    "poly1_loss",
    "poly1_loss_grad",
    "power_loss",
    "power_loss_grad",
    "softmax",
    "squentropy",
    "squentropy_grad",
    "ssr",
    "ssr_from_probs",
    "ssr_from_probs_grad",
    "ssr_grad",
    "ssr_hessian",
    "ssr_hvp",
    "ssr_on_logits",
    "ssr_on_logits_grad",
    "ssr_with_targets",
    "ssr_with_targets_grad",
    "stablemax_cross_entropy",
    "stablemax_cross_entropy_grad",
    "true_class_ssr",
    "true_class_ssr_from_probs",
    "true_class_ssr_from_probs_grad",
    "true_class_ssr_grad",
    "validate_labels",
    "with_manual_grad",
    "z_loss",
    "z_loss_grad",
]
