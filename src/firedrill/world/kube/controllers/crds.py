"""CustomResourceDefinitions: their names are accepted and established, and they take their objects along.

Source: the apiextensions server of Kubernetes 1.31 (naming, establishing and finalizing controllers).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.base import Controller, Later, register
from firedrill.world.kube.objects import Obj, condition, dig, is_deleting, meta, name_of, with_condition

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_SERVER = User("system:apiserver", ("system:masters",))
_NAMES = (("plural", "Plural"), ("singular", "Singular"), ("kind", "Kind"), ("listKind", "ListKind"))


def prepare(_: World, new: Obj, old: Obj | None) -> Obj:
    """The names that follow from others, and the versions that objects are stored in."""
    spec = dict(new.get("spec") or {})
    names = dict(spec.get("names") or {})
    kind = str(names.get("kind") or "")
    names["singular"] = names.get("singular") or kind.lower()
    names["listKind"] = names.get("listKind") or f"{kind}List"
    spec["names"] = names
    status = dict(new.get("status") or {})
    versions = [str(item) for item in status.get("storedVersions") or ()]
    for item in spec.get("versions") or ():
        if item.get("storage") and item.get("name") not in versions:
            versions.append(str(item.get("name")))
    status["storedVersions"] = versions
    if old is None:
        status = {"storedVersions": versions}
    return {**new, "spec": spec, "status": status}


def _keys(_: World, change: Change) -> Iterable[str]:
    old, new = change.previous, change.obj
    if change.type == "DELETED" or (old is not None and _wanted(old) == _wanted(new)):
        return ()
    return (name_of(new),)


def _wanted(obj: Obj) -> tuple[Any, ...]:
    return dig(obj, "spec", "names"), is_deleting(obj), meta(obj).get("finalizers")


def _reconcile(world: World, name: str) -> None:
    definition = world.cluster.store.get(CRDS, "", name)
    if definition is None:
        return
    if is_deleting(definition):
        _clean_up(world, definition)
        return
    client = Client(world, _SERVER, manager="kube-apiserver", trusted=True)
    names = dict(dig(definition, "spec", "names", default={}))
    accepted, problem = _accepted(world, definition, names)
    conditions = dig(definition, "status", "conditions", default=[])
    if problem is None:
        facts = [
            ("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
            ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
        ]
    else:
        facts = [("NamesAccepted", "False", *problem)]
        if condition(definition, "Established") is None:
            facts.append(("Established", "False", "NotAccepted", "not all names are accepted"))
    for type_, status, reason, message in facts:
        new = {"type": type_, "status": status, "reason": reason, "message": message}
        old = condition(definition, type_)
        if old is None or (old.get("status"), old.get("message")) != (status, message):
            conditions = with_condition(conditions, new, world.time)
    status_now = {
        "conditions": conditions,
        "acceptedNames": accepted,
        "storedVersions": dig(definition, "status", "storedVersions", default=[]),
    }
    client.update_status(definition, status_now)


def _accepted(world: World, definition: Obj, names: Obj) -> tuple[Obj, tuple[str, str] | None]:
    """The names that no other definition of the group has; (reason, message) about the last that is taken."""
    group = dig(definition, "spec", "group")
    others = [
        dig(item, "status", "acceptedNames", default={})
        for item in world.cluster.store.list(CRDS)
        if name_of(item) != name_of(definition) and dig(item, "spec", "group") == group
    ]
    resources = {str(item.get(key)) for item in others for key in ("plural", "singular")}
    resources |= {str(text) for item in others for text in item.get("shortNames") or ()}
    kinds = {str(item.get(key)) for item in others for key in ("kind", "listKind")}
    problem: tuple[str, str] | None = None
    accepted: Obj = {}
    short = [str(text) for text in names.get("shortNames") or ()]
    for key, label in _NAMES:
        text = str(names.get(key) or "")
        if key == "kind" and (taken := [item for item in short if item in resources]):
            problem = ("ShortNamesConflict", f'"{taken[-1]}" is already in use')
        if text in (kinds if "ind" in key else resources):
            problem = (f"{label}Conflict", f'"{text}" is already in use')
        else:
            accepted[key] = text
    if short and not any(item in resources for item in short):
        accepted["shortNames"] = short
    if names.get("categories"):
        accepted["categories"] = list(names["categories"])
    return accepted, problem


def _clean_up(world: World, definition: Obj) -> None:
    """Delete the objects first; the definition goes when none is left."""
    if CLEANUP not in (meta(definition).get("finalizers") or ()):
        return
    store, resource = world.cluster.store, name_of(definition)
    client = Client(world, _SERVER, manager="kube-apiserver", trusted=True)
    _terminating(
        client, definition, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress"
    )
    if world.cluster.kinds.storage(resource) is not None:
        for obj in store.list(resource):
            if not is_deleting(obj):
                client.delete(resource, meta(obj).get("namespace") or "", name_of(obj))
    latest = client.get(CRDS, "", resource)
    if store.count(resource):
        message = "could not confirm zero CustomResources remaining: timed out waiting for the condition"
        _terminating(client, latest, "True", "InstanceDeletionCheck", message)
        raise Later(5000)
    _terminating(client, latest, "False", "InstanceDeletionCompleted", "removed all instances")
    kept = [item for item in meta(latest).get("finalizers") or () if item != CLEANUP]
    client.patch(CRDS, "", resource, {"metadata": {"finalizers": kept or None}})


def _terminating(client: Client, definition: Obj, status: str, reason: str, message: str) -> None:
    new = {"type": "Terminating", "status": status, "reason": reason, "message": message}
    current = client.find(CRDS, "", name_of(definition)) or definition
    old = condition(current, "Terminating")
    if old is not None and (old.get("status"), old.get("reason")) == (status, reason):
        return
    conditions = with_condition(dig(current, "status", "conditions"), new, client.world.time)
    client.update_status(current, {**(current.get("status") or {}), "conditions": conditions})


def _resync(world: World) -> Iterable[str]:
    return [name_of(obj) for obj in world.cluster.store.list(CRDS)]


strategy.on_write(CRDS, prepare)
CONTROLLER = register(
    Controller(
        name="crd-controllers",
        component="kube-apiserver",
        watches={CRDS: _keys},
        reconcile=_reconcile,
        resync=_resync,
    )
)
