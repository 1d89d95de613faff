"""Sweeps: a lane equals a solo run whoever shares its wave, one compilation, devices, padding, the plan."""

import copy
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from ce_jax.analysis import steps_to_target
from ce_jax.losses import LOSSES, ssr
from ce_jax.models import as_model, mlp
from ce_jax.sweeping import Checkpoint, Plan, blocks, compile_wave, plan_waves, sweep
from ce_jax.training import AT_END, METRICS, Hyperparameters, Splits, Training, make_train
from tests.test_training import data

EVERY = (*METRICS, *AT_END)
pytestmark = pytest.mark.usefixtures("quick_compilation")

SEEDS = (3, 1, 4, 15, 9)
RATES = np.array([0.01, 0.1, 1.0], np.float32)
TRAIN = make_train(mlp((4,)), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 2, 10), batch_size=5)


@pytest.mark.parametrize(
    "plan", [None, Plan(2, 2, 1), Plan(8, 3, 8), pytest.param(Plan(4, 1, 2), marks=pytest.mark.slow)]
)
def test_a_lane_equals_a_solo_run(plan):
    found = sweep(TRAIN, SEEDS, Hyperparameters(RATES, {}), data(), plan=plan)
    for row, rate in enumerate(RATES):
        for column, seed in enumerate(SEEDS):
            solo = jax.jit(TRAIN)(jax.random.key(seed, impl="threefry2x32"), Hyperparameters(rate, {}), data())
            for metric in METRICS:
                np.testing.assert_allclose(
                    found[metric][row, column], solo[metric], rtol=1e-4, atol=1e-5, err_msg=f"{metric} {seed} {rate}"
                )
            by_class = found["test_class_accuracy"]
            assert by_class.shape == (3, 5, 3)
            np.testing.assert_allclose(by_class[row, column], solo["test_class_accuracy"][-1], atol=1e-6)


@pytest.mark.slow
def test_each_seed_may_have_its_own_split():
    parts = [jax.tree.map(lambda leaf, i=i: np.roll(leaf, i, axis=0), data()) for i in range(len(SEEDS))]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *parts)
    assert isinstance(stacked, Splits)
    found = sweep(TRAIN, SEEDS, Hyperparameters(RATES, {}), stacked, plan=Plan(2, 2, 2))
    solo = jax.jit(TRAIN)(jax.random.key(15), Hyperparameters(RATES[1], {}), parts[3])
    np.testing.assert_allclose(found["train_loss"][1, 3], solo["train_loss"], rtol=1e-4)


def test_rates_seeds_and_loss_parameters_never_recompile(monkeypatch):
    compiled, original = [], jax.jit

    def counting(function, **knobs):
        compiled.append(function)
        return original(function, **knobs)

    monkeypatch.setattr(jax, "jit", counting)
    train = make_train(mlp((4,)), LOSSES["ssr_on_logits"], num_classes=3, evaluate_at=(0, 2))
    hyper = Hyperparameters(RATES, {"target": np.array([1.0, 5.0, 15.0], np.float32)})
    found = sweep(train, range(7), hyper, data(), plan=Plan(2, 2, 1))
    names = sorted(function.__name__ for function in compiled)
    assert names == ["begin", "evaluate", "go_on"]  # the second is a part of the third
    assert len(np.unique(found["train_loss"][:, 0, 0])) == 3  # the parameter has reached the loss


def test_runs_that_differ_in_their_start_alone_are_traced_once(monkeypatch):
    traced, step = [], Training.step
    monkeypatch.setattr(Training, "step", lambda self, *rest: traced.append(self) or step(self, *rest))
    for start in ("he", "saturated"):
        train = make_train(mlp((5,), start=start), "ssr", num_classes=3, evaluate_at=(0, 7))
        found = sweep(train, SEEDS[:1], Hyperparameters(RATES[:1], {}), data(), plan=Plan(1, 1, 1))
    assert len(traced) == 1
    solo = jax.jit(train)(jax.random.key(SEEDS[0], impl="threefry2x32"), Hyperparameters(RATES[0], {}), data())
    np.testing.assert_allclose(found["train_loss"][0, 0], solo["train_loss"], rtol=1e-4)


