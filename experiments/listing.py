"""What `python -m experiments list` does: every name that a config or the command line may use."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ce_jax.losses import LOSSES
from ce_jax.training import SCHEDULES, optimizer_names
from experiments.claims.registry import CLAIMS
from experiments.data import DATASETS, OPTIONS_OF_ALL

CONFIGS = Path(__file__).parent.parent / "configs"


def list_command(console: Console) -> int:
    """`list`: every name that a config or the command line may use."""
    sections: dict[str, dict[str, str]] = {
        "datasets": {name: entry.description for name, entry in DATASETS.items()}
        | {
            "csv:PATH, parquet:PATH": "your table; data.label names the label column",
            "npz:PATH": "your arrays inputs ([N, D], or images [N, H, W, C]) and labels",
            "idx:DIR": "MNIST-format files",
        },
        "options of any data set (keys of the table data)": OPTIONS_OF_ALL,
        "losses": {name: _first_line(loss.value.__doc__) for name, loss in LOSSES.items()}
        | {"module:function": "your own function of (logits [N, K], labels [N])"},
        "models": {
            "linear": "softmax regression",
            "mlp": "multilayer perceptron, see [mlp]",
            "cnn": "convolutional network, see [cnn]",
            "module:attribute": "your own",
        },
        "optimizers": dict.fromkeys(optimizer_names(), ""),
        "schedules": dict.fromkeys(SCHEDULES, ""),
        "configs": {
            str(path.relative_to(CONFIGS.parent)): _first_comment(path) for path in sorted(CONFIGS.glob("*.toml"))
        },
        "claims": {name: claim.statement for name, claim in CLAIMS.items()},
    }
    for title, rows in sections.items():
        if not any(rows.values()):
            console.print(Text.assemble((title, "bold"), f"\n  {', '.join(rows)}\n"))
            continue
        table = Table(
            title=Text(title), title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=True
        )
        for name, text in rows.items():
            table.add_row(Text(name), Text(text))
        console.print(table)
        console.print()
    return 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return line.lstrip("# ") if line.startswith("#") else ""
