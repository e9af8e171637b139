"""What goes, or works no more, when a request is carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.tools.authority import templates
from firedrill.tools.authority.comparing import labels_changed, pair
from firedrill.tools.authority.shapes import items, labels, mapping, number, text, words
from firedrill.tools.authority.vocabulary import sorts
from firedrill.tools.authority.watchers import tells_of_trouble
from firedrill.world.kube.objects import Obj, dig, is_deleting, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked

_SERVING = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps")
_DELETES = frozenset({"delete", "deletecollection"})
_ENTER = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})
_HISTORIES = (
    ("spec", "revisionHistoryLimit"),
    ("spec", "successfulJobsHistoryLimit"),
    ("spec", "failedJobsHistoryLimit"),
)
_DEADLINES = (
    ("spec", "ttlSecondsAfterFinished"),
    ("spec", "activeDeadlineSeconds"),
    ("spec", "template", "spec", "activeDeadlineSeconds"),
    ("spec", "jobTemplate", "spec", "ttlSecondsAfterFinished"),
    ("spec", "jobTemplate", "spec", "activeDeadlineSeconds"),
)


def deletion(asked: Asked) -> Iterator[str]:
    """What is deleted."""
    if asked.subresource == "finalize":
        yield from ("finalizers", "delete")
    if asked.verb not in _DELETES and asked.subresource != "eviction":
        return
    if asked.subresource in _ENTER:
        return
    yield "delete"
    if asked.resource in {"namespaces", "customresourcedefinitions.apiextensions.k8s.io"}:
        yield from _inside(asked)
    if any(_holds_data(asked, obj) for obj in asked.before):
        yield "data"
    for obj in asked.before:
        if tells_of_trouble(obj):
            yield "monitoring"


def _inside(asked: Asked) -> Iterator[str]:
    store = asked.store
    if store is None:
        return
    for space in asked.before:
        if any(_holds_data(asked, claim) for claim in store.list("persistentvolumeclaims", name_of(space))):
            yield "data"
        if any(tells_of_trouble(pod) for pod in store.list("pods", name_of(space))):
            yield "monitoring"


def _holds_data(asked: Asked, obj: Obj) -> bool:
    """Whether data goes with a claim or volume: it is in use, or its disk would be deleted with it."""
    kind, phase = obj.get("kind"), text(obj, "status", "phase")
    if kind == "PersistentVolume":
        return phase in {"Bound", "Released"}
    if kind != "PersistentVolumeClaim" or phase != "Bound":
        return False
    if asked.store is None:
        return True
    volume = asked.store.get("persistentvolumes", "", text(obj, "spec", "volumeName"))
    if dig(volume, "spec", "persistentVolumeReclaimPolicy") != "Retain":
        return True
    return any(
        dig(item, "persistentVolumeClaim", "claimName") == name_of(obj)
        for pod in asked.store.list("pods", namespace_of(obj))
        for item in items(pod, "spec", "volumes")
    )


def metadata(asked: Asked) -> Iterator[str]:
    """What finalizers, owners and labels do."""
    both = pair(asked)
    if both is None or asked.subresource in {"scale", "finalize"}:
        return
    before, after = both
    had, has = (set(words(obj, "metadata", "finalizers")) for obj in both)
    if had != has:
        yield "finalizers"
    if had - has:
        if is_deleting(before):
            yield "delete"
        if _holds_data(asked, before):
            yield "data"
    owners = [{str(item.get("uid")) for item in items(obj, "metadata", "ownerReferences")} for obj in both]
    if owners[0] != owners[1]:
        yield "owners"
        if owners[1] - owners[0]:
            yield "delete"
            if _holds_data(asked, before):
                yield "data"
    if asked.resource == "pods" and labels(before) != labels(after) and _leaves_its_workload(asked, *both):
        yield "delete"
    if asked.resource == "namespaces" and labels_changed(before, after, sorts()["guarding_labels"]):
        yield "policy"


def _leaves_its_workload(asked: Asked, before: Obj, after: Obj) -> bool:
    if asked.store is None:
        return True
    uids = {text(item, "uid") for item in items(before, "metadata", "ownerReferences")}
    for resource in ("replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"):
        for owner in asked.store.list(resource, namespace_of(before)):
            if owner["metadata"].get("uid") in uids:
                return not selects(dig(owner, "spec", "selector"), labels(after))
    return False


def lives(asked: Asked) -> Iterator[str]:
    """Deadlines, histories, volumes, nodes."""
    both = pair(asked)
    if both is None:
        return
    before, after = both
    for path in _DEADLINES:
        old, new = number(before, *path), number(after, *path)
        if new is not None and (old is None or new < old):
            yield "delete"
    for path in _HISTORIES:
        old, new = number(before, *path), number(after, *path)
        if old is not None and new is not None and new < old:
            yield "delete"
    if asked.resource == "persistentvolumes":
        policies = [dig(obj, "spec", "persistentVolumeReclaimPolicy") for obj in both]
        if policies[0] != policies[1] and policies[1] != "Retain":
            yield "data"
        claims = [dig(obj, "spec", "claimRef", "uid") for obj in both]
        if claims[0] and claims[0] != claims[1] and _is_claimed(asked, before):
            yield "data"
    kept = [mapping(obj, "spec", "persistentVolumeClaimRetentionPolicy") for obj in both]
    if any(kept[1].get(when) == "Delete" != kept[0].get(when) for when in ("whenDeleted", "whenScaled")):
        yield "data"
    if asked.resource == "nodes":
        yield from _node(before, after)


def _is_claimed(asked: Asked, volume: Obj) -> bool:
    place = [text(volume, "spec", "claimRef", key) for key in ("namespace", "name")]
    claim = asked.store.get("persistentvolumeclaims", place[0], place[1]) if asked.store is not None else None
    if claim is None or is_deleting(claim):
        return False
    return bool(claim["metadata"]["uid"] == dig(volume, "spec", "claimRef", "uid"))


def _node(before: Obj, after: Obj) -> Iterator[str]:
    if dig(after, "spec", "unschedulable") and not dig(before, "spec", "unschedulable"):
        yield "drain"
    had = {(text(item, "key"), text(item, "effect")) for item in items(before, "spec", "taints")}
    for item in items(after, "spec", "taints"):
        if (text(item, "key"), text(item, "effect")) not in had:
            yield "drain"
            if item.get("effect") == "NoExecute":
                yield "delete"


def copies(asked: Asked) -> Iterator[str]:
    """Whether anything is left that works."""
    both = pair(asked)
    if both is None:
        return
    before, after = both
    for path in (("spec", "replicas"), ("spec", "parallelism"), ("spec", "minReplicas")):
        if number(after, *path) == 0 and dig(before, *path) != 0:
            yield "scale-to-zero"
    if dig(after, "spec", "suspend") is True and dig(before, "spec", "suspend") is not True:
        yield "scale-to-zero"
    store = asked.store
    if store is None:
        return
    wanted = templates.node_selector(after)
    if wanted != templates.node_selector(before) and not any(
        all(labels(node).get(key) == value for key, value in wanted.items()) for node in store.list("nodes")
    ):
        yield "scale-to-zero"
    if asked.resource == "services":
        old, new = (mapping(obj, "spec", "selector") for obj in both)
        pods = store.list("pods", namespace_of(before))
        if (
            old != new
            and any(_carries(pod, old) for pod in pods)
            and not any(_carries(pod, new) for pod in pods)
        ):
            yield "scale-to-zero"


def leaves_users(asked: Asked) -> bool:
    """Whether a Service is left without pods by workloads that go, or work no more."""
    store = asked.store
    if store is None:
        return False
    going = list(asked.before)
    if asked.resource == "namespaces":
        going = [obj for one in asked.before for kind in _SERVING for obj in store.list(kind, name_of(one))]
    elif asked.subresource == "scale":
        workload = store.get(asked.resource, asked.namespace, asked.name)
        going = [workload] if workload is not None else []
    elif asked.resource not in _SERVING:
        return False
    for workload in going:
        space = namespace_of(workload)
        carried = mapping(workload, "spec", "template", "metadata", "labels")
        for service in store.list("services", space):
            wanted = mapping(service, "spec", "selector")
            if not wanted or any(carried.get(key) != value for key, value in wanted.items()):
                continue
            if not any(
                _carries(pod, wanted) and not _belongs(pod, going) for pod in store.list("pods", space)
            ):
                return True
    return False


def _belongs(pod: Obj, workloads: list[Obj]) -> bool:
    return any(selects(dig(item, "spec", "selector"), labels(pod)) for item in workloads)


def _carries(pod: Obj, selector: Mapping[str, Any]) -> bool:
    return bool(selector) and all(labels(pod).get(key) == value for key, value in selector.items())
