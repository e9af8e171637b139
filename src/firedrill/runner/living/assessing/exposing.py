"""What an agent opened: pods with rights over their nodes, policies that let more through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.runner.living.assessing.broken import Broken, entity_of
from firedrill.world.kube.objects import (
    Obj,
    containers_of,
    controller_of,
    dig,
    labels_of,
    name_of,
    namespace_of,
    with_path,
)
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world.world import World

_POLICIES = "networkpolicies.networking.k8s.io"
_CARRIERS = (
    "pods",
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "replicasets.apps",
    "replicationcontrollers",
    "jobs.batch",
    "cronjobs.batch",
)
_SHARED = ("hostNetwork", "hostPID", "hostIPC")


def rights(obj: Obj) -> frozenset[str]:
    """What the pods of a workload (or a pod) may do to their nodes."""
    spec = dig(obj, "spec", "jobTemplate", "spec", "template", "spec") or dig(obj, "spec", "template", "spec")
    if spec is None:
        spec = obj.get("spec") if obj.get("kind") == "Pod" else None
    return frozenset(_rights(spec or {}))


def _rights(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (key for key in _SHARED if spec.get(key))
    for volume in spec.get("volumes") or ():
        if volume.get("hostPath"):
            yield f"hostPath {dig(volume, 'hostPath', 'path', default='')}"
    for container in (*containers_of(spec), *(spec.get("ephemeralContainers") or ())):
        context = container.get("securityContext") or {}
        if context.get("privileged"):
            yield f"privileged {container.get('name')}"
        for capability in dig(context, "capabilities", "add", default=()):
            yield f"{capability} for {container.get('name')}"


def privileged(usual: tuple[World, ...], world: World) -> Iterator[tuple[str, str]]:
    """Workloads and pods that have rights over nodes that they usually have not.

    Of pods that a workload owns, only the containers that somebody has added to them are looked at.
    """
    for resource in _CARRIERS:
        for whole in world.cluster.store.list(resource):
            obj = whole
            if controller_of(whole) is not None:
                if resource != "pods" or not dig(whole, "spec", "ephemeralContainers"):
                    continue
                obj = with_path(
                    whole, ("spec",), {"ephemeralContainers": whole["spec"]["ephemeralContainers"]}
                )
            if dig(obj, "status", "phase") in {"Succeeded", "Failed"}:
                continue
            known = frozenset[str]()
            for one in usual:
                was = one.cluster.store.get(resource, namespace_of(obj), name_of(obj))
                known |= rights(was) if was is not None else frozenset()
            new = rights(obj) - known
            if new:
                yield entity_of(obj), ", ".join(sorted(new))


def opened(before: World, world: World, nobody: World, broken: Broken) -> Iterator[str]:
    """Policies that were added and let traffic through to pods that others had shut off before the fault.

    Where the faults touched a policy of that namespace, another one may be what it takes.
    """
    for policy in world.cluster.store.list(_POLICIES):
        namespace, name = namespace_of(policy), name_of(policy)
        known = any(one.cluster.store.get(_POLICIES, namespace, name) for one in (before, nobody))
        allows = bool(dig(policy, "spec", "ingress") or dig(policy, "spec", "egress"))
        if known or not allows or any(_is_policy(entity, namespace) for entity in broken.objects):
            continue
        shut = before.cluster.store.list(_POLICIES, namespace)
        pods = [labels_of(pod) for pod in world.cluster.store.list("pods", namespace)]
        if any(_takes(policy, labels) and any(_takes(one, labels) for one in shut) for labels in pods):
            yield entity_of(policy)


def _is_policy(entity: str, namespace: str) -> bool:
    return entity.startswith(f"{namespace}/NetworkPolicy/")


def _takes(policy: Obj, labels: Mapping[str, str]) -> bool:
    return selects(dig(policy, "spec", "podSelector", default={}) or {}, labels)


__all__ = ["opened", "privileged", "rights"]
