"""The README's answer and the gallery it is written from: their origin, their words, and how they are published."""

import json
import math
import re

import pytest

from experiments.__main__ import main
from experiments.claims import CLAIMS, publish
from experiments.claims.answer import ENTRIES, GALLERY, answer
from experiments.claims.record import Measurement
from experiments.source import source

REMEDY = "run `python -m experiments claims`, then `python -m experiments claims --publish`, and commit the result"
OUTCOMES = ("confirmed", "refuted", "undecided")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FOLDER = publish.ROOT / GALLERY


def read(name, file):
    path = FOLDER / name / file
    assert path.exists(), f"the gallery lacks {name}/{file}: {REMEDY}"
    return json.loads(path.read_text("utf-8"))


class TestGallery:
    def test_it_holds_all_claims_and_no_others(self):
        found = {path.name for path in FOLDER.iterdir()} if FOLDER.exists() else set()
        assert found == set(CLAIMS), REMEDY

    @pytest.mark.parametrize("name", CLAIMS)
    def test_it_comes_from_a_full_run_under_the_current_rule(self, name):
        """Code may have moved on since: a published verdict names the commit that made it."""
        verdict, card, claim = read(name, "verdict.json"), read(name, "card.json"), CLAIMS[name]
        assert (verdict["schema"], verdict["id"], verdict["quick"], card["seed"]) == (1, name, False, 0), REMEDY
        said = (verdict["statement"], verdict["rule"], card["protocol"], tuple(card["choices"]))
        assert said == (claim.statement, claim.rule, claim.protocol, claim.choices), f"{name} is another now: {REMEDY}"
        assert re.fullmatch("[0-9a-f]{40}", card["provenance"]["git"]["commit"])
        assert (FOLDER / name / "figure.png").read_bytes().startswith(b"\x89PNG"), REMEDY

    @pytest.mark.parametrize("name", CLAIMS)
    def test_the_verdict_is_what_the_rule_says_of_the_measurements(self, name):
        verdict = read(name, "verdict.json")
        # JSON has neither infinity nor NaN, and null stands for both.
        readings = [decided(name, verdict["measurements"], null) for null in (math.inf, math.nan)]
        assert verdict["verdict"] in readings, f"{name}: the rule says {readings[0]}: {REMEDY}"

    def test_it_is_small(self):
        assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2 * 2**20


def decided(name, measurements, null):
    def value(number, null=null):
        return null if number is None else number

    found = {}
    for key, one in measurements.items():
        interval = one["ci"] and (value(one["ci"][0], -null), value(one["ci"][1]))
        found[key] = Measurement(value(one["value"]), interval, one["unit"])
    return CLAIMS[name].decide(found)


def in_readme():
    text = (publish.ROOT / "README.md").read_text("utf-8")
    return text.split(f"{publish.BEGIN}\n")[1].split(publish.END)[0].removesuffix("\n")


def test_the_readme_says_what_the_verdicts_say():
    section = answer({name: read(name, "verdict.json") for name in CLAIMS})
    assert in_readme() == section, f"README.md differs from the gallery: {REMEDY}"
    check_form(section)


def check_form(section):
    lines = section.split("\n")
    assert lines[0] == "## The answer"
    assert len(lines) <= 25
    assert all(len(line) <= (350 if line.startswith("|") else 120) for line in lines)
    assert all(line.count(" | ") == 3 for line in lines if line.startswith("| "))
    for name in CLAIMS:
        assert f"]({GALLERY}/{name})" in section, f"no number is linked to {name}"
    assert not re.search(r"\d", LINK.sub("", section)), "a number that is linked to nothing"
    for target in {target for _, target in LINK.findall(section)}:
        assert target == GALLERY or target.removeprefix(f"{GALLERY}/") in CLAIMS
    joined = section.replace("\n", " ")
    for found in re.finditer("SSR", joined):
        assert joined[found.end() :].startswith((" on probabilities", " on logits"))


def made_up(outcome="confirmed", **changed):
    """Verdicts whose measurements are all alike; the rules were not asked."""
    one = {"value": 0.37, "ci": [0.28, 0.46], "unit": ""}
    return {
        name: {
            "schema": 1, "id": name, "verdict": changed.get(name, outcome), "quick": False, "minutes": 4.5,
            "measurements": dict.fromkeys(re.findall(r"\{([^{}|]+)", entry.shows), one),
        }
        for name, entry in ENTRIES.items()
    }  # fmt: skip


def sentence(section, name):
    """The row of a claim, without the heading of its part."""
    (row,) = (line for line in section.split("\n") if f"/{name})" in line)
    return row.split(" | ", 1)[1]


