"""Rules fixed before results: a hash of what decides each verdict, and what git knows of which came first."""

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..files import write_bytes
from ..source import ROOT, code_of, hash_of
from .record import Claim

LOCK = "experiments/claims/rules.lock"
HEADER = (
    "# Of every claim a hash of its statement, protocol, rule, choices, settings and decide(), written by\n"
    "#   python -m experiments claims --lock\n"
    "# A verdict is published only if its line was committed here before the commit that it was measured from.\n"
)
HOUSE = "experiments.claims"
# The first is in the hash as the strings that it holds, the second tells of changes and makes none.
LEFT_OUT = {"CLAIM", "AMENDMENTS"}


def rules_of(claim: Claim) -> str:
    """Sixteen digits that change whenever what is claimed, how it is tested or how it is judged does."""
    words = [claim.id, claim.statement, claim.protocol, claim.rule, *claim.choices, claim.effect]
    return hash_of([*words, *rules_code(claim.file)])


class _Module(NamedTuple):
    """The top level of a source file."""

    text: str
    constants: list[ast.stmt]
    """Every statement that is no import, function, class or docstring."""
    definitions: dict[str, list[ast.stmt]]
    """{name: the statements that make it what it is}."""
    imports: dict[str, tuple[Path, str]]
    """{name: file of this package, name there; "" for the whole module}."""


def rules_code(file: Path) -> list[str]:
    """Source, comments left out, of a module's constants, of `decide` and of `setting*`, and of all that these use.

    What they use is followed through this module and the others of the package, annotations left out. The code that
    measures is no part of it: to mend it changes no rule, and its own hash is `Claim.definition`.
    """
    modules = {file: _module(file)}
    own = modules[file]
    reached = {(file, node) for node in own.constants}
    names = {*own.definitions, *own.imports}
    waiting = [(file, name) for name in names if name == "decide" or name.startswith("setting")]
    followed: set[tuple[Path, str]] = set()
    while waiting:
        place = where, name = waiting.pop()
        if place in followed:
            continue
        followed.add(place)
        if where not in modules:
            modules[where] = _module(where)
        module = modules[where]
        if name in module.imports:
            waiting.append(module.imports[name])
        for node in module.definitions.get(name, ()):
            reached.add((where, node))
            waiting += _used(node, where, module)
    in_order = sorted(reached, key=lambda place: (place[0].as_posix(), place[1].lineno))
    return [_code(modules[where].text, node) for where, node in in_order]


def _module(file: Path) -> _Module:
    text = file.read_text(encoding="utf-8")
    module = _Module(text, [], {}, {})
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_imports(node, file.parent))
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = {node.name}
        else:
            # Of an assignment what is assigned to, of an entry too; of any other statement whatever it mentions.
            targets = getattr(node, "targets", None) or [getattr(node, "target", node)]
            names = {part.id for one in targets for part in ast.walk(one) if isinstance(part, ast.Name)}
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if names & LEFT_OUT or is_docstring:
                continue
            module.constants.append(node)
        for name in names:
            module.definitions.setdefault(name, []).append(node)
    return module


def _imports(node: ast.Import | ast.ImportFrom, package: Path) -> Iterator[tuple[str, tuple[Path, str]]]:
    """What a statement imports from this package, whose folder is `package`."""
    if isinstance(node, ast.ImportFrom) and (node.level == 1 or f"{node.module}.".startswith(f"{HOUSE}.")):
        folder = (package if node.level else ROOT).joinpath(*(node.module or "").split("."))
        for alias in node.names:
            inside = folder / f"{alias.name}.py"
            target = (inside, "") if inside.is_file() else (folder.with_suffix(".py"), alias.name)
            if target[0].is_file():
                yield alias.asname or alias.name, target


def _used(node: ast.AST, file: Path, module: _Module) -> Iterator[tuple[Path, str]]:
    """Where the names stand that a definition uses; of `module.name` too."""
    if isinstance(node, ast.Name):
        yield file, node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        where, name = module.imports.get(node.value.id, (file, node.value.id))
        yield where, name or node.attr
        return
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns"):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from _used(part, file, module)


def _code(text: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    return code_of("\n".join(text.splitlines()[first - 1 : node.end_lineno]))


def lock_text(claims: Iterable[Claim]) -> str:
    """The lock file for claims as they are now."""
    return HEADER + "".join(f"{claim.id} {rules_of(claim)}\n" for claim in claims)


def write_lock(claims: Iterable[Claim], root: Path = ROOT) -> Path:
    """Write the lock file of a checkout; return its path."""
    write_bytes(root / LOCK, lock_text(claims).encode())
    return root / LOCK


def read_lock(text: str) -> dict[str, str]:
    """{id: hash} of a lock file's text.

    >>> read_lock("# what this is\\ntail-law 0123456789abcdef\\n")
    {'tail-law': '0123456789abcdef'}
    """
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {words[0]: words[1] for words in lines if len(words) == 2}


def refusal(claim: Claim, result: Mapping[str, Any], root: Path = ROOT) -> str | None:
    """Why a verdict may not be published, or None: its rules have to be locked before the commit it was measured from.

    Args:
      claim: as defined now.
      result: what is stored, with its `rules` and with the commit in its provenance.
      root: the checkout whose history is asked.
    """
    rules, git = rules_of(claim), result["provenance"]["git"]
    if git is None:
        return "measured outside of a git checkout"
    if git["dirty"]:
        return "measured from a tree with uncommitted changes"
    if result.get("rules") != rules:
        return "rules changed since it was measured"
    commit: str = git["commit"]
    measured = f"commit {commit[:10]}, which it was measured from"
    try:
        _git(root, "merge-base", "--is-ancestor", commit, "HEAD")
    except (OSError, subprocess.SubprocessError):
        return f"{measured}, is not in the history of this checkout"
    if _locked(root, commit, claim.id) != rules:
        return f"rules not in {LOCK} at {measured}"
    # Merges too, each against all of its parents.
    words = ("log", "-m", "--full-history", "--format=%H", f"-S{claim.id} {rules}", commit, "--", LOCK)
    if not any(_locked(root, one, claim.id) == rules for one in set(_git(root, *words).split()) - {commit}):
        return f"rules in {LOCK} no earlier than {measured}"
    return None


def _locked(root: Path, commit: str, name: str) -> str | None:
    try:
        return read_lock(_git(root, "show", f"{commit}:{LOCK}")).get(name)
    except subprocess.CalledProcessError:
        return None


def _git(root: Path, *words: str) -> str:
    return subprocess.run(("git", *words), cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout
