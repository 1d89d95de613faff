"""Suite `loss`: value and gradient with respect to the logits, mean over rows, beside what users call instead."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax.auditing import FORMULAS, have_torch, torch_formulas
from ce_jax.losses import LOSSES

from .timing import Call, Point, noise, ratio_to_best, take_turns

SHAPES = ((256, 10), (8192, 10), (1024, 1000), (8192, 1000), (2048, 32768))
# Who is timed beside each loss; PyTorch comes last.
JAX_PEERS = {
    "cross_entropy": {
        "optax integer labels": FORMULAS["optax"]["cross_entropy"],
        "optax one-hot": FORMULAS["optax one-hot"]["cross_entropy"],
    },
    "ssr": {
        "textbook in JAX": FORMULAS["textbook"]["ssr"],
        "optax squared_error": FORMULAS["optax squared_error"]["ssr"],
    },
}


def loss_points(runs: int) -> Iterator[Point]:
    """Measure every loss at every shape, one point at a time."""
    for rows, classes in SHAPES:
        generator = np.random.default_rng(0)
        logits = generator.normal(size=(rows, classes)).astype(np.float32) * 3
        labels = generator.integers(0, classes, rows)
        for name in JAX_PEERS:
            yield _point(name, logits, labels, runs)


def _point(name: str, logits: np.ndarray, labels: np.ndarray, runs: int) -> Point:
    on_device = jnp.asarray(logits), jnp.asarray(labels, jnp.int32)
    # A turn of some milliseconds, whatever the shape; one call alone would be timed in the memory of the one before it.
    calls_a_turn = max(3, 2_000_000 // logits.size)
    calls: dict[str, Call | None] = {}
    begin = time.perf_counter()
    compiled = {"ours": _compile(LOSSES[name].value, *on_device)}
    compile_seconds = time.perf_counter() - begin
    for peer, formula in JAX_PEERS[name].items():
        compiled[peer] = _compile(functools.partial(formula, where=None), *on_device)
    for peer, program in compiled.items():
        calls[peer] = functools.partial(_run, program, *on_device)
    calls["torch"] = _torch_call(name, logits, labels) if have_torch() else None
    timings = take_turns(calls, runs, calls_a_turn=calls_a_turn)
    milliseconds = {peer: timing and 1e3 * timing.seconds for peer, timing in timings.items()}
    ours = milliseconds.pop("ours") or float("nan")
    return Point(
        suite="loss",
        name=f"{name}/{logits.shape[0]}x{logits.shape[1]}",
        unit="ms",
        ours=ours,
        peers=milliseconds,
        ratio_to_best_peer=ratio_to_best(ours, milliseconds, more_is_better=False),
        fraction_of_limit=None,
        temp_bytes=None,
        compile_seconds=compile_seconds,
        runs=runs,
        **noise(timings),
    )


def _compile(loss: Callable[..., jax.Array], logits: jax.Array, labels: jax.Array) -> Any:
    """The mean over rows and its gradient by the logits, compiled."""
    return jax.jit(jax.value_and_grad(lambda z, y: jnp.mean(loss(z, y)))).lower(logits, labels).compile()


def _run(compiled: Any, logits: jax.Array, labels: jax.Array) -> None:
    compiled(logits, labels)[1].block_until_ready()


def _torch_call(name: str, logits: np.ndarray, labels: np.ndarray) -> Call:
    import torch

    z, y, loss = torch.from_numpy(logits).clone().requires_grad_(True), torch.from_numpy(labels), torch_formulas()[name]

    def call() -> None:
        z.grad = None
        loss(z, y, reduction="mean").backward()

    return call
