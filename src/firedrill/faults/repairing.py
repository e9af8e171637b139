"""What an operator would do about a fault: calls of the API under an ordinary identity."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.faults._diff import (
    RESTARTED,
    differences,
    merge_patch,
    plain,
    put_at,
    stamp_of,
    strategic_patch,
    value_at,
)
from firedrill.faults.acting import matters, recreated
from firedrill.faults.base import NO_OBJECTS, Change, Injection, Step
from firedrill.faults.reverting import evicted, fresh
from firedrill.world.kube.api import Client
from firedrill.world.kube.api.request import ADMIN, User
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

_CLAIMS = "persistentvolumeclaims"
_VOLUMES = "persistentvolumes"
_WORKLOADS = frozenset({"deployments.apps", "statefulsets.apps", "daemonsets.apps"})
_SHORT = {
    "deployments.apps": "deployment",
    "statefulsets.apps": "statefulset",
    "daemonsets.apps": "daemonset",
    "services": "service",
    "configmaps": "configmap",
    "secrets": "secret",
    "pods": "pod",
    "nodes": "node",
    "namespaces": "namespace",
    _CLAIMS: "pvc",
    _VOLUMES: "pv",
}
_MANAGERS = {
    "create": "kubectl-create",
    "update": "kubectl-replace",
    "patch": "kubectl-patch",
    "delete": "kubectl",
    "restart": "kubectl-rollout",
    "scale": "kubectl-scale",
}


def repair(world: World, injection: Injection) -> tuple[Step, ...] | None:
    """What an operator would do now; None where no call of the API mends it.

    Raises:
        InputError: the library has no such fault.
    """
    from firedrill.faults import find

    how = find(injection.fault).repair
    return None if how is None else how(world, injection)


def apply(world: World, step: Step, user: User = ADMIN) -> None:
    """Send the call of a step.

    Raises:
        ApiError: it is refused.
    """
    client = Client(world, user, manager=_MANAGERS[step.verb])
    place = (step.resource, step.namespace, step.name)
    if step.verb == "create":
        client.create(step.body)
    elif step.verb == "update":
        now = client.get(*place)
        version = {"resourceVersion": now["metadata"]["resourceVersion"]}
        client.update({**step.body, "metadata": {**step.body["metadata"], **version}}, step.subresource)
    elif step.verb == "delete":
        client.delete(*place, propagation="Background")
    elif step.verb == "restart":
        stamp = {"annotations": {RESTARTED: world.time}}
        client.patch(*place, {"spec": {"template": {"metadata": stamp}}}, patch_type="strategic")
    else:
        sub = "scale" if step.verb == "scale" else step.subresource
        client.patch(*place, step.body, patch_type=step.patch_type, subresource=sub)


def command_of(step: Step) -> str:
    """The step as a line for a terminal."""
    kind = _SHORT.get(step.resource, step.resource)
    words = ["kubectl", *(["-n", step.namespace] if step.namespace else [])]
    text = orjson.dumps(step.body).decode() if step.body is not None else ""
    if step.verb in {"create", "update"}:
        action = "create" if step.verb == "create" else "replace"
        return f"{shlex.join([*words, action, '-f', '-'])} <<< {shlex.quote(text)}"
    if step.verb == "restart":
        return shlex.join([*words, "rollout", "restart", f"{kind}/{step.name}"])
    if step.verb == "scale":
        copies = f"--replicas={dig(step.body, 'spec', 'replicas')}"
        return shlex.join([*words, "scale", f"{kind}/{step.name}", copies])
    if step.verb == "delete":
        return shlex.join([*words, "delete", kind, step.name])
    more = [f"--subresource={step.subresource}"] if step.subresource else []
    return shlex.join([*words, "patch", kind, step.name, *more, "--type", step.patch_type, "-p", text])


def inverse(world: World, injection: Injection) -> tuple[Step, ...]:
    """The way back through the API: each change undone, the last one first, then what must start anew."""
    first: list[Step] = []
    last: list[Step] = []
    for change in reversed(injection.changes):
        if change.resource in NO_OBJECTS:
            continue
        if matters(change):
            first += _undone(world, change)
            last += _stuck(world, change)
        elif stamp_of(change.after):
            last.append(restart_of(change.resource, change.namespace, change.name))
    return (*first, *last)


def leftovers(world: World) -> tuple[Step, ...]:
    """What is still to be cleared away once a fault is over: evicted pods, which others have replaced.

    Whoever ends the pressure of a node deletes them too; see `reverting.evicted`.
    """
    return tuple(
        Step("an evicted pod is only a record", "delete", "pods", namespace_of(pod), name_of(pod))
        for pod in evicted(world)
    )


def restart_of(resource: str, namespace: str, name: str) -> Step:
    """A restart of a workload's pods."""
    return Step(
        "start its pods anew, so that they read what is there now", "restart", resource, namespace, name
    )


