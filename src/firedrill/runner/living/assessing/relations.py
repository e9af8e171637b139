"""What has to do with a cause: whoever mends it may have to touch that, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults.healing.places import Place, last_version, lifted, of_object, place_of
from firedrill.runner.living.assessing.broken import Broken, entity_of
from firedrill.world.app.traffic import Traffic
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of, uid_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world.world import World

WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps")
_SCALERS = "horizontalpodautoscalers.autoscaling"
_GOVERNORS = frozenset({"Namespace", "ResourceQuota", "LimitRange"})
"""What acts on all pods of a namespace."""
_KINDS = {"deployments.apps": "Deployment", "statefulsets.apps": "StatefulSet"}
_USED = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
    "persistentVolumeClaim": "PersistentVolumeClaim",
}
_DEPTH = 4


def related(before: World, world: World, broken: Broken) -> frozenset[str]:
    """Causes; their owners and what they own; what selects them and what they select; what they mount and who
    mounts them; who calls them. Of what governs a namespace, all workloads of it that suffer.

    Args:
        before: right before the first fault.
        world: when the agent began.
        broken: what the faults did.
    """
    found: dict[str, None] = dict.fromkeys(sorted(broken.objects))
    for entity in sorted(broken.objects):
        place = place_of(world, before, entity)
        if place is None:
            continue
        for one in dict.fromkeys((place, lifted(world, before, place))):
            found |= dict.fromkeys((str(one), *_of(before, world, one)))
    return frozenset(found)


def _of(before: World, world: World, place: Place) -> Iterator[str]:
    for one in (before, world):
        obj = one.cluster.store.get(*place[:3])
        if obj is None:
            continue
        yield from _owned(one, obj)
        yield from _owners(one, obj)
        yield from _selecting(one, obj)
        yield from _selected(one, place, obj)
        yield from _mounted(one, place, obj)
        yield from _callers(one, place)
        if place.kind == "Node":
            yield from (_workload(one, pod) for pod in one.cluster.store.pods_on(place.name))
        if place.kind in _GOVERNORS:
            yield from _suffering(one, place.name if place.kind == "Namespace" else place.namespace)


def _owned(world: World, obj: Obj, depth: int = 0) -> Iterator[str]:
    for resource, namespace, name in world.cluster.store.owned_by(uid_of(obj)):
        child = world.cluster.store.get(resource, namespace, name)
        if child is not None:
            yield entity_of(child)
            if depth < _DEPTH:
                yield from _owned(world, child, depth + 1)


def _owners(world: World, obj: Obj) -> Iterator[str]:
    namespace = namespace_of(obj)
    for owner in dig(obj, "metadata", "ownerReferences", default=()):
        yield f"{namespace or 'cluster'}/{owner['kind']}/{owner['name']}"


def _pod_labels(obj: Obj) -> Mapping[str, str]:
    found = dig(obj, "spec", "template", "metadata", "labels")
    return found or (labels_of(obj) if obj.get("kind") == "Pod" else {})


def _selecting(world: World, obj: Obj) -> Iterator[str]:
    """Services, policies, budgets and autoscalers of a workload."""
    labels, namespace = _pod_labels(obj), namespace_of(obj)
    for scaler in world.cluster.store.list(_SCALERS, namespace):
        target = dig(scaler, "spec", "scaleTargetRef", default={})
        if (target.get("kind"), target.get("name")) == (obj.get("kind"), name_of(obj)):
            yield entity_of(scaler)
    if not labels:
        return
    for resource in ("services", "networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy"):
        for one in world.cluster.store.list(resource, namespace):
            selector = _selector(one)
            if selector is not None and selects(selector, labels):
                yield entity_of(one)


def _selector(obj: Obj) -> Mapping[str, Any] | None:
    """Whom an object selects, where it selects pods."""
    spec = obj.get("spec") or {}
    if obj.get("kind") == "Service":
        return {"matchLabels": dict(spec["selector"])} if spec.get("selector") else None
    for key in ("podSelector", "selector"):
        found = spec.get(key)
        if isinstance(found, Mapping) and ({"matchLabels", "matchExpressions"} & set(found) or not found):
            return found
    return None


def _selected(world: World, place: Place, obj: Obj) -> Iterator[str]:
    """The workloads that an object selects or names."""
    target = dig(obj, "spec", "scaleTargetRef", default={})
    if target.get("name"):
        yield f"{place.namespace}/{target.get('kind')}/{target['name']}"
    selector = _selector(obj)
    if selector is None or place.resource in WORKLOADS:
        return
    for resource in WORKLOADS:
        for owner in world.cluster.store.list(resource, place.namespace):
            if selects(selector, _pod_labels(owner)):
                yield entity_of(owner)


def _mounted(world: World, place: Place, obj: Obj) -> Iterator[str]:
    """What a workload mounts, or the workloads that mount an object; a claim's volume, and its class."""
    spec = dig(obj, "spec", "template", "spec") or (obj.get("spec") if place.kind == "Pod" else None)
    if spec is not None:
        yield from (f"{place.namespace}/{kind}/{name}" for kind, name in used(spec))
        return
    if place.kind == "PersistentVolumeClaim" and dig(obj, "spec", "volumeName"):
        yield f"cluster/PersistentVolume/{obj['spec']['volumeName']}"
    claim = dig(obj, "spec", "claimRef", default={})
    if place.kind == "PersistentVolume" and claim.get("name"):
        yield f"{claim.get('namespace')}/PersistentVolumeClaim/{claim['name']}"
    for resource in WORKLOADS:
        for owner in world.cluster.store.list(resource, place.namespace or None):
            if (place.kind, place.name) in set(used(dig(owner, "spec", "template", "spec", default={}))):
                yield entity_of(owner)


