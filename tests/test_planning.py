"""The plan: memory as compiled programs report it, a plan that stays with its run."""

import jax
import numpy as np
import pytest

from ce_jax.comparing import expected_seconds, lane_memory, wave_memory
from ce_jax.models import cnn, mlp
from ce_jax.sweeping import Plan, compile_wave, evaluate_block
from ce_jax.training import Hyperparameters
from experiments.config import load_config
from experiments.errors import UserError
from experiments.run.planning import kept_plan, plan_for
from experiments.run.workload import load_workload
from tests.small_run import ROOT


def task(config, *overrides):
    name, (one, *_) = load_config(ROOT / "configs" / f"{config}.toml", overrides)
    return load_workload(name, one).task


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
    given = task(config, *overrides)
    plan = plan_for(given)._replace(devices=1)
    arm, lanes = given.arms[-1], np.ones(plan.rates_per_wave, np.float32)
    hyper = Hyperparameters(lanes, dict.fromkeys(arm.options, lanes))
    reported = compile_wave(given.train(arm), plan, hyper, given.splits).memory
    total = reported.temp_size_in_bytes + reported.argument_size_in_bytes + reported.output_size_in_bytes
    assert wave_memory(given, plan) == pytest.approx(total, rel=0.25)


def test_a_plan_stays_with_its_run(tmp_path):
    assert kept_plan(tmp_path, Plan(8, 4, 8, 100)) == Plan(8, 4, 8, 100)
    assert kept_plan(tmp_path, Plan(6, 4, 2)) == Plan(8, 4, 8, 100)


def test_fewer_devices_compute_the_same_waves(tmp_path, monkeypatch):
    kept_plan(tmp_path, Plan(8, 4, 8))
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    assert kept_plan(tmp_path, Plan(6, 4, 2)) == Plan(8, 4, 2)


@pytest.mark.parametrize("lanes", [2, 5, 40])
def test_a_wave_keeps_to_its_byte_budget(lanes):
    given = task("quickstart")
    plan = plan_for(given, lanes * lane_memory(given))
    assert 1 <= plan.seeds_per_wave * plan.rates_per_wave / plan.devices <= lanes


def test_a_budget_that_holds_nothing_is_refused():
    given = task("quickstart")
    with pytest.raises(UserError, match=r"--memory: expected at least 0\.\d+ MiB, .* got 0\.001"):
        plan_for(given, 1049)


def test_accelerators_are_filled_and_take_whole_batches(monkeypatch):
    words = ("model=mlp", "mlp.hidden=256", "train.batch_size=full", "train.steps=20000", "sweep.tuning_seeds=50")
    given = task("digits", *words)
    on_cpu = plan_for(given)
    assert given.train(given.arms[0]).row_block == 256
    for module in ("_planning", "_task"):
        monkeypatch.setattr(f"ce_jax.comparing.{module}.on_cpu", lambda: False)
    assert given.train(given.arms[0]).row_block is None
    filled = plan_for(given)
    assert filled.seeds_per_wave * filled.rates_per_wave > 4 * on_cpu.seeds_per_wave * on_cpu.rates_per_wave
    assert on_cpu.segment_steps < 20000  # what takes an accelerator seconds is not cut
    assert filled.segment_steps is None


def test_the_expected_time_counts_evaluations():
    """A training part of 90 rows and two others of 30 are as many rows as 110 / 16 steps of 16."""
    words = ("train.steps=100", "train.batch_size=16")
    few, many, some = (
        expected_seconds(task("quickstart", *words, *more), 1)
        for more in (
            ("train.evaluate_every=50",),
            ("train.evaluate_every=10",),
            ("train.evaluate_every=10", "train.evaluation_rows=20"),
        )
    )
    assert many / few == pytest.approx((100 + 11 * 110 / 16) / (100 + 3 * 110 / 16))
    assert some / few == pytest.approx((100 + 11 * 40 / 16) / (100 + 3 * 110 / 16))


@pytest.mark.parametrize(("batch", "rows"), [(8, 64), (100, 100), (3000, 256)])
def test_what_is_no_dense_network_is_evaluated_in_blocks(batch, rows):
    assert evaluate_block(cnn((2,)), batch) == rows
    assert evaluate_block(mlp((4,)), batch) is None


@pytest.mark.parametrize(
    ("config", "words"), [("cnn", ("dataset=digits",)), pytest.param("own_model", (), marks=pytest.mark.slow)]
)
def test_memory_of_other_networks_is_predicted_from_a_step(config, words):
    """An evaluation takes most, and is not compiled for it."""
    given = task(config, *words)
    arm = given.arms[0]
    train, hyper, key = given.train(arm), given.lane(arm), jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(train.begin, key, hyper, given.example)
    reported = jax.jit(train.evaluate).lower(state, hyper, given.example).compile().memory_analysis()
    assert given.cost.temporary == pytest.approx(reported.temp_size_in_bytes, rel=0.35)
