"""The README's answer and the gallery it is written from: their origin, their words, and how they are published."""

import json
import math
import re
import subprocess

import pytest

from experiments.__main__ import main
from experiments.claims import CLAIMS, publish
from experiments.claims.answer import GALLERY, answer, fixed_rules
from experiments.claims.lock import LOCK, rules_of
from experiments.claims.record import Measurement, amendments_in, bound_of, effect_text, shown
from experiments.claims.wording import Comparison

REMEDY = "run `python -m experiments claims`, then `python -m experiments claims --publish`, and commit the result"
OUTCOMES = ("confirmed", "refuted", "undecided")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FOLDER = publish.ROOT / GALLERY
EARLIER = "earlier run"
PAIRS = ("cross_entropy-ssr/test_accuracy", "ssr/rmst_ratio")
KEYS = {
    "dose-response": [f"{d}/{s}/power_loss/rmst_growth" for d in ("digits", "wine") for s in ("gentle", "saturated")],
    "gentle-vs-saturated": [
        f"{model}/{start}/cross_entropy-ssr/test_accuracy"
        for model in ("softmax-regression", "mlp")
        for start in ("gentle", "saturated")
    ],
    "escape-time": ["z0=10/cross_entropy/steps", "z0=10/ssr/steps"],
    "default-gap": [
        *(
            f"{data}/{model}/{optimizer}/{pair}"
            for data in ("iris", "wine", "breast_cancer", "digits", "mnist5k")
            for model in ("linear", "network")
            for optimizer in ("sgd", "adam")
            for pair in PAIRS
        ),
    ],
    "calibration": [f"{data}/noise=0/ssr-cross_entropy/ece/before" for data in ("digits", "mnist5k")],
    "rate-unit": [f"network/short/K={k}/slowness/own_best" for k in (2, 8, 64)],
    "many-classes": [
        *(f"K={k}/cross_entropy-ssr/test_accuracy" for k in (3, 30, 256)),
        "K=256/ssr_on_logits(scale=1, target=1)/test_accuracy",
        "K=256/cross_entropy/test_accuracy",
    ],
}
TIMES = re.compile("growth|ratio|own_best")


def read(name):
    result = publish.read_result(FOLDER / name)
    assert result, f"the gallery lacks {name}: {REMEDY}"
    return result


def published():
    return [name for name in CLAIMS if (FOLDER / name).exists()]


class TestGallery:
    def test_it_holds_claims_and_nothing_else(self):
        found = {path.name for path in FOLDER.iterdir()} if FOLDER.exists() else set()
        assert found, REMEDY
        assert found <= set(CLAIMS)

    @pytest.mark.parametrize("name", CLAIMS)
    def test_it_comes_from_a_full_run(self, name):
        result = read(name)
        assert (result["schema"], result["id"], result["quick"], result["seed"]) == (1, name, False, 0), REMEDY
        assert (FOLDER / name / "figure.png").read_bytes().startswith(b"\x89PNG"), REMEDY

    @pytest.mark.parametrize("name", CLAIMS)
    def test_the_verdict_is_what_the_rule_says_or_is_said_to_be_of_an_earlier_one(self, name):
        result = read(name)
        if result["definition"] != CLAIMS[name].definition:
            assert any("of earlier definitions" in line and name in line for line in publish.standing(CLAIMS))
            return
        # JSON has neither infinity nor NaN, and null stands for both.
        readings = [decided(name, result["measurements"], null) for null in (math.inf, math.nan)]
        assert result["verdict"] in readings, f"{name}: the rule says {readings[0]}: {REMEDY}"

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


def test_the_readme_says_what_the_gallery_says_or_that_it_is_of_an_earlier_run():
    section = in_readme()
    if section != answer({name: read(name) for name in published()}):
        assert EARLIER in section.replace("\n", " "), f"README.md differs from the gallery: {REMEDY}"
    else:
        check_form(section)


def check_form(section):
    lines = section.split("\n")
    assert lines[0] == "## The answer"
    assert len(lines) <= 30
    assert all(len(line) <= (350 if line.startswith("|") else 120) for line in lines)
    assert all(line.count(" | ") == 2 for line in lines if line.startswith("| "))
    for line in lines[lines.index("|---|---|---|") + 1 :]:
        if line.startswith("|") and re.search(r"\d", LINK.sub("", line)):
            assert re.search(rf"\]\({GALLERY}/[a-z-]+\) \|$", line), "a number that is linked to nothing"
    for target in {target for _, target in LINK.findall(section)}:
        assert target == GALLERY or target.removeprefix(f"{GALLERY}/") in CLAIMS
    joined = section.replace("\n", " ")
    for found in re.finditer("SSR", joined):
        assert joined[found.end() :].startswith((" on probabilities", " on logits"))


