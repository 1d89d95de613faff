"""Files as others write them: dialects of text, archives of other programs, and what is no data at all."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from experiments.data import DataOptions, load_dataset
from experiments.errors import UserError
from tests.test_readers import idx_bytes, write

CELLS = [(f"{i}.5", f"{i % 4 - 2}", "uvw"[i % 3]) for i in range(12)]
INPUTS = np.array([[i + 0.5, i % 4 - 2] for i in range(12)])


def joined(separator=",", header=("a", "b", "y"), cells=CELLS, end="\n"):
    return "".join(separator.join(row) + end for row in ([header] if header else []) + list(cells))


def load(folder, content, **options):
    return load_dataset(f"csv:{write(folder, content)}", DataOptions(**options))


def changed(column, change):
    return [tuple(change(cell) if place == column else cell for place, cell in enumerate(row)) for row in CELLS]


COMMAS = changed(0, lambda cell: cell.replace(".", ","))


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (joined(";"), {}),
        (joined("\t"), {}),
        (joined("|"), {}),
        (joined(" "), {}),
        (joined("   "), {}),
        (joined("~"), {"separator": "~"}),
        (joined("\t"), {"separator": "tab"}),
        (joined(", "), {}),
        (joined(";", cells=COMMAS), {}),
        (joined(";", cells=COMMAS), {"decimal": ","}),
        (joined("\t", cells=COMMAS), {}),
        (joined(end="\r"), {}),
        (joined(end="\r\r\n"), {}),
        (joined(end="\n\n"), {}),
        (joined(end="\n   \n"), {}),
        (joined(end="\n , , \n,,\n"), {}),
        (joined(end=",\n"), {}),
        (joined(header=("a", "b", "y"), cells=[(*row, "") for row in CELLS]), {}),
        ("sep=,\n" + joined(), {}),
        ("sep=;\n" + joined(";"), {}),
        ("SEP=|\r\n" + joined("|", end="\r\n"), {}),
        ("# made by hand\n#\n" + joined(), {}),
        ("# " + joined(), {}),
        ("# " + joined(" "), {}),
        ("#" + joined(), {}),
        ("\ufeff" + joined(), {}),
        ("\ufeffsep=,\n" + joined(), {}),
        (joined().encode("utf-16"), {}),
        (joined().encode("utf-16-le"), {}),
        (joined().encode("utf-16-be"), {}),
        (joined(cells=changed(2, '"{}"'.format)), {}),
        (joined(", ", cells=changed(2, '"{}"'.format)), {}),
        (joined(" ,  ", cells=changed(2, '"{}" '.format)), {}),
        (joined(header=('"a"', ' "b"', '"y"')), {}),
        (joined(header=('"a"', '"b"', '"y"'), cells=changed(0, '"{}"'.format)), {}),
        (joined(" ", cells=changed(2, '"{}"'.format)), {}),
        (joined(cells=[(f'"{i}"', *row) for i, row in enumerate(CELLS)]), {}),  # as R writes the names of rows
        (joined(header=("3", "1", "y")), {"header": True, "columns": (3, 1)}),
    ],
)
def test_every_dialect_gives_the_same_table(tmp_path, content, options):
    dataset = load(tmp_path, content, **options)
    assert dataset.class_names == ("u", "v", "w")
    np.testing.assert_array_equal(dataset.inputs, INPUTS)
    np.testing.assert_array_equal(dataset.labels, np.arange(12) % 3)
    if "header" not in options:
        assert dataset.feature_names == ("a", "b")
        assert dataset.account.label == "y"


def test_latin_1_is_named(tmp_path):
    content = joined(cells=changed(2, "é{}".format)).encode("latin-1")
    with pytest.raises(UserError, match=r'not UTF-8 text; data\.encoding = "latin-1"'):
        load(tmp_path, content)
    assert load(tmp_path, content, encoding="latin-1").class_names == ("éu", "év", "éw")
    with pytest.raises(UserError, match=r"not ASCII text$"):
        load(tmp_path, content, encoding="ascii")


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ('"u, v"', "u, v"),
        (' "u, v" ', "u, v"),
        ('"say ""u"""', 'say "u"'),
        ('5"', '5"'),
        ('O"Brian', 'O"Brian'),
        ("'u'", "'u'"),
        ('"u\nv"', "u v"),
        ('" u "', "u"),
        ("it's", "it's"),
    ],
)
def test_quotes_protect_what_is_in_a_cell_and_are_not_part_of_it(tmp_path, cell, label):
    dataset = load(tmp_path, "a,y,b\n" + f"1,{cell},2\n3,other,4\n" * 5)
    assert set(dataset.class_names) == {label, "other"}
    np.testing.assert_array_equal(dataset.inputs, [[1, 2], [3, 4]] * 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,y\n1,u\n2,"u"v\n', "line 3: a quotation mark inside a cell: '2,\"u\"v'"),
        ('a,y\n\n1,u\n2,"u\n3,v\n', "line 4: a quotation mark that is not closed: '2,\"u'"),
        ('a,y\n1,"u\nx"\n2,"v"w\n', "line 4: a quotation mark inside a cell"),
        ('a,y\n1,"u\nx"\nred,v\n2,v\n3,v\n', "column 'a', line 4: expected a finite number, got 'red'"),
        ("a;y\n1;u\n2;v;3\n", "line 3 has 3 cells, the first line 2"),
        ("# one\n\n# two\n", "nothing but lines that are blank or begin with #"),
        ("a,y\n1,\0u\n", "this is no text"),
        ("a,y\n" + "".join(f"{i},123;{'uv'[i % 2]}\n".replace(",", "\x1f") for i in range(9)), "control characters"),
        ("a;y\n" + "".join(f"{i},123;{'uv'[i % 2]}\n" for i in range(9)), r'got \'0,123\'; data\.decimal = ","'),
        ("a;y\n" + "".join(f"{i},5;{'uv'[i % 2]}\n" for i in range(9)) + "1.5;u\n", "number, got '0,5'"),
    ],
)
def test_text_that_is_damaged(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, content)