def test_nothing_but_the_start_may_differ_in_one_program():
    knobs = [{}, {"model": mlp((6,), start="saturated")}, {"model": mlp((5,), activation="tanh")}]
    knobs += [{"loss": "cross_entropy"}]
    knobs += [{"optimizer_options": {"momentum": 0.5}}, {"optimizer": "adam"}, {"schedule": "cosine"}]
    knobs += [
        {"batch_size": 4},
        {"class_weight": "balanced"},
        {"class_weight": (1.0, 2.0, 3.0)},
        {"evaluation_rows": 3},
    ]
    knobs += [{"gradient": "manual"}, {"evaluate_at": (0, 6)}, {"row_block": 4}, {"evaluate_block": 4}]
    fixed = {"model": mlp((5,)), "loss": "ssr", "num_classes": 3, "evaluate_at": (0, 7)}
    programs = [make_train(**fixed | own).program for own in knobs]
    assert programs[0] == programs[1]  # another width: shapes are looked at where a program is traced
    assert len(set(programs)) == len(knobs) - 1
    assert make_train(**fixed | {"num_classes": 4}).program not in programs
    for brought in (
        {"loss": lambda logits, labels: ssr(logits, labels)},
        {"model": as_model((mlp((5,)).init, mlp((5,)).apply), 3, (4,))},
    ):
        first, second = (make_train(**fixed | brought) for _ in range(2))
        assert first.program is first  # what it depends on may have changed
        assert first.program != second.program


def test_segments_and_checkpoints_change_nothing():
    """Cut into segments, and gone on from each checkpoint: the curves of an undisturbed run, to the last bit."""
    hyper = Hyperparameters(RATES, {})
    whole = compile_wave(TRAIN, Plan(2, 3, 1), hyper, data()).run((3, 1), hyper, data())
    cut = compile_wave(TRAIN, Plan(2, 3, 1, segment_steps=3), hyper, data())
    saved = []
    found = cut.run((3, 1), hyper, data(), save=saved.append)
    assert [one.segment for one in saved] == [1, 2, 3]
    for checkpoint in saved:
        again = cut.run((3, 1), hyper, data(), checkpoint=checkpoint)
        for metric in EVERY:
            np.testing.assert_array_equal(again[metric], found[metric], err_msg=metric)
    for metric in EVERY:
        np.testing.assert_allclose(found[metric], whole[metric], rtol=1e-5, atol=1e-6, err_msg=metric)


@pytest.mark.slow
def test_hyperparameters_that_diverge_are_retired():
    """Two of eight rates survive: the rest of the run is compiled for two, and a checkpoint goes on from there."""
    train = make_train(mlp((8,)), LOSSES["ssr_on_logits"], num_classes=3, evaluate_at=tuple(range(0, 21, 2)))
    rates = Hyperparameters(np.array([1e12, 0.01, 1e12, 1e12, 1e12, 0.02, 1e12, 1e12], np.float32), {})
    whole = compile_wave(train, Plan(2, 8, 1), rates, data()).run((3, 1), rates, data())
    assert np.isnan(whole["train_loss"][0, :, -1]).all()  # the test would say nothing if these did not diverge
    wave, saved = compile_wave(train, Plan(2, 8, 1, segment_steps=5), rates, data()), []
    found = wave.run((3, 1), rates, data(), save=lambda one: saved.append(one._replace(curves=dict(one.curves))))
    assert [len(one.columns) for one in saved] == [2, 2, 2]
    assert set(saved[0].columns) == {1, 5}
    again = wave.run((3, 1), rates, data(), checkpoint=Checkpoint.from_arrays(saved[1].to_arrays()))
    for metric in EVERY:
        np.testing.assert_allclose(found[metric], whole[metric], rtol=1e-5, atol=1e-6, err_msg=metric)
        np.testing.assert_array_equal(again[metric], found[metric], err_msg=metric)
    hopeless = Hyperparameters(np.full(8, 1e12, np.float32), {})
    lost = wave.run((3, 1), hopeless, data())
    assert np.isnan(lost["train_loss"][..., -1]).all()
    assert lost["test_class_accuracy"].shape == (8, 2, 3)
    assert np.isnan(lost["test_class_accuracy"]).all()


