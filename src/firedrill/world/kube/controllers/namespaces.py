"""Namespaces: what the API adds to them, and how one goes away with all it holds.

Source: the namespace controller of Kubernetes 1.31 (its messages are wire facts).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.base import Controller, Later, register
from firedrill.world.kube.objects import Obj, condition, dig, is_deleting, meta, name_of, with_condition

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_NAME = "namespace-controller"
_NAME_LABEL = "kubernetes.io/metadata.name"
_FINALIZER = "kubernetes"
_GRACE = (5000, 5050)
_FINALIZER_SECONDS = 15


def _prepare(_: World, new: Obj, old: Obj | None) -> Obj:
    """What every namespace has: its name as a label, a finalizer, a phase."""
    labels = meta(new).get("labels") or {}
    if labels.get(_NAME_LABEL) != name_of(new):
        new = {**new, "metadata": {**new["metadata"], "labels": {**labels, _NAME_LABEL: name_of(new)}}}
    if old is not None:
        return new
    finalizers = dig(new, "spec", "finalizers", default=[])
    if _FINALIZER not in finalizers:
        finalizers = [*finalizers, _FINALIZER]
    return {**new, "spec": {"finalizers": finalizers}, "status": {"phase": "Active"}}


def _keys(_: World, change: Change) -> Iterable[str]:
    return (name_of(change.obj),) if change.type != "DELETED" and is_deleting(change.obj) else ()


def _resync(world: World) -> Iterable[str]:
    return [name_of(obj) for obj in world.cluster.store.list("namespaces") if is_deleting(obj)]


def _reconcile(world: World, name: str) -> None:
    store, client = world.cluster.store, component_client(world, _NAME)
    namespace = store.get("namespaces", "", name)
    if namespace is None or not is_deleting(namespace):
        return
    if _FINALIZER not in dig(namespace, "spec", "finalizers", default=()):
        return
    refusals, wait = _delete_content(world, name)
    remaining, finalizers = _left(world, name)
    seconds = _estimate(world, name, wait, bool(finalizers)) if remaining else 0
    conditions = _conditions(world, namespace, refusals, remaining, finalizers)
    client.update_status(namespace, {"phase": "Terminating", "conditions": conditions})
    if refusals:
        raise Later
    if remaining:
        if seconds == 0:
            raise Later
        raise Later((seconds // 2 + 1) * 1000)
    kept = [item for item in namespace["spec"]["finalizers"] if item != _FINALIZER]
    latest = client.get("namespaces", "", name)
    client.update({**latest, "spec": {"finalizers": kept} if kept else {}}, "finalize")


def _contents(world: World, name: str) -> list[str]:
    """The resources that hold something in the namespace; from 1.33 on pods come first."""
    store, kinds = world.cluster.store, world.cluster.kinds
    found = []
    for resource in store.resources():
        kind = kinds.storage(resource)
        if kind is not None and kind.namespaced and store.count(resource, name):
            found.append(resource)
    if world.cluster.settings.minor >= 33:
        found.sort(key=lambda resource: resource != "pods")
    return found


def _delete_content(world: World, name: str) -> tuple[list[str], int]:
    """Delete all there is; returns what went wrong, and the longest time that a pod may take."""
    client = component_client(world, _NAME)
    refusals: list[str] = []
    wait = 0
    for resource in _contents(world, name):
        if resource == "pods":
            pods = [
                pod
                for pod in world.cluster.store.list("pods", name)
                if dig(pod, "status", "phase") not in {"Succeeded", "Failed"}
            ]
            graces = [int(dig(pod, "spec", "terminationGracePeriodSeconds", default=0)) for pod in pods]
            wait = max(graces, default=0)
        try:
            client.delete_collection(resource, name, propagation="Background")
        except ApiError as refusal:
            refusals.append(refusal.message)
        if (
            resource == "pods"
            and world.cluster.settings.minor >= 33
            and world.cluster.store.count("pods", name)
        ):
            break
    return refusals, wait


def _left(world: World, name: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many objects of each resource are left, and how many of them each finalizer holds back."""
    store = world.cluster.store
    remaining: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for resource in _contents(world, name):
        plural, _, group = resource.partition(".")
        items = store.list(resource, name)
        remaining[f"{plural}.{group}"] = len(items)
        for obj in items:
            for finalizer in meta(obj).get("finalizers") or ():
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    return remaining, finalizers


def _estimate(world: World, name: str, wait: int, finalizers: bool) -> int:
    if world.cluster.store.count("pods", name) and wait:
        return wait
    return _FINALIZER_SECONDS if finalizers else 0


def _conditions(
    world: World,
    namespace: Obj,
    refusals: list[str],
    remaining: dict[str, int],
    finalizers: dict[str, int],
) -> list[Obj]:
    left = ", ".join(f"{what} has {count} resource instances" for what, count in sorted(remaining.items()))
    held = ", ".join(f"{what} in {count} resource instances" for what, count in sorted(finalizers.items()))
    failed = "Failed to delete all resource types, {} remaining: {}"
    facts = (
        (
            "NamespaceDeletionDiscoveryFailure",
            False,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            bool(refusals),
            "ContentDeletionFailed" if refusals else "ContentDeleted",
            failed.format(len(refusals), ", ".join(refusals))
            if refusals
            else "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            bool(remaining),
            "SomeResourcesRemain" if remaining else "ContentRemoved",
            f"Some resources are remaining: {left}" if remaining else "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            bool(finalizers),
            "SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {held}"
            if finalizers
            else "All content-preserving finalizers finished",
        ),
    )
    out: list[Obj] = list(dig(namespace, "status", "conditions", default=()))
    for type_, holds, reason, message in facts:
        text = "True" if holds else "False"
        old = condition(namespace, type_)
        if old is not None and (old.get("status"), old.get("message")) == (text, message):
            continue
        new = {"type": type_, "status": text, "reason": reason, "message": message}
        out = with_condition(out, new, world.time)
    return out


strategy.on_write("namespaces", _prepare)
CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={"namespaces": _keys},
        reconcile=_reconcile,
        resync=_resync,
        delay=_GRACE,
    )
)
