"""The lock: what changes a claim's hash, what git must know before a verdict is published, and what is shipped."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.claims import CLAIMS
from experiments.claims.lock import LOCK, lock_text, read_lock, refusal, rules_of
from experiments.source import ROOT

SOURCE = '''"""A claim."""

from collections.abc import Mapping

from experiments.claims.record import Claim, verdict_of

SETTINGS = {"steps": 100}  # why
LIMIT = 0.5
LIMIT_OF = {"a": LIMIT}
SETTINGS["more"] = 1
SPARE: int = 3


def settings(request):
    return SETTINGS, batch()


def batch():
    return 32


def above(value):
    """Whether it is above."""
    return value > LIMIT_OF["a"]


def measure(request):
    return 1


def draw():
    return 2


def decide(measurements: Mapping[str, float]):
    return verdict_of(above(measurements["a"].value), False)


AMENDMENTS = ()
CLAIM = Claim(
    id="small", statement="A statement.", source="A source.", protocol="A protocol.", rule="A rule.",
    choices=("A choice.",), effect="a", measure=measure, decide=decide,
)
'''


def load(folder, text=SOURCE):
    """The claim of a module with this text."""
    path = folder / "small_claim.py"
    path.write_text(text)
    # Compiled code is known by second and size alone: a text of the same size would be taken for the one before.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module.CLAIM


@pytest.fixture(autouse=True)
def _forget():
    yield
    sys.modules.pop("small_claim", None)


def changed(old, new):
    assert SOURCE.count(old) == 1
    return SOURCE.replace(old, new)


class TestHash:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("A statement.", "Another statement."), ("A protocol.", "Another."), ("A rule.", "Another."),
            ("A choice.", "Another."), ('effect="a"', 'effect="b"'), ("100}", "200}"), ("LIMIT = 0.5", "LIMIT = 0.6"),
            ('SETTINGS["more"] = 1', 'SETTINGS["more"] = 2'), ("SPARE: int = 3", "SPARE: int = 4"),
            ("SETTINGS, batch()", "SETTINGS, 2 * batch()"), ("return 32", "return 64"),
            ("value > LIMIT", "value >= LIMIT"), ("False)", "True)"),
            ("LIMIT_OF = ", "SETTINGS.update(steps=7)\nLIMIT_OF = "),
        ],
    )  # fmt: skip
    def test_it_changes_with_the_rules(self, old, new, tmp_path):
        before = rules_of(load(tmp_path))
        assert re.fullmatch("[0-9a-f]{16}", before)
        assert rules_of(load(tmp_path, changed(old, new))) != before

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("  # why", ""), ('"""Whether it is above."""', '"""In other words."""'), ("return 1", "return 7"),
            ("return 2", "return 7"), ("A source.", "Another."), ('"""A claim."""', '"""A module."""'),
            ("AMENDMENTS = ()", 'AMENDMENTS = ({"what": "something"},)'),
        ],
    )  # fmt: skip
    def test_it_does_not_change_with_anything_else(self, old, new, tmp_path):
        before = rules_of(load(tmp_path))
        assert rules_of(load(tmp_path, changed(old, new))) == before

    def test_it_follows_what_decide_imports_from_the_package(self, tmp_path, monkeypatch):
        package = tmp_path / "experiments" / "claims"
        package.mkdir(parents=True)
        shared = (ROOT / "experiments" / "claims" / "record.py").read_text()
        monkeypatch.setattr("experiments.claims.lock.ROOT", tmp_path)
        hashes = set()
        for text in (shared, shared.replace('return "refuted" if refuted', 'return "refuted" if not refuted')):
            (package / "record.py").write_text(text)
            hashes.add(rules_of(load(tmp_path)))
        assert len(hashes) == 2


def git(folder, *words):
    """The output of a git command that knows an author and no settings of the machine."""
    words = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *words)
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder, message="Something"):
    """Commit everything, if there is anything; the commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path):
    """A repository that holds a claim and no lock."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / LOCK).parent.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("__pycache__\n")
    load(tmp_path)
    commit(tmp_path, "A claim")
    return tmp_path


def lock(folder, claim):
    (folder / LOCK).write_text(lock_text([claim]))


def measured(claim, commit, dirty=False):
    """What the card of a verdict says that was measured from a commit."""
    return {"rules": rules_of(claim), "provenance": {"git": {"commit": commit, "dirty": dirty}}}


class TestHistory:
    def test_a_lock_in_an_earlier_commit_is_accepted(self, checkout):
        claim = load(checkout)
        lock(checkout, claim)
        commit(checkout, "Lock")
        first = commit(checkout)
        assert refusal(claim, measured(claim, first), checkout) is None
        later = commit(checkout)
        assert refusal(claim, measured(claim, first), checkout) is None
        assert refusal(claim, measured(claim, later), checkout) is None

    def test_a_lock_in_the_same_commit_is_refused(self, checkout):
        claim = load(checkout)
        lock(checkout, claim)
        same = commit(checkout, "Lock and everything else")
        assert "no earlier than" in refusal(claim, measured(claim, same), checkout)

    def test_a_lock_in_a_later_commit_is_refused(self, checkout):
        claim = load(checkout)
        before = commit(checkout)
        lock(checkout, claim)
        commit(checkout, "Lock")
        assert f"rules not in {LOCK}" in refusal(claim, measured(claim, before), checkout)

    def test_a_rule_changed_after_the_lock_is_refused(self, checkout):
        lock(checkout, load(checkout))
        commit(checkout, "Lock")
        claim = load(checkout, changed("LIMIT = 0.5", "LIMIT = 0.4"))
        after = commit(checkout, "Another limit")
        assert f"rules not in {LOCK}" in refusal(claim, measured(claim, after), checkout)
        lock(checkout, claim)
        assert "no earlier than" in refusal(claim, measured(claim, commit(checkout, "Lock again")), checkout)
        assert refusal(claim, measured(claim, commit(checkout)), checkout) is None

    def test_a_rule_changed_after_the_measurement_is_refused(self, checkout):
        claim = load(checkout)
        lock(checkout, claim)
        commit(checkout, "Lock")
        card = measured(claim, commit(checkout))
        now = load(checkout, changed("LIMIT = 0.5", "LIMIT = 0.4"))
        lock(checkout, now)
        commit(checkout, "Another limit")
        assert refusal(now, card, checkout) == "rules changed since it was measured"
        assert "rules changed" in refusal(now, {"provenance": card["provenance"]}, checkout)

    def test_a_dirty_tree_no_git_and_an_unknown_commit_are_refused(self, checkout):
        claim = load(checkout)
        lock(checkout, claim)
        commit(checkout, "Lock")
        here = commit(checkout)
        assert "uncommitted changes" in refusal(claim, measured(claim, here, dirty=True), checkout)
        assert "not in the history" in refusal(claim, measured(claim, "0" * 40), checkout)
        assert "outside" in refusal(claim, {"rules": rules_of(claim), "provenance": {"git": None}}, checkout)

    def test_another_branch_is_no_history_until_it_is_merged(self, checkout):
        claim = load(checkout)
        git(checkout, "checkout", "-q", "-b", "side")
        lock(checkout, claim)
        commit(checkout, "Lock")
        side = commit(checkout)
        git(checkout, "checkout", "-q", "main")
        (checkout / "other").write_text("other")
        commit(checkout, "Other work")
        assert "not in the history" in refusal(claim, measured(claim, side), checkout)
        git(checkout, "merge", "-q", "--no-ff", "-m", "Merge", "side")
        merge = git(checkout, "rev-parse", "HEAD")
        assert refusal(claim, measured(claim, side), checkout) is None
        assert refusal(claim, measured(claim, merge), checkout) is None

    def test_a_line_that_a_merge_alone_brings_in_counts_from_the_next_commit_on(self, checkout):
        claim = load(checkout)
        git(checkout, "checkout", "-q", "-b", "side")
        (checkout / "other").write_text("other")
        commit(checkout, "Other work")
        git(checkout, "checkout", "-q", "main")
        commit(checkout)
        git(checkout, "merge", "-q", "--no-ff", "--no-commit", "side")
        lock(checkout, claim)
        merge = commit(checkout, "Merge")
        assert len(git(checkout, "rev-list", "--parents", "-1", merge).split()) == 3
        assert "no earlier than" in refusal(claim, measured(claim, merge), checkout)
        assert refusal(claim, measured(claim, commit(checkout)), checkout) is None

    def test_the_line_of_another_claim_does_not_count(self, checkout):
        claim = load(checkout)
        (checkout / LOCK).write_text(f"not-so-small {rules_of(claim)}\n# small {rules_of(claim)}\n")
        commit(checkout, "Lock")
        assert f"rules not in {LOCK}" in refusal(claim, measured(claim, commit(checkout)), checkout)


def test_the_command_writes_the_lock_and_measures_nothing(tmp_path, monkeypatch, capsys):
    claim = load(tmp_path)
    monkeypatch.setattr("experiments.claims.command.CLAIMS", {"small": claim})
    monkeypatch.setattr("experiments.claims.command.write_lock", lambda claims: lock(tmp_path, *claims))
    (tmp_path / LOCK).parent.mkdir(parents=True)
    assert main(["claims", "--lock"]) == 0
    assert read_lock((tmp_path / LOCK).read_text()) == {"small": rules_of(claim)}
    assert main(["claims", "small", "--lock"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


MEASURE = """from matplotlib.figure import Figure
    from experiments.claims.record import Findings, Measurement
    found = {
        "a": Measurement(0.7, (0.6, 0.8), "times, at least"), "b": Measurement(2.0), "b/censored": Measurement(1.0),
    }
    return Findings(found, Figure(), "A caption.", 3, "Something.")"""


def test_a_measured_claim_carries_its_rules_and_amendments(tmp_path, monkeypatch):
    entry = {"date": "2026-11-27", "what": "A <change>.", "why": "Why not.", "results_seen": True}
    text = changed("AMENDMENTS = ()", f"AMENDMENTS = ({entry!r},)").replace("return 1", MEASURE)
    claim = load(tmp_path, text)
    for place in ("command", "page"):
        monkeypatch.setattr(f"experiments.claims.{place}.CLAIMS", {"small": claim})
    monkeypatch.setattr("experiments.claims.record.Claim.uses", ())  # it lies outside of the checkout
    assert main(["claims", "--quick", "--out", str(tmp_path / "out")]) == 0
    card = json.loads((tmp_path / "out" / "small" / "card.json").read_text())
    assert (card["rules"], card["amendments"]) == (rules_of(claim), [entry])
    page = re.sub(r"\s+", " ", (tmp_path / "out" / "claims.html").read_text())
    for words in (
        "2026-11-27", "A &lt;change&gt;.", "Why not.", "results seen: yes", "at least 0.7 [0.6, 0.8] times",
        "at least 2<", f"rules {card['rules']}", "In the gallery: published verdicts missing: small.",
        "rules fixed before this run; 1 protocol was amended after looks at earlier results, see the cards",
    ):  # fmt: skip
        assert words in page, words


def test_every_claim_decides_and_is_set_where_the_lock_looks():
    for claim in CLAIMS.values():
        assert claim.decide.__name__ == "decide"
        assert claim.decide.__module__ == claim.measure.__module__


def test_the_shipped_lock_lists_the_registered_claims_with_the_hashes_of_today():
    shipped = (ROOT / LOCK).read_text(encoding="utf-8") if (ROOT / LOCK).exists() else "nothing"
    assert shipped == lock_text(CLAIMS.values()), (
        "rules have changed: run `python -m experiments claims --lock`, and commit it before anything is measured"
    )
