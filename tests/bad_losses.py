"""Losses that a user might write by mistake."""

import jax
import jax.numpy as jnp
import numpy as np

KEPT = []


def summed(logits, labels):
    return jnp.sum(logits) + jnp.sum(labels)


def broken(logits, labels):
    raise RuntimeError("I am broken")


def whole(logits, labels):
    return (jnp.argmax(logits, axis=-1) != labels).astype(jnp.int32)


def half(logits, labels):
    return jnp.max(logits, axis=-1).astype(jnp.float16)


def endless(logits, labels):
    return jax.lax.while_loop(lambda x: (x < 3).all(), lambda x: 2 * x, logits[:, 0])


def on_the_host(logits, labels):
    return jnp.asarray(np.asarray(logits)[:, 0])


def keeping(logits, labels):
    KEPT.append(logits)
    return logits[:, 0]


def caching(logits, labels):
    if len(KEPT) == 0:
        KEPT.append(logits.sum())
    return logits[:, 0] * KEPT[0]


def printing(logits, labels):
    jax.debug.print("{x}", x=logits.sum())
    return logits[:, 0]


@jax.custom_jvp
def _called(logits):
    shape = jax.ShapeDtypeStruct(logits.shape[:1], logits.dtype)
    return jax.pure_callback(lambda z: np.asarray(z)[:, 0], shape, logits)


@_called.defjvp
def _called_jvp(primals, tangents):
    return _called(*primals), tangents[0][:, 0]


def calling(logits, labels):
    return _called(logits)


def of_five(logits, labels):
    return logits[:, 0] * jnp.ones(5)


def model_that_calls():
    def apply(params, inputs):
        jax.debug.callback(lambda x: None, inputs.sum())
        return inputs @ params

    return (lambda key, inputs, num_classes: jnp.ones((inputs.shape[-1], num_classes))), apply
