# ruff: noqa: D103
"""From one loss value to a claim, in cells: for Jupyter, VS Code, marimo, or `python -m experiments.tutorial`."""

# %% [markdown]
# # Why cross-entropy trains a classifier faster than the sum of squared residuals
#
# Each cell can be run on its own after those above it; all together take about a minute.

# %%
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

sys.path.append("..")  # Jupyter starts a notebook in its own folder

import jax
import jax.numpy as jnp
from sklearn.datasets import load_iris

from ce_jax import compare, cross_entropy, cross_entropy_grad, mlp, softmax, ssr, ssr_grad
from ce_jax.comparing import Listener
from experiments.claims.record import Request
from experiments.claims.registry import CLAIMS

# %% [markdown]
# ## One row
#
# A classifier gives one number for each class, a logit; the softmax turns them into probabilities. Cross-entropy is
# -ln of the probability of the right class. SSR is the sum of the squared distances of all probabilities from 0 and 1.

# %%
logits, label = jnp.array([1.0, 2.0, 0.5]), jnp.array(0)
print("probabilities ", softmax(logits))
print("cross-entropy ", cross_entropy(logits, label))
print("SSR           ", ssr(logits, label))

# %% [markdown]
# ## Its gradient
#
# `jax.grad` and the formula written by hand agree: both losses are exact in their tails, where the textbook formulas
# lose all digits.

# %%
print("jax.grad      ", jax.grad(ssr)(logits, label))
print("by hand       ", ssr_grad(logits, label))

# %% [markdown]
# ## Where the two part
#
# Let a wrong class lead by more and more. The gradient of cross-entropy grows to the square root of 2; that of SSR
# carries the slope of the softmax and goes to 0: the more wrong, the less there is to learn from.

# %%
print("lead    cross-entropy    SSR")
sizes = {}
for lead in (0.0, 2.0, 5.0, 10.0, 20.0):
    row = jnp.array([0.0, lead, 0.0])
    sizes[lead] = [float(jnp.linalg.norm(grad(row, label))) for grad in (cross_entropy_grad, ssr_grad)]
    print(f"{lead:4.0f}    {sizes[lead][0]:13.4f}    {sizes[lead][1]:.3g}")

# %% [markdown]
# ## Training, many times over
#
# One network on one set of starts proves nothing. `compare` trains both losses from the same starts on the same
# batches, at the same number of learning rates, chooses each loss's rate on seeds of its own, and judges on fresh
# ones. From an ordinary start:

# %%
flowers = load_iris()
settings: dict[str, Any] = {
    "losses": ("cross_entropy", "ssr"),
    "steps": 200,
    "batch_size": 32,
    "seeds": 20,
    "tuning_seeds": 10,
    "learning_rates": {"low": 1e-2, "high": 1e1, "count": 7},
    "targets": (0.9,),
    "resamples": 400,
}
ordinary = compare(flowers.data, flowers.target, model=mlp((16,)), dataset="iris", **settings)
print(ordinary)

# %% [markdown]
# And from a start that is sure of itself and often wrong (output weights with a standard deviation of 4):

# %%
saturated = compare(flowers.data, flowers.target, model=mlp((16,), start="saturated"), dataset="iris", **settings)
print(saturated)

# %% [markdown]
# Every number behind the sentence is there: `saturated.summary` is what a run stores as summary.json, and
# `saturated.curves` are the curves, for each loss [rates, seeds, evaluations].

# %%
for loss in settings["losses"]:
    print(loss, saturated.summary["losses"][loss]["best_learning_rate"], saturated.curves[loss]["test_accuracy"].shape)

# %% [markdown]
# ## A loss of your own
#
# A loss is a function of logits [..., classes] and labels [...] with one value for each row. The table `LOSSES` holds
# those that are built in; yours needs no entry.


# %%
def half_and_half(logits, labels, *, axis=-1):
    return 0.5 * cross_entropy(logits, labels, axis=axis) + 0.5 * ssr(logits, labels, axis=axis)


own = compare(
    flowers.data,
    flowers.target,
    model=mlp((16,)),
    dataset="iris",
    **settings | {"losses": ("cross_entropy", half_and_half)},
)
print(own)

# %% [markdown]
# ## A claim
#
# Published claims are re-run with a rule that was fixed before. This one counts steps out of a wrong start, and holds
# them against closed forms. All of them: `python -m experiments claims`.

# %%
claim = CLAIMS["escape-time"]
findings = claim.measure(Request(True, 0, Path(mkdtemp()), Listener()))
print(claim.statement)
for loss in ("cross_entropy", "ssr"):
    print(f"a lead of 10 under {loss}: {findings.measurements[f'z0=10/{loss}/steps'].value:,.0f} steps")
verdict = claim.decide(findings.measurements)
print("verdict:", verdict)
