"""The plan: memory as compiled programs report it, a plan that stays with its run."""

import jax
import numpy as np
import pytest

from ce_jax.sweep import Plan, compile_wave
from ce_jax.training import Hyperparameters
from experiments.config import load_config
from experiments.planning import kept_plan, memory_of_wave, plan_for
from experiments.workload import load_workload
from tests.test_run import ROOT


def workload(config, *overrides):
    name, (one, *_) = load_config(ROOT / "configs" / f"{config}.toml", overrides)
    return load_workload(name, one)


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("quickstart", ()),
        pytest.param("quickstart", ("loss=ssr", "optimizer=adam"), marks=pytest.mark.slow),
        pytest.param("digits", ("model=linear",), marks=pytest.mark.slow),
        pytest.param("digits", ("model=mlp",), marks=pytest.mark.slow),
        pytest.param("digits", ("model=mlp", "mlp.hidden=256", "train.batch_size=full"), marks=pytest.mark.slow),
        pytest.param("mixtures", ("model=mlp",), marks=pytest.mark.slow),
    ],
)
def test_predicted_memory_is_within_a_quarter_of_the_compiled_programs(config, overrides):
    given = workload(config, *overrides)
    plan = plan_for(given)._replace(devices=1)
    arm, lanes = given.arms[-1], np.ones(plan.rates_per_wave, np.float32)
    hyper = Hyperparameters(lanes, dict.fromkeys(arm.options, lanes))
    reported = compile_wave(given.train(arm), plan, hyper, given.splits).memory
    total = reported.temp_size_in_bytes + reported.argument_size_in_bytes + reported.output_size_in_bytes
    assert memory_of_wave(given, plan) == pytest.approx(total, rel=0.25)


def test_a_plan_stays_with_its_run(tmp_path):
    assert kept_plan(tmp_path, Plan(8, 4, 8, 100)) == Plan(8, 4, 8, 100)
    assert kept_plan(tmp_path, Plan(6, 4, 2)) == Plan(8, 4, 8, 100)


def test_fewer_devices_compute_the_same_waves(tmp_path, monkeypatch):
    kept_plan(tmp_path, Plan(8, 4, 8))
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    assert kept_plan(tmp_path, Plan(6, 4, 2)) == Plan(8, 4, 2)
