"""Names of the runs of one config, by what tells them apart, and the folder in which a run is or will be."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import WORKLOAD_KEYS, Config, as_dict, flatten
from .applying import applying

PARTIAL = ".partial"
LONGEST, LONGEST_OF_ALL = 40, 150
"""Characters of a name's parts and of all of it; the hash tells apart what looks alike then."""


def run_names(name: str, workloads: Sequence[Config]) -> list[str]:
    """The name of each workload: that of its config and, of several, the values that tell it from the others.

    >>> two = [Config(dataset="iris", model="mlp", loss=("ssr",), start=start) for start in ("he", "saturated")]
    >>> run_names("quickstart", two)
    ['quickstart-he', 'quickstart-saturated']
    """
    settings = [applying(flatten(as_dict(one))) for one in workloads]
    groups: dict[str, dict[str, None]] = {}  # the keys of a start given as a table belong to one value
    for key in (key for one in settings for key in one):
        top = key.partition(".")[0]
        groups.setdefault(top if top in WORKLOAD_KEYS else key, {})[key] = None
    names = [name] * len(settings)
    # The keys that make workloads come first; others, which a data set brings along, where those leave two alike.
    for group in sorted(groups, key=lambda group: group not in WORKLOAD_KEYS):
        parts = [[_part(key, one[key]) for key in groups[group] if key in one] for one in settings]
        longer = ["-".join([old, *own]) for old, own in zip(names, parts, strict=True)]
        if len(set(longer)) > len(set(names)):
            names = longer
    return [one[: max(len(name), LONGEST_OF_ALL)] for one in names]


def _part(key: str, value: Any) -> str:
    """A value as a part of a file's name: that of a file without its folders, with its key where it is bare."""
    if key == "dataset" and ":" in value:
        value = Path(value.partition(":")[2]).stem
    table, _, last = key.rpartition(".")
    words = [last] * bool(table) + (list(map(str, value)) if isinstance(value, list) else [str(value)])
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")[:LONGEST]


def folder_of(name: str, out: Path) -> Path:
    """Where the run of this name is: in `out` under this name, or under the same hash by a longer or shorter name.

    A config that is run with one of its workloads alone has a shorter name for the same result.
    """
    words, _, digits = name.rpartition("-")
    found = []
    for place in out.glob(f"*-{glob.escape(digits)}*"):
        other = place.name.removesuffix(PARTIAL).removesuffix(f"-{digits}")
        alike = f"{words}-".startswith(f"{other}-") or f"{other}-".startswith(f"{words}-")
        if alike and place.name in (f"{other}-{digits}", f"{other}-{digits}{PARTIAL}"):
            found.append((place.name.endswith(PARTIAL), other != words, other))  # finished ones before others
    return out / f"{min(found)[2]}-{digits}" if found else out / name
