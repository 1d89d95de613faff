"""A trainer that trains nothing: a claim's `measure` on curves that are known, through the real protocol."""

import numpy as np

from ce_jax.comparing import arms_of, one_by_one, tune_and_report
from ce_jax.training import METRICS, evaluation_steps
from experiments.claims.workloads import TrainedConfig, moved


def stub_trained(curves, asked=None):
    """What stands for `experiments.claims.workloads.trained` in a claim's module.

    Args:
      curves: `curves(name, config, loss, rate, seed, steps) -> {metric: [E]}`; a metric that is left out is 0.5, and a
        curve that ends in NaN is a run that has diverged. Where options are tuned it gets the whole point as `rate`.
      asked: a list that collects (name, loss, seed, rate) of everything that is trained.
    """

    def trained(name, config, request, *, everywhere=False, rates_per_wave=1):
        config = moved(config, request)
        train = config.train
        steps = np.array(evaluation_steps(train.steps, every=train.evaluate_every, points=train.evaluations))

        def lanes(arm, seeds, points):
            measured = {metric: np.full((len(points), len(seeds), len(steps)), 0.5) for metric in METRICS}
            for row, rate in enumerate(point if point.options else point.rate for point in points):
                for column, seed in enumerate(seeds):
                    if asked is not None:
                        asked.append((name, arm.label, seed, rate))
                    for metric, curve in curves(name, config, arm.label, rate, seed, steps).items():
                        measured[metric][row, column] = curve
                        if np.isnan(np.asarray(curve, float)).any():
                            measured["train_loss"][row, column, -1] = np.nan
            return measured

        report_at = "every rate" if everywhere else "contending rates"
        arms = arms_of(config.loss)
        made = tune_and_report(arms, steps, config.sweep, config.analysis, one_by_one(lanes), report_at=report_at)
        return TrainedConfig(config, made)

    return trained
