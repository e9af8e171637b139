"""What mechanisms share that act through Chaos Mesh: an experiment, or a Schedule that makes it anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._aiming import calls, programs, variable
from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity, workload_resource
from firedrill.faults._variants import one_of
from firedrill.faults.base import Parameter, Target
from firedrill.faults.fitting import graph_of, main_container, on_workload, workloads
from firedrill.world.app.address import parse_address
from firedrill.world.kube.chaos import API, KINDS, NAMESPACE, SCHEDULES
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.app.model import Service

MINUTELY = "* * * * *"
MODES = ("all", "one", "fixed", "fixed-percent", "random-max-percent")
TIMED: Mapping[str, Parameter] = {
    **WORKLOAD,
    "experiment": Parameter("name of the object"),
    "home": Parameter("namespace of the object", NAMESPACE),
    "every": Parameter(
        "the text of a Schedule that makes it again and again; empty for one that is made once", ""
    ),
    "duration": Parameter("how long it lasts each time; empty for until it is deleted", ""),
    "mode": Parameter("which of the pods it takes", "all", MODES),
    "value": Parameter("how many of them, where the mode asks", ""),
}
"""The arguments of all of them."""
JVM_LANGUAGES = frozenset({"java", "kotlin", "scala", "groovy"})
LACKS = "the cluster has no Chaos Mesh, or nobody uses the application"


def begin(world: World, args: Mapping[str, Any], kind: str, spec: Obj) -> Outcome:
    """Create the experiment or its Schedule; that is the cause.

    Raises:
        ApiError: there is no such workload, or the object is refused.
    """
    body: Obj = {"mode": args["mode"], "selector": selector(world, args), **spec}
    if args["value"]:
        body["value"] = str(args["value"])
    if args["duration"]:
        body["duration"] = str(args["duration"])
    return create(world, str(args["home"]), str(args["experiment"]), kind, body, str(args["every"]))


def create(world: World, namespace: str, name: str, kind: str, body: Obj, every: str = "") -> Outcome:
    """Create an experiment of that kind; with the text of a schedule, the Schedule that makes it.

    Raises:
        InputError: the cluster has no Chaos Mesh.
        ApiError: the object is refused.
    """
    if world.cluster.kinds.storage(SCHEDULES) is None:
        raise InputError("the cluster has no Chaos Mesh", mend="install it, or take another world")
    made: Obj = {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": body,
    }
    if every:
        spec = {"schedule": every, "concurrencyPolicy": "Forbid", "historyLimit": 1, "type": kind}
        made = {**made, "kind": "Schedule", "spec": {**spec, KINDS[kind].field: body}}
    return (entity(made),), (add(world, made),)


def selector(world: World, args: Mapping[str, Any]) -> Obj:
    """The selector of the pods of the workload that arguments name.

    Raises:
        InputError: it is not there.
    """
    owner = client(world).find(workload_resource(args), args["namespace"], args["name"])
    if owner is None:
        raise InputError(
            f"there is no {args['kind']} {args['name']!r} in the namespace {args['namespace']!r}",
            field="name",
            mend="name one that is there",
        )
    return pods_of(owner)


def pods_of(owner: Obj) -> Obj:
    """The selector of a workload's pods."""
    wanted = dig(owner, "spec", "selector", "matchLabels", default={})
    return {"namespaces": [namespace_of(owner)], "labelSelectors": dict(wanted)}


def is_there(world: World) -> bool:
    """Whether the cluster has Chaos Mesh and an application in use."""
    return graph_of(world) is not None and world.cluster.kinds.storage(SCHEDULES) is not None


def users_of(world: World) -> Iterator[tuple[Obj, Service]]:
    """The workloads that an experiment can be aimed at, with the service of each."""
    if is_there(world):
        yield from programs(world)


def aim(
    world: World,
    fault: str,
    owner: Obj,
    names: Sequence[str],
    *,
    lasting: bool = True,
    every: Sequence[str] = (MINUTELY, MINUTELY, "@every 1m"),
    duration: str = "55s",
    **more: Any,
) -> Target:
    """A workload as a target: the object as teams name, place and time it.

    Args:
        world: where.
        fault: id of the mechanism, for what is drawn.
        owner: the workload.
        names: forms of names with `{}` for that of the workload.
        lasting: it can also be made once and for all.
        every: texts of schedules.
        duration: of each round of a schedule; empty for what happens at a moment.
        more: further arguments.
    """
    draw = (*every, "") if lasting else tuple(every)
    text = one_of(world, f"{fault}/every", owner, draw)
    home = one_of(world, f"{fault}/home", owner, (NAMESPACE, NAMESPACE, namespace_of(owner)))
    name = one_of(world, f"{fault}/name", owner, tuple(names)).format(name_of(owner))
    return on_workload(
        owner, experiment=name, home=home, every=text, duration=duration if text else "", **more
    )


