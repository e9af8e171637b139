"""Objects that mechanisms create, and changes of whole workloads that several of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Change, Outcome, client, edit, workload_resource
from firedrill.faults.base import Undo
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

_APPS = "apps/v1"


def cause_of(args: Mapping[str, Any]) -> str:
    """The entity of the workload that the arguments name."""
    return f"{args['namespace']}/{args['kind']}/{args['name']}"


def owner_of(world: World, args: Mapping[str, Any]) -> Obj:
    """The workload that the arguments name.

    Raises:
        ApiError: it is not there.
    """
    return client(world).get(workload_resource(args), args["namespace"], args["name"])


def edit_owner(world: World, args: Mapping[str, Any], change: Change) -> Outcome:
    """Change a workload; it is the cause.

    Raises:
        ApiError: it is not there, or the change is refused.
    """
    undo = edit(world, workload_resource(args), args["namespace"], args["name"], change)
    return (cause_of(args),), (undo,)


def pods_of(world: World, args: Mapping[str, Any]) -> list[Obj]:
    """The pods that a workload has now, by name.

    Raises:
        ApiError: the workload is not there.
    """
    wanted = owner_of(world, args)["spec"]["selector"]
    return [pod for pod in client(world).list("pods", args["namespace"]) if selects(wanted, labels_of(pod))]


def delete_pods(world: World, args: Mapping[str, Any]) -> None:
    """Delete the pods of a workload, as somebody does who wants them made anew.

    Raises:
        ApiError: the workload is not there.
    """
    for pod in pods_of(world, args):
        client(world).delete("pods", args["namespace"], name_of(pod))


def pod_labels(owner: Obj) -> dict[str, str]:
    """The labels that a workload selects its pods by; all of the template's where it selects otherwise."""
    chosen = dig(owner, "spec", "selector", "matchLabels")
    return dict(chosen or dig(owner, "spec", "template", "metadata", "labels") or {})


def node_of_pods(world: World, args: Mapping[str, Any]) -> str:
    """The node of the first pod of a workload that has one; empty where none has.

    Raises:
        ApiError: the workload is not there.
    """
    return next((str(dig(pod, "spec", "nodeName") or "") for pod in pods_of(world, args)), "")


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Obj:
    """A ConfigMap."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}


def running(
    kind: str, namespace: str, name: str, spec: Mapping[str, Any], *, replicas: int = 1, label: str = "app"
) -> Obj:
    """A Deployment or DaemonSet whose pods have this spec."""
    labels = {label: name}
    copies = {"replicas": replicas} if kind == "Deployment" else {}
    template = {"metadata": {"labels": labels}, "spec": dict(spec)}
    return {
        "apiVersion": _APPS,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {**copies, "selector": {"matchLabels": labels}, "template": template},
    }


def mount(
    spec: Obj, container: Obj, volume: Mapping[str, Any], path: str, *, read_only: bool = False
) -> None:
    """Add a volume to a pod's spec and mount it in one of its containers."""
    rest = [item for item in spec.get("volumes") or () if item["name"] != volume["name"]]
    spec["volumes"] = [*rest, dict(volume)]
    mounted: Obj = {"name": volume["name"], "mountPath": path}
    if read_only:
        mounted["readOnly"] = True
    kept = [item for item in container.get("volumeMounts") or () if item["name"] != volume["name"]]
    container["volumeMounts"] = [*kept, mounted]


def add_variables(container: Obj, items: Sequence[Mapping[str, Any]]) -> None:
    """Set variables of a container, those of the same name anew."""
    names = {item["name"] for item in items}
    kept = [item for item in container.get("env") or () if item["name"] not in names]
    container["env"] = [*kept, *(dict(item) for item in items)]


def joined(*outcomes: Outcome | Undo) -> Outcome:
    """Several changes as one: all causes in order, and the way back in the reverse order."""
    causes: list[str] = []
    undo: list[Undo] = []
    for item in outcomes:
        if isinstance(item, Undo):
            undo.insert(0, item)
            continue
        causes += [cause for cause in item[0] if cause not in causes]
        undo[:0] = item[1]
    return tuple(causes), tuple(undo)
