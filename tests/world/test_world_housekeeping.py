"""Quotas that are counted anew, pods of lost nodes, roles put together, custom definitions."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.controllers.base import resync_all
from firedrill.world.kube.objects import Obj, condition, name_of
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.world import World

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
ROLES = "clusterroles.rbac.authorization.k8s.io"


@pytest.fixture
def world() -> World:
    world = World(settings=Settings(freeze=True))
    client = Client(world, trusted=True)
    for name in ("default", "kube-system", "kube-public", "shop"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in default_objects():
        client.create(obj)
    world.run_for(1000)
    return world


def pod(world: World, name: str, node: str = "") -> Obj:
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "250m"}}}]
    }
    if node:
        spec["nodeName"] = node
    given = {"name": name, "namespace": "shop"}
    return Client(world, trusted=True).create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": given, "spec": spec}
    )


def test_a_quota_says_what_is_used_and_gives_back_what_goes(world: World) -> None:
    client = Client(world)
    hard = {"pods": "2", "requests.cpu": "1", "count/secrets": "5"}
    client.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": "shop"},
            "spec": {"hard": hard},
        }
    )
    world.run_for(1000)
    assert client.get("resourcequotas", "shop", "q")["status"]["used"] == {
        "count/secrets": "0",
        "pods": "0",
        "requests.cpu": "0",
    }
    pod(world, "a")
    pod(world, "b")
    with pytest.raises(ApiError, match="exceeded quota"):
        pod(world, "c")
    assert client.get("resourcequotas", "shop", "q")["status"]["used"]["requests.cpu"] == "500m"
    client.delete("pods", "shop", "a", grace=0)
    world.run_for(1000)
    assert client.get("resourcequotas", "shop", "q")["status"]["used"]["pods"] == "1"
    current = client.get("pods", "shop", "b")
    Client(world, trusted=True).update_status(current, {"phase": "Succeeded"})
    world.run_for(1000)
    assert client.get("resourcequotas", "shop", "q")["status"]["used"]["pods"] == "0"


def test_the_pods_of_a_node_that_is_gone_go_after_a_while(world: World) -> None:
    client = Client(world, trusted=True)
    client.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    pod(world, "a", "n1")
    client.delete("nodes", "", "n1")
    world.run_for(30_000)
    assert client.find("pods", "shop", "a") is not None
    before = world.cluster.store.rv
    world.run_for(40_000)
    assert client.find("pods", "shop", "a") is None
    seen = [change.obj for change in world.cluster.store.since(before) if change.resource == "pods"]
    told = condition(seen[0], "DisruptionTarget")
    assert told is not None
    assert (told["reason"], told["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    assert seen[0]["status"]["phase"] == "Failed"


def test_a_role_gathers_the_rules_of_others(world: World) -> None:
    client = Client(world)
    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    part = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": "things-viewer",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
        },
        "rules": [rule],
    }
    client.create(part)
    world.run_for(1000)
    assert rule in client.get(ROLES, "", "view")["rules"]
    client.delete(ROLES, "", "things-viewer")
    world.run_for(1000)
    assert rule not in client.get(ROLES, "", "view")["rules"]


def definition(world: World, plural: str = "things", kind: str = "Thing", **names: Any) -> Obj:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return Client(world).create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind, **names},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )


def thing(world: World, name: str, **more: Any) -> Obj:
    given = {"name": name, "namespace": "shop", **more}
    return Client(world).create({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": given})


def test_a_custom_definition_is_accepted_and_established(world: World) -> None:
    definition(world)
    world.run_for(1000)
    status = Client(world).get(CRDS, "", "things.example.com")["status"]
    told = [(item["type"], item["status"], item["reason"]) for item in status["conditions"]]
    assert told == [
        ("NamesAccepted", "True", "NoConflicts"),
        ("Established", "True", "InitialNamesAccepted"),
    ]
    names = {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"}
    assert status["acceptedNames"] == names
    assert status["storedVersions"] == ["v1"]


def test_a_name_that_is_taken_is_not_accepted(world: World) -> None:
    definition(world)
    world.run_for(1000)
    definition(world, "stuffs", "Thing")
    world.run_for(1000)
    status = Client(world).get(CRDS, "", "stuffs.example.com")["status"]
    first = status["conditions"][0]
    assert (first["status"], first["message"]) == ("False", '"ThingList" is already in use')


def test_a_custom_definition_takes_its_objects_along(world: World) -> None:
    client = Client(world)
    definition(world)
    world.run_for(1000)
    thing(world, "plain")
    thing(world, "held", finalizers=["example.com/hold"])
    client.delete(CRDS, "", "things.example.com")
    world.run_for(20_000)
    store = world.cluster.store
    assert [name_of(obj) for obj in store.list("things.example.com")] == ["held"]
    told = condition(client.get(CRDS, "", "things.example.com"), "Terminating")
    assert told is not None
    assert told["reason"] == "InstanceDeletionCheck"
    client.patch("things.example.com", "shop", "held", {"metadata": {"finalizers": None}})
    world.run_for(20_000)
    assert client.find(CRDS, "", "things.example.com") is None
    assert store.count("things.example.com") == 0


def test_the_kubernetes_service_leads_to_the_control_plane(world: World) -> None:
    client = Client(world, trusted=True)
    spec = {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}
    place = {"name": "kubernetes", "namespace": "default"}
    client.create({"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": spec})
    client.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "cp", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
        }
    )
    resync_all(world)
    world.run_for(1000)
    (subset,) = client.get("endpoints", "default", "kubernetes")["subsets"]
    assert subset["addresses"] == [{"ip": "172.18.0.2"}]
    found = client.get("endpointslices.discovery.k8s.io", "default", "kubernetes")
    assert found["endpoints"] == [{"addresses": ["172.18.0.2"], "conditions": {"ready": True}}]
    client.delete("endpoints", "default", "kubernetes")
    world.run_for(1000)
    assert client.find("endpoints", "default", "kubernetes") is not None


APIS = "apiservices.apiregistration.k8s.io"


def available(world: World, name: str) -> tuple[str, str, str]:
    told = condition(Client(world).get(APIS, "", name), "Available")
    assert told is not None
    return told["status"], told["reason"], told["message"]


def test_every_group_has_an_api_service_and_custom_ones_come_and_go(world: World) -> None:
    client = Client(world)
    resync_all(world)
    world.run_for(1000)
    local = ("True", "Local", "Local APIServices are always available")
    assert available(world, "v1.apps") == available(world, "v1.") == local
    assert client.get(APIS, "", "v2.autoscaling")["spec"]["versionPriority"] == 30
    definition(world)
    world.run_for(1000)
    assert client.get(APIS, "", "v1.example.com")["spec"]["groupPriorityMinimum"] == 1000
    client.delete(CRDS, "", "things.example.com")
    world.run_for(10_000)
    assert client.find(APIS, "", "v1.example.com") is None


def test_an_api_that_a_service_serves_is_there_as_long_as_that_has_endpoints(world: World) -> None:
    client = Client(world, trusted=True)
    name = "v1beta1.metrics.k8s.io"
    reference = {"name": "meter", "namespace": "shop", "port": 443}
    spec = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": reference,
    }
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}}
    client.create({**kind, "spec": spec})
    world.run_for(1000)
    assert available(world, name)[1:] == ("ServiceNotFound", 'service/meter in "shop" is not present')
    ports = [{"name": "https", "port": 443, "targetPort": 443, "protocol": "TCP"}]
    service = {"selector": {"app": "meter"}, "ports": ports}
    place = {"name": "meter", "namespace": "shop"}
    client.create({"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": service})
    world.run_for(1000)
    assert available(world, name) == (
        "False",
        "MissingEndpoints",
        'endpoints for service/meter in "shop" have no addresses with port name "https"',
    )
    made = pod(world, "meter", "n1")
    client.update({**made, "metadata": {**made["metadata"], "labels": {"app": "meter"}}})
    ready = {"type": "Ready", "status": "True"}
    latest = client.get("pods", "shop", "meter")
    client.update_status(latest, {"phase": "Running", "podIP": "10.244.0.9", "conditions": [ready]})
    world.run_for(1000)
    assert available(world, name) == ("True", "Passed", "all checks passed")