class TestWords:
    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_the_form_holds_whatever_the_verdicts(self, outcome):
        check_form(answer(made_up(outcome)))

    @pytest.mark.parametrize("name", CLAIMS)
    def test_a_flipped_verdict_changes_the_sentence(self, name):
        sections = {outcome: answer(made_up(**{name: outcome})) for outcome in OUTCOMES}
        said = {outcome: sentence(section, name) for outcome, section in sections.items()}
        assert len(set(said.values())) == 3
        for outcome, words in said.items():
            check_form(sections[outcome])
            assert [flag for flag in OUTCOMES if f"| *{flag}* |" in words] == [outcome]
            assert "37" in words
            for other in CLAIMS.keys() - {name}:
                assert sentence(sections[outcome], other) == sentence(sections["confirmed"], other)

    def test_the_sum_of_it_stands_or_falls_with_its_claim(self):
        said = {outcome: answer(made_up(**{"gentle-vs-saturated": outcome})) for outcome in OUTCOMES}
        assert ["faster out of a bad start" in section.replace("\n", " ") for section in said.values()] == [
            True,
            False,
            False,
        ]

    def test_counts_and_minutes_are_those_of_the_verdicts(self):
        verdicts = made_up(**{"landscape": "refuted", "calibration": "undecided", "tail-law": "undecided"})
        assert "[9 confirmed, 1 refuted, 2 undecided in 54 minutes, " in answer(verdicts)

    def test_every_number_is_the_claims_own(self):
        assert "83" not in answer(made_up())
        for name in CLAIMS:
            for key in made_up()[name]["measurements"]:
                verdicts = made_up()
                verdicts[name]["measurements"][key] = {"value": 0.83, "ci": None, "unit": ""}
                assert "83" in sentence(answer(verdicts), name)

    def test_a_number_that_json_cannot_hold_is_shown_as_unknown(self):
        verdicts = made_up()
        verdicts["tail-law"]["measurements"]["ssr/slope"] = {"value": None, "ci": None, "unit": ""}
        assert "powers 0.37 and ? of" in sentence(answer(verdicts), "tail-law")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A README with markers, and a folder of made-up full verdicts in `claims`."""
    monkeypatch.setattr("experiments.claims.publish.ROOT", tmp_path)
    readme = f"# before\n\n{publish.BEGIN}\nold\n{publish.END}\n\nafter\n"
    (tmp_path / "README.md").write_text(readme)
    for name, verdict in made_up().items():
        folder = tmp_path / "claims" / name
        folder.mkdir(parents=True)
        (folder / "verdict.json").write_text(json.dumps(verdict | {"source_code": source(*CLAIMS[name].uses)}))
        card = {"definition": CLAIMS[name].definition, "seed": 0, "provenance": {"git": None}}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "figure.png").write_bytes(b"\x89PNG")
        (folder / "figure.svg").write_bytes(b"<svg/>")
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def publishing(checkout, *words):
    return main(["claims", "--publish", "--out", str(checkout / "claims"), *words])


def test_publishing_copies_the_claims_and_rewrites_the_answer(checkout):
    assert publishing(checkout) == 0
    gallery = {path.relative_to(checkout / GALLERY).as_posix() for path in files(checkout / GALLERY)}
    assert gallery == {f"{name}/{file}" for name in CLAIMS for file in ("verdict.json", "card.json", "figure.png")}
    for path, content in files(checkout / GALLERY).items():
        assert (checkout / "claims" / path.relative_to(checkout / GALLERY)).read_bytes() == content
    readme = (checkout / "README.md").read_text()
    assert readme == f"# before\n\n{publish.BEGIN}\n{answer(made_up())}\n{publish.END}\n\nafter\n"
    before = files(checkout)
    assert publishing(checkout) == 0
    assert files(checkout) == before


def change(path, **changed):
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "verdict.json").unlink(),
        lambda folder: (folder / "card.json").unlink(),
        lambda folder: (folder / "verdict.json").write_text("{"),
        lambda folder: change(folder / "verdict.json", quick=True),
        lambda folder: change(folder / "card.json", definition="0123456789"),
        lambda folder: change(folder / "card.json", seed=1),
        lambda folder: change(folder / "verdict.json", source_code="0123456789abcdef"),
    ],
    ids=["no verdict", "no card", "damaged", "quick", "stale", "seed", "other code"],
)
def test_publishing_refuses_what_is_not_a_full_current_run(spoil, checkout, capsys):
    spoil(checkout / "claims" / "rate-unit")
    before = files(checkout)
    assert publishing(checkout) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "rate-unit" in errors
    assert "landscape" not in errors
    assert f"python -m experiments claims --out {checkout / 'claims'}" in errors
    assert files(checkout) == before


@pytest.mark.parametrize("words", [["rate-unit"], ["--quick"], ["--seed", "1"], ["--fresh"]], ids=" ".join)
def test_publishing_takes_nothing_but_a_folder(words, checkout, capsys):
    before = files(checkout)
    assert publishing(checkout, *words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert files(checkout) == before


@pytest.mark.parametrize(
    "text", ["no markers\n", f"{publish.END}{publish.BEGIN}\n", 2 * f"{publish.BEGIN}{publish.END}\n"]
)
def test_publishing_needs_the_markers(text, checkout, capsys):
    (checkout / "README.md").write_text(text)
    before = files(checkout)
    assert publishing(checkout) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert files(checkout) == before