def back(world: World, resource: str, namespace: str, name: str, patch: Any, text: str) -> tuple[Step, ...]:
    """One merge patch, where the object is there."""
    if world.cluster.store.get(resource, namespace, name) is None:
        return ()
    return (Step(text, "patch", resource, namespace, name, patch),)


def _undone(world: World, change: Change) -> list[Step]:
    place = (change.resource, change.namespace, change.name)
    now = world.cluster.store.get(*place)
    if change.before is None:
        return [] if now is None else [Step("take away what should not be there", "delete", *place)]
    if now is None:
        return [Step("make again what is missing", "create", *place, fresh(change.before))]
    if recreated(change):
        if change.resource == _CLAIMS:
            return _claimed(world, change, now)
        if change.resource not in _WORKLOADS:
            return _again(change)
    if change.after is None:
        return []
    wanted = here = plain(now)
    found = differences(plain(change.before), plain(change.after))
    leaves = [leaf for leaf in found if value_at(here, leaf.path) == leaf.after]
    if not leaves:
        return []
    surgical = strategic_patch(leaves) if change.resource in _WORKLOADS else None
    if surgical is not None and list(surgical.get("spec") or ()) != ["replicas"]:
        return [Step("set back what was changed", "patch", *place, surgical, "strategic")]
    for leaf in leaves:
        wanted = put_at(wanted, leaf.path, leaf.before)
    patch = merge_patch(here, _pruned(wanted, plain(change.before)))
    if list(patch) == ["spec"] and list(patch["spec"]) == ["replicas"] and change.resource.endswith(".apps"):
        return [Step("bring its copies back", "scale", *place, patch)]
    return [Step("set back what was changed", "patch", *place, patch)]


def _pruned(wanted: Any, before: Any) -> Any:
    """Without the empty mappings that are left where the object had nothing."""
    if isinstance(wanted, dict):
        kept = {}
        for key, item in wanted.items():
            there = before.get(key) if isinstance(before, dict) else None
            inner = _pruned(item, there)
            if inner == {} and there is None:
                continue
            kept[key] = inner
        return kept
    if isinstance(wanted, list):
        names = (
            {item.get("name"): item for item in before or () if isinstance(item, dict)}
            if isinstance(before, list)
            else {}
        )
        return [
            _pruned(item, names.get(item.get("name"))) if isinstance(item, dict) else item for item in wanted
        ]
    return wanted


def _again(change: Change) -> list[Step]:
    place = (change.resource, change.namespace, change.name)
    assert change.before is not None
    return [
        Step("it cannot be changed in place", "delete", *place),
        Step("make it as it was", "create", *place, fresh(change.before)),
    ]


def _claimed(world: World, change: Change, now: Obj) -> list[Step]:
    """A claim as it was, with its volume kept for it."""
    was = change.before
    assert was is not None
    place = (change.resource, change.namespace, change.name)
    out = [
        Step(
            "let the wrong claim go, whoever waits for it",
            "patch",
            *place,
            {"metadata": {"finalizers": None}},
        )
    ]
    if not dig(now, "metadata", "finalizers"):
        out = []
    out.append(Step("a claim cannot be changed in place", "delete", *place))
    volume = str(dig(was, "spec", "volumeName", default=""))
    if volume and world.cluster.store.get(_VOLUMES, "", volume) is not None:
        keep = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": change.name,
            "namespace": change.namespace,
        }
        out.append(Step("free its volume", "patch", _VOLUMES, "", volume, {"spec": {"claimRef": None}}))
        out.append(
            Step("keep the volume for it", "patch", _VOLUMES, "", volume, {"spec": {"claimRef": keep}})
        )
    out.append(Step("make the claim as it was", "create", *place, fresh(was)))
    return out


def _stuck(world: World, change: Change) -> list[Step]:
    """A StatefulSet waits for its broken pod for ever: the pod is deleted, as its documentation tells."""
    if change.resource != "statefulsets.apps" or change.before is None or change.after is None:
        return []
    if change.before["spec"]["template"] == change.after["spec"]["template"]:
        return []
    wanted = change.before["spec"]["selector"]
    return [
        Step(
            "a StatefulSet does not replace a pod that never became ready",
            "delete",
            "pods",
            change.namespace,
            name_of(pod),
        )
        for pod in world.cluster.store.list("pods", change.namespace)
        if selects(wanted, labels_of(pod)) and (condition(pod, "Ready") or {}).get("status") != "True"
    ]
