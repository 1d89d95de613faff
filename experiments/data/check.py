"""A look at a data set before anything is trained on it: what is odd about it, in words."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .account import first_few
from .datasets import Dataset

UNEVEN = 3.0
"""How many times as frequent as the rarest class the most frequent one may be before that is said."""


class Finding(NamedTuple):
    """Something to know before training: what kind of thing it is, and the sentence."""

    kind: str
    text: str


def examine(dataset: Dataset) -> list[Finding]:
    """What is odd about the examples as they are, before they are split and scaled: nothing for most data sets.

    Kinds are `imbalance`, `duplicates`, `contradictions` and `constant`; what is missing, and columns that look like
    identifiers, the account tells.

    >>> inputs, labels = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]]), np.array([0, 0, 1])
    >>> for finding in examine(Dataset("a", inputs, labels, ("u", "v"), ("width", "height"), "a")):
    ...     print(*finding, sep=": ")
    duplicates: 1 of 3 examples repeat another one: a copy may be trained on and tested on
    constant: the same in every example, and of no use: 'width'
    """
    return [*_uneven(dataset), *_repeated(dataset), *_constant(dataset)]


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Findings as lines of plain text, to stand below those of the account."""
    return [f"note: {finding.text}" for finding in findings]


def imbalance_of(dataset: Dataset) -> tuple[float, float]:
    """The share of the most frequent class, and how many times as frequent as the rarest it is.

    >>> imbalance_of(Dataset("a", np.zeros((4, 1)), np.array([0, 0, 0, 1]), ("u", "v"), ("x",), "a"))
    (0.75, 3.0)
    """
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    return float(counts.max() / counts.sum()), float(counts.max() / max(1, counts.min()))


def account_record(dataset: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """`data` in summary.json: the account and the findings as plain JSON."""
    account = dataset.account._asdict() if dataset.account else {}
    pairs = ("dropped", "classes", "left_out", "encoded", "filled")
    plain = {key: [list(pair) for pair in account[key]] if key in pairs else account[key] for key in account}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
    return {**plain, "findings": [finding._asdict() for finding in findings]}


def _uneven(dataset: Dataset) -> list[Finding]:
    share, ratio = imbalance_of(dataset)
    if ratio <= UNEVEN:
        return []
    name = dataset.class_names[int(np.bincount(dataset.labels).argmax())]
    told = f"{100 * share:.4g} % of the examples are of class {name!r}, {ratio:,.4g} times as many as of the rarest"
    return [Finding("imbalance", f"{told}; balanced accuracies tell how the others fare (analysis.target_metric)")]


def _repeated(dataset: Dataset) -> list[Finding]:
    """Examples that come more than once, and those of which the label depends on which copy is read."""
    if dataset.draw is not None:  # whose parts are copies of one another, by design
        return []
    # Adding 0 makes -0.0 the same as 0.0.
    inputs, count = [hash((row + 0.0).tobytes()) for row in dataset.inputs], len(dataset.labels)
    different = set(zip(inputs, dataset.labels.tolist(), strict=True))
    classes_of = Counter(one for one, _ in different)
    odd, copies = sum(classes_of[one] > 1 for one in inputs), count - len(different)
    found = []
    if copies:
        told = f"{copies:,} of {count:,} examples repeat another one: a copy may be trained on and tested on"
        found.append(Finding("duplicates", told))
    if odd:
        told = f"{odd:,} of {count:,} examples have the inputs of an example of another class: nothing tells them apart"
        found.append(Finding("contradictions", told))
    return found


def _constant(dataset: Dataset) -> list[Finding]:
    if dataset.inputs.ndim > 2:  # of images, some pixels are never lit
        return []
    first = dataset.inputs[0]
    same = ((dataset.inputs == first) | (np.isnan(dataset.inputs) & np.isnan(first))).all(axis=0)
    names = [repr(name) for name, constant in zip(dataset.feature_names, same, strict=True) if constant]
    return [Finding("constant", f"the same in every example, and of no use: {first_few(names)}")] * bool(names)
