"""The README's answer, written from the verdicts: every sentence is a claim's, every number one of its measurements."""

import re
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

GALLERY = "experiments/gallery/claims"
WIDTH = 120


class Entry(NamedTuple):
    """What the answer says of one claim, and in which part.

    `says` is the whole claim as a clause without digits: a sentence of its own where it was confirmed, called refuted
    or undecided where not. `shows` are the numbers behind the verdict, in words that hold whichever way they fall:
    `{key}` is a measurement, `{key|~}` the same with its interval, `{key|%}` and `{key|points}` are hundredths.
    """

    part: str
    says: str
    shows: str


PARTS = {
    "faster": "**When cross-entropy is faster, and by how much.**",
    "why": "**Why.** The gradient of SSR on probabilities carries the slope of the softmax, which vanishes where a "
    "model is confidently wrong.",
    "not": "**When it is not.**",
}
FRAMES = {"confirmed": "{}: {}.", "refuted": "*Refuted:* {}: {}.", "undecided": "*Undecided:* {}: {}."}

# In the order of reading: "it" is SSR on probabilities, which the first of a part names.
ENTRIES = {
    "gentle-vs-saturated": Entry(
        "faster",
        "from a confidently wrong start SSR on probabilities (softmax kept) stalls even when tuned, from a gentle one "
        "it ties",
        "{mlp/saturated/cross_entropy-ssr/test_accuracy|~ points} of accuracy behind, gentle "
        "{mlp/gentle/cross_entropy-ssr/test_accuracy|points}",
    ),
    "dose-response": Entry(
        "faster",
        "the nearer a loss is to it the longer training takes, most from wrong starts",
        "at the end {digits/saturated/power_loss/rmst_growth} times as long, gentle "
        "{digits/gentle/power_loss/rmst_growth}",
    ),
    "stuck-deep-sigmoid": Entry(
        "faster",
        "it leaves sigmoid networks stuck more often, but a late switch to it is harmless",
        "{cross_entropy-ssr/reached|~ points}, harm {switch/harm|points}",
    ),
    "tail-law": Entry(
        "faster",
        "once classes are parted cross-entropy falls like one over the steps, under it over their root, and SSR on "
        "logits (no softmax) geometrically",
        "powers {cross_entropy/slope} and {ssr/slope}",
    ),
    "escape-time": Entry(
        "why",
        "leaving a wrong start takes it time exponential in the wrong class's lead, cross-entropy linear time",
        "{z0=10/ssr/steps} and {z0=10/cross_entropy/steps} steps at a lead of 10",
    ),
    "landscape": Entry(
        "why",
        "its surface has more flat ground",
        "in {surface/cross_entropy<ssr/draws|~ %} of random networks",
    ),
    "rate-unit": Entry(
        "why",
        "at ordinary starts it mostly wants a larger learning rate, by half the number of classes",
        "growing like their power {linear/short/slope|~}, networks {network/short/slope|~}",
    ),
    "default-gap": Entry(
        "not",
        "at ordinary starts tuned accuracies differ by chance; cross-entropy keeps speed and a wider band of good "
        "rates",
        "chance in {cross_entropy-ssr/inside_noise|%} of tasks, on logits {cross_entropy-ssr_on_logits/inside_noise|%}",
    ),
    "many-classes": Entry(
        "not",
        "SSR on logits falls behind with many classes, and weighting the true one repairs it",
        "{K=256/ssr_on_logits(scale=1, target=1)/test_accuracy|%} right against "
        "{K=256/cross_entropy/test_accuracy|%}, then {K=256/ssr_on_logits(scale=1, target=15)/test_accuracy|%} or "
        "{K=256/ssr_on_logits(scale=15, target=30)/test_accuracy|%}",
    ),
    "calibration": Entry(
        "not",
        "SSR on probabilities knows better how sure to be, but not once both are rescaled",
        "error {mnist5k/noise=0/ssr-cross_entropy/ece/before|points}, then "
        "{mnist5k/noise=0/ssr-cross_entropy/ece/after|points}",
    ),
    "textbook-network": Entry(
        "not",
        "the textbook's iris numbers hold, but its one start misleads",
        "{published_start/cross_entropy-ssr_on_logits/epochs=100/test_accuracy|points} over SSR on logits, others "
        "{other_starts/cross_entropy-ssr_on_logits/epochs=100/test_accuracy/median|points}",
    ),
    "nielsen-erratum": Entry(
        "not",
        "Nielsen's cross-entropy animation contradicts his equation",
        "ends at {start=2,2/published_code/end}, by the equation {start=2,2/equation_61/end}",
    ),
}


def answer(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """The README section as Markdown.

    Args:
      verdicts: {id: the content of its `verdict.json`} of every claim.

    Returns:
      The heading and what belongs to it, in lines of at most 120 characters, without a line end after the last.

    Raises:
      KeyError: a claim, or a measurement that its sentence needs, is missing.
    """
    bullets = [
        " ".join([lead, *(_sentence(name, verdicts[name]) for name, entry in ENTRIES.items() if entry.part == part)])
        for part, lead in PARTS.items()
    ]
    counted = Counter(verdicts[name]["verdict"] for name in ENTRIES)
    outcome = ", ".join(f"{counted[verdict]} {verdict}" for verdict in FRAMES)
    minutes = sum(verdicts[name]["minutes"] for name in ENTRIES)
    bullets.append(f"[{outcome} in {minutes:.0f} minutes]({GALLERY}) by `python -m experiments claims`.")
    return "\n".join(["## The answer", "", *(line for bullet in bullets for line in _wrapped(bullet))])


def _sentence(name: str, verdict: Mapping[str, Any]) -> str:
    entry = ENTRIES[name]
    clause = entry.says[0].upper() + entry.says[1:] if verdict["verdict"] == "confirmed" else entry.says
    numbers = _filled(entry.shows, verdict["measurements"])
    return FRAMES[verdict["verdict"]].format(clause, f"[{numbers}]({GALLERY}/{name})")


def _filled(template: str, measurements: Mapping[str, Any]) -> str:
    """The template with its measurements in place of their keys.

    >>> _filled("{a|~ points} of {b}", {"a": {"value": 0.5, "ci": [0.25, 0.75]}, "b": {"value": 73534, "ci": None}})
    '50 points (25 to 75) of 73,534'
    """

    def number(hit: re.Match[str]) -> str:
        key, with_interval, unit = hit.groups(default="")
        one, scale = measurements[key], 100 if unit else 1
        interval = one["ci"] if with_interval else None
        ends = f" ({' to '.join(_shown(end, scale) for end in interval)})" if interval else ""
        return f"{_shown(one['value'], scale)} {unit}".rstrip() + ends

    return re.sub(r"\{([^{}|]+)(?:\|(~?) ?([^{}]*))?\}", number, template)


def _shown(value: float | None, scale: int) -> str:
    """Two digits, of hundredths at most one decimal; a question mark for what JSON cannot hold."""
    if value is None:
        return "?"
    scaled = round(scale * value, 1 if scale > 1 else 9) + 0.0  # which makes a zero of -0.0
    return f"{scaled:,.0f}" if abs(scaled) >= 99.5 else f"{scaled:.2g}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="* ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