# Whether a rate reaches 0.9 depends on the rate alone, and by far: two never do, the others within six steps or so.
REACHING = make_train(mlp((8,)), LOSSES["cross_entropy"], num_classes=3, evaluate_at=tuple(range(0, 41, 2)))
QUICK = Hyperparameters(np.array([1e-6, 1.0, 0.5, 0.7, 2.0, 1e12, 1e-6, 0.6], np.float32), {})


def twice_as_long(curves, steps):
    return 2 * steps_to_target(curves["train_accuracy"], steps, 0.9) <= steps[-1]


@pytest.mark.slow
def test_what_is_done_is_retired():
    """Six of eight rates are done or diverge; the other two go on alone, with the same times, and can be resumed."""
    wave = compile_wave(REACHING, Plan(2, 8, 1, segment_steps=10), QUICK, data())
    whole, steps = wave.run((3, 1), QUICK, data()), np.array(REACHING.evaluate_at)
    saved, told = [], []
    found = wave.run(
        (3, 1),
        QUICK,
        data(),
        save=lambda one: saved.append(copy.deepcopy(one)),
        done=twice_as_long,
        progress=lambda *steps: told.append(steps),
    )
    times, same = (steps_to_target(curves["train_accuracy"], steps, 0.9) for curves in (whole, found))
    assert np.isinf(times[[0, 5, 6]]).all()  # else the test would say nothing
    assert (times[[1, 2, 3, 4, 7]] <= 20).all()
    np.testing.assert_array_equal(same, times)
    measured = found["measured"]
    assert measured.dtype == bool
    assert [len(one.columns) for one in saved][-1] == 2
    assert measured[[0, 6]].all()
    assert not measured[[1, 2, 3, 4, 5, 7], :, -1].any()
    for metric in METRICS:
        assert np.isnan(found[metric][5, :, -1]).all()  # a run that diverged stays one
        last = measured.sum(axis=-1, keepdims=True) - 1
        stands = np.where(measured, whole[metric], np.take_along_axis(whole[metric], last, axis=-1))
        np.testing.assert_allclose(found[metric], stands, rtol=1e-5, atol=1e-6, err_msg=metric)
    by_class = found["test_class_accuracy"]
    np.testing.assert_array_equal(np.isnan(by_class), np.isnan(by_class[..., :1]) & np.ones(3, bool))
    assert np.isnan(by_class).any(axis=-1).tolist() == (~measured[..., -1] | np.isnan(found["ssr"][..., -1])).tolist()
    np.testing.assert_allclose(by_class[[0, 6]], whole["test_class_accuracy"][[0, 6]], atol=1e-6)
    made, spared = (sum(column) for column in zip(*told, strict=True))
    assert made + spared == 8 * 2 * 40
    assert spared > 0
    for checkpoint in saved:
        restored = Checkpoint.from_arrays(checkpoint.to_arrays())
        told = []
        again = wave.run(
            (3, 1),
            QUICK,
            data(),
            checkpoint=restored,
            done=twice_as_long,
            progress=lambda *n, told=told: told.append(n),
        )
        assert told[0] == (0, 8 * 2 * 10 * checkpoint.segment)
        assert np.sum(told) == 8 * 2 * 40
        for name, curve in found.items():
            np.testing.assert_array_equal(again[name], curve, err_msg=name)


