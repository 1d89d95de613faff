"""SSR on logits with many classes, and its repair by weighting the true class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ce_jax.comparing import AnalysisOptions, RateGrid, SplitOptions, SweepOptions, TrainOptions, display_name
from experiments.claims.drawing import legend, with_intervals
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import bootstrapped, mean, share_closed
from experiments.claims.workloads import trained
from experiments.config import Config, MlpOptions
from experiments.data import DataOptions
from experiments.pages import canvas
from experiments.pages.canvas import Array, panels

CLASSES, QUICK_CLASSES = (3, 10, 30, 100, 256), (3, 30, 256)
MOST = CLASSES[-1]
PLAIN = "ssr_on_logits(scale=1, target=1)"
REPAIRS = ("ssr_on_logits(scale=1, target=15)", "ssr_on_logits(scale=15, target=30)")
LOSSES = ("cross_entropy", PLAIN, *REPAIRS, "ssr")
EXAMPLES = 7680
HALF = 0.5
STEPS, QUICK_STEPS, LOOKS = 4500, 900, 3


def steps_of(request: Request) -> int:
    """Steps of every run, the same for every number of classes."""
    return request.pick(STEPS, QUICK_STEPS)


def setting(num_classes: int, request: Request) -> Config:
    """One workload; the number of examples does not depend on the number of classes."""
    rescaled = [{"name": "ssr_on_logits", "scale": k, "target": m} for k, m in ((1.0, 1.0), (1.0, 15.0), (15.0, 30.0))]
    return Config(
        dataset="mixtures",
        model="mlp",
        loss=("cross_entropy", *rescaled, "ssr"),
        data=DataOptions(
            num_classes=num_classes,
            features=32,
            examples_per_class=EXAMPLES // num_classes,
            separation=5.0,
            split=SplitOptions(0.2, 0.2),
        ),
        mlp=MlpOptions((64,), "relu"),
        train=TrainOptions(steps_of(request), batch_size=32, evaluate_every=steps_of(request) // LOOKS),
        sweep=SweepOptions(
            RateGrid(1e-4, 1e2, 13), widen=2, seeds=request.pick(10, 6), tuning_seeds=request.pick(4, 2)
        ),
        analysis=AnalysisOptions(tune_by="final_accuracy"),
    )


def measure(request: Request) -> Findings:
    """Test accuracies, the gap to cross-entropy as K grows, and how much of it each repair closes."""
    measurements: dict[str, Measurement] = {}
    accuracy: dict[str, list[Array]] = {loss: [] for loss in LOSSES}
    on_the_way: dict[str, list[Array]] = {loss: [] for loss in LOSSES}  # [S, E] test accuracies
    classes = request.pick(CLASSES, QUICK_CLASSES)
    for k in classes:
        run = trained(f"classes-{k}", setting(k, request), request)
        for loss in LOSSES:
            accuracy[loss].append(run.final(loss, "test_accuracy"))
            on_the_way[loss].append(np.nan_to_num(run.curve(loss, "test_accuracy")))
            measurements[f"K={k}/{loss}/test_accuracy"] = mean(accuracy[loss][-1], "fraction")
            measurements[f"K={k}/{loss}/train_accuracy"] = mean(run.final(loss, "train_accuracy"), "fraction")
            measurements[f"K={k}/{loss}/learning_rate"] = Measurement(run.rate(loss))
    for loss in LOSSES[1:]:
        measurements[f"{loss}/gap_slope"] = slope_of_gap(classes, accuracy["cross_entropy"], accuracy[loss])
        for place, steps in enumerate(run.steps[1:-1], 1):
            pair = ([one[:, place] for one in on_the_way[name]] for name in ("cross_entropy", loss))
            measurements[f"{loss}/after={steps}/gap_slope"] = slope_of_gap(classes, *pair)
    for loss in REPAIRS:
        measurements[f"K={MOST}/{loss}/closed"] = share_closed(
            accuracy["cross_entropy"][-1], accuracy[PLAIN][-1], accuracy[loss][-1]
        )
    seeds = request.pick(10, 6)
    return Findings(
        measurements,
        figure(measurements, classes),
        f"Mean test accuracy after {steps_of(request):,} steps, each loss at its own tuned rate, with intervals. "
        "(scale, target) weight and move the true class's term; (1, 1) is plain SSR on logits. Training accuracies and "
        "the gap at a third and at two thirds of the steps are among the measurements: where a loss has not fitted the "
        "training part either, it is slow rather than wrong.",
        seeds,
        f"Gaussian mixtures in 32 dimensions, {EXAMPLES:,} examples at every K, a network of 64 ReLU units, SGD, "
        f"{steps_of(request):,} steps in batches of 32, 13 half-decade rates from 1e-4 to 100, "
        f"{request.pick(4, 2)} tuning and {seeds} fresh seeds.",
    )


def slope_of_gap(classes: Sequence[int], reference: list[Array], other: list[Array]) -> Measurement:
    """Slope of the mean gap in test accuracy against ln K."""
    x = np.log(classes) - np.mean(np.log(classes))

    def statistic(*samples: Array, axis: int) -> Array:
        means = [one.mean(axis) for one in samples]
        return np.stack([a - b for a, b in zip(means[::2], means[1::2], strict=True)], axis=-1) @ x / (x @ x)

    pairs = [one for pair in zip(reference, other, strict=True) for one in pair]
    return bootstrapped(statistic, pairs, "fraction per unit of ln K")


def decide(measurements: Measurements) -> Verdict:
    """A growing gap, at least half of which the better repair closes."""
    slope = measurements[f"{PLAIN}/gap_slope"]
    shares = [measurements[f"K={MOST}/{loss}/closed"] for loss in REPAIRS]
    best = max(shares, key=lambda one: one.value)
    return verdict_of(slope.low > 0 and best.value >= HALF, slope.high <= 0 or (slope.low > 0 and best.high < HALF))


def figure(measurements: Measurements, classes: Sequence[int]) -> Figure:
    """Accuracy against K."""
    drawing, (axes,) = panels(1, columns=1, height=4.2)
    looks = canvas.styles(("cross_entropy", "ssr", PLAIN, *REPAIRS))
    for loss in LOSSES:
        values = [measurements[f"K={k}/{loss}/test_accuracy"] for k in classes]
        with_intervals(axes, classes, values, looks[loss], display_name(loss))
    axes.set(xscale="log", xlabel="classes K", ylabel="test accuracy")
    axes.set_xticks(classes, [str(k) for k in classes])
    legend(axes)
    return drawing


CLAIM = Claim(
    id="many-classes",
    statement="SSR on logits degrades as the number of classes grows, and up-weighting the true class repairs it.",
    source="Demirkaya et al. 2020; Hui & Belkin 2021",
    protocol="Gaussian mixtures in 32 dimensions, K in {3, 10, 30, 100, 256}, a network of 64 units, cross-entropy, "
    "SSR on logits, its rescaled forms (k, M) = (1, 15) and (15, 30), SSR on probabilities.",
    rule="Confirmed if the gap in test accuracy between cross-entropy and SSR on logits grows with ln K (interval of "
    "the slope above 0) and the better of the two rescaled forms closes at least half of it at K = 256. Refuted if the "
    "slope's interval has nothing above 0, or the closed share's interval lies below one half. Otherwise undecided.",
    choices=(
        "The number of examples, the steps and the batches are the same for every K, so examples per class fall with "
        "K. Centres lie on a sphere of radius 5; classes overlap more as there are more of them, for every loss alike.",
        "Rates are tuned by final validation accuracy for each loss and K. The protocol names no number of steps: "
        f"{STEPS:,} (quick: {QUICK_STEPS:,}) for every K; degrading is meant within them.",
        "The quick run leaves out K = 10 and 100.",
    ),
    effect=f"{PLAIN}/gap_slope",
    measure=measure,
    decide=decide,
)
