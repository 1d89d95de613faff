"""The truth: losses and gradients from their definitions, in decimal arithmetic.

Nothing here shares a formula with `ce_jax.losses`: every loss is written as its definition says, a function of the
probabilities p, with its partial derivatives by p, and the chain rule dL/dz_i = p_i (s_i - sum_k p_k s_k), s_k =
dL/dp_k, turns those into gradients. That cancels badly, so it is done with as many digits as the row's logits need.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, getcontext, localcontext
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[Decimal]
ONE = Decimal(1)

_KEPT_DIGITS = 35  # correct digits left after the worst cancellation
_STEP_DIGITS = 20  # central differences with a step of 10^-20 are right to 40 digits


class Exact(NamedTuple):
    """A number as the sum of two float64 numbers: about 32 digits."""

    high: NDArray[np.float64]
    low: NDArray[np.float64]


class Row(NamedTuple):
    """One row: the logits of the classes that are visible and finite, and their softmax."""

    logits: Numbers
    log_probs: Numbers
    probs: Numbers
    label: int
    absent: int = 0  # how many classes are visible with the logit -inf

    def only(self, slope: Decimal) -> list[Decimal]:
        """`slope` at the label, 0 elsewhere."""
        return [slope if k == self.label else Decimal(0) for k in range(len(self.logits))]

    def smoothed(self, label_smoothing: Decimal) -> list[Decimal]:
        """The target: (1 - e) [k = y] + e / K."""
        spread = label_smoothing / (len(self.probs) + self.absent)
        return [(1 - label_smoothing) * (k == self.label) + spread for k in range(len(self.probs))]

    def residuals(self) -> list[Decimal]:
        """p_k - [k = y]."""
        return [p - (k == self.label) for k, p in enumerate(self.probs)]


class Parts(NamedTuple):
    """A loss at one row: its value, its derivatives by p, and those by z that do not go through p."""

    value: Decimal
    by_probs: Numbers | None
    by_logits: Numbers | None = None


def _cross_entropy(row: Row, label_smoothing: Decimal = Decimal(0)) -> Parts:
    targets = row.smoothed(label_smoothing)
    value = -sum((t * x for t, x in zip(targets, row.log_probs, strict=True) if t), Decimal(0))
    return Parts(value, [-t / p for t, p in zip(targets, row.probs, strict=True)])


def _ssr(row: Row, label_smoothing: Decimal = Decimal(0)) -> Parts:
    e = [p - t for p, t in zip(row.probs, row.smoothed(label_smoothing), strict=True)]
    absent = row.absent * (label_smoothing / (len(e) + row.absent)) ** 2
    return Parts(sum((x * x for x in e), absent), [2 * x for x in e])


def _true_class_ssr(row: Row) -> Parts:
    wrong = 1 - row.probs[row.label]
    return Parts(wrong * wrong, row.only(-2 * wrong))


def _mean_absolute_error(row: Row) -> Parts:
    return Parts(2 * (1 - row.probs[row.label]), [ONE - 2 * (k == row.label) for k in range(len(row.probs))])


def _lq(row: Row, q: Decimal) -> Parts:
    p, log_p = row.probs[row.label], row.log_probs[row.label]
    value = (1 - (q * log_p).exp()) / q if q else -log_p
    return Parts(value, row.only(-((q * log_p).exp()) / p))


def _power(row: Row, beta: Decimal) -> Parts:
    y = row.label
    if not beta:
        return _cross_entropy(row)
    powers = [p if beta == 1 else (beta * x).exp() for p, x in zip(row.probs, row.log_probs, strict=True)]
    total = sum((p * w for p, w in zip(row.probs, powers, strict=True)), Decimal(0))
    slopes = [(1 + beta) * w for w in powers]
    slopes[y] -= (1 + beta) * powers[y] / row.probs[y]
    return Parts(total + (1 - (1 + beta) * powers[y]) / beta, slopes)


def _focal(row: Row, gamma: Decimal = Decimal(2)) -> Parts:
    p, log_p = row.probs[row.label], row.log_probs[row.label]
    wrong = 1 - p
    weight = wrong**gamma if gamma else ONE
    slope = -weight / p + (gamma * weight / wrong * log_p if wrong and gamma else 0)
    return Parts(-weight * log_p, row.only(slope))


def _poly1(row: Row, epsilon: Decimal = ONE) -> Parts:
    p = row.probs[row.label]
    return Parts(-row.log_probs[row.label] + epsilon * (1 - p), row.only(-1 / p - epsilon))


def _squentropy(row: Row) -> Parts:
    others = max(len(row.logits) - 1, 1)
    z = [Decimal(0) if k == row.label else x for k, x in enumerate(row.logits)]
    entropy = _cross_entropy(row)
    squares = sum((x * x for x in z), Decimal(0)) / others
    return Parts(entropy.value + squares, entropy.by_probs, [2 * x / others for x in z])


def _ssr_on_logits(row: Row, scale: Decimal = ONE, target: Decimal = ONE) -> Parts:
    e = [x - target * (k == row.label) for k, x in enumerate(row.logits)]
    weighted = [x * (scale if k == row.label else 1) for k, x in enumerate(e)]
    value = sum((w * x for w, x in zip(weighted, e, strict=True)), Decimal(0))
    return Parts(value, None, [2 * w for w in weighted])


def _z_loss(row: Row) -> Parts:
    normalizer = row.logits[row.label] - row.log_probs[row.label]
    return Parts(normalizer * normalizer, None, [2 * normalizer * p for p in row.probs])


def _stablemax(row: Row) -> Parts:
    s = [1 + x if x >= 0 else 1 / (1 - x) for x in row.logits]
    total = sum(s, Decimal(0))
    inner = [ONE if x >= 0 else w * w for x, w in zip(row.logits, s, strict=True)]
    slopes = [d / total - (d / w if k == row.label else 0) for k, (d, w) in enumerate(zip(inner, s, strict=True))]
    return Parts((total / s[row.label]).ln(), None, slopes)


def _logit_adjusted(row: Row, prior: Numbers | None = None, tau: Decimal = ONE) -> Parts:
    weights = [ONE if prior is None else (tau * prior[k].ln()).exp() for k in range(len(row.probs))]
    total = sum((w * p for w, p in zip(weights, row.probs, strict=True)), Decimal(0))
    slopes = [w / total - (k == row.label) / p for k, (w, p) in enumerate(zip(weights, row.probs, strict=True))]
    return Parts(total.ln() - weights[row.label].ln() - row.log_probs[row.label], slopes)


def _sigmoid_binary_cross_entropy(row: Row) -> Parts:
    """With digits for 1 + exp(x) of every logit: not their spread counts here, but their size."""
    with localcontext() as context:
        context.prec += int(min(float(max(map(abs, row.logits))), 710.0) / np.log(10.0))
        return _sum_of_softplus(row)


def _sum_of_softplus(row: Row) -> Parts:
    signs = [-1 if k == row.label else 1 for k in range(len(row.logits))]
    powers = [(sign * x).exp() for sign, x in zip(signs, row.logits, strict=True)]
    value = sum(((1 + e).ln() for e in powers), Decimal(0))
    return Parts(value, None, [sign * e / (1 + e) for sign, e in zip(signs, powers, strict=True)])


def _spherical(row: Row) -> Parts:
    p = row.probs[row.label]
    norm = sum((x * x for x in row.probs), Decimal(0)).sqrt()
    slopes = [p * x / norm**3 - (k == row.label) / norm for k, x in enumerate(row.probs)]
    return Parts(1 - p / norm, slopes)


def _entmax(row: Row, alpha: Decimal) -> list[Decimal]:
    """[b z - tau]_+^(1/b), b = alpha - 1 in 0..1: sum_k p_k = 1 by Newton's method, which is monotone from below."""
    b = alpha - 1
    if not b:
        return list(row.probs)
    power = ONE / b
    power = power.to_integral_value() if power == power.to_integral_value() else power
    tau = b * max(row.logits) - 1
    least = ONE.scaleb(5 - getcontext().prec)
    while True:
        bases = [b * x - tau for x in row.logits]
        p = [base**power if base > 0 else Decimal(0) for base in bases]
        slope = power * sum((x / base for x, base in zip(p, bases, strict=True) if base > 0), Decimal(0))
        new = tau + (sum(p, Decimal(0)) - 1) / slope
        if new - tau <= least:
            return p
        tau = new


