"""The configs that come with the application, which any folder can name: `run quickstart`."""

from pathlib import Path

from .errors import UserError, nearest
from .names import CONFIGS


def shipped() -> list[Path]:
    """The files of all shipped configs, sorted by name."""
    return sorted(CONFIGS.glob("*.toml"))


def find_config(path: Path) -> Path:
    """The file of a config: `path` itself, with .toml after it, or else the shipped config of that name.

    A shipped one goes by its name alone, as a file name and as configs/NAME.toml.

    >>> find_config(Path("quickstart")).name
    'quickstart.toml'

    Raises:
      UserError: there is none; the nearest one there is.
    """
    if path.exists() and not (path.is_dir() and not path.suffix):  # what is no file is said by whoever reads it
        return path
    if path.name and not path.suffix and (own := path.with_name(path.name + ".toml")).is_file():
        return own
    names = {form: file for file in shipped() for form in (file.stem, file.name, f"configs/{file.name}")}
    if found := names.get(path.as_posix()):
        return found
    if path.is_dir():
        return path
    known = [str(other) for other in sorted(path.parent.glob("*.toml"))]
    raise UserError(f"{path}: no such config file{nearest(str(path), [*known, *names])}")
