"""The ordinary ways to change a cluster that the mechanisms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults.base import OPERATOR, Parameter, Undo
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, labels_of, name_of, namespace_of, thaw, uid_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

Change = Callable[[Obj], None]
"""Changes a fresh copy in place."""
Outcome = tuple[tuple[str, ...], tuple[Undo, ...]]
"""(causes, the way back), as a fault's `inject` returns them."""

_WORKLOADS = {
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
}
WORKLOAD: Mapping[str, Parameter] = {
    "namespace": Parameter("namespace of the workload"),
    "name": Parameter("name of the workload"),
    "kind": Parameter("its kind", "Deployment", tuple(_WORKLOADS)),
}
CONTAINER: Mapping[str, Parameter] = {
    **WORKLOAD,
    "container": Parameter("name of the container; the first one where empty", ""),
}
SERVICE: Mapping[str, Parameter] = {
    "namespace": Parameter("namespace of the Service"),
    "name": Parameter("name of the Service"),
}
CLAIM: Mapping[str, Parameter] = {
    "namespace": Parameter("namespace of the PersistentVolumeClaim"),
    "name": Parameter("name of the PersistentVolumeClaim"),
}
NODE: Mapping[str, Parameter] = {"node": Parameter("name of the Node")}


def client(world: World) -> Client:
    """The client of whoever made the mistake."""
    return Client(world, manager=OPERATOR)


def entity(obj: Mapping[str, Any]) -> str:
    """`namespace/Kind/name`, or `cluster/Kind/name`."""
    return f"{namespace_of(obj) or 'cluster'}/{obj['kind']}/{name_of(obj)}"


def edit(world: World, resource: str, namespace: str, name: str, change: Change) -> Undo:
    """Change an object as `kubectl edit` would.

    Raises:
        ApiError: it is not there, or the change is refused.
    """
    user = client(world)
    before = user.get(resource, namespace, name)
    new = thaw(before)
    change(new)
    user.update(new)
    return Undo(resource, namespace, name, before)


def add(world: World, obj: Obj) -> Undo:
    """Create an object.

    Raises:
        ApiError: it is refused.
    """
    made = client(world).create(obj)
    kind = world.cluster.kinds.of(made)
    return Undo(kind.resource, namespace_of(made), name_of(made))


def drop(world: World, resource: str, namespace: str, name: str) -> Undo:
    """Delete an object.

    Raises:
        ApiError: it is not there.
    """
    user = client(world)
    before = user.get(resource, namespace, name)
    user.delete(resource, namespace, name, propagation="Background")
    return Undo(resource, namespace, name, before)


def edit_pods(world: World, args: Mapping[str, Any], change: Change) -> Outcome:
    """Change the pod template of a workload; the workload is the cause.

    Raises:
        ApiError: it is not there, or the change is refused.
    """
    resource = _WORKLOADS[args["kind"]]

    def edit_template(obj: Obj) -> None:
        change(obj["spec"]["template"]["spec"])

    undo = edit(world, resource, args["namespace"], args["name"], edit_template)
    return (f"{args['namespace']}/{args['kind']}/{args['name']}",), (undo,)


def edit_container(world: World, args: Mapping[str, Any], change: Change) -> Outcome:
    """Change one container of a workload's pod template; the workload is the cause.

    Raises:
        InputError: there is no such container.
        ApiError: the workload is not there, or the change is refused.
    """

    def edit_spec(spec: Obj) -> None:
        change(pick(spec["containers"], args["container"], "container"))

    return edit_pods(world, args, edit_spec)


def pick(items: Sequence[Obj], name: str, what: str) -> Obj:
    """The item of that name, the first one where the name is empty.

    Raises:
        InputError: there is none.
    """
    for item in items:
        if not name or item.get("name") == name:
            return item
    names = ", ".join(str(item.get("name")) for item in items)
    raise InputError(f"there is no {what} {name!r}", field=what, mend=f"take one of {names}")


def port_of(container: Obj) -> int:
    """The first port of a container, 8080 where it names none."""
    ports = container.get("ports") or ()
    return int(ports[0]["containerPort"]) if ports else 8080


def stop_part(world: World, node: str, part: str) -> Outcome:
    """Stop a part of a node; the node is the cause.

    Raises:
        ApiError: there is no such node.
    """
    from firedrill.world.kube.kubelet import nodes

    client(world).get("nodes", "", node)
    nodes.stop(world, node, part)
    return (f"cluster/Node/{node}",), (Undo("node-part", node, part),)


def disturb(world: World, args: Mapping[str, Any], values: Mapping[effects.Parameter, int]) -> Outcome:
    """Let effects begin on a node, or on the pods that a workload has now; that is the cause.

    Raises:
        ApiError: there is no such node or workload.
    """
    user = client(world)
    if "node" in args:
        user.get("nodes", "", args["node"])
        cause, targets = f"cluster/Node/{args['node']}", [f"node/{args['node']}"]
    else:
        owner = user.get(_WORKLOADS[args["kind"]], args["namespace"], args["name"])
        cause = f"{args['namespace']}/{args['kind']}/{args['name']}"
        pods = user.list("pods", args["namespace"])
        wanted = owner["spec"]["selector"]
        targets = [f"pod/{uid_of(pod)}" for pod in pods if selects(wanted, labels_of(pod))]
    source = f"{'+'.join(sorted(values))} on {cause} at {world.now}"
    for target in targets:
        for parameter, value in sorted(values.items()):
            effects.add(world, effects.Effect(target, parameter, value, source))
    return (cause,), (Undo("effect", "", source),)