def made_up(outcome="confirmed", steps=(1.9, 1.6, 2.3), lead=(0.08, 0.05, 0.11), unit="", **changed):
    """Results whose ratios of steps are all alike, and their leads in accuracy too; the rules were not asked."""

    def one(key):
        value, *ends = steps if TIMES.search(key) else lead
        return {"value": value, "ci": ends, "unit": unit if TIMES.search(key) else ""}

    return {
        name: {
            "schema": 1, "id": name, "verdict": changed.get(name, outcome), "quick": False, "minutes": 4.5,
            "rules": "0123456789abcdef", "amendments": [],
            "measurements": {key: one(key) for key in KEYS.get(name, ())},
        }
        for name in CLAIMS
    }  # fmt: skip


def rows(section, word):
    """Rows of the table that say a word."""
    return [line for line in section.split("\n") if line.startswith("|") and word in line]


SIDES = {
    "behind": ((1.9, 1.6, 2.3), (0.08, 0.05, 0.11)),
    "ahead": ((0.5, 0.4, 0.7), (-0.08, -0.11, -0.05)),
    "even": ((1.2, 0.9, 1.6), (0.01, -0.02, 0.04)),
}
WORDS = {"behind": ("slower", "behind"), "ahead": ("faster", "ahead"), "even": 2 * ("no difference shown",)}


