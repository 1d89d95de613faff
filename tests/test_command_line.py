"""What the command line says of itself: the list of names, the help of commands, completion, nearest names."""

import io
import shlex
import subprocess

import pytest
from rich.console import Console

from ce_jax.losses import LOSSES
from ce_jax.models import STARTS
from ce_jax.training import SCHEDULES
from experiments import listing
from experiments.__main__ import app, main
from experiments.claims.registry import CLAIMS

COMMANDS = [name for name in app if name not in ("--help", "-h")]


@pytest.fixture(scope="module")
def listed():
    """The lines of `list` on a narrow terminal."""
    stream = io.StringIO()
    assert listing.list_command(Console(file=stream, width=40)) == 0
    return stream.getvalue().splitlines()


def test_list_has_one_whole_line_about_each_thing(listed):
    for title, rows in listing.sections().items():
        for name, text in rows.items():
            assert text, (title, name)
            (line,) = [line for line in listed if line.split() == f"{name} {text}".split()]
            assert line.rstrip().endswith(text)


def test_text_in_brackets_is_text(listed):
    said = "\n".join(listed)
    assert "sum_k |p_k - [k = y]| = 2 (1 - p_y)" in said
    assert "max_p [p . z - Omega(p)] - z_y" in said
    assert "see the table [mlp]" in said


def test_everything_there_is_is_listed():
    sections = {title.split()[0]: rows for title, rows in listing.sections().items()}
    assert set(LOSSES) < set(sections["losses"])
    assert sections["claims"] == {name: claim.statement for name, claim in CLAIMS.items()}
    assert set(SCHEDULES) == set(sections["schedules"])
    assert set(STARTS) < set(sections["starts"])
    # A text that goes on in the next line of its file would end here in the middle.
    assert all(text.endswith((".", "?")) for text in sections["configs"].values())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    (example,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Example: ")]
    program, command, *_ = shlex.split(example.removeprefix("Example: "))
    assert (program, command) == ("ce-jax", name)


def test_completion_is_of_the_console_script(tmp_path, capsys):
    script = tmp_path / "completion.bash"
    assert main(["--install-completion", "--shell", "bash", "--output", str(script)]) == 0
    assert str(script) in capsys.readouterr().out
    complete = f"source {script}; COMP_WORDS=(ce-jax cl); COMP_CWORD=1; _ce_jax; echo ${{COMPREPLY[@]}}"
    said = subprocess.run(["bash", "-c", complete], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["claims"]


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        ("rum quickstart", "run"),
        ("run quickstart --dry-rum", "--dry-run"),
        ("run quikstart", "quickstart"),
        ("run quickstart modle=mlp", "model"),
        ("run quickstart steps=20", "train.steps"),
        ("run quickstart train.stepz=20", "train.steps"),
        ("run quickstart model=lienar", "linear"),
        ("run quickstart dataset=irsi", "iris"),
        ("run quickstart loss=ssrr", "ssr"),
        ("run quickstart optimizer_options.momentun=1", "momentum"),
        ("audit ssrr", "ssr"),
        ("claims escpe-time", "escape-time"),
        ("bench los", "loss"),
        ("lesson strat=saturated", "start"),
    ],
)
def test_the_nearest_name_is_said(words, nearest, capsys):
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert f'id you mean "{nearest}"?' in error or f"did you mean '{nearest}'?" in error or f"ean {nearest}?" in error
    assert error.count("\n") == 1
