"""A finished run folder, read back and checked: nothing that was damaged passes for a result."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import jinja2
import numpy as np

from ce_jax.comparing import Curves, LossCurves

from ..errors import UserError, first_line, nearest
from ..files import SEAL, changed, checksums, read_arrays, read_json

SCHEMA = 1
RESULTS = ("config.json", "curves.npz", "summary.json")
"""Files whose checksums stand in provenance.json; all that is not made from them."""

KEYS: dict[str, dict[str, Any]] = {
    "config": {"dataset": str, "sweep": dict, "analysis": dict},
    "provenance": {"git": (dict, NoneType)},
    "summary": {"workload": dict, "targets": list, "losses": dict, "comparisons": list},
}
"""What the JSON files have to hold at least, {file: {key: type}}."""


MISFITS = (KeyError, IndexError, TypeError, AttributeError, ValueError, jinja2.TemplateError)
"""What files that do not fit together raise where they are used."""


class DamagedRun(UserError):
    """A run folder that is no longer what was stored; its work has to be done again."""


class FinishedRun(NamedTuple):
    """A finished run folder, read back."""

    config: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    curves: Curves


@contextlib.contextmanager
def stored_in(run_dir: Path) -> Iterator[None]:
    """Whatever does not fit in here is the fault of what is stored, unless it is known to be what was stored.

    Raises:
      DamagedRun: it does not fit, and there are no checksums.
    """
    try:
        yield
    except MISFITS as error:
        if SEAL in read_json(run_dir / "provenance.json"):
            raise
        told = f"{type(error).__name__}: {first_line(error)}"
        raise DamagedRun(f"{run_dir}: its files do not fit together ({told}); run it again with --fresh") from error


def with_checksums(provenance: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`provenance.json` with the checksums of the results in a folder."""
    return {**provenance, SEAL: checksums(folder, RESULTS)}


def read_run(run_dir: Path) -> FinishedRun:
    """Read a finished run folder.

    Raises:
      UserError: the summary has another schema; a `DamagedRun` where a file is missing, unreadable or not what was
        stored.
    """
    try:
        provenance = _table(run_dir, "provenance")
        if different := changed(run_dir, provenance.get(SEAL, {})):
            raise ValueError(f"{', '.join(different)}: not what was stored")
        config, summary = _table(run_dir, "config"), _table(run_dir, "summary")
        arrays = read_arrays(run_dir / "curves.npz")
        curves = _curves(arrays, summary)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedRun(f"{run_dir}: expected the folder of a finished run, but {_lack(run_dir, error)}") from None
    except (ValueError, OSError, AttributeError, TypeError) as error:
        raise DamagedRun(f"{run_dir}: cannot be read back ({error}); run it again with --fresh") from None
    return FinishedRun(config, provenance, summary, curves)


def _lack(run_dir: Path, error: OSError) -> str:
    """What there is not, and the nearest name of a folder that there is."""
    if run_dir.exists():
        return f"{Path(error.filename).name} is missing"
    with contextlib.suppress(OSError):
        beside = [one.name for one in run_dir.parent.iterdir() if one.is_dir()]
        return f"there is no such folder{nearest(run_dir.name, beside)}"
    return "there is no such folder"


def chosen_row(curves: LossCurves, record: dict[str, Any]) -> int:
    """Where the point that a loss chose, by its record in the summary, stands in its curves."""
    distance = np.abs(curves.rates - record["best_learning_rate"])
    for name, value in record.get("best_options", {}).items():
        distance = np.where(curves.options[name] == value, distance, np.inf)
    return int(np.argmin(distance))


def _table(run_dir: Path, name: str) -> dict[str, Any]:
    """One of the JSON files; ValueError where it is none, or lacks what it has to hold."""
    content = read_json(run_dir / f"{name}.json")
    if not isinstance(content, dict):
        raise ValueError(f"{name}.json: expected a table, got {type(content).__name__}")
    if name == "summary" and content.get("schema") != SCHEMA:
        raise UserError(f"{run_dir}: expected summary.json of schema {SCHEMA}, got {content.get('schema')}")
    if wrong := [key for key, kind in KEYS[name].items() if not isinstance(content.get(key), kind)]:
        raise ValueError(f"{name}.json: {', '.join(wrong)}: missing, or not what belongs there")
    return content


def _curves(arrays: Mapping[str, Any], summary: Mapping[str, Any]) -> Curves:
    """The curves of every loss in the summary; ValueError where they are not there in the right shapes."""
    try:
        curves = Curves.from_arrays(arrays)
    except KeyError as error:
        raise ValueError(f"curves.npz: {error.args[0]} is missing") from None
    for loss in summary["losses"]:
        if loss not in curves.losses:
            raise ValueError(f"curves.npz: the curves of {loss} are missing")
        own = curves[loss]
        shape = (len(own.rates), len(curves.seeds), len(curves.steps))
        for metric, values in own.metrics.items():
            if values.ndim != 3 or values.shape[:2] != shape[:2] or values.dtype.kind not in "fb":
                raise ValueError(f"curves.npz: {loss}/{metric}: expected {list(shape)}, got {list(values.shape)}")
    return curves