def _fenchel_young(row: Row, alpha: Decimal = Decimal("1.5")) -> Parts:
    """With digits for a lead that falls short of the margin by the last place of a float64."""
    if alpha == 1:
        return Parts(-row.log_probs[row.label], None, row.residuals())
    with localcontext() as context:
        context.prec += 100
        p = _entmax(row, alpha)
        dot = sum((x * (z - row.logits[row.label]) for x, z in zip(p, row.logits, strict=True) if x), Decimal(0))
        negentropy = (sum((x**alpha for x in p if x), Decimal(0)) - 1) / (alpha * (alpha - 1))
        return Parts(dot - negentropy, None, [x - (k == row.label) for k, x in enumerate(p)])


DEFINITIONS: dict[str, Callable[..., Parts]] = {
    "cross_entropy": _cross_entropy,
    "ssr": _ssr,
    "true_class_ssr": _true_class_ssr,
    "ssr_on_logits": _ssr_on_logits,
    "lq_loss": _lq,
    "power_loss": _power,
    "focal_loss": _focal,
    "poly1_loss": _poly1,
    "squentropy": _squentropy,
    "mean_absolute_error": _mean_absolute_error,
    "z_loss": _z_loss,
    "stablemax_cross_entropy": _stablemax,
    "logit_adjusted_cross_entropy": _logit_adjusted,
    "sigmoid_binary_cross_entropy": _sigmoid_binary_cross_entropy,
    "spherical_score": _spherical,
    "fenchel_young_loss": _fenchel_young,
}


