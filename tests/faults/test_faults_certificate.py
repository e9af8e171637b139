"""Certificates tell incidents that are fit to be problems from those that are not, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest

from firedrill import faults
from firedrill.faults.healing import Limits, Sides, certificate, visible
from firedrill.faults.healing.certificate import MODALITIES, candidates
from firedrill.world import World
from firedrill.world.app import service
from firedrill.world.kube.api import Client
from firedrill.world.telemetry.monitoring import Monitoring

pytestmark = pytest.mark.slow
MINUTE = 60_000
NS = "default"
QUICK = Limits(well=12 * MINUTE, relapse=4 * MINUTE)


class Fired(NamedTuple):
    name: str
    labels: Mapping[str, str]
    fired: int


@dataclass(frozen=True)
class Times:
    baseline: int
    fault: int
    alert: int | None


@dataclass(frozen=True)
class Incident:
    world: World
    before: World
    noticed: World
    twin: World
    injections: tuple[faults.Injection, ...]
    times: Times
    alerts: tuple[Fired, ...]
    baseline: service.Baseline


@pytest.fixture(scope="module")
def shop(used: Callable[[str], World]) -> World:
    return used("online-boutique")


@pytest.fixture(scope="module")
def twin(shop: World) -> World:
    world = shop.fork()
    world.run_for(14 * MINUTE)
    return world


def happen(shop: World, twin: World, *what: tuple[str, dict[str, Any]]) -> Incident:
    world = shop.fork()
    done = tuple(faults.inject(world, faults.find(name), args) for name, args in what)
    return told(shop, twin, world, done)


def told(shop: World, twin: World, world: World, done: tuple[faults.Injection, ...]) -> Incident:
    """What is left of a simulation of 14 minutes."""
    begin = shop.now
    usual = service.baseline(shop, begin - 9 * MINUTE, begin)
    noticed = None
    while world.now < twin.now:
        world.run_for(MINUTE)
        if noticed is None and fired(world):
            noticed = world.fork()
    alerts = fired(noticed or world)
    first = min((alert.fired for alert in alerts), default=None)
    times = Times(begin - 9 * MINUTE, begin, first)
    return Incident(world, shop, noticed or world, twin, done, times, alerts, usual)


def fired(world: World) -> tuple[Fired, ...]:
    firing = world.cluster.part(Monitoring).rules.all_alerts("firing")
    pairs = [(dict(alert.labels), alert.fired_ms) for alert in firing]
    return tuple(
        Fired(labels["alertname"], labels, at) for labels, at in pairs if labels["alertname"] != "Watchdog"
    )


@pytest.fixture(scope="module")
def blocked(shop: World, twin: World) -> Incident:
    return happen(shop, twin, ("network-policy-blocks", {"namespace": NS, "name": "cartservice"}))


POLICY = f"{NS}/NetworkPolicy/restrict-ingress"


def test_an_incident_that_its_cause_alone_cures_is_fit(blocked: Incident) -> None:
    found = certificate(blocked, limits=QUICK)
    assert (found.granted, found.refused) == (True, "")
    assert found.causes == ((POLICY,),)
    assert "frontend.view_cart" in found.lasting
    assert f"{NS}/Deployment/cartservice" in found.others
    assert found.seen[0].entity == POLICY
    nothing, cure = found.tried[0], found.tried[1]
    assert (nothing.entities, nothing.cured, nothing.reason) == ((), False, "mechanism active")
    assert (cure.entities, cure.cured) == ((POLICY,), True)
    again = json.loads(json.dumps(found.as_json()))
    assert again["causes"] == [[POLICY]]
    assert again["limits"] == {"well": 12.0, "relapse": 4.0, "ending": 3.0}
    assert certificate(blocked, limits=QUICK) == found


def test_cures_that_somebody_lists_are_held_to_it(blocked: Incident) -> None:
    other = f"{NS}/Deployment/cartservice"
    wrong = certificate(blocked, listed=[(other,)], limits=QUICK)
    assert wrong.refused == f"{other} does not cure it: mechanism active"
    much = certificate(blocked, listed=[(POLICY, other)], limits=QUICK)
    assert much.refused == f"{POLICY} cures it without the rest of a listed cure"


def test_without_an_alert_there_is_no_incident(blocked: Incident) -> None:
    quiet = replace(blocked, times=replace(blocked.times, alert=None))
    assert certificate(quiet).refused == "no alert fired in time"


def test_who_was_served_badly_before_is_no_witness(blocked: Incident) -> None:
    usual = blocked.baseline
    proud = replace(usual, bands=tuple(replace(band, p95_ms=0.1) for band in usual.bands))
    assert "not served well before" in certificate(replace(blocked, baseline=proud)).refused


def test_what_passes_by_itself_is_refused(blocked: Incident, shop: World, twin: World) -> None:
    over = replace(blocked, world=twin)
    assert certificate(over).refused == "it passes by itself before the incident ends"
    world = shop.fork()
    done = faults.inject(
        world, faults.find("network-policy-blocks"), {"namespace": NS, "name": "cartservice"}
    )
    world.run_for(MINUTE)
    faults.revert(world, done)
    assert certificate(replace(blocked, noticed=world)).refused.startswith("no mechanism is active")


def test_what_nobody_may_see_is_refused(blocked: Incident) -> None:
    found = certificate(blocked, modalities=("alerts", "topology"), limits=QUICK)
    assert found.refused == f"nothing is to be seen at {POLICY}"
    assert found.causes == ((POLICY,),)


def test_an_innocent_change_that_would_cure_it_is_told(shop: World, twin: World) -> None:
    """Two changes of one Service: the one that was injected, and the one that in truth breaks it."""
    world = shop.fork()
    budget = {"namespace": NS, "name": "cartservice"}
    done = faults.inject(world, faults.find("network-policy-blocks"), budget)
    Client(world).patch("services", NS, "cartservice", {"spec": {"selector": {"app": "nothing"}}})
    found = certificate(told(shop, twin, world, (done,)), limits=QUICK)
    assert found.refused.startswith("nothing that the faults touched cures it")
    assert found.causes == ()


def test_all_that_an_injection_touched_is_a_candidate(shop: World, twin: World) -> None:
    greedy = {"namespace": NS, "cpu": "2", "replicas": 2}
    incident = happen(shop, twin, ("priority-preemption", greedy))
    found = candidates(incident)
    assert f"{NS}/Deployment/report-builder" in found
    assert "cluster/PriorityClass/reports-first" in found
    assert not any("/Pod/" in entity or "/ReplicaSet/" in entity for entity in found)


def sides(incident: Incident) -> Sides:
    times = incident.times
    return Sides(incident.world, incident.twin, incident.before, times.baseline, times.fault)


@pytest.fixture(scope="module")
def crashing(shop: World, twin: World) -> Incident:
    return happen(shop, twin, ("invalid-arguments", {"namespace": NS, "name": "paymentservice"}))


def test_a_program_that_does_not_start_is_seen_in_every_way(crashing: Incident) -> None:
    found = visible(sides(crashing), f"{NS}/Deployment/paymentservice", MODALITIES, every=True)
    assert {"objects", "events", "logs"} <= {item.modality for item in found}
    only = visible(sides(crashing), f"{NS}/Deployment/paymentservice", ("logs",))
    assert [item.modality for item in only] == ["logs"]


def test_slow_packets_are_seen_in_numbers_alone(shop: World, twin: World) -> None:
    slow = ("pod-network-delay", {"namespace": NS, "name": "productcatalogservice", "delay_ms": 150})
    incident = happen(shop, twin, slow)
    where = f"{NS}/Deployment/productcatalogservice"
    found = visible(sides(incident), where, MODALITIES, every=True)
    assert {"traces"} <= {item.modality for item in found} <= {"traces", "metrics"}


def test_nothing_is_seen_where_nothing_is_the_matter(crashing: Incident) -> None:
    """The twin and the incident go apart after the fault: what is only chance must not be seen."""
    numbers = ("objects", "events", "metrics", "traces")
    for name in ("adservice", "emailservice", "redis-cart"):
        assert visible(sides(crashing), f"{NS}/Deployment/{name}", numbers, every=True) == []
    assert visible(sides(crashing), f"{NS}/Deployment/adservice", ("logs",)) == []
    assert visible(sides(crashing), "no/such/thing", MODALITIES) == []
