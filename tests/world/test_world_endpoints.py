"""Endpoints and EndpointSlices follow Services and pods."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world.kube.api import Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.controllers.endpoints import repacked
from firedrill.world.kube.objects import Obj, name_of
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.world import World

SLICES = "endpointslices.discovery.k8s.io"


@pytest.fixture
def world() -> World:
    world = World(settings=Settings(freeze=True))
    client = Client(world, trusted=True)
    for name in ("kube-system", "kube-public", "shop"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in default_objects():
        client.create(obj)
    world.run_for(1000)
    return world


def service(world: World, name: str = "web", **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return Client(world, trusted=True).create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop", "labels": {"team": "a"}},
            "spec": {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.96.9.9", **spec},
        }
    )


def pod(world: World, number: int, *, ready: bool = True, port: int = 8080, **spec: Any) -> Obj:
    client = Client(world, trusted=True)
    made = client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"web-{number}", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {
                "nodeName": f"node-{number % 3}",
                "containers": [
                    {"name": "c", "image": "web", "ports": [{"name": "http", "containerPort": port}]}
                ],
                **spec,
            },
        }
    )
    return set_status(world, made, number, ready=ready)


def set_status(world: World, made: Obj, number: int, *, ready: bool, phase: str = "Running") -> Obj:
    ready_now = {"type": "Ready", "status": str(ready), "lastTransitionTime": world.time}
    status = {
        "phase": phase,
        "podIP": f"10.244.{number // 250}.{number % 250 + 1}",
        "conditions": [ready_now],
    }
    return Client(world, trusted=True).update_status(made, status)


def endpoints(world: World, name: str = "web") -> Obj:
    return Client(world).get("endpoints", "shop", name)


def slices(world: World, name: str = "web") -> list[Obj]:
    return Client(world).list(SLICES, "shop", f"kubernetes.io/service-name={name}")


def addresses(world: World, field: str = "addresses") -> list[str]:
    return [item["ip"] for part in endpoints(world).get("subsets") or () for item in part.get(field) or ()]


def test_a_service_without_pods_has_endpoints_without_subsets_and_an_empty_slice(world: World) -> None:
    service(world)
    world.run_for(1000)
    assert "subsets" not in endpoints(world)
    assert endpoints(world)["metadata"]["labels"] == {"team": "a"}
    (only,) = slices(world)
    assert only["endpoints"] is None
    assert only["ports"] is None
    assert only["metadata"]["name"].startswith("web-")
    assert only["metadata"]["ownerReferences"][0]["name"] == "web"


def test_ready_and_unready_pods_lie_in_different_lists(world: World) -> None:
    service(world)
    pod(world, 1)
    pod(world, 2, ready=False)
    world.run_for(1000)
    assert addresses(world) == ["10.244.0.2"]
    assert addresses(world, "notReadyAddresses") == ["10.244.0.3"]
    ports = endpoints(world)["subsets"][0]["ports"]
    assert ports == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    (only,) = slices(world)
    assert [item["conditions"]["ready"] for item in only["endpoints"]] == [True, False]
    assert only["endpoints"][0]["targetRef"]["kind"] == "Pod"


def test_named_ports_follow_each_pod(world: World) -> None:
    service(world)
    pod(world, 1, port=8080)
    pod(world, 2, port=9090)
    world.run_for(1000)
    found = [part["ports"][0]["port"] for part in endpoints(world)["subsets"]]
    assert found == [8080, 9090]
    assert sorted(part["ports"][0]["port"] for part in slices(world)) == [8080, 9090]


def test_a_pod_without_the_named_port_is_left_out(world: World) -> None:
    service(world, ports=[{"name": "x", "port": 1, "targetPort": "missing", "protocol": "TCP"}])
    pod(world, 1)
    world.run_for(1000)
    assert "subsets" not in endpoints(world)


def test_a_terminating_pod_leaves_endpoints_and_stays_in_the_slice_as_terminating(world: World) -> None:
    service(world)
    pod(world, 1)
    world.run_for(1000)
    Client(world).delete("pods", "shop", "web-1")
    world.run_for(1000)
    assert addresses(world) == []
    condition = slices(world)[0]["endpoints"][0]["conditions"]
    assert condition == {"ready": False, "serving": True, "terminating": True}


def test_publish_not_ready_addresses_counts_everybody_as_ready(world: World) -> None:
    service(world, publishNotReadyAddresses=True, clusterIP="None")
    pod(world, 1, ready=False, hostname="first", subdomain="web")
    world.run_for(1000)
    (address,) = endpoints(world)["subsets"][0]["addresses"]
    assert address["hostname"] == "first"
    assert endpoints(world)["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert slices(world)[0]["endpoints"][0]["conditions"]["ready"] is True


def test_ended_pods_are_no_endpoints(world: World) -> None:
    service(world)
    set_status(world, pod(world, 1), 1, ready=False, phase="Failed")
    world.run_for(1000)
    assert "subsets" not in endpoints(world)
    assert slices(world)[0]["endpoints"] is None


def test_a_changed_selector_empties_the_endpoints(world: World) -> None:
    made = service(world)
    pod(world, 1)
    world.run_for(1000)
    current = Client(world).get("services", "shop", name_of(made))
    Client(world, trusted=True).update({**current, "spec": {**current["spec"], "selector": {"app": "no"}}})
    world.run_for(1000)
    assert addresses(world) == []
    assert [part["endpoints"] for part in slices(world)] == [None]


def test_a_slice_holds_a_hundred_endpoints_and_a_gap_is_filled_again(world: World) -> None:
    service(world)
    for number in range(230):
        pod(world, number)
    world.run_for(2000)
    assert sorted(len(part["endpoints"]) for part in slices(world)) == [30, 100, 100]
    names = {name_of(part) for part in slices(world)}
    Client(world).delete("pods", "shop", "web-5", grace=0)
    pod(world, 400)
    world.run_for(2000)
    assert sorted(len(part["endpoints"]) for part in slices(world)) == [30, 100, 100]
    assert {name_of(part) for part in slices(world)} == names
    assert len(addresses(world)) == 230


def test_the_endpoints_of_a_deleted_service_go(world: World) -> None:
    service(world)
    pod(world, 1)
    world.run_for(1000)
    Client(world).delete("services", "shop", "web")
    world.run_for(1000)
    assert Client(world).find("endpoints", "shop", "web") is None


def test_deleted_endpoints_come_back(world: World) -> None:
    service(world)
    pod(world, 1)
    world.run_for(1000)
    Client(world).delete("endpoints", "shop", "web")
    world.run_for(1000)
    assert addresses(world) == ["10.244.0.2"]


def test_endpoints_that_people_write_are_mirrored(world: World) -> None:
    service(world, "outside", selector=None)
    subset = {"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 5432, "protocol": "TCP"}]}
    given = {"name": "outside", "namespace": "shop"}
    made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": given, "subsets": [subset]}
    Client(world, trusted=True).create(made)
    world.run_for(1000)
    (only,) = slices(world, "outside")
    manager = only["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert manager == "endpointslicemirroring-controller.k8s.io"
    assert only["endpoints"] == [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}]
    assert only["ports"] == [{"name": "", "port": 5432, "protocol": "TCP"}]
    Client(world).delete("endpoints", "shop", "outside")
    world.run_for(1000)
    assert slices(world, "outside") == []


@pytest.mark.slow
def test_more_than_a_thousand_addresses_are_cut_ready_ones_first(world: World) -> None:
    service(world)
    for number in range(1010):
        pod(world, number, ready=number >= 20)
    world.run_for(2000)
    assert len(addresses(world)) == 990
    assert len(addresses(world, "notReadyAddresses")) == 10
    marks = endpoints(world)["metadata"]["annotations"]
    assert marks["endpoints.kubernetes.io/over-capacity"] == "truncated"


def test_subsets_with_the_same_ports_are_put_together() -> None:
    port = {"port": 80, "protocol": "TCP"}
    given = [
        {"addresses": [{"ip": "192.0.2.2"}], "ports": [port]},
        {"addresses": [{"ip": "192.0.2.1"}], "ports": [port]},
        {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 81, "protocol": "TCP"}]},
    ]
    found = [([item["ip"] for item in part["addresses"]], len(part["ports"])) for part in repacked(given)]
    assert sorted(found) == [(["192.0.2.1"], 2), (["192.0.2.2"], 1)]
