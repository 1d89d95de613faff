"""What the application is called and where its files lie: in a checkout, or installed under a name of its own."""

import sys
from pathlib import Path

HOME = "experiments"
"""The application's folder in a checkout; what is stored names its files and examples by it, wherever they lie."""
PACKAGE = __name__.partition(".")[0]
"""The name it is imported by: `HOME`, or that of the installed package."""
HERE = Path(__file__).parent
ROOT = HERE.parent
CHECKOUT = (ROOT / "pyproject.toml").is_file()
"""Whether the files are those of a checkout, which has a history, tests and a README, too."""
CONFIGS = (ROOT if CHECKOUT else HERE) / "configs"
"""The folder of the shipped configs."""


def program() -> list[str]:
    """The words that start the application, as they were typed: those of the console script or of the module."""
    return ["ce-jax"] if Path(sys.argv[0]).stem == "ce-jax" else ["python", "-m", PACKAGE]


def place(name: str, root: Path = ROOT) -> Path:
    """The file that a checkout has at `name`.

    >>> place("experiments/errors.py").name, place("ce_jax/py.typed").is_file()
    ('errors.py', True)
    """
    first, slash, rest = name.partition("/")
    return root / (HERE.name if first == HOME else first) / rest if slash else root / name


def name_of(file: Path, root: Path = ROOT) -> str:
    """Where a file lies in a checkout; the inverse of `place`.

    >>> name_of(place("experiments/errors.py"))
    'experiments/errors.py'
    """
    first, *rest = file.relative_to(root).parts
    return "/".join([HOME if first == HERE.name else first, *rest])
