"""What is taken of a file, and the account of it: columns, labels, missing values, and options that have a use."""

import unicodedata

import numpy as np
import polars as pl
import pytest

from ce_jax.comparing import SplitOptions, split_indices
from experiments.data import Account, DataOptions, account_lines, fingerprint, load_dataset, split_dataset
from experiments.errors import UserError
from experiments.run import execute
from tests.small_run import CONFIG, run
from tests.test_readers import write


def table(header, row, rows=12):
    return header + "\n" + "".join(f"{row(i)}\n" for i in range(rows))


def load(folder, content, **options):
    return load_dataset(f"csv:{write(folder, content)}", DataOptions(**options))


# --- columns that number the rows ---


@pytest.mark.parametrize(
    ("name", "number", "why"),
    [
        ("", lambda i: i, "no name: a saved row index"),
        ("", lambda i: 7 * i % 12, "no name: a saved row index"),
        ("Unnamed: 0", lambda i: i % 5, "a saved row index"),
        ("__index_level_0__", lambda i: i % 5, "a saved row index"),
        ("Id", lambda i: i + 1, "it counts the rows"),
        ("INDEX", lambda i: 40 - i, "it counts the rows"),
        ("row_number", lambda i: f"{i}.0", "it counts the rows"),
        ("No.", lambda i: i + 100, "it counts the rows"),
        ("PassengerId", lambda i: i * i, "an identifier, different in every row"),
        ("customer_id", lambda i: f"c{i}", "an identifier, different in every row"),
    ],
)
def test_columns_that_number_the_rows_are_no_features(tmp_path, name, number, why):
    dataset = load(tmp_path, table(f"{name},a,species", lambda i: f"{number(i)},{i % 5}.5,{'uvw'[i // 4]}"))
    assert dataset.feature_names == ("a",)
    np.testing.assert_array_equal(dataset.inputs[:, 0], np.arange(12) % 5 + 0.5)
    assert dataset.account.left_out == ((name or "column 1", why),)


@pytest.mark.parametrize(
    ("name", "number"),
    [("customer_id", lambda i: i % 4), ("no", lambda i: 2 * i), ("acid", lambda i: i), ("time", lambda i: i)],
)
def test_columns_that_only_look_a_little_like_row_numbers_are_features(tmp_path, name, number):
    dataset = load(tmp_path, table(f"{name},a,species", lambda i: f"{number(i)},{i % 5}.5,{'uvw'[i // 8]}", 24))
    assert dataset.feature_names == (name, "a")
    suspected = name in ("customer_id", "acid", "time")  # by name, or because they run in steps of one
    assert any(repr(name) in note for note in dataset.account.notes) == suspected


def test_a_row_number_that_is_asked_for_is_a_feature(tmp_path):
    dataset = load(tmp_path, table("Id,a,species", lambda i: f"{i},{i % 5},{'uvw'[i // 4]}"), columns=("Id",))
    assert dataset.feature_names == ("Id",)
    assert dataset.account.left_out == (("a", "not in data.columns"),)


