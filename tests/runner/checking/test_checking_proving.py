"""Truths that are told again: what differs from a scenario's file is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from firedrill.core.scenario import Scenario
from firedrill.runner.checking.proving import _compared
from firedrill.suites import open_suite, select


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return select(open_suite("lite"), ["lite-018"])[0].scenario


def happened(scenario: Scenario, *, late: float = 0.0, alerts: Any = None, cures: Any = None) -> Any:
    """A stand-in for a simulation that gives what the file says, or something else."""
    fired = [
        SimpleNamespace(name=item["alert"], labels=item["labels"], fired=item["at"] * 1000 + late)
        for item in scenario.triggers
    ]
    spec = scenario.truth["spec"]
    told = {**spec, "alerts": spec["alerts"] if alerts is None else alerts(spec["alerts"])}
    found = scenario.truth["cures"] if cures is None else cures
    incident = SimpleNamespace(
        times=SimpleNamespace(start=0, noticed=10**9),
        alerts=fired,
        injections=[SimpleNamespace(causes=scenario.truth["cures"][0])],
    )
    return (
        scenario,
        incident,
        SimpleNamespace(v1={"spec": told}),
        SimpleNamespace(granted=True, causes=tuple(map(tuple, found))),
    )


def test_the_same_is_told_again(scenario: Scenario) -> None:
    assert _compared(*happened(scenario)) == ([], [])


def test_an_alert_that_is_missing_is_wrong_and_one_more_is_odd(scenario: Scenario) -> None:
    name = scenario.truth["spec"]["alerts"][0]["id"]
    wrong, warnings = _compared(
        *happened(scenario, alerts=lambda all_: [item for item in all_ if item["id"] != name])
    )
    assert (wrong, warnings) == ([f"{name} does not fire"], [])
    more = {"id": "QueueGrows", "group_id": "x", "metadata": {}}
    assert _compared(*happened(scenario, alerts=lambda all_: [*all_, more])) == ([], ["QueueGrows fires too"])


def test_other_times_and_causes_are_wrong(scenario: Scenario) -> None:
    wrong, _ = _compared(*happened(scenario, late=15_000))
    first = scenario.triggers[0]
    assert f"{first['alert']} fires at {first['at'] + 15:g} s, not at {first['at']:g} s" in wrong
    other = "book-info/Deployment/reviews-v1"
    assert _compared(*happened(scenario, cures=[[other]]))[0] == [
        f"its minimal cures are {other}, not {scenario.truth['cures'][0][0]}"
    ]


def test_a_step_that_is_not_there_any_more_is_wrong(scenario: Scenario) -> None:
    found, incident, told, proof = happened(scenario)
    steps = told.v1["spec"]["propagations"]
    told.v1["spec"] = {**told.v1["spec"], "propagations": steps[1:]}
    wrong, warnings = _compared(found, incident, told, proof)
    assert wrong == [f"it does not spread from {steps[0]['source']} to {steps[0]['target']}"]
    assert warnings == []
