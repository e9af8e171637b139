"""Claims and volumes in a running world."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firedrill.world.kube.scheduler
import firedrill.world.kube.volumes  # noqa: F401 - their loops register
from firedrill.world import Settings, World
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.controllers.base import resync_all, stop_component
from firedrill.world.kube.objects import dig, with_path, without_path
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.kube.volumes.attaching import is_attached
from firedrill.world.kube.volumes.matching import find_volume


@pytest.fixture
def world() -> World:
    made = World(11, settings=Settings(freeze=True))
    client = Client(made, trusted=True)
    for name in ("shop", "default", "kube-system", "kube-public"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for item in default_objects():
        client.create(item)
    client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
    )
    resync_all(made)
    return made


def admin(world: World) -> Client:
    return Client(world, trusted=True)


def claim(client: Client, name: str, size: str = "1Gi", storage_class: str | None = "", **spec: Any) -> None:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    if storage_class is not None:
        body["storageClassName"] = storage_class
    client.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": body,
        }
    )


def volume(
    client: Client, name: str, size: str = "1Gi", labels: dict[str, str] | None = None, **spec: Any
) -> None:
    body = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/mnt/data", "type": "DirectoryOrCreate"},
        **spec,
    }
    client.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": body,
        }
    )


def storage_class(client: Client, name: str, provisioner: str, mode: str = "Immediate") -> None:
    client.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": provisioner,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": mode,
        }
    )


def node(client: Client, name: str) -> None:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    made = client.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {},
            "status": {"allocatable": amounts, "capacity": amounts},
        }
    )
    client.update(without_path(made, ("spec", "taints")))


def pod(client: Client, name: str, claim_name: str, **spec: Any) -> None:
    volumes_ = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes_, **spec},
        }
    )


def phase(world: World, resource: str, namespace: str, name: str) -> str:
    return str(dig(world.cluster.store.get(resource, namespace, name), "status", "phase", default=""))


def told(world: World, name: str, namespace: str = "shop") -> list[tuple[str, str, int]]:
    return [
        (item["reason"], item["message"], item["count"])
        for item in world.cluster.store.list("events", namespace)
        if item["involvedObject"]["name"] == name
    ]


NONE = "no persistent volumes available for this claim and no storage class is set"


def test_a_claim_gets_the_smallest_volume_that_suits(world: World) -> None:
    client = admin(world)
    volume(client, "big", "5Gi")
    volume(client, "small", "2Gi")
    volume(client, "tiny", "500Mi")
    claim(client, "data")
    world.run_for(2_000)
    bound = client.get("persistentvolumeclaims", "shop", "data")
    assert bound["spec"]["volumeName"] == "small"
    assert bound["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "2Gi"},
    }
    assert bound["metadata"]["annotations"] == {
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    taken = client.get("persistentvolumes", "", "small")
    assert taken["status"]["phase"] == "Bound"
    assert taken["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
    assert taken["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
    assert phase(world, "persistentvolumes", "", "big") == "Available"


@pytest.mark.parametrize(
    "spec",
    [
        {"size": "2Gi"},
        {"accessModes": ["ReadWriteMany"]},
        {"selector": {"matchLabels": {"tier": "gold"}}},
        {"volumeMode": "Block"},
    ],
    ids=["capacity", "mode", "selector", "block"],
)
def test_a_claim_that_nothing_suits_tells_so_every_fifteen_seconds(
    world: World, spec: dict[str, Any]
) -> None:
    client = admin(world)
    volume(client, "pv")
    world.run_for(1_000)
    claim(client, "data", **spec)
    world.run_for(118_000)
    ((reason, message, count),) = told(world, "data")
    assert (reason, message) == ("FailedBinding", NONE)
    assert count in (8, 9)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Pending"
    assert phase(world, "persistentvolumes", "", "pv") == "Available"
    volume(
        client,
        "fitting",
        "3Gi",
        {"tier": "gold"},
        accessModes=["ReadWriteOnce", "ReadWriteMany"],
        volumeMode=spec.get("volumeMode", "Filesystem"),
    )
    world.run_for(2_000)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Bound"


def test_a_class_that_does_not_exist(world: World) -> None:
    client = admin(world)
    volume(client, "pv")
    claim(client, "data", storage_class="fast-ssd")
    world.run_for(41_000)
    ((reason, message, count),) = told(world, "data")
    assert (reason, message) == ("ProvisioningFailed", 'storageclass.storage.k8s.io "fast-ssd" not found')
    assert count in (3, 4)


def test_an_occupied_volume_keeps_the_second_claim_waiting(world: World) -> None:
    client = admin(world)
    volume(client, "pv")
    claim(client, "first")
    world.run_for(2_000)
    claim(client, "second")
    node(client, "w1")
    pod(client, "web", "second")
    world.run_for(60_000)
    assert phase(world, "persistentvolumeclaims", "shop", "second") == "Pending"
    assert [(reason, count) for reason, _, count in told(world, "web")] == [("FailedScheduling", 1)]
    assert told(world, "web")[0][1] == (
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


def test_a_released_volume_is_kept_or_deleted_by_its_policy(world: World) -> None:
    client = admin(world)
    storage_class(client, "standard", "ebs.csi.aws.com")
    volume(client, "kept")
    claim(client, "a")
    claim(client, "b", storage_class="standard")
    world.run_for(20_000)
    made = str(client.get("persistentvolumeclaims", "shop", "b")["spec"]["volumeName"])
    assert made == "pvc-" + client.get("persistentvolumeclaims", "shop", "b")["metadata"]["uid"]
    assert phase(world, "persistentvolumes", "", made) == "Bound"
    reasons = [reason for reason, _, _ in told(world, "b")]
    assert sorted(reasons) == ["ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"]
    for name in ("a", "b"):
        client.delete("persistentvolumeclaims", "shop", name)
    world.run_for(20_000)
    assert client.find("persistentvolumeclaims", "shop", "a") is None
    assert phase(world, "persistentvolumes", "", "kept") == "Released"
    assert client.find("persistentvolumes", "", made) is None


@pytest.mark.parametrize(
    ("provisioner", "spec", "words"),
    [
        ("rancher.io/local-path", {"accessModes": ["ReadWriteMany"]}, "NodePath only supports ReadWriteOnce"),
        ("ebs.csi.aws.com", {"accessModes": ["ReadWriteMany"]}, "MULTI_NODE_MULTI_WRITER not supported"),
        ("rancher.io/local-path", {"selector": {"matchLabels": {"a": "b"}}}, "claim.Spec.Selector is not"),
        ("nfs.csi.k8s.io", {"selector": {"matchLabels": {"a": "b"}}}, "claim Selector is not supported"),
    ],
)
def test_a_provisioner_refuses_what_it_cannot_do_less_and_less_often(
    world: World, provisioner: str, spec: dict[str, Any], words: str
) -> None:
    client = admin(world)
    storage_class(client, "made", provisioner)
    claim(client, "data", storage_class="made", **spec)
    world.run_for(100_000)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Pending"
    refused = [(text, count) for reason, text, count in told(world, "data") if reason == "ProvisioningFailed"]
    assert [count for _, count in refused] == [3]  # at once, 15 s and 45 s later
    assert words in refused[0][0]
    assert refused[0][0].startswith('failed to provision volume with StorageClass "made": ')


def test_a_provisioner_that_can_do_it_serves_many_writers(world: World) -> None:
    client = admin(world)
    storage_class(client, "made", "nfs.csi.k8s.io")
    claim(client, "data", storage_class="made", accessModes=["ReadWriteMany"])
    world.run_for(30_000)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Bound"


def test_an_unknown_provisioner_keeps_a_claim_waiting(world: World) -> None:
    client = admin(world)
    storage_class(client, "odd", "example.com/nobody")
    claim(client, "data", storage_class="odd")
    world.run_for(60_000)
    ((reason, message, count),) = told(world, "data")
    assert reason == "ExternalProvisioning"
    assert message.startswith(
        "Waiting for a volume to be created either by the external provisioner 'example.com/nobody'"
    )
    assert count >= 4


def test_a_delayed_claim_follows_its_pod(world: World) -> None:
    client = admin(world)
    node(client, "w1")
    node(client, "w2")
    storage_class(client, "standard", "rancher.io/local-path", "WaitForFirstConsumer")
    claim(client, "data", storage_class="standard")
    world.run_for(20_000)
    ((reason, message, _),) = told(world, "data")
    assert (reason, message) == (
        "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding",
    )
    pod(client, "web", "data", nodeSelector={"kubernetes.io/hostname": "w2"})
    world.run_for(30_000)
    found = client.get("pods", "shop", "web")
    assert found["spec"]["nodeName"] == "w2"
    name = client.get("persistentvolumeclaims", "shop", "data")["spec"]["volumeName"]
    terms = dig(
        client.get("persistentvolumes", "", name), "spec", "nodeAffinity", "required", "nodeSelectorTerms"
    )
    assert terms[0]["matchExpressions"][0]["values"] == ["w2"]
    assert ("Scheduled", "Successfully assigned shop/web to w2", 1) in told(world, "web")


def test_a_used_claim_does_not_go_before_its_pod(world: World) -> None:
    client = admin(world)
    node(client, "w1")
    volume(client, "pv")
    claim(client, "data")
    world.run_for(1_000)
    pod(client, "web", "data")
    world.run_for(1_000)
    client.delete("persistentvolumeclaims", "shop", "data")
    world.run_for(30_000)
    waiting = client.get("persistentvolumeclaims", "shop", "data")
    assert waiting["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    client.delete("pods", "shop", "web", grace=0)
    world.run_for(5_000)
    assert client.find("persistentvolumeclaims", "shop", "data") is None
    client.delete("persistentvolumes", "", "pv")
    world.run_for(2_000)
    assert client.find("persistentvolumes", "", "pv") is None


def test_a_lost_volume_makes_its_claim_lost(world: World) -> None:
    client = admin(world)
    volume(client, "pv")
    claim(client, "data")
    world.run_for(2_000)
    client.delete("persistentvolumes", "", "pv")
    client.update(with_path(client.get("persistentvolumes", "", "pv"), ("metadata", "finalizers"), []))
    world.run_for(2_000)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Lost"
    assert [reason for reason, _, _ in told(world, "data")] == ["ClaimLost"]


def test_a_named_volume(world: World) -> None:
    client = admin(world)
    volume(client, "mine", "1Gi")
    volume(client, "other", "1Gi")
    claim(client, "data", volumeName="other")
    claim(client, "large", size="9Gi", volumeName="mine")
    world.run_for(2_000)
    assert phase(world, "persistentvolumes", "", "other") == "Bound"
    assert told(world, "large")[0][:2] == (
        "VolumeMismatch",
        'Cannot bind to requested volume "mine": requested PV is too small',
    )


def test_one_node_at_a_time(world: World) -> None:
    client = admin(world)
    for name in ("w1", "w2"):
        node(client, name)
    storage_class(client, "standard", "ebs.csi.aws.com")
    claim(client, "data", storage_class="standard")
    world.run_for(20_000)
    made = client.get("persistentvolumeclaims", "shop", "data")["spec"]["volumeName"]
    pod(client, "one", "data", nodeSelector={"kubernetes.io/hostname": "w1"})
    world.run_for(5_000)
    assert ("SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{made}" ', 1) in told(
        world, "one"
    )
    assert is_attached(world.cluster.store, client.get("pods", "shop", "one"))
    pod(client, "two", "data", nodeSelector={"kubernetes.io/hostname": "w2"})
    world.run_for(10_000)
    wanted = f'Multi-Attach error for volume "{made}" Volume is already used by pod(s) one'
    assert ("FailedAttachVolume", wanted, 1) in told(world, "two")
    assert not is_attached(world.cluster.store, client.get("pods", "shop", "two"))
    client.delete("pods", "shop", "one", grace=0)
    world.run_for(130_000)
    assert is_attached(world.cluster.store, client.get("pods", "shop", "two"))


def test_nothing_is_bound_while_the_manager_is_down(world: World) -> None:
    client = admin(world)
    stop_component(world, "kube-controller-manager")
    volume(client, "pv")
    claim(client, "data")
    world.run_for(60_000)
    assert phase(world, "persistentvolumeclaims", "shop", "data") == "Pending"
    assert not told(world, "data")


sizes = st.integers(1, 6)


@given(
    st.lists(st.tuples(sizes, st.sampled_from(["", "fast"]), st.booleans()), max_size=8),
    sizes,
    st.sampled_from(["", "fast"]),
)
def test_no_suitable_volume_is_smaller_than_the_chosen_one(
    offers: list[tuple[int, str, bool]], wanted: int, name: str
) -> None:
    made = [
        {
            "metadata": {"name": f"v{i}"},
            "spec": {
                "capacity": {"storage": f"{size}Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": kind,
                **({"claimRef": {"name": "x", "namespace": "y"}} if taken else {}),
            },
        }
        for i, (size, kind, taken) in enumerate(offers)
    ]
    asked = {
        "metadata": {"name": "c", "namespace": "shop", "uid": "1"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{wanted}Gi"}},
            "storageClassName": name,
        },
    }
    fitting = [size for size, kind, taken in offers if size >= wanted and kind == name and not taken]
    chosen = find_volume(asked, made)
    assert (chosen is None) is (not fitting)
    if chosen is not None:
        assert chosen["spec"]["capacity"]["storage"] == f"{min(fitting)}Gi"
