"""What `list` does: every name that a config or the command line may use, a line each."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import optax
from rich.console import Console

from ce_jax.losses import LOSSES
from ce_jax.training import optimizer_names

from .data import DATASETS, OPTIONS_OF_ALL, OPTIONS_OF_TABLES
from .names import HERE
from .shipped import shipped

STARTS = {
    "he": "normal weights of variance gain / fan-in, the gain being that of the activation: the ordinary start",
    "glorot": "uniform weights of variance 2 / (fan-in + fan-out)",
    "gentle": "hidden layers as he, small output weights: every class about as likely as any other",
    "saturated": "hidden layers as he, large output weights: confident, and wrong for most examples",
    "{std = [...]}": "normal weights with these standard deviations, one per layer",
    "npz:PATH": "the arrays weight_0 [in, out], bias_0 [out], weight_1, ... of a file",
}
OWN_OPTIMIZERS = {"momentum": "sgd with momentum 0.9, or with that of optimizer_options.momentum"}
SCHEDULES = {
    "constant": "the rate as it is",
    "cosine": "falls as a cosine to 0 at the last step",
    "linear": "falls in a line to 0 at the last step",
    "exponential": "falls by the same factor each step, to 1/100 at the last one",
    "warmup_cosine": "rises in a line from 0 over the first tenth, then falls as a cosine to 0",
    "step": "a tenth from half of the run on, a hundredth from three quarters on",
}


def list_command(console: Console) -> int:
    """`list`: every name that a config or the command line may use.

    Lines are as long as what they say; a terminal wraps them, and nothing that reads them has to put them together.
    """
    for title, rows in sections().items():
        console.print(title, style="bold", markup=False)
        width = max(map(len, rows))
        for name, text in rows.items():
            console.print(f"  {name:{width}}  {text}", markup=False, highlight=False, soft_wrap=True)
        console.print()
    return 0


def sections() -> dict[str, dict[str, str]]:
    """{what: {name: what it is, in a line}}."""
    return {
        "data sets (dataset = ...)": {name: entry.description for name, entry in DATASETS.items()}
        | {
            "csv:PATH, parquet:PATH": "your table; data.label names the label column; init FILE writes a config for it",
            "npz:PATH": "your arrays inputs ([N, D], or images [N, H, W, C]) and labels; data.label names others",
            "idx:DIR": "MNIST-format files",
        },
        "options of any data set (keys of the table [data])": OPTIONS_OF_ALL,
        "options of your own tables (keys of the table [data])": OPTIONS_OF_TABLES,
        "losses (loss = [...])": {name: first_line(loss.value) for name, loss in LOSSES.items()}
        | {"module:function": "your own function of (logits [N, K], labels [N]); check it with audit module:function"},
        "models (model = ...)": {
            "linear": "softmax regression",
            "mlp": "multilayer perceptron, see the table [mlp]",
            "cnn": "convolutional network, see the table [cnn]",
            "module:attribute": "your own: init and apply, a module of flax, equinox or haiku, or what makes one",
        },
        "optimizers (optimizer = ...)": {
            name: first_line(getattr(optax, name, None)) or OWN_OPTIMIZERS[name] for name in optimizer_names()
        },
        "starts (start = ...)": STARTS,
        "schedules (train.schedule = ...)": SCHEDULES,
        "configs (run PATH, or run NAME)": {f"configs/{path.name}": first_comment(path) for path in shipped()},
        "claims (claims ID)": statements(),
    }


def first_line(function: Callable[..., object] | None) -> str:
    """The first sentence of a docstring that has a line for it.

    >>> first_line(first_line)
    'The first sentence of a docstring that has a line for it.'
    """
    paragraph = ((inspect.getdoc(function) if function else None) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())


def first_comment(path: Path) -> str:
    """The first line of a config, where it is a comment."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return line.lstrip("# ") if line.startswith("#") else ""


def statements() -> dict[str, str]:
    """{id: statement} of the published claims as their files say it: what measures and draws them is not imported."""
    found = {}
    for path in sorted((HERE / "claims").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CLAIM":
                said = {one.arg: one.value for one in getattr(node.value, "keywords", ())}
                found[ast.literal_eval(said["id"])] = ast.literal_eval(said["statement"])
    return found
