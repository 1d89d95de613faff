"""Archives of numpy arrays, under the names that this project, Keras, scikit-learn and others give them."""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from ...errors import UserError, nearest
from ..options import DataOptions
from ..records import RawTable
from .labels import NO_NUMBERS, label_text
from .naming import quoted
from .opening import contents, reason, refuse_what_cannot_fit
from .rows import Rows, finished

PAIRS = (
    ("inputs", "labels"),
    ("X", "y"),
    ("x", "y"),
    ("data", "target"),
    ("data", "labels"),
    ("images", "labels"),
    ("features", "labels"),
)
"""Names of inputs and labels, the first that are there being taken."""
IN_PARTS = tuple(
    tuple((inputs.format(part), labels.format(part)) for part in ("train", "val", "valid", "test"))
    for inputs, labels in (
        ("x_{}", "y_{}"),
        ("X_{}", "y_{}"),
        ("{}_images", "{}_labels"),
        ("{}_data", "{}_labels"),
        ("{}_x", "{}_y"),
        ("{}_X", "{}_y"),
    )
)
"""Names of the parts of data that are split already; they are put together and split afresh."""
DEFLATES = 1032
"""Bytes that one byte of a deflated file can become at most (zlib's own figure)."""


class Member(NamedTuple):
    """An array of an archive that has not been read yet: its file, shape and dtype."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype


def read_npz(path: Path, options: DataOptions) -> RawTable:
    """Read inputs [N, D], [N, H, W] or [N, ...] and labels [N] (or those that data.label names) of an archive.

    Inputs keep their shape; grey images [N, H, W] get the axis of channels that images have, [N, H, W, 1].
    """
    content = contents(path, "an npz archive", reads=("a numpy archive", "a zip archive"))
    # Asked first, because np.load takes whatever else it is given for a pickle.
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise UserError(f"{path}: not an npz archive; numpy.savez(path, inputs=..., labels=...) writes one")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            pairs = _pairs(path, members, options.label)
            found = {name: _member(path, archive, name, members[name]) for pair in pairs for name in pair}
            refuse_what_cannot_fit(path, sum(math.prod(one.shape) * (one.dtype.itemsize + 8) for one in found.values()))
            _check_shapes(path, pairs, found)
            arrays = {name: _array(archive, one) for name, one in found.items()}
            return _table(path, pairs, arrays, options)
    except UserError:
        raise
    except Exception as error:  # zipfile, its decompressors, numpy and ast each have errors of their own
        raise UserError(f"{path}: not plain arrays in an npz archive ({reason(error)})") from None


def _pairs(path: Path, members: Mapping[str, object], label: str | None) -> list[tuple[str, str]]:
    """The names of inputs and labels, part by part."""
    if label is not None:
        inputs = next((one for one, _ in PAIRS if one in members and one != label), "inputs")
        wanted = [(inputs, label)]
    else:
        whole = [pair for pair in PAIRS if set(pair) <= set(members)][:1]
        parts = ([pair for pair in pairs if set(pair) <= set(members)] for pairs in IN_PARTS)
        wanted = whole or next((pairs for pairs in parts if pairs), [PAIRS[0]])
    for name in (name for pair in wanted for name in pair):
        if name not in members:
            raise UserError(f"{path}: no array {name!r}; there are {quoted(members) or 'none'}{nearest(name, members)}")
    return wanted


def _member(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Member:
    """Shape and dtype of an array, from its header; its announced size is checked before anybody allocates it."""
    if info.flag_bits & 1:
        raise UserError(f"{path}: {name!r} is encrypted")
    with archive.open(info) as file:
        if file.read(6) != np.lib.format.MAGIC_PREFIX:
            raise UserError(f"{path}: {name!r} is no array of numpy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise UserError(f"{path}: {name!r} is an array of numpy's format {version}, which is not read here")
        try:
            shape, _, dtype = read(file)
        except Exception:
            raise UserError(f"{path}: {name!r} has a header that numpy cannot read: damaged") from None
        header = file.tell()
    if dtype.hasobject:
        raise UserError(
            f"{path}: not plain arrays in an npz archive ({name!r} holds Python objects; Object arrays are pickles, "
            "which could run any code)"
        )
    announced = math.prod(shape) * dtype.itemsize
    held = info.file_size - header
    if min(shape, default=0) < 0 or announced != held or info.file_size > DEFLATES * info.compress_size + DEFLATES:
        raise UserError(
            f"{path}: {name!r} announces {announced:,} bytes {list(shape)}, the file holds {held:,}: damaged"
        )
    return Member(info, shape, dtype)


def _check_shapes(path: Path, pairs: list[tuple[str, str]], found: Mapping[str, Member]) -> None:
    """Refuse shapes and dtypes that are no inputs with their labels."""
    first = found[pairs[0][0]]
    for name, label in pairs:
        inputs, labels = found[name], found[label]
        given = f"{inputs.dtype} {list(inputs.shape)}"
        if inputs.dtype.kind not in "biuf" or len(inputs.shape) < 2:
            raise UserError(f"{path}: expected {name!r} [N, D] or [N, H, W, C] of numbers, got {given}")
        if inputs.shape[1:] != first.shape[1:]:
            raise UserError(
                f"{path}: {pairs[0][0]!r} {list(first.shape)} and {name!r} {list(inputs.shape)} do not go together"
            )
        if labels.dtype.kind not in "biufSU":
            raise UserError(f"{path}: expected {label!r} to hold numbers or texts, got {labels.dtype}")
        if labels.shape not in ((inputs.shape[0],), (inputs.shape[0], 1)):
            expected = f"expected {label!r} of shape [{inputs.shape[0]}], one label per example"
            raise UserError(f"{path}: {expected}, got shape {list(labels.shape)}")
        if math.prod(inputs.shape) == 0:
            raise UserError(f"{path}: {name!r} of shape {list(inputs.shape)} is empty")


def _array(archive: zipfile.ZipFile, member: Member) -> np.ndarray:
    with archive.open(member.info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # to the end, where the checksum is compared
    return array


def _table(
    path: Path, pairs: list[tuple[str, str]], arrays: Mapping[str, np.ndarray], options: DataOptions
) -> RawTable:
    inputs = np.concatenate([arrays[name] for name, _ in pairs]) if len(pairs) > 1 else arrays[pairs[0][0]]
    labels = np.concatenate([arrays[name].reshape(-1) for _, name in pairs])
    shape = (*inputs.shape[1:], 1) if inputs.ndim == 3 else inputs.shape[1:]
    with np.errstate(over="ignore"):
        rows = inputs.reshape(len(inputs), -1).astype(np.float64)
    if inputs.dtype.kind == "i":
        rows[np.isin(rows, NO_NUMBERS)] = np.nan
    infinite = np.isinf(rows)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        where = f"row {row + 1}, feature {column + 1}"
        raise UserError(f"{path}: {where}: expected a finite number, got {rows[row, column]}")
    names = tuple(f"feature_{i}" for i in range(rows.shape[1]))
    what = f"{path}, {pairs[0][1]!r}"
    # polars takes neither other byte orders nor all widths.
    plain = labels.astype(np.float64) if labels.dtype.kind == "f" else labels.astype(labels.dtype.newbyteorder("="))
    table = finished(
        Rows(
            inputs=rows,
            labels=label_text(pl.Series(plain), what),
            feature_names=names,
            owners=names,
            what=what,
            place=lambda row: f"row {row + 1}",
            cell=lambda row, feature: f"{path}: row {row + 1}, feature {feature + 1}",
            came=lambda row, feature: f"{inputs.reshape(rows.shape)[row, feature]}",
        ),
        options,
    )
    assert table.account is not None
    together = " together, split afresh" if len(pairs) > 1 else ""
    notes = (f"the arrays {quoted(name for pair in pairs for name in pair)}{together}",) if pairs != [PAIRS[0]] else ()
    account = table.account._replace(label=pairs[0][1], notes=(*notes, *table.account.notes))
    return table._replace(inputs=table.inputs.reshape(-1, *shape), account=account)