def test_the_index_of_a_pandas_frame_is_no_feature(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame(
        {
            "a": [i % 7 / 10 for i in range(30)],
            "species": ["uvw"[i // 10] for i in range(30)],
            "__index_level_0__": range(30),
            "day": [i / 2 for i in range(30)],
        }
    )
    frame.write_parquet(path, metadata={"pandas": '{"index_columns": ["day", {"kind": "range"}]}'})
    dataset = load_dataset(f"parquet:{path}", DataOptions())
    assert dataset.feature_names == ("a",)
    assert dataset.account.left_out == (
        ("__index_level_0__", "a saved row index"),
        ("day", "an index of the rows, as the file says"),
    )
    assert load_dataset(f"parquet:{path}", DataOptions(columns=("day",))).feature_names == ("day",)


def test_features_of_one_name_are_told_apart(tmp_path):
    """A text may read like another column's name."""
    content = table("a,a=x,y", lambda i: f"{'xz'[i % 2]},{i % 5},{i % 3}")
    dataset = load(tmp_path, content, categories="onehot")
    assert dataset.feature_names == ("a=x", "a=z", "a=x (2)")
    assert dataset.account.features == dataset.feature_names
    np.testing.assert_array_equal(dataset.inputs[:, 0] + dataset.inputs[:, 1], 1)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_however_its_accents_are_stored(tmp_path, form):
    content = unicodedata.normalize(form, table("größe,höhe,é", lambda i: f"{i},{i % 4},{i % 3}"))
    other = unicodedata.normalize({"NFC": "NFD", "NFD": "NFC"}[form], "größe")
    dataset = load(tmp_path, content, columns=(other,), label=unicodedata.normalize("NFD", "é"))
    assert dataset.feature_names == ("größe",)
    assert dataset.account.left_out == (("höhe", "not in data.columns"),)
    assert load(tmp_path, content, exclude=(other,), label="é").feature_names == ("höhe",)
    twice = table("é,e\N{COMBINING ACUTE ACCENT},y", lambda i: f"{i},{i % 4},{i % 3}")
    with pytest.raises(UserError, match="expected columns of different names, but 'é' comes twice"):
        load(tmp_path, twice)


def test_columns_are_chosen(tmp_path):
    content = table("alpha,beta,gamma,y", lambda i: f"{i},{i % 4},{i % 2},{i % 3}")
    dataset = load(tmp_path, content, columns=("gamma", "alpha"))
    assert dataset.feature_names == ("alpha", "gamma")
    dataset = load(tmp_path, content, exclude=("beta",))
    assert dataset.feature_names == ("alpha", "gamma")
    assert dataset.account.left_out == (("beta", "data.exclude"),)
    # A name that the guess would take is not taken if it is excluded.
    assert load(tmp_path, content, exclude=("y",)).account.label == "gamma"
    numbered = table("0,1,2", lambda i: f"{i},{i % 4},{i % 3}")
    assert load(tmp_path, numbered, exclude=(0,)).feature_names == ("1",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": ("alhpa",)}, "data.exclude: .*no column 'alhpa'; the columns are .*; did you mean 'alpha'"),
        ({"columns": ("Beta",)}, "data.columns: .*no column 'Beta'; .*did you mean 'beta'"),
        ({"exclude": ("y",), "label": "y"}, "data.exclude: .*'y' is the label column"),
        ({"exclude": ("beta",), "columns": ("beta",)}, "'beta' is in data.columns too"),
        ({"exclude": ("alpha", "beta")}, "no feature columns are left beside the label 'y'"),
        ({"columns": ("y",)}, "no feature columns are left beside the label 'y'; left out: 'alpha', 'beta'"),
    ],
)
def test_columns_that_cannot_be_chosen(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, table("alpha,beta,y", lambda i: f"{i},{i % 4},{i % 3}"), **options)


# --- the label column ---


@pytest.mark.parametrize(
    ("header", "row", "label", "guessed"),
    [
        ("x,y,color", "{0},{1},{2}", "color", "as the last: 'y' beside 'x' is a coordinate"),
        ("X,Y,color", "{0},{1},{2}", "color", "as the last: 'y' beside 'x' is a coordinate"),
        ("color,x,y", "{a},{0},{1}", "color", "as the only column of text: 'y' beside 'x' is a coordinate"),
        ("x,y,class", "{0},{1},{2}", "class", "by its name"),
        ("x,y", "{0},{1}", "y", "by its name"),
        ("y,x,z", "{0},{1},{2}", "y", "by its name"),
        ("letter,width,height", "{a},{0},{1}", "letter", "as the only column of text"),
        ("first,second,uid", "{0},{1},{n}", "second", "as the last"),
    ],
)
def test_the_guess_of_the_label_column_is_said(tmp_path, header, row, label, guessed):
    content = table(header, lambda i: row.format(i % 3, i % 3, i % 3, a="uvw"[i % 3], n=100 + i * i))
    dataset = load(tmp_path, content)
    assert (dataset.account.label, dataset.account.guessed) == (label, guessed)
    assert label not in dataset.feature_names
    said = load(tmp_path, content, label=label)
    assert (said.account.label, said.account.guessed) == (label, "")


def test_a_number_to_predict_is_no_label(tmp_path):
    with pytest.raises(UserError, match="'price': 25 different values in 200 rows look like a regression target"):
        load(tmp_path, table("a,price", lambda i: f"{i % 9},{i % 25 / 7}", 200))


# --- missing values ---

MARKS = ["NA", "N/A", "#N/A", "null", "None", " ?", "NaN", "-", "<NA>", "-9223372036854775808", "-2147483648"]


@pytest.mark.parametrize("mark", MARKS)
def test_a_missing_label_is_no_class(tmp_path, mark):
    content = table("a,y", lambda i: f"{i},{['u', 'v', mark][i % 3]}")
    with pytest.raises(UserError, match=r"label column 'y': line 4 has no label \(.*data\.classes keeps it") as raised:
        load(tmp_path, content)
    assert mark.strip() in str(raised.value)
    named = load(tmp_path, content, classes=("u", "v", mark.strip()))
    assert set(named.class_names) == {"u", "v", mark.strip()}
    dropped = load(tmp_path, content, missing="drop")
    assert dropped.account.classes == (("u", 4), ("v", 4))
    assert (dropped.account.rows, dropped.account.dropped) == (12, (("no label", 4),))


@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_nan_cast_to_an_integer_is_missing(tmp_path, kind):
    low, labels = np.iinfo(kind).min, np.arange(12, dtype=kind) % 3
    spec = f"npz:{tmp_path / 't.npz'}"
    np.savez(tmp_path / "t.npz", inputs=np.ones((12, 2)), labels=np.where(labels == 2, low, labels))
    with pytest.raises(UserError, match=f"'labels': row 3 has no label \\('{low}'"):
        load_dataset(spec, DataOptions())
    np.savez(tmp_path / "t.npz", inputs=np.array([[1, 2], [3, low]] * 6, kind), labels=np.arange(12) // 2 % 2)
    with pytest.raises(UserError, match=f"row 2, feature 2: expected a finite number, got {low}"):
        load_dataset(spec, DataOptions())
    np.testing.assert_array_equal(load_dataset(spec, DataOptions(missing="drop")).inputs, [[1, 2]] * 6)


def test_minus_beside_plus_is_a_class(tmp_path):
    assert load(tmp_path, table("a,y", lambda i: f"{i},{'+-'[i % 2]}")).class_names == ("+", "-")


@pytest.mark.parametrize("mark", ["", " ", "NA", "?", "nan", "NULL", "-", "-9223372036854775808"])
def test_missing_values_are_refused_dropped_or_filled(tmp_path, mark):
    content = table("a,b,y", lambda i: f"{mark if i in (3, 7) else i},{'' if i == 7 else i % 4},{'uvw'[i % 3]}")
    with pytest.raises(UserError, match=r"column 'a', line 5: .* number, got .*data\.missing = .drop"):
        load(tmp_path, content)
    dropped = load(tmp_path, content, missing="drop")
    rows = np.delete(np.arange(12), [3, 7])
    np.testing.assert_array_equal(dropped.inputs, np.stack([rows, rows % 4], axis=1))
    assert dropped.labels.tolist() == (rows % 3).tolist()
    assert (dropped.account.rows, dropped.account.dropped) == (12, (("no value in 'a'", 2),))
    options = DataOptions(missing="mean", scale="none", split=SplitOptions(seed=0))
    filled = load(tmp_path, content, missing="mean")
    assert filled.account.filled == (("a", 2), ("b", 1))
    splits, indices = split_dataset(filled, options, [], "float64"), split_indices(filled.labels, options.split, 0)
    own = filled.inputs[indices[0]]
    for part, rows in zip(splits, indices, strict=True):
        expected = np.where(np.isnan(filled.inputs[rows]), np.nanmean(own, axis=0), filled.inputs[rows])
        np.testing.assert_allclose(part.inputs, expected)


def test_what_is_filled_in_comes_from_the_training_part_of_each_seed(tmp_path):
    dataset = load(tmp_path, table("a,y", lambda i: f"{'' if i % 5 == 0 else i * i},{'uv'[i % 2]}", 60), missing="mean")
    options = DataOptions(missing="mean", scale="none")
    splits = split_dataset(dataset, options, [0, 1], "float64")
    filled = set()
    for lane in (0, 1):
        train, validation, test = split_indices(dataset.labels, options.split, lane)
        mean = np.nanmean(dataset.inputs[train])
        holes = np.isnan(dataset.inputs[test])
        np.testing.assert_allclose(splits.test.inputs[lane][holes], mean)
        filled.add(float(mean))
        assert holes.any()
        # Other values in validation and test rows change nothing of what is filled in.
        poisoned = dataset.inputs.copy()
        poisoned[[*validation, *test]] *= 1e3
        again = split_dataset(dataset._replace(inputs=poisoned), options, [lane], "float64")
        np.testing.assert_array_equal(again.train.inputs[0], splits.train.inputs[lane])
        np.testing.assert_allclose(again.test.inputs[0][holes], mean)
    assert len(filled) == 2
    assert fingerprint(dataset) == fingerprint(dataset._replace(inputs=np.where(dataset.inputs < 0, 0, dataset.inputs)))


def test_a_feature_without_values_has_no_mean(tmp_path):
    content = table("a,b,y", lambda i: f"{i},{1 if i == 0 else ''},{'uv'[i % 2]}")
    dataset = load(tmp_path, content, missing="mean")
    with pytest.raises(UserError, match="feature 'b' has no value in the training part of a seed"):
        split_dataset(dataset, DataOptions(missing="mean"), range(40), "float32")
    assert load(tmp_path, table("a,b,y", lambda i: f"{i},?,{'uv'[i % 2]}")).account.left_out == (
        ("b", "no value in any row"),
    )
    with pytest.raises(UserError, match=r'no row is left by data\.missing = "drop"'):
        load(tmp_path, content.replace("0,1,u", "0,,u"), missing="drop", columns=("a", "b"))


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_infinite_values_are_not_missing(tmp_path, missing):
    with pytest.raises(UserError, match="column 'a', line 4: expected a finite number, got 'inf'"):
        load(tmp_path, table("a,y", lambda i: f"{'inf' if i == 2 else i},{'uv'[i % 2]}"), missing=missing)


# --- columns of text ---


def test_texts_are_refused_or_encoded(tmp_path):
    content = table("sex,age,y", lambda i: f"{['m', ' f', ''][i % 3]},{20 + i},{i % 2}")
    with pytest.raises(UserError, match=r"column 'sex', line 2: .* got 'm'; data\.categories = \"onehot\" makes"):
        load(tmp_path, content)
    dataset = load(tmp_path, content, categories="onehot", missing="mean")
    assert dataset.feature_names == ("sex=f", "sex=m", "age")
    np.testing.assert_array_equal(dataset.inputs[:3], [[0, 1, 20], [1, 0, 21], [np.nan, np.nan, 22]])
    assert dataset.account.encoded == (("sex", 2),)
    assert dataset.account.filled == (("sex", 4),)
    assert len(load(tmp_path, content, categories="onehot", missing="drop").labels) == 8
    with pytest.raises(UserError, match="expected at most 100 different texts to encode, got 120"):
        load(tmp_path, table("name,y", lambda i: f"n{i},{i % 2}", 120), categories="onehot")
    # One slip in a column of numbers is no category.
    with pytest.raises(UserError, match=r"line 5: expected a finite number, got '3o'$"):
        load(tmp_path, table("a,y", lambda i: f"{'3o' if i == 3 else i},{i % 2}"), categories="onehot")


def test_true_and_false_are_numbers_in_every_format(tmp_path):
    truths = [i % 3 == 0 for i in range(12)]
    pl.DataFrame({"b": truths, "y": ["u", "v"] * 6}).write_parquet(tmp_path / "t.parquet")
    other = load_dataset(f"parquet:{tmp_path / 't.parquet'}", DataOptions())
    own = load(tmp_path, table("b,y", lambda i: f"{truths[i]},{'uv'[i % 2]}"))
    np.testing.assert_array_equal(own.inputs, other.inputs)


# --- options that a data set has no use for ---


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("iris", {"features": 3}, r"^data\.features: .*only the data set mixtures .*data\.columns.*, got 3$"),
        ("iris", {"label": "species"}, r"^data\.label: expected none, as only files of csv, parquet and npz"),
        ("iris", {"exclude": ("a",)}, r"^data\.exclude: expected none"),
        ("iris", {"missing": "drop"}, r"^data\.missing: expected none"),
        ("iris", {"header": False}, r"^data\.header: expected none"),
        ("iris", {"generator_seed": 1}, r"^data\.generator_seed: expected none"),
        ("spirals", {"separation": 2.0}, r"^data\.separation: .* only the data set mixtures has centres, got 2\.0$"),
        ("mixtures", {"noise": 0.1}, r"^data\.noise: expected none"),
        ("heavy_tail", {"num_classes": 5}, r"^data\.num_classes: expected none"),
        ("npz:{}", {"separator": ";"}, r"^data\.separator: expected none, as only csv files are text, got ';'$"),
        ("npz:{}", {"columns": ("a",)}, r"^data\.columns: expected none"),
        ("csv:{}", {"features": 3}, r"^data\.features: expected none"),
        ("parquet:{}", {"decimal": ","}, r"^data\.decimal: expected none"),
        ("idx:{}", {"label": "y"}, r"^data\.label: expected none"),
    ],
)
def test_options_without_use_are_refused(tmp_path, spec, options, message):
    with pytest.raises(UserError, match=message):
        load_dataset(spec.format(tmp_path / "t"), DataOptions(**options))


def test_the_seed_of_a_subsample_has_a_use():
    assert len(load_dataset("iris", DataOptions(generator_seed=1, examples=60)).labels) == 60


# --- the account ---


def test_the_account_of_a_file(tmp_path):
    row = "{0},{1},{2},{3}"
    content = table("Id,width,note,kind", lambda i: row.format(i, "" if i == 5 else i % 4, "no", "uvw"[i % 3]))
    options = {"classes": ("u", "v"), "missing": "drop", "exclude": ("note",)}
    dataset = load(tmp_path, content, **options)
    spec = f"csv:{tmp_path / 'flowers.csv'}"
    assert dataset.account == Account(
        source=spec,
        rows=12,
        dropped=(("no value in 'width'", 1), ("data.classes", 3)),
        label="kind",
        guessed="as the only column of text",
        classes=(("u", 4), ("v", 4)),
        features=("width",),
        left_out=(("note", "data.exclude"), ("Id", "it counts the rows")),
    )
    assert account_lines(dataset.account) == [
        f"data: {spec}, 8 of 12 rows; left out: no value in 'width' (1), data.classes (3)",
        "labels: column 'kind' (guessed as the only column of text; data.label names another), 2 classes: u (4), v (4)",
        "features: 1: 'width'",
        "left out: 'note' (data.exclude), 'Id' (it counts the rows)",
    ]


def test_the_account_of_what_is_built_in():
    lines = account_lines(load_dataset("iris", DataOptions(examples=60)).account)
    assert lines[0] == "data: iris, 60 of 150 rows; left out: data.examples (90)"
    assert lines[1] == "labels: 3 classes: setosa (20), versicolor (20), virginica (20)"
    heavy = load_dataset("heavy_tail", DataOptions(m=3)).account
    assert (heavy.rows, heavy.classes[0], len(heavy.features)) == (24, ("0", 8), 32)


def test_run_and_dry_run_say_what_was_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a short name of the file, which is not broken over two lines
    config = tmp_path / "small.toml"
    config.write_text(CONFIG)
    write(tmp_path, table("x,y,[red]color[/red]", lambda i: f"{i % 10},{i % 7},{i // 7 % 3}", 120), "p.csv")
    words = ("dataset=csv:p.csv", "sweep.seeds=2", "sweep.tuning_seeds=1", "sweep.widen=0", "analysis.resamples=99")
    assert run(config, tmp_path / "out", "--dry-run", *words) == 0
    planned = capsys.readouterr().out

    def stop(workload):
        raise UserError("far enough")

    monkeypatch.setattr(execute, "run_name", stop)
    assert run(config, tmp_path / "out", *words) == 2
    for said in (planned, capsys.readouterr().out):
        lines = " ".join(said.split())
        assert "data: csv:p.csv, 120 rows" in lines
        assert "labels: column '[red]color[/red]' (guessed as the last: 'y' beside 'x' is a coordinate; " in lines
        assert "3 classes: 0 (42), 1 (42), 2 (36)" in lines
        assert "features: 2: 'x', 'y'" in lines
