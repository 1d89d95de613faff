"""Classifiers as records of pure functions, over any tree of parameters.

`_records` what a `Model` is; `_activations` and `_starts` what hidden units compute and where layers begin; `_backward`
backpropagation by hand; `_precision` that of products; `_dense` the linear model and the multilayer perceptron;
`_convolutions` small convolutional networks; `_passes` forward and back through any model; `_adapters` networks of
flax, equinox and haiku; `_own` a user's network in whichever form, and what is wrong with it.

>>> import jax
>>> model = mlp((16,), activation="relu")
>>> params = model.init(jax.random.key(0), jax.numpy.ones((5, 4)), 3)
>>> [layer.weight.shape for layer in params]
[(4, 16), (16, 3)]
>>> model.apply(params, jax.numpy.ones((5, 4))).shape
(5, 3)
"""

from ce_jax.models._activations import ACTIVATIONS, Activation
from ce_jax.models._adapters import from_equinox, from_haiku, from_linen, from_nnx
from ce_jax.models._convolutions import CNN_NORMALIZATIONS, cnn
from ce_jax.models._dense import NORMALIZATIONS, NormalizedLayer, linear, mlp
from ce_jax.models._own import as_model, check_model
from ce_jax.models._passes import backward_of, begin, is_stochastic, logits_of
from ce_jax.models._precision import exactly
from ce_jax.models._records import Layer, Model, Params, Start
from ce_jax.models._starts import STARTS

__all__ = [
    "ACTIVATIONS",
    "CNN_NORMALIZATIONS",
    "NORMALIZATIONS",
    "STARTS",
    "Activation",
    "Layer",
    "Model",
    "NormalizedLayer",
    "Params",
    "Start",
    "as_model",
    "backward_of",
    "begin",
    "check_model",
    "cnn",
    "exactly",
    "from_equinox",
    "from_haiku",
    "from_linen",
    "from_nnx",
    "is_stochastic",
    "linear",
    "logits_of",
    "mlp",
]
