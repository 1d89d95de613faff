"""The audit of one loss: every route to its value and derivatives against a reference, regime by regime."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from ce_jax.auditing._differences import differences
from ce_jax.auditing._measure import measure
from ce_jax.auditing._oracle import DEFINITIONS, Exact, truth
from ce_jax.auditing._peers import PEERS, Peer
from ce_jax.auditing._regimes import Batch, make_batch, regimes_of
from ce_jax.losses import Loss, as_loss

VALUE, AUTODIFF, MANUAL, RULE, FORWARD, HESSIAN = (
    "value",
    "jax.grad",
    "hand-written gradient",
    "custom rule",
    "forward mode",
    "Hessian",
)
FIRST_ORDER = (VALUE, AUTODIFF, MANUAL, RULE)
ROUTES = (*FIRST_ORDER, FORWARD, HESSIAN)
QUANTITY = {VALUE: "value", HESSIAN: "hessian"} | dict.fromkeys((AUTODIFF, MANUAL, RULE, FORWARD), "gradient")
OURS = "ce_jax"


class Program(NamedTuple):
    """What is compiled together: routes on rows of one number of classes."""

    num_classes: int
    routes: Sequence[str] = FIRST_ORDER
    rows: int = 16  # of every regime
    peers: bool = True  # whether peers are measured, too


PROGRAMS = (
    Program(10),
    # Forward mode and Hessian are as large as K gradients: few classes show all there is to see.
    Program(4, (FORWARD, HESSIAN), 9),
    Program(1000, FIRST_ORDER, 5, peers=False),
    Program(1, FIRST_ORDER, 5, peers=False),
)


class Record(NamedTuple):
    """The worst errors of one route in one regime.

    loss: name of the loss, with its options
    dtype: of the logits
    regime, num_classes, rows: which rows, how many
    implementation: "ce_jax" or the name of a peer
    route: one of `ROUTES`; peers have "value" and "jax.grad"
    ulp: largest error of an entry, in units of the last place of the rounded truth, in the dtype of the result
    relative: largest error in a row over the largest entry of that row
    row_sum: error of a row's sum, in units of the last place of the row's largest entry; NaN for values and Hessians
    result: dtype of the result; JAX returns derivatives by half-precision logits in half precision
    reference: "decimal" for known losses, "finite differences" for others
    """

    loss: str
    dtype: str
    regime: str
    num_classes: int
    implementation: str
    route: str
    rows: int
    ulp: float
    relative: float
    row_sum: float
    result: str
    reference: str


# An option of a loss: a number, or a function of the number of classes, which is shown by its name.
Option = float | Callable[[int], Any]


def label_of(name: str, options: Mapping[str, Option]) -> str:
    """The name of a loss with its options.

    >>> label_of("power_loss", {"beta": 0.5})
    'power_loss(beta=0.5)'
    """
    shown = ", ".join(f"{k}={getattr(v, '__name__', v) if callable(v) else f'{v:g}'}" for k, v in options.items())
    return f"{name}({shown})" if shown else name


def audit(
    loss: Loss | str | Callable[..., Array],
    *,
    dtype: str = "float32",
    options: Mapping[str, Option] | Sequence[Mapping[str, Option]] = (),
    programs: Sequence[Program] = PROGRAMS,
    peers: Mapping[str, Peer] = PEERS,
    seed: int = 0,
) -> list[Record]:
    """Measures every route to the value and the derivatives of a loss against a high-precision reference.

    The reference of a known loss (its name is a key of `LOSSES`) is its definition in decimal arithmetic. Any other
    loss is compared with its own value in float64 and with finite differences of that, on rows where those are good
    for six digits.

    Args:
      loss: a `Loss`, a name in `LOSSES`, or a function of (logits [N, K], labels [N]) that returns [N]. Routes that a
        loss lacks (`grad` or `manual` is None) are left out.
      dtype: of the logits: float64, float32, bfloat16 or float16.
      options: keyword arguments of the loss, numbers or functions of the number of classes that give an array; or
        several such sets, which share one compiled program.
      programs: numbers of classes, routes and rows per regime.
      peers: what to measure beside it; see `PEERS`.
      seed: of the rows; the same seed gives the same rows.

    Returns:
      A record per set of options, regime, number of classes, implementation and route.

    Raises:
      KeyError: no loss of that name.

    >>> records = audit("cross_entropy", programs=[Program(3, ("value", "jax.grad"), 4)], peers={})
    >>> {r.route: r.ulp < 8 for r in records if r.regime == "confidently right"}
    {'value': True, 'jax.grad': True}
    """
    loss = as_loss(loss)
    sets = [options] if isinstance(options, Mapping) else list(options) or [{}]
    records: list[Record] = []
    with jax.enable_x64(dtype == "float64"):
        for program in programs:
            if loss.name in DEFINITIONS or program.num_classes <= _most_for_differences(dtype):
                records += _audit_program(loss, sets, program, dtype, peers, seed)
    return records


def _most_for_differences(dtype: str) -> int:
    return 16 if jnp.finfo(dtype).bits >= 32 else 0


def _audit_program(
    loss: Loss, sets: Sequence[Mapping[str, Option]], program: Program, dtype: str, peers: Mapping[str, Peer], seed: int
) -> list[Record]:
    num_classes, wanted, rows, with_peers = program
    peers = peers if with_peers and AUTODIFF in wanted else {}
    regimes = [r for r in regimes_of(num_classes, dtype) if r != "masked class" or _takes_where(loss, num_classes)]
    batch = make_batch(regimes, num_classes, rows, dtype, seed)
    where = batch.where if "masked class" in regimes else None
    records: list[Record] = []
    given = [{k: v(num_classes) if callable(v) else v for k, v in options.items()} for options in sets]
    for shown, options, ours in zip(sets, given, run_routes(loss, wanted, batch, where, given), strict=True):
        results, second = {OURS: ours}, HESSIAN in wanted
        if loss.name in DEFINITIONS:
            exact = truth(loss.name, batch.logits, batch.labels, where=batch.where, options=options, second=second)
            kind = "decimal"
            results |= run_peers(loss.name, batch, where, options, peers)
        else:
            exact, kind = differences(loss.value, batch, where, options, second), "finite differences"
        record = partial(
            Record,
            loss=label_of(loss.name, shown),
            dtype=dtype,
            num_classes=num_classes,
            rows=rows,
            reference=kind,
        )
        records += _records(results, exact, batch, set(wanted), record)
    return records


def run_routes(
    loss: Loss,
    wanted: Sequence[str],
    batch: Batch,
    where: NDArray[np.bool_] | None,
    sets: Sequence[Mapping[str, Any]] = ({},),
) -> list[dict[str, NDArray[Any]]]:
    """The results of every route for every set of options; one compiled program, in which options are traced."""
    routes = _routes(loss, wanted)
    shape = jax.eval_shape(_call(loss.value), batch.logits, batch.labels, where, sets[0]).shape
    if shape != batch.labels.shape:
        raise ValueError(f"expected one value per row, shape {batch.labels.shape}, got {shape}")
    run = jax.jit(lambda z, y, where, options: {route: f(z, y, where, options) for route, f in routes.items()})
    dtype = jnp.promote_types(batch.logits.dtype, jnp.float32)
    traced = [{key: jnp.asarray(x, dtype) for key, x in options.items()} for options in sets]
    results = [jax.device_get(run(batch.logits, batch.labels, where, options)) for options in traced]
    return [{route: result[route] for route in routes} for result in results]  # jit sorts its keys


def run_peers(
    name: str, batch: Batch, where: NDArray[np.bool_] | None, options: Mapping[str, Any], peers: Mapping[str, Peer]
) -> dict[str, dict[str, NDArray[Any]]]:
    """The results of every peer that has the loss `name`, by peer and route."""
    results = {peer: run(name, batch.logits, batch.labels, where, options) for peer, run in peers.items()}
    return {
        peer: {VALUE: result["value"], AUTODIFF: result["gradient"]}
        for peer, result in results.items()
        if result is not None
    }


def _records(
    results: Mapping[str, Mapping[str, NDArray[Any]]],
    truths: Mapping[str, Exact],
    batch: Batch,
    wanted: set[str],
    record: Callable[..., Record],
) -> list[Record]:
    """A record per implementation, route and regime; `record` knows the other fields."""
    records = []
    for implementation, routes in results.items():
        for route, computed in routes.items():
            if route not in wanted:
                continue
            exact = truths[QUANTITY[route]]
            for regime, rows_of in batch.slices.items():
                errors = measure(computed[rows_of], Exact(exact.high[rows_of], exact.low[rows_of]))
                records.append(
                    record(
                        regime=regime,
                        implementation=implementation,
                        route=route,
                        result=str(computed.dtype),
                        **errors._asdict(),
                    )
                )
    return records


def _takes_where(loss: Loss, num_classes: int) -> bool:
    # With many classes no mask is passed at all, so that both ways through a loss are audited.
    parameters = inspect.signature(loss.value).parameters
    return num_classes <= 16 and "where" in parameters


def _call(function: Callable[..., Array]) -> Callable[..., Array]:
    """A loss as a function of four arguments; a mask of None is not passed, because not every loss takes one."""

    def called(z, y, where, options):
        return function(z, y, **({} if where is None else {"where": where}), **options)

    return called


def _routes(loss: Loss, wanted: Sequence[str]) -> dict[str, Callable[..., Array]]:
    """The routes a loss has, each a function of (logits, labels, where, options)."""

    def reverse(function):
        return lambda z, *rest: jax.grad(lambda z: jnp.sum(_call(function)(z, *rest)))(z)

    def per_row(transform, function):
        def of_row(z, y, where, options):
            return _call(function)(z[None], y[None], None if where is None else where[None], options)[0]

        return lambda z, y, where, options: jax.vmap(transform(of_row), (0, 0, None if where is None else 0, None))(
            z, y, where, options
        )

    every = {
        VALUE: _call(loss.value),
        AUTODIFF: reverse(loss.value),
        MANUAL: None if loss.grad is None else _call(loss.grad),
        RULE: None if loss.manual is None else reverse(loss.manual),
        FORWARD: per_row(jax.jacfwd, loss.value),
        HESSIAN: per_row(jax.hessian, loss.value),
    }
    return {route: function for route, function in every.items() if function and route in wanted}
