"""`init`: a commented config beside a data file, with which `run` works at once."""

import shlex
import tomllib

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.config import load_config
from experiments.data.check import imbalance_of
from experiments.drafting import drafted, readable
from experiments.errors import UserError

RANDOM = np.random.default_rng(0)


def clean(i):
    return f"{i % 7}.5,{i * i % 11},{'uvw'[i % 3]}"


def gaps(i):
    return f"{'' if i % 9 == 0 else i % 7},{('red', 'blue', 'NA')[i % 3 if i % 4 else 0]},{'uv'[i % 2]}"


def uneven(i):
    return f"{i % 7}.5,{i * i % 11},{'no' if i % 20 else 'yes'}"


def unlabelled(i):
    return f"{i % 7},{'2024-01-01' if i % 2 else '2024-01-02'},{'' if i % 10 == 0 else 'uv'[i % 2]}"


TABLES = {
    "clean": ("a,b,species", clean, {"label": "species"}),
    "gaps": ("a,colour,label", gaps, {"label": "label", "missing": "mean", "categories": "onehot"}),
    "uneven": ("a,b,label", uneven, {"label": "label"}),
    "unlabelled": ("a,day,label", unlabelled, {"label": "label", "missing": "drop", "categories": "onehot"}),
    "texts": ("a,name,label", lambda i: f"{i % 7},name {i},{'uv'[i % 2]}", {"label": "label", "exclude": ["name"]}),
    "headless": (None, lambda i: f"{i}.25,{i % 5}.5,{i % 2}", {"label": "column_3", "header": False}),
}


def write(folder, name):
    header, row, _ = TABLES[name]
    path = folder / f"{name}.csv"
    path.write_text("".join([f"{header}\n"] * bool(header) + [f"{row(i)}\n" for i in range(200)]))
    return path


@pytest.mark.parametrize("name", TABLES)
def test_the_draft_holds_the_keys_that_the_file_needs(name, tmp_path):
    spec = f"csv:{write(tmp_path, name)}"
    dataset, options = readable(spec)
    text = drafted(spec, dataset, options)
    (tmp_path / "own.toml").write_text(text)
    _, (config,) = load_config(tmp_path / "own.toml")
    assert tomllib.loads(text)["data"] == TABLES[name][2]
    share, _ = imbalance_of(dataset)
    balanced = name == "uneven"
    assert config.analysis.target_metric == ("validation_balanced_accuracy" if balanced else "validation_accuracy")
    assert min(config.analysis.targets) > (1 / len(dataset.class_names) if balanced else share)
    assert all(f"{word} (" in text for word in dataset.class_names)  # counted in a comment


def images(folder):
    labels = np.repeat(np.arange(3), 20)
    np.savez(folder / "images.npz", inputs=RANDOM.integers(0, 255, (60, 5, 5, 1), np.uint8), labels=labels)
    return folder / "images.npz"


@pytest.mark.parametrize("make", [lambda folder: write(folder, "gaps"), lambda folder: write(folder, "uneven"), images])
def test_init_writes_a_config_that_runs(make, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path)
    assert main(["init", path.name]) == 0
    said = capsys.readouterr().out
    (following,) = [line for line in said.splitlines() if line.startswith("next: ")]
    assert "labels: " in said
    words = shlex.split(following.removeprefix("next: ").split(", then")[0])
    assert words[-2:] == [f"{path.stem}.toml", "--dry-run"]
    assert main(words[words.index("run") :]) == 0
    before = (tmp_path / f"{path.stem}.toml").read_bytes()
    assert main(["init", path.name]) == 2
    assert "none is overwritten" in capsys.readouterr().err
    assert (tmp_path / f"{path.stem}.toml").read_bytes() == before


def test_labels_that_are_named_and_letters_that_are_no_utf8(tmp_path):
    rows = "".join(f"{i % 2},Doe {i},{'' if i % 4 else f'C{i}'}\n" for i in range(60))
    (tmp_path / "ships.csv").write_bytes(f"überlebt,name,cabin\n{rows}".encode("latin-1"))
    spec = f"csv:{tmp_path}/ships.csv"
    with pytest.raises(UserError, match="latin-1"):
        readable(spec)  # the last column is guessed, and is none of classes
    (tmp_path / "ships.csv").write_bytes(f"überlebt,name,age\n{rows.replace('C', '')}".encode("latin-1"))
    dataset, options = readable(spec, "überlebt")
    assert options == {"encoding": "latin-1", "missing": "mean", "exclude": ("name",), "label": "überlebt"}
    assert dataset.feature_names == ("age",)
    assert tomllib.loads(drafted(spec, dataset, options))["data"].keys() == options.keys()


def test_what_cannot_be_read_leaves_no_config(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("a,label\n1,u\n2,u\n")
    for name in ("a.csv", "missing.csv", "."):
        assert main(["init", str(tmp_path / name), "--out", str(tmp_path / "own.toml")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "own.toml").exists()


def test_names_are_quoted(tmp_path):
    row = "".join(f'{i % 7},"{"u" if i % 2 else "two lines"}"\n' for i in range(40))
    (tmp_path / "a.csv").write_text(f'a,"la""bel\\"\n{row}')
    spec = f"csv:{tmp_path}/a.csv"
    text = drafted(spec, *readable(spec))
    assert tomllib.loads(text)["data"]["label"] == 'la"bel\\'


def test_an_error_that_no_key_mends_is_that_of_the_plain_file(tmp_path):
    (tmp_path / "a.csv").write_text("a,label\n" + "1,u\n" * 20)
    with pytest.raises(UserError, match="expected at least two classes, got only 'u'"):
        readable(f"csv:{tmp_path}/a.csv")
