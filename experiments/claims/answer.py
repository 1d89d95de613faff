"""The README's answer: what several claims have measured of speed, accuracy, calibration and classes, in a table.

A row is a sentence. Most compare SSR on probabilities with cross-entropy in several places and say, from the intervals
alone, where it is behind, where it is ahead and where no difference is shown; no verdict turns a word.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from .wording import (
    MISSING,
    Results,
    Sentence,
    Template,
    accuracy_over_workloads,
    counted,
    places,
    quoted,
    speed_over_workloads,
)

GALLERY = "experiments/gallery/claims"
WIDTH = 120
WHY = (
    "Under softmax the gradient of SSR on probabilities carries the slope of the softmax, which vanishes where a model "
    "is confidently wrong; that of cross-entropy does not. Below: SSR on probabilities against cross-entropy, each "
    "loss at its own tuned rate, in times as many steps to the goal and in points of a hundred."
)


GROWTH, LEAD = "power_loss/rmst_growth", "cross_entropy-ssr/test_accuracy"


def _starts(start: str) -> tuple[Template, Template]:
    """Speed and accuracy from one of the two starts."""
    of_data = {f"on {data}": f"{data}/{start}/{GROWTH}" for data in ("digits", "wine")}
    models = {"softmax-regression": "with softmax regression", "mlp": "with a network"}
    of_model = {words: f"{model}/{start}/{LEAD}" for model, words in models.items()}
    return (
        places("steps", "times", "dose-response", of_data),
        places("test accuracy on digits", "points", "gentle-vs-saturated", of_model),
    )


TABLE: dict[str, tuple[Template, ...]] = {
    "from a confidently wrong start": (
        *_starts("saturated"),
        quoted(
            "one unit that leads wrongly by 10",
            "escape-time",
            "out after {z0=10/cross_entropy/steps} steps of cross-entropy and {z0=10/ssr/steps} of squared error",
        ),
    ),
    "from a gentle start": _starts("gentle"),
    "from an ordinary start": (
        speed_over_workloads("SGD"),
        speed_over_workloads("Adam"),
        accuracy_over_workloads,
        places(
            "calibration error before a temperature is fitted",
            "points",
            "calibration",
            {
                "on digits": "digits/noise=0/ssr-cross_entropy/ece/before",
                "on MNIST-5k": "mnist5k/noise=0/ssr-cross_entropy/ece/before",
            },
        ),
    ),
    "with many classes": (
        places(
            "steps of a network on mixtures",
            "times",
            "rate-unit",
            {f"with {k}": f"network/short/K={k}/slowness/own_best" for k in (2, 8, 64)},
        ),
        places("test accuracy", "points", "many-classes", {f"with {k}": f"K={k}/{LEAD}" for k in (3, 30, 256)}),
        quoted(
            "SSR on logits with 256",
            "many-classes",
            "{K=256/ssr_on_logits(scale=1, target=1)/test_accuracy|~ %} right, cross-entropy "
            "{K=256/cross_entropy/test_accuracy|~ %}",
        ),
    ),
    "with imbalanced classes": (lambda results: Sentence(MISSING, ""),),
}


def fixed_rules(results: Iterable[Mapping[str, Any]]) -> str:
    """Whether the rules came first, and how many protocols were amended after results had been seen."""
    results = list(results)
    unlocked = sum("rules" not in one for one in results)
    if unlocked:
        return f"{unlocked} of {len(results)} verdicts are of an earlier run, before rules were locked"
    amended = sum(any(entry["results_seen"] for entry in one.get("amendments", ())) for one in results)
    number = "1 protocol was" if amended == 1 else f"{amended or 'no'} protocols were"
    return f"rules fixed before this run; {number} amended after looks at earlier results, see the cards"


def covered(results: Iterable[Mapping[str, Any]]) -> str:
    """What the intervals include and what not; before rules were locked, rates were held fixed."""
    if any("rules" not in one for one in results):
        return "Intervals hold 95 % and cover starts, batches and splits, but neither the tuning nor another data set"
    return "Intervals hold 95 % and cover starts, batches, splits and tuning, but not another data set"


def answer(results: Results) -> str:
    """The README section as Markdown: an introduction, a table with a row for each sentence, and how sure all of it is.

    Args:
      results: what is stored of every claim; a number that is missing is said to be not measured.

    Returns:
      The heading and all that follows, without a line end after the last.
    """
    rows = ["| where | SSR on probabilities against cross-entropy | by |", "|---|---|---|"]
    in_short = []
    for place, templates in TABLE.items():
        sentences = [template(results) for template in templates]
        in_short.append(f"{place} {counted([one for sentence in sentences for one in sentence.comparisons])}")
        for heading, (text, claim, _) in zip([f"**{place}**", *len(sentences) * [""]], sentences, strict=False):
            rows.append(f"| {heading} | {text} | {f'[{claim}]({GALLERY}/{claim})' if claim else ''} |")
    introduction = f"{WHY} In short, of what is compared here: {'; '.join(in_short)}."
    end = _wrapped(_outcome(results))
    return "\n".join(["## The answer", "", *_wrapped(introduction), "", *rows, "", *end])


def _outcome(results: Results) -> str:
    outcomes: dict[str, list[str]] = {"confirmed": [], "refuted": [], "undecided": []}
    for name, one in results.items():
        outcomes[one["verdict"]].append(name)
    numbers = ", ".join(f"{len(names)} {verdict}" for verdict, names in outcomes.items())
    minutes = sum(one["minutes"] for one in results.values())
    named = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in list(outcomes.items())[1:] if names)
    return (
        f"`python -m experiments claims` runs again what was published: [{numbers} in {minutes:.0f} minutes]({GALLERY})"
        f"{f' ({named})' if named else ''}; {fixed_rules(results.values())}. {covered(results.values())}."
    )


def _wrapped(text: str) -> list[str]:
    """Lines of a paragraph; code is never broken."""
    kept = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(kept, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]
