"""The losses of a comparison ("arms"): by name, as `Loss` or function, or as a table that spells out options."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_jax._checking import check, is_number, nearest
from ce_jax.losses import Loss, as_loss


class Arm(NamedTuple):
    """One of the losses compared: its label everywhere in the results, the loss, and its (traced) options."""

    label: str
    loss: Loss
    options: Mapping[str, float]
    class_weight: str | tuple[float, ...] | None = None
    """What the examples of each class count in training, see `make_train`."""

    @property
    def program(self) -> tuple[str, ...]:
        """Arms with the same program share one executable: members of a family differ in traced numbers alone."""
        weighted = () if self.class_weight is None else (f"class_weight={self.class_weight}",)
        return (self.loss.name, *sorted(self.options), *weighted)


def arms_of(
    entries: Sequence[str | Loss | Callable[..., Any] | Mapping[str, Any]],
    find: Callable[[Any], Loss] = as_loss,
) -> tuple[Arm, ...]:
    """The arms that a list of losses asks for.

    Args:
      entries: each a name of `LOSSES`, a `Loss`, a function, or a table with `name` (any of these) and options; an
        option that is a list makes one arm for each of its values. `class_weight`, "balanced" or a list with a number
        for each class, is an option of every loss.
      find: what turns a name, `Loss` or function into a `Loss`.

    Raises:
      ValueError: an unknown loss or option, an option that is no number, or the same arm twice.

    >>> [arm.label for arm in arms_of(["ssr", {"name": "ssr_on_logits", "target": [1, 15]}])]
    ['ssr', 'ssr_on_logits(target=1)', 'ssr_on_logits(target=15)']
    """
    arms: dict[str, Arm] = {}
    if isinstance(entries, str | Loss | Mapping) or callable(entries):
        entries = (entries,)
    listed = list(entries) if np.iterable(entries) else []
    check(bool(listed), "loss", "at least one loss", entries)
    for entry in listed:
        table: dict[str, Any] = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
        if "name" not in table:
            raise ValueError(f"loss: expected a table with the key 'name', got {entry!r}")
        loss = find(table.pop("name"))
        weight = _class_weight(loss.name, table.pop("class_weight", None))
        # A prior is filled in while training.
        left_out = ("axis", "where", "prior")
        known = [name for name in inspect.signature(loss.value).parameters if name not in left_out][2:]
        for option, value in table.items():
            if option not in known:
                raise ValueError(f"loss: {loss.name} has no option {option!r}{nearest(option, known)}")
            given = value if isinstance(value, list) else [value]
            if not given or not all(map(is_number, given)):
                raise ValueError(f"loss: {loss.name}: {option}: expected a number or a list of numbers, got {value!r}")
        combinations: list[dict[str, float]] = [{}]
        for option, value in table.items():
            values = value if isinstance(value, list) else [value]
            combinations = [{**chosen, option: each} for chosen in combinations for each in values]
        for options in combinations:
            words = [f"{option}={value:g}" for option, value in options.items()]
            if weight is not None:
                words.append(
                    f"class_weight={weight if isinstance(weight, str) else '/'.join(map('{:g}'.format, weight))}"
                )
            shown = ", ".join(words)
            label = f"{loss.name}({shown})" if shown else loss.name
            if label in arms:
                raise ValueError(f"loss: expected each loss once, got {label} twice")
            arms[label] = Arm(label, loss, {option: float(value) for option, value in options.items()}, weight)
    return tuple(arms.values())


def _class_weight(loss: str, given: Any) -> str | tuple[float, ...] | None:
    if given is None or (isinstance(given, str) and given == "balanced"):
        return given
    listed = list(given) if hasattr(given, "__len__") and not isinstance(given, str | Mapping) else []
    numbers = [one for one in listed if isinstance(one, float | int) or (np.ndim(one) == 0 and hasattr(one, "dtype"))]
    fine = len(numbers) == len(listed) and all(0 <= float(one) < float("inf") for one in numbers)
    if not fine or not any(map(float, numbers)):
        expected = "'balanced' or a list with a number from 0 for each class"
        raise ValueError(f"loss: {loss}: class_weight: expected {expected}, got {given!r}")
    return tuple(map(float, numbers))
