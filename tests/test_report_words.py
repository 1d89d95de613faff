"""The verdict at the top of a page, on made-up summaries: every word is earned by an interval."""

import copy

import pytest

from ce_jax.comparing import joined_verdict, unbeaten, verdict


def make_summary(**ratios):
    """Two losses at 95 % (headline) and 90 %: `at_95` and `at_90` are (ratio, low, high) of cross-entropy over SSR."""

    def loss(norm):
        by_target = {key: {"reached": 1.0, "rmst_steps": 60.0, "rmst_ci": [50.0, 70.0]} for key in ("0.9", "0.95")}
        final = {"test_accuracy": {"mean": 0.95, "ci": [0.94, 0.96]}}
        return {"by_target": by_target, "final": final, "diverged": 0, "runs": 50, "first_gradient_norm": norm}

    def pair(target, value, low, high):
        both = {"a": "cross_entropy", "b": "ssr", "target": target}
        return {**both, "rmst_ratio": value, "ci": [low, high], "censored": None}

    work = {"dataset": "iris", "model": "mlp", "optimizer": "sgd", "start": "he", "batch_size": "full", "steps": 2000}
    judged = {"seeds": 50, "target_metric": "validation_accuracy", "confidence": 0.95, "classes": ["a", "b", "c"]}
    at_95, at_90 = ratios.get("at_95", (0.42, 0.36, 0.5)), ratios.get("at_90", (0.51, 0.45, 0.6))
    return {
        "workload": {**work, **judged},
        "targets": [0.9, 0.95],
        "losses": {"cross_entropy": loss(2.0), "ssr": loss(0.5)},
        "comparisons": [pair(0.9, *at_90), pair(0.95, *at_95)],
    }


def lines(summary):
    told = {}
    for about, words in verdict(summary):
        told.setdefault(about, []).append(words)
    return {about: " ".join(words) for about, words in told.items()}


def test_targets_that_agree_say_so():
    told = lines(make_summary())
    assert told["Use"] == "Cross-entropy (to 95 % validation accuracy, each loss at its own tuned learning rate)."
    assert told["By how much"] == (
        "Cross-entropy needed 0.42 times the steps of SSR on probabilities (95 % interval 0.36 to 0.50)."
    )
    assert "from the start he, on 3 classes, that of SSR on probabilities is 0.25 times as large" in told["Why"]
    assert told["Agrees"] == "To 90 % validation accuracy the same choice follows."
    assert "Disagrees" not in told
    assert "weakens" not in told["How sure"]


def test_a_target_that_turns_the_finding_round_is_named():
    told = lines(make_summary(at_90=(1.4, 1.2, 1.7)))
    assert told["Use"].startswith("Cross-entropy (")
    assert told["Disagrees"] == (
        "To 90 % validation accuracy: cross-entropy needed 1.40 times the steps of SSR on probabilities (95 % interval "
        "1.20 to 1.70)."
    )
    assert "Agrees" not in told


def test_a_headline_that_stays_open_does_not_hide_the_target_that_is_significant():
    told = lines(make_summary(at_95=(0.9, 0.7, 1.2)))
    assert told["Use"].startswith(
        "Either, cross-entropy or SSR on probabilities: no difference in speed could be shown"
    )
    assert told["By how much"].startswith("Cross-entropy needed 0.90 times")
    assert "0.51 times" in told["Disagrees"]


def test_where_no_loss_arrives_nothing_is_recommended():
    summary = make_summary()
    for record in summary["losses"].values():
        record["by_target"]["0.95"]["reached"] = 0.0
    told = lines(summary)
    assert told["Use"].startswith("Open: no loss reached 95 % validation accuracy")
    assert told["By how much"] == "Neither cross-entropy nor SSR on probabilities got there."
    assert "0.51 times" in told["Disagrees"]


@pytest.mark.parametrize(("bounds", "use"), [([0.3, 0.6], "Cross-entropy ("), ([0.8, 1.0], "Either, ")])
def test_a_loss_that_never_arrives_is_beaten_only_where_the_bound_is_sure(bounds, use):
    summary = make_summary(at_95=(0.5, *bounds))
    summary["comparisons"][1]["censored"] = "b"
    summary["losses"]["ssr"]["by_target"]["0.95"]["reached"] = 0.0
    told = lines(summary)
    assert told["Use"].startswith(use)
    assert "SSR on probabilities never got there, so it needs at least 2.00 times the steps" in told["By how much"]


def test_a_loss_that_ends_more_accurate_and_an_equal_rate_that_turns_it_round_disagree():
    summary = make_summary()
    summary["losses"]["ssr"]["final"]["test_accuracy"] = {"mean": 0.98, "ci": [0.97, 0.99]}
    equal = {"a": "cross_entropy", "b": "ssr", "target": 0.95, "rmst_ratio": 2.0, "ci": [1.5, 2.5], "censored": None}
    rates = {"learning_rates": {"cross_entropy": 0.1, "ssr": 0.1}}
    summary["untuned_comparisons"] = [{"kind": "equal_rate", **equal, **rates}]
    told = lines(summary)["Disagrees"]
    assert "SSR on probabilities ends with a higher test accuracy (98 %, 97 to 99 %) than cross-entropy (95 %)" in told
    assert "At one rate for both (0.1 for cross-entropy) it is the other way round" in told
    summary["untuned_comparisons"][0]["ci"] = [0.9, 2.5]
    assert "other way round" not in lines(summary)["Disagrees"]


def test_of_three_losses_those_that_none_beats_are_to_be_used():
    summary = make_summary()
    summary["losses"]["third"] = copy.deepcopy(summary["losses"]["ssr"])
    third = {**summary["comparisons"][1], "b": "third", "rmst_ratio": 1.02, "ci": [0.9, 1.1]}
    summary["comparisons"].append(third)
    assert unbeaten(summary, 0.95) == (["cross_entropy", "third"], True)
    assert "Cross-entropy or third (no difference between them could be shown)" in lines(summary)["Use"]


def test_one_loss_alone_has_no_verdict():
    summary = make_summary()
    del summary["losses"]["ssr"]
    summary["comparisons"] = []
    assert verdict(summary) == []


def test_workloads_of_one_voice_stand_together_and_what_disagrees_is_named():
    quick, slow = make_summary(), make_summary(at_95=(1.5, 1.2, 2.0))
    slow["workload"]["start"] = "saturated"
    told = [line.words for line in joined_verdict([quick, slow])]
    assert told[:3] == [
        "In 1 of 2 workloads (start he): cross-entropy.",
        "In 1 of 2 workloads (start saturated): SSR on probabilities.",
        "The workloads do not say the same, so the setting decides.",
    ]
    assert told[3].startswith("start saturated: To 90 % validation accuracy: cross-entropy needed 0.51 times")
    assert len(joined_verdict([quick, copy.deepcopy(quick)])) == 1
