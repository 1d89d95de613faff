"""A random order of the training examples, one batch at a time and without sorting.

Sorting random numbers, as `jax.random.permutation` does, took longer than the training step it serves. A Feistel
network is a bijection whatever its round function: write a position as a pair (l, r) with l < a, r < b and ab >= size,
and add to each half in turn a hash of the other. Positions that land on size or beyond go through again until they do
not (cycle walking, Black and Rogaway 2002), so that every example comes up exactly once in an epoch.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int, Key, UInt32

_ROUNDS = 8  # even: they come in pairs, one for each half


def shuffled(key: Key[Array, ""], positions: Int[Array, " n"], size: int) -> Int[Array, " n"]:
    """The examples at some positions of a random order of `size` examples.

    Args:
      key: fixes the order; consumed.
      positions: integers in 0..size-1.
      size: number of examples, below 2^31.

    Returns:
      Integers in 0..size-1. Over all positions each comes up exactly once.

    >>> order = shuffled(jax.random.key(0), jnp.arange(10), 10)
    >>> sorted(order.tolist()) == list(range(10))
    True
    """
    # a = ceil(sqrt(size)): halves of nearly equal size keep ab close to it, so that few positions go through again.
    a = math.isqrt(size - 1) + 1
    b = -(-size // a)
    round_keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def permute(x: Array) -> Array:
        left, right = x // b, x % b
        for i in range(0, _ROUNDS, 2):
            left = _add(left, _hash(right ^ round_keys[i], a), a)
            right = _add(right, _hash(left ^ round_keys[i + 1], b), b)
        return left * b + right

    examples = permute(positions.astype(jnp.uint32))
    if a * b > size:
        examples = jax.lax.while_loop(
            lambda x: jnp.any(x >= size), lambda x: jnp.where(x >= size, permute(x), x), examples
        )
    return examples.astype(jnp.int32)


def _add(x: UInt32[Array, " n"], y: UInt32[Array, " n"], modulus: int) -> UInt32[Array, " n"]:
    # Both are below the modulus, so that one subtraction does what a division would.
    total = x + y
    return jnp.where(total >= modulus, total - modulus, total)


def _hash(x: UInt32[Array, " n"], modulus: int) -> UInt32[Array, " n"]:
    """A number below `modulus`, by the finaliser of MurmurHash3 (A. Appleby)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    # The upper 16 bits scaled to 0..modulus-1 (Lemire 2019) in 32 bits: size < 2^31 keeps the modulus below 2^16.
    return ((x >> 16) * jnp.uint32(modulus)) >> 16