class TestWords:
    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_the_form_holds_whatever_the_verdicts(self, outcome):
        check_form(answer(made_up(outcome)))

    @pytest.mark.parametrize("side", SIDES)
    def test_words_turn_with_the_intervals(self, side):
        steps, lead = SIDES[side]
        section = answer(made_up(steps=steps, lead=lead))
        check_form(section)
        table = "\n".join(line for line in section.split("\n") if line.startswith("| "))
        for other, words in WORDS.items():
            for word in words:
                assert (word in table.replace("points of", "")) == (other == side), (word, side)
        assert "not measured" in rows(section, "imbalanced")[0]
        assert len(rows(section, "not measured")) == 1

    @pytest.mark.parametrize("side", SIDES)
    def test_one_claims_numbers_turn_its_own_rows_alone(self, side):
        plain = made_up()
        turned = {**plain, "dose-response": made_up(steps=SIDES[side][0])["dose-response"]}
        changed = [
            pair
            for pair in zip(answer(plain).split("\n"), answer(turned).split("\n"), strict=True)
            if len(set(pair)) > 1
        ]
        tables = [after for before, after in changed if after.startswith("|")]
        assert all("/dose-response)" in row for row in tables)
        assert len(tables) == (0 if side == "behind" else 2)
        assert all(WORDS[side][0] in row for row in tables)

    def test_the_sum_of_it_counts_the_comparisons(self):
        section = answer(made_up()).replace("\n", " ")
        assert "from a confidently wrong start slower in 2 of 2, behind in 2 of 2;" in section
        assert "from an ordinary start slower in 20 of 20, behind in 22 of 22;" in section
        section = answer(made_up(steps=SIDES["ahead"][0], lead=SIDES["ahead"][1])).replace("\n", " ")
        assert "from a gentle start slower in 0 and faster in 2 of 2, behind in 0 and ahead in 2 of 2;" in section

    @pytest.mark.parametrize("name", CLAIMS)
    def test_no_row_hangs_on_a_verdict(self, name):
        tables = {
            tuple(line for line in answer(made_up(**{name: outcome})).split("\n") if line.startswith("|"))
            for outcome in OUTCOMES
        }
        assert len(tables) == 1

    def test_counts_names_and_minutes_are_those_of_the_verdicts(self):
        results = made_up(**{"landscape": "refuted", "calibration": "undecided", "tail-law": "undecided"})
        section = answer(results).replace("\n", " ")
        assert "[9 confirmed, 1 refuted, 2 undecided in 54 minutes]" in section
        assert "(refuted: landscape; undecided: " in section

    def test_every_key_is_used_and_its_number_is_shown(self):
        assert "7.7" not in answer(made_up())
        for name, keys in KEYS.items():
            for key in keys:
                results = made_up()
                # For one workload of many it is the extreme, which is named.
                value = 7.7 if TIMES.search(key) or name == "escape-time" else 0.077
                ci = [value, value]
                if name == "default-gap":
                    value, ci = (77, [77, 77]) if TIMES.search(key) else (0.77, [0.77, 0.77])
                results[name]["measurements"][key] = {"value": value, "ci": ci, "unit": ""}
                assert re.search(r"7\.7|77", "".join(rows(answer(results), f"/{name})"))), key

    def test_what_is_missing_is_said_to_be_not_measured(self):
        for name, keys in KEYS.items():
            results = made_up()
            del results[name]
            section = answer(results)
            check_form(section)
            assert all("not measured" in row for row in rows(section, f"/{name})"))
            for key in keys[:1]:
                results = made_up()
                del results[name]["measurements"][key]
                if name != "default-gap":
                    assert rows(answer(results), f"/{name})") != rows(answer(made_up()), f"/{name})")
        assert "not measured" in answer({})

    def test_a_value_outside_its_interval_says_that_the_choice_is_unsure(self):
        section = answer(made_up(steps=(0.8, 0.83, 1.2)))
        assert "0.8 times at the rates chosen, 0.83 to 1.2 over redrawn choices" in section
        assert "at the rates chosen" not in answer(made_up(steps=(0.9, 0.83, 1.2)))

    @pytest.mark.parametrize(
        ("unit", "text"), [("ratio, at least", "at least 11 times"), ("at most", "at most 11 times")]
    )
    def test_a_bound_is_printed_as_one(self, unit, text):
        section = answer(made_up(steps=(11.2, 9.8, 13.2), unit=unit))
        assert f"on digits ({text})" in rows(section, "/dose-response)")[0]
        assert ("slower on digits" in section) == ("least" in text)

    def test_a_bound_beside_the_number_is_printed_too(self):
        results = made_up(steps=(11.2, 9.8, 13.2))
        for value, said in ((1.0, True), (0.0, False)):
            beside = {"digits/saturated/power_loss/rmst_growth/censored": {"value": value, "ci": None, "unit": ""}}
            results["dose-response"]["measurements"] |= beside
            assert ("on digits (at least 11 times)" in answer(results)) == said

    def test_what_is_told_of_rules_and_intervals(self):
        results = made_up()
        entries = {"landscape": [True, True], "tail-law": [False], "calibration": [False, True]}
        for name, seen in entries.items():
            results[name]["amendments"] = [{"results_seen": one} for one in seen]
        words = "rules fixed before this run; 2 protocols were amended after looks at earlier results, see the cards"
        section = answer(results).replace("\n", " ")
        assert words in section
        assert "cover starts, batches, splits and tuning, but not another data set" in section
        del results["landscape"]["rules"]
        assert "but neither the tuning nor another data set" in answer(results).replace("\n", " ")
        assert fixed_rules(results.values()) == "1 of 12 verdicts are of an earlier run, before rules were locked"

    @pytest.mark.parametrize(
        ("unit", "ci", "bound", "lean"),
        [
            ("times", (1.1, 2.0), "", "behind"), ("times", (0.5, 0.9), "", "ahead"), ("times", (0.9, 1.0), "", "even"),
            ("times", (0.5, 0.9), "at least", "even"), ("times", (1.1, 2.0), "at most", "even"),
            ("times", (1.1, 2.0), "unknown", "unknown"), ("points", (0.1, 2.0), "", "behind"),
            ("points", (-2.0, -0.1), "", "ahead"), ("points", (0.0, 2.0), "", "even"),
        ],
    )  # fmt: skip
    def test_which_side_an_interval_lies_on(self, unit, ci, bound, lean):
        assert Comparison("here", "a-claim", unit, sum(ci) / 2, ci, bound).lean == lean


class TestBounds:
    @pytest.mark.parametrize(
        ("unit", "text"),
        [
            ("steps", "3 [1, 5] steps"),
            ("at least", "at least 3 [1, 5]"),
            ("at least steps", "at least 3 [1, 5] steps"),
            ("steps, at most", "at most 3 [1, 5] steps"),
            ("ratio, censored: at least", "at least 3 [1, 5] ratio"),
            ("ratio, unknown", "– ratio"),
            ("of at least ten", "3 [1, 5] of at least ten"),
        ],
    )
    def test_a_unit_may_say_it(self, unit, text):
        assert effect_text({"value": 3.0, "ci": [1.0, 5.0], "unit": unit}) == text

    @pytest.mark.parametrize(
        ("value", "unit", "bound"), [(1.0, "of 1", "at least"), (0.0, "of 1", ""), (1.0, "values of K left out", "")]
    )
    def test_a_number_beside_it_may_say_it(self, value, unit, bound):
        measurements = {
            "a": {"value": 3.0, "ci": None, "unit": "times"}, "a/censored": {"value": value, "ci": None, "unit": unit},
        }  # fmt: skip
        assert bound_of(measurements, "a") == bound
        assert shown(measurements, "a") == f"{bound} 3 times".lstrip()


