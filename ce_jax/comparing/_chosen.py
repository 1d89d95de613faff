"""What was tuned and which point each loss chose, in words: pure functions of the records of summary.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from ce_jax.comparing._formats import display_name

Summary = Mapping[str, Any]


def tuned_options(summary: Summary) -> list[str]:
    """Names of the optimizer options that were tuned with the learning rate."""
    return list(summary["workload"].get("options") or ())


def listed(words: Sequence[str], word: str = "and") -> str:
    """Words as a list in a sentence.

    >>> listed(["rate", "momentum", "weight decay"])
    'rate, momentum and weight decay'
    """
    return f" {word} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def tuned_words(summary: Summary) -> str:
    """What each loss has its own of.

    >>> tuned_words({"workload": {"options": {"weight_decay": [0.0, 0.1]}}})
    'learning rate and weight decay'
    """
    return listed(["learning rate", *(name.replace("_", " ") for name in tuned_options(summary))])


def point_parts(rate: float, options: Mapping[str, float] | None = None) -> list[str]:
    """A point part by part.

    >>> point_parts(0.3, {"weight_decay": 1e-4})
    ['rate 0.3', 'weight decay 0.0001']
    """
    named = {"rate": rate, **(options or {})}
    return [f"{name.replace('_', ' ')} {value:.3g}" for name, value in named.items()]


def chosen_parts(record: Mapping[str, Any]) -> list[str]:
    """The point that a loss chose, part by part, from its record in the summary."""
    return point_parts(record["best_learning_rate"], record.get("best_options"))


def search_sentences(summary: Summary) -> list[str]:
    """What was tried and chosen, in two sentences; nothing where it was a grid of learning rates alone."""
    drawn, options = summary["workload"].get("search") == "random", tuned_options(summary)
    if not (drawn or options):
        return []
    records = summary["losses"]
    count = next(iter(records.values()))["points"]
    kind = "points, drawn at random" if drawn else "points of a grid"
    chose = "; ".join(f"{display_name(loss)} chose {', '.join(chosen_parts(one))}" for loss, one in records.items())
    tried = f"The same {count} {kind}, were" if drawn else f"The same {count} {kind} were"
    sentence = f"{tried} tried for each loss ({tuned_words(summary)})."
    return [sentence, f"{chose[:1].upper()}{chose[1:]}."]


def setting_text(work: Mapping[str, Any]) -> list[str]:
    """What the words about a workload add to its name where the learning rate is not constant."""
    schedule = work.get("schedule", "constant")
    return [] if schedule == "constant" else [f"{schedule.replace('_', ' ')} schedule"]