def test_a_decimal_point_among_decimal_commas(tmp_path):
    content = "a;y\n" + "".join(f"1.{i}34,5;{'uv'[i % 2]}\n" for i in range(9))
    np.testing.assert_array_equal(load(tmp_path, content, decimal=",").inputs[:, 0], 1034.5 + 100 * np.arange(9))
    with pytest.raises(UserError, match=r"line 11: expected decimal commas, .* got '2\.5'"):
        load(tmp_path, content + "2.5;u\n", decimal=",")
    # 1.234 is a thousand and more where a comma is the decimal point.
    assert load(tmp_path, content + "1.234;u\n", decimal=",").inputs[-1, 0] == 1234


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("30,62,3,1\n31,58,0,2\n" * 5, "'30' is a number, and they do not count the columns; no column names?"),
        ("0,1,1\n1,0,1\n0,0,0\n1,1,0\n" * 4, "'0' is a number"),
        ("5.1;3.5;u\n4.9;3.0;v\n" * 5, "'5.1' is a number"),
        ("5,1;3,5;u\n4,9;3,0;v\n" * 5, "'5,1' is a number"),
        ("p,x,s\ne,x,y\np,b,s\n" * 5, "each of its cells, such as 'p', comes again in its column; no column names?"),
        ("1980,1981,class\n5,6,u\n7,8,v\n" * 5, "'1980' is a number"),
        ("u,0\nv,1\n" * 5, "such as 'u', comes again"),
    ],
)
def test_files_without_column_names(tmp_path, content, message):
    with pytest.raises(UserError, match="names of the columns on the first line, but .*" + message):
        load(tmp_path, content)
    dataset = load(tmp_path, content, header=False, categories="onehot", label="column_2")
    assert len(dataset.labels) == content.count("\n")
    assert "the file has no column names" in dataset.account.notes


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_that_count_the_columns_are_names(tmp_path, first):
    names = tuple(str(first + i) for i in range(3))
    assert load(tmp_path, joined(header=names)).feature_names == names[:2]


