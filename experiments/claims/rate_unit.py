"""How much of SSR's slowness is a learning-rate unit: the ratio of best rates against the number of classes."""

import numpy as np
from matplotlib.figure import Figure

from ce_jax.comparing import AnalysisOptions, RateGrid, SplitOptions, SweepOptions, TrainOptions
from experiments.claims.drawing import legend, with_intervals
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import bootstrapped
from experiments.claims.workloads import TrainedConfig, trained
from experiments.config import Config, MlpOptions
from experiments.data import DataOptions
from experiments.pages import canvas
from experiments.pages.canvas import Array, panels

CLASSES, QUICK_CLASSES = (2, 4, 8, 16, 32, 64), (2, 8, 32)
MODELS = {"linear": "linear", "network": "mlp"}
HORIZONS = {"short": 30, "long": 600}
QUICK_HORIZONS = {"short": 30, "long": 100}
GRID = RateGrid(1e-2, 1e4, 25)
EXAMPLES = 3840
EXPECTED = (0.75, 1.25)


def setting(model: str, num_classes: int, request: Request) -> Config:
    """One workload; the number of examples does not depend on the number of classes."""
    return Config(
        dataset="mixtures",
        model=MODELS[model],  # type: ignore[arg-type]
        loss=("cross_entropy", "ssr"),
        start="glorot",
        data=DataOptions(
            num_classes=num_classes,
            features=32,
            examples_per_class=EXAMPLES // num_classes,
            separation=4.0,
            split=SplitOptions(0.25, 0.25),
        ),
        mlp=MlpOptions((64,), "tanh"),
        train=TrainOptions(request.pick(HORIZONS, QUICK_HORIZONS)["long"], batch_size=32, evaluate_every=10),
        # The seeds that report a best rate are the ones it is the best of: there is nothing to be tuned beforehand.
        sweep=SweepOptions(GRID, widen=0, seeds=2, tuning_seeds=request.pick(10, 6)),
        analysis=AnalysisOptions(tune_by="final_accuracy"),
    )


def accuracy_within(run: TrainedConfig, loss: str, horizon: int) -> Array:
    """[R, S] mean validation accuracy over the evaluations up to a horizon, 0 where a run has diverged."""
    within = (run.steps > 0) & (run.steps <= horizon)
    return np.nan_to_num(run.trained.tuning[loss]["validation_accuracy"][..., within]).mean(axis=-1)


def log_best_rate(scores: Array, rates: Array) -> Array:
    """Logarithm of the best rate for mean scores [R, ...]: the vertex of the parabola through the three best.

    Three neighbours around the maximum; a maximum on an edge stays there. So a ratio is not bound to the grid.
    """
    x, best = np.log(rates), np.argmax(scores, axis=0)
    inner = np.clip(best, 1, len(rates) - 2)
    below, middle, above = (np.take_along_axis(scores, (inner + i)[None], 0)[0] for i in (-1, 0, 1))
    curvature = below - 2 * middle + above
    shift = np.where(curvature < 0, 0.5 * (below - above) / np.where(curvature < 0, curvature, 1.0), 0.0)
    return x[best] + np.where(best == inner, np.clip(shift, -0.5, 0.5), 0.0) * (x[1] - x[0])


def log_best_rates(ce: Array, ssr: Array, rates: Array, num_classes: int) -> tuple[Array, Array]:
    """The best rate of both losses, for their mean scores [R, ...]."""
    return log_best_rate(ce, rates), log_best_rate(ssr, rates)


def log_half_way_rates(ce: Array, ssr: Array, rates: Array, num_classes: int) -> tuple[Array, Array]:
    """The rates at which both losses get half the way from chance to the lower one of their best scores.

    Below their best rates both losses learn more the larger the rate, so these are rates of equal progress; between
    grid points by straight lines.
    """
    lower = np.minimum(ce.max(axis=0), ssr.max(axis=0))
    level, x, measurements = (1 / num_classes + lower) / 2, np.log(rates), []
    for scores in (ce, ssr):
        first = np.clip(np.argmax(scores >= level, axis=0), 1, None)
        below, above = (np.take_along_axis(scores, (first - i)[None], 0)[0] for i in (1, 0))
        part = np.clip((level - below) / np.where(above > below, above - below, 1.0), 0, 1)
        measurements.append(x[first - 1] + part * (x[1] - x[0]))
    return measurements[0], measurements[1]


KINDS = {"best": log_best_rates, "half_way": log_half_way_rates}


def slope_of(scores: list[Array], rates: Array, kind: str = "best", classes: tuple[int, ...] = CLASSES) -> Measurement:
    """Slope of log(rate of SSR / of cross-entropy) against log K; scores are CE and SSR in turn, [R, S] each."""
    x = np.log(classes) - np.mean(np.log(classes))

    def statistic(*samples: Array, axis: int) -> Array:
        means = [one.mean(axis) for one in samples]
        pairs = zip(means[::2], means[1::2], classes, strict=True)
        logs = [KINDS[kind](ce, ssr, rates, num_classes) for ce, ssr, num_classes in pairs]
        return np.stack([ssr - ce for ce, ssr in logs], axis=-1) @ x / (x @ x)

    return bootstrapped(statistic, scores, "d log ratio / d log K")


