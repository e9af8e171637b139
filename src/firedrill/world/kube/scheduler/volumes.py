"""The filter plugins about volumes: VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone.

Source: kube-scheduler 1.31.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from firedrill.world.kube import selectors
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
)
from firedrill.world.kube.scheduler import verdict as why
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.verdict import Verdict
from firedrill.world.kube.store import Store
from firedrill.world.kube.volumes.matching import (
    CLASSES,
    NO_PROVISIONER,
    SELECTED_NODE,
    affinity_matches,
    capacity_of,
    class_of,
    find_volume,
    is_bound,
    is_delayed,
)

Check = Callable[[NodeInfo], Verdict | None]
_ZONES = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
_CLAIMS = "persistentvolumeclaims"


class Binding(NamedTuple):
    """What has to happen to claims before a pod can run on a node.

    Attributes:
        volumes: (claim, volume) to bind to each other.
        provision: claims for which a volume is to be made there.
    """

    volumes: tuple[tuple[Obj, Obj], ...]
    provision: tuple[Obj, ...]


def volume_refusal(pod: PodInfo, snapshot: Snapshot) -> Verdict | None:
    """Why the claims of a pod rule out every node; None where they do not."""
    unbound = False
    for name in pod.claims:
        claim = snapshot.store.get(_CLAIMS, pod.namespace, name)
        if claim is None:
            return Verdict("VolumeBinding", (f'persistentvolumeclaim "{name}" not found',), True)
        if dig(claim, "status", "phase") == "Lost":
            volume = dig(claim, "spec", "volumeName", default="")
            text = f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
            return Verdict("VolumeBinding", (text,), True)
        if is_deleting(claim):
            return Verdict("VolumeBinding", (f'persistentvolumeclaim "{name}" is being deleted',), True)
        unbound |= not is_bound(claim) and not is_delayed(snapshot.store, claim)
    return Verdict("VolumeBinding", (why.UNBOUND,), True) if unbound else None


def volume_filters(pod: PodInfo, snapshot: Snapshot) -> list[Check]:
    """The filters of a pod with claims, in order."""
    store = snapshot.store
    claims = [claim for name in pod.claims if (claim := store.get(_CLAIMS, pod.namespace, name))]
    bound = [claim for claim in claims if is_bound(claim)]
    volumes = [store.get("persistentvolumes", "", str(dig(claim, "spec", "volumeName"))) for claim in bound]
    out = [_restrictions(pod, claims, snapshot), _limits(pod, store), _binding(claims, volumes, store)]
    zones = _zone_requirements([volume for volume in volumes if volume is not None])
    if zones:
        out.append(_zone(zones))
    return out


def _restrictions(pod: PodInfo, claims: Sequence[Obj], snapshot: Snapshot) -> Check:
    exclusive = {
        name_of(claim)
        for claim in claims
        if "ReadWriteOncePod" in dig(claim, "spec", "accessModes", default=())
    }

    def check(node: NodeInfo) -> Verdict | None:
        if exclusive and any(
            item.namespace == pod.namespace and exclusive.intersection(item.claims) for item in node.pods
        ):
            return Verdict("VolumeRestrictions", (why.ONCE_POD,))
        return None

    if exclusive:
        # One user in the whole cluster: a user on any node refuses all of them.
        users = any(check(node) is not None for node in snapshot.nodes.values())
        return lambda _: Verdict("VolumeRestrictions", (why.ONCE_POD,)) if users else None
    return check


def _driver(store: Store, claim: Mapping[str, Any]) -> str | None:
    volume = store.get("persistentvolumes", "", str(dig(claim, "spec", "volumeName", default="")))
    if volume is not None:
        found = dig(volume, "spec", "csi", "driver")
        return str(found) if found else None
    provisioner = dig(store.get(CLASSES, "", class_of(claim)), "provisioner")
    return str(provisioner) if provisioner else None


def _handles(store: Store, namespace: str, names: Sequence[str]) -> set[tuple[str, str]]:
    out = set()
    for name in names:
        claim = store.get(_CLAIMS, namespace, name)
        driver = _driver(store, claim) if claim is not None else None
        if claim is not None and driver:
            volume = dig(claim, "spec", "volumeName") or f"{namespace}/{name}"
            out.add((driver, str(volume)))
    return out


def _limits(pod: PodInfo, store: Store) -> Check:
    wanted = _handles(store, pod.namespace, pod.claims)

    def check(node: NodeInfo) -> Verdict | None:
        csi = store.get("csinodes.storage.k8s.io", "", node.name)
        limits = {
            item["name"]: dig(item, "allocatable", "count")
            for item in dig(csi, "spec", "drivers", default=())
        }
        if not any(limits.get(driver) is not None for driver, _ in wanted):
            return None
        used: set[tuple[str, str]] = set()
        for item in node.pods:
            used |= _handles(store, item.namespace, item.claims)
        for driver in sorted({driver for driver, _ in wanted}):
            limit = limits.get(driver)
            total = sum(1 for other, _ in used | wanted if other == driver)
            if limit is not None and wanted - used and total > limit:
                return Verdict("NodeVolumeLimits", (why.VOLUME_COUNT,))
        return None

    return check


def _binding(claims: Sequence[Obj], volumes: Sequence[Obj | None], store: Store) -> Check:
    waiting = [claim for claim in claims if not is_bound(claim)]

    def check(node: NodeInfo) -> Verdict | None:
        reasons = []
        if any(volume is None for volume in volumes):
            return Verdict("VolumeBinding", (why.VOLUME_GONE,), True)
        if any(volume is not None and not affinity_matches(volume, node.node) for volume in volumes):
            reasons.append(why.VOLUME_AFFINITY)
        if waiting and plan_binding(waiting, node.node, store) is None:
            reasons.append(why.NO_VOLUME)
        return Verdict("VolumeBinding", tuple(reasons), True) if reasons else None

    return check


def plan_binding(claims: Sequence[Obj], node: Obj, store: Store) -> Binding | None:
    """How the unbound claims could be met on the node; None where they cannot be."""
    chosen: list[tuple[Obj, Obj]] = []
    provision: list[Obj] = []
    volumes = store.list("persistentvolumes")
    ordered = sorted(claims, key=lambda item: (capacity_of(item), namespace_of(item), name_of(item)))
    for claim in ordered:
        selected = annotations_of(claim).get(SELECTED_NODE)
        if selected is not None and selected != name_of(node):
            return None  # another pod has had its volume ordered elsewhere
        taken = frozenset(name_of(volume) for _, volume in chosen)
        volume = None
        if selected is None:
            volume = find_volume(claim, volumes, node=node, taken=taken, delayed=True)
        if volume is not None:
            chosen.append((claim, volume))
            continue
        storage = store.get(CLASSES, "", class_of(claim))
        if storage is None or storage.get("provisioner") in (None, "", NO_PROVISIONER):
            return None
        if not _allowed(storage, node):
            return None
        provision.append(claim)
    return Binding(tuple(chosen), tuple(provision))


def _allowed(storage: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    terms = storage.get("allowedTopologies") or ()
    labels = labels_of(node)
    return not terms or any(
        all(
            labels.get(item.get("key")) in (item.get("values") or ())
            for item in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )


def _zone_requirements(volumes: Sequence[Obj]) -> list[selectors.Requirement]:
    out = []
    for volume in volumes:
        labels = labels_of(volume)
        out += [(key, "in", tuple(labels[key].split("__"))) for key in _ZONES if key in labels]
    return out


def _zone(zones: Sequence[selectors.Requirement]) -> Check:
    def check(node: NodeInfo) -> Verdict | None:
        if not any(key in node.labels for key in _ZONES):
            return None  # a cluster without zones
        if selectors.matches(tuple(zones), node.labels):
            return None
        return Verdict("VolumeZone", (why.VOLUME_ZONE,), True)

    return check
