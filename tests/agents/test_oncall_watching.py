"""Whether things got better, what stands at the end, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firedrill.agents.oncall.doing import Done, short_of_pods
from firedrill.agents.oncall.recording import Recording, onset, seconds
from firedrill.agents.oncall.report import changes
from firedrill.agents.oncall.steps import Action, Step
from firedrill.agents.oncall.watching import Health, meaning

ONE, TWO = frozenset({(("alertname", "A"),)}), frozenset({(("alertname", "A"),), (("alertname", "B"),)})
BAD = Health(TWO, errors=5.0, slow=200.0, missing=2.0)


@pytest.mark.parametrize(
    ("change", "better"),
    [
        ({}, False),
        ({"firing": ONE}, True),
        ({"errors": 1.0}, True),
        ({"slow": 20.0}, True),
        ({"missing": 0.0}, True),
        ({"errors": 4.5}, False),
        ({"missing": 0.0, "errors": 9.0}, False),
        ({"errors": 1.0, "missing": 3.0}, False),
    ],
)
def test_better_is_a_clear_gain_without_a_loss(change: dict[str, Any], better: bool) -> None:
    assert replace(BAD, **change).better_than(BAD) is better
    assert replace(BAD, firing=frozenset()).well


def test_an_alert_is_the_same_whichever_pod_it_is_about() -> None:
    assert meaning({"alertname": "A", "pod": "x-1"}) == meaning({"pod": "x-2", "alertname": "A"})


def test_a_workload_is_short_of_pods_by_its_own_account() -> None:
    assert short_of_pods({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}})
    assert short_of_pods({"spec": {"replicas": 1}, "status": {}})
    assert not short_of_pods({"spec": {"replicas": 0}, "status": {}})
    assert not short_of_pods({"spec": {}, "status": {"desiredNumberScheduled": 3, "numberAvailable": 3}})
    assert not short_of_pods({"spec": {"selector": {}}})


def test_what_was_changed_is_told_and_what_was_taken_back_says_so() -> None:
    action = Action("delete", "pods", "shop", "x")
    step = Step("shop/Pod/x", "it goes", "it is new", (action,))
    refused = Done(step, refused="forbidden")
    told = list(changes([Done(step, [(action, None)]), Done(step, [(action, None)], undone=True), refused]))
    assert [item["what"] for item in told] == ["it goes", "it goes (taken back, it did not help)"]


def test_times_of_all_the_apis_are_read_alike() -> None:
    assert seconds("2026-01-05T09:30:00Z") == 1_767_605_400.0
    assert seconds("2026-01-05T09:30:00.123456789Z") == pytest.approx(1_767_605_400.123456)
    assert seconds(1_767_605_400_000) == seconds(1_767_605_400)
    assert seconds("soon") is None


def test_the_onset_lies_before_the_first_alert_that_is_not_old() -> None:
    found = Recording(
        now=10_000.0, alerts=[{"activeAt": 100.0}, {"activeAt": 9_700.0}, {"activeAt": 9_800.0}]
    )
    assert onset(found) == 9_580.0
