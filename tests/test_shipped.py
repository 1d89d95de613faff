"""What any folder can name: shipped configs, and modules of the user's own, here or beside the config."""

import sys
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.errors import UserError
from experiments.own_modules import import_own, searched
from experiments.shipped import find_config, shipped


@pytest.mark.parametrize("name", ["quickstart", "quickstart.toml", "configs/quickstart.toml", "./quickstart"])
def test_a_shipped_config_is_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()  # a folder is no config
    assert find_config(Path(name)) in shipped()


def test_a_file_of_the_users_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("iris.toml").write_text("")
    assert find_config(Path("iris")) == find_config(Path("iris.toml")) == Path("iris.toml")


@pytest.mark.parametrize("name", ["other/quickstart.toml", "quikstart", "quikstart.toml"])
def test_a_config_that_is_nowhere_names_the_nearest(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no such config file; did you mean '.*quickstart"):
        find_config(Path(name))


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A function that writes a module into a folder; what was imported is forgotten afterwards."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)

    def write(place, text):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - known:
        if name.startswith("own_"):
            del sys.modules[name]


def test_an_own_module_comes_first_and_the_path_is_as_before(modules, tmp_path, monkeypatch):
    modules("installed/own_words.py", "WHERE = 'installed'")
    modules("here/own_words.py", "WHERE = 'here'")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    before = list(sys.path)
    with searched(tmp_path / "here"):
        assert import_own("own_words").WHERE == "here"
        assert sys.path == [*before, str(tmp_path / "here")]
    assert sys.path == before


def test_a_module_may_extend_the_path_itself(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules("here/own_words.py", "import sys\nsys.path.insert(0, '/nowhere/in/particular')")
    with searched(tmp_path / "here"):
        import_own("own_words")
    assert sys.path.count("/nowhere/in/particular") == 1
    assert str(tmp_path / "here") not in sys.path


def test_losses_and_networks_are_found_in_the_current_folder_and_beside_the_config(
    modules, tmp_path, monkeypatch, capsys
):
    modules(
        "here/own_loss.py", "import ce_jax\n\ndef double(logits, labels):\n    return 2 * ce_jax.ssr(logits, labels)"
    )
    modules("there/own_net.py", "import ce_jax\n\ndef make(num_classes):\n    return ce_jax.linear()")
    text = 'dataset = "iris"\nmodel = "own_net:make"\nloss = ["own_loss:double"]\n'
    config = modules("there/mine.toml", text)
    monkeypatch.chdir(tmp_path / "here")
    assert main(["run", str(config), "--dry-run"]) == 0
    monkeypatch.chdir(tmp_path)
    for name in ("own_loss", "own_net"):
        del sys.modules[name]
    assert main(["run", str(config), "--dry-run"]) == 2
    assert "loss: own_loss:double: cannot import 'own_loss'" in capsys.readouterr().err
