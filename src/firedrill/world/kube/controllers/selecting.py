"""Which pods a Service selects, on which of their ports, and which changes of a pod it has to know of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from firedrill.world.kube import selectors
from firedrill.world.kube.controllers.base import key_of
from firedrill.world.kube.objects import (
    Obj,
    condition,
    dig,
    is_deleting,
    labels_of,
    meta,
    name_of,
    namespace_of,
)
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.kube.store import Store
    from firedrill.world.world import World

HEADLESS = "service.kubernetes.io/headless"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_ENDED = frozenset({"Succeeded", "Failed"})


def selected_pods(store: Store, service: Mapping[str, Any]) -> list[Obj]:
    """The pods of a Service with a selector, by name."""
    wanted = selectors.of_map(dig(service, "spec", "selector"))
    if wanted is None:
        return []
    key, _, values = wanted[0]
    found = store.pods_labelled(namespace_of(service), key, values[0])
    return sorted((pod for pod in found if selectors.matches(wanted, labels_of(pod))), key=name_of)


def serves(pod: Mapping[str, Any], *, terminating: bool) -> bool:
    """Whether the pod can be an endpoint at all: it has an address and has not ended."""
    if dig(pod, "status", "phase") in _ENDED or not dig(pod, "status", "podIP"):
        return False
    return terminating or not is_deleting(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's `Ready` condition is true."""
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def port_of(pod: Mapping[str, Any], port: Mapping[str, Any]) -> int | None:
    """The number that a Service port has on this pod; None where the pod has no port of that name."""
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    protocol = port.get("protocol") or "TCP"
    for container in dig(pod, "spec", "containers", default=()):
        for item in container.get("ports") or ():
            if item.get("name") == target and (item.get("protocol") or "TCP") == protocol:
                return int(item["containerPort"])
    return None


def target_of(pod: Mapping[str, Any]) -> Obj:
    """The `targetRef` of an endpoint."""
    here = meta(pod)
    return {"kind": "Pod", "namespace": here["namespace"], "name": here["name"], "uid": here["uid"]}


def hostname_of(pod: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """The pod's name within the Service's domain; empty where it has none."""
    spec = pod.get("spec") or {}
    return str(spec.get("hostname") or "") if spec.get("subdomain") == name_of(service) else ""


def is_headless(service: Mapping[str, Any]) -> bool:
    """Whether the Service has no address of its own."""
    return str(dig(service, "spec", "clusterIP")) == "None"


def services_of(world: World, change: Change) -> Iterable[str]:
    """The Services that a change of a pod concerns."""
    old, new = change.previous, change.obj
    gone = change.type == "DELETED"
    if old is not None and not gone and _seen(old) == _seen(new):
        return ()
    labels = [labels_of(new)]
    if old is not None and labels_of(old) != labels[0]:
        labels.append(labels_of(old))
    out = []
    space = namespace_of(new)
    for service in world.cluster.store.list("services", space):
        wanted = selectors.of_map(dig(service, "spec", "selector"))
        if wanted is not None and any(selectors.matches(wanted, item) for item in labels):
            out.append(key_of(space, name_of(service)))
    return out


def _seen(pod: Mapping[str, Any]) -> tuple[Any, ...]:
    status = pod.get("status") or {}
    return (
        meta(pod).get("labels"),
        meta(pod).get("deletionTimestamp"),
        status.get("podIP"),
        status.get("phase") in _ENDED,
        is_ready(pod),
        dig(pod, "spec", "nodeName"),
    )


class Triggers:
    """For each Service, the times of the newest changes that its endpoints have followed."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], tuple[str, tuple[tuple[str, str], ...]]] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.seen = self.seen.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return sorted([*key, when, *pods] for key, (when, pods) in self.seen.items())

    def newest(self, who: str, service: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> str:
        """The earliest change that `who` had not seen yet; empty where there is none.

        Source: the trigger time tracker of Kubernetes' endpoint controllers.
        """
        key = (who, key_of(namespace_of(service), name_of(service)))
        served, before = self.seen.get(key, ("", ()))
        known = dict(before)
        now: dict[str, str] = {}
        changed = []
        for pod in pods:
            when = str((condition(pod, "Ready") or {}).get("lastTransitionTime") or "")
            if when > known.get(name_of(pod), ""):
                changed.append(when)
            now[name_of(pod)] = when
        made = str(meta(service).get("creationTimestamp") or "")
        if made > served:
            changed.append(made)
        self.seen[key] = (made, tuple(sorted(now.items())))
        return min(changed, default="")

    def forget(self, who: str, key: str) -> None:
        """Drop what is known of a Service that is gone."""
        self.seen.pop((who, key), None)
