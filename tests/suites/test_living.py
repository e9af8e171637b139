"""One incident on a living world: simulated, told, checked, written and read back."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.core.truth import parse_truth_text
from firedrill.suites import open_suite
from firedrill.suites.lint import lint_any
from firedrill.suites.living import Case, CaseFault, Incident, Waiter, Worlds, simulate
from firedrill.suites.living.case import HEALTHY_MS
from firedrill.suites.living.checking import check
from firedrill.suites.living.deviating import FEWER, deviations
from firedrill.suites.living.drafting import Choice, Slot, settle
from firedrill.suites.living.groups import longest
from firedrill.suites.living.incident import tells
from firedrill.suites.living.opening import open_folder, pack
from firedrill.suites.living.truth import Told, tell
from firedrill.suites.living.waiters import wait
from firedrill.suites.living.worlds import package_of
from firedrill.suites.living.writing import (
    case_of,
    scenario_digest,
    scenario_of,
    text_of,
    truth_texts,
)
from firedrill.suites.manifest import validate_record
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import dig

SPACE = "hotel-reservation"
AT = HEALTHY_MS + 47_000
SCALED = CaseFault("workload-scaled-to-zero", {"namespace": SPACE, "name": "geo"}, AT)
CASE = Case("hotel-reservation", (SCALED,), seed=3, nodes=3)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return Worlds(1)


@pytest.fixture(scope="module")
def incident(worlds: Worlds) -> Incident:
    return simulate(CASE, worlds)


@pytest.fixture(scope="module")
def told(incident: Incident) -> Told:
    return tell(incident, "hotel-1")


@pytest.fixture(scope="module")
def scenario(incident: Incident, told: Told) -> Scenario:
    return scenario_of(incident, told, "hotel-1", tags=("example",), certificate={"granted": True})


def test_an_incident_has_its_moments_in_order(incident: Incident) -> None:
    times = incident.times
    assert times.fault - times.start == AT
    assert times.fault - times.baseline == 15 * 60_000
    assert times.alert is not None
    assert times.fault < times.alert <= times.noticed < times.end
    assert incident.before.now == times.fault
    assert (incident.noticed.now, incident.world.now) == (times.noticed, times.end)
    assert times.end >= times.alert + CASE.incident_ms


def test_every_minute_has_its_alerts(incident: Incident) -> None:
    minutes = [minute.at for minute in incident.minutes]
    assert minutes == list(range(minutes[0], incident.times.end + 1, 60_000))
    assert minutes[0] - incident.times.baseline < 60_000
    calm = [minute for minute in incident.minutes if minute.at <= incident.times.fault]
    assert not any(tells(alert) for minute in calm for alert in minute.alerts)
    assert any(dict(alert.labels)["alertname"] == "Watchdog" for alert in calm[-1].alerts)


def test_the_alerts_are_those_that_the_fault_brought(incident: Incident) -> None:
    assert incident.alerts
    assert {alert.fired for alert in incident.alerts} <= set(range(incident.times.fault, incident.times.end))
    assert incident.alerts[0].fired == incident.times.alert
    assert "Watchdog" not in {alert.name for alert in incident.alerts}


def test_the_twin_goes_on_as_if_nothing_had_happened(incident: Incident) -> None:
    store = incident.twin.cluster.store
    assert incident.twin.now == incident.times.end
    assert dig(store.get("deployments.apps", SPACE, "geo"), "spec", "replicas") == 1
    last = [item for item in incident.usual.minutes if item.at <= incident.times.end][-1]
    assert not any(tells(alert) for alert in last.alerts)


def test_what_deviates_is_found_with_its_moment(incident: Incident, told: Told) -> None:
    found = {(item.entity, item.what): item.at for item in told.affected}
    assert found[f"{SPACE}/Service/geo", "its requests fail"] < incident.times.fault + 60_000
    assert (f"{SPACE}/Service/frontend", "its requests fail") in found
    assert (f"{SPACE}/Deployment/geo", "it has fewer ready pods") in found
    assert (f"{SPACE}/Service/rate", FEWER) in found, "search asks geo first"
    assert f"{SPACE}/Service/user" not in {entity for entity, _ in found}
    assert all(incident.times.fault <= at <= incident.times.end for at in found.values())


def test_a_healthy_world_does_not_deviate_from_itself(worlds: Worlds, incident: Incident) -> None:
    quiet = CaseFault("permissions-revoked", {}, AT)
    twin = worlds.healthy(CASE)
    times = incident.times
    world = twin.at(times.end)
    same = Incident(
        replace(CASE, faults=(quiet,)),
        package_of(CASE),
        world,
        twin.at(times.fault),
        world,
        (),
        times,
        twin.seen_until(times.end),
        twin,
    )
    assert deviations(same) == ()
    assert same.alerts == ()


def test_the_truth_reads_back_without_a_finding(scenario: Scenario) -> None:
    first, second = truth_texts(scenario)
    truth, findings = parse_truth_text(first, "ground_truth.yaml")
    assert findings == []
    assert [(root.kind, root.filters) for root in truth.roots] == [("Deployment", ("^geo$",))]
    assert {alert.group_id for alert in truth.alerts} <= {group.id for group in truth.groups}
    reached = {step.target for step in truth.propagations}
    assert {"geo-service-1", "search-service-1", "frontend-service-1"} <= reached
    assert all(step.condition and step.effect for step in truth.propagations)
    later, findings = parse_truth_text(second, "ground_truth_v2.yaml")
    assert findings == []
    assert (later.version, [root.name for root in later.roots]) == ("v2", ["geo"])
    assert later.solutions


def test_complexity_is_the_cube_root(told: Told) -> None:
    assert told.technologies == ("go",)
    assert told.complexity == round((told.path * len(told.steps)) ** (1 / 3), 2)
    assert told.difficulty in ("easy", "medium", "hard")
    assert longest(["a"], [("a", "b"), ("b", "c"), ("c", "b"), ("a", "c"), ("x", "y")]) == 2
    assert longest([], []) == 0


def test_a_scenario_file_is_read_back_as_it_was(scenario: Scenario, tmp_path: Path) -> None:
    text = text_of(scenario)
    again = validate_record(Scenario, yaml.safe_load(text), "again")
    assert scenario_digest(again) == scenario_digest(scenario)
    assert case_of(again) == CASE
    assert text_of(again) == text
    path = tmp_path / "hotel-1.yaml"
    path.write_text(text)
    suite = open_suite(path)
    assert [item.id for item in suite.scenarios] == ["hotel-1"]
    assert lint_any(path, incidents=False).count("error") == 0


def test_nothing_that_an_agent_may_see_tells_the_cause(scenario: Scenario) -> None:
    assert "geo" not in scenario.metadata.title
    assert re.search(r"zero|scaled", scenario.metadata.title + scenario.metadata.name) is None
    assert scenario.triggers[0]["alert"] in scenario.metadata.title


def test_the_check_keeps_it_and_says_why_it_keeps_nothing_else(incident: Incident, told: Told) -> None:
    checked = check(incident, told)
    assert checked.refused == ""
    assert checked.found["users_harmed"]
    assert checked.found["slo_minutes_lost"] > 1
    other = "hard" if told.difficulty != "hard" else "easy"
    assert check(incident, told, other).refused == f"it is {told.difficulty}, not {other}"
    silent = replace(incident.times, alert=None)
    twin = incident._healthy
    late = Incident(
        CASE,
        incident.package,
        incident.world,
        incident.before,
        incident.noticed,
        incident.injections,
        silent,
        incident.seen,
        twin,
    )
    assert check(late, told).refused == "no alert in time"


def test_a_packaged_suite_is_the_same_bytes_and_digest(scenario: Scenario, tmp_path: Path) -> None:
    data = pack("drill", "1", "an example", [scenario], {"seed": 3})
    assert data == pack("drill", "1", "an example", [scenario], {"seed": 3})
    folder = tmp_path / "drill" / "scenarios"
    folder.mkdir(parents=True)
    (folder / "hotel-1.yaml").write_text(text_of(scenario))
    suite = open_folder(tmp_path / "drill")
    assert suite.digest == open_suite(str(tmp_path / "drill")).digest
    assert suite.scenarios[0].digest == scenario_digest(scenario)
    (folder / "twice.yaml").write_text(text_of(scenario))
    with pytest.raises(InputError, match="two scenarios are called"):
        open_folder(tmp_path / "drill")


@pytest.mark.parametrize("number", range(6))
def test_hard_slots_have_faults_at_several_places(worlds: Worlds, number: int) -> None:
    bare = replace(CASE, faults=())
    slot = Slot(
        number,
        SCALED.id,
        CASE.package,
        "hard",
        "hard",
        bare,
        (SCALED.id, "oom-killed", "service-selector-mismatch"),
    )
    choice = Choice(11)
    case = settle(choice, slot, 0, worlds)
    assert case is not None
    assert case == settle(choice, slot, 0, worlds)
    assert 2 <= len(case.faults) <= 3
    assert [item.at_ms for item in case.faults] == sorted(item.at_ms for item in case.faults)
    assert case.breaks_ms >= HEALTHY_MS
    assert SCALED.id in {item.id for item in case.faults}
    places = {(item.args["namespace"], item.args["name"]) for item in case.faults}
    assert len(places) == len(case.faults)
    assert case != settle(choice, slot, 1, worlds), "a further attempt aims elsewhere"


def test_waiters_do_what_they_say(worlds: Worlds) -> None:
    world = worlds.healthy(CASE).at(CASE.start + HEALTHY_MS)
    user, start = Client(world), world.now
    place = {"namespace": SPACE, "name": "geo", "kind": "Deployment"}
    wait(world, [Waiter("scale-kubernetes-workload", {**place, "replicas": 2})])
    assert dig(user.get("deployments.apps", SPACE, "geo"), "status", "readyReplicas") == 2
    before = {pod["metadata"]["name"] for pod in user.list("pods", SPACE)}
    wait(world, [Waiter("restart-kubernetes-workload", place), Waiter("pause-execution", {"seconds": 40})])
    after = {pod["metadata"]["name"] for pod in user.list("pods", SPACE)}
    assert len([name for name in after - before if name.startswith("geo-")]) == 2
    wait(world, [Waiter("delete-workload-pods", place)])
    assert dig(user.get("deployments.apps", SPACE, "geo"), "spec", "replicas") == 2
    assert world.now > start + 220_000
    with pytest.raises(InputError, match="there is no waiter"):
        wait(world, [Waiter("melt", {})])
    with pytest.raises(InputError, match="not found"):
        wait(world, [Waiter("restart-kubernetes-workload", {**place, "name": "nobody"})])


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (replace(CASE, faults=()), "nothing to simulate"),
        (replace(CASE, faults=(replace(SCALED, at_ms=60_000),)), "before there is a baseline"),
        (replace(CASE, faults=(replace(SCALED, at_ms=10**12),)), "too late"),
        (replace(CASE, faults=(SCALED, replace(SCALED, at_ms=2 * AT))), "too late"),
    ],
)
def test_cases_that_cannot_be_simulated_say_why(case: Case, words: str) -> None:
    with pytest.raises(InputError, match=words):
        simulate(case)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"backend": "snapshot"}, "environment.backend"),
        ({"application": None}, "environment.application"),
        ({"load": {"factor": 0}}, "environment.load.factor"),
        ({"load": {"users": -1}}, "environment.load.users"),
        ({"load": {"speed": 1}}, "environment.load.speed"),
        ({"start": "yesterday"}, "environment.start"),
    ],
)
def test_scenarios_that_are_no_case_say_where(
    scenario: Scenario, change: dict[str, object], field: str
) -> None:
    wrong = scenario.model_copy(update={"environment": scenario.environment.model_copy(update=change)})
    with pytest.raises(InputError) as caught:
        case_of(wrong, "x.yaml")
    assert caught.value.field == field


def test_load_is_the_number_of_users_in_the_cluster() -> None:
    def users(case: Case) -> str:
        load = package_of(case).application.load
        for obj in package_of(case).manifests:
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] == load.workload[1]:
                env = obj["spec"]["template"]["spec"]["containers"][0]["env"]
                return str(next(item["value"] for item in env if item["name"] == load.users_variable))
        raise AssertionError

    usual = int(users(CASE))
    assert int(users(replace(CASE, load=1.5))) == round(1.5 * usual)
    assert users(replace(CASE, users=7)) == "7"
