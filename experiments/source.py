"""Which code made a result: hashes of source text that comments, docstrings and blank lines do not change."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from .names import HERE, ROOT, name_of, place

DETERMINES = (
    "ce_jax",
    "experiments/config.py",
    "experiments/data",
    "experiments/run/trainer.py",
    "experiments/run/workload.py",
    "experiments/run/planning.py",
    "experiments/run/execute.py",
    "experiments/runtime.py",
)
"""What determines the numbers of a run: files, and folders with everything in them."""


def code_of(text: str) -> str:
    """Python source without comments, docstrings and blank lines: what is left decides what is computed.

    >>> code_of('x = 1  # why\\n\\ndef f():\\n    "What."\\n    return "# no comment"\\n')
    'x = 1\\ndef f():\\n    return "# no comment"'
    >>> code_of('class Mine(Exception):\\n    "What."\\n')
    'class Mine(Exception):\\n    pass'
    """
    lines, strings, nodes = text.split("\n"), [], list(ast.walk(ast.parse(text)))
    bodies = [node.body for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    alone = {id(body[0]) for body in bodies if all(map(_is_bare, body))}  # nothing but a docstring
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            # Docstrings, and those of fields: a bare constant computes nothing.
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                held = lines[number].encode()
                first = node.col_offset if number == node.lineno - 1 else 0
                last = node.end_col_offset if number + 1 == node.end_lineno else len(held)
                left = b"pass" if id(node) in alone and number == node.lineno - 1 else b" " * ((last or 0) - first)
                lines[number] = (held[:first] + left + held[last:]).decode()
        elif isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            strings.append(((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)))
    for row, line in enumerate(lines, 1):
        # Columns of ast count bytes.
        marks = [mark.start() for mark in re.finditer(b"#", line.encode())] if "#" in line else []
        outside = [mark for mark in marks if not any(first <= (row, mark) < last for first, last in strings)]
        if outside:
            lines[row - 1] = line.encode()[: outside[0]].decode()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _is_bare(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def hash_of(texts: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that name some texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def source(*more: str) -> str:
    """The hash of the code that determines numbers, and of `more` files or folders of the checkout."""
    files: list[Path] = []
    for name in (*DETERMINES, *more):
        there = place(name, ROOT)
        files += sorted(there.rglob("*.py")) if there.is_dir() else [there]
    return hash_of(f"{name_of(file, ROOT)}\n{code_of(file.read_text(encoding='utf-8'))}" for file in files)


def imported(text: str, package: str) -> list[str]:
    """Names of all modules that a source text may import; of `from a import b` both a and a.b.

    >>> imported("import os.path\\nfrom . import helpers", "mine")
    ['os.path', 'mine', 'mine.helpers']
    """
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):  # of an import that is tried before another one
                module = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
                names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


def behind(file: Path) -> tuple[Path, ...]:
    """Files of this checkout that a file imports, directly or through others, sorted."""
    reached: set[Path] = set()
    waiting = [file]
    while waiting:
        waiting += (new := _imports_in(waiting.pop()) - reached)
        reached |= new
    return tuple(sorted(reached))


@functools.cache
def _code_in(file: Path) -> str:
    return code_of(file.read_text(encoding="utf-8"))


@functools.cache
def _imports_in(file: Path) -> frozenset[Path]:
    package = ".".join(file.relative_to(ROOT).parent.parts)
    names = [name.split(".") for name in imported(file.read_text(encoding="utf-8"), package)]
    # Where it is installed, what it imports from others lies beside it.
    places = [ROOT.joinpath(*parts) for parts in names if parts[0] in ("ce_jax", HERE.name)]
    candidates = [candidate for place in places for candidate in (place.with_suffix(".py"), place / "__init__.py")]
    return frozenset(candidate for candidate in candidates if candidate.is_file())
