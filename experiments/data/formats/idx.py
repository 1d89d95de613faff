"""Folders of MNIST-format files: those of MNIST itself, Fashion-MNIST, KMNIST and EMNIST, plain or .gz."""

import gzip
import io
import math
import re
import zlib
from pathlib import Path

import numpy as np
import polars as pl

from ...errors import UserError
from ..options import DataOptions
from ..records import Account, RawTable
from .labels import encode_labels, label_text
from .opening import contents, near_files, reason, refuse_what_cannot_fit

TEST_PARTS = ("t10k", "test")
"""What the second pair of files is called, by MNIST and by EMNIST."""


def read_idx(folder: Path, options: DataOptions) -> RawTable:
    """Read a folder of files like train-images-idx3-ubyte; a dot for a hyphen and a name in front are understood.

    When the t10k or test pair is there too, its examples follow the others and are split afresh together with them, so
    the accuracies are not comparable with ones published for the official test images.
    """
    if not folder.is_dir():
        came = ", got something else" if folder.exists() else near_files(folder)
        raise UserError(f"{folder}: expected a folder of MNIST-format files{came}")
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    fronts = {found[1] for name in names if (found := re.match(r"(.*?)train-images[-.]idx3-ubyte", name))}
    if len(fronts) > 1:
        shown = ", ".join(repr(front.rstrip("-")) for front in sorted(fronts))
        raise UserError(f"{folder}: expected one data set, got {len(fronts)} ({shown}); give each a folder of its own")
    front = fronts.pop() if fronts else ""
    parts = [
        f"{front}train",
        *(f"{front}{part}" for part in TEST_PARTS if any(n.startswith(f"{front}{part}-") for n in names)),
    ]
    pairs = [_pair(folder, part) for part in parts]
    if len({images.shape[1:] for images, _ in pairs}) > 1:
        raise UserError(f"{folder}: the {' and '.join(parts)} images differ in shape")
    images, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    if images.size == 0:
        raise UserError(f"{folder}: the image files are empty")
    _, rows, columns = images.shape
    # float32 holds every uint8 exactly, at half the memory of float64.
    inputs = images[..., None].astype(np.float32)
    what = f"{folder}, labels"
    encoded = encode_labels(label_text(pl.Series(labels), what), what)
    notes = (f"the files of {' and '.join(parts)} together, split afresh",) if len(parts) > 1 else ()
    account = Account(source="", rows=len(labels), notes=notes)
    pixels = tuple(f"pixel_{i}_{j}" for i in range(rows) for j in range(columns))
    return RawTable(inputs, *encoded, pixels, account)


def _pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _array(folder, f"{part}-images", 3), _array(folder, f"{part}-labels", 1)
    if len(images) != len(labels):
        raise UserError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
    return images, labels


def _array(folder: Path, start: str, rank: int) -> np.ndarray:
    name = f"{start}-idx{rank}-ubyte"
    spelt = [f"{start}{mark}idx{rank}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    path = next((place for one in spelt if (place := folder / one).exists() and not place.is_dir()), None)
    if path is None:
        raise UserError(f"{folder}: expected the file {name} or {name}.gz{near_files(folder / name)}")
    content = contents(path, "an MNIST-format file", reads=("a gzip file",))
    # The header: two zero bytes, the type (8 is uint8), the rank, then one big-endian uint32 per axis.
    length = 4 + 4 * rank
    try:
        packed = path.suffix == ".gz" or content.startswith(b"\x1f\x8b")
        stream = gzip.GzipFile(fileobj=io.BytesIO(content)) if packed else io.BytesIO(content)
        head = stream.read(length)
        if len(head) < length or head[:4] != bytes([0, 0, 8, rank]):
            raise UserError(f"{path}: not an MNIST-format file of uint8 values with {rank} axes")
        shape = np.frombuffer(head, ">u4", count=rank, offset=4).tolist()
        announced = math.prod(shape)
        if not packed and len(content) - length != announced:
            raise UserError(f"{path}: {announced} values announced, {len(content) - length} found")
        refuse_what_cannot_fit(path, 5 * announced)  # as they are, and as float32
        # One more than announced, to see whether there are more.
        values = stream.read(min(announced + 1, 1032 * len(content) + 1032))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a gzip file ({reason(error)})") from None
    if len(values) != announced:
        found = f"{len(values)}" if len(values) <= announced else "more"
        raise UserError(f"{path}: {announced} values announced, {found} found")
    return np.frombuffer(values, np.uint8).reshape(shape)
