"""What a claim is, what measuring it gives, and the `verdict.json` made of both."""

import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

from matplotlib.figure import Figure

from ce_jax.comparing import Listener

from ..names import name_of
from ..source import behind, code_of, hash_of, source

SCHEMA = 1
# Far apart, so that no two values of --seed share a seed; all stay below 2**32.
SEEDS_APART = 10_000

SHARED = tuple(
    f"experiments/claims/{name}.py" for name in ("cross_fitting", "speeds_by_rate", "statistics", "workloads")
)

Verdict = Literal["confirmed", "refuted", "undecided"]


class Measurement(NamedTuple):
    """A measured number, its interval (95 %) where it has one, and its unit."""

    value: float
    ci: tuple[float, float] | None = None
    unit: str = ""

    @property
    def low(self) -> float:
        """Lower end of the interval; the value itself for a number without one."""
        return self.ci[0] if self.ci else self.value

    @property
    def high(self) -> float:
        """Upper end of the interval; the value itself for a number without one."""
        return self.ci[1] if self.ci else self.value


Measurements = Mapping[str, Measurement]


class Request(NamedTuple):
    """One request to measure a claim."""

    quick: bool
    seed: int
    """Moves every seed of the run."""
    folder: Path
    """Where trained curves are stored; an interrupted claim continues from them."""
    listener: Listener
    earlier: list[float] | None = None
    """Collects the seconds that curves read back from an earlier try once took."""
    edges: list[str] | None = None
    """Collects what was trained with its best rate on an edge of the widened grid."""

    @property
    def first_seed(self) -> int:
        """The seeds of the run count up from here."""
        return SEEDS_APART * self.seed

    def pick(self, full: Any, quick: Any) -> Any:
        """One of two settings."""
        return quick if self.quick else full


class Findings(NamedTuple):
    """What measuring a claim gives. Key paths of `measurements` run from the general to the particular."""

    measurements: dict[str, Measurement]
    figure: Figure
    caption: str
    seeds: int
    """Fresh seeds behind each reported figure; 0 where nothing is random."""
    ran: str
    """What was run, in a sentence."""


class Amendment(NamedTuple):
    """A change of a claim's statement, protocol or rule after it was first fixed."""

    date: str
    what: str
    why: str
    results_seen: bool
    """Whether results of the claim had been seen before the change."""


def amendments_in(entries: Any, where: str) -> tuple[Amendment, ...]:
    """A claim file's `AMENDMENTS`, checked.

    >>> amendments_in(({"date": "2026-11-27", "what": "x", "why": "y", "results_seen": True},), "a claim")[0].what
    'x'

    Raises:
      ValueError: an entry lacks one of the four keys, has others, or holds what is no date, text or yes and no.
    """
    for number, entry in enumerate(entries, 1):
        place = f"{where}: amendment {number}"
        if set(entry) != set(Amendment._fields):
            raise ValueError(f"{place}: expected the keys {', '.join(Amendment._fields)}, got {', '.join(entry)}")
        try:
            date.fromisoformat(entry["date"])
        except (TypeError, ValueError):
            raise ValueError(f"{place}: expected a date such as 2026-11-27, got {entry['date']!r}") from None
        for name in ("what", "why"):
            if not isinstance(entry[name], str) or not entry[name].strip():
                raise ValueError(f"{place}: expected {name} as text, got {entry[name]!r}")
        if not isinstance(entry["results_seen"], bool):
            raise ValueError(f"{place}: expected results_seen as True or False, got {entry['results_seen']!r}")
    return tuple(Amendment(**entry) for entry in entries)


