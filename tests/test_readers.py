"""Readers of the user's own files: what they accept, and the one line that comes for each thing they do not."""

import gzip
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments.data import DataOptions, load_dataset
from experiments.errors import UserError

IRIS_LIKE = "width,height,species\n" + "".join(f"{i}.5,{-i},{'abc'[i % 3]}\n" for i in range(12))


def write(folder: Path, content: str | bytes, name: str = "flowers.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv(tmp_path):
    path = write(tmp_path, IRIS_LIKE.replace("\n", "\r\n") + "\r\n")
    dataset = load_dataset(f"csv:{path}", DataOptions())
    assert (dataset.name, dataset.source) == ("flowers", f"csv:{path}")
    assert (dataset.feature_names, dataset.class_names) == (("width", "height"), ("a", "b", "c"))
    assert dataset.labels.tolist() == [0, 1, 2] * 4
    np.testing.assert_array_equal(dataset.inputs, [[i + 0.5, -i] for i in range(12)])


@pytest.mark.parametrize(
    ("header", "label", "found"),
    [
        ("label,other", None, "label"),
        ("Target,other", None, "Target"),
        ("y,species", None, "species"),
        ("first,second", None, "second"),
        ("species,second", "second", "second"),
    ],
)
def test_the_label_column(tmp_path, header, label, found):
    path = write(tmp_path, f"{header}\n" + "0,1\n1,0\n" * 5)
    dataset = load_dataset(f"csv:{path}", DataOptions(label=label))
    assert dataset.feature_names == tuple(name for name in header.split(",") if name != found)


@pytest.mark.parametrize(
    ("labels", "class_names", "encoded"),
    [
        (["10", "9", "10.0"], ("9", "10"), [1, 0, 1]),
        ([10, 9, -1], ("-1", "9", "10"), [2, 1, 0]),
        ([2.0, 1.0, 2.0], ("1", "2"), [1, 0, 1]),
        ([0.5, 1.0, 0.5], ("0.5", "1.0"), [0, 1, 0]),
        ([True, False, True], ("false", "true"), [1, 0, 1]),
        ([" b", "a", "10"], ("10", "a", "b"), [2, 1, 0]),
        ([2**60, 2**60 + 1, 2**60], (str(2**60), str(2**60 + 1)), [0, 1, 0]),
    ],
)
def test_labels_of_any_type(tmp_path, labels, class_names, encoded):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"x": range(12), "y": labels * 4}).write_parquet(path)
    dataset = load_dataset(f"parquet:{path}", DataOptions())
    assert dataset.class_names == class_names
    assert dataset.labels.tolist() == encoded * 4


def test_parquet_with_numbers_of_many_kinds(tmp_path):
    path = tmp_path / "table.parquet"
    columns = {"i": [1, 2, 3] * 4, "f": [0.5, 1.5, 2.5] * 4, "b": [True, False, True] * 4, "s": ["1", " 2", "3e0"] * 4}
    pl.DataFrame({**columns, "class": ["u", "v", "w"] * 4}).write_parquet(path)
    dataset = load_dataset(f"parquet:{path}", DataOptions())
    np.testing.assert_array_equal(dataset.inputs[:3], [[1, 0.5, 1, 1], [2, 1.5, 0, 2], [3, 2.5, 1, 3]])


@pytest.mark.parametrize("labels", [np.array(["u", "v"] * 6), np.array([b"u", b"v"] * 6)])
def test_npz(tmp_path, labels):
    inputs = np.arange(48.0).reshape(12, 2, 2)
    np.savez_compressed(tmp_path / "arrays.npz", inputs=inputs, kinds=labels)
    dataset = load_dataset(f"npz:{tmp_path / 'arrays.npz'}", DataOptions(label="kinds"))
    np.testing.assert_array_equal(dataset.inputs, inputs[..., None])
    assert dataset.class_names == ("u", "v")
    assert dataset.labels.tolist() == [0, 1] * 6


@pytest.mark.parametrize(
    ("shape", "kept"),
    [((6, 5), (6, 5)), ((6, 4, 3), (6, 4, 3, 1)), ((6, 4, 3, 2), (6, 4, 3, 2)), ((6, 1, 2, 3, 4),) * 2],
)
def test_npz_keeps_the_shape_of_its_inputs(tmp_path, shape, kept):
    inputs = np.arange(np.prod(shape)).reshape(shape)
    np.savez(tmp_path / "arrays.npz", inputs=inputs, labels=[0, 1] * 3)
    dataset = load_dataset(f"npz:{tmp_path / 'arrays.npz'}", DataOptions())
    assert dataset.inputs.shape == kept
    np.testing.assert_array_equal(dataset.inputs.reshape(shape), inputs)
    assert len(dataset.feature_names) == np.prod(shape[1:])


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    write(folder, idx_bytes(images), f"{part}-images-idx3-ubyte")
    write(folder, gzip.compress(idx_bytes(labels)), f"{part}-labels-idx1-ubyte.gz")