def test_numbers_that_count_the_columns_beside_a_name(tmp_path):
    dataset = load(tmp_path, "label,1,2\n" + "0,1,2\n1,2,1\n" * 4)
    assert dataset.feature_names == ("1", "2")


# --- what is no data ---


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "/", 1), content)
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("flowers.csv"))
    return buffer.getvalue()


OTHERS = {
    "an HTML page": b"\n<!DOCTYPE HTML>\n<html><body>Sign in</body></html>",
    "a pointer of git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "a gzip file": gzip.compress(joined().encode()),
    "a tar archive": tarred(),
    "an Excel workbook": zipped(xl_workbook="<x/>"),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "JSON": b'[{"a": 1, "y": "u"}]',
    "an ARFF file": b"% 1. Title: Iris\n%\n@RELATION iris\n@DATA\n5.1,u\n",
    "a pickle": pickle.dumps([1, 2, 3]),
    "a PNG image": b"\x89PNG\r\n\x1a\n",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
}


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "idx"])
@pytest.mark.parametrize("what", OTHERS)
def test_files_of_other_kinds_are_named(tmp_path, kind, what):
    name = "train-images-idx3-ubyte" if kind == "idx" else f"flowers.{kind}"
    write(tmp_path, OTHERS[what], name)
    place = tmp_path if kind == "idx" else tmp_path / name
    expected = "uint8 values with 3 axes" if (kind, what) == ("idx", "a gzip file") else f"; this is {what}"
    with pytest.raises(UserError, match=expected) as raised:
        load_dataset(f"{kind}:{place}", DataOptions())
    assert name in str(raised.value)


def test_one_format_under_the_name_of_another(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.ones((9, 2)), labels=np.arange(9) % 3)
    for kind, what in (("csv", "a numpy archive; name it as npz:PATH"), ("parquet", "a numpy archive")):
        with pytest.raises(UserError, match=what):
            load_dataset(f"{kind}:{tmp_path / 'a.npz'}", DataOptions())
    with pytest.raises(UserError, match=r"no array 'inputs'; there are 'a\.csv'"):
        load_dataset(f"npz:{write(tmp_path, zipped(**{'a.csv': 'a,y'}), 'b.npz')}", DataOptions())
    with pytest.raises(UserError, match="a zip archive; unpack it first"):
        load_dataset(f"csv:{tmp_path / 'b.npz'}", DataOptions())


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "idx"])
def test_pipes_and_devices_are_not_waited_for(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match=r"expected a (file|folder)"):
            load_dataset(f"{kind}:{place}", DataOptions())
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(UserError, match="got a named pipe"):
        load_dataset(f"idx:{tmp_path}", DataOptions())


@pytest.mark.parametrize("path", ["a\0b", "a" * 400, "flowers.csv/more"])
def test_paths_that_cannot_be(tmp_path, path):
    write(tmp_path, joined())
    with pytest.raises(UserError, match=r"cannot be read|no such file"):
        load_dataset(f"csv:{tmp_path}/{path}", DataOptions())


# --- archives of arrays ---

IMAGES, LABELS = np.random.default_rng(0).integers(0, 99, (12, 4, 4)), np.arange(12) % 3


def load_arrays(folder, arrays, **options):
    np.savez_compressed(folder / "t.npz", **arrays)
    return load_dataset(f"npz:{folder / 't.npz'}", DataOptions(**options))


@pytest.mark.parametrize(
    "names",
    [("X", "y"), ("x", "y"), ("data", "target"), ("images", "labels"), ("data", "labels"), ("inputs", "labels")],
)
def test_usual_names_of_arrays(tmp_path, names):
    dataset = load_arrays(tmp_path, dict(zip(names, (IMAGES, LABELS), strict=True)))
    np.testing.assert_array_equal(dataset.inputs[..., 0], IMAGES)
    assert dataset.account.label == names[1]


