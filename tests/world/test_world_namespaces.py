"""Namespaces come with an account and a certificate, and go with all they hold."""

from __future__ import annotations

import base64

import pytest

from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import Obj, condition
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.world import World


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


def config_map(world: World, name: str, finalizers: tuple[str, ...] = ()) -> Obj:
    given: Obj = {"name": name, "namespace": "shop"}
    if finalizers:
        given["finalizers"] = list(finalizers)
    return Client(world).create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": {"a": "b"}}
    )


def test_a_namespace_has_its_name_as_a_label_a_finalizer_an_account_and_a_certificate(world: World) -> None:
    client = Client(world)
    shop = client.get("namespaces", "", "shop")
    assert shop["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert (shop["spec"], shop["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    assert client.find("serviceaccounts", "shop", "default") is not None
    text = client.get("configmaps", "shop", "kube-root-ca.crt")["data"]["ca.crt"]
    assert text.startswith("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("resource", "name"), [("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")]
)
def test_what_a_namespace_comes_with_comes_back(world: World, resource: str, name: str) -> None:
    client = Client(world)
    before = client.get(resource, "shop", name)
    client.delete(resource, "shop", name)
    world.run_for(1000)
    assert client.get(resource, "shop", name)["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_changed_root_certificate_is_put_right(world: World) -> None:
    client = Client(world)
    before = client.get("configmaps", "shop", "kube-root-ca.crt")
    client.patch("configmaps", "shop", "kube-root-ca.crt", {"data": {"ca.crt": "mine"}})
    world.run_for(1000)
    assert client.get("configmaps", "shop", "kube-root-ca.crt")["data"] == before["data"]


def test_a_namespace_goes_with_all_it_holds_after_a_few_seconds(world: World) -> None:
    client = Client(world)
    config_map(world, "one")
    client.delete("namespaces", "", "shop")
    assert client.get("namespaces", "", "shop")["status"]["phase"] == "Terminating"
    assert client.find("configmaps", "shop", "one") is not None
    world.run_for(7000)
    assert client.find("namespaces", "", "shop") is None
    store = world.cluster.store
    assert [resource for resource in store.resources() if store.count(resource, "shop")] == []


def test_nothing_is_made_in_a_namespace_that_goes(world: World) -> None:
    config_map(world, "held", ("example.com/hold",))
    Client(world).delete("namespaces", "", "shop")
    with pytest.raises(ApiError, match="because it is being terminated"):
        config_map(world, "late")


def test_a_finalizer_holds_a_namespace_back_and_its_conditions_say_so(world: World) -> None:
    client = Client(world)
    config_map(world, "held", ("example.com/hold",))
    client.delete("namespaces", "", "shop")
    world.run_for(60_000)
    shop = client.get("namespaces", "", "shop")
    texts = {item["type"]: (item["status"], item["message"]) for item in shop["status"]["conditions"]}
    assert texts["NamespaceContentRemaining"] == (
        "True",
        "Some resources are remaining: configmaps. has 1 resource instances",
    )
    assert texts["NamespaceFinalizersRemaining"] == (
        "True",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    )
    assert texts["NamespaceDeletionContentFailure"][0] == "False"
    client.patch("configmaps", "shop", "held", {"metadata": {"finalizers": None}})
    world.run_for(20_000)
    assert client.find("namespaces", "", "shop") is None


def test_a_stopped_controller_manager_leaves_a_namespace_terminating(world: World) -> None:
    from firedrill.world.kube.controllers.base import start_component, stop_component

    client = Client(world)
    stop_component(world, "kube-controller-manager")
    client.delete("namespaces", "", "shop")
    world.run_for(600_000)
    shop = client.get("namespaces", "", "shop")
    assert condition(shop, "NamespaceContentRemaining") is None
    start_component(world, "kube-controller-manager")
    world.run_for(10_000)
    assert client.find("namespaces", "", "shop") is None


def test_a_namespaces_finalizers_change_only_through_finalize(world: World) -> None:
    client = Client(world)
    shop = client.get("namespaces", "", "shop")
    assert client.update({**shop, "spec": {}})["spec"] == {"finalizers": ["kubernetes"]}


def token_secret(world: World, account: str) -> Obj:
    marks = {"kubernetes.io/service-account.name": account}
    return Client(world, trusted=True).create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tok", "namespace": "shop", "annotations": marks},
            "type": "kubernetes.io/service-account-token",
        }
    )


def test_a_token_secret_is_filled_and_goes_with_its_account(world: World) -> None:
    client = Client(world)
    client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "shop"}}
    )
    token_secret(world, "bot")
    world.run_for(1000)
    data = client.get("secrets", "shop", "tok")["data"]
    assert base64.b64decode(data["namespace"]) == b"shop"
    assert base64.b64decode(data["token"]).count(b".") == 2
    client.delete("serviceaccounts", "shop", "bot")
    world.run_for(1000)
    assert client.find("secrets", "shop", "tok") is None


def test_a_token_secret_of_a_missing_account_is_deleted(world: World) -> None:
    token_secret(world, "nobody")
    world.run_for(1000)
    assert Client(world).find("secrets", "shop", "tok") is None
