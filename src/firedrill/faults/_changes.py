"""The ordinary ways to change a cluster that the mechanisms share."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults.base import OPERATOR, Parameter, Undo
from firedrill.faults.reverting import fresh
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, labels_of, name_of, namespace_of, thaw, uid_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference
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
ANEW: Mapping[str, Parameter] = {
    "then": Parameter(
        "`replace`: the workload is deleted and made anew, as `kubectl replace --force` does",
        "",
        ("", "replace"),
    )
}
"""Of changes of a pod template: with a rollout, the old pods serve until a new one is ready."""
AGAIN: Mapping[str, Parameter] = {
    "then": Parameter(
        "`recycle`: all pods are deleted at once, where `restart` rolls", "restart", ("restart", "recycle")
    )
}
LATER: Mapping[str, Parameter] = {
    "then": Parameter(
        "`recycle`: its pods are deleted afterwards; `restart`: it is rolled out again",
        "",
        ("", "restart", "recycle"),
    )
}
NEXT: Mapping[str, Parameter] = {
    "workload": Parameter("name of a workload that is started anew right after; none where empty", ""),
    "workload_namespace": Parameter("its namespace", ""),
    "workload_kind": Parameter("its kind", "Deployment", tuple(_WORKLOADS)),
    "then": Parameter("`recycle`: its pods are deleted; `restart` rolls", "recycle", ("recycle", "restart")),
}
"""What brings about the moment at which a change bites that only new pods meet."""


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

    def edit_template(obj: Obj) -> None:
        change(obj["spec"]["template"]["spec"])

    undo = edit_workload(world, args, edit_template)
    return (f"{args['namespace']}/{args['kind']}/{args['name']}",), (undo,)


def edit_workload(world: World, args: Mapping[str, Any], change: Change) -> Undo:
    """Change a workload: with a rollout, or by making it anew where the arguments say so.

    Raises:
        ApiError: it is not there, or the change is refused.
    """
    resource, namespace, name = _WORKLOADS[args["kind"]], args["namespace"], args["name"]
    if args.get("then") != "replace":
        return edit(world, resource, namespace, name, change)
    user = client(world)
    before = user.get(resource, namespace, name)
    new = fresh(before)
    change(new)
    notes = new["metadata"].get("annotations") or {}
    notes.pop("deployment.kubernetes.io/revision", None)
    user.delete(resource, namespace, name, propagation="Background")
    user.create(new)
    return Undo(resource, namespace, name, before)


def start_anew(world: World, args: Mapping[str, Any]) -> tuple[Undo, ...]:
    """Start the pods of a workload anew: by a rollout, or all at once (`then`); none where none is named.

    Args:
        world: where.
        args: `namespace`, `name`, `kind` and `then`, or the same as `NEXT` names them.

    Raises:
        ApiError: it is not there.
    """
    if "workload" in args:
        place = {"name": args["workload"], "kind": args["workload_kind"]}
        args = {
            **place,
            "namespace": args["workload_namespace"] or args.get("namespace"),
            "then": args["then"],
        }
    if not args["name"] or not args["then"]:
        return ()
    if args["then"] == "restart":
        return (restart(world, args),)
    user = client(world)
    owner = user.get(_WORKLOADS[args["kind"]], args["namespace"], args["name"])
    for pod in user.list("pods", args["namespace"]):
        if selects(owner["spec"]["selector"], labels_of(pod)):
            user.delete("pods", args["namespace"], name_of(pod))
    return ()


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


def port_number(container: Obj, port: Any) -> int:
    """The number of a port that a probe gives by number or name; the first one where none has the name."""
    if str(port).isdecimal():
        return int(port)
    named = [item for item in container.get("ports") or () if item.get("name") == port]
    return int(named[0]["containerPort"]) if named else port_of(container)


def stop_part(world: World, node: str, part: str) -> Outcome:
    """Stop a part of a node; the node is the cause.

    Raises:
        ApiError: there is no such node.
    """
    from firedrill.world.kube.kubelet import nodes

    client(world).get("nodes", "", node)
    nodes.stop(world, node, part)
    return (f"cluster/Node/{node}",), (Undo("node-part", node, part),)


def press(world: World, node: str, kind: str) -> Outcome:
    """Let a node run short of something; the node is the cause.

    Raises:
        ApiError: there is no such node.
    """
    from firedrill.world.kube.kubelet import nodes

    client(world).get("nodes", "", node)
    nodes.set_pressure(world, node, kind)
    return (f"cluster/Node/{node}",), (Undo("node-pressure", node, kind),)


def workload_resource(args: Mapping[str, Any]) -> str:
    """As in `deployments.apps`, of the workload that the arguments name."""
    return _WORKLOADS[args["kind"]]


def restart(world: World, args: Mapping[str, Any]) -> Undo:
    """Restart a workload's pods as `kubectl rollout restart` does; the way back restarts them once more.

    Raises:
        ApiError: it is not there.
    """

    def stamp(obj: Obj) -> None:
        meta = obj["spec"]["template"].setdefault("metadata", {})
        told = {"kubectl.kubernetes.io/restartedAt": world.time}
        meta["annotations"] = {**(meta.get("annotations") or {}), **told}

    return edit(world, workload_resource(args), args["namespace"], args["name"], stamp)


def secret_value(secret: Obj, key: str, value: str) -> None:
    """Give a key of a Secret another value; the old one with another end where none is given.

    Raises:
        InputError: the Secret has no such key.
    """
    data = secret.get("data") or {}
    if key not in data:
        raise InputError(
            f"the Secret has no key {key!r}", field="key", mend=f"take one of {', '.join(sorted(data))}"
        )
    old = b64decode(str(data[key])).decode("utf-8", "replace")
    head, slash, rest = old.partition("@") if "://" in old else (old, "", "")
    new = value or f"{head}-2019{slash}{rest}"
    secret["data"] = {**data, key: b64encode(new.encode()).decode()}


def without_key(key: str) -> Change:
    """Take a key out of a Secret or ConfigMap.

    Raises:
        InputError: there is no such key.
    """

    def change(obj: Obj) -> None:
        data = obj.get("data") or {}
        if key not in data:
            raise InputError(
                f"there is no key {key!r}", field="key", mend=f"take one of {', '.join(sorted(data))}"
            )
        obj["data"] = {name: item for name, item in data.items() if name != key}

    return change


def wrong_architecture(world: World, image: str, architecture: str) -> str:
    """The image as somebody pushed it from another kind of machine, under a tag of its own."""
    reference = parse_reference(image)
    repository = catalogue.find(world, reference) if reference is not None else None
    if reference is None or repository is None:
        raise InputError(
            f"nobody knows the image {image!r}", field="container", mend="name another container"
        )
    tag = f"{reference.tag or 'latest'}-hotfix"
    part = world.cluster.part(catalogue.Catalogue)
    known = replace(repository, tags=f"{repository.tags}|{re.escape(tag)}")
    part.repositories[reference.repository] = known
    text = f"{image.partition('@')[0].removesuffix(':' + reference.tag)}:{tag}"
    pushed = parse_reference(text)
    if pushed is not None:
        part.architectures[pushed.full] = (architecture,)
    return text


def pull_secret(namespace: str, name: str, registry: str) -> Obj:
    """A Secret with credentials for a registry."""
    login = json.dumps({"auths": {registry: {"auth": b64encode(b"deploy:token").decode()}}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": b64encode(login.encode()).decode()},
    }


def greedy(args: Mapping[str, Any]) -> Obj:
    """A Deployment that asks for much, at the priority that the arguments name."""
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.9",
        "resources": {"requests": {"cpu": str(args["cpu"])}},
    }
    labels = {"app": args["name"]}
    spec = {"priorityClassName": args["priority"], "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": args["name"], "namespace": args["namespace"]},
        "spec": {
            "replicas": int(args["replicas"]),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


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
