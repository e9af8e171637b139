"""Experiments as objects: whom they take, what they tell, and how schedules make and forget them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill.world import World
from firedrill.world.build import make_world
from firedrill.world.kube import effects
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.chaos import API, KINDS, NAMESPACE, PAUSE, SCHEDULES, mesh_objects
from firedrill.world.kube.chaos.kinds import FORCED
from firedrill.world.kube.objects import Obj, condition, dig, name_of, namespace_of

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "chaos"
MINUTE = 60_000
WEB = {"namespaces": ["web"], "labelSelectors": {"app": "page"}}


def workload(name: str, replicas: int, **labels: str) -> Obj:
    labels = {"app": name, **labels}
    container = {"name": "main", "image": "docker.io/library/nginx:1.27", "ports": [{"containerPort": 80}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture(scope="module")
def calm() -> World:
    objects = [*mesh_objects(), workload("page", 4, tier="front"), workload("store", 1, tier="back")]
    return make_world(11, nodes=3, manifests=objects)


@pytest.fixture
def world(calm: World) -> World:
    return calm.fork()


def create(world: World, kind: str, spec: Obj, name: str = "trial", notes: Obj | None = None) -> Obj:
    meta: Obj = {"name": name, "namespace": NAMESPACE}
    if notes:
        meta["annotations"] = notes
    return Client(world).create({"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec})


def delayed(**more: Any) -> Obj:
    return {"action": "delay", "mode": "all", "selector": WEB, "delay": {"latency": "80ms"}, **more}


def read(world: World, kind: str = "NetworkChaos", name: str = "trial") -> Obj:
    resource = SCHEDULES if kind == "Schedule" else KINDS[kind].resource
    return Client(world).get(resource, NAMESPACE, name)


def children(world: World, kind: str = "NetworkChaos") -> list[Obj]:
    return [obj for obj in world.cluster.store.list(KINDS[kind].resource) if name_of(obj) != "trial"]


def told(world: World, name: str) -> list[list[Any]]:
    events = world.cluster.store.list("events", NAMESPACE)
    found = [event for event in events if event["involvedObject"]["name"] == name]
    return [[item["type"], item["reason"], item["source"]["component"], item["message"]] for item in found]


def rows(world: World) -> list[effects.Effect]:
    return [row for row in world.cluster.part(effects.Effects).rows if "trial" in row.source]


def hit(world: World) -> set[str]:
    return {row.on.removeprefix("pod/") for row in rows(world)}


def facts(obj: Obj) -> dict[str, str]:
    return {item["type"]: item["status"] for item in obj["status"]["conditions"]}


def golden(name: str, found: Any, world: World) -> None:
    pods = sorted(name_of(pod) for pod in world.cluster.store.list("pods", "web"))
    text = yaml.safe_dump(found, sort_keys=False, width=100)
    for number, pod in enumerate(pods):
        text = text.replace(pod, f"pod-{number}")
    path = DATA / name
    assert path.is_file(), f"write {path}:\n{text}"
    assert text == path.read_text("utf-8")


def test_its_life_is_told_in_events_and_status(world: World) -> None:
    create(world, "NetworkChaos", delayed(duration="2m", direction="to"))
    world.run_for(30_000)
    running = read(world)
    world.run_for(3 * MINUTE)
    over = read(world)
    found = {
        "finalizers": running["metadata"]["finalizers"],
        "running": _timeless(running["status"]),
        "over": _timeless(over["status"]),
        "events": told(world, "trial"),
    }
    golden("life.yaml", found, world)
    assert not rows(world)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "now" if key == "timestamp" else _timeless(item) for key, item in value.items()}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def test_deleting_it_recovers_first(world: World) -> None:
    create(world, "NetworkChaos", delayed())
    world.run_for(20_000)
    assert len(rows(world)) == 4
    Client(world).delete(KINDS["NetworkChaos"].resource, NAMESPACE, "trial")
    assert read(world)["metadata"]["deletionTimestamp"], "the finalizer holds it"
    world.run_for(20_000)
    assert not rows(world) and Client(world).find(KINDS["NetworkChaos"].resource, NAMESPACE, "trial") is None
    reasons = [reason for _, reason, _, _ in told(world, "trial")]
    assert {"Deleted", "Recovered", "FinalizerInited"} <= set(reasons)


def test_pausing_recovers_and_going_on_injects_again(world: World) -> None:
    create(world, "NetworkChaos", delayed())
    world.run_for(10_000)
    client, resource = Client(world), KINDS["NetworkChaos"].resource
    client.patch(resource, NAMESPACE, "trial", {"metadata": {"annotations": {PAUSE: "true"}}})
    world.run_for(10_000)
    assert not rows(world)
    wanted = {"Selected": "True", "AllInjected": "False", "AllRecovered": "True", "Paused": "True"}
    assert facts(read(world)) == wanted
    client.patch(resource, NAMESPACE, "trial", {"metadata": {"annotations": {PAUSE: None}}})
    world.run_for(10_000)
    assert len(rows(world)) == 4
    (record, *_) = read(world)["status"]["experiment"]["containerRecords"]
    assert (record["injectedCount"], record["recoveredCount"]) == (2, 1)


@pytest.mark.parametrize(
    ("mode", "value", "least", "most"),
    [
        *(("one", "", 1, 1), ("all", "", 4, 4), ("fixed", "3", 3, 3), ("fixed-percent", "50", 2, 2)),
        *(("random-max-percent", "100", 0, 4), ("fixed", "99", 4, 4)),
    ],
)
def test_modes_take_so_many(world: World, mode: str, value: str, least: int, most: int) -> None:
    create(world, "NetworkChaos", delayed(mode=mode, value=value))
    world.run_for(10_000)
    assert least <= len(hit(world)) <= most


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ({"namespaces": ["web"]}, 5),
        ({"namespaces": ["web"], "labelSelectors": {"tier": "back"}}, 1),
        (
            {
                "namespaces": ["web"],
                "expressionSelectors": [{"key": "tier", "operator": "In", "values": ["front"]}],
            },
            4,
        ),
        ({"namespaces": ["web"], "podPhaseSelectors": ["Pending"]}, 0),
        ({"namespaces": ["web"], "nodeSelectors": {"kubernetes.io/hostname": "nowhere"}}, 0),
        ({"namespaces": ["web"], "fieldSelectors": {"status.phase": "Running"}}, 5),
        ({"namespaces": ["web"], "annotationSelectors": {"a": "b"}}, 0),
        ({"namespaces": ["web"], "nodes": ["worker-01", "worker-02"]}, 5),
        ({"pods": {"web": ["nobody"]}}, 0),
    ],
)
def test_selectors_take_whom_they_fit(world: World, selector: Obj, count: int) -> None:
    create(world, "NetworkChaos", delayed(selector=selector))
    world.run_for(10_000)
    assert len(hit(world)) == count
    assert facts(read(world))["Selected"] == ("True" if count else "False")
    texts = [text for *_, text in told(world, "trial")]
    assert ("Failed to select targets: no pod is selected" in texts) == (not count)


def test_directions_say_whose_packets_are_late(world: World) -> None:
    target = {"mode": "all", "selector": {"namespaces": ["web"], "labelSelectors": {"app": "store"}}}
    for direction, senders in (("to", 4), ("from", 1), ("both", 5)):
        here = world.fork()
        create(here, "NetworkChaos", delayed(direction=direction, target=target))
        here.run_for(10_000)
        assert len(hit(here)) == senders and all(row.peers for row in rows(here))
        keys = {item["selectorKey"] for item in read(here)["status"]["experiment"]["containerRecords"]}
        assert keys == {".", ".Target"}


def test_what_cannot_be_done_is_told_and_tried_again(world: World) -> None:
    create(world, "JVMChaos", {"action": "gc", "mode": "one", "selector": WEB})
    create(
        world,
        "IOChaos",
        {"action": "fault", "errno": 5, "mode": "one", "selector": WEB, "volumePath": "/data"},
        "disk",
    )
    world.run_for(40_000)
    for kind, name, text in (
        ("JVMChaos", "trial", "no java process"),
        ("IOChaos", "disk", "is not a mount point"),
    ):
        obj = read(world, kind, name)
        assert facts(obj)["AllInjected"] == "False"
        (record,) = obj["status"]["experiment"]["containerRecords"]
        assert record["id"].endswith("/main") and len(record["events"]) > 1
        assert record["events"][0]["type"] == "Failed" and text in record["events"][0]["message"]
        assert any(text in message for *_, message in told(world, name))
    Client(world).delete(KINDS["JVMChaos"].resource, NAMESPACE, "trial")
    world.run_for(20_000)
    assert Client(world).find(KINDS["JVMChaos"].resource, NAMESPACE, "trial") is None


def test_nothing_is_done_without_the_controllers_or_the_daemons(world: World) -> None:
    client = Client(world)
    client.delete("daemonsets.apps", NAMESPACE, "chaos-daemon", propagation="Background")
    world.run_for(MINUTE)
    create(world, "NetworkChaos", delayed())
    world.run_for(10_000)
    assert not rows(world) and any("cannot find daemonIP" in text for *_, text in told(world, "trial"))
    client.patch("deployments.apps", NAMESPACE, "chaos-controller-manager", {"spec": {"replicas": 0}})
    world.run_for(MINUTE)
    create(world, "PodChaos", {"action": "pod-kill", "mode": "all", "selector": WEB}, "late")
    world.run_for(MINUTE)
    assert not read(world, "PodChaos", "late").get("status")
    client.patch("deployments.apps", NAMESPACE, "chaos-controller-manager", {"spec": {"replicas": 1}})
    world.run_for(MINUTE)
    assert facts(read(world, "PodChaos", "late"))["AllInjected"] == "True"


def test_a_forced_finalizer_lets_it_go(world: World) -> None:
    create(world, "NetworkChaos", delayed(), notes={FORCED: "forced"})
    world.run_for(10_000)
    Client(world).delete(KINDS["NetworkChaos"].resource, NAMESPACE, "trial")
    world.run_for(10_000)
    assert not rows(world) and Client(world).find(KINDS["NetworkChaos"].resource, NAMESPACE, "trial") is None


def every_minute(**more: Any) -> Obj:
    base = {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "historyLimit": 1, "type": "NetworkChaos"}
    return {**base, "networkChaos": delayed(duration="55s"), **more}


def test_a_schedule_makes_one_each_minute_and_forgets_the_old(world: World) -> None:
    create(world, "Schedule", every_minute())
    names = set()
    for _ in range(4):
        world.run_for(MINUTE)
        names |= {name_of(obj) for obj in children(world)}
        assert len(rows(world)) in (0, 4) and len(children(world)) <= 2
    assert len(names) >= 3
    (child, *_) = children(world)
    owner = child["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Schedule", "trial", True)
    assert child["metadata"]["labels"]["managed-by"] == "trial"
    status = read(world, "Schedule")["status"]
    assert {item["name"] for item in status["active"]} == {name_of(obj) for obj in children(world)}
    assert status["time"]
    reasons = {(type_, reason, component) for type_, reason, component, _ in told(world, "trial")}
    assert ("Normal", "Spawned", "schedule-cron") in reasons
    Client(world).delete(SCHEDULES, NAMESPACE, "trial", propagation="Background")
    world.run_for(MINUTE)
    assert not children(world) and not rows(world)


def test_a_schedule_by_period_counts_from_its_last_round(world: World) -> None:
    create(world, "Schedule", every_minute(schedule="@every 1m"))
    world.run_for(MINUTE + 1_000)
    acting = 0
    for _ in range(60):
        world.run_for(5_000)
        acting += bool(rows(world))
    assert acting >= 50, "55 of 60 seconds"


def test_a_schedule_forbids_a_second_one_or_allows_it(world: World) -> None:
    for policy, count in (("Forbid", 1), ("Allow", 3)):
        here = world.fork()
        create(
            here, "Schedule", every_minute(concurrencyPolicy=policy, historyLimit=9, networkChaos=delayed())
        )
        here.run_for(3 * MINUTE + 5_000)
        assert len(children(here)) == count
        warned = [text for _, reason, _, text in told(here, "trial") if reason == "Forbid"]
        assert bool(warned) == (policy == "Forbid")
        assert all(text.startswith("Forbid spawning new job because: trial-") for text in warned)


def test_a_paused_schedule_makes_none_and_holds_what_it_made(world: World) -> None:
    create(world, "Schedule", every_minute(networkChaos=delayed()))
    world.run_for(MINUTE + 5_000)
    assert len(rows(world)) == 4
    client = Client(world)
    client.patch(SCHEDULES, NAMESPACE, "trial", {"metadata": {"annotations": {PAUSE: "true"}}})
    world.run_for(2 * MINUTE)
    assert len(children(world)) == 1 and not rows(world)
    client.patch(SCHEDULES, NAMESPACE, "trial", {"metadata": {"annotations": {PAUSE: None}}})
    world.run_for(10_000)
    assert len(rows(world)) == 4


def test_schedules_that_say_nonsense_tell_so(world: World) -> None:
    create(world, "Schedule", every_minute(schedule="now and then"))
    create(world, "Schedule", every_minute(type="WeatherChaos"), "odd")
    world.run_for(2 * MINUTE)
    assert any(text.startswith("Failed to get run time") for *_, text in told(world, "trial"))
    assert any("unknown kind WeatherChaos" in text for *_, text in told(world, "odd"))
    assert not children(world)


def test_the_api_refuses_what_is_no_experiment(world: World) -> None:
    for kind, spec in (
        ("NetworkChaos", {"action": "delay", "mode": "all"}),
        ("NetworkChaos", delayed(mode="most")),
        ("PodChaos", {"action": "pod-scare", "mode": "one", "selector": WEB}),
        ("TimeChaos", {"mode": "one", "selector": WEB}),
    ):
        with pytest.raises(ApiError) as refused:
            create(world, kind, spec)
        assert refused.value.code == 422
    assert create(world, "Schedule", {"schedule": "@daily", "type": "PodChaos"})["spec"]["historyLimit"] == 1


def test_what_is_installed_is_what_charts_install(calm: World) -> None:
    pods = calm.cluster.store.list("pods", NAMESPACE)
    assert len(pods) == 2 + 3 and all((condition(pod, "Ready") or {})["status"] == "True" for pod in pods)
    assert {dig(pod, "spec", "nodeName") for pod in pods if "daemon" in name_of(pod)} == {
        name_of(node) for node in calm.cluster.store.list("nodes")
    }
    assert all(namespace_of(pod) == NAMESPACE for pod in pods)
