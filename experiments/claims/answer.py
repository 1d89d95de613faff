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

    `says` is the claim in plain words without digits; the verdict stands beside it. `shows` are the numbers behind the
    verdict, in words that hold whichever way they fall: `{key}` is a measurement, `{key|~}` the same with its interval,
    `{key|%}` and `{key|points}` are hundredths.
    """

    part: str
    says: str
    shows: str


PARTS = {"faster": "when it is faster, by how much", "why": "why", "not": "when it is not"}

ENTRIES = {
    "gentle-vs-saturated": Entry(
        "faster",
        "From a confidently wrong start SSR on probabilities stalls even when tuned; from a gentle start it ties",
        "{mlp/saturated/cross_entropy-ssr/test_accuracy|~ points} behind in accuracy, from the gentle start "
        "{mlp/gentle/cross_entropy-ssr/test_accuracy|points}; of that Adam makes up "
        "{mlp/saturated/ssr+adam/share_of_gap_closed|%}, squentropy "
        "{mlp/saturated/squentropy/share_of_gap_closed|%}",
    ),
    "dose-response": Entry(
        "faster",
        "The nearer a loss is to SSR on probabilities, the longer until the goal, most of all from a wrong start",
        "{digits/saturated/power_loss/rmst_growth} times as long at the far end, from a gentle start "
        "{digits/gentle/power_loss/rmst_growth} times",
    ),
    "stuck-deep-sigmoid": Entry(
        "faster",
        "Deep sigmoid networks get stuck more often under SSR on probabilities; switching to it late does no harm",
        "{cross_entropy-ssr/reached|~ points} fewer arrive; the switch costs {switch/harm|~ points} of error",
    ),
    "tail-law": Entry(
        "faster",
        "In the long run cross-entropy falls like one over the steps, and like one over their root if SSR on "
        "probabilities is trained",
        "powers {cross_entropy/slope} and {ssr/slope} of the steps",
    ),
    "escape-time": Entry(
        "why",
        "The way out of a wrong start is linear in the wrong class's lead for cross-entropy, exponential for squared "
        "error",
        "{z0=10/cross_entropy/steps} and {z0=10/ssr/steps} steps from a lead of 10",
    ),
    "landscape": Entry(
        "why",
        "The surface of SSR on probabilities is flatter",
        "in {surface/cross_entropy<ssr/draws|~ %} of random networks; in {surface/cross_entropy<ssr*K/2/draws|~ %} "
        "once both gradients are given the same unit",
    ),
    "rate-unit": Entry(
        "why",
        "Most of that is a unit: the best rate of SSR on probabilities grows like half the number of classes",
        "like their power {linear/short/slope|~} (linear), {network/short/slope|~} (network); rates of equal progress "
        "like {linear/short/half_way_slope|~}, {network/short/half_way_slope|~}",
    ),
    "default-gap": Entry(
        "not",
        "From ordinary starts tuned accuracies agree within noise; cross-entropy is faster and has more good rates",
        "agreement on {sgd/cross_entropy-ssr/inside_noise|%} of the tasks for SSR on probabilities, "
        "{sgd/cross_entropy-ssr_on_logits/inside_noise|%} for SSR on logits (Adam: "
        "{adam/cross_entropy-ssr/inside_noise|%}, {adam/cross_entropy-ssr_on_logits/inside_noise|%})",
    ),
    "many-classes": Entry(
        "not",
        "SSR on logits falls behind as classes grow in number, and more weight on the true class repairs it",
        "with 256 classes {K=256/ssr_on_logits(scale=1, target=1)/test_accuracy|%} right, repaired "
        "{K=256/ssr_on_logits(scale=15, target=30)/test_accuracy|%}, cross-entropy "
        "{K=256/cross_entropy/test_accuracy|%}",
    ),
    "calibration": Entry(
        "not",
        "SSR on probabilities knows better how sure it may be, until one temperature is fitted to both",
        "{mnist5k/noise=0/ssr-cross_entropy/ece/before|~ points} of calibration error, then "
        "{mnist5k/noise=0/ssr-cross_entropy/ece/after|~ points}",
    ),
    "textbook-network": Entry(
        "not",
        "The textbook's numbers for iris are right, and its single start misleads",
        "{published_start/cross_entropy-ssr_on_logits/epochs=100/test_accuracy|points} ahead of SSR on logits there, "
        "{other_starts/cross_entropy-ssr_on_logits/epochs=100/test_accuracy/median|points} from 50 other starts",
    ),
    "nielsen-erratum": Entry(
        "not",
        "The book's animation of cross-entropy does not follow from its own equation",
        "it ends at {start=2,2/published_code/end}, by the equation at {start=2,2/equation_61/end}",
    ),
}

WHY = (
    "Under softmax the gradient of SSR on probabilities carries the slope of the softmax, which vanishes where a model "
    "is confidently wrong; that of cross-entropy does not. "
)
# Said only where the claim that it sums up, gentle-vs-saturated, was confirmed.
IN_SHORT = "So cross-entropy is faster out of a bad start, and from a gentle one, with tuned rates, hardly better. "
OUTCOME = (
    "Below is what was published, and what came out when it was run again under rules fixed beforehand: "
    "[{outcome} in {minutes:.0f} minutes, with 95 % intervals]({gallery}) by `python -m experiments claims`."
)


def answer(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """The README section as Markdown.

    Args:
      verdicts: {id: the content of its `verdict.json`} of every claim.

    Returns:
      The heading, a paragraph and a table with a row for each claim, without a line end after the last.

    Raises:
      KeyError: a claim, or a measurement that its sentence needs, is missing.
    """
    counted = Counter(verdicts[name]["verdict"] for name in ENTRIES)
    in_short = IN_SHORT if verdicts["gentle-vs-saturated"]["verdict"] == "confirmed" else ""
    introduction = (
        WHY
        + in_short
        + OUTCOME.format(
            outcome=", ".join(f"{counted[verdict]} {verdict}" for verdict in ("confirmed", "refuted", "undecided")),
            minutes=sum(verdicts[name]["minutes"] for name in ENTRIES),
            gallery=GALLERY,
        )
    )
    lines = [
        "## The answer",
        "",
        *textwrap.wrap(introduction, WIDTH, break_long_words=False, break_on_hyphens=False),
        "",
    ]
    lines += ["| cross-entropy | what was claimed | verdict | what was measured |", "|---|---|---|---|"]
    for part, heading in PARTS.items():
        for name, entry in ENTRIES.items():
            if entry.part == part:
                lines.append(_row(heading, name, verdicts[name]))
                heading = ""
    return "\n".join(lines)


def _row(heading: str, name: str, verdict: Mapping[str, Any]) -> str:
    numbers = _filled(ENTRIES[name].shows, verdict["measurements"])
    shown = [
        heading and f"**{heading}**",
        ENTRIES[name].says,
        f"*{verdict['verdict']}*",
        f"[{numbers}]({GALLERY}/{name})",
    ]
    return f"| {' | '.join(shown)} |"


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
