"""What the caller of `compare` gave, as the option records take it: their checks are those of a config."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax._checking import MOST_COUNTED, check, first_line, nearest
from ce_jax.losses import validate_labels
from ce_jax.training import Part, Splits


def record(kind: type, key: str, value: Any) -> Any:
    """An options record from a mapping of its fields, from itself, or with its defaults where nothing is given.

    Numbers of numpy and JAX become Python's, and whole ones fractions where the field is one: 1 may stand for 1.0.

    Raises:
      ValueError: `value` is no mapping, has a field that the record does not have, lacks one or has a wrong one.
    """
    if isinstance(value, kind):
        return value
    check(value is None or isinstance(value, Mapping), key, f"a table or {kind.__name__}", value)
    given, fields = dict(value or {}), {one.name: one for one in dataclasses.fields(kind)}
    for name in given:
        if name not in fields:
            raise ValueError(f"{key}: expected {', '.join(fields)}, got {name!r}{nearest(str(name), fields)}")
    for name, one in fields.items():
        bare = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        check(name in given or not bare, key, f"a table with {name}", value)
    hints = typing.get_type_hints(kind)
    return kind(**{name: _fitting(hints[name], python_number(held)) for name, held in given.items()})


def table(key: str, value: Any) -> dict[str, Any]:
    """A mapping as a dict; None is an empty one."""
    check(value is None or isinstance(value, Mapping), key, "a table {name: value}", value)
    return {name: python_number(held) for name, held in (value or {}).items()}


def numbers(value: Any) -> tuple[Any, ...]:
    """A number, or several, as a tuple of Python's; what is neither is left to the record that takes them."""
    if isinstance(value, str | bytes | Mapping) or not (np.iterable(value) or isinstance(value, jax.Array)):
        return (python_number(value),)
    held = map(python_number, [value] if getattr(value, "ndim", 1) == 0 else value)
    return tuple(float(one) if type(one) is int else one for one in held)


def checked_arrays(inputs: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs [N, ...], the classes [K] that the labels name, in order, and the class [N] of every row.

    Raises:
      ValueError: inputs are no finite numbers, or of no features; labels of another length, of fewer than two classes,
        or missing (NaN, None or masked), which is no class of its own.
    """
    for name, given in (("inputs", inputs), ("labels", labels)):
        if np.ma.is_masked(given):
            raise ValueError(f"{name}: expected no masked values; leave those rows out")
    try:
        inputs, labels = np.asarray(inputs), np.asarray(labels)
    except ValueError as error:  # lists of unequal length
        raise ValueError(f"inputs, labels: expected numbers [N, ...] and labels [N]: {first_line(error)}") from None
    numeric = inputs.dtype.kind in "biuf" or jnp.issubdtype(inputs.dtype, jnp.floating)  # bfloat16 is of kind V
    if inputs.ndim < 2 or not numeric or labels.shape != inputs.shape[:1]:
        raise ValueError(
            f"inputs, labels: expected numbers [N, ...] and labels [N], got {inputs.dtype} {list(inputs.shape)} and "
            f"{labels.dtype} {list(labels.shape)}"
        )
    if 0 in inputs.shape[1:]:
        raise ValueError(f"inputs: expected at least one feature, got shape {list(inputs.shape)}")
    if not np.isfinite(inputs).all():
        raise ValueError("inputs: expected finite numbers; got NaN or infinity")
    missing = np.flatnonzero((labels != labels) | np.array([one is None for one in labels.tolist()], bool))
    if missing.size:
        raise ValueError(f"labels[{missing[0]}]: expected a class, got {labels[missing[0]]}; leave such rows out")
    try:
        names, positions = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(one).__name__ for one in labels})
        raise ValueError(f"labels: expected values of one type, got {' and '.join(kinds)}") from None
    if len(names) < 2:
        raise ValueError(f"labels: expected at least two classes, got {names.tolist()}")
    return inputs, names, positions.astype(np.int32)


def checked_splits(given: Splits, dtype: str) -> tuple[Splits, int]:
    """Splits as numpy arrays, inputs of `dtype`, and the number of classes: one more than the largest label.

    Raises:
      ValueError: a part is empty, has inputs that are no finite numbers, another number of labels, or examples of
        another shape than the training part; a label is negative, or there is only one class.
      TypeError: labels are no integers.
    """
    splits = Splits(*(Part(np.asarray(part.inputs), np.asarray(part.labels)) for part in given))
    example = splits.train.inputs.shape[splits.train.labels.ndim :]
    for name, (inputs, labels) in splits._asdict().items():
        if inputs.dtype.kind not in "biuf" and not jnp.issubdtype(inputs.dtype, jnp.floating):
            raise ValueError(f"inputs.{name}: expected numbers, got {inputs.dtype}")
        if not labels.size or labels.ndim not in (1, 2) or not example or inputs.shape != labels.shape + example:
            shapes = f"{list(inputs.shape)} and {list(labels.shape)}"
            raise ValueError(f"inputs.{name}: expected inputs [..., N, ...] and labels [..., N], got {shapes}")
        with np.errstate(over="ignore"):
            fine = np.isfinite(inputs.astype(dtype)).all()
        if not fine:
            raise ValueError(f"inputs.{name}: expected finite numbers of {dtype}; got NaN, infinity or larger ones")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"inputs.{name}: expected labels of integers from 0, got {labels.dtype}")
    known = max(int(part.labels.max()) for part in splits) + 1
    check(known >= 2, "inputs", "at least two classes", known)
    check(known <= MOST_COUNTED, "inputs", f"at most {MOST_COUNTED} classes", known)
    for part in splits:
        validate_labels(part.labels, known)
    return Splits(*(Part(part.inputs.astype(dtype), part.labels.astype(np.int32)) for part in splits)), known


def python_number(value: Any) -> Any:
    """A number of numpy or JAX, or an array of one without axes, as Python's; anything else as it is."""
    return value.item() if isinstance(value, np.generic | np.ndarray | jax.Array) and value.ndim == 0 else value


def _fitting(hint: Any, value: Any) -> Any:
    whole = type(value) is int and abs(value) < 2**1000
    return float(value) if whole and float in (hint, *typing.get_args(hint)[:1]) else value
