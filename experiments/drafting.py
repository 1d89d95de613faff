"""What `init` does: looks at a data file and writes a commented config that runs on it at once."""

import ast
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from ce_jax.comparing import sensible_target

from .config import Config, build
from .data import (
    DataOptions,
    Dataset,
    account_lines,
    examine,
    finding_lines,
    imbalance_of,
    load_dataset,
)
from .data.check import UNEVEN
from .data.readers import READERS
from .errors import UserError
from .names import program
from .run.workload import load_workload
from .runtime import precision, prepare_jax
from .toml_files import parsed_toml

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".npz": "npz"}
"""What is neither one of these nor a folder is read as text."""
MOST_LEFT_OUT = 100
"""Columns that are left out one after the other, because nothing can be made of them, before that is given up."""
SMALL = 2_000
"""Training examples up to which a step takes all of them."""

WHY: dict[str, dict[Any, str]] = {
    "missing": {
        "mean": 'values are missing: the mean of the training part; "drop" leaves the rows out',
        "drop": "labels are missing: their rows are left out, and those with a missing value",
    },
    "categories": {"onehot": "each text of a column of texts is a feature that is 0 or 1"},
    "encoding": {"latin-1": "the text is no UTF-8; other encodings may have other letters"},
    "header": {False: "the first line is an example, not the names of the columns"},
    "exclude": {},
}
"""{key of [data]: {value: what it is for}} of the keys that a file may need."""


def init_command(file: Path, label: str | None, out: Path | None, console: Console) -> int:
    """Write a config for a data file beside it, or to `out`; say what was taken, and how to go on.

    Args:
      file: the data; label: the column or array of the labels, which is guessed if None; out: the config.

    Raises:
      UserError: the file cannot be read as data, or the config exists already.
    """
    spec = _spec(file)
    path = out or Path(spec.partition(":")[2]).with_suffix(".toml")
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: expected no such file yet, as none is overwritten; --out names another")
    dataset, options = readable(spec, label)
    draft = drafted(spec, dataset, options)
    prepare_jax()
    config = build(Config, parsed_toml(path, draft), str(path))
    with precision(config.train.dtype):
        load_workload(path.stem, config)  # what is written will run
    try:
        content = draft.encode()
    except UnicodeEncodeError:
        raise UserError(f"{file}: expected a name that is text, as a config is; rename the file") from None
    try:
        with path.open("xb") as opened:
            opened.write(content)
    except FileExistsError:
        raise UserError(f"{path}: expected no such file yet, as none is overwritten; --out names another") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    for line in _said(dataset):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    start = shlex.join([*program(), "run", str(path)])
    console.print(f"config: {path}", markup=False, soft_wrap=True)
    console.print(f"next: {start} --dry-run, then {start}", markup=False, soft_wrap=True)
    return 0


def readable(spec: str, label: str | None = None) -> tuple[Dataset, dict[str, Any]]:
    """A data set, and the keys of [data] that it takes to read it: as few as possible.

    Raises:
      UserError: no keys will do; what was wrong without any.
    """
    exclude: tuple[str, ...] = ()
    while True:
        errors = []
        for options in _choices(spec.partition(":")[0]):
            options |= {"exclude": exclude} if exclude else {}
            options |= {"label": label} if label is not None else {}
            try:
                dataset = load_dataset(spec, DataOptions(**options))
            except UserError as error:
                errors.append(str(error))
                continue
            names = _names_of_rows(dataset)
            if not names:
                return dataset, options
            exclude = (*exclude, *names)
            break
        else:
            exclude = (*exclude, _useless(errors, exclude))


def _names_of_rows(dataset: Dataset) -> list[str]:
    """Columns of text that are different in most rows."""
    encoded = dataset.account.encoded if dataset.account else ()
    return [name for name, count in encoded if 2 * count > len(dataset.labels)]


def _useless(errors: list[str], exclude: tuple[str, ...]) -> str:
    """A column that nothing can be made of, dates for example, by what reading it without and with options said."""
    useless = next((name for error in errors if (name := _column(error))), None)
    if useless is None or len(exclude) == MOST_LEFT_OUT or useless in exclude:
        raise UserError(errors[0])
    return useless


