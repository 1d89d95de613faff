"""What a summary says, in words: pure functions of the records of summary.json.

Nothing is measured here: numbers are printed as they stand, and the words are chosen by the numbers, so that no
sentence claims more than its interval does. A ratio is always steps of `a` over steps of `b`: below 1, `a` is faster.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ce_jax.comparing._formats import count, display_name, interval, known, percent, ratio, share, text

FEW_SEEDS = 10  # below this a bootstrap interval is itself rough, and the caveats say so
Summary = Mapping[str, Any]
Status = Literal["faster", "slower", "open", "unreached", "untimed"]


class MainPair(NamedTuple):
    """What one workload says about its main pair of losses.

    `status` is "unreached" when neither loss reaches any target in half of its runs, "untimed" when no ratio of steps
    exists, "open" when its interval contains 1, else "faster" or "slower" (of `a` against `b`).
    """

    a: str
    b: str
    target: float
    status: Status
    comparison: Mapping[str, Any]


def main_pair(summary: Summary) -> MainPair | None:
    """Compare cross-entropy with SSR on probabilities, or else the first two losses; None when there is only one."""
    names = list(summary["losses"])
    if len(names) < 2:
        return None
    a = first_loss(summary)
    b = "ssr" if "ssr" in names and a != "ssr" else next(name for name in names if name != a)
    target = headline_target(summary, (a, b))
    comparison = _compared(summary, a, target).get(b, {"rmst_ratio": None, "ci": None})
    status: Status
    if max(_reached(summary, name, target) for name in (a, b)) < 0.5:
        status = "unreached"
    elif not known(comparison["rmst_ratio"]) or not known(comparison["ci"]):
        status = "untimed"
    else:
        low, high = comparison["ci"]
        status = "faster" if high < 1 else "slower" if low > 1 else "open"
    return MainPair(a, b, target, status, comparison)


def first_loss(summary: Summary) -> str:
    """The loss that the others are compared with: cross-entropy where it takes part."""
    names = list(summary["losses"])
    return "cross_entropy" if "cross_entropy" in names else names[0]


def headline_target(summary: Summary, losses: Sequence[str]) -> float:
    """The highest target that at least half of the runs of at least one of `losses` reach, or else the lowest."""
    targets = sorted(float(target) for target in summary["targets"])
    met = [target for target in targets if max(_reached(summary, loss, target) for loss in losses) >= 0.5]
    return max(met, default=targets[0])


def shown_target(summary: Summary) -> float:
    """The target of the headline, for tables that have room for one."""
    pair = main_pair(summary)
    return pair.target if pair else headline_target(summary, [first_loss(summary)])


def headline(summary: Summary) -> str:
    """The finding and how sure it is, in one sentence, then whatever weakens it, one sentence each."""
    return " ".join([finding(summary), *caveats(summary)])


def finding(summary: Summary) -> str:
    """What was found and how sure it is, in one sentence."""
    work, pair = summary["workload"], main_pair(summary)
    where = f"On {text(work['dataset'])} ({text(work['model'])}, {text(work['optimizer'])})"
    horizon, tuned = (
        f"{work['steps']:,} steps",
        f"{work['seeds']} fresh seeds, each loss at its own tuned learning rate",
    )
    if pair is None:
        return f"{where}, {_alone(summary, horizon)}"
    a, b, goal = display_name(pair.a), display_name(pair.b), goal_text(summary, pair.target)
    reached_a, reached_b = (_reached(summary, name, pair.target) for name in (pair.a, pair.b))
    if pair.status == "unreached":
        return (
            f"{where}, which loss is faster stays open: within {horizon} neither {a} nor {b} reached {goal} in half of "
            f"its runs ({share(reached_a)} and {share(reached_b)} of them did; {tuned})."
        )
    if pair.status == "untimed":
        return (
            f"{where}, no ratio of speeds could be told: {a} reached {goal} within {horizon} in {share(reached_a)} of "
            f"its runs, {b} in {share(reached_b)} ({tuned})."
        )
    times = f"{ratio(pair.comparison['rmst_ratio'])} times the steps"
    sure = f"({level(summary)} interval {interval(pair.comparison['ci'], ratio)}; {tuned})"
    if pair.status == "open":
        return f"{where}, no difference in speed could be shown: {a} took {times} {b} took to {goal} {sure}."
    if reached_a == 1 and reached_b == 0:
        return (
            f"{where}, {a} reached {goal} in every run and {b} in none within {horizon}, so {a} needed at most {times} "
            f"{b} needs {sure}."
        )
    if reached_b == 1 and reached_a == 0:
        return (
            f"{where}, {b} reached {goal} in every run and {a} in none within {horizon}, so {a} needs at least {times} "
            f"{b} needed {sure}."
        )
    if pair.status == "slower":
        return f"{where}, {a} was slower: it needed {times} {b} needed to reach {goal} {sure}."
    return f"{where}, {a} reached {goal} in {times} {b} needed {sure}."


def caveats(summary: Summary) -> list[str]:
    """What weakens the finding: runs that missed the target, diverged or were retired, rates on an edge, few seeds."""
    pair, work, losses = main_pair(summary), summary["workload"], summary["losses"]
    names = (pair.a, pair.b) if pair else tuple(losses)
    lines = []
    if pair and pair.status in ("faster", "slower", "open"):
        shares = [_reached(summary, name, pair.target) for name in names]
        if min(shares) < 1:
            a, b = display_name(pair.a), display_name(pair.b)
            got = f"{_capital(a)} got there in {share(shares[0])} of its runs, {b} in {share(shares[1])}; a"
            # A finding of all against none has said so already.
            lines.append(
                f"{'A' if set(shares) == {0, 1} else got} run that never got there counts as the full "
                f"{work['steps']:,} steps."
            )
    for name in names:
        if losses[name]["diverged"]:
            lines.append(
                f"{losses[name]['diverged']} of the {losses[name]['runs']} runs of {display_name(name)} diverged; a "
                "diverged run counts as never having got there."
            )
        if losses[name].get("retired"):
            lines.append(
                f"{losses[name]['retired']} of the {losses[name]['runs']} runs of {display_name(name)} were retired, "
                "long after they had met every target: their final values are those of that moment, and whether they "
                "would have diverged later is not known."
            )
    edges = [display_name(name) for name in names if losses[name].get("on_edge")]
    if edges:
        lines.append(
            f"The best learning rate of {' and of '.join(edges)} still lies on the edge of its grid, so a better one "
            "may lie beyond it: take this as provisional."
        )
    if work["seeds"] < FEW_SEEDS:
        lines.append(f"With only {work['seeds']} fresh seed{'s' if work['seeds'] > 1 else ''}, intervals are rough.")
    return lines


def joined_headline(summaries: Sequence[Summary]) -> str:
    """How often the first loss won over several workloads, in one sentence; nothing is pooled across them."""
    compared = [pair for pair in map(main_pair, summaries) if pair]
    pairs = {(pair.a, pair.b) for pair in compared}
    if len(pairs) != 1:
        return f"{len(summaries)} workloads, each with its own finding below; they do not share one pair of losses."
    a, b = map(display_name, pairs.pop())
    faster = [pair.comparison["rmst_ratio"] for pair in compared if pair.status == "faster"]
    low, high = min(faster, default=None), max(faster, default=None)
    spread = f"{ratio(low)}{'' if low == high else f' to {ratio(high)}'} times as many"
    outcomes = [
        (("faster",), f"{a} needed fewer steps than {b}, {spread}", ""),
        (("slower",), f"{a} needed more steps than {b}", "it needed more"),
        (("open",), f"no difference in steps between {a} and {b} could be shown", "no difference could be shown"),
        (("untimed", "unreached"), f"the steps of {a} and {b} could not be compared", "they could not be compared"),
    ]
    parts: list[str] = []
    for statuses, full, short in outcomes:
        number = sum(pair.status in statuses for pair in compared)
        if number:
            parts.append(f"in {number} {short}" if parts else f"in {number} of {len(compared)} workloads {full}")
    how = f"({level(summaries[0])} intervals; each loss at its own tuned learning rate; workloads are never pooled)"
    return f"{_capital(', '.join(parts))} {how}."


def speed_rows(summary: Summary) -> list[dict[str, Any]]:
    """One record per target and loss: how often and how fast it got there, and its comparison with the first loss."""
    rows, first = [], first_loss(summary)
    for target in sorted(map(float, summary["targets"]), reverse=True):
        compared = _compared(summary, first, target)
        for loss in sorted(summary["losses"], key=lambda name: name != first):
            rows.append({"target": target, "loss": loss, "against": compared.get(loss), **_at(summary, loss, target)})
    return rows


def label(summary: Summary, others: Sequence[Summary] = ()) -> str:
    """A workload in a few words: what it always is, and whatever else tells it from the `others`."""
    work = summary["workload"]
    differing = [
        f"{key.replace('_', ' ')} {text(work[key])}"
        for key in ("start", "batch_size", "steps")
        if any(other["workload"][key] != work[key] for other in others)
    ]
    return " · ".join([*(text(work[key]) for key in ("dataset", "model", "optimizer")), *differing])


def goal_text(summary: Summary, target: float) -> str:
    """The target in words, such as "95 % validation accuracy"."""
    return f"{percent(target)} {summary['workload']['target_metric'].replace('_', ' ')}"


def level(summary: Summary) -> str:
    """The confidence level of a summary's intervals, such as "95 %"."""
    return percent(summary["workload"]["confidence"])


def _alone(summary: Summary, horizon: str) -> str:
    loss, target = first_loss(summary), shown_target(summary)
    at = _at(summary, loss, target)
    sure = f"({level(summary)} interval {interval(at['rmst_ci'], count)}; {summary['workload']['seeds']} fresh seeds)"
    return (
        f"{display_name(loss)} reached {goal_text(summary, target)} within {horizon} in {share(at['reached'])} of its "
        f"runs, after {count(at['rmst_steps'])} steps on average {sure}; there is no other loss to compare it with."
    )


def _at(summary: Summary, loss: str, target: float) -> Mapping[str, Any]:
    return summary["losses"][loss]["by_target"][f"{target:g}"]


def _reached(summary: Summary, loss: str, target: float) -> float:
    return _at(summary, loss, target)["reached"]


def _compared(summary: Summary, a: str, target: float) -> dict[str, Mapping[str, Any]]:
    return {c["b"]: c for c in summary["comparisons"] if c["a"] == a and float(c["target"]) == target}


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
