"""Losses and gradients from their definitions in high precision; knows neither JAX nor this project.

A loss of probabilities is written as a function of p and its partial derivatives by every p_k; one chain rule,
dL/dz_i = p_i (dL/dp_i - sum_k p_k dL/dp_k), turns those into gradients. A loss of logits is written as value and
gradient. 500 bits leave more than 200 correct ones after the worst cancellation at margins of 80.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from mpmath import exp, log, mp, mpf, sqrt

BITS = 500


def _log_loss(p: mpf) -> mpf:
    return mpf("inf") if p == 0 else -log(p)


def _at(y: int, num_classes: int, slope: mpf) -> list[mpf]:
    return [slope if k == y else mpf(0) for k in range(num_classes)]


def _smoothed(y, num_classes, label_smoothing):
    e = mpf(label_smoothing)
    return [(1 - e) * (k == y) + e / num_classes for k in range(num_classes)]


def _cross_entropy(p, y, label_smoothing=0.0):
    targets = _smoothed(y, len(p), label_smoothing)
    value = sum(t * _log_loss(x) for t, x in zip(targets, p, strict=True) if t)
    return value, [-t / x if x else mpf(0) for t, x in zip(targets, p, strict=True)]


def _ssr(p, y, label_smoothing=0.0):
    residuals = [x - t for x, t in zip(p, _smoothed(y, len(p), label_smoothing), strict=True)]
    return sum(r**2 for r in residuals), [2 * r for r in residuals]


def _true_class_ssr(p, y):
    return (1 - p[y]) ** 2, _at(y, len(p), -2 * (1 - p[y]))


def _mean_absolute_error(p, y):
    return sum(abs(x - (k == y)) for k, x in enumerate(p)), [mpf(1) if k != y else mpf(-1) for k in range(len(p))]


def _focal_loss(p, y, gamma=2.0):
    g, u = mpf(gamma), 1 - p[y]
    damping = g * u ** (g - 1) * log(p[y]) if u else mpf(0)
    return u**g * _log_loss(p[y]), _at(y, len(p), damping - u**g / p[y])


def _poly1_loss(p, y, epsilon=1.0):
    return _log_loss(p[y]) + mpf(epsilon) * (1 - p[y]), _at(y, len(p), -1 / p[y] - mpf(epsilon))


def _lq_loss(p, y, q=0.7):
    q = mpf(q)
    value = (1 - p[y] ** q) / q if q else _log_loss(p[y])
    return value, _at(y, len(p), -(p[y] ** (q - 1)))


def _power_loss(p, y, beta=0.5):
    b = mpf(beta)
    if not b:
        return _cross_entropy(p, y)
    value = sum(x ** (1 + b) for x in p) + (1 - (1 + b) * p[y] ** b) / b
    return value, [(1 + b) * (x**b - (k == y) * p[y] ** (b - 1)) for k, x in enumerate(p)]


def _logit_adjusted_cross_entropy(p, y, prior=None, tau=1.0):
    weights = [mpf(1) if prior is None else mpf(float(w)) ** mpf(tau) for w in (p if prior is None else prior)]
    total = sum(w * x for w, x in zip(weights, p, strict=True))
    return log(total) - log(weights[y] * p[y]) if p[y] else mpf("inf"), [
        w / total - ((k == y) / p[y] if p[y] else 0) for k, w in enumerate(weights)
    ]


def _spherical_score(p, y):
    norm = sqrt(sum(x**2 for x in p))
    return 1 - p[y] / norm, [p[y] * x / norm**3 - (k == y) / norm for k, x in enumerate(p)]


def _sigmoid_binary_cross_entropy(z, y):
    signed = [-x if k == y else x for k, x in enumerate(z)]
    return sum(log(1 + exp(s)) for s in signed), [(-1 if k == y else 1) / (1 + exp(-s)) for k, s in enumerate(signed)]


def entmax(z: Sequence[mpf], alpha: float) -> list[mpf]:
    """[(alpha - 1) z - tau]_+^(1 / (alpha - 1)): tau by bisection, up to alpha = 2 then by Newton."""
    b = mpf(alpha) - 1
    if not b:
        return softmax(z)
    low, high = b * max(z) - 1, b * max(z)
    scaled = [b * x for x in z]
    alive = [x for x in scaled if x > low]

    def at(tau, scaled):
        return [(x - tau) ** (1 / b) if x > tau else mpf(0) for x in scaled]

    for _ in range(60 if b <= 1 else BITS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle, alive)) >= 1 else (low, middle)
    for _ in range(8 if b <= 1 else 0):
        slope = sum((x - low) ** (1 / b - 1) for x in alive if x > low) / b
        low += (sum(at(low, alive)) - 1) / slope
    return at(low, scaled)


def _fenchel_young_loss(z, y, alpha=1.5):
    p, a = entmax(z, alpha), mpf(alpha)
    grad = [x - (k == y) for k, x in enumerate(p)]
    if a == 1:
        return _log_loss(p[y]), grad
    negentropy = (sum(x**a for x in p) - 1) / (a * (a - 1))
    return sum(x * w for x, w in zip(p, z, strict=True)) - negentropy - z[y], grad


def _ssr_on_logits(z, y, scale=1.0, target=1.0):
    residuals = [x - mpf(target) * (k == y) for k, x in enumerate(z)]
    weights = [mpf(scale) if k == y else mpf(1) for k in range(len(z))]
    pairs = list(zip(weights, residuals, strict=True))
    return sum(w * r**2 for w, r in pairs), [2 * w * r for w, r in pairs]


def _squentropy(z, y):
    value, grad = _through_softmax(z, *_cross_entropy(softmax(z), y))
    wrong, others = [mpf(0) if k == y else x for k, x in enumerate(z)], max(len(z) - 1, 1)
    return value + sum(x**2 for x in wrong) / others, [g + 2 * x / others for g, x in zip(grad, wrong, strict=True)]


def _z_loss(z, y):
    normaliser = log(sum(exp(x) for x in z))
    return normaliser**2, [2 * normaliser * p for p in softmax(z)]


def _stablemax_cross_entropy(z, y):
    s = [1 + x if x >= 0 else 1 / (1 - x) for x in z]
    slopes = [mpf(1) if x >= 0 else 1 / (1 - x) ** 2 for x in z]
    return log(sum(s)) - log(s[y]), [d / sum(s) - (k == y) * d / s[y] for k, d in enumerate(slopes)]


OF_PROBABILITIES = {
    "cross_entropy": _cross_entropy,
    "ssr": _ssr,
    "true_class_ssr": _true_class_ssr,
    "mean_absolute_error": _mean_absolute_error,
    "focal_loss": _focal_loss,
    "poly1_loss": _poly1_loss,
    "lq_loss": _lq_loss,
    "power_loss": _power_loss,
    "logit_adjusted_cross_entropy": _logit_adjusted_cross_entropy,
    "spherical_score": _spherical_score,
}
OF_LOGITS = {
    "ssr_on_logits": _ssr_on_logits,
    "squentropy": _squentropy,
    "z_loss": _z_loss,
    "stablemax_cross_entropy": _stablemax_cross_entropy,
    "sigmoid_binary_cross_entropy": _sigmoid_binary_cross_entropy,
    "fenchel_young_loss": _fenchel_young_loss,
}


def softmax(z: Sequence[mpf]) -> list[mpf]:
    largest = max(z)
    powers = [exp(x - largest) for x in z]
    total = sum(powers)
    return [x / total for x in powers]


def _through_softmax(z, value, slopes):
    p = softmax(z)
    mean = sum(x * s for x, s in zip(p, slopes, strict=True))
    return value, [x * (s - mean) for x, s in zip(p, slopes, strict=True)]


def value_and_grad(name: str, logits: Sequence[float], y: int, **options: Any) -> tuple[mpf, list[mpf]]:
    """The loss of one row and its gradient with respect to the logits, whose floating-point values are exact."""
    with mp.workprec(BITS):
        z = [mpf(float(x)) for x in logits]
        if name in OF_LOGITS:
            return OF_LOGITS[name](z, y, **options)
        return _through_softmax(z, *OF_PROBABILITIES[name](softmax(z), y, **options))


def by_option(name: str, option: str, at: float, logits: Sequence[float], y: int) -> mpf:
    """The derivative of the loss by one of its options, from a central difference in high precision."""
    with mp.workprec(BITS):
        z, step = [mpf(float(x)) for x in logits], mpf(2) ** -150
        value = partial(OF_PROBABILITIES[name], softmax(z), y)
        ahead, back = (value(**{option: mpf(at) + sign * step})[0] for sign in (1, -1))
        return (ahead - back) / (2 * step)


def ulps(computed: np.ndarray, truth: Sequence[mpf]) -> np.ndarray:
    """Errors in units of the last place of the rounded truth; 0 where the truth is not a normal number."""
    computed = np.asarray(computed)
    info, errors = np.finfo(computed.dtype), np.zeros(computed.shape)
    with mp.workprec(BITS):
        for i, (x, t) in enumerate(zip(computed.ravel(), truth, strict=True)):
            if info.tiny <= abs(t) <= info.max:
                unit = np.spacing(np.abs(computed.dtype.type(float(t))))
                errors.flat[i] = float(abs(mpf(float(x)) - t) / mpf(float(unit))) if np.isfinite(x) else np.inf
    return errors


def relative_to_row(computed: np.ndarray, truth: Sequence[mpf]) -> float:
    """Largest error of a row over its largest entry; what is flushed to 0 below the normal numbers is no error."""
    computed = np.asarray(computed)
    tiny = float(np.finfo(computed.dtype).tiny)
    with mp.workprec(BITS):
        largest = max(abs(t) for t in truth)
        if largest < tiny:
            return 0.0
        if not np.isfinite(computed).all():
            return np.inf
        errors = (abs(mpf(float(x)) - t) - tiny for x, t in zip(computed.ravel(), truth, strict=True))
        return float(max(0, *errors) / largest)


def adversarial_rows(num_classes: int, count: int, dtype: type, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of logits that have hurt some implementation, and their labels: margins from -80 to 80 of eight kinds."""
    rng = np.random.default_rng([seed, num_classes])
    rows, labels = [], []
    for i in range(count):
        z = rng.normal(size=num_classes) * rng.choice([0.01, 1.0, 3.0, 10.0])
        y, margin = int(rng.integers(num_classes)), rng.uniform(-80, 80)
        others = np.arange(num_classes) != y
        if i % 8 == 1:  # exact ties
            z[:], z[y] = 0.0, margin
        elif i % 8 == 2:  # one dominating wrong class
            z[(y + 1) % num_classes] = z.max() + abs(margin)
        elif i % 8 == 3:  # a large common offset
            z += rng.choice([1e4, -1e4, 123.4])
        elif i % 8 == 4:  # a given margin over the others
            z[y] = np.log(np.exp(z[others]).sum()) + margin
        elif i % 8 == 5:  # near ties
            z, z[y] = 1e-6 * rng.normal(size=num_classes), margin
        elif i % 8 == 6:  # everything far apart
            z = rng.uniform(-80, 80, num_classes)
            z[y] = z.max() + np.sign(margin) * rng.uniform(0, 80 if margin > 0 else z.max() + 80)
            z[y] = max(z[y], z.max() - 80)
        elif i % 8 == 7:  # integers, exact differences
            z = np.round(z) + rng.choice([0.0, 1e4])
            z[y] += np.round(margin)
        rows.append(z.astype(dtype))
        labels.append(y)
    return np.stack(rows), np.array(labels, np.int32)
