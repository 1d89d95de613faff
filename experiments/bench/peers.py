"""What a user would write without ce_jax: loops and vmaps in PyTorch and in JAX, the same arithmetic as ours.

All train by plain SGD on the mean cross-entropy in float32; minibatches are drawn by a fresh permutation each epoch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ce_jax.auditing import FORMULAS, have_torch, torch_formulas
from ce_jax.comparing import on_cpu

from .tasks import Task
from .timing import Call

FEW_STEPS = 20
"""Steps timed of a vmap that takes minutes for all of them: its rate does not depend on how many follow."""
RATE = 0.05


def _batches(task: Task, steps: int) -> np.ndarray | None:
    """Indices [steps, batch], each epoch a permutation; None for the full batch."""
    if task.batch is None:
        return None
    per_epoch = len(task.inputs) // task.batch
    generator = np.random.default_rng(0)
    epochs = [generator.permutation(len(task.inputs))[: per_epoch * task.batch] for _ in range(-(-steps // per_epoch))]
    return np.concatenate(epochs).reshape(-1, task.batch)[:steps]


def torch_device() -> str | None:
    """Where PyTorch trains: on a device such as JAX's, or nowhere."""
    if not have_torch():
        return None
    import torch

    if on_cpu():
        return "cpu"
    return "cuda" if torch.cuda.is_available() else None


def _torch_data(task: Task, device: str | None) -> tuple[Any, Any]:
    """Inputs, images channels first as PyTorch has them, and labels, on a device."""
    import torch

    inputs = task.inputs if task.inputs.ndim < 4 else np.ascontiguousarray(task.inputs.transpose(0, 3, 1, 2))
    inputs, labels = torch.from_numpy(inputs), torch.from_numpy(task.labels).long()
    return inputs.to(device), labels.to(device)


def _torch_wait(device: str | None) -> None:
    """Until a device has done what it was told, as `jax.block_until_ready`."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def torch_loop(task: Task) -> Call:
    """One `nn.Sequential` after another, `torch.optim.SGD`."""
    import torch

    loss = torch_formulas()["cross_entropy"]
    device = torch_device()  # once: what is timed looks for nothing
    inputs, labels = _torch_data(task, device)
    batches = _batches(task, task.steps)

    def call() -> None:
        model = task.network.torch().to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        for step in range(task.steps):
            x, y = (inputs, labels) if batches is None else (inputs[batches[step]], labels[batches[step]])
            optimizer.zero_grad()
            loss(model(x), y, reduction="mean").backward()
            optimizer.step()
        _torch_wait(device)

    return call


def torch_vmap(task: Task) -> Call:
    """`torch.func.vmap(grad)` over stacked parameters, all lanes at once."""
    import torch

    loss = torch_formulas()["cross_entropy"]
    device = torch_device()
    inputs, labels = _torch_data(task, device)
    batches = _batches(task, FEW_STEPS)
    shape = task.network.torch().to(device)

    def mean_loss(params: Any, x: Any, y: Any) -> Any:
        return loss(torch.func.functional_call(shape, params, (x,)), y, reduction="mean")

    gradient = torch.func.vmap(torch.func.grad(mean_loss), in_dims=(0, None, None))
    stacked, _ = torch.func.stack_module_state([task.network.torch().to(device) for _ in range(task.lanes)])
    begun = {name: values.detach() for name, values in stacked.items()}

    def call() -> None:
        params = begun
        for step in range(FEW_STEPS):
            x, y = (inputs, labels) if batches is None else (inputs[batches[step]], labels[batches[step]])
            gradients = gradient(params, x, y)
            params = {name: values - RATE * gradients[name] for name, values in params.items()}
        _torch_wait(device)

    return call


def vmap_steps(task: Task) -> int:
    """How many steps of `jax_vmap` are timed: all but where the network is convolutional."""
    return FEW_STEPS if task.network.products[0].rows > 1 else task.steps


def _mean_loss(apply: Any) -> Any:
    loss = FORMULAS["optax"]["cross_entropy"]

    def mean_loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return loss(apply(params, x), y, None).mean()

    return mean_loss


def jax_loop(task: Task) -> Call:
    """One model after another, each step a jitted call with optax."""
    optimizer, gradient = optax.sgd(RATE), jax.grad(_mean_loss(task.network.written))
    inputs, labels = jnp.asarray(task.inputs), jnp.asarray(task.labels)
    batches = _batches(task, task.steps)

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array, batch: jax.Array | None) -> Any:
        if batch is not None:
            x, y = x[batch], y[batch]
        updates, state = optimizer.update(gradient(params, x, y), state)
        return optax.apply_updates(params, updates), state

    def call() -> None:
        params = task.network.ours.init(jax.random.key(0), inputs, task.num_classes)
        state = optimizer.init(params)
        for index in range(task.steps):
            params, state = step(params, state, inputs, labels, None if batches is None else batches[index])
        jax.block_until_ready(params)

    return call


def jax_vmap(task: Task) -> Call:
    """`jax.vmap` over seeds of a whole `lax.scan` of optax steps, written in the obvious way."""
    optimizer, gradient = optax.sgd(RATE), jax.grad(_mean_loss(task.network.written))
    size, batch, steps = len(task.inputs), task.batch, vmap_steps(task)

    def train(key: jax.Array, inputs: jax.Array, labels: jax.Array) -> Any:
        params = task.network.ours.init(key, inputs, task.num_classes)
        if batch is None:
            batches = jnp.zeros((steps, 0), jnp.int32)
        else:
            per_epoch = size // batch
            keys = jax.random.split(key, -(-steps // per_epoch))
            orders = jax.vmap(lambda k: jax.random.permutation(k, size)[: per_epoch * batch])(keys)
            batches = orders.reshape(-1, batch)[:steps]

        def step(carry: Any, chosen: jax.Array) -> Any:
            params, state = carry
            x, y = (inputs, labels) if batch is None else (inputs[chosen], labels[chosen])
            updates, state = optimizer.update(gradient(params, x, y), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), batches)[0][0]

    inputs, labels = jnp.asarray(task.inputs), jnp.asarray(task.labels)
    keys = jax.random.split(jax.random.key(0), task.lanes)
    compiled = jax.jit(jax.vmap(train, (0, None, None))).lower(keys, inputs, labels).compile()
    return lambda: jax.block_until_ready(compiled(keys, inputs, labels))
