"""Losses of three lines that a config and `audit` can name, as `experiments.examples.own_loss:margin`."""

import jax
import jax.numpy as jnp

from ce_jax import log_odds, log_prob


def margin(logits, labels):
    """A smooth hinge on the log-odds: it asks for a lead of 1, and gives nothing for more than that is worth."""
    return jax.nn.softplus(1 - log_odds(logits, labels))


def tempered(logits, labels, *, power=0.5):
    """The bounded cross-entropy (1 - p^power) / power; a config may list its option, `{name = ..., power = [...]}`."""
    return -jnp.expm1(power * log_prob(logits, labels)) / power
