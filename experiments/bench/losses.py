"""Suite `loss`: value and gradient with respect to the logits, mean over rows, beside what users call instead."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ce_jax.losses import cross_entropy, ssr
from experiments.bench.timing import Call, Point, have_torch, median_seconds, ratio_to_best

SHAPES = ((256, 10), (8192, 10), (1024, 1000), (8192, 1000), (2048, 32768))


def loss_points(runs: int) -> Iterator[Point]:
    """Measure every loss at every shape, one point at a time."""
    for rows, classes in SHAPES:
        generator = np.random.default_rng(0)
        logits = generator.normal(size=(rows, classes)).astype(np.float32) * 3
        labels = generator.integers(0, classes, rows)
        for name in ("cross_entropy", "ssr"):
            yield _point(name, logits, labels, runs)


def _point(name: str, logits: np.ndarray, labels: np.ndarray, runs: int) -> Point:
    on_device = jnp.asarray(logits), jnp.asarray(labels, jnp.int32)
    repeats = max(1, 2_000_000 // logits.size)  # a call of some milliseconds, whatever the shape
    calls: dict[str, Call | None] = {}
    compile_seconds = None
    for peer, function in _jax_peers(name).items():
        begin = time.perf_counter()
        compiled = jax.jit(jax.value_and_grad(lambda z, y, f=function: jnp.mean(f(z, y)))).lower(*on_device).compile()
        if peer == "ours":
            compile_seconds = time.perf_counter() - begin
        calls[peer] = _repeat(functools.partial(_run, compiled, *on_device), repeats)
    calls["torch"] = _repeat(_torch_call(name, logits, labels), repeats) if have_torch() else None
    seconds = median_seconds(calls, runs)
    milliseconds = {peer: value and 1e3 * value / repeats for peer, value in seconds.items()}
    ours = milliseconds.pop("ours") or float("nan")
    return Point(
        "loss",
        f"{name}/{logits.shape[0]}x{logits.shape[1]}",
        "ms",
        ours,
        milliseconds,
        ratio_to_best(ours, milliseconds, more_is_better=False),
        None,
        None,
        compile_seconds,
        runs,
    )


def _run(compiled: Any, logits: jax.Array, labels: jax.Array) -> None:
    compiled(logits, labels)[1].block_until_ready()


def _repeat(call: Call, times: int) -> Call:
    def repeated() -> None:
        for _ in range(times):
            call()

    return repeated


def _jax_peers(name: str) -> dict[str, Callable[[jax.Array, jax.Array], jax.Array]]:
    def onehot(z: jax.Array, y: jax.Array) -> jax.Array:
        return jax.nn.one_hot(y, z.shape[-1], dtype=z.dtype)

    if name == "cross_entropy":
        return {
            "ours": cross_entropy,
            "optax integer labels": optax.softmax_cross_entropy_with_integer_labels,
            "optax one-hot": lambda z, y: optax.softmax_cross_entropy(z, onehot(z, y)),
        }
    return {
        "ours": ssr,
        "textbook in JAX": lambda z, y: jnp.sum((jax.nn.softmax(z) - onehot(z, y)) ** 2, axis=-1),
        "optax squared_error": lambda z, y: jnp.sum(optax.squared_error(jax.nn.softmax(z), onehot(z, y)), axis=-1),
    }


def _torch_call(name: str, logits: np.ndarray, labels: np.ndarray) -> Call:
    import torch

    z = torch.from_numpy(logits).clone().requires_grad_(True)
    y = torch.from_numpy(labels)

    def value() -> Any:
        if name == "cross_entropy":
            return torch.nn.functional.cross_entropy(z, y)
        onehot = torch.nn.functional.one_hot(y, z.shape[1]).to(z.dtype)
        return ((torch.softmax(z, 1) - onehot) ** 2).sum(1).mean()

    def call() -> None:
        z.grad = None
        value().backward()

    return call
