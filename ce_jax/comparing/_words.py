"""What a summary says, in words: pure functions of the records of summary.json.

Nothing is measured here: numbers are printed as they stand, and the words are chosen by the numbers, so that no
sentence claims more than its interval does. A ratio is always steps of `a` over steps of `b`: below 1, `a` is faster.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ce_jax.comparing._chosen import point_parts, search_sentences, setting_text, tuned_options, tuned_words
from ce_jax.comparing._formats import (
    capital,
    count,
    display_name,
    interval,
    known,
    metric_name,
    percent,
    ratio,
    share,
    text,
)
from ce_jax.comparing._redrawing import RUNNER_UP

MOST_NAMED = 4
"""Workloads that a sentence names; the others it counts."""
FEW_SEEDS = 10  # below this a bootstrap interval is itself rough, and the caveats say so
Summary = Mapping[str, Any]
Status = Literal["faster", "slower", "open", "bound", "unreached", "untimed"]
INTERVALS = (
    "Intervals cover chance in starts, batches, splits and the tuning (seeds are redrawn, and rates and what is "
    "tuned with them chosen anew each time); they do not cover another data set."
)


class MainPair(NamedTuple):
    """What one workload says about its main pair of losses.

    `status` is "unreached" when neither loss reaches the target in any run, "bound" when one of them never does, so
    that the ratio of steps is a bound, "untimed" when no ratio exists, "open" when its interval contains 1, else
    "faster" or "slower" (of `a` against `b`).
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
    return pair_at(summary, a, b, shown_target(summary))


def pair_at(summary: Summary, a: str, b: str, target: float) -> MainPair:
    """What a summary says about two of its losses at a target; "untimed" where it does not compare them."""
    comparison = _compared(summary, a, target).get(b, {"rmst_ratio": None, "ci": None, "censored": None})
    status: Status
    if comparison.get("censored") == "both" or max(_reached(summary, name, target) for name in (a, b)) == 0:
        status = "unreached"
    elif not known(comparison["rmst_ratio"]) or not known(comparison["ci"]):
        status = "untimed"
    elif comparison.get("censored"):
        status = "bound"
    else:
        low, high = comparison["ci"]
        status = "faster" if high < 1 else "slower" if low > 1 else "open"
    return MainPair(a, b, target, status, comparison)


def first_loss(summary: Summary) -> str:
    """The loss that the others are compared with: cross-entropy where it takes part."""
    names = list(summary["losses"])
    return "cross_entropy" if "cross_entropy" in names else names[0]


def shown_target(summary: Summary) -> float:
    """The target of the headline, which the config fixed: the highest one unless it says another."""
    return float(summary.get("headline_target") or max(map(float, summary["targets"])))


def headline(summary: Summary) -> str:
    """The finding and how sure it is, in one sentence, then what was tuned, and whatever weakens it."""
    return " ".join([finding(summary), *search_sentences(summary), *caveats(summary)])