def measure(request: Request) -> Findings:
    """Best rates of both losses at every K and horizon, and the slope of their ratio."""
    measurements: dict[str, Measurement] = {}
    classes = request.pick(CLASSES, QUICK_CLASSES)
    for model in MODELS:
        runs = {k: trained(f"{model}-{k}", setting(model, k, request), request, rates_per_wave=9) for k in classes}
        for horizon, steps in request.pick(HORIZONS, QUICK_HORIZONS).items():
            scores = []
            for k, run in runs.items():
                pair = [accuracy_within(run, loss, steps) for loss in ("cross_entropy", "ssr")]
                scores += pair
                for loss, one in zip(("cross_entropy", "ssr"), pair, strict=True):
                    means, key = one.mean(axis=1), f"{model}/{horizon}/K={k}/{loss}"
                    measurements[f"{key}/best_learning_rate"] = Measurement(
                        float(np.exp(log_best_rate(means, run.rates)))
                    )
                    measurements[f"{key}/best_accuracy"] = Measurement(float(means.max()), unit="mean on the way")
                for kind in KINDS:
                    measurements[f"{model}/{horizon}/K={k}/{kind}_rate_ratio"] = ratio_of(pair, run.rates, kind, k)
            measurements[f"{model}/{horizon}/slope"] = slope_of(scores, runs[2].rates, "best", classes)
            measurements[f"{model}/{horizon}/half_way_slope"] = slope_of(scores, runs[2].rates, "half_way", classes)
    seeds = request.pick(10, 6)
    return Findings(
        measurements,
        figure(measurements, request.pick(HORIZONS, QUICK_HORIZONS), classes),
        "Best rate of SSR on probabilities over the best rate of cross-entropy, with intervals; dotted: K/2, the ratio "
        "at which both first steps are equal; thin: the ratio of the rates at which both get half the way within the "
        "short horizon. Small rates are a matter of units, the best ones are not.",
        seeds,
        f"Gaussian mixtures in 32 dimensions, {EXAMPLES:,} examples, Glorot start, SGD in batches of 32, "
        f"{GRID.count} rates from {GRID.low:g} to {GRID.high:g}, {seeds} seeds, a linear model and a network of 64 "
        "tanh units.",
    )


def ratio_of(pair: list[Array], rates: Array, kind: str, num_classes: int) -> Measurement:
    """A rate of SSR over that of cross-entropy."""

    def statistic(ce: Array, ssr: Array, axis: int) -> Array:
        logs = KINDS[kind](ce.mean(axis), ssr.mean(axis), rates, num_classes)
        return np.exp(logs[1] - logs[0])

    return bootstrapped(statistic, pair, "ratio")


def decide(measurements: Measurements) -> Verdict:
    """The slope at the short horizon, for both models."""
    slopes = [measurements[f"{model}/short/slope"] for model in MODELS]
    low, high = EXPECTED
    return verdict_of(
        all(low <= one.value <= high for one in slopes), any(one.high < low or one.low > high for one in slopes)
    )


def figure(measurements: Measurements, horizons: dict[str, int], classes: tuple[int, ...]) -> Figure:
    """The ratio against K, one panel per model, one line per horizon."""
    drawing, axes_of_models = panels(len(MODELS), sharey=True)
    looks = dict(zip(horizons, canvas.styles(("a", "b")).values(), strict=True))
    for axes, model in zip(axes_of_models, MODELS, strict=True):
        for horizon, look in looks.items():
            ratios = [measurements[f"{model}/{horizon}/K={k}/best_rate_ratio"] for k in classes]
            slope = measurements[f"{model}/{horizon}/slope"].value
            label = f"{horizons[horizon]:,} steps: slope {slope:.2f}"
            with_intervals(axes, classes, ratios, look, label)
        half_way = [measurements[f"{model}/short/K={k}/half_way_rate_ratio"].value for k in classes]
        axes.plot(classes, half_way, color="0.3", lw=0.9, label="half the way")
        axes.plot(classes, np.array(classes) / 2, color="0.3", ls=":", label="K / 2")
        axes.set(xscale="log", yscale="log", xlabel="classes K", title=model)
        axes.set_xticks(classes, [str(k) for k in classes])
        legend(axes)
    axes_of_models[0].set_ylabel("best rate of SSR ÷ of cross-entropy")
    return drawing


CLAIM = Claim(
    id="rate-unit",
    statement="At ordinary starts most of the slowness of SSR on probabilities is a learning-rate unit: the ratio of "
    "best rates grows like K/2.",
    source="The norms of the two gradients at uniform p have the ratio 2/K; Hui & Belkin 2021 for the tuning practice",
    protocol="Gaussian mixtures with K in {2, 4, 8, 16, 32, 64}, linear model and network, 25-point logarithmic grid "
    "of rates, 10 seeds, a short and a long horizon.",
    rule="Confirmed if at the short horizon the slope of log(best rate of SSR / best rate of cross-entropy) against "
    "log K lies within 0.75 to 1.25 for both models; refuted if for one of them its interval lies wholly outside; "
    "otherwise undecided.",
    choices=(
        "The best rate within a horizon has the highest mean validation accuracy over the evaluations (every 10 steps) "
        "up to it, which rewards speed and has no plateau of ties; between grid points by the parabola through the "
        "best three.",
        "Short is 30 steps, long is 600 (quick: 100, and K in 2, 8, 32), in batches of 32; examples, dimensions and "
        "separation (4) are the same for every K. With the full batch no best rate exists in a trial: accuracy looks "
        "at directions alone, and large rates tie.",
        "The best rate is itself the quantity measured, so there are no separate tuning seeds; seeds are resampled in "
        "pairs, the best rates found anew in each resample. All seeds of a K share one mixture.",
        "Beside the best rates, and outside of the rule, stand the rates at which both losses get half the way from "
        "chance to the lower one of their best scores.",
    ),
    effect="linear/short/slope",
    measure=measure,
    decide=decide,
)