def digits_for(logits: NDArray[np.float64]) -> int:
    """Decimal digits to compute one row with.

    Quantities of size 1 cancel down to the smallest probability, or to its square: twice the spread of the logits over
    log(10) digits are lost. Beyond 710 the result is no normal number of any dtype, and its digits do not matter.
    """
    spread = np.max(logits) - np.min(logits)
    return _KEPT_DIGITS + int(min(2 * spread, 710.0) / np.log(10.0))


def _context(digits: int) -> Context:
    return Context(prec=digits, Emin=MIN_EMIN, Emax=MAX_EMAX)


@lru_cache(maxsize=1024)  # the losses of one audit share their rows, and exponentials are what costs time
def _softmax(logits: tuple[Decimal, ...], digits: int) -> tuple[Numbers, Numbers]:
    with localcontext(_context(digits)):
        largest = max(logits)
        powers = [(x - largest).exp() for x in logits]
        total = sum(powers, Decimal(0))
        log_total = total.ln()
        return tuple((x - largest) - log_total for x in logits), tuple(x / total for x in powers)


def make_row(logits: Sequence[Decimal], label: int, digits: int) -> Row:
    """The row of these logits, computed with `digits` digits."""
    return Row(tuple(logits), *_softmax(tuple(logits), digits), label)


def gradient(parts: Parts, row: Row) -> list[Decimal]:
    """The derivative by the logits."""
    result = list(parts.by_logits or [Decimal(0)] * len(row.logits))
    if parts.by_probs is not None:
        mean = sum((p * s for p, s in zip(row.probs, parts.by_probs, strict=True)), Decimal(0))
        result = [d + p * (s - mean) for d, p, s in zip(result, row.probs, parts.by_probs, strict=True)]
    return result


def _hessian(definition: Callable[[Row], Parts], logits: Sequence[Decimal], label: int, digits: int) -> list[Numbers]:
    """Central differences of the gradient."""
    step = Decimal(10) ** -_STEP_DIGITS
    rows: list[Numbers] = []
    for i in range(len(logits)):
        ends = []
        for sign in (1, -1):
            row = make_row([x + sign * step * (i == k) for k, x in enumerate(logits)], label, digits)
            ends.append(gradient(definition(row), row))
        rows.append([(up - down) / (2 * step) for up, down in zip(*ends, strict=True)])
    return rows


def truth(
    name: str,
    logits: NDArray[Any],
    labels: NDArray[np.integer],
    *,
    where: NDArray[np.bool_] | None = None,
    options: Mapping[str, Any] | None = None,
    second: bool = False,
) -> dict[str, Exact]:
    """Value, gradient and, if `second`, Hessian of a known loss by the logits, to about 32 digits.

    Hidden classes and classes of logit -inf are left out: a derivative with respect to them is 0.

    Args:
      name: a key of `DEFINITIONS`; logits: [N, K]; labels: [N], each of a visible class; where: [N, K] or None.
      options: keyword arguments of the loss, numbers or arrays of one number per class.

    Returns:
      {"value": [N], "gradient": [N, K], "hessian": [N, K, K]}.

    >>> truth("ssr", np.zeros((1, 2)), np.array([0]))["value"].high
    array([0.5])
    """
    known = {key: np.asarray(given, np.float64) for key, given in (options or {}).items()}
    n, k = logits.shape
    shapes = {"value": (n,), "gradient": (n, k)} | ({"hessian": (n, k, k)} if second else {})
    exact = {key: Exact(np.zeros(shape), np.zeros(shape)) for key, shape in shapes.items()}

    for i, (z, y) in enumerate(zip(logits.astype(np.float64), labels, strict=True)):
        kept = np.flatnonzero(np.isfinite(z) & (True if where is None else where[i]))
        label = int(np.searchsorted(kept, y))
        absent = int(np.sum(~np.isfinite(z) & (True if where is None else where[i])))
        given = {key: _decimals(x[kept] if x.ndim else x) for key, x in known.items()}
        definition = partial(DEFINITIONS[name], **given)
        numbers = [Decimal(float(x)) for x in z[kept]]
        digits = digits_for(z[kept])
        with localcontext(_context(digits)):
            row = make_row(numbers, label, digits)._replace(absent=absent)
            parts = definition(row)
            _store(exact["value"], (i,), parts.value)
            for j, slope in zip(kept.tolist(), gradient(parts, row), strict=True):
                _store(exact["gradient"], (i, j), slope)
        if second:
            more = digits + 3 * _STEP_DIGITS
            with localcontext(_context(more)):
                for a, slopes in zip(kept.tolist(), _hessian(definition, numbers, label, more), strict=True):
                    for b, slope in zip(kept.tolist(), slopes, strict=True):
                        _store(exact["hessian"], (i, a, b), slope)
    return exact


def _decimals(numbers: NDArray[np.float64]) -> Any:
    """The exact decimal value of a number, or of each of an array."""
    return [Decimal(float(x)) for x in numbers] if numbers.ndim else Decimal(float(numbers))


def _store(into: Exact, index: tuple[int, ...], number: Decimal) -> None:
    high = float(number)
    into.high[index] = high
    into.low[index] = float(number - Decimal(high))
