"""Deep sigmoid networks: how often each loss gets stuck, and whether switching to SSR in the end does harm."""

import itertools

import jax
import numpy as np
from matplotlib.figure import Figure

from ce_jax.comparing import AnalysisOptions, RateGrid, SweepOptions, TrainOptions, display_name
from ce_jax.sweeping import Plan, sweep
from ce_jax.training import Hyperparameters, switched
from experiments.claims.drawing import legend, with_intervals
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import mean, mean_difference
from experiments.claims.workloads import moved, trained
from experiments.config import Config, MlpOptions, StdStart
from experiments.data import DataOptions
from experiments.pages import canvas
from experiments.pages.canvas import Array, panels
from experiments.run.workload import load_workload

# {dataset: (steps, batch, target)}
DATASETS = {"digits": (1000, 32, 0.8), "mnist5k": (600, 64, 0.7)}
STARTS = {"scaled": "N(0, 1/sqrt n)", "wide": "N(0, 1)"}
DEPTHS, QUICK_DEPTHS = (1, 2, 3, 4, 5), (1, 3)
QUICK_DATASETS = ("mnist5k",)
WIDTH = 32
LOSSES = ("cross_entropy", "ssr")
RATE_DROP = 0.1
SWITCH_DEPTH = 1
HARM = 0.005


def setting(dataset: str, start: str, depth: int, request: Request) -> Config:
    """One workload. With sigmoid units the start "he" is a standard deviation of 1/sqrt n in every layer."""
    steps, batch, target = DATASETS[dataset]
    return Config(
        dataset=dataset,
        model="mlp",
        loss=LOSSES,
        start="he" if start == "scaled" else StdStart((1.0,) * (depth + 1)),
        data=DataOptions(scale="unit"),
        mlp=MlpOptions((WIDTH,) * depth, "sigmoid"),
        train=TrainOptions(steps, batch_size=batch, evaluations=8),
        sweep=SweepOptions(RateGrid(1e-1, 1e2, 7), widen=1, seeds=request.pick(30, 6), tuning_seeds=request.pick(4, 2)),
        analysis=AnalysisOptions((target,), tune_by="final_accuracy"),
    )


