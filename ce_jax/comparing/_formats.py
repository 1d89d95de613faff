"""How names and numbers are printed, in one place for terminal, notebook and pages."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

NAMES = {
    "cross_entropy": "cross-entropy",
    "ssr": "SSR on probabilities",
    "true_class_ssr": "true-class SSR on probabilities",
    "ssr_on_logits": "SSR on logits",
    "logit_adjusted_cross_entropy": "logit-adjusted cross-entropy",
}


def display_name(loss: str) -> str:
    """The name to print for a loss, which for SSR always says on what.

    >>> display_name("ssr_on_logits(target=15)"), display_name("power_loss(beta=0.5)")
    ('SSR on logits (target=15)', 'power_loss(beta=0.5)')
    """
    name, bracket, options = loss.partition("(")
    return f"{NAMES[name]} {bracket}{options}".rstrip() if name in NAMES else loss


def metric_name(metric: str) -> str:
    """The words for something measured.

    >>> metric_name("validation_accuracy"), metric_name("test_balanced_accuracy")
    ('validation accuracy', 'balanced test accuracy')
    >>> metric_name("test_rare_accuracy")
    'test accuracy on the rarest half of the classes'
    """
    part, _, rest = metric.partition("_")
    if rest == "balanced_accuracy":
        return f"balanced {part} accuracy"
    if rest == "rare_accuracy":
        return f"{part} accuracy on the rarest half of the classes"
    return metric.replace("_", " ")


def capital(words: str) -> str:
    """Words as a sentence begins.

    >>> capital("SSR on logits"), capital("in 2 of 3")
    ('SSR on logits', 'In 2 of 3')
    """
    return words[:1].upper() + words[1:]


def percent(fraction: float) -> str:
    """A level in percent, as short as it can be.

    >>> percent(0.95), percent(0.975)
    ('95 %', '97.5 %')
    """
    return f"{100 * fraction:.4g} %"


def text(value: Any) -> str:
    """A setting as it would be typed: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def known(value: Any) -> bool:
    """Whether a number, or every number of an interval, is there and finite."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return all(part is not None and math.isfinite(part) for part in parts)


def ratio(value: float | None) -> str:
    """Two decimals, more where they would hide a difference from 1 or leave fewer than two digits.

    >>> ratio(0.4166), ratio(0.0123), ratio(0.9984), ratio(None)
    ('0.42', '0.012', '0.9984', '–')
    """
    if value is None or not known(value):
        return "–"
    if round(value, 2) == 1 and value != 1:
        return f"{value:.4g}"
    return f"{value:.2f}" if 0.1 <= value < 10 else f"{value:.3g}" if value >= 10 else f"{value:.2g}"


def count(value: float | None) -> str:
    """A number of steps or a loss: three digits, or whole with thousands separators; an en dash where there is none.

    >>> count(12.345), count(1234.5), count(None)
    ('12.3', '1,234', '–')
    """
    if value is None or not known(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def share(value: float | None) -> str:
    """A fraction in percent, with a decimal unless it is whole.

    >>> share(1.0), share(0.985), share(None)
    ('100 %', '98.5 %', '–')
    """
    if value is None or not known(value):
        return "–"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def interval(bounds: Sequence[float] | None, form: Callable[[float | None], str]) -> str:
    """An interval in words, its bounds printed by `form`.

    >>> interval([0.36, 0.5], ratio), interval([0.9, 0.925], share)
    ('0.36 to 0.50', '90 to 92.5 %')
    """
    if bounds is None or not known(bounds):
        return "–"
    low, high = map(form, bounds)
    return f"{low.removesuffix(' %')} to {high}"
