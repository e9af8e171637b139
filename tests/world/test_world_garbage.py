"""What becomes of objects whose owners go: background, foreground and orphaning deletion."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import Obj, name_of
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.world import World


@pytest.fixture
def world() -> World:
    world = World(settings=Settings(freeze=True))
    client = Client(world, trusted=True)
    for name in ("kube-system", "kube-public", "shop", "other"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in default_objects():
        client.create(obj)
    world.run_for(1000)
    return world


def make(world: World, name: str, *owners: Obj, space: str = "shop", **more: Any) -> Obj:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": name_of(owner),
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    given: Obj = {"name": name, "namespace": space, **more}
    if references:
        given["ownerReferences"] = references
    return Client(world).create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": {"a": "b"}}
    )


def there(world: World, space: str = "shop") -> list[str]:
    names = [name_of(obj) for obj in Client(world).list("configmaps", space)]
    return [name for name in names if name != "kube-root-ca.crt"]


def delete(world: World, name: str, policy: str = "") -> None:
    Client(world).delete("configmaps", "shop", name, propagation=policy)


def test_background_the_owner_goes_at_once_and_the_rest_follows(world: World) -> None:
    top = make(world, "top")
    make(world, "leaf", make(world, "middle", top))
    delete(world, "top")
    assert there(world) == ["leaf", "middle"]
    world.run_for(1000)
    assert there(world) == []


def test_foreground_the_owner_stays_until_all_below_it_is_gone(world: World) -> None:
    top = make(world, "top")
    make(world, "leaf", make(world, "middle", top), finalizers=["example.com/hold"])
    delete(world, "top", "Foreground")
    world.run_for(5000)
    assert there(world) == ["leaf", "middle", "top"]
    kept = Client(world).get("configmaps", "shop", "top")["metadata"]
    assert kept["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in Client(world).get("configmaps", "shop", "middle")["metadata"]
    Client(world).patch("configmaps", "shop", "leaf", {"metadata": {"finalizers": None}})
    world.run_for(1000)
    assert there(world) == []


def test_orphan_the_dependents_stay_and_forget_their_owner(world: World) -> None:
    top = make(world, "top")
    make(world, "leaf", top)
    delete(world, "top", "Orphan")
    world.run_for(1000)
    assert there(world) == ["leaf"]
    assert "ownerReferences" not in Client(world).get("configmaps", "shop", "leaf")["metadata"]


def test_a_dependent_of_two_owners_goes_with_the_last(world: World) -> None:
    one, two = make(world, "one"), make(world, "two")
    make(world, "leaf", one, two)
    delete(world, "one")
    world.run_for(1000)
    references = Client(world).get("configmaps", "shop", "leaf")["metadata"]["ownerReferences"]
    assert [item["name"] for item in references] == ["two"]
    delete(world, "two")
    world.run_for(1000)
    assert there(world) == []


def test_what_is_made_for_an_owner_that_is_gone_goes(world: World) -> None:
    top = make(world, "top")
    delete(world, "top")
    make(world, "top")
    make(world, "late", top)
    world.run_for(1000)
    assert there(world) == ["top"]


def test_an_owner_in_another_namespace_does_not_count_and_an_event_says_so(world: World) -> None:
    far = make(world, "far", space="other")
    make(world, "leaf", far)
    world.run_for(1000)
    assert there(world) == []
    (event,) = Client(world).list("events", "shop")
    uid = far["metadata"]["uid"]
    assert event["reason"] == "OwnerRefInvalidNamespace"
    assert event["message"] == (
        f'ownerRef [v1/ConfigMap, namespace: shop, name: far, uid: {uid}] does not exist in namespace "shop"'
    )


def test_an_owner_without_a_namespace_owns_what_lies_in_one(world: World) -> None:
    client = Client(world)
    given = {"metadata": {"name": "fast"}, "value": 7, "apiVersion": "scheduling.k8s.io/v1"}
    owner = client.create({**given, "kind": "PriorityClass"})
    make(world, "leaf", owner)
    world.run_for(1000)
    assert there(world) == ["leaf"]
    client.delete("priorityclasses.scheduling.k8s.io", "", "fast")
    world.run_for(1000)
    assert there(world) == []


def test_an_owner_of_a_kind_that_nobody_serves_holds(world: World) -> None:
    given = {"name": "leaf", "namespace": "shop"}
    reference = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "1"}
    given["ownerReferences"] = [reference]  # type: ignore[assignment]
    Client(world).create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": {"a": "b"}})
    world.run_for(60_000)
    assert there(world) == ["leaf"]


def test_jobs_leave_their_pods_unless_told_otherwise(world: World) -> None:
    client = Client(world, trusted=True)
    job = client.create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "once", "namespace": "shop"},
            "spec": {"suspend": True, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
        }
    )
    make(world, "result", job)
    client.delete("jobs.batch", "shop", "once")
    world.run_for(1000)
    assert client.find("jobs.batch", "shop", "once") is None
    assert there(world) == ["result"]


def test_nothing_is_collected_while_the_controller_manager_is_down(world: World) -> None:
    from firedrill.world.kube.controllers.base import start_component, stop_component

    make(world, "leaf", make(world, "top"))
    stop_component(world, "kube-controller-manager")
    delete(world, "top")
    world.run_for(60_000)
    assert there(world) == ["leaf"]
    start_component(world, "kube-controller-manager")
    world.run_for(1000)
    assert there(world) == []


def test_an_unknown_way_of_deletion_is_refused(world: World) -> None:
    make(world, "top")
    with pytest.raises(ApiError) as caught:
        delete(world, "top", "Sideways")
    assert caught.value.message == (
        'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": '
        'supported values: "Foreground", "Background", "Orphan", "nil"'
    )
