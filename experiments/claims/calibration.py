"""Whether SSR gives better calibrated probabilities, before and after one fitted temperature."""

import itertools

import jax
import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from ce_jax.analysis import expected_calibration_error, fit_temperature
from ce_jax.comparing import AnalysisOptions, RateGrid, SplitOptions, SweepOptions, TrainOptions, display_name
from ce_jax.training import Hyperparameters, Splits, trained_parameters
from experiments.claims.drawing import legend, with_intervals
from experiments.claims.record import Claim, Findings, Measurement, Measurements, Request, Verdict, verdict_of
from experiments.claims.statistics import mean, mean_difference
from experiments.claims.workloads import moved, over_seeds, trained
from experiments.config import Config, MlpOptions
from experiments.data import DataOptions
from experiments.pages import canvas
from experiments.pages.canvas import Array, panels
from experiments.run.workload import load_workload

# {dataset: (epochs, batch)}
DATASETS = {"digits": (60, 32), "mnist5k": (20, 64)}
NOISE = (0.0, 0.1, 0.2)
TRAINED = ("cross_entropy", "ssr")
CALIBRATIONS = ("before", "after")
NO_WORSE = 0.005
HOTTEST = 100.0


def setting(dataset: str, noise: float, request: Request) -> Config:
    """One workload; the test labels are never noisy, the validation labels neither."""
    epochs, batch = DATASETS[dataset]
    training = {"digits": 1077, "mnist5k": 3000}[dataset]
    return Config(
        dataset=dataset,
        model="mlp",
        loss=TRAINED,
        data=DataOptions(
            scale="unit",
            label_noise=noise,
            split=SplitOptions(*({"digits": (270, 450), "mnist5k": (1000, 1000)}[dataset])),
        ),
        mlp=MlpOptions((128,), "relu"),
        train=TrainOptions(request.pick(epochs, epochs // 4) * (training // batch), batch_size=batch, evaluations=6),
        sweep=SweepOptions(RateGrid(1e-2, 10, 7), widen=1, seeds=request.pick(20, 6), tuning_seeds=request.pick(8, 3)),
        analysis=AnalysisOptions(tune_by="final_accuracy"),
    )


def calibration_errors(config: Config, loss: str, rate: float) -> dict[str, Array]:
    """{before, after, temperature: [S]} of the fresh seeds, trained once more at the tuned rate to see their logits."""
    task = load_workload("calibration", config).task
    (arm,) = [arm for arm in task.arms if arm.label == loss]
    fresh = slice(config.sweep.tuning_seeds, None)
    splits = task.splits_of(fresh)
    parameters = trained_parameters(task.train(arm))

    def logits(key: jax.Array, hyper: Hyperparameters, data: Splits) -> tuple[jax.Array, ...]:
        params = parameters(key, hyper, data)
        return tuple(task.model.apply(params, part.inputs) for part in (data.validation, data.test))

    validation, test = over_seeds(logits, task.seeds[fresh], rate, splits)
    measurements: dict[str, list[float]] = {"before": [], "after": [], "temperature": []}
    for seed in range(len(test)):
        if not np.isfinite(validation[seed]).all() or not np.isfinite(test[seed]).all():
            for name, worst in (("before", 1.0), ("after", 1.0), ("temperature", HOTTEST)):
                measurements[name].append(worst)
            continue
        temperature = fit_temperature(validation[seed], splits.validation.labels[seed], bounds=(1 / HOTTEST, HOTTEST))
        measurements["temperature"].append(temperature)
        for name, cooled in (("before", test[seed]), ("after", test[seed] / temperature)):
            probs = softmax(cooled.astype(np.float64), axis=1)
            measurements[name].append(expected_calibration_error(probs, splits.test.labels[seed]))
    return {name: np.array(values) for name, values in measurements.items()}


def measure(request: Request) -> Findings:
    """Tune, train, and compare calibration errors seed by seed."""
    measurements: dict[str, Measurement] = {}
    for dataset, noise in itertools.product(DATASETS, NOISE):
        config = setting(dataset, noise, request)
        run = trained(f"{dataset}-{noise:g}", config, request)
        key = f"{dataset}/noise={noise:g}"
        errors = {}
        for loss in TRAINED:
            errors[loss] = calibration_errors(moved(config, request), loss, run.rate(loss))
            measurements[f"{key}/{loss}/test_accuracy"] = mean(run.final(loss, "test_accuracy"), "fraction")
            measurements[f"{key}/{loss}/temperature"] = mean(errors[loss]["temperature"])
            for when in CALIBRATIONS:
                measurements[f"{key}/{loss}/ece/{when}"] = mean(errors[loss][when], "probability")
        for when in CALIBRATIONS:
            measurements[f"{key}/ssr-cross_entropy/ece/{when}"] = mean_difference(
                errors["ssr"][when], errors["cross_entropy"][when], "probability"
            )
    seeds = request.pick(20, 6)
    return Findings(
        measurements,
        figure(measurements),
        "Expected calibration error on test examples before (left) and after (right) dividing the logits by one "
        "temperature fitted on the validation part; means with intervals. With label noise the test labels stay clean, "
        "so that a loss that follows the noise is unsure of what it gets right.",
        seeds,
        f"Digits and MNIST-5k with 0, 10 and 20 % of the training labels changed, a network of 128 ReLU units, SGD, 7 "
        f"half-decade rates, {request.pick(8, 3)} tuning and {seeds} fresh seeds, ECE in 15 bins.",
    )


def decide(measurements: Measurements) -> Verdict:
    """Better before in most cells, not better after."""
    cells = [
        f"{dataset}/noise={noise:g}/ssr-cross_entropy/ece" for dataset, noise in itertools.product(DATASETS, NOISE)
    ]
    before, after = ([measurements[f"{cell}/{when}"] for cell in cells] for when in CALIBRATIONS)
    better, worse = (sum(one.high < 0 for one in before), sum(one.low > 0 for one in before))
    still_better = sum(one.high < -NO_WORSE for one in after)
    half = len(cells) / 2
    return verdict_of(better > half and still_better < half, worse > half or (better > half and still_better > half))


def figure(measurements: Measurements) -> Figure:
    """Calibration error against label noise, one panel per data set and stage."""
    drawing, grid = panels(len(DATASETS) * 2, height=3.0, sharey=True)
    looks = canvas.styles(TRAINED)
    for axes, (dataset, when) in zip(grid, itertools.product(DATASETS, CALIBRATIONS), strict=True):
        for loss, look in looks.items():
            values = [measurements[f"{dataset}/noise={noise:g}/{loss}/ece/{when}"] for noise in NOISE]
            with_intervals(axes, NOISE, values, look, display_name(loss))
        axes.set(title=f"{dataset}, {when} temperature", xlabel="label noise", ylabel="calibration error")
        legend(axes)
    return drawing


CLAIM = Claim(
    id="calibration",
    statement="Networks trained on SSR on probabilities are better calibrated before temperature scaling, not after.",
    source="Mukhoti et al. 2020; Hu et al. 2022",
    protocol="Digits and MNIST-5k with 0, 10, 20 % label noise, a network of 128 units, 20 seeds; expected calibration "
    "error before and after one fitted temperature.",
    rule="Of the six cells (data set, noise): confirmed if the paired ECE difference SSR − cross-entropy has its "
    "interval below 0 before scaling in most cells, and below -0.005 after scaling in fewer than half. Refuted if "
    "before scaling its interval lies above 0 in most cells, or if SSR stays better after scaling in most cells too. "
    "Otherwise undecided.",
    choices=(
        "Label noise changes training labels only; the temperature is fitted on the clean validation part of each "
        "seed, the same that chose the rate, by cross-entropy.",
        "60 epochs in batches of 32 (digits) and 20 in batches of 64 (MNIST-5k), long enough to fit the training part; "
        "the quick run has a quarter of them. Rates are tuned by final validation accuracy. A run that diverged has "
        "the worst error, 1, and the hottest temperature.",
    ),
    effect="mnist5k/noise=0/ssr-cross_entropy/ece/before",
    measure=measure,
    decide=decide,
)
