"""Volumes that are made for claims, and what becomes of volumes that are released.

Source: the volume controller of Kubernetes 1.31 and the external provisioner's events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.base import is_up
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
    with_path,
)
from firedrill.world.kube.volumes import matching
from firedrill.world.sim.handlers import handler
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.world import World

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
SOURCE = "persistentvolume-controller"


@cache
def provisioners() -> Mapping[str, Mapping[str, Any]]:
    """The provisioners that answer, by name."""
    return dict(table("firedrill.world.kube.volumes", "provisioners.yaml"))


def tell(world: World, about: Obj, type_: str, reason: str, message: str, *, component: str = SOURCE) -> None:
    """Record an event about a claim or a volume."""
    events.record(world, about, type_, reason, message, component=component)


def ask_for_volume(world: World, client: Client, claim: Obj) -> None:
    """Let the provisioner of the claim's class make a volume, or tell why that cannot be."""
    name = matching.class_of(claim)
    storage = client.find(matching.CLASSES, "", name)
    if storage is None:
        text = f'storageclass.storage.k8s.io "{name}" not found'
        tell(world, claim, "Warning", "ProvisioningFailed", text)
        return
    provisioner = str(storage.get("provisioner") or "")
    if provisioner.startswith("kubernetes.io/"):
        text = f"no volume plugin matched name: {provisioner}"
        tell(world, claim, "Warning", "ProvisioningFailed", text)
        return
    given = dict(annotations_of(claim))
    first = matching.PROVISIONER not in given
    for key in (matching.PROVISIONER, matching.PROVISIONER_BETA):
        given[key] = provisioner
    if given != annotations_of(claim):
        claim = client.update(with_path(claim, ("metadata", "annotations"), given))
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually "
        "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
        "running and correctly registered."
    )
    tell(world, claim, "Normal", "ExternalProvisioning", text)
    known = provisioners().get(provisioner)
    if known is not None and refusal(claim, known):
        if first:
            world.schedule(known["delay"][0], "volumes.refuse", namespace_of(claim), name_of(claim), 0)
        return
    if known is None or not is_up(world, provisioner):
        return
    if first:
        text = f'External provisioner is provisioning volume for claim "{_key(claim)}"'
        tell(world, claim, "Normal", "Provisioning", text, component=_source(world, provisioner))
    low, high = known["delay"]
    delay = world.rng.integer(low, high, "provision", uid_of(claim))
    world.schedule(delay, "volumes.provision", namespace_of(claim), name_of(claim), uid_of(claim))


_CAPABILITIES = {"ReadWriteMany": "MULTI_NODE_MULTI_WRITER", "ReadOnlyMany": "MULTI_NODE_READER_ONLY"}
_RETRY, _LONGEST_RETRY, _ATTEMPTS = 15_000, 1_000_000, 15


def refusal(claim: Obj, known: Mapping[str, Any]) -> str:
    """What the provisioner says to a claim that it cannot serve; empty where it can.

    Args:
        claim: who asks.
        known: what is known of the provisioner.
    """
    if dig(claim, "spec", "selector"):
        return str(known.get("selector") or "claim Selector is not supported")
    asked = [mode for mode in dig(claim, "spec", "accessModes", default=[]) if mode in _CAPABILITIES]
    if not asked or "single" not in known:
        return ""
    return str(known["single"]).replace("{capability}", _CAPABILITIES[asked[0]])


@handler("volumes.refuse")
def _refuse(world: World, namespace: str, name: str, attempt: int) -> None:
    """One attempt of a provisioner that cannot do what is asked; it tries again, less and less often."""
    store = world.cluster.store
    claim = store.get(CLAIMS, namespace, name)
    if claim is None or is_deleting(claim) or matching.is_bound(claim) or attempt >= _ATTEMPTS:
        return
    provisioner = str(annotations_of(claim).get(matching.PROVISIONER, ""))
    known = provisioners().get(provisioner)
    why = refusal(claim, known) if known is not None else ""
    if not why:
        return
    if is_up(world, provisioner):
        source = _source(world, provisioner)
        text = f'External provisioner is provisioning volume for claim "{_key(claim)}"'
        tell(world, claim, "Normal", "Provisioning", text, component=source)
        text = f'failed to provision volume with StorageClass "{matching.class_of(claim)}": {why}'
        tell(world, claim, "Warning", "ProvisioningFailed", text, component=source)
    delay = min(_RETRY << attempt, _LONGEST_RETRY)
    world.schedule(delay, "volumes.refuse", namespace, name, attempt + 1)


def _provisioner_client(world: World, provisioner: str) -> Client:
    """A provisioner is no part of the cluster proper: it comes with a role that lets it do its work."""
    name = re.sub(r"[^a-z0-9-]", "-", provisioner)
    user = User(f"system:serviceaccount:kube-system:{name}", ("system:masters",))
    return Client(world, user, manager=name, trusted=True)


