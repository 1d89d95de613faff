"""What a claim is, what measuring it gives, and the `verdict.json` made of both."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from matplotlib.figure import Figure

from ce_jax.comparing import Listener
from experiments.source import ROOT, behind, code_of, hash_of, source

SCHEMA = 1
# Far apart, so that no two values of --seed share a seed; all stay below 2**32.
SEEDS_APART = 10_000

SHARED = ("experiments/claims/statistics.py", "experiments/claims/workloads.py")

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
    def uses(self) -> tuple[str, ...]:
        """Files beside the library and the runner that decide what the claim measures, for `source`."""
        places = [file.relative_to(ROOT).as_posix() for file in behind(self.file)]
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


def effect_text(measurement: Mapping[str, Any]) -> str:
    """A stored measurement as one reads it.

    >>> effect_text({"value": 0.98123, "ci": [0.9, 1.06], "unit": "slope"})
    '0.981 [0.9, 1.06] slope'
    """

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    interval = f" [{', '.join(map(number, measurement['ci']))}]" if measurement["ci"] else ""
    return f"{number(measurement['value'])}{interval} {measurement['unit']}".rstrip()