def hits(world: World, cause: str, owner: Obj) -> bool:
    """Whether an experiment or a Schedule selects pods of a workload."""
    space, kind, name = cause.split("/", 2)
    resource = SCHEDULES if kind == "Schedule" else KINDS[kind].resource if kind in KINDS else ""
    found = world.cluster.store.get(resource, space, name) if resource else None
    if found is None:
        return False
    spec = found["spec"]
    inner = spec.get(KINDS[spec["type"]].field) if kind == "Schedule" and spec.get("type") in KINDS else spec
    wanted = (inner or {}).get("selector") or {}
    labels = labels_of({"metadata": dig(owner, "spec", "template", "metadata", default={})})
    return namespace_of(owner) in (wanted.get("namespaces") or [space]) and all(
        labels.get(key) == value for key, value in (wanted.get("labelSelectors") or {}).items()
    )


def partners(world: World) -> Iterator[tuple[Obj, Obj]]:
    """Each workload that calls another one, or takes messages from it, with that one; each pair once."""
    graph = graph_of(world)
    if graph is None or not is_there(world):
        return
    owners = {service.name: owner for owner, service in programs(world)}
    pairs = [
        (service.name, call.service)
        for service in graph.app.services
        for operation in service.operations
        for call in operation.calls
    ]
    brokers = {
        call.publishes: call.service
        for service in graph.app.services
        for operation in service.operations
        for call in operation.calls
        if call.publishes
    }
    pairs += [
        (call.service, brokers[queue.name])
        for queue in graph.app.queues
        for call in queue.consumers
        if queue.name in brokers
    ]
    for caller, callee in dict.fromkeys(pairs):
        if caller in owners and callee in owners and caller != callee:
            yield owners[caller], owners[callee]


def web(world: World) -> Iterator[tuple[Obj, int, str]]:
    """(workload, port, method) of those that are asked over HTTP by others who tell of it.

    What stands between users and the first program is seen by no program: there it takes a probe that ends
    the container.
    """
    graph = graph_of(world)
    heard = {call.service for _, _, call in calls(world)}
    for owner, service in users_of(world):
        if service.name not in heard and not _probed(main_container(world, owner)):
            continue
        methods = [
            operation.title.partition(" ")[0]
            for operation in service.operations
            if graph is not None
            and any(
                call.protocol == "http" and (call.service, call.operation) == (service.name, operation.name)
                for call in graph.edge_call
            )
        ]
        known = [method for method in methods if method in ("GET", "POST", "PUT", "DELETE", "PATCH")]
        if known:
            yield owner, service.port, max(dict.fromkeys(known), key=known.count)


def _probed(container: Obj) -> bool:
    return dig(container, "livenessProbe", "httpGet") is not None


def machines(world: World) -> Iterator[tuple[Obj, str, str]]:
    """(workload, class, method) of the programs that run in a Java machine: of their first operation."""
    for owner, service in users_of(world):
        if service.language.lower() not in JVM_LANGUAGES or not service.operations:
            continue
        operation = service.operations[0]
        head, slash, last = operation.title.rpartition("/")
        if slash and "." in head:
            yield owner, head, last[:1].lower() + last[1:]
            continue
        words = service.name.replace("-", "_").split("_")
        kind = "".join(word[:1].upper() + word[1:] for word in words)
        first, *rest = operation.name.replace("-", "_").split("_")
        method = first + "".join(word[:1].upper() + word[1:] for word in rest)
        yield owner, f"com.{''.join(words)}.{kind}", method


def disks(world: World) -> Iterator[tuple[Obj, str]]:
    """(workload, path) of those that keep data on a volume."""
    if not is_there(world):
        return
    for owner in workloads(world):
        spec = owner["spec"]["template"]["spec"]
        kept = {
            str(item.get("name"))
            for item in spec.get("volumes") or ()
            if item.keys() & {"persistentVolumeClaim", "emptyDir", "hostPath", "ephemeral"}
        }
        kept |= {str(name_of(item)) for item in owner["spec"].get("volumeClaimTemplates") or ()}
        for container in spec["containers"][:1]:
            for mount in container.get("volumeMounts") or ():
                if mount.get("name") in kept and not mount.get("readOnly"):
                    yield owner, str(mount["mountPath"])


def asked_names(world: World) -> Iterator[tuple[Obj, tuple[str, ...]]]:
    """(workload, names of those that it calls), as its own variables or the program itself say them."""
    for owner, service in users_of(world):
        container = main_container(world, owner)
        texts = [
            call.host or variable(container, call.address) or ""
            for operation in service.operations
            for call in operation.calls
        ]
        hosts = [parse_address(text, 1).host for text in texts if text]
        named = tuple(dict.fromkeys(host for host in hosts if any(char.isalpha() for char in host)))
        if named:
            yield owner, named
