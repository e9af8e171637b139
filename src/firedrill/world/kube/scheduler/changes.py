"""Which changes may help which waiting pods.

Source: the events that the plugins of kube-scheduler 1.31 register, and its check of a node's basics before
a pod is woken for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firedrill.world.kube.objects import Obj, dig, is_deleting, labels_of, name_of, namespace_of
from firedrill.world.kube.scheduler.filters import admits
from firedrill.world.kube.scheduler.nodeinfo import is_finished, node_info
from firedrill.world.kube.scheduler.podinfo import PodInfo, pod_info
from firedrill.world.kube.store import Change

NAME = "default-scheduler"
_ALL = frozenset({"*"})
_VOLUMES = frozenset({"VolumeBinding", "VolumeZone", "VolumeRestrictions", "NodeVolumeLimits"})
_FREED = frozenset(
    {
        "NodePorts",
        "NodeResourcesFit",
        "VolumeRestrictions",
        "NodeVolumeLimits",
        "PodTopologySpread",
        "InterPodAffinity",
    }
)
_LABELS = frozenset(
    {"NodeAffinity", "PodTopologySpread", "InterPodAffinity", "VolumeBinding", "VolumeZone", "NodeName"}
)
_POD_RULES = frozenset({"PodTopologySpread", "InterPodAffinity"})
STORAGE = (
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses.storage.k8s.io",
    "csinodes.storage.k8s.io",
)


def is_ours(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is one that this scheduler has to place."""
    spec = pod.get("spec") or {}
    return (
        not spec.get("nodeName")
        and (spec.get("schedulerName") or NAME) == NAME
        and not is_finished(pod)
        and not is_deleting(pod)
    )


def is_gated(pod: Mapping[str, Any]) -> bool:
    """Whether scheduling gates hold the pod back."""
    return bool(dig(pod, "spec", "schedulingGates"))


def is_interesting(change: Change) -> bool:
    """Whether the scheduler has to do something at a change; a cheap look that errs towards yes."""
    if change.resource == "pods":
        return _pod_interesting(change.obj, change.previous, change.type)
    if change.resource == "nodes":
        return change.type == "ADDED" or bool(node_plugins(change.obj, change.previous))
    return change.type != "DELETED"


def _pod_interesting(pod: Obj, previous: Obj | None, type_: str) -> bool:
    if not dig(pod, "spec", "nodeName"):
        if previous is None or type_ == "DELETED":
            return True
        return (
            pod.get("spec") != previous.get("spec")
            or labels_of(pod) != labels_of(previous)
            or is_deleting(pod) != is_deleting(previous)
        )
    if type_ == "DELETED" or previous is None or not dig(previous, "spec", "nodeName"):
        return True
    return labels_of(pod) != labels_of(previous) or is_finished(pod) != is_finished(previous)


def node_plugins(node: Mapping[str, Any], previous: Mapping[str, Any] | None) -> frozenset[str]:
    """The plugins whose refusals a new version of a node may change."""
    if previous is None:
        return _ALL
    out: frozenset[str] = frozenset()
    if labels_of(node) != labels_of(previous):
        out |= _LABELS
    # A new node is passed over while its taints keep pods away, so losing them counts like its arrival.
    for field in ("taints", "unschedulable"):
        if (dig(node, "spec", field) or None) != (dig(previous, "spec", field) or None):
            return _ALL
    if dig(node, "status", "allocatable") != dig(previous, "status", "allocatable"):
        out |= {"NodeResourcesFit"}
    return out


def woken(change: Change, waiting: Mapping[str, tuple[PodInfo, tuple[str, ...]]]) -> Iterable[str]:
    """The waiting pods that a change may help.

    Args:
        change: of any resource.
        waiting: each waiting pod and the plugins that refused it.
    """
    if change.resource == "nodes":
        return _by_node(change, waiting)
    if change.resource in STORAGE:
        return _by_storage(change, waiting)
    if change.resource == "pods":
        return _by_pod(change, waiting)
    return ()


def _by_node(change: Change, waiting: Mapping[str, tuple[PodInfo, tuple[str, ...]]]) -> list[str]:
    if change.type == "DELETED":
        return []
    plugins = node_plugins(change.obj, change.previous)
    if not plugins:
        return []
    bare = node_info(change.obj, ())
    return [
        key
        for key, (pod, refused) in waiting.items()
        if (plugins is _ALL or not refused or plugins.intersection(refused)) and admits(pod, bare)
    ]


def _by_storage(change: Change, waiting: Mapping[str, tuple[PodInfo, tuple[str, ...]]]) -> list[str]:
    if change.type == "DELETED":
        return []
    out = []
    for key, (pod, refused) in waiting.items():
        if not _VOLUMES.intersection(refused):
            continue
        if change.resource == "persistentvolumeclaims" and (
            namespace_of(change.obj) != pod.namespace or name_of(change.obj) not in pod.claims
        ):
            continue
        out.append(key)
    return out


def _by_pod(change: Change, waiting: Mapping[str, tuple[PodInfo, tuple[str, ...]]]) -> list[str]:
    pod, previous = change.obj, change.previous
    if not dig(pod, "spec", "nodeName"):
        return []
    gone = change.type == "DELETED" or (
        previous is not None and is_finished(pod) and not is_finished(previous)
    )
    if gone:
        return [key for key, (_, refused) in waiting.items() if _FREED.intersection(refused)]
    arrived = previous is None or not dig(previous, "spec", "nodeName")
    if not arrived and previous is not None and labels_of(pod) == labels_of(previous):
        return []
    here = pod_info(pod)
    return [
        key
        for key, (item, refused) in waiting.items()
        if _POD_RULES.intersection(refused) and _concerns(item, here)
    ]


def _concerns(pod: PodInfo, other: PodInfo) -> bool:
    """Whether the arrival of another pod may let this one in: by affinity, or by evening out a spread."""
    if any(term.matches(other.namespace, other.labels, {}) for term in pod.affinity):
        return True
    return any(
        rule.hard and rule.selector is not None and pod.namespace == other.namespace for rule in pod.spread
    )
