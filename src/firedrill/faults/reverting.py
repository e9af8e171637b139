"""Taking an injection back as if it had never been: for tests and tools, not what an operator does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.faults.base import OPERATOR, Injection
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, controller_of, dig, name_of, namespace_of, thaw

if TYPE_CHECKING:
    from firedrill.world import World

_CLAIMS = "persistentvolumeclaims"
_BOOKKEEPING = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)


def revert(world: World, injection: Injection) -> None:
    """Take it back: every object as it was, every part of a node running again."""
    from firedrill.world.kube.kubelet import nodes

    client = Client(world, manager=OPERATOR, trusted=True)
    for step in injection.undo:
        if step.resource == "node-part":
            nodes.start(world, step.namespace, step.name)
            continue
        if step.resource == "node-pressure":
            nodes.set_pressure(world, step.namespace, step.name, on=False)
            for pod in evicted(world, step.namespace):
                client.delete("pods", namespace_of(pod), name_of(pod))
            continue
        if step.resource == "effect":
            effects.remove(world, step.name)
            continue
        now = client.find(step.resource, step.namespace, step.name)
        if step.was is None:
            if now is not None:
                client.delete(step.resource, step.namespace, step.name, propagation="Background")
        elif step.resource == _CLAIMS:
            _give_back(client, step.was, now)
        elif now is None:
            client.create(fresh(step.was))
        else:
            kept = {key: item for key, item in thaw(step.was).items() if key != "status"}
            held = {key: now["metadata"][key] for key in ("uid", "resourceVersion")}
            kept["metadata"] = {**kept["metadata"], **held}
            client.update(kept)


def evicted(world: World, node: str = "") -> list[Obj]:
    """The pods that were evicted and that others have replaced, of a node or of all.

    They stay until somebody deletes them: the garbage collector leaves them until there are thousands.
    """
    return [
        pod
        for pod in world.cluster.store.list("pods")
        if dig(pod, "status", "phase") == "Failed"
        and dig(pod, "status", "reason") == "Evicted"
        and controller_of(pod) is not None
        and node in ("", dig(pod, "spec", "nodeName"))
    ]


def _give_back(client: Client, was: Obj, now: Obj | None) -> None:
    """Make a claim anew as it was, and keep its volume for it, as an operator does."""
    namespace, name = was["metadata"]["namespace"], was["metadata"]["name"]
    if now is not None:
        client.patch(_CLAIMS, namespace, name, {"metadata": {"finalizers": None}})
        if client.find(_CLAIMS, namespace, name) is not None:  # one that was to go is gone by now
            client.delete(_CLAIMS, namespace, name)
    volume = str(was["spec"].get("volumeName") or "")
    if volume and client.find("persistentvolumes", "", volume) is not None:
        reserved = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
        client.patch("persistentvolumes", "", volume, {"spec": {"claimRef": None}})
        client.patch("persistentvolumes", "", volume, {"spec": {"claimRef": reserved}})
    client.create(fresh(was))


def fresh(obj: Obj) -> Obj:
    """The object as it would be created again: without status and what a server fills in."""
    out = {key: item for key, item in thaw(obj).items() if key != "status"}
    out["metadata"] = {key: item for key, item in out["metadata"].items() if key not in _BOOKKEEPING}
    return out
