"""The regimes: kinds of logits, each with a weakness of the usual formulas in mind."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MARGINS = (2.0, 80.0)

REGIMES = (
    "typical",
    "ties",
    "confidently right",
    "confidently wrong",
    "huge scale",
    "masked class",
    "one class",
    "low precision",
    "p = .999",
)
VOCABULARY = 10_000  # from so many classes on, "p = .999" is the only regime


class Batch(NamedTuple):
    """Rows of one number of classes, regime after regime; `slices` says where each regime lies."""

    logits: NDArray[Any]  # [N, K]
    labels: NDArray[np.int32]  # [N]
    where: NDArray[np.bool_]  # [N, K]
    slices: dict[str, slice]


def _typical(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """Normal logits of standard deviation 1, 3 and 6."""
    scale = np.resize([1.0, 3.0, 6.0], rows)[:, None]
    return scale * random.normal(size=(rows, classes)), random.integers(classes, size=rows)


def _ties(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """All equal, a few levels shared by many classes, and logits a few units in the last place apart."""
    levels = random.integers(-2, 2, size=(rows, classes)) + 0.25
    nearly = 5.0 + random.integers(-3, 4, size=(rows, classes)) * 2.0**-20
    logits = np.where(np.arange(rows)[:, None] % 2 == 0, levels, nearly)
    logits[0] = 2.5
    return logits, random.integers(classes, size=rows)


def _right(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """The label leads by log-odds of 2 to 80."""
    logits, labels = random.normal(size=(rows, classes)), random.integers(classes, size=rows)
    margins = np.linspace(*MARGINS, rows)
    for z, y, margin in zip(logits, labels, margins, strict=True):
        others = np.delete(z, y)
        z[y] = np.log(np.sum(np.exp(others))) + margin if classes > 1 else 0.0
    return logits - (margins * random.uniform(size=rows))[:, None], labels


def _wrong(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """One wrong class, in every third row two that tie, leads the label by 2 to 80."""
    logits, labels = random.normal(size=(rows, classes)), random.integers(classes, size=rows)
    margins = np.linspace(*MARGINS, rows)
    for i, (z, y, margin) in enumerate(zip(logits, labels, margins, strict=True)):
        leaders = (y + 1 + np.arange(2 if i % 3 == 2 else 1)) % classes
        z[leaders[leaders != y]] = z[y] + margin
    return logits - (margins * random.uniform(size=rows))[:, None], labels


def _nearly_sure(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """Normal logits of standard deviation 1, that of the label such that its probability is .999 before rounding."""
    logits, labels = random.normal(size=(rows, classes)), random.integers(classes, size=rows)
    for z, y in zip(logits, labels, strict=True):
        z[y] = np.log(np.sum(np.exp(np.delete(z, y)))) + np.log(0.999 / 0.001)
    return logits, labels


def _huge(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """The three kinds above with 10,000 added or subtracted, and typical rows times 1e3, 1e4, ... 1e9."""
    kinds = [kind(random, rows, classes) for kind in (_typical, _right, _wrong)]
    logits, labels = np.empty((rows, classes)), np.empty(rows, np.int64)
    for i in range(rows):
        z, y = kinds[i % 3]
        logits[i], labels[i] = z[i] + (10_000.0 if i % 2 else -10_000.0), y[i]
        if i % 4 == 3:
            logits[i] = z[i] * 10.0 ** (3 + (i // 4) % 7)
    return logits, labels


def _masked(random: Generator, rows: int, classes: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Hidden classes with typical and enormous logits; in every other row a visible wrong class has the logit -inf."""
    kinds = [kind(random, rows, classes) for kind in (_typical, _right, _wrong)]
    logits, labels = np.empty((rows, classes)), np.empty(rows, np.int64)
    where = random.uniform(size=(rows, classes)) < 0.6
    for i in range(rows):
        logits[i], labels[i] = kinds[i % 3][0][i], kinds[i % 3][1][i]
        where[i, labels[i]] = True
        logits[i, ~where[i]] += random.choice([0.0, 1e4, -1e4], size=np.sum(~where[i]))
        wrong = np.flatnonzero(where[i] & (np.arange(classes) != labels[i]))
        if i % 2 and len(wrong):
            logits[i, wrong[0]] = -np.inf
    return logits, labels, where


_KINDS = {
    "typical": _typical,
    "ties": _ties,
    "confidently right": _right,
    "confidently wrong": _wrong,
    "huge scale": _huge,
}
_OTHERS = {"p = .999": _nearly_sure}


def regimes_of(num_classes: int, dtype: str) -> tuple[str, ...]:
    """The regimes that a number of classes and a dtype take part in."""
    if num_classes >= VOCABULARY:
        return ("p = .999",)
    if jnp.finfo(dtype).bits < 32:
        return ("low precision",)
    return ("one class",) if num_classes == 1 else (*_KINDS, "masked class")


def make_batch(regimes: Sequence[str], num_classes: int, rows: int, dtype: str, seed: int = 0) -> Batch:
    """`rows` rows of every regime, the same for the same arguments, rounded to `dtype`.

    >>> batch = make_batch(("typical", "ties"), 3, 4, "float32")
    >>> batch.logits.shape, batch.slices["ties"]
    ((8, 3), slice(4, 8, None))
    """
    parts = []
    for regime in regimes:
        random = np.random.default_rng([seed, num_classes, REGIMES.index(regime)])
        where = np.ones((rows, num_classes), bool)
        if regime == "masked class":
            logits, labels, where = _masked(random, rows, num_classes)
        elif regime == "one class":
            logits, labels = np.linspace(-80.0, 80.0, rows)[:, None], np.zeros(rows, np.int64)
        elif regime == "low precision":
            thirds = [
                _KINDS[name](random, rows, num_classes)
                for name in ("typical", "confidently right", "confidently wrong")
            ]
            logits = np.stack([thirds[i % 3][0][i] for i in range(rows)])
            labels = np.stack([thirds[i % 3][1][i] for i in range(rows)])
        else:
            logits, labels = (_KINDS | _OTHERS)[regime](random, rows, num_classes)
        parts.append((logits, labels, where))
    z, y, visible = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    slices = {regime: slice(i * rows, (i + 1) * rows) for i, regime in enumerate(regimes)}
    return Batch(z.astype(dtype), y.astype(np.int32), visible, slices)
