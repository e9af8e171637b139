"""The world as a whole: time passing, forks, controllers' queues, events and their correlator."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from firedrill.world import Settings, World
from firedrill.world.kube import audit, events, objects
from firedrill.world.kube.cluster import Log
from firedrill.world.kube.controllers import base
from firedrill.world.kube.controllers.base import Controller, Later
from firedrill.world.kube.store import Change
from firedrill.world.sim import handler


def note(world: World, namespace: str, name: str, **data: str) -> dict:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }
    return world.cluster.store.put("configmaps", obj)


@handler("tests.note")
def _note(world: World, name: str) -> None:
    note(world, "x", name, at=str(world.now))


@pytest.fixture
def world() -> World:
    return World(5, settings=Settings(freeze=True))


def test_time_passes_only_through_events(world: World) -> None:
    world.schedule(1500, "tests.note", "late")
    world.schedule(500, "tests.note", "early")
    world.run_for(1000)
    assert [obj["metadata"]["name"] for obj in world.cluster.store.list("configmaps")] == ["early"]
    assert world.now == world.start + 1000
    world.run_for(1000)
    assert objects.dig(world.cluster.store.get("configmaps", "x", "late"), "data") == {
        "at": str(world.start + 1500)
    }
    assert not world.step()
    with pytest.raises(LookupError):
        world.schedule(1, "tests.nobody-is-called-this")


def test_run_until_stops_at_the_moment_the_condition_comes_true(world: World) -> None:
    world.schedule(700, "tests.note", "one")
    world.schedule(900, "tests.note", "two")
    assert world.run_until(lambda w: w.cluster.store.count("configmaps") == 1, 5000)
    assert world.now == world.start + 700
    assert not world.run_until(lambda w: w.cluster.store.count("configmaps") == 3, 5000)
    assert world.now == world.start + 5700
    assert world.run_until(lambda w: True, 0)


def test_a_fork_lives_its_own_life(world: World) -> None:
    world.schedule(1000, "tests.note", "one")
    twin = world.fork()
    assert twin.digest() == world.digest()
    twin.run_for(2000)
    assert twin.digest() != world.digest()
    assert world.cluster.store.count("configmaps") == 0
    world.run_for(2000)
    assert twin.digest() == world.digest()


def test_a_log_keeps_its_order_over_chunks_and_forks() -> None:
    log = Log()
    for number in range(600):
        log.append(number)
    twin = log.fork()
    log.append("mine")
    twin.append("yours")
    assert len(log) == 601
    assert list(log)[-2:] == [599, "mine"]
    assert list(twin.after(599)) == [599, "yours"]
    assert list(log.after(601)) == []


CALLS: list[tuple[int, str]] = []


def _reconcile(world: World, key: str) -> None:
    CALLS.append((world.now, key))
    found = world.cluster.store.get("configmaps", *base.split_key(key))
    if found is not None and found["data"].get("fail"):
        raise Later
    if found is not None and found["data"].get("wait"):
        raise Later(10_000)


def _here(world: World, change: Change) -> Iterable[str]:
    return base.own_key(world, change) if change.obj["metadata"]["namespace"] == "x" else ()


_every = base.all_keys("configmaps")


def _resynced(world: World) -> Iterable[str]:
    return (key for key in _every(world) if key.startswith("x/"))


LOOP = base.register(
    Controller(
        name="tests-loop",
        component="tests-manager",
        watches={"configmaps": _here},  # not those of other tests in this process
        reconcile=_reconcile,
        resync=_resynced,
    )
)


def change(world: World, name: str, **data: str) -> None:
    old = world.cluster.store.get("configmaps", "x", name)
    new = note(world, "x", name, **data)
    change = next(iter(world.cluster.store.since(world.cluster.store.rv - 1)))
    assert change.obj == new
    assert change.previous == old
    base.notify(world, change)


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def test_many_changes_of_one_object_are_one_reconcile(world: World) -> None:
    for number in range(5):
        change(world, "a", n=str(number))
    world.run_for(1000)
    assert len(CALLS) == 1
    assert world.start + 5 <= CALLS[0][0] <= world.start + 50


def test_failures_are_tried_again_ever_more_slowly(world: World) -> None:
    change(world, "a", fail="yes")
    world.run_for(2000)
    gaps = [b[0] - a[0] for a, b in pairwise(CALLS)]
    assert gaps[:5] == [5, 10, 20, 40, 80]
    change(world, "a")
    world.run_for(5000)
    assert world.cluster.work.failures == {}


def test_a_reconcile_may_ask_to_be_called_later(world: World) -> None:
    change(world, "a", wait="yes")
    world.run_for(25_000)
    assert [b[0] - a[0] for a, b in pairwise(CALLS)] == [10_000, 10_000]


def test_a_component_that_is_down_does_nothing_and_catches_up(world: World) -> None:
    change(world, "a")
    base.stop_component(world, "tests-manager")
    change(world, "b")
    world.run_for(5000)
    assert CALLS == []
    assert not base.is_up(world, "tests-manager")
    base.start_component(world, "tests-manager")
    world.run_for(5000)
    assert sorted(key for _, key in CALLS) == ["x/a", "x/b"]


def test_two_controllers_that_fight_are_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PER_SECOND", 50)
    for number in range(60):
        change(world, f"n{number}")
    world.run_for(1000)  # many keys are much work, and nothing more
    with pytest.raises(base.RunawayError, match="more than 50 reconciles of 'x/a' by tests-loop"):
        for _ in range(60):
            base.enqueue(world, "tests-loop", "x/a", 0)
            world.run_for(0)


def test_a_key_rests_after_a_long_reconcile(world: World) -> None:
    base.rest(world, "tests-loop", "x/a", 3000)
    change(world, "a")
    change(world, "b")
    twin = world.fork()
    twin.run_for(2999)
    assert [key for _, key in CALLS] == ["x/b"]
    twin.run_for(1)
    assert CALLS[-1] == (world.start + 3000, "x/a")


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "x", "uid": "u1"}}


@pytest.fixture
def named(world: World) -> World:
    world.cluster.store.put(
        "namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "status": {"phase": "Active"}},
    )
    return world


def tell(world: World, message: str, reason: str = "Unhealthy") -> None:
    events.record(
        world,
        POD,
        "Warning",
        reason,
        message,
        component="kubelet",
        host="n1",
        field_path="spec.containers{c}",
    )


def test_equal_events_are_counted(named: World) -> None:
    tell(named, "same")
    named.run_for(5000)
    tell(named, "same")
    (event,) = named.cluster.store.list("events")
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        2,
        "2026-01-05T09:00:00Z",
        "2026-01-05T09:00:05Z",
    )
    assert event["involvedObject"]["fieldPath"] == "spec.containers{c}"
    assert event["source"] == {"component": "kubelet", "host": "n1"}


def test_the_tenth_similar_event_is_combined(named: World) -> None:
    for number in range(14):
        tell(named, f"failed {number}")
    found = named.cluster.store.list("events")
    combined = [item for item in found if item["message"].startswith("(combined from similar events): ")]
    assert len(found) == 10
    assert len(combined) == 1
    assert combined[0]["count"] == 5


def test_a_source_that_talks_too_much_is_cut_short(named: World) -> None:
    for number in range(40):
        tell(named, "same", reason=f"R{number}")
    assert named.cluster.store.count("events") == 25
    named.run_for(600_000)
    tell(named, "again", reason="Later")
    assert named.cluster.store.count("events") == 26


def test_events_are_forgotten_after_an_hour(named: World) -> None:
    tell(named, "same")
    named.run_for(1_800_000)
    tell(named, "same")
    named.run_for(3_500_000)
    assert named.cluster.store.count("events") == 1
    named.run_for(200_000)
    assert named.cluster.store.count("events") == 0


def test_every_request_is_audited(named: World) -> None:
    tell(named, "same")
    (event,) = audit.events(named)
    assert event["verb"] == "create"
    assert event["user"]["username"] == "system:node:n1"
    assert event["objectRef"] == {"resource": "events", "apiVersion": "v1", "namespace": "x"}
    assert event["responseStatus"]["code"] == 201
    assert event["requestObject"]["reason"] == "Unhealthy"
    assert event["requestURI"] == "/api/v1/namespaces/x/events"
    assert list(audit.events(named, after=1)) == []