def finding(summary: Summary) -> str:
    """What was found and how sure it is, in one sentence."""
    work, pair = summary["workload"], main_pair(summary)
    where = f"On {_setting(work)}"
    horizon, tuned = (
        f"{work['steps']:,} steps",
        f"{work['seeds']} fresh seeds, each loss at its own tuned {tuned_words(summary)}",
    )
    if pair is None:
        return f"{where}, {_alone(summary, horizon)}"
    a, b, goal = display_name(pair.a), display_name(pair.b), goal_text(summary, pair.target)
    reached_a, reached_b = (_reached(summary, name, pair.target) for name in (pair.a, pair.b))
    if pair.status == "unreached":
        return (
            f"{where}, which loss is faster to {goal} stays open: within {horizon} neither {a} nor {b} got there in "
            f"any run{_highest_reached(summary, (pair.a, pair.b))} ({tuned})."
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
    if pair.status == "bound":
        there, absent = (a, b) if pair.comparison["censored"] == "b" else (b, a)
        arrived = reached_a if pair.comparison["censored"] == "b" else reached_b
        runs = "every run" if arrived == 1 else f"{share(arrived)} of its runs"
        return (
            f"{where}, {there} reached {goal} in {runs} and {absent} in none within {horizon}, so {absent} needs "
            f"{at_least(pair.comparison)} the steps of {there} ({tuned})."
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
            got = f"{capital(a)} got there in {share(shares[0])} of its runs, {b} in {share(shares[1])}; a"
            lines.append(f"{got} run that never got there counts as the full {work['steps']:,} steps.")
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
        choice = losses[name].get("choice")
        if choice and choice["runner_up"] > RUNNER_UP:
            what, other = "learning rate", f"{choice['runner_up_rate']:.3g}"
            if tuned_options(summary):
                what, other = "point", ", ".join(point_parts(choice["runner_up_rate"], choice["runner_up_options"]))
            lines.append(
                f"The best {what} of {display_name(name)} is not sure: with the tuning seeds redrawn, "
                f"{other} wins in {share(choice['runner_up'])} of the cases; intervals include "
                "this."
            )
        if losses[name].get("near_cliff"):
            lines.append(
                f"The best learning rate of {display_name(name)} lies next to one under which runs diverge: a little "
                "more would be too much."
            )
    edges = [display_name(name) for name in names if losses[name].get("on_edge")]
    if edges and work.get("search") == "random":
        lines.append(
            f"The best learning rate of {' and of '.join(edges)} is the lowest or the highest of those drawn, so a "
            "better one may lie beyond it: take this as provisional."
        )
    elif edges:
        lines.append(
            f"The best learning rate of {' and of '.join(edges)} still lies on the edge of its grid, so a better one "
            "may lie beyond it: take this as provisional."
        )
    if work["seeds"] < FEW_SEEDS:
        lines.append(f"With only {work['seeds']} fresh seed{'s' if work['seeds'] > 1 else ''}, intervals are rough.")
    return lines


def joined_headline(summaries: Sequence[Summary]) -> str:
    """How often the first loss won over several workloads, in one sentence; nothing is pooled across them."""
    shared, names = told_apart(summaries)
    pairs_of = [(name, pair) for name, pair in zip(names, map(main_pair, summaries), strict=True) if pair]
    compared = [pair for _, pair in pairs_of]
    pairs = {(pair.a, pair.b) for pair in compared}
    if len(pairs) != 1:
        return f"{len(summaries)} workloads, each with its own finding below; they do not share one pair of losses."
    if by_start := _told_by_start(summaries):
        return by_start
    a, b = map(display_name, pairs.pop())
    faster = [pair.comparison["rmst_ratio"] for pair in compared if pair.status == "faster"]
    low, high = min(faster, default=None), max(faster, default=None)
    spread = f"{ratio(low)}{'' if low == high else f' to {ratio(high)}'} times as many"
    outcomes = [
        (("faster",), f"{a} needed fewer steps than {b}, {spread}", ""),
        (("slower",), f"{a} needed more steps than {b}", "it needed more"),
        (("open",), f"no difference in steps between {a} and {b} could be shown", "no difference could be shown"),
        (
            ("bound",),
            f"{a} or {b} never got there, so that the ratio of steps is a bound",
            "one of them never got there",
        ),
        (("untimed", "unreached"), f"the steps of {a} and {b} could not be compared", "they could not be compared"),
    ]
    parts: list[str] = []
    for statuses, full, short in outcomes:
        which = [name for name, pair in pairs_of if pair.status in statuses]
        if which:
            of = "" if parts else f" of {len(compared)} workloads"
            parts.append(f"in {len(which)}{of} ({some_of(which)}) {short if parts else full}")
    own = f"each loss at its own tuned {tuned_words(summaries[0])}"
    how = f"({level(summaries[0])} intervals; {own}; workloads are never pooled)"
    where = f"on {shared}: " if shared else ""
    return f"{capital(where + ', '.join(parts))} {how}."


def told_apart(summaries: Sequence[Summary]) -> tuple[str, list[str]]:
    """What workloads share, and the rest of each one's label; nothing and whole labels where a rest is empty."""
    parts = [label(summary, summaries).split(" · ") for summary in summaries]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    rests = [[part for part in one if part not in shared] for one in parts]
    if not all(rests):
        return "", [" · ".join(one) for one in parts]
    return " · ".join(shared), [" · ".join(rest) for rest in rests]


def some_of(names: Sequence[str], between: str = ", ") -> str:
    """Names up to a few, then how many more there are."""
    more = len(names) - MOST_NAMED
    return between.join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _told_by_start(summaries: Sequence[Summary]) -> str | None:
    """One sentence for workloads that differ in nothing but their start, and why; None for others."""
    works = [{**summary["workload"], "start": None, "name": None} for summary in summaries]
    starts = {text(summary["workload"]["start"]) for summary in summaries}
    if len(starts) < len(summaries) or any(work != works[0] for work in works):
        return None
    told, norms = [], []
    for summary in summaries:
        pair = main_pair(summary)
        assert pair is not None
        a, b, start = display_name(pair.a), display_name(pair.b), text(summary["workload"]["start"])
        arrived = [share(_reached(summary, loss, pair.target)) for loss in (pair.a, pair.b)]
        times = f"{bounded(pair.comparison)} times the steps of {b}, {interval(pair.comparison['ci'], ratio)}"
        outcome = {
            "faster": f"{a} is faster ({times}; {arrived[0]} of its runs get there, {arrived[1]} of the others)",
            "slower": f"{a} is slower ({times}; {arrived[0]} of its runs get there, {arrived[1]} of the others)",
            "open": f"no difference in speed could be shown ({times})",
            "bound": f"{arrived[0]} of the runs of {a} and {arrived[1]} of those of {b} get there",
        }.get(pair.status, f"the steps of {a} and {b} could not be compared")
        told.append(f"from the start {start}, {outcome}")
        first = [summary["losses"][loss].get("first_gradient_norm") for loss in (pair.a, pair.b)]
        if all(first):
            norms.append(f"{ratio(first[1] / first[0])} times that of {a} from {start}")
    work, pair = summaries[0]["workload"], main_pair(summaries[0])
    assert pair is not None
    goal = goal_text(summaries[0], pair.target)
    sentence = f"On {_setting(work)} to {goal}: {'; '.join(told)}."
    if len(norms) < len(summaries):
        return sentence
    return f"{sentence} Why: before the first step the gradient of {display_name(pair.b)} is {' and '.join(norms)}."


def at_least(comparison: Mapping[str, Any]) -> str:
    """A bound in words: how many times as long the side takes that never arrived.

    >>> at_least({"rmst_ratio": 0.0883, "ci": [0.08, 0.1], "censored": "b"})
    'at least 11.3 times'
    """
    value = comparison["rmst_ratio"]
    return f"at least {ratio(1 / value if comparison['censored'] == 'b' else value)} times"


def bounded(comparison: Mapping[str, Any]) -> str:
    """A ratio of steps (a over b) as it may be printed: a bound where one side never arrived, none where neither did.

    >>> [bounded({"rmst_ratio": 0.5, "censored": side}) for side in (None, "a", "b", "both")]
    ['0.50', 'at least 0.50', 'at most 0.50', '–']
    """
    words = {None: "", "a": "at least ", "b": "at most ", "both": None}[comparison.get("censored")]
    return "–" if words is None else f"{words}{ratio(comparison['rmst_ratio'])}"


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
    alike = [other for other in others if other["workload"]["dataset"] == work["dataset"]]
    differing = [
        f"{key.replace('_', ' ')} {text(work[key])}"
        for key in ("start", "batch_size", "steps", "imbalance")
        if key in work and any(other["workload"].get(key) != work[key] for other in alike)
    ]
    named = (text(work[key]) for key in ("dataset", "model", "optimizer"))
    return " · ".join([*named, *setting_text(work), *differing])


def goal_text(summary: Summary, target: float) -> str:
    """The target in words, such as "95 % validation accuracy"."""
    return f"{percent(target)} {metric_name(summary['workload']['target_metric'])}"


def tells_rare(summary: Summary) -> bool:
    """Whether the accuracy on rare classes is worth a column: they were made rare, are rare, or are the target."""
    work = summary["workload"]
    fewest, most = work.get("training_counts", (1, 1))
    aimed = any(word in work.get("target_metric", "") for word in ("balanced", "rare"))
    return "imbalance" in work or most >= 2 * fewest or aimed


def level(summary: Summary) -> str:
    """The confidence level of a summary's intervals, such as "95 %"."""
    return percent(summary["workload"]["confidence"])


def _setting(work: Mapping[str, Any]) -> str:
    return f"{text(work['dataset'])} ({', '.join([text(work['model']), text(work['optimizer']), *setting_text(work)])})"


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


def _highest_reached(summary: Summary, losses: Sequence[str]) -> str:
    """`; the highest target reached ...`, or nothing where no run reached any."""
    for target in sorted(map(float, summary["targets"]), reverse=True):
        shares = [f"{display_name(loss)} in {share(_reached(summary, loss, target))}" for loss in losses]
        if any(_reached(summary, loss, target) for loss in losses):
            return (
                f"; the highest target reached was {goal_text(summary, target)}, by {' and '.join(shares)} of the runs"
            )
    return ""


def _reached(summary: Summary, loss: str, target: float) -> float:
    return _at(summary, loss, target)["reached"]


def _compared(summary: Summary, a: str, target: float) -> dict[str, Mapping[str, Any]]:
    return {c["b"]: c for c in summary["comparisons"] if c["a"] == a and float(c["target"]) == target}