AMENDMENT = {"date": "2026-11-27", "what": "What.", "why": "Why.", "results_seen": True}


@pytest.mark.parametrize(
    "spoilt",
    [
        {key: value for key, value in AMENDMENT.items() if key != "why"},
        AMENDMENT | {"who": "me"},
        AMENDMENT | {"date": "yesterday"},
        AMENDMENT | {"what": " "},
        AMENDMENT | {"results_seen": "no"},
    ],
)
def test_an_amendment_has_four_keys_of_their_kinds(spoilt):
    assert amendments_in([AMENDMENT], "a claim")[0]._asdict() == AMENDMENT
    with pytest.raises(ValueError, match="a claim: amendment 2: expected"):
        amendments_in([AMENDMENT, spoilt], "a claim")


@pytest.mark.parametrize("name", CLAIMS)
def test_the_amendments_of_a_claim_are_in_order(name):
    dates = [one.date for one in CLAIMS[name].amendments]
    assert dates == sorted(dates)


@pytest.fixture(scope="module")
def rules():
    return {name: rules_of(claim) for name, claim in CLAIMS.items()}


@pytest.fixture
def checkout(tmp_path, monkeypatch, rules):
    """A checkout with the rules locked, a README with markers, and made-up full verdicts measured in it in `claims`."""
    monkeypatch.setattr("experiments.claims.publish.ROOT", tmp_path)
    readme = f"# before\n\n{publish.BEGIN}\nold\n{publish.END}\n\nafter\n"
    (tmp_path / "README.md").write_text(readme)
    (tmp_path / LOCK).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_text("".join(f"{name} {digits}\n" for name, digits in rules.items()))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Rules")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Measured from here")
    provenance = {"git": {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}}
    monkeypatch.setattr("experiments.claims.publish.made_elsewhere", lambda claim, result: None)
    for name, verdict in made_up().items():
        folder = tmp_path / "claims" / name
        folder.mkdir(parents=True)
        in_card = {"rules", "amendments"}
        (folder / "verdict.json").write_text(json.dumps({key: verdict[key] for key in verdict.keys() - in_card}))
        card = {"definition": CLAIMS[name].definition, "seed": 0, "provenance": provenance, "amendments": []}
        (folder / "card.json").write_text(json.dumps(card | {"rules": rules[name]}))
        (folder / "figure.png").write_bytes(b"\x89PNG")
        (folder / "figure.svg").write_bytes(b"<svg/>")
    return tmp_path


def git(folder, *words):
    """The output of a git command that knows an author and no settings of the machine."""
    words = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *words)
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def files(folder):
    inside = (path for path in folder.rglob("*") if ".git" not in path.parts)
    return {path: path.read_bytes() for path in inside if path.is_file()}


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
    ],
    ids=["no verdict", "no card", "damaged", "quick", "stale", "seed"],
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


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"git": None}, "outside of a git checkout"),
        ({"git": {"commit": "0" * 40, "dirty": False}}, "not in the history"),
        ({"git": {"commit": "HEAD", "dirty": True}}, "uncommitted changes"),
        ({"git": {"commit": "HEAD~1", "dirty": False}}, "no earlier than"),
    ],
    ids=["no git", "unknown", "dirty", "same commit"],
)
def test_publishing_refuses_what_was_measured_before_its_rules_were_locked(changed, reason, checkout, capsys):
    if changed["git"] and changed["git"]["commit"].startswith("HEAD"):
        changed = {"git": changed["git"] | {"commit": git(checkout, "rev-parse", changed["git"]["commit"])}}
    change(checkout / "claims" / "rate-unit" / "card.json", provenance=changed)
    before = files(checkout)
    assert publishing(checkout) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "rate-unit: " in errors
    assert "landscape" not in errors
    assert reason in errors
    assert files(checkout) == before


@pytest.mark.parametrize("words", [["rate-unit"], ["--quick"], ["--seed", "1"], ["--fresh"], ["--lock"]], ids=" ".join)
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
