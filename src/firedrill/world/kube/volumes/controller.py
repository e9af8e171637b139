"""The volume controller: binds claims and volumes to each other, makes volumes, and takes back released ones.

Source: kube-controller-manager 1.31, `persistentvolume-binder` and its protection controllers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.controllers.base import (
    Controller,
    Later,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    name_of,
    namespace_of,
    uid_of,
    with_path,
)
from firedrill.world.kube.store import Change
from firedrill.world.kube.volumes import matching
from firedrill.world.kube.volumes.matching import class_of, reserved
from firedrill.world.kube.volumes.provisioning import CLAIMS, VOLUMES, ask_for_volume, reclaim, tell

if TYPE_CHECKING:
    from firedrill.world.world import World

COMPONENT = "kube-controller-manager"
BINDER = "persistentvolume-binder"
_RESYNC = 15_000
"""How often the controller looks at every claim again: its events repeat at this pace (ms)."""


def _next_look(world: World) -> Later:
    """All claims are looked at together, on a beat that began with the controller."""
    beat = world.rng.integer(0, _RESYNC - 1, "volumes", "resync")
    return Later(_RESYNC - (world.now - beat) % _RESYNC)


# --- claims


def _claim(world: World, key: str) -> None:
    client = component_client(world, "persistent-volume-binder")
    claim = client.find(CLAIMS, *split_key(key))
    if claim is None:
        return
    if matching.BIND_COMPLETED in annotations_of(claim):
        _check_bound(world, client, claim)
    elif wanted := dig(claim, "spec", "volumeName"):
        _bind_named(world, client, claim, str(wanted))
    else:
        _find(world, client, claim)


def _check_bound(world: World, client: Client, claim: Obj) -> None:
    volume = client.find(VOLUMES, "", str(dig(claim, "spec", "volumeName", default="")))
    if volume is None:
        if dig(claim, "status", "phase") != "Lost":
            client.update_status(claim, {**(claim.get("status") or {}), "phase": "Lost"})
            text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            tell(world, claim, "Warning", "ClaimLost", text)
        return
    if not matching.claimed_by(volume, claim) and dig(volume, "spec", "claimRef"):
        if dig(claim, "status", "phase") != "Lost":
            client.update_status(claim, {**(claim.get("status") or {}), "phase": "Lost"})
            text = "Two claims are bound to the same volume, this one is bound incorrectly"
            tell(world, claim, "Warning", "ClaimMisbound", text)
        return
    _bind(client, claim, volume)


def _bind_named(world: World, client: Client, claim: Obj, wanted: str) -> None:
    volume = client.find(VOLUMES, "", wanted)
    if volume is None or not (matching.claimed_by(volume, claim) or not dig(volume, "spec", "claimRef")):
        _pending(client, claim)
        if volume is not None:
            text = f'volume "{wanted}" already bound to a different claim.'
            tell(world, claim, "Warning", "FailedBinding", text)
        raise _next_look(world)
    if not matching.claimed_by(volume, claim) and not matching.suits(volume, claim):
        _pending(client, claim)
        text = f'Cannot bind to requested volume "{wanted}": {_misfit(volume, claim)}'
        tell(world, claim, "Warning", "VolumeMismatch", text)
        raise _next_look(world)
    _bind(client, claim, volume)


def _misfit(volume: Obj, claim: Obj) -> str:
    if matching.capacity_of(volume) < matching.capacity_of(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    modes = dig(volume, "spec", "accessModes", default=())
    if any(mode not in modes for mode in dig(claim, "spec", "accessModes", default=())):
        return "incompatible accessMode"
    return "incompatible volumeMode"


def _find(world: World, client: Client, claim: Obj) -> None:
    store = world.cluster.store
    delayed = matching.is_delayed(store, claim) and matching.SELECTED_NODE not in annotations_of(claim)
    volume = matching.find_volume(claim, store.list(VOLUMES), delayed=delayed)
    if volume is not None:
        _bind(client, claim, volume)
        return
    _pending(client, claim)
    if delayed:
        consumer = _consumer(world, claim)
        if consumer is None:
            text = "waiting for first consumer to be created before binding"
            tell(world, claim, "Normal", "WaitForFirstConsumer", text)
        else:
            text = f"waiting for pod {consumer} to be scheduled"
            tell(world, claim, "Normal", "WaitForPodScheduled", text)
    elif class_of(claim):
        ask_for_volume(world, client, claim)
    else:
        text = "no persistent volumes available for this claim and no storage class is set"
        tell(world, claim, "Normal", "FailedBinding", text)
    raise _next_look(world)


def _consumer(world: World, claim: Obj) -> str | None:
    from firedrill.world.kube.scheduler.podinfo import claim_names

    for pod in world.cluster.store.list("pods", namespace_of(claim)):
        if name_of(claim) in claim_names(pod) and not dig(pod, "spec", "nodeName"):
            return name_of(pod)
    return None


def _pending(client: Client, claim: Obj) -> None:
    if dig(claim, "status", "phase") != "Pending":
        client.update_status(claim, {**(claim.get("status") or {}), "phase": "Pending"})


def _bind(client: Client, claim: Obj, volume: Obj) -> None:
    """Both ends of a binding, in the order in which the real controller writes them."""
    reference = dig(volume, "spec", "claimRef", default={})
    if not matching.claimed_by(volume, claim):
        volume = client.update(reserved(volume, claim))
    elif reference.get("uid") != uid_of(claim):
        volume = client.update(
            with_path(volume, ("spec", "claimRef"), dig(reserved(volume, claim), "spec", "claimRef"))
        )
    if dig(volume, "status", "phase") != "Bound":
        volume = client.update_status(volume, {"phase": "Bound"})
    given = dict(annotations_of(claim))
    if not dig(claim, "spec", "volumeName"):
        given[matching.BOUND_BY_CONTROLLER] = "yes"
    given[matching.BIND_COMPLETED] = "yes"
    if given != annotations_of(claim) or dig(claim, "spec", "volumeName") != name_of(volume):
        new = with_path(claim, ("spec", "volumeName"), name_of(volume))
        claim = client.update(with_path(new, ("metadata", "annotations"), given))
    status = {
        **(claim.get("status") or {}),
        "phase": "Bound",
        "accessModes": dig(volume, "spec", "accessModes", default=[]),
        "capacity": dig(volume, "spec", "capacity", default={}),
    }
    client.update_status(claim, status)


# --- volumes


def _volume(world: World, key: str) -> None:
    client = component_client(world, "persistent-volume-binder")
    volume = client.find(VOLUMES, *split_key(key))
    if volume is None:
        return
    reference = dig(volume, "spec", "claimRef")
    if not reference or not reference.get("uid"):
        set_phase(client, volume, "Available")
        return
    claim = client.find(CLAIMS, str(reference.get("namespace")), str(reference.get("name")))
    if claim is None or uid_of(claim) != reference["uid"]:
        if dig(volume, "status", "phase") not in ("Released", "Failed"):
            volume = set_phase(client, volume, "Released")
        reclaim(world, client, volume)
    elif dig(claim, "spec", "volumeName") == name_of(volume):
        set_phase(client, volume, "Bound")
    elif dig(claim, "spec", "volumeName"):
        _unbind(world, client, volume)
    # Otherwise the claim will be looked at by itself: the change of the volume has marked it.


def set_phase(client: Client, volume: Obj, phase: str) -> Obj:
    """The volume in that phase, without an older message."""
    if dig(volume, "status", "phase") == phase:
        return volume
    return client.update_status(volume, {"phase": phase, "lastPhaseTransitionTime": client.world.time})


def _unbind(world: World, client: Client, volume: Obj) -> None:
    """The claim has found another volume."""
    given = dict(annotations_of(volume))
    if matching.PROVISIONED_BY in given and dig(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete":
        reclaim(world, client, set_phase(client, volume, "Released"))
        return
    if given.pop(matching.BOUND_BY_CONTROLLER, None) is not None:
        spec = {key: item for key, item in volume["spec"].items() if key != "claimRef"}
    else:
        reference = {key: item for key, item in volume["spec"]["claimRef"].items() if key != "uid"}
        spec = {**volume["spec"], "claimRef": reference}
    new = with_path({**volume, "spec": spec}, ("metadata", "annotations"), given)
    set_phase(client, client.update(new), "Available")


# --- keys: `claim namespace/name` or `volume /name`


def _reconcile(world: World, key: str) -> None:
    what, _, rest = key.partition(" ")
    (_claim if what == "claim" else _volume)(world, rest)


def _volume_keys(world: World, change: Change) -> Iterable[str]:
    out = [f"volume {key}" for key in own_key(world, change)]
    reference = dig(change.obj, "spec", "claimRef")
    if reference:
        out.append(f"claim {key_of(str(reference.get('namespace')), str(reference.get('name')))}")
    elif change.type != "DELETED":
        out += _pending_keys(world, class_of(change.obj))
    return out


def _pending_keys(world: World, storage_class: str) -> list[str]:
    return [
        f"claim {key_of(namespace_of(claim), name_of(claim))}"
        for claim in world.cluster.store.list(CLAIMS)
        if class_of(claim) == storage_class and not matching.is_bound(claim)
    ]


def _claim_keys(world: World, change: Change) -> Iterable[str]:
    out = [f"claim {key}" for key in own_key(world, change)]
    wanted = dig(change.obj, "spec", "volumeName")
    if wanted:
        out.append(f"volume {key_of('', str(wanted))}")
    return out


def _all(world: World) -> Iterable[str]:
    store = world.cluster.store
    claims = [f"claim {key_of(namespace_of(item), name_of(item))}" for item in store.list(CLAIMS)]
    return [*claims, *(f"volume {key_of('', name_of(item))}" for item in store.list(VOLUMES))]


VOLUME_BINDER = register(
    Controller(
        name=BINDER,
        component=COMPONENT,
        watches={CLAIMS: _claim_keys, VOLUMES: _volume_keys},
        reconcile=_reconcile,
        resync=_all,
    )
)