def test_idx(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 3), dtype=np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 2 + 3
    write_idx(tmp_path, "train", images[:12], labels[:12])
    first = load_dataset(f"idx:{tmp_path}", DataOptions())
    write_idx(tmp_path, "t10k", images[12:], labels[12:])
    both = load_dataset(f"idx:{tmp_path}", DataOptions())
    np.testing.assert_array_equal(first.inputs, images[:12, :, :, None])
    np.testing.assert_array_equal(both.inputs, images[..., None])
    assert both.class_names == ("3", "4")
    assert both.feature_names[-1] == "pixel_1_2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("a,y\n", "there are column names but no rows"),
        ("a:y\n1:2\n", r"got 'a:y'; are the cells separated by another character\? data\.separator names it"),
        ("a,y\n1,u\n2,v,3\n", "line 3 has 3 cells, the first line 2"),
        ("a,y\n1,\xe9\n".encode("latin-1"), "not UTF-8 text"),
        ("5.1,3.5,u\n4.9,3.0,v\n", "names of the columns on the first line, but '5.1' is a number"),
        ("a,a,y\n1,2,u\n", "'a' comes twice"),
        ("a,,y\n0,2,u\n", "column 2 has none"),
        ("a,y\n1,u\nred,v\n", "flowers.csv, column 'a', line 3: expected a finite number, got 'red'"),
        ("a,y\n1,u\n\nnan,v\n", "column 'a', line 4: expected a finite number, got 'nan'"),
        ("a,y\n1,u\n-inf,v\n", "column 'a', line 3: expected a finite number, got '-inf'"),
        ("a,y\n1,u\n,v\n", "column 'a', line 3: expected a finite number, got nothing"),
        ("a,y,b\n1,u,1\n1,v\n", "column 'b', line 3: expected a finite number, got nothing"),
        ("a,y\n1,u\n2,\n", "label column 'y': line 3 has no label"),
        ("a,y\n1,1\n2,NaN\n", "label column 'y': line 3 has no label"),
        ("a,y\n" + "1,u\n" * 9, "expected at least two classes, got only 'u'"),
        ("a,y\n" + "1,u\n" * 9 + "1,v\n" * 2, "class 'v': expected at least 3 examples"),
        ("a,y\n" + "".join(f"1,{i / 7}\n" for i in range(30)), "30 different values in 30 rows look like a regression"),
        ("a,y\n" + "".join(f"1,{i}\n" for i in range(30)), "30 rows look like a regression target or an identifier"),
        ("a,y\n" + "1,0.5\n" * 9 + "1,0.25\n", "2 different values in 10 rows look like a regression target"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=message) as raised:
        load_dataset(f"csv:{path}", DataOptions())
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_label_column_that_is_not_there(tmp_path):
    path = write(tmp_path, IRIS_LIKE)
    with pytest.raises(UserError, match="columns are 'width', 'height', 'species'; did you mean 'species'"):
        load_dataset(f"csv:{path}", DataOptions(label="specie"))


