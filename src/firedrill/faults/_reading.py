"""What the pods of a workload read, are told and write, as its template says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults.fitting import graph_of, main_container, pods_of
from firedrill.world.kube.objects import Obj, containers_of, dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world import World

_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?P<host>[a-z][a-z0-9-]*)(?:\.[a-z0-9.-]+)?:(?P<port>\d{2,5})"
)


def read_by(owner: Obj, kind: str) -> list[str]:
    """The ConfigMaps (`configMap`) or Secrets (`secret`) that a pod of the workload cannot do without."""
    spec = owner["spec"]["template"]["spec"]
    found: dict[str, None] = {}
    for volume in spec.get("volumes") or ():
        for source in (volume, *(dig(volume, "projected", "sources") or ())):
            said = source.get(kind) or {}
            name = said.get("secretName") or said.get("name")
            if name and not said.get("optional"):
                found[str(name)] = None
    for container in containers_of(spec):
        for ref in _references(container, kind):
            if ref.get("name") and not ref.get("optional"):
                found[str(ref["name"])] = None
    return list(found)


def _references(container: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for item in container.get("env") or ():
        yield dig(item, "valueFrom", f"{kind}KeyRef", default={})
    for item in container.get("envFrom") or ():
        yield item.get(f"{kind}Ref") or {}


def keys_of(world: World, owner: Obj) -> Iterator[tuple[str, str]]:
    """The keys of Secrets that are variables of the workload's main container."""
    for item in main_container(world, owner).get("env") or ():
        ref = dig(item, "valueFrom", "secretKeyRef", default={})
        secret = world.cluster.store.get("secrets", namespace_of(owner), str(ref.get("name") or ""))
        if not ref.get("optional") and ref.get("key") in dig(secret, "data", default={}):
            yield str(ref["name"]), str(ref["key"])


def logs_in(world: World, owner: Obj, secret: str, key: str) -> bool:
    """Whether a key of a Secret is what both ends of a connection must know; True where that is unknown."""
    graph = graph_of(world)
    if graph is None:
        return True
    wanted = {"name": secret, "key": key}
    names = {
        str(item["name"])
        for item in main_container(world, owner).get("env") or ()
        if wanted.items() <= dig(item, "valueFrom", "secretKeyRef", default={}).items()
    }
    for service in graph.app.services:
        here = (service.workload[1], *(place[1] for place in service.also))
        for call in (call for operation in service.operations for call in operation.calls):
            both = call.credential
            if both is not None and name_of(owner) in here and both.client in names:
                return True
            behind = next(other for other in graph.app.services if other.name == call.service)
            if both is not None and name_of(owner) == behind.workload[1] and both.server in names:
                return True
    return False


def addresses_of(world: World, owner: Obj) -> Iterator[tuple[str, str, str]]:
    """(variable, value, host) of the variables that hold the address of a Service of the namespace."""
    for item in main_container(world, owner).get("env") or ():
        value = str(item.get("value") or "")
        match = _ADDRESS.fullmatch(value)
        if match and world.cluster.store.get("services", namespace_of(owner), match["host"]) is not None:
            yield str(item["name"]), value, match["host"]


def written_by(world: World, owner: Obj) -> list[str]:
    """Where the main container mounts what it may write to and keep: claims and empty folders."""
    spec = owner["spec"]["template"]["spec"]
    kept = {
        volume["name"]
        for pod in pods_of(world, owner)[:1]
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume or "emptyDir" in volume
    }
    names = {volume["name"] for volume in spec.get("volumes") or ()}
    return [
        str(mount["mountPath"])
        for mount in main_container(world, owner).get("volumeMounts") or ()
        if mount["name"] in kept & names and not mount.get("readOnly")
    ]
