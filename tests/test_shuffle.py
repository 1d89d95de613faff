"""The order of batches: every example once an epoch, in orders that are random enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from ce_jax.training import shuffled


def orders(size, count, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: shuffled(key, jnp.arange(size), size)))(keys))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12, 90, 97, 1437])
def test_every_example_comes_up_once(size):
    for order in orders(size, 5):
        assert sorted(order) == list(range(size))


def test_a_part_of_the_order_does_not_depend_on_what_else_is_asked():
    whole = orders(90, 1)[0]
    key = jax.random.split(jax.random.key(0), 1)[0]
    np.testing.assert_array_equal(shuffled(key, jnp.arange(32, 64), 90), whole[32:64])


@pytest.mark.parametrize("size", [5, 12, 90])
def test_orders_look_uniform(size):
    """Who stands where, and who follows whom, over many keys: chi-squared against all pairs equally often."""
    found = orders(size, 40 * size * size // min(size, 8))
    place = np.zeros((size, size))
    follows = np.zeros((size, size))
    for position in range(size):
        np.add.at(place, (position, found[:, position]), 1)
    for position in range(size - 1):
        np.add.at(follows, (found[:, position], found[:, position + 1]), 1)
    assert chisquare(place.ravel()).pvalue > 1e-4
    assert chisquare(follows[~np.eye(size, dtype=bool)]).pvalue > 1e-4
    ascending = (np.diff(found, axis=1) > 0).mean()
    assert abs(ascending - 0.5) < 0.01