def test_a_wave_ends_when_all_of_it_is_done():
    wave = compile_wave(REACHING, Plan(2, 8, 1, segment_steps=10), QUICK, data())
    calls, told = [], []
    object.__setattr__(wave, "advance", lambda count, original=wave.advance: calls.append(count) or original(count))
    found = wave.run(
        (3,),
        QUICK,
        data(),
        done=lambda curves, steps: np.full((2, 8), steps[-1] >= 20),
        progress=lambda *n: told.append(n),
    )
    assert calls == [8, 8]
    assert told == [(0, 0), (80, 0), (80, 0), (0, 160)]
    assert (found["measured"].sum(axis=-1) == 11).all()
    np.testing.assert_array_equal(found["ssr"][..., -1], found["ssr"][..., 10])


@pytest.mark.slow
def test_a_sweep_asks_what_is_done():
    """Here and elsewhere; one wave of rates that are all done after the first of two segments."""
    train = make_train(mlp(()), LOSSES["ssr"], num_classes=3, evaluate_at=(0, 2, 4))
    plan, hyper = Plan(2, 3, 1, segment_steps=2), Hyperparameters(RATES, {})

    def knobs(**given):
        return {"plan": plan, "done": lambda curves, steps: np.full(curves["ssr"].shape[:2], True), **given}

    found = sweep(train, SEEDS[:2], hyper, data(), **knobs())
    np.testing.assert_array_equal(found["measured"], np.broadcast_to([True, True, False], (3, 2, 3)))
    np.testing.assert_array_equal(found["ssr"][..., 2], found["ssr"][..., 1])
    with ThreadPoolExecutor(1) as pool:
        elsewhere = sweep(train, SEEDS[:2], hyper, data(), **knobs(executor=pool))
    for name, curve in found.items():
        np.testing.assert_array_equal(elsewhere[name], curve, err_msg=name)
    assert "measured" not in sweep(train, SEEDS[:2], hyper, data(), plan=plan)


def test_no_collective_in_the_program():
    """Lanes never talk: a program sharded over eight devices holds no communication at all."""
    plan = Plan(8, 2, 8)
    texts = []
    original = jax.stages.Lowered.compile

    def keeping(self, *args, **kwargs):
        compiled = original(self, *args, **kwargs)
        texts.append(compiled.as_text())
        return compiled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", keeping)
        compile_wave(TRAIN, plan, Hyperparameters(RATES, {}), data())
    assert any("while" in text for text in texts)
    text = "".join(texts)
    for collective in ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert collective not in text


def test_blocks_cover_every_lane_once():
    lanes = [
        (seed, rate)
        for block in blocks(range(7), range(5), Plan(3, 2, 1))
        for seed in block.seeds
        for rate in block.hyper
    ]
    assert sorted(lanes) == [(seed, rate) for seed in range(7) for rate in range(5)]


@pytest.mark.parametrize(
    ("arguments", "knobs", "expected"),
    [
        (((10, 50), 11, 1000), {}, Plan(10, 11, 1)),
        (((10, 50), 2, 1000), {}, Plan(10, 2, 1)),
        (((10, 50), 33, 1000), {}, Plan(10, 11, 1)),
        (((10, 50), 11, 1000), {"budget": 1000}, Plan(1, 1, 1)),
        (((10, 50), 11, 1000), {"bytes_per_step": 2**22 // 110}, Plan(10, 11, 1)),
        (((10, 50), 11, 1000), {"bytes_per_step": 2**22 // 55}, Plan(5, 11, 1)),
        (((10, 50), 16, 1000), {"bytes_per_step": 2**22 // 23}, Plan(2, 8, 1)),  # two waves of 8, not 11 and 5
        (((10, 50), 11, 1000), {"bytes_per_step": 2**22 // 4}, Plan(2, 2, 1)),
        (((10, 50), 11, 1000), {"bytes_per_step": 2**23}, Plan(1, 1, 1)),
        (((10, 50), 11, 1000), {"devices": 8}, Plan(16, 11, 8)),
        (((74, 2200), 11, 1000), {}, Plan(440, 11, 1)),  # some padding rather than 1,137 calls for 2 seeds each
        (((3, 5), 11, 1000), {"devices": 8}, Plan(5, 11, 5)),
    ],
)
def test_plan(arguments, knobs, expected):
    assert plan_waves(*arguments, **knobs) == expected
