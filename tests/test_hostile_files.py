"""Files and words of the wrong kind: one line that says so."""

import polars as pl
import pytest

from experiments.__main__ import main
from experiments.data import DataOptions, load_dataset
from experiments.errors import UserError
from experiments.pages.index import write_index
from experiments.run.shards import parse_shard


def test_records_are_no_labels(tmp_path):
    path = tmp_path / "records.parquet"
    pl.DataFrame({"f": [0.5, 1.0] * 10, "label": [{"a": 1}, {"a": 2}] * 10}).write_parquet(path)
    with pytest.raises(UserError, match="expected one label per row, got Struct"):
        load_dataset(f"parquet:{path}", DataOptions())


def test_the_index_lists_a_run_whose_summary_is_nested_too_deeply(tmp_path):
    run = tmp_path / "iris-0123456789"
    run.mkdir()
    for name in ("report.html", "config.json", "provenance.json"):
        (run / name).write_text("{}")
    (run / "summary.json").write_text("[" * 100_000)
    assert "cannot be read back" in write_index(tmp_path).read_text()


def test_a_share_of_more_than_can_be_listed_is_refused():
    assert parse_shard("100000/100000").of == 100_000
    with pytest.raises(UserError, match="at most 100,000"):
        parse_shard("1/99999999999")


def test_an_empty_name_is_no_config(capsys):
    assert main(["run", ""]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
