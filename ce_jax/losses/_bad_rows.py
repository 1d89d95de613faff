"""What happens to a row that has no loss: its label is out of range or hidden, or it holds NaN or +inf.

Its loss and its gradient are NaN, never those of another class. But a reduction that leaves the row out must not notice
it, so that its derivative has to keep a cotangent of 0. A loss does this in two steps: `replace_bad` puts harmless
numbers into the row before anything is computed, and `poison` makes its value and derivative NaN at the end.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ce_jax.losses._arithmetic import replace_value

Rows = Float[Array, "..."]
Mask = Bool[Array, "..."]


def replace_bad(x: Array, bad: Mask, instead: Array | float = 0.0) -> Array:
    """A harmless number where bad, `x` elsewhere; the derivative is 1 everywhere, for `poison` to make NaN."""
    return replace_value(x, jnp.where(bad, instead, x))


@jax.custom_jvp
def poison(x: Rows, bad: Mask) -> Rows:
    """NaN where bad, `x` elsewhere; the derivative is NaN where bad too, except that 0 stays 0.

    A row that is left out of a reduction has cotangent 0. Scaling by NaN, or any derivative that is NaN by itself,
    would turn that into NaN. So bad rows hold harmless numbers up to this point, and the derivative here is the linear
    map that keeps 0 and sends everything else to NaN; it is its own transpose.
    """
    return jnp.where(bad, jnp.nan, x)


@poison.defjvp
def _poison_jvp(primals, tangents):
    x, bad = primals
    info = jnp.finfo(x.dtype)
    small, large, none = (jnp.where(bad, jnp.asarray(c, x.dtype), 1) for c in (info.tiny, info.max, 0))
    # Two factors reach infinity even from the smallest normal number; inf * 0 is NaN, 0 * 0 is 0. The transpose goes
    # through the same factors from the other end. Dividing last keeps XLA from repeating all this for every class.
    return poison(x, bad), tangents[0] / small * large * none * large / small
