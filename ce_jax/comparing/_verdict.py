"""Which loss a summary speaks for, in a few short lines: what to use, by how much, why, and what disagrees.

As in `_words`, numbers are printed as they stand, and no line claims more than the intervals do: a loss is beaten only
where an interval excludes 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ce_jax.comparing._chosen import listed, tuned_words
from ce_jax.comparing._formats import capital, display_name, interval, known, ratio, share, text
from ce_jax.comparing._words import (
    MOST_NAMED,
    MainPair,
    at_least,
    bounded,
    caveats,
    first_loss,
    goal_text,
    level,
    pair_at,
    shown_target,
    some_of,
    told_apart,
)

Summary = Mapping[str, Any]


class Line(NamedTuple):
    """One line of a verdict: what it is about, and its words."""

    about: str
    words: str


def pairs_at(summary: Summary, target: float) -> list[MainPair]:
    """Every two losses that the summary compares at a target, in its order."""
    at = [record for record in summary["comparisons"] if float(record["target"]) == target]
    return [pair_at(summary, record["a"], record["b"], target) for record in at]


def winner(pair: MainPair) -> str | None:
    """The loss that needed fewer steps beyond doubt, or None.

    Where one side never arrived the ratio is a bound, and it too has to differ from 1 with its whole interval: one run
    of many that arrives in the last step decides nothing.
    """
    if pair.status not in ("faster", "slower", "bound"):
        return None
    low, high = pair.comparison["ci"]
    return pair.a if high < 1 else pair.b if low > 1 else None


def unbeaten(summary: Summary, target: float) -> tuple[list[str], bool]:
    """The losses that no other one beats at a target, and whether any is beaten."""
    pairs = pairs_at(summary, target)
    beaten = {pair.b if winner(pair) == pair.a else pair.a for pair in pairs if winner(pair)}
    return [loss for loss in summary["losses"] if loss not in beaten], bool(beaten)


def verdict(summary: Summary) -> list[Line]:
    """What one workload says, at its headline's target; empty where there is one loss alone.

    Lines are about "Use", "By how much", "How sure" and, where there is something to say, "Why", "Agrees", "Disagrees".
    """
    if len(summary["losses"]) < 2:
        return []
    target = shown_target(summary)
    goal = f"to {goal_text(summary, target)}, each loss at its own tuned {tuned_words(summary)}"
    lines = [
        Line("Use", f"{capital(_choice(summary, target))} ({goal})."),
        Line("By how much", _sizes(summary, target)),
    ]
    lines.append(Line("How sure", _sure(summary, target)))
    lines += [Line("Why", words) for words in _why(summary)]
    return lines + [Line("Disagrees" if against else "Agrees", words) for words, against in _other_views(summary)]


def joined_verdict(summaries: Sequence[Summary]) -> list[Line]:
    """What several workloads say: those of one voice together, never pooled; then what disagrees within each."""
    _, names = told_apart(summaries)
    voices: dict[str, list[str]] = {}
    for name, summary in zip(names, summaries, strict=True):
        if len(summary["losses"]) > 1:
            voices.setdefault(_choice(summary, shown_target(summary)), []).append(name)
    lines = [Line("Use", f"{_on(who, len(summaries))}: {choice}.") for choice, who in voices.items()]
    if len(voices) > 1:
        lines.append(Line("Disagrees", "The workloads do not say the same, so the setting decides."))
    doubts = [
        f"{name}: {words}"
        for name, summary in zip(names, summaries, strict=True)
        if len(summary["losses"]) > 1
        for words, against in _other_views(summary)
        if against
    ]
    lines += [Line("Disagrees", words) for words in doubts[:MOST_NAMED]]
    if len(doubts) > MOST_NAMED:
        lines.append(Line("Disagrees", f"{len(doubts) - MOST_NAMED} more, on the pages of the workloads."))
    return lines


def _choice(summary: Summary, target: float) -> str:
    """The losses to use at a target, as a phrase."""
    best, decided = unbeaten(summary, target)
    told = listed([display_name(loss) for loss in best], "or")
    if decided and len(best) == 1:
        return told
    if decided and best:
        return f"{told} (no difference between them could be shown)"
    if all(pair.status == "unreached" for pair in pairs_at(summary, target)):
        return f"open: no loss reached {goal_text(summary, target)}"
    return f"either, {told}: no difference in speed could be shown" if len(best) == 2 else f"open between {told}"


def _sizes(summary: Summary, target: float) -> str:
    """By how much each beaten loss is beaten by those to use; where none is, how the open pairs compare."""
    best, _ = unbeaten(summary, target)
    pairs = pairs_at(summary, target)
    told = [pair for pair in pairs if winner(pair) in best] or pairs
    return f"{capital(some_of([_told(pair, summary) for pair in told], '; '))}."


def _told(pair: MainPair, summary: Summary) -> str:
    """How two losses compare at a target."""
    a, b, comparison = display_name(pair.a), display_name(pair.b), pair.comparison
    if pair.status == "unreached":
        return f"neither {a} nor {b} got there"
    if pair.status == "untimed":
        return f"no ratio of the speeds of {a} and {b} could be told"
    if pair.status == "bound":
        there, absent = (a, b) if comparison["censored"] == "b" else (b, a)
        return f"{absent} never got there, so it needs {at_least(comparison)} the steps of {there}"
    sure = f"{level(summary)} interval {interval(comparison['ci'], ratio)}"
    return f"{a} needed {bounded(comparison)} times the steps of {b} ({sure})"


def _sure(summary: Summary, target: float) -> str:
    """Seeds, the share of runs that got there, and whether caveats weaken it."""
    work = summary["workload"]
    there = [
        f"{display_name(loss)} {share(record['by_target'][f'{target:g}']['reached'])}"
        for loss, record in summary["losses"].items()
    ]
    weak = " What weakens this is listed below." if caveats(summary) else ""
    return f"{work['seeds']} fresh seeds; runs that got there: {', '.join(there)}.{weak}"


def _why(summary: Summary) -> list[str]:
    """The gradients before the first step, which no learning rate has touched, from which start and on what classes."""
    losses, first, work = summary["losses"], first_loss(summary), summary["workload"]
    norm = losses[first].get("first_gradient_norm")
    told = [
        f"that of {display_name(loss)} is {ratio(other / norm)} times as large"
        for loss, record in losses.items()
        if loss != first and known(other := record.get("first_gradient_norm")) and known(norm) and norm > 0
    ]
    if not told:
        return []
    start = f" from the start {text(work['start'])}" if "start" in work else ""
    classes = f", on {len(work['classes'])} classes" if "classes" in work else ""
    return [
        f"Against the gradient of {display_name(first)} before the first step{start}{classes}, {listed(told)}. A tuned "
        "rate makes up for a factor that stays, not for one that changes while training."
    ]


def _other_views(summary: Summary) -> list[tuple[str, bool]]:
    """What other targets, the test accuracy and untuned rates say, and whether each speaks against the headline."""
    headline = shown_target(summary)
    best, decided = unbeaten(summary, headline)
    views, alike = [], []
    for target in sorted({float(target) for target in summary["targets"]} - {headline}, reverse=True):
        if unbeaten(summary, target) == (best, decided):
            alike.append(goal_text(summary, target))
            continue
        told = some_of([_told(pair, summary) for pair in pairs_at(summary, target)], "; ")
        views.append((f"To {goal_text(summary, target)}: {told}.", True))
    if alike:
        views.insert(0, (f"To {listed(alike)} the same choice follows.", False))
    return views + [(words, True) for words in (*_accuracy(summary, best), *_untuned(summary, headline))]


def _accuracy(summary: Summary, best: Sequence[str]) -> list[str]:
    """Losses that end more accurate, beyond their intervals, than every one to be used."""
    ends = {loss: record["final"].get("test_accuracy", {}) for loss, record in summary["losses"].items()}
    ends = {loss: end for loss, end in ends.items() if end and end["ci"] and known(end["ci"])}
    chosen = [loss for loss in best if loss in ends]
    if not chosen:
        return []
    top = max(ends[loss]["ci"][1] for loss in chosen)
    others = listed([f"{display_name(loss)} ({share(ends[loss]['mean'])})" for loss in chosen])
    told = [
        f"{display_name(loss)} ends with a higher test accuracy ({share(end['mean'])}, {interval(end['ci'], share)}) "
        f"than {others}."
        for loss, end in ends.items()
        if loss not in best and end["ci"][0] > top
    ]
    return [capital(words) for words in told]


def _untuned(summary: Summary, target: float) -> list[str]:
    """Equal rates and equal first steps that turn a finding round."""
    tuned = {(pair.a, pair.b): winner(pair) for pair in pairs_at(summary, target)}
    kinds = {"equal_rate": "At one rate for both", "equal_first_step": "With first steps of one size"}
    told = []
    for record in summary.get("untuned_comparisons", []):
        usual, bounds = tuned.get((record["a"], record["b"])), record["ci"]
        if float(record["target"]) != target or usual is None or not (bounds and known(bounds)):
            continue
        turned = record["a"] if bounds[1] < 1 else record["b"] if bounds[0] > 1 else None
        if turned and turned != usual:
            how = f"{bounded(record)} times the steps of {display_name(record['b'])}, {interval(bounds, ratio)}"
            rates = f"{record['learning_rates'][record['a']]:.3g}"
            told.append(
                f"{kinds[record['kind']]} ({rates} for {display_name(record['a'])}) it is the other way round: "
                f"{display_name(record['a'])} needed {how}."
            )
    return told


def _on(names: Sequence[str], count: int) -> str:
    return f"In {len(names)} of {count} workloads ({some_of(names, '; ')})"
