"""Keywords that other libraries have and these losses do not: the error says what to write instead."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from ce_jax._checking import nearest

P = ParamSpec("P")
R = TypeVar("R")

_MEAN = "there is one value per row, reduce it yourself: mean_over({name}(logits, labels)), or .sum()"
_WEIGHTS = "weigh the rows in their mean: mean_over({name}(logits, labels), weights=weights)"
_OF_CLASSES = "weigh the rows in their mean: mean_over({name}(logits, labels), weights=class_weight[labels])"
_AXIS = "write axis={value}"
_POSITIONAL = "data are positional: {name}(logits, labels)"
_TARGETS = "pass integer labels, or a distribution to cross_entropy_with_targets or ssr_with_targets"
_COUNTED = "leave it out, the number of classes is the length of the class axis"
_PROBABILITIES = (
    "leave it out, logits are expected; probabilities have cross_entropy_from_probs, ssr_from_probs and "
    "true_class_ssr_from_probs"
)

# By keyword, what to write instead; {name} is the function's and {value} what was given.
INSTEAD: dict[str, str] = {
    "ignore_index": "leave rows out of their mean: mean_over({name}(logits, labels), where=labels != {value})",
    "ignore_class": "leave rows out of their mean: mean_over({name}(logits, labels), where=labels != {value})",
    "mask": "where=mask hides classes; rows are left out by mean_over({name}(logits, labels), where=mask)",
    **dict.fromkeys(("reduction", "reduce", "size_average"), _MEAN),
    **dict.fromkeys(("weights", "sample_weight", "row_weight"), _WEIGHTS),
    **dict.fromkeys(("weight", "class_weight", "class_weights", "pos_weight"), _OF_CLASSES),
    "from_logits": _PROBABILITIES,
    **dict.fromkeys(("num_classes", "n_classes", "depth"), _COUNTED),
    **dict.fromkeys(("dim", "class_axis"), _AXIS),
    **dict.fromkeys(("onehot", "one_hot", "soft_targets", "label_probs"), _TARGETS),
    **dict.fromkeys(("input", "y_true", "y_pred", "preds", "predictions"), _POSITIONAL),
    "alpha": "there are no class weights inside; " + _OF_CLASSES,
    "smoothing": "write label_smoothing={value}, where the function has it",
}


def answers_unknown_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose TypeError for a keyword that it does not have says what to write instead.

    The keyword arguments are compared with the signature, once per call: nothing is left of that under `jax.jit`. What
    `inspect.signature`, pickle and `help` see is `function`.
    """
    parameters = inspect.signature(function).parameters
    known = frozenset(parameters)

    @functools.wraps(function)
    def answering(*args: P.args, **kwargs: P.kwargs) -> R:
        if not known.issuperset(kwargs):
            raise unknown_keyword(function.__name__, parameters, kwargs)
        return function(*args, **kwargs)

    return answering


def unknown_keyword(name: str, known: Mapping[str, object], given: Mapping[str, object]) -> TypeError:
    """The error for the first of the keywords `given` that is not `known` to the function `name`."""
    keyword = next(word for word in given if word not in known)
    options = [option for option in known if option not in ("logits", "labels", "targets", "probs")]
    expected = f"{name}: expected keywords among {', '.join(options)}, got {keyword!r}"
    instead = INSTEAD.get(keyword)
    if instead is None:
        return TypeError(f"{expected}{nearest(keyword, options)}")
    value = given[keyword]
    shown = value if isinstance(value, bool | int | float | str) else keyword
    return TypeError(f"{expected}; {instead.format(name=name, value=shown)}")