def _key(claim: Obj) -> str:
    return f"{namespace_of(claim)}/{name_of(claim)}"


def _source(world: World, provisioner: str) -> str:
    """Provisioners sign with their name, their pod and a number of their own."""
    short = re.split(r"[./]", provisioner, maxsplit=1)[0]
    pod = f"{short}-controller-0"
    return f"{provisioner}_{pod}_{world.rng.uuid('provisioner', provisioner)}"


@handler("volumes.provision")
def _provision(world: World, namespace: str, name: str, uid: str) -> None:
    store = world.cluster.store
    claim = store.get(CLAIMS, namespace, name)
    if claim is None or uid_of(claim) != uid or is_deleting(claim) or matching.is_bound(claim):
        return
    storage = store.get(matching.CLASSES, "", matching.class_of(claim))
    provisioner = str(dig(storage, "provisioner", default=""))
    known = provisioners().get(provisioner)
    if storage is None or known is None or not is_up(world, provisioner):
        return
    volume = f"pvc-{uid}"
    if store.get(VOLUMES, "", volume) is not None:
        return
    client = _provisioner_client(world, provisioner)
    node = store.get("nodes", "", str(annotations_of(claim).get(matching.SELECTED_NODE, "")))
    client.create(new_volume(volume, claim, storage, known, node))
    text = f"Successfully provisioned volume {volume}"
    tell(world, claim, "Normal", "ProvisioningSucceeded", text, component=_source(world, provisioner))


def new_volume(name: str, claim: Obj, storage: Obj, known: Mapping[str, Any], node: Obj | None) -> Obj:
    """The volume that a provisioner makes for a claim.

    Args:
        name: of the volume.
        claim: whom it is for.
        storage: the class.
        known: what is known of the provisioner.
        node: the node that the scheduler chose, where it did.
    """
    provisioner = str(storage["provisioner"])
    spec: Obj = {
        "accessModes": list(dig(claim, "spec", "accessModes", default=["ReadWriteOnce"])),
        "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage", default="1Gi")},
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "resourceVersion": dig(claim, "metadata", "resourceVersion", default=""),
        },
        "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy") or "Delete",
        "storageClassName": name_of(storage),
        "volumeMode": dig(claim, "spec", "volumeMode", default="Filesystem"),
    }
    if storage.get("mountOptions"):
        spec["mountOptions"] = list(storage["mountOptions"])
    if known["source"] == "csi":
        spec["csi"] = {"driver": provisioner, "volumeHandle": f"vol-{uid_of(claim).replace('-', '')[:17]}"}
    else:
        path = f"{known['path']}/{name}_{namespace_of(claim)}_{name_of(claim)}"
        spec["hostPath"] = {"path": path, "type": "DirectoryOrCreate"}
    label = str(known.get("topology", ""))
    if node is not None and label in labels_of(node):
        rule = {"key": label, "operator": "In", "values": [labels_of(node)[label]]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}
    annotations = {matching.PROVISIONED_BY: provisioner}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec,
    }


def reclaim(world: World, client: Client, volume: Obj) -> None:
    """Do with a released volume what its policy says."""
    policy = dig(volume, "spec", "persistentVolumeReclaimPolicy", default="Retain")
    if policy != "Delete" or is_deleting(volume):
        return
    provisioner = annotations_of(volume).get(matching.PROVISIONED_BY, "")
    known = provisioners().get(provisioner)
    if known is not None:
        if is_up(world, provisioner):
            delay = world.rng.integer(*known["delay"], "reclaim", uid_of(volume))
            world.schedule(delay, "volumes.delete", name_of(volume), uid_of(volume))
        return
    path = str(dig(volume, "spec", "hostPath", "path", default=""))
    if path.startswith("/tmp/"):  # noqa: S108
        client.delete(VOLUMES, "", name_of(volume))
        return
    if path:
        text = f"host_path deleter only supports /tmp/.+ but received provided {path}"
    else:
        text = (
            f'error getting deleter volume plugin for volume "{name_of(volume)}": '
            "no deletable volume plugin matched"
        )
    if dig(volume, "status", "phase") != "Failed":
        client.update_status(
            volume, {"phase": "Failed", "message": text, "lastPhaseTransitionTime": world.time}
        )
        tell(world, volume, "Warning", "VolumeFailedDelete", text)


@handler("volumes.delete")
def _delete(world: World, name: str, uid: str) -> None:
    volume = world.cluster.store.get(VOLUMES, "", name)
    if volume is None or uid_of(volume) != uid or dig(volume, "status", "phase") != "Released":
        return
    provisioner = annotations_of(volume).get(matching.PROVISIONED_BY, "")
    _provisioner_client(world, provisioner).delete(VOLUMES, "", name, uid=uid)
