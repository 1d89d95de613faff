"""What a loss of one's own has to be before anyone trusts it: findings of a line each, no definition needed."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from ce_jax._checking import first_line
from ce_jax.auditing._differences import differences
from ce_jax.auditing._regimes import Batch, make_batch
from ce_jax.losses import Loss, as_loss

CLASSES, ROWS = 4, 9
REGIMES = ("typical", "ties", "confidently right", "confidently wrong")
MODERATE = 20.0  # differences of logits; beyond them a textbook formula may round to 0 and still be used
CLOSE = 1e-3  # of the largest entry of a row: far above rounding in float32, far below a wrong formula
COARSE = 0.05  # of the largest value, where logits have the eight bits of bfloat16
Outcome = Literal["holds", "fails", "note"]


class Finding(NamedTuple):
    """One property of a loss: whether it holds, and what was seen. A note is neither good nor bad."""

    what: str
    outcome: Outcome
    seen: str


class _Rows(NamedTuple):
    """The loss, the rows it is tried on, and what it gives. All rows are tried at once, so that little is compiled."""

    call: Callable[..., Array]
    run: Callable[..., tuple[NDArray[Any], NDArray[Any]]]
    masks: bool
    batch: Batch
    values: NDArray[Any]
    gradient: NDArray[Any]


def check_loss(loss: Loss | str | Callable[..., Array], **options: Any) -> list[Finding]:
    """Checks what a comparison takes for granted of a loss: nothing here needs to know its definition.

    Args:
      loss: as in `audit`; options: keyword arguments of the loss. A `prior` that it needs is uniform.

    Returns:
      A finding for each property, in the order in which they matter. Where the loss cannot be computed at all, or not
      differentiated, it is the only one.

    >>> def mine(logits, labels):
    ...     return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)[:, 0]
    >>> [finding.what for finding in check_loss(mine) if finding.outcome == "fails"]
    ['labels that are no class give NaN']
    """
    record = as_loss(loss)
    parameters = inspect.signature(record.value).parameters
    if "prior" in parameters and "prior" not in options:
        options = {**options, "prior": np.full(CLASSES, 1 / CLASSES, np.float32)}
    call = partial(record.value, **options)
    batch = make_batch(REGIMES, CLASSES, ROWS, "float32")
    # As far from the largest logit as a textbook formula can follow.
    z = np.maximum(batch.logits - np.max(batch.logits, 1, keepdims=True), -MODERATE).astype(np.float32)
    batch = batch._replace(logits=z)
    what = "one floating-point value per example"
    try:
        out = jax.eval_shape(call, z, batch.labels)
        if getattr(out, "shape", None) != batch.labels.shape or not jnp.issubdtype(out.dtype, jnp.floating):
            came = f"{out.dtype}{list(out.shape)}" if hasattr(out, "shape") else type(out).__name__
            return [Finding(what, "fails", f"{came} of {len(batch.labels)} examples")]
        run = _runner(call)
        rows = _Rows(call, run, "where" in parameters, batch, *run(z, batch.labels))
    except Exception as error:
        return [Finding(what, "fails", _raised(error))]
    found = [Finding(what, "holds", f"{out.dtype}[N]")]
    for title, check in _CHECKS.items():
        try:
            found.append(Finding(title, *check(rows)))
        except Exception as error:
            found.append(Finding(title, "fails", _raised(error)))
    if record.grad is not None:
        by_hand = jax.jit(partial(record.grad, **options))(z, batch.labels)
        found.append(Finding("the gradient by hand is that of autodiff", *_same(by_hand, rows.gradient)))
    return found


def _runner(call: Callable[..., Array]) -> Callable[..., tuple[NDArray[Any], NDArray[Any]]]:
    """Values [N] and gradients [N, K] of a loss, compiled."""

    def run(z, y, where):
        more = {} if where is None else {"where": where}
        return call(z, y, **more), jax.grad(lambda z: jnp.sum(call(z, y, **more)))(z)

    compiled = jax.jit(run)
    return lambda z, y, where=None: jax.device_get(compiled(z, y, where))


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _same(found: Any, expected: Any) -> tuple[Outcome, str]:
    """Whether rows agree to `CLOSE` of their largest entry, where the expected is a number.

    Rows a thousand times smaller than the largest one are measured by a thousandth of that: there textbook formulas
    round, to 0 in the end, which is the audit's business and no mistake.
    """
    found, expected = (np.asarray(x, np.float64).reshape(len(expected), -1) for x in (found, expected))
    known = np.isfinite(expected)
    truth = np.where(known, expected, 0)
    size = np.max(np.abs(truth), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        off = np.where(known, np.abs(found - truth), 0) / np.maximum(size, 1e-3 * np.max(size) + 1e-30)
    off = np.where(np.isnan(off), np.inf, off)
    worst = int(np.argmax(np.max(off, axis=1)))
    if off.max() <= CLOSE:
        return "holds", f"within {off.max():.1e} of the largest entry of a row"
    return "fails", f"{_short(found[worst])} in place of {_short(expected[worst])} in row {worst}"


def _short(row: NDArray[Any]) -> str:
    said = ", ".join(f"{x:.3g}" for x in row)
    return said if len(row) == 1 else f"[{said}]"


def _finite(rows: _Rows, array: NDArray[Any]) -> tuple[Outcome, str]:
    for regime, part in rows.batch.slices.items():
        bad = ~np.isfinite(array[part]).reshape(ROWS, -1).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            logits = f"logits {_short(rows.batch.logits[part][row])}, label {rows.batch.labels[part][row]}"
            return "fails", f"{regime}, {logits}: {_short(np.atleast_1d(array[part][row]))}"
    return "holds", f"typical rows, ties, up to {MODERATE:.0f} right, up to {MODERATE:.0f} wrong"


def _differences(rows: _Rows) -> tuple[Outcome, str]:
    slopes = differences(rows.call, rows.batch, None, {}, False)["gradient"].high
    known = np.isfinite(slopes).all(axis=1)
    if not known.any():
        return "note", "no row is smooth enough to tell by differences"
    if not np.any(slopes[known]):
        return "fails", "the loss does not change with the logits: nothing can be learnt from it"
    outcome, seen = _same(rows.gradient[known], slopes[known])
    return outcome, f"{seen}, of {known.sum()} that are smooth enough"


def _float64(rows: _Rows) -> tuple[Outcome, str]:
    with jax.enable_x64(True):
        wide = jax.jit(rows.call)(jnp.asarray(rows.batch.logits.astype(np.float64)), jnp.asarray(rows.batch.labels))
    outcome, seen = _same(rows.values, wide)
    said = seen if outcome == "fails" else f"float64 logits give {wide.dtype}"
    return ("note" if outcome == "holds" and wide.dtype != np.float64 else outcome), said


def _half(rows: _Rows) -> tuple[Outcome, str]:
    z = jnp.asarray(rows.batch.logits, jnp.bfloat16)
    out = jax.jit(rows.call)(z, rows.batch.labels)
    expected, _ = rows.run(z.astype(jnp.float32), rows.batch.labels)
    with np.errstate(invalid="ignore"):
        off = float(np.max(np.abs(np.asarray(out, np.float32) - expected)) / max(np.max(np.abs(expected)), 1e-30))
    said = f"{out.dtype}, {'as of float32 logits' if off <= COARSE else f'off by {off:.1g} of the largest value'}"
    if not off <= COARSE:
        return "fails", said
    return ("holds" if out.dtype == jnp.float32 else "note"), said


def _transformed(rows: _Rows) -> tuple[Outcome, str]:
    z, y = jnp.asarray(rows.batch.logits), jnp.asarray(rows.batch.labels)
    alone = jax.jit(jax.vmap(lambda z, y: rows.call(z[None], y[None])[0]))(z, y)
    pairs = jax.jit(jax.vmap(rows.call))(z.reshape(2, -1, CLASSES), y.reshape(2, -1))
    for way, values in {"one by one under vmap": alone, "in two batches under vmap": pairs}.items():
        outcome, seen = _same(np.ravel(values), rows.values)
        if outcome == "fails":
            return outcome, f"{way}: {seen}"
    return "holds", "one by one and in two batches"


def _independent(rows: _Rows) -> tuple[Outcome, str]:
    half = len(rows.values) // 2
    z, y = rows.batch.logits.copy(), rows.batch.labels.copy()
    z[half:], y[half:] = z[half:][::-1] - 1, (y[half:][::-1] + 1) % CLASSES
    values, slopes = rows.run(z, y)
    outcome, seen = _same(values[:half], rows.values[:half])
    if outcome == "holds":
        outcome, seen = _same(slopes[:half], rows.gradient[:half])
    return outcome, "" if outcome == "holds" else f"with other rows beside it: {seen}"


def _led(rows: _Rows, lead: float) -> NDArray[Any]:
    """Values where the label leads by so much, all other classes being alike; one for each class."""
    z, y = np.zeros_like(rows.batch.logits), np.arange(len(rows.values), dtype=np.int32) % CLASSES
    z[np.arange(len(y)), y] = lead
    return rows.run(z, y)[0][:CLASSES]


def _sides(rows: _Rows) -> tuple[Outcome, str]:
    right, wrong = float(np.max(_led(rows, 3.0))), float(np.min(_led(rows, -3.0)))
    return ("holds" if right < wrong else "fails"), f"{right:.3g} where the label leads by 3, {wrong:.3g} behind by 3"


def _zero(rows: _Rows) -> tuple[Outcome, str]:
    value = float(np.max(np.abs(_led(rows, MODERATE))))
    return ("holds" if value < CLOSE else "note"), f"{value:.2g} where the label leads by {MODERATE:.0f}"


def _bad_labels(rows: _Rows) -> tuple[Outcome, str]:
    y = rows.batch.labels.copy()
    bad = {1: -1, 2: CLASSES}
    y[list(bad)] = list(bad.values())
    values, slopes = rows.run(rows.batch.logits, y)
    for row, label in bad.items():
        if not np.isnan(values[row]):
            return "fails", f"label {label} of {CLASSES} classes gives {values[row]:.3g} (ce_jax.log_prob gives NaN)"
        if not np.isnan(slopes[row]).all():
            return "fails", f"label {label} of {CLASSES} classes gives the gradient {_short(slopes[row])}"
    return _others(rows, values, list(bad))


def _nan(rows: _Rows) -> tuple[Outcome, str]:
    z = rows.batch.logits.copy()
    z[1, 2] = np.nan
    values, _ = rows.run(z, rows.batch.labels)
    if not np.isnan(values[1]):
        return "fails", f"a NaN among the logits gives {values[1]:.3g}"
    return _others(rows, values, [1])


def _others(rows: _Rows, values: NDArray[Any], changed: list[int]) -> tuple[Outcome, str]:
    outcome, seen = _same(np.delete(values, changed), np.delete(rows.values, changed))
    return outcome, "in their own rows alone" if outcome == "holds" else f"and change other rows: {seen}"


def _mask(rows: _Rows) -> tuple[Outcome, str]:
    if not rows.masks:
        return "note", "it takes no `where`: no class can be left out"
    y, where = rows.batch.labels % (CLASSES - 1), np.arange(CLASSES)[None] < CLASSES - 1
    expected = None
    for hidden in (0.0, 1e4, np.nan):
        z = np.where(where, rows.batch.logits, np.float32(hidden))
        values, slopes = rows.run(z, y, where)
        expected = values if expected is None else expected
        outcome, seen = _same(values, expected)
        if outcome == "fails" or np.any(slopes[:, -1]):
            return "fails", f"a hidden class with the logit {hidden:g} changes value or gradient: {seen}"
    own, _ = rows.run(rows.batch.logits, np.full_like(y, CLASSES - 1), where)
    return (
        ("holds", "") if np.isnan(own).all() else ("fails", "a `where` that hides the row's own label gives a number")
    )


_CHECKS: dict[str, Callable[[_Rows], tuple[Outcome, str]]] = {
    "finite values": lambda rows: _finite(rows, rows.values),
    "finite gradients": lambda rows: _finite(rows, rows.gradient),
    "the gradient is that of finite differences in float64": _differences,
    "less where the model is right than where it is wrong": _sides,
    "0 where the model is confidently right": _zero,
    "each example by itself": _independent,
    "the same under jit and vmap": _transformed,
    "float32 values are those of float64": _float64,
    "bfloat16 logits give float32": _half,
    "labels that are no class give NaN": _bad_labels,
    "NaN logits give NaN": _nan,
    "hidden classes have no part": _mask,
}