def test_parquet_that_cannot_be_used(tmp_path):
    path = write(tmp_path, "no parquet", "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet: not a Parquet file"):
        load_dataset(f"parquet:{path}", DataOptions())
    dates = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 12), eager=True)
    pl.DataFrame({"day": dates, "y": ["u", "v"] * 6}).write_parquet(path)
    with pytest.raises(UserError, match="column 'day': expected numbers, got Date values"):
        load_dataset(f"parquet:{path}", DataOptions())
    pl.DataFrame({"x": [1.0, None, float("nan")] * 4, "y": ["u", "v"] * 6}).write_parquet(path)
    with pytest.raises(UserError, match="column 'x', row 2: expected a finite number, got nothing"):
        load_dataset(f"parquet:{path}", DataOptions())
    pl.DataFrame({"x": [1.0], "y": [[1, 0]]}).write_parquet(path)
    with pytest.raises(UserError, match="label column 'y': expected one label per row, got List"):
        load_dataset(f"parquet:{path}", DataOptions())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"input": np.ones((9, 2)), "labels": np.arange(9)}, "no array 'inputs'.*did you mean 'input'"),
        ({"inputs": np.ones((9, 2)), "label": np.arange(9)}, "no array 'labels'.*did you mean 'label'"),
        ({"inputs": np.ones(9), "labels": np.arange(9)}, r"'inputs' \[N, D\] or .* of numbers, got float64 \[9\]"),
        ({"inputs": np.full((9, 2), "a"), "labels": np.arange(9)}, "of numbers, got <U1"),
        ({"inputs": np.ones((9, 2)), "labels": np.arange(8)}, r"'labels' of shape \[9\].*got shape \[8\]"),
        ({"inputs": np.ones((9, 2)), "labels": np.eye(9)}, r"got shape \[9, 9\]"),
        ({"inputs": np.ones((0, 2)), "labels": np.ones(0)}, r"'inputs' of shape \[0, 2\] is empty"),
        ({"inputs": np.array([[1, 2], [3, np.nan]]), "labels": np.arange(2)}, "row 2, feature 2: .* got nan"),
        ({"inputs": np.array([[[1, 2], [3, np.inf]]] * 2), "labels": np.arange(2)}, "row 1, feature 4: .* got inf"),
        (
            {"inputs": np.ones((2, 2)), "labels": np.array(["a", None])},
            "not plain arrays in an npz archive .*Object arrays",
        ),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(UserError, match=r"t\.npz: .*" + message):
        load_dataset(f"npz:{tmp_path / 't.npz'}", DataOptions())


def test_files_that_are_not_npz(tmp_path):
    np.save(tmp_path / "one.npy", np.ones(3))
    for content in (b"", b"no archive", b"PK\x03\x04 cut", (tmp_path / "one.npy").read_bytes()):
        path = write(tmp_path, content, "t.npz")
        with pytest.raises(UserError, match=r"t\.npz: not an npz archive"):
            load_dataset(f"npz:{path}", DataOptions())


def test_idx_that_cannot_be_used(tmp_path):
    images, labels = np.zeros((9, 2, 2), np.uint8), np.arange(9, dtype=np.uint8) % 3

    def message() -> str:
        with pytest.raises(UserError) as raised:
            load_dataset(f"idx:{tmp_path}", DataOptions())
        return str(raised.value)

    assert message().endswith("expected the file train-images-idx3-ubyte or train-images-idx3-ubyte.gz")
    write_idx(tmp_path, "train", images, labels[:8])
    assert message().endswith("9 train images but 8 labels")
    write(tmp_path, idx_bytes(images)[:-1], "train-images-idx3-ubyte")
    assert message().endswith("train-images-idx3-ubyte: 36 values announced, 35 found")
    write(tmp_path, idx_bytes(images.astype(">f4")).replace(b"\x08", b"\x0d", 1), "train-images-idx3-ubyte")
    assert "not an MNIST-format file of uint8 values with 3 axes" in message()
    write_idx(tmp_path, "train", images, labels)
    whole = gzip.compress(idx_bytes(labels))
    for damaged in (b"no gzip", whole[:-9], whole[:10] + b"\xff" * 20):
        write(tmp_path, damaged, "train-labels-idx1-ubyte.gz")
        assert "train-labels-idx1-ubyte.gz: not a gzip file" in message()
    write_idx(tmp_path, "train", images, labels)
    write_idx(tmp_path, "t10k", np.zeros((9, 2, 3), np.uint8), labels)
    assert message().endswith("the train and t10k images differ in shape")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Irs", "expected one of iris, .*csv:PATH.*, got 'Irs'; did you mean 'iris'"),
        ("cvs:a.csv", "expected a path after one of csv, .*got 'cvs:a.csv'; did you mean 'csv'"),
        ("csv:", "expected csv:PATH, got 'csv:'"),
        ("csv", "expected csv:PATH, got 'csv'"),
        ("flowers.csv", "did you mean 'csv:flowers.csv'"),
        ("csv:{folder}/flower.csv", "flower.csv: no such file; did you mean 'flowers.csv'"),
        ("csv:{folder}/nowhere/flowers.csv", "flowers.csv: no such file$"),
        ("csv:{folder}", "cannot be read: expected a file, got a folder"),
        ("idx:{folder}/nowhere", "nowhere: expected a folder of MNIST-format files"),
    ],
)
def test_datasets_that_are_not_there(tmp_path, spec, message):
    write(tmp_path, IRIS_LIKE)
    with pytest.raises(UserError, match=message):
        load_dataset(spec.format(folder=tmp_path), DataOptions())
