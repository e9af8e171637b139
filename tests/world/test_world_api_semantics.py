"""What the API server does with versions, names, pages, deletions and statuses, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from firedrill.world.kube.api import ApiError, Client, Request, handle
from firedrill.world.kube.api.reading import Watch
from firedrill.world.kube.api.request import Options, Verb
from firedrill.world.kube.api.server import watch
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.controllers.base import stop_component
from firedrill.world.kube.objects import Obj, name_of
from firedrill.world.world import World


@pytest.fixture
def world() -> World:
    world = World(settings=Settings(freeze=True))
    stop_component(world, "kube-controller-manager")
    stop_component(world, "lab-kubelet")
    Client(world).create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    return world


def ask(world: World, verb: Verb, plural: str = "configmaps", name: str = "", **more: Any) -> Any:
    options = Options(**more.pop("options", {}))
    request = Request(
        verb=verb,
        group=more.pop("group", ""),
        version="v1",
        plural=plural,
        namespace=more.pop("namespace", "shop"),
        name=name,
        options=options,
        **more,
    )
    return handle(world, request).obj


def refused(world: World, verb: Verb, plural: str = "configmaps", name: str = "", **more: Any) -> Obj:
    before = world.cluster.store.rv
    with pytest.raises(ApiError) as caught:
        ask(world, verb, plural, name, **more)
    assert world.cluster.store.rv == before
    return caught.value.status()


def config(name: str = "", data: Mapping[str, str] | None = None, **metadata: Any) -> Obj:
    given = {"name": name, "namespace": "shop", **metadata} if name else {"namespace": "shop", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": dict(data or {"a": "1"})}


def make(world: World, name: str, **more: Any) -> Obj:
    return Client(world).create(config(name, **more))


def start(world: World, **more: Any) -> Watch:
    options = Options(**more)
    request = Request("watch", "", "v1", "configmaps", namespace="shop", options=options)
    return watch(world, request)


# --- names and creation


def test_a_name_that_is_there_already_is_refused(world: World) -> None:
    make(world, "a")
    status = refused(world, "create", body=config("a"))
    assert status["message"] == 'configmaps "a" already exists'
    assert (status["code"], status["reason"]) == (409, "AlreadyExists")
    assert status["details"] == {"name": "a", "kind": "configmaps"}


def test_a_name_of_what_is_going_is_refused_with_the_reason(world: World) -> None:
    make(world, "a", finalizers=["example.com/x"])
    Client(world).delete("configmaps", "shop", "a")
    status = refused(world, "create", body=config("a"))
    assert status["message"] == 'object is being deleted: configmaps "a" already exists'


def test_generated_names_differ_and_a_taken_one_is_drawn_again(world: World) -> None:
    names = {name_of(ask(world, "create", body=config(generateName="job-"))) for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("job-") and len(name) == 9 for name in names)
    dry = {"dry_run": True}
    first = name_of(ask(world, "create", body=config(generateName="job-"), options=dry))
    twin = world.fork()
    twin.cluster.store.put("configmaps", {**config(first), "metadata": {"name": first, "namespace": "shop"}})
    twin.cluster.store.rv -= 1
    assert name_of(ask(twin, "create", body=config(generateName="job-"), options=dry)) != first


def test_an_object_without_a_name_is_refused(world: World) -> None:
    assert "name or generateName is required" in refused(world, "create", body=config())["message"]


def test_what_only_the_server_sets_is_ignored_at_creation(world: World) -> None:
    made = make(world, "a", uid="mine", generation=7, creationTimestamp="2001-01-01T00:00:00Z")
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["creationTimestamp"] == world.time


def test_another_namespace_than_the_paths_is_refused(world: World) -> None:
    body = config("a")
    body["metadata"]["namespace"] = "elsewhere"
    assert refused(world, "create", body=body)["message"] == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )


def test_paths_without_a_namespace_are_for_lists(world: World) -> None:
    assert refused(world, "get", name="a", namespace="")["code"] == 404
    assert refused(world, "create", body=config("a"), namespace="")["code"] == 405


# --- updates


def test_an_update_of_what_is_not_there_is_refused(world: World) -> None:
    assert refused(world, "update", name="a", body=config("a"))["message"] == 'configmaps "a" not found'


def test_an_update_from_an_old_version_is_refused(world: World) -> None:
    old = make(world, "a")
    Client(world).update({**old, "data": {"a": "2"}})
    status = refused(world, "update", name="a", body={**old, "data": {"a": "3"}})
    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_an_update_of_another_uid_is_refused(world: World) -> None:
    old = make(world, "a")
    body = {**config("a"), "metadata": {"name": "a", "namespace": "shop", "uid": "other"}}
    assert refused(world, "update", name="a", body=body)["message"] == (
        'Operation cannot be fulfilled on configmaps "a": Precondition failed: UID in precondition: other, '
        f"UID in object meta: {old['metadata']['uid']}"
    )


@pytest.mark.parametrize("verb", ["update", "patch"])
def test_a_write_cannot_rename(world: World, verb: Verb) -> None:
    make(world, "a")
    more: Any = {"patch_type": "merge"} if verb == "patch" else {}
    status = refused(world, verb, name="a", body=config("b"), **more)
    assert status["message"] == "the name of the object (b) does not match the name on the URL (a)"
    assert status["code"] == 400


def test_an_update_without_a_name_is_refused(world: World) -> None:
    make(world, "a")
    assert refused(world, "update", name="a", body=config())["message"] == (
        "the name of the object (a based on URL) was undeterminable: name must be provided"
    )


def test_an_update_that_changes_nothing_writes_nothing(world: World) -> None:
    made = make(world, "a")
    before = world.cluster.store.rv
    assert Client(world).update(made)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert world.cluster.store.rv == before


def test_the_time_of_creation_cannot_be_changed_but_may_be_written_otherwise(world: World) -> None:
    made = make(world, "a")
    body = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}
    status = refused(world, "patch", name="a", body=body, patch_type="merge")
    assert "metadata.creationTimestamp: Invalid value" in status["message"]
    assert "field is immutable" in status["message"]
    same = made["metadata"]["creationTimestamp"].replace("Z", "+00:00")
    Client(world).patch("configmaps", "shop", "a", {"metadata": {"creationTimestamp": same}})
    assert Client(world).get("configmaps", "shop", "a")["metadata"]["creationTimestamp"] == world.time


def test_a_lease_is_updated_only_from_a_known_version(world: World) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l", "namespace": "shop"},
        "spec": {"holderIdentity": "me"},
    }
    Client(world).create(lease)
    status = refused(world, "update", "leases", "l", group="coordination.k8s.io", body=lease)
    assert status["message"] == (
        'Lease.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0x0: '
        "must be specified for an update"
    )


def deployment(world: World) -> Obj:
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    given = {"name": "a", "namespace": "shop"}
    return Client(world).create(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": given, "spec": spec}
    )


def test_generation_counts_what_is_wanted_and_a_status_changes_only_itself(world: World) -> None:
    client, resource = Client(world), "deployments.apps"
    made = deployment(world)
    assert made["metadata"]["generation"] == 1
    marked = client.patch(resource, "shop", "a", {"metadata": {"labels": {"x": "y"}}})
    assert marked["metadata"]["generation"] == 1
    scaled = client.patch(resource, "shop", "a", {"spec": {"replicas": 5}, "status": {"replicas": 9}})
    assert scaled["metadata"]["generation"] == 2
    assert scaled.get("status", {}).get("replicas") is None
    body = {"spec": {"replicas": 8}, "status": {"replicas": 3, "observedGeneration": 2}}
    told = client.patch(resource, "shop", "a", body, subresource="status")
    assert (told["spec"]["replicas"], told["status"]["replicas"]) == (5, 3)
    assert told["metadata"]["generation"] == 2


def test_a_subresource_has_its_own_verbs(world: World) -> None:
    deployment(world)
    status = refused(world, "delete", "deployments", "a", group="apps", subresource="status")
    assert (status["code"], status["reason"]) == (405, "MethodNotAllowed")
    assert refused(world, "get", "deployments", "a", group="apps", subresource="nothing")["code"] == 404


# --- deletion


def test_preconditions_of_a_deletion(world: World) -> None:
    made = make(world, "a")["metadata"]
    body = {"kind": "DeleteOptions", "preconditions": {"uid": "other"}}
    assert refused(world, "delete", name="a", body=body)["message"] == (
        'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not match '
        f"the UID in record ({made['uid']}). The object might have been deleted and then recreated"
    )
    body = {"kind": "DeleteOptions", "preconditions": {"resourceVersion": "1"}}
    assert refused(world, "delete", name="a", body=body)["message"] == (
        'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not '
        f"match the ResourceVersion in record ({made['resourceVersion']}). The object might have been modified"
    )


def test_a_finalizer_holds_an_object_and_no_new_one_can_be_added(world: World) -> None:
    client = Client(world)
    make(world, "a", finalizers=["example.com/x", "example.com/y"])
    kept = client.delete("configmaps", "shop", "a")
    assert kept["metadata"]["deletionTimestamp"] == world.time
    assert kept["metadata"]["deletionGracePeriodSeconds"] == 0
    body = {"metadata": {"finalizers": ["example.com/x", "example.com/new"]}}
    assert refused(world, "patch", name="a", body=body, patch_type="merge")["message"] == (
        'ConfigMap "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the '
        'object is being deleted, found new finalizers []string{"example.com/new"}'
    )
    client.patch("configmaps", "shop", "a", {"metadata": {"finalizers": ["example.com/x"]}})
    assert client.find("configmaps", "shop", "a") is not None
    client.patch("configmaps", "shop", "a", {"metadata": {"finalizers": None}})
    assert client.find("configmaps", "shop", "a") is None


def test_a_deletion_is_answered_with_a_status_and_of_a_service_account_with_the_object(world: World) -> None:
    uid = make(world, "a")["metadata"]["uid"]
    assert ask(world, "delete", name="a") == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": uid},
    }
    given = {"name": "bot", "namespace": "shop"}
    Client(world).create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": given})
    assert ask(world, "delete", "serviceaccounts", "bot")["kind"] == "ServiceAccount"


def running(world: World, **more: Any) -> Client:
    client = Client(world, trusted=True)
    given = {"name": "sa", "namespace": "shop"}
    client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**given, "name": "default"}})
    spec = {"nodeName": "n", "terminationGracePeriodSeconds": 30, "containers": [{"name": "c", "image": "i"}]}
    client.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**given, "name": "p"}, "spec": {**spec, **more}}
    )
    return client


def seconds(world: World, pod: Obj) -> tuple[int, int]:
    from firedrill.world.sim.clock import epoch_ms

    here = pod["metadata"]
    return (epoch_ms(here["deletionTimestamp"]) - world.now) // 1000, here["deletionGracePeriodSeconds"]


def test_a_running_pod_has_time_to_end_which_can_only_be_shortened(world: World) -> None:
    client = running(world)
    assert seconds(world, client.delete("pods", "shop", "p")) == (30, 30)
    assert seconds(world, client.delete("pods", "shop", "p", grace=60)) == (30, 30)
    assert seconds(world, client.delete("pods", "shop", "p", grace=10)) == (10, 10)
    client.delete("pods", "shop", "p", grace=0)
    assert client.find("pods", "shop", "p") is None


@pytest.mark.parametrize("unbound", [True, False])
def test_a_pod_that_never_ran_or_has_ended_goes_at_once(world: World, unbound: bool) -> None:
    client = running(world, **({"nodeName": ""} if unbound else {}))
    if not unbound:
        client.update_status(client.get("pods", "shop", "p"), {"phase": "Succeeded"})
    client.delete("pods", "shop", "p")
    assert client.find("pods", "shop", "p") is None


def test_a_collection_is_deleted_by_selector(world: World) -> None:
    for number in range(4):
        make(world, f"c{number}", labels={"odd": str(number % 2)})
    answer = ask(world, "deletecollection", options={"label_selector": "odd=1"})
    assert [name_of(item) for item in answer["items"]] == ["c1", "c3"]
    assert [name_of(item) for item in Client(world).list("configmaps", "shop")] == ["c0", "c2"]


def test_dry_runs_answer_and_change_nothing(world: World) -> None:
    made = make(world, "a")
    before = world.digest()
    dry = {"dry_run": True}
    assert name_of(ask(world, "create", body=config("b"), options=dry)) == "b"
    changed = ask(world, "update", name="a", body={**made, "data": {"a": "9"}}, options=dry)
    assert changed["data"] == {"a": "9"}
    ask(world, "patch", name="a", body={"data": {"z": "1"}}, patch_type="merge", options=dry)
    ask(world, "delete", name="a", options=dry)
    ask(world, "deletecollection", options=dry)
    assert Client(world).list("configmaps", "shop") == [made]
    assert world.cluster.store.rv == int(made["metadata"]["resourceVersion"])
    assert world.digest() != before  # the audit knows of them


# --- lists and pages


def test_pages_show_one_moment_whatever_happens_meanwhile(world: World) -> None:
    for number in range(7):
        make(world, f"c{number}")
    page = ask(world, "list", options={"limit": 3})
    assert page["metadata"]["remainingItemCount"] == 4
    seen = [name_of(item) for item in page["items"]]
    Client(world).delete("configmaps", "shop", "c4")
    make(world, "c55")
    while token := page["metadata"].get("continue"):
        page = ask(world, "list", options={"limit": 3, "continue_token": token})
        seen += [name_of(item) for item in page["items"]]
    assert seen == [f"c{number}" for number in range(7)]


def test_a_token_that_is_too_old_or_none_is_refused(world: World) -> None:
    for number in range(4):
        make(world, f"c{number}")
    token = ask(world, "list", options={"limit": 2})["metadata"]["continue"]
    assert refused(world, "list", options={"continue_token": "!!"})["code"] == 400
    status = refused(world, "list", options={"continue_token": token, "resource_version": "1"})
    assert status["message"] == "specifying resource version is not allowed when using continue"
    make(world, "more")
    world.cluster.store.forget_log()
    status = refused(world, "list", options={"continue_token": token})
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("The provided continue parameter is too old")


def test_a_list_of_an_exact_version_shows_the_past(world: World) -> None:
    then = make(world, "a")["metadata"]["resourceVersion"]
    make(world, "b")
    Client(world).delete("configmaps", "shop", "a")
    exact = {"resource_version": then, "resource_version_match": "Exact"}
    answer = ask(world, "list", options=exact)
    assert ([name_of(item) for item in answer["items"]], answer["metadata"]["resourceVersion"]) == (
        ["a"],
        then,
    )
    fresh = ask(world, "list", options={"resource_version": then, "resource_version_match": "NotOlderThan"})
    assert [name_of(item) for item in fresh["items"]] == ["b"]
    world.cluster.store.forget_log()
    status = refused(world, "list", options=exact)
    assert status["message"] == "The resourceVersion for the provided list is too old."


@pytest.mark.parametrize(("verb", "name"), [("get", "a"), ("list", "")])
def test_a_version_that_is_not_there_yet_is_a_timeout(world: World, verb: Verb, name: str) -> None:
    make(world, "a")
    now = world.cluster.store.rv
    status = refused(world, verb, name=name, options={"resource_version": "999999"})
    assert status["message"] == f"Too large resource version: 999999, current: {now}"
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert refused(world, verb, name=name, options={"resource_version": "x"})["code"] == 400


def test_only_some_fields_can_be_selected_by(world: World) -> None:
    make(world, "a")
    make(world, "b")
    found = ask(world, "list", options={"field_selector": "metadata.name!=a"})
    assert [name_of(item) for item in found["items"]] == ["b"]
    assert refused(world, "list", options={"field_selector": "data.a=1"})["message"] == (
        'Unable to find "/v1, Resource=configmaps" that match label selector "", field selector "data.a=1": '
        "field label not supported: data.a"
    )


# --- watches


def test_a_watch_from_a_version_tells_what_came_after(world: World) -> None:
    begun = make(world, "a")["metadata"]["resourceVersion"]
    cursor = start(world, resource_version=begun)
    make(world, "b")
    Client(world).patch("configmaps", "shop", "a", {"data": {"a": "2"}})
    Client(world).delete("configmaps", "shop", "b")
    told = [(type_, name_of(obj)) for type_, obj in cursor.poll(world)]
    assert told == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert cursor.poll(world) == []


def test_a_watch_with_a_selector_tells_what_enters_and_leaves_its_view(world: World) -> None:
    make(world, "a", labels={"on": "yes"})
    cursor = start(world, label_selector="on=yes")
    assert [type_ for type_, _ in cursor.poll(world)] == ["ADDED"]
    changed = Client(world).patch("configmaps", "shop", "a", {"metadata": {"labels": {"on": "no"}}})
    ((type_, left),) = cursor.poll(world)
    assert (type_, left["metadata"]["labels"]) == ("DELETED", {"on": "yes"})
    assert left["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    Client(world).patch("configmaps", "shop", "a", {"metadata": {"labels": {"on": "yes"}}})
    assert [type_ for type_, _ in cursor.poll(world)] == ["ADDED"]


def test_a_watch_from_a_forgotten_version_is_refused(world: World) -> None:
    make(world, "a")
    make(world, "b")
    cursor = start(world, resource_version="1001")
    world.cluster.store.forget_log()
    oldest = world.cluster.store.oldest
    with pytest.raises(ApiError) as caught:
        start(world, resource_version="1001")
    assert caught.value.status()["message"] == f"too old resource version: 1001 ({oldest})"
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    with pytest.raises(ApiError, match="too old resource version"):
        cursor.poll(world)


def test_a_watch_from_the_future_waits_for_it(world: World) -> None:
    cursor = start(world, resource_version=str(world.cluster.store.rv + 2))
    make(world, "a")
    make(world, "b")
    make(world, "c")
    assert [name_of(obj) for _, obj in cursor.poll(world)] == ["c"]