def final_errors(config: Config, rate: float) -> dict[str, Array]:
    """{loss of the second stage: [S] test error}: both go on from the same cross-entropy runs at the dropped rate."""
    task = load_workload("switch", config).task
    arms = {arm.label: task.train(arm) for arm in task.arms}
    fresh = slice(config.sweep.tuning_seeds, None)
    seeds, devices = task.seeds[fresh].tolist(), len(jax.devices())
    plan = Plan(-(-len(seeds) // devices) * devices, 1, devices)
    errors = {}
    for loss in LOSSES:
        staged = switched(arms["cross_entropy"], arms[loss], rate_factor=RATE_DROP)
        hyper = Hyperparameters(np.array([rate], np.float32))
        curves = sweep(staged, seeds, hyper, task.splits_of(fresh), plan=plan)
        errors[loss] = 1 - np.nan_to_num(curves["test_accuracy"][0, :, -1])
    return errors


def measure(request: Request) -> Findings:
    """Fractions that reach the target by depth, then the switch."""
    measurements: dict[str, Measurement] = {}
    everything, depths, datasets = [], request.pick(DEPTHS, QUICK_DEPTHS), request.pick(tuple(DATASETS), QUICK_DATASETS)
    for dataset, start, depth in itertools.product(datasets, STARTS, depths):
        run = trained(f"{dataset}-{start}-{depth}", setting(dataset, start, depth, request), request)
        key, target = f"{dataset}/{start}/depth={depth}", DATASETS[dataset][2]
        reached = {loss: np.isfinite(run.times(loss, target)).astype(float) for loss in LOSSES}
        for loss in LOSSES:
            measurements[f"{key}/{loss}/reached"] = mean(reached[loss], "fraction")
            measurements[f"{key}/{loss}/test_accuracy"] = mean(run.final(loss, "test_accuracy"), "fraction")
        measurements[f"{key}/cross_entropy-ssr/reached"] = mean_difference(
            reached["cross_entropy"], reached["ssr"], "fraction"
        )
        everything.append(reached["cross_entropy"] - reached["ssr"])
    hopeless = [key for key, one in measurements.items() if key.endswith("/cross_entropy/reached") and one.value == 0]
    hopeless = [key for key in hopeless if measurements[key.replace("cross_entropy", "ssr")].value == 0]
    measurements["cells"] = Measurement(len(everything))
    measurements["cells_that_neither_reaches"] = Measurement(len(hopeless), unit="of the cells")
    measurements["cross_entropy-ssr/reached"] = mean(np.mean(everything, axis=0), "fraction")
    harms = []
    for dataset in datasets:
        config = setting(dataset, "scaled", SWITCH_DEPTH, request)
        run = trained(f"{dataset}-scaled-{SWITCH_DEPTH}", config, request)
        errors = final_errors(moved(config, request), run.rate("cross_entropy"))
        for loss, one in errors.items():
            measurements[f"{dataset}/switch/cross_entropy->{loss}/test_error"] = mean(one, "fraction")
        measurements[f"{dataset}/switch/harm"] = mean_difference(errors["ssr"], errors["cross_entropy"], "fraction")
        harms.append(errors["ssr"] - errors["cross_entropy"])
    measurements["switch/harm"] = mean(np.mean(harms, axis=0), "fraction")
    seeds = request.pick(30, 6)
    return Findings(
        measurements,
        figure(measurements, depths, datasets),
        "Fraction of the fresh seeds that reach the target accuracy by number of sigmoid layers, each loss at its own "
        f"tuned rate; intervals by bootstrap over seeds. {len(hopeless)} of the {len(everything)} cells neither loss "
        "ever reaches; they count as equal.",
        seeds,
        " and ".join(datasets)
        + f", {depths[0]} to {depths[-1]} layers of {WIDTH} sigmoid units ({len(depths)} depths), "
        f"SGD, {request.pick(4, 2)} tuning and {seeds} fresh seeds, 7 half-decade rates from 0.1 to 100, widened where "
        "the best lies on an edge.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Stuck more often over all cells, and no harm by the switch."""
    lead, harm = measurements["cross_entropy-ssr/reached"], measurements["switch/harm"]
    return verdict_of(lead.low > 0 and harm.high < HARM, lead.high <= 0 or harm.low > HARM)


def figure(measurements: Measurements, depths: tuple[int, ...], datasets: tuple[str, ...]) -> Figure:
    """Fraction reached against depth, one panel per data set and start."""
    drawing, grid = panels(len(datasets) * len(STARTS), height=3.0, sharey=True)
    looks = canvas.styles(LOSSES)
    for axes, (dataset, start) in zip(grid, itertools.product(datasets, STARTS), strict=True):
        for loss, look in looks.items():
            values = [measurements[f"{dataset}/{start}/depth={depth}/{loss}/reached"] for depth in depths]
            with_intervals(axes, depths, values, look, display_name(loss))
        axes.set(title=f"{dataset}, {STARTS[start]}", xlabel="sigmoid layers", ylabel="reached", ylim=(-0.05, 1.05))
        axes.set_xticks(depths)
        legend(axes)
    return drawing


CLAIM = Claim(
    id="stuck-deep-sigmoid",
    statement="Deep sigmoid networks from random starts get stuck more often under SSR on probabilities; switching "
    "from cross-entropy to SSR does no harm.",
    source="Golik, Doetsch & Ney 2013, Cross-entropy vs. squared error training",
    protocol="Digits and MNIST-5k, 1 to 5 sigmoid layers, starts N(0, 1/sqrt n) and N(0, 1), tuned, 30 seeds; then "
    "cross-entropy followed by SSR against cross-entropy followed by cross-entropy with the same drop of the rate.",
    rule="Confirmed if the fraction of runs that reach the target, averaged over data sets, starts and depths, is "
    "higher for cross-entropy with its paired interval above 0, and the mean paired difference in test error (switch "
    "minus control) has its interval below 0.5 points. Refuted if the first interval has nothing above 0 or the second "
    "lies above 0.5 points. Otherwise undecided.",
    choices=(
        "1/sqrt n is read as the standard deviation, n the inputs of a layer. Layers have 32 units, biases start at 0.",
        "Stuck means: validation accuracy 80 % (digits, 1,000 steps of 32) or 70 % (MNIST-5k, 600 steps of 64) is "
        "never reached. Such a run is counted, never dropped.",
        "The switch is made in networks of one hidden layer, which both losses train, at the end of tuned "
        "cross-entropy training; both second stages have a tenth of its rate and as many steps again, in the same "
        "batches.",
        "The quick run has MNIST-5k alone and depths 1 and 3.",
    ),
    effect="cross_entropy-ssr/reached",
    measure=measure,
    decide=decide,
)