@pytest.mark.parametrize("style", ["x_{}", "X_{}", "{}_images"])
def test_archives_of_parts_are_put_together(tmp_path, style):
    parts, number = {}, iter(range(9))
    label = "{}_labels" if style == "{}_images" else "y_{}"
    for part in ("test", "train", "val"):
        parts |= {style.format(part): IMAGES + 100 * next(number), label.format(part): LABELS[:, None]}
    dataset = load_arrays(tmp_path, parts)
    # In the order train, val, test.
    np.testing.assert_array_equal(dataset.inputs[..., 0], np.concatenate([IMAGES + 100, IMAGES + 200, IMAGES]))
    np.testing.assert_array_equal(dataset.labels, np.tile(LABELS, 3))
    assert dataset.account.notes[0].endswith("together, split afresh")
    parts[style.format("test")] = IMAGES[:, :2]
    with pytest.raises(UserError, match=r"\[12, 4, 4\] and .* \[12, 2, 4\] do not go together"):
        load_arrays(tmp_path, parts)


@pytest.mark.parametrize("labels", [LABELS.astype(">i8"), LABELS.astype("f2"), LABELS.astype("u1"), LABELS == 1])
def test_labels_of_any_width_and_byte_order(tmp_path, labels):
    dataset = load_arrays(tmp_path, {"inputs": IMAGES.astype(">f4"), "labels": labels})
    np.testing.assert_array_equal(dataset.labels, labels.astype(int))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": IMAGES.astype("M8[D]")}, r"of numbers, got datetime64\[D\] \[12, 4, 4\]"),
        ({"inputs": IMAGES + 1j}, "of numbers, got complex128"),
        ({"labels": LABELS.astype("M8[D]")}, "'labels' to hold numbers or texts, got datetime64"),
        ({"labels": np.zeros(12, "i4,i4")}, "'labels' to hold numbers or texts"),
        ({"labels": LABELS.astype(object)}, "'labels' holds Python objects"),
        ({"labels": np.where(LABELS == 2, np.nan, LABELS)}, "row 3 has no label"),
        ({"labels": np.full(12, b"\xff\xfe")}, "'labels'"),
        ({"inputs": np.float64(3)}, r"got float64 \[\]"),
    ],
)
def test_arrays_that_are_no_data(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        load_arrays(tmp_path, {"inputs": IMAGES, "labels": LABELS} | arrays)


def archive(path, header, content=bytes(384), name="inputs.npy"):
    """An npz whose `inputs` has a header of its own."""
    text = header.encode().ljust(117) + b"\n"
    labels = io.BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + content)
        file.writestr("labels.npy", labels.getvalue())
    return f"npz:{path}"


def header(shape="(12, 4)", descr="'<f8'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (header("(12, 400000000000)"), r"announces 38,400,000,000,000 bytes \[12, .*, the file holds 384: damaged"),
        (header(f"({2**40}, {2**40})"), "the file holds 384: damaged"),
        (header("(-12, -4)"), "the file holds 384: damaged"),
        (header("(12, 3)"), "announces 288 bytes"),
        (header("12"), "header that numpy cannot read"),
        (header(descr="'<q99'"), "header that numpy cannot read"),
        (header(descr="'|O'"), "holds Python objects"),
        ("{'descr': '<f8', 'fortran_order", "header that numpy cannot read"),
        ("__import__('os').getcwd()", "header that numpy cannot read"),
        ("[" * 100, "header that numpy cannot read"),
    ],
)
def test_headers_are_checked_before_anything_is_allocated(tmp_path, text, message):
    assert load_dataset(archive(tmp_path / "t.npz", header()), DataOptions()).inputs.shape == (12, 4)
    with pytest.raises(UserError, match=message):
        load_dataset(archive(tmp_path / "t.npz", text), DataOptions())


def test_arrays_beyond_the_memory_are_refused(tmp_path, monkeypatch):
    pages = {"SC_AVPHYS_PAGES": 1, "SC_PAGE_SIZE": 600}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    with pytest.raises(UserError, match=r"its arrays need 0\.0 GiB of memory, and 0\.0 GiB are free"):
        load_arrays(tmp_path, {"inputs": IMAGES, "labels": LABELS})
    write(tmp_path, idx_bytes(np.zeros((12, 9, 9), np.uint8)), "train-images-idx3-ubyte")
    with pytest.raises(UserError, match="train-images-idx3-ubyte: its arrays need"):
        load_dataset(f"idx:{tmp_path}", DataOptions())