@dataclass(frozen=True)
class Claim:
    """A published statement that can be false, and how it is tested.

    `measure` looks at the world and knows no verdict; `decide` sees the measurements alone, so that the rule can be
    tested on made-up numbers and was fixed before the real ones existed.
    """

    id: str
    statement: str
    source: str
    protocol: str
    rule: str
    choices: tuple[str, ...]
    """What the protocol left open, and what was chosen."""
    effect: str
    """Key of the measurement that the verdict is mostly about."""
    measure: Callable[[Request], Findings]
    decide: Callable[[Measurements], Verdict]

    @property
    def file(self) -> Path:
        """The claim's own file."""
        return Path(inspect.getfile(self.measure)).resolve()

    @property
    def definition(self) -> str:
        """Sixteen digits that change whenever the claim's rule, settings or code do; comments are no part of it."""
        return hash_of([code_of(self.file.read_text(encoding="utf-8"))])

    @property
    def amendments(self) -> tuple[Amendment, ...]:
        """What was changed after the rules were first fixed: `AMENDMENTS` of the claim's own file."""
        return amendments_in(getattr(sys.modules[self.measure.__module__], "AMENDMENTS", ()), self.id)

    @property
    def uses(self) -> tuple[str, ...]:
        """Files beside the library and the runner that decide what the claim measures, for `source`."""
        places = [name_of(file) for file in behind(self.file)]
        return tuple(place for place in places if place in SHARED or place.startswith("experiments/lesson/"))


def verdict_of(confirmed: bool, refuted: bool) -> Verdict:
    """The verdict of a rule that has a condition for each side; neither met is `undecided`.

    >>> verdict_of(False, False)
    'undecided'
    """
    if confirmed:
        return "confirmed"
    return "refuted" if refuted else "undecided"


def verdict_record(claim: Claim, findings: Findings, quick: bool, minutes: float) -> dict[str, Any]:
    """`verdict.json` as a dictionary; the verdict is computed here and nowhere else."""
    return {
        "schema": SCHEMA,
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "verdict": claim.decide(findings.measurements),
        "rule": claim.rule,
        "quick": quick,
        "seeds": findings.seeds,
        "minutes": round(minutes, 2),
        "source_code": source(*claim.uses),
        "measurements": {
            key: {
                "value": _plain(one.value),
                "ci": None if one.ci is None else [_plain(end) for end in one.ci],
                "unit": one.unit,
            }
            for key, one in findings.measurements.items()
        },
    }


def _plain(number: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(number) if math.isfinite(number) else None


BOUND = re.compile(r"^(at least|at most|unknown)\b,? ?|(?:, censored:|,)? ?\b(at least|at most|unknown)$")


def bound_words(above: bool, below: bool) -> str:
    """What a ratio of times says at the end of its unit where nobody arrived above or below the line.

    >>> [bound_words(True, False), bound_words(False, True), bound_words(True, True), bound_words(False, False)]
    [', at least', ', at most', ', unknown', '']
    """
    return {(True, False): ", at least", (False, True): ", at most", (True, True): ", unknown"}.get((above, below), "")


def bound_of(measurements: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """What makes a stored measurement a bound, or "".

    It is "at least", "at most" or "unknown" where its unit begins or ends so, and "at least" where `<key>/censored`
    beside it is 1 and does not count what was left out. Verdicts older than that say it only by the fraction that
    reached the target at the far end of a growth, which is 0.
    """
    if match := BOUND.search(measurements[key]["unit"]):
        return match[1] or match[2]
    cell, _, what = key.rpartition("/")
    far_ends = [f"{cell}/{option}=1/reached" for option in ("beta", "q")] if what == "rmst_growth" else []
    if any(end in measurements and measurements[end]["value"] == 0 for end in far_ends):
        return "at least"
    beside = measurements.get(f"{key}/censored")
    return "at least" if beside and beside["value"] == 1 and "left out" not in beside["unit"] else ""


def shown(measurements: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """One of several stored measurements as one reads it."""
    return effect_text(measurements[key], bound_of(measurements, key))


def effect_text(measurement: Mapping[str, Any], bound: str = "") -> str:
    """A stored measurement as one reads it, a bound with the words that say so.

    >>> effect_text({"value": 0.98123, "ci": [0.9, 1.06], "unit": "slope"})
    '0.981 [0.9, 1.06] slope'
    >>> effect_text({"value": 11.2, "ci": None, "unit": "times, at least"})
    'at least 11.2 times'
    """

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    unit, bound = BOUND.sub("", measurement["unit"]), bound or bound_of({"": measurement}, "")
    if bound == "unknown":
        return f"– {unit}".rstrip()
    interval = f" [{', '.join(map(number, measurement['ci']))}]" if measurement["ci"] else ""
    return f"{bound} {number(measurement['value'])}{interval} {unit}".strip()