def _choices(kind: str) -> Iterator[dict[str, Any]]:
    """Options to try, those that change the least first."""
    table = kind in ("csv", "parquet")
    headers = ("auto", False) if kind == "csv" else ("auto",)
    encodings = (None, "latin-1") if kind == "csv" else (None,)
    texts = ("refuse", "onehot") if table else ("refuse",)
    gaps = ("refuse", "mean", "drop") if kind != "idx" else ("refuse",)
    for encoding, header, categories, missing in itertools.product(encodings, headers, texts, gaps):
        given = {"encoding": encoding, "header": header, "categories": categories, "missing": missing}
        yield {key: value for key, value in given.items() if value != getattr(DataOptions, key)}


def _column(error: str) -> str | None:
    """The column that an error advises to leave out."""
    named = re.search(r"column ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", error)
    return ast.literal_eval(named[1]) if named and re.search(r"leaves? the column out$", error) else None


def drafted(spec: str, dataset: Dataset, options: dict[str, Any]) -> str:
    """The config for a data set as commented TOML.

    Args:
      spec: the data set as configs name it; options: keys of [data] that it takes to read it.
    """
    kind, images = spec.partition(":")[0], dataset.inputs.ndim > 2
    share, ratio = imbalance_of(dataset)
    balanced, classes = ratio > UNEVEN, len(dataset.class_names)
    base = 1 / classes if balanced else share
    targets = sorted({target for way in (0.5, 0.8) if (target := sensible_target(base, way)) is not None})
    small = 0.6 * len(dataset.labels) <= SMALL
    account = dataset.account
    data: list[tuple[str, Any, str]] = []
    if account and account.label and (kind in ("csv", "parquet") or "label" in options):
        data.append(("label", account.label, f"guessed {account.guessed}" if account.guessed else ""))
    data += [
        (key, options[key], WHY[key].get(options[key], "nothing can be made of them")) for key in WHY if key in options
    ]
    if images:
        data.append(("scale", "unit", "everything divided by the largest value; standardizing blows up rare pixels"))
    metric = "validation_balanced_accuracy" if balanced else "validation_accuracy"
    of_metric = f"the classes are uneven ({ratio:.3g} to 1): mean of the accuracies within each" if balanced else ""
    above = f"always answering one class scores {100 * base:.3g} %"
    tables: dict[str, list[tuple[str, Any, str]]] = {
        "": [
            ("dataset", spec, "seen from the folder in which commands are typed"),
            ("model", "mlp", 'or "linear"' + (', "cnn" for images, which takes many times as long' if images else "")),
            ("loss", ["cross_entropy", "ssr"], "any names that `list` shows"),
            ("optimizer", "sgd", 'or "adam"; ["sgd", "adam"] compares on each'),
        ],
        "mlp": [("hidden", [32] if images or dataset.inputs.shape[1] > 50 else [16], "widths of the hidden layers")],
        "data": data,
        "train": [
            ("steps", 300 if small else 1000, "more if targets are not reached"),
            ("batch_size", "full" if small else 64, "examples in a step"),
        ],
        "sweep": [
            ("learning_rates", {"low": 1e-3, "high": 100 if small else 10, "count": 9}, "the same for every loss"),
            ("seeds", 50 if small else 20, "that report"),
            ("tuning_seeds", 10, "that choose the rate"),
        ],
        "analysis": [("targets", targets or [1.0], above), ("target_metric", metric, of_metric)],
    }
    begin = [f"A first config for {spec}, made by looking at it; every line may be changed.", *_said(dataset)]
    lines = [f"# {_comment(line)}" for line in begin]
    for table, rows in tables.items():
        lines += ["", f"[{table}]"] if table and rows else []
        lines += [_row(*row) for row in rows]
    return "\n".join(lines) + "\n"


def _row(key: str, value: Any, why: str) -> str:
    return f"{key} = {_toml(value)}" + (f"  # {_comment(why)}" if why else "")


def _comment(text: str) -> str:
    """Text in one line of what TOML allows in comments: names of classes may hold anything.

    >>> _comment("a\\nb")
    'a\\\\nb'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _toml(value: Any) -> str:
    """A value as TOML; of tables, in one line.

    >>> _toml({"low": 0.001, "names": ("a", 'b"'), "on": False})
    '{ low = 0.001, names = ["a", "b\\\\""], on = false }'
    """
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(held)}" for key, held in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _said(dataset: Dataset) -> list[str]:
    return [*account_lines(dataset.account), *finding_lines(examine(dataset))]


def _spec(file: Path) -> str:
    """The data set as a config names it."""
    kind, colon, _ = str(file).partition(":")
    if colon and kind in READERS:
        return str(file)
    return f"{'idx' if file.is_dir() else FORMATS.get(file.suffix.lower(), 'csv')}:{file}"
