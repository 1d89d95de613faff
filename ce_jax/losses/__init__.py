"""Classification losses on logits, exact in both tails, each beside its hand-written gradient.

A file imports only from those above it:

    _keywords       keywords of other libraries, answered by what to write instead
    _labels         labels before JAX truncates them, and where they point
    _checks         dtypes, ranks and shapes, checked while a loss is traced; `validate_labels`
    _parameters     what a parameter of a loss may be: `RANGES`
    _arithmetic     elementary functions without the rounding error of their usual formula
    _bad_rows       what a row without a loss does: NaN, and nothing where it is left out
    _softmax        softmax, log_softmax, logsumexp
    _odds           the label against all other classes: what the losses are written in, and the map of derivative rules
    _log_odds       log_odds
    _cross_entropy  cross-entropy, also with soft targets
    _ssr            the sum of squared residuals on probabilities, also with soft targets
    _from_probs     the textbook forms: losses of given probabilities
    _of_label       losses of p_y alone: true-class SSR, mean absolute error, L_q, focal, poly-1
    _power          the power score, the bridge from cross-entropy to SSR
    _on_logits      losses of the logits themselves: SSR without softmax, squentropy, z-loss
    _stablemax      cross-entropy of the stablemax
    _adjusted       cross-entropy of logits adjusted by the logarithm of a prior
    _spherical      the spherical score
    _one_against_rest  a binary cross-entropy for every class, without softmax
    _entmax         the entmax and its implicit derivative
    _fenchel_young  the losses of the entmax, from cross-entropy to the sparsemax loss
    _entropy        log_prob and the entropy of a prediction
    _second_order   Hessians of cross-entropy and SSR, and their products with vectors
    _class_weights  weights that let every class count the same
    _reductions     the mean over rows
    _registry       the table LOSSES and its record Loss

Conventions of other libraries, and the line that converts. z are logits, p their softmax, y labels, t targets, w
weights, N rows and K classes; what stands on the right equals what stands on the left. Here a loss is one value per
row, without a factor, and `mean_over` divides by the sum of the weights.

| theirs | factor, denominator, smoothing | here |
|---|---|---|
| **optax** | one value per row | |
| `softmax_cross_entropy_with_integer_labels(z, y)` | labels < 0 count from the end; here NaN | `cross_entropy(z, y)` |
| `softmax_cross_entropy(z, t)` | t not renormalised | `cross_entropy_with_targets(z, t)` |
| the same with `smooth_labels(onehot, e)` | over all K | `cross_entropy(z, y, label_smoothing=e)` |
| `poly_loss_cross_entropy(z, onehot)` | epsilon 2 unless given; here 1 | `poly1_loss(z, y, epsilon=2.0)` |
| `sigmoid_focal_loss(z, y)`, y 0 or 1 | no alpha unless given | `focal_loss(stack([0 * z, z], -1), y)` |
| `squared_error(p, onehot).sum(-1)` | no 1/2 | `ssr(z, y)` |
| `l2_loss(p, onehot).sum(-1)` | 1/2 | `ssr(z, y) / 2` |
| `sigmoid_binary_cross_entropy(z, onehot).sum(-1)` | sum over K | `sigmoid_binary_cross_entropy(z, y)` |
| `multiclass_sparsemax_loss(z, y)` | | `fenchel_young_loss(z, y, alpha=2)` |
| **PyTorch** | mean over rows | |
| `cross_entropy(z, y)` | rows labelled -100 left out | `mean_over(cross_entropy(z, y), where=y != -100)` |
| the same with `weight=w` [K] | divided by the sum of w_y | `mean_over(cross_entropy(z, y), weights=w[y])` |
| the same, but t for y | divided by N | `mean_over(cross_entropy_with_targets(z, w * t))` |
| the same with `label_smoothing=e` | over all K | `mean_over(cross_entropy(z, y, label_smoothing=e))` |
| `mse_loss(p, onehot)` | divided by N K | `mean_over(ssr(z, y)) / K` |
| **Keras** | mean over rows; p, unless `from_logits`, clipped to 1e-7 from 0 and 1 | |
| `SparseCategoricalCrossentropy(from_logits=True)` | | `mean_over(cross_entropy(z, y))` |
| the same with `sample_weight=w` | divided by N, not by the sum of w | `mean_over(w * cross_entropy(z, y))` |
| `CategoricalCrossentropy(label_smoothing=e)` | over all K | `mean_over(cross_entropy(z, y, label_smoothing=e))` |
| `CategoricalFocalCrossentropy()` | alpha 1/4, gamma 2 | `mean_over(focal_loss(z, y)) / 4` |
| `MeanSquaredError()` of p and onehot | divided by N K | `mean_over(ssr(z, y)) / K` |
| **TensorFlow** | one value per row | |
| `nn.sparse_softmax_cross_entropy_with_logits` | bad label: error on CPU, NaN on GPU | `cross_entropy(z, y)` |
| `tfp.stats.brier_score(y, z)` | without the 1 of the one-hot | `ssr(z, y) - 1` |
| **scikit-learn** | mean over rows, weights divided by their sum; p clipped to eps from 0 and 1 | |
| `log_loss(y, p, sample_weight=w)` | | `mean_over(cross_entropy(z, y), weights=w)` |
| `log_loss(y, p, normalize=False)` | sum over rows | `cross_entropy(z, y).sum()` |
| `brier_score_loss(y, p)`, K > 2 | no 1/2 | `mean_over(ssr(z, y))` |
| `brier_score_loss(y, p[:, 1])`, K = 2 | 1/2: one output counts | `mean_over(ssr(z, y)) / 2` |
| **T5X, MaxText** | one value per row | |
| cross-entropy with smoothing e | over the K - 1 others | `cross_entropy(z, y, label_smoothing=e * K / (K - 1))` |

A keyword that another library has and these functions do not raises a TypeError that says what to write instead. A
numpy array that is closed over and mapped inside jit, `jax.jit(lambda: jax.vmap(f)(array))()`, fails in JAX for every f
with a derivative rule of its own, these included: pass it as an argument or as `jnp.asarray(array)`. `jax.export` works
with symbolic numbers of rows and classes (near ties of 64 classes and more, the gradient of SSR then loses a digit).

A row whose label is hidden by `where` is NaN here; optax gives a number for it, which can be negative. A mean over no
row is 0 here and NaN in PyTorch.
"""