def used(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Kind and name of each ConfigMap, Secret, claim and account that a pod's spec names."""
    if isinstance(value, Mapping):
        if not depth and value.get("serviceAccountName"):
            yield "ServiceAccount", str(value["serviceAccountName"])
        for key, item in value.items():
            kind = _USED.get(key)
            if kind is not None and isinstance(item, Mapping):
                name = item.get("name") or item.get("secretName") or item.get("claimName")
                if name:
                    yield kind, str(name)
            if key == "imagePullSecrets" and isinstance(item, list):
                yield from (("Secret", str(one.get("name"))) for one in item)
            yield from used(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from used(item, depth + 1)


def _callers(world: World, place: Place) -> Iterator[str]:
    """Who calls a workload, by the application's graph."""
    graph = world.cluster.part(Traffic).graph
    if graph is None or place.namespace != graph.app.namespace:
        return
    named = {service.name: service.workload for service in graph.app.services}
    here = {name for name, workload in named.items() if workload == (place.resource, place.name)}
    here |= {place.name} & set(named) if place.kind == "Service" else set()
    for service in graph.app.services:
        calls = {call.service for operation in service.operations for call in operation.calls}
        if calls & here:
            kind = _KINDS.get(service.workload[0], "Deployment")
            yield f"{graph.app.namespace}/{kind}/{service.workload[1]}"


def _suffering(world: World, namespace: str) -> Iterator[str]:
    """The workloads of a namespace that have fewer ready pods than they ask for."""
    for resource in WORKLOADS:
        for owner in world.cluster.store.list(resource, namespace):
            status = owner.get("status") or {}
            wanted = dig(owner, "spec", "replicas", default=status.get("desiredNumberScheduled", 1))
            if (status.get("readyReplicas") or status.get("numberReady") or 0) < int(wanted or 0):
                yield entity_of(owner)


def _workload(world: World, pod: Obj) -> str:
    return str(lifted(world, world, of_object(world, pod)))


def owner_entity(before: World, world: World, entity: str) -> str:
    """The workload behind a pod or ReplicaSet, as an entity; others as they are."""
    place = place_of(world, before, entity)
    if place is None or last_version(world, before, place) is None:
        return entity
    return str(lifted(world, before, place))


__all__ = ["WORKLOADS", "owner_entity", "related", "used"]
