"""Comparisons of SSR on probabilities with cross-entropy in words that turn with intervals, never with verdicts."""

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from .record import bound_of

MISSING = "not measured"
WORKLOAD = re.compile(r"(?P<data>[^/]+)/(?P<model>[^/]+)/(?P<optimizer>sgd|adam)/(?P<rest>.+)")
NAMES = {"sgd": "SGD", "adam": "Adam", "mnist5k": "MNIST-5k", "breast_cancer": "breast cancer"}
FIELD = r"\{([^{}|]+)(?:\|(~?) ?([^{}]*))?\}"

Results = Mapping[str, Mapping[str, Any]]
"""{id: what is stored of a claim, verdict and card in one}."""
Lean = Literal["behind", "ahead", "even", "unknown"]

WORDS: dict[str, dict[Lean, str]] = {
    "times": {"behind": "slower", "ahead": "faster", "even": "no difference shown", "unknown": "neither arrives"},
    "points": {"behind": "behind", "ahead": "ahead", "even": "no difference shown", "unknown": "unknown"},
}


class Comparison(NamedTuple):
    """SSR on probabilities against cross-entropy in one place; larger is worse for SSR."""

    where: str
    claim: str
    unit: str
    """"times" as long, where 1 is even, or "points" behind, where 0 is."""
    value: float
    ci: tuple[float, float] | None
    bound: str = ""

    @property
    def lean(self) -> Lean:
        """Which side the whole interval lies on; of a bound the side that it leaves open."""
        if self.bound == "unknown":
            return "unknown"
        even = 1.0 if self.unit == "times" else 0.0
        low, high = self.ci or (self.value, self.value)
        if low > even and self.bound != "at most":
            return "behind"
        return "ahead" if high < even and self.bound != "at least" else "even"

    @property
    def text(self) -> str:
        """The number with its interval; a bound has none, because one end of it is not known."""
        flip = -1 if self.unit == "points" and self.lean == "ahead" else 1
        ends = sorted(flip * end for end in self.ci or ())
        interval = f", {' to '.join(map(_shown, ends))}" if ends and not self.bound else ""
        # The interval lies around the mean over redrawn choices, which an unsure choice may leave far behind.
        own = " at the rates chosen" if interval and not ends[0] <= flip * self.value <= ends[-1] else ""
        interval += " over redrawn choices" if own else ""
        return f"{self.bound} {_shown(flip * self.value)} {self.unit}{own}{interval}".lstrip()


class Sentence(NamedTuple):
    """What is said of some numbers of a claim, and the comparisons among them."""

    text: str
    claim: str
    comparisons: Sequence[Comparison] = ()


Template = Callable[[Results], Sentence]


def _shown(value: float) -> str:
    """Two digits, no decimal above ten, and at most two."""
    rounded = round(value, 2) + 0.0  # which makes a zero of -0.0
    return f"{rounded:,.0f}" if abs(rounded) >= 9.95 else f"{rounded:.2g}"


def _number(value: float | None, null: float) -> float:
    """JSON has neither infinity nor NaN, and null stands for both."""
    return null if value is None else value


def _comparison(results: Results, claim: str, key: str, where: str, unit: str) -> Comparison | None:
    """A stored measurement as a comparison; None where it is missing, or where its value is none."""
    measurements = results.get(claim, {}).get("measurements", {})
    one = measurements.get(key)
    if one is None or one["value"] is None:
        return None
    scale = 100 if unit == "points" else 1
    ci = one["ci"] and (scale * _number(one["ci"][0], -float("inf")), scale * _number(one["ci"][1], float("inf")))
    return Comparison(where, claim, unit, scale * one["value"], ci, bound_of(measurements, key))


def _grouped(comparisons: Iterable[Comparison]) -> str:
    """Comparisons of one unit in words, those that agree together."""
    groups: dict[Lean, list[Comparison]] = {"behind": [], "ahead": [], "even": [], "unknown": []}
    for one in comparisons:
        groups[one.lean].append(one)
    return "; ".join(
        f"{WORDS[found[0].unit][lean]} {', '.join(f'{one.where} ({one.text})' for one in found)}"
        for lean, found in groups.items()
        if found
    )