from ce_jax.losses._adjusted import logit_adjusted_cross_entropy, logit_adjusted_cross_entropy_grad
from ce_jax.losses._checks import validate_labels
from ce_jax.losses._class_weights import class_weights
from ce_jax.losses._cross_entropy import (
    cross_entropy,
    cross_entropy_grad,
    cross_entropy_with_targets,
    cross_entropy_with_targets_grad,
)
from ce_jax.losses._entmax import entmax
from ce_jax.losses._entropy import entropy, log_prob
from ce_jax.losses._fenchel_young import fenchel_young_loss, fenchel_young_loss_grad
from ce_jax.losses._from_probs import (
    cross_entropy_from_probs,
    cross_entropy_from_probs_grad,
    ssr_from_probs,
    ssr_from_probs_grad,
    true_class_ssr_from_probs,
    true_class_ssr_from_probs_grad,
)
from ce_jax.losses._log_odds import log_odds
from ce_jax.losses._of_label import (
    focal_loss,
    focal_loss_grad,
    lq_loss,
    lq_loss_grad,
    mean_absolute_error,
    mean_absolute_error_grad,
    poly1_loss,
    poly1_loss_grad,
    true_class_ssr,
    true_class_ssr_grad,
)
from ce_jax.losses._on_logits import (
    squentropy,
    squentropy_grad,
    ssr_on_logits,
    ssr_on_logits_grad,
    z_loss,
    z_loss_grad,
)
from ce_jax.losses._one_against_rest import sigmoid_binary_cross_entropy, sigmoid_binary_cross_entropy_grad
from ce_jax.losses._power import power_loss, power_loss_grad
from ce_jax.losses._reductions import mean_over
from ce_jax.losses._registry import LOSSES, Loss, as_loss, hand_written, with_manual_grad
from ce_jax.losses._second_order import cross_entropy_hessian, cross_entropy_hvp, ssr_hessian, ssr_hvp
from ce_jax.losses._softmax import log_softmax, logsumexp, softmax
from ce_jax.losses._spherical import spherical_score, spherical_score_grad
from ce_jax.losses._ssr import ssr, ssr_grad, ssr_with_targets, ssr_with_targets_grad
from ce_jax.losses._stablemax import stablemax_cross_entropy, stablemax_cross_entropy_grad

__all__ = [
    "LOSSES",
    "Loss",
    "as_loss",
    "class_weights",
    "cross_entropy",
    "cross_entropy_from_probs",
    "cross_entropy_from_probs_grad",
    "cross_entropy_grad",
    "cross_entropy_hessian",
    "cross_entropy_hvp",
    "cross_entropy_with_targets",
    "cross_entropy_with_targets_grad",
    "entmax",
    "entropy",
    "fenchel_young_loss",
    "fenchel_young_loss_grad",
    "focal_loss",
    "focal_loss_grad",
    "hand_written",
    "log_odds",
    "log_prob",
    "log_softmax",
    "logit_adjusted_cross_entropy",
    "logit_adjusted_cross_entropy_grad",
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
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "softmax",
    "spherical_score",
    "spherical_score_grad",
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
