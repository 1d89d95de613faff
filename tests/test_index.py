"""The page over all runs of a folder: every run stands on it, whatever state it is in."""

import json
import re

import pytest

from ce_jax import compare, linear
from experiments.errors import UserError
from experiments.pages.index import write_index


@pytest.fixture(scope="module")
def summary():
    inputs = [[-1.0, 0.2], [1.0, 0.1]] * 10
    options = {"steps": 4, "seeds": 2, "tuning_seeds": 2, "targets": (0.9,), "resamples": 99, "widen": 0}
    rates = {"low": 0.1, "high": 1.0, "count": 2}
    return compare(inputs, [0, 1] * 10, model=linear(), learning_rates=rates, **options).summary


def add(folder, name, summary, utc):
    run = folder / name
    run.mkdir()
    provenance = {"utc": utc, "compile_seconds": 1.5, "run_seconds": 2.0}
    for part, content in (("config", {}), ("summary", summary), ("provenance", provenance)):
        (run / f"{part}.json").write_text(json.dumps(content))
    (run / "report.html").write_text("")
    return run


def rows(page):
    return re.findall(r"<tr><td.*?</tr>", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_newest_run_comes_first_and_links_to_its_page(tmp_path, summary):
    add(tmp_path, "older-0", summary, "2026-01-02T10:00:00+00:00")
    add(tmp_path, "a b#newer", summary, "2026-03-02T10:00:00+00:00")
    newer, older = rows(write_index(tmp_path))
    assert 'href="a%20b%23newer/report.html"' in newer
    assert "2026-03-02 10:00" in newer
    assert ">4</td>" in newer  # seconds, compiling included
    assert "older-0" in older
    assert "validation accuracy" in older


def test_unfinished_and_damaged_runs_are_named_as_what_they_are(tmp_path, summary):
    add(tmp_path, "half-1.partial", summary, "2026-01-02T10:00:00+00:00")
    add(tmp_path, "torn-2", summary, "2026-01-02T10:00:00+00:00").joinpath("summary.json").write_text("{")
    add(tmp_path, "odd-3", [], "2026-01-02T10:00:00+00:00")
    (tmp_path / "notes").mkdir()
    (tmp_path / "a-joined").mkdir()
    (tmp_path / "a-joined" / "config.json").write_text("[]")
    text = "".join(rows(write_index(tmp_path)))
    assert "unfinished" in text
    assert len(rows(tmp_path / "index.html")) == 3
    assert text.count("cannot be read back") == 2


def test_an_empty_folder_says_how_to_begin_and_a_missing_one_is_an_error(tmp_path):
    assert "Nothing has been run" in write_index(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(UserError, match="expected a folder of results"):
        write_index(tmp_path / "none")


def test_names_are_text_not_markup(tmp_path, summary):
    add(tmp_path, "<script>x", summary, "2026-01-02T10:00:00+00:00")
    assert "&lt;script&gt;x" in rows(write_index(tmp_path))[0]