def places(label: str, unit: str, claim: str, keys: Mapping[str, str]) -> Template:
    """A sentence that compares in some places: {where it is in words: key}; those not measured are named last."""

    def say(results: Results) -> Sentence:
        read = {where: _comparison(results, claim, key, where, unit) for where, key in keys.items()}
        found = [one for one in read.values() if one]
        missing = [where for where, one in read.items() if one is None]
        told = [_grouped(found)] * bool(found) + [f"{MISSING} {', '.join(missing)}"] * bool(missing and found)
        return Sentence(f"{label}: {'; '.join(told) or MISSING}", claim, found)

    return say


def workloads(results: Results, rest: str, unit: str) -> list[Comparison]:
    """What default-gap has measured on every workload under keys that end alike."""
    found = []
    for key in results.get("default-gap", {}).get("measurements", {}):
        place = WORKLOAD.fullmatch(key)
        if place and place["rest"] == rest:
            name = " ".join(NAMES.get(place[part], place[part]) for part in ("data", "model", "optimizer"))
            found.append(_comparison(results, "default-gap", key, name, unit))
    return [one for one in found if one]


def counted(comparisons: Sequence[Comparison]) -> str:
    """In how many comparisons the intervals show one side behind or ahead, steps and points apart.

    >>> counted([Comparison("on digits", "a-claim", "times", 2.0, (1.5, 2.5))])
    'slower in 1 of 1'
    """
    told = []
    for unit, words in WORDS.items():
        leans = [one.lean for one in comparisons if one.unit == unit]
        if leans:
            ahead = f" and {words['ahead']} in {leans.count('ahead')}" if "ahead" in leans else ""
            told.append(f"{words['behind']} in {leans.count('behind')}{ahead} of {len(leans)}")
    return ", ".join(told) or MISSING


def _sides(comparisons: Sequence[Comparison]) -> str:
    """How many workloads lean to which side; on either side the one furthest apart by name."""
    told = []
    leans: tuple[Lean, ...] = ("behind", "ahead", "even", "unknown")
    for lean in leans:
        apart = sorted((one for one in comparisons if one.lean == lean), key=lambda one: one.value)
        if apart:
            furthest = apart[-1] if lean == "behind" else apart[0]
            example = f" (most: {furthest.where}, {furthest.text})" if lean in ("behind", "ahead") else ""
            told.append(f"{WORDS[furthest.unit][lean]} in {len(apart)}{example}")
    return ", ".join(told)


def accuracy_over_workloads(results: Results) -> Sentence:
    """Accuracy on all the workloads with ordinary starts."""
    found = workloads(results, "cross_entropy-ssr/test_accuracy", "points")
    told = f"of {len(found)} workloads {_sides(found)}" if found else MISSING
    return Sentence(f"test accuracy: {told}", "default-gap", found)


def speed_over_workloads(optimizer: str) -> Template:
    """Times as long in the middle of the workloads of an optimizer, and on how many it is slower."""

    def say(results: Results) -> Sentence:
        found = [
            one._replace(where=one.where.removesuffix(f" {optimizer}"))
            for one in workloads(results, "ssr/rmst_ratio", "times")
            if one.where.endswith(f" {optimizer}")
        ]
        told = MISSING
        if found:
            middle = f"{_shown(statistics.median(one.value for one in found))} times"
            told = f"{middle} in the median of {len(found)} workloads, {_sides(found)}"
        return Sentence(f"steps under {optimizer}: {told}", "default-gap", found)

    return say


def quoted(label: str, claim: str, template: str) -> Template:
    """A sentence that only quotes numbers: `{key}`, `{key|%}` in hundredths, `{key|~}` with its interval."""

    def say(results: Results) -> Sentence:
        measurements = results.get(claim, {}).get("measurements", {})

        def number(hit: re.Match[str]) -> str:
            key, with_interval, unit = hit.groups(default="")
            one, bound, scale = measurements[key], bound_of(measurements, key), 100 if unit else 1
            numbers = [one["value"], *(one["ci"] or () if with_interval and not bound else ())]
            value, *ends = ("?" if number is None else _shown(scale * number) for number in numbers)
            return f"{bound} {value} {unit}".strip() + (f" ({' to '.join(ends)})" if ends else "")

        measured = all(key in measurements for key in re.findall(r"\{([^{}|]+)", template))
        return Sentence(f"{label}: {re.sub(FIELD, number, template) if measured else MISSING}", claim)

    return say