def test_members_that_are_no_arrays(tmp_path):
    path = write(tmp_path, zipped(inputs="hello", labels="you"), "t.npz")
    with pytest.raises(UserError, match="'inputs' is no array of numpy"):
        load_dataset(f"npz:{path}", DataOptions())


def test_no_flipped_byte_of_an_archive_goes_unnoticed(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=IMAGES[:, 0], labels=LABELS)
    whole, refused = buffer.getvalue(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        try:
            dataset = load_dataset(f"npz:{write(tmp_path, bytes(damaged), 't.npz')}", DataOptions())
        except UserError:
            refused += 1
        else:  # a date, or another field that says nothing of the arrays
            np.testing.assert_array_equal(dataset.inputs, IMAGES[:, 0])
            np.testing.assert_array_equal(dataset.labels, LABELS)
    assert refused > len(whole) / 2


# --- folders of MNIST-format files ---

PICTURES, DIGITS = IMAGES.astype(np.uint8), LABELS.astype(np.uint8)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("train-images.idx3-ubyte.gz", "t10k-images-idx3-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte.gz"),
        ("train-images-idx3-ubyte", None),
    ],
)
def test_names_of_mnist_files(tmp_path, train, test):
    for name, images in ((train, PICTURES), (test, PICTURES[:6])):
        for file, array in ((name, images), (name and name.replace("images", "labels"), DIGITS[: len(images)])):
            if name:
                packed = gzip.compress if file.endswith(".gz") else bytes
                array_name = file.replace("idx3", "idx1") if "labels" in file else file
                write(tmp_path, packed(idx_bytes(array)), array_name)
    write(tmp_path, "mapping", "emnist-letters-mapping.txt")
    dataset = load_dataset(f"idx:{tmp_path}", DataOptions())
    expected = np.concatenate([PICTURES, PICTURES[:6]]) if test else PICTURES
    np.testing.assert_array_equal(dataset.inputs[..., 0], expected)
    assert bool(dataset.account.notes) == bool(test)


def test_several_data_sets_in_one_folder(tmp_path):
    for name in ("emnist-letters", "emnist-digits"):
        write(tmp_path, idx_bytes(PICTURES), f"{name}-train-images-idx3-ubyte")
    with pytest.raises(UserError, match=r"expected one data set, got 2 \('emnist-digits', 'emnist-letters'\)"):
        load_dataset(f"idx:{tmp_path}", DataOptions())


def test_packed_files_that_hold_other_than_they_announce(tmp_path):
    write(tmp_path, idx_bytes(DIGITS), "train-labels-idx1-ubyte")
    huge = idx_bytes(PICTURES)[:4] + struct.pack(">3I", 2**20, 2**10, 2**2) + bytes(2**20)
    for content, message in (
        (idx_bytes(PICTURES) + b"more", "192 values announced, more found"),
        (idx_bytes(PICTURES)[:-3], "192 values announced, 189 found"),
        (huge, r"4294967296 values announced|need .* memory"),
    ):
        write(tmp_path, gzip.compress(content), "train-images-idx3-ubyte.gz")
        with pytest.raises(UserError, match=message):
            load_dataset(f"idx:{tmp_path}", DataOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"separator": "ab"},
            "separator: expected one character or one of comma, semicolon, tab, pipe, blank, got 'ab'",
        ),
        ({"separator": ""}, "separator: "),
        ({"separator": '"'}, "separator: "),
        ({"encoding": "klingon"}, "encoding: expected the name of an encoding"),
        ({"encoding": "zip"}, "encoding: "),
        ({"decimal": "x"}, "decimal: expected one of auto, ., ,, got 'x'"),
        ({"header": "maybe"}, "header: expected 'auto', true or false, got 'maybe'"),
        ({"missing": "median"}, "missing: expected one of refuse, drop, mean, got 'median'; did you mean 'mean'"),
        ({"categories": "one-hot"}, "categories: expected .* did you mean 'onehot'"),
    ],
)
def test_options_of_files_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        DataOptions(**options)
