"""What each kind of experiment does to one pod or container: rows of effects, deletions, other images.

Whatever reaches into a process or a container ends with it, as in life: stress, agents in a Java machine,
delayed disks and shifted clocks are gone once the container has been started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from firedrill.world.kube import effects, quantity
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.chaos import rules
from firedrill.world.kube.chaos.amounts import size
from firedrill.world.kube.chaos.kinds import NAMESPACE
from firedrill.world.kube.effects import Effect
from firedrill.world.kube.kubelet import running
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.health import set_health
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.objects import Obj, annotations_of, dig, labels_of, name_of, namespace_of, uid_of
from firedrill.world.kube.qos import limit_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_MIB = 1024 * 1024
_PAUSE_IMAGE = "gcr.io/google-containers/pause:latest"
_JVM = frozenset({"java", "spring"})


class Refused(Exception):
    """An experiment cannot be carried out on a target; the text says why."""


class Target(NamedTuple):
    """What a record is about.

    Attributes:
        pod: the object.
        container: name of the container; empty for the pod.
    """

    pod: Obj
    container: str

    @classmethod
    def of(cls, world: World, identity: str) -> Target | None:
        """The target that a record's id names; None where it is no longer there."""
        namespace, _, rest = identity.partition("/")
        name, _, container = rest.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        return cls(pod, container) if pod is not None else None


def source_of(obj: Obj) -> str:
    """What the rows of an experiment name as their source."""
    return f"{namespace_of(obj)}/{obj['kind']}/{name_of(obj)}"


def apply(client: Client, obj: Obj, record: Obj, targets: Mapping[str, frozenset[str]]) -> None:
    """Let an experiment act on the target of a record.

    Raises:
        Refused: it cannot.
        ApiError: a request of it is refused.
    """
    found = Target.of(client.world, record["id"])
    if found is None:
        raise Refused(f'Pod "{record["id"].split("/")[1]}" not found')
    if obj["kind"] == "PodChaos":
        _PODS[str(obj["spec"].get("action"))](client, obj, found)
        return
    _need_daemon(client.world, found.pod)
    rows = _ROWS[obj["kind"]](client.world, obj, record, found, targets)
    if rows:
        effects.add(client.world, *rows)


def recover(client: Client, obj: Obj, record: Obj) -> None:
    """Take back what an experiment does to the target of a record; what is gone needs nothing.

    Raises:
        ApiError: a request of it is refused.
    """
    world = client.world
    found = Target.of(world, record["id"])
    if obj["kind"] == "PodChaos":
        if found is not None and obj["spec"].get("action") == "pod-failure":
            _give_images_back(client, obj, found.pod)
        return
    if found is None:
        return
    source, on = source_of(obj), f"pod/{uid_of(found.pod)}"
    if obj["kind"] in ("StressChaos", "JVMChaos"):
        for row in world.cluster.part(effects.Effects).rows:
            if (row.source, row.on) == (source, on):
                _release(world, found.pod, row)
    effects.remove(world, source, on)


def _need_daemon(world: World, pod: Obj) -> None:
    """Whatever is done on a node is done by the daemon there."""
    node = dig(pod, "spec", "nodeName")
    for item in world.cluster.store.list("pods", NAMESPACE):
        daemon = labels_of(item).get("app.kubernetes.io/component") == "chaos-daemon"
        state = find_pod(world, NAMESPACE, name_of(item)) if daemon else None
        here = state.containers.values() if state is not None else ()
        if dig(item, "spec", "nodeName") == node and any(found.running for found in here):
            return
    raise Refused(f"cannot find daemonIP on node {node} in related Endpoints {NAMESPACE}/chaos-daemon")


# --- pods


def _kill(client: Client, obj: Obj, found: Target) -> None:
    grace = int(obj["spec"].get("gracePeriod") or 0)
    client.delete("pods", namespace_of(found.pod), name_of(found.pod), grace=grace)


def _kill_container(client: Client, _: Obj, found: Target) -> None:
    state = find_pod(client.world, namespace_of(found.pod), name_of(found.pod))
    here = state.containers.get(found.container) if state is not None else None
    if state is None or here is None or not here.running:
        raise Refused(f"container {found.container} of pod {name_of(found.pod)} does not run")
    _need_daemon(client.world, found.pod)
    running.end(client.world, state, here, 137)


def _key(obj: Obj, container: str, *, init: bool) -> str:
    """The annotation of a pod that keeps the image which an experiment took away."""
    name = f"{container}-init" if init else f"{container}-normal"
    key = f"chaos-mesh-{name_of(obj)}-{obj['spec'].get('action')}-{name}-image"
    return key if len(key) <= 63 else name


def _take_images(client: Client, obj: Obj, found: Target) -> None:
    pod, notes = found.pod, dict(annotations_of(found.pod))
    spec = dict(pod["spec"])
    for part, init in (("containers", False), ("initContainers", True)):
        items = []
        for item in spec.get(part) or ():
            key = _key(obj, item["name"], init=init)
            if key in notes:
                items.append(item)
                continue
            notes[key] = str(item.get("image") or "")
            items.append({**item, "image": _PAUSE_IMAGE})
        if items:
            spec[part] = items
    client.update({**pod, "metadata": {**pod["metadata"], "annotations": notes}, "spec": spec})


def _give_images_back(client: Client, obj: Obj, pod: Obj) -> None:
    notes = dict(annotations_of(pod))
    spec = dict(pod["spec"])
    for part, init in (("containers", False), ("initContainers", True)):
        items = []
        for item in spec.get(part) or ():
            image = notes.pop(_key(obj, item["name"], init=init), None)
            items.append({**item, "image": image} if image is not None else item)
        if items:
            spec[part] = items
    if spec != pod["spec"]:
        client.update({**pod, "metadata": {**pod["metadata"], "annotations": notes}, "spec": spec})


_PODS: Mapping[str, Callable[[Client, Obj, Target], None]] = {
    "pod-kill": _kill,
    "container-kill": _kill_container,
    "pod-failure": _take_images,
}


# --- what rows say


def _network(
    world: World, obj: Obj, record: Obj, found: Target, targets: Mapping[str, frozenset[str]]
) -> list[Effect]:
    if dig(found.pod, "spec", "hostNetwork"):
        raise Refused("It's dangerous to inject network chaos on a pod with hostNetwork: true")
    return rules.network(obj, record, uid_of(found.pod), targets)


def _http(_: World, obj: Obj, __: Obj, found: Target, ___: object) -> list[Effect]:
    if dig(found.pod, "spec", "hostNetwork"):
        raise Refused("It's dangerous to inject HTTP chaos on a pod with hostNetwork: true")
    return rules.http(obj, uid_of(found.pod))


def _inside(world: World, found: Target, rows: list[Effect]) -> list[Effect]:
    """The rows as they are about the present run of a container."""
    state = find_pod(world, namespace_of(found.pod), name_of(found.pod))
    here = state.containers.get(found.container) if state is not None else None
    if here is None or here.run is None or not here.run.running:
        raise Refused(f"container {found.container} of pod {name_of(found.pod)} does not run")
    return [replace(row, container=found.container, attempt=here.run.attempt) for row in rows]


def _stress(world: World, obj: Obj, _: Obj, found: Target, __: object) -> list[Effect]:
    wanted: Mapping[str, Any] = obj["spec"].get("stressors") or {}
    processors = wanted.get("cpu") or {}
    held = wanted.get("memory") or {}
    rows = []
    if processors:
        milli = int(processors.get("workers") or 0) * int(processors.get("load", 100)) * 10
        rows += _busy(world, obj, found, milli, int(processors.get("workers") or 0))
    if held and int(held.get("workers") or 0) > 0:
        rows += _hold(world, obj, found, size(held.get("size"), _memory(world, found)))
    return _inside(world, found, rows)


def _busy(world: World, obj: Obj, found: Target, milli: int, workers: int) -> list[Effect]:
    """Threads that want so much of the processors which the container may use."""
    bound, whole = (
        limit_of(spec_of(found.pod, found.container) or {}, "cpu"),
        _of_node(world, found.pod, "cpu"),
    )
    limit = bound or whole
    share = min(1000 * milli // max(limit, 1), 1000 * workers // (workers + 1))
    if share <= 0:
        return []
    _change_health(world, found, cpu=min(milli, limit * share // 1000))
    detail = (("threads", str(milli)), ("bound", str(bound)), ("whole", str(whole)))
    return [Effect(f"pod/{uid_of(found.pod)}", "cpu_steal", share, source_of(obj), detail=detail)]


def _hold(world: World, obj: Obj, found: Target, count: int) -> list[Effect]:
    mib = count // _MIB
    if mib <= 0:
        return []
    row = Effect(f"pod/{uid_of(found.pod)}", "mem_ballast_mb", mib, source_of(obj))
    _inside(world, found, [row])  # before it is held: nothing is held in what does not run
    _change_health(world, found, memory=mib * _MIB)
    return [row]


def _memory(world: World, found: Target) -> int:
    limit = limit_of(spec_of(found.pod, found.container) or {}, "memory")
    return limit or _of_node(world, found.pod, "memory")


def _of_node(world: World, pod: Obj, what: str) -> int:
    node = world.cluster.store.get("nodes", "", str(dig(pod, "spec", "nodeName", default="")))
    text = dig(node, "status", "allocatable", what)
    if text is None:
        return 8000 if what == "cpu" else 16 << 30
    return quantity.milli(str(text)) if what == "cpu" else quantity.value(str(text))


def _change_health(world: World, found: Target, *, memory: int = 0, cpu: int = 0) -> None:
    namespace, name = namespace_of(found.pod), name_of(found.pod)
    state = find_pod(world, namespace, name)
    here = state.containers.get(found.container) if state is not None else None
    if here is None or not here.running:
        return
    health = here.health
    changes = {"memory": max(health.memory + memory, 0)} if memory else {}
    if cpu:
        changes["cpu"] = max(health.cpu + cpu, 0)
    set_health(world, namespace, name, found.container, **changes)


def _release(world: World, pod: Obj, row: Effect) -> None:
    """Give memory and processors back, where the run that held them still lasts."""
    state = find_pod(world, namespace_of(pod), name_of(pod))
    here = state.containers.get(row.container) if state is not None else None
    if here is None or here.run is None or here.run.attempt != row.attempt:
        return
    found = Target(pod, row.container)
    if row.parameter == "mem_ballast_mb":
        _change_health(world, found, memory=-row.value * _MIB)
    elif row.parameter == "cpu_steal":
        _change_health(world, found, cpu=-here.health.cpu)


def _jvm(world: World, obj: Obj, _: Obj, found: Target, __: object) -> list[Effect]:
    state = find_pod(world, namespace_of(found.pod), name_of(found.pod))
    here = state.containers.get(found.container) if state is not None else None
    if here is None or here.run is None or here.run.plan.style not in _JVM:
        raise Refused("rpc error: code = Unknown desc = no java process found in container")
    spec = obj["spec"]
    rows = rules.jvm(obj, uid_of(found.pod))
    if spec.get("action") == "stress":
        count = int(spec.get("cpuCount") or 0)
        if count:
            rows += _busy(world, obj, found, count * 1000, count)
        if spec.get("memType"):
            # the heap of a machine that says nothing is a quarter of the memory that it sees
            rows += _hold(world, obj, found, _memory(world, found) // 4)
            rows += rules.full_heap(obj, uid_of(found.pod))
    return _inside(world, found, rows)


def _disk(world: World, obj: Obj, _: Obj, found: Target, __: object) -> list[Effect]:
    path = str(obj["spec"].get("volumePath") or "").rstrip("/") or "/"
    item = spec_of(found.pod, found.container) or {}
    mounts = {str(mount.get("mountPath")).rstrip("/"): mount for mount in item.get("volumeMounts") or ()}
    mount = mounts.get(path)
    if mount is None:
        raise Refused(f"rpc error: code = Unknown desc = toda: {path} is not a mount point")
    volumes = {str(volume.get("name")): volume for volume in found.pod["spec"].get("volumes") or ()}
    volume = volumes.get(str(mount.get("name")), {})
    read_once = volume.keys() & {"configMap", "secret", "projected", "downwardAPI"}
    return [] if read_once else _inside(world, found, rules.disk(obj, uid_of(found.pod)))


def _names(_: World, obj: Obj, __: Obj, found: Target, ___: object) -> list[Effect]:
    return rules.names(obj, uid_of(found.pod))


def _clock(world: World, obj: Obj, _: Obj, found: Target, __: object) -> list[Effect]:
    return _inside(world, found, rules.clock(obj, uid_of(found.pod)))


_ROWS: Mapping[str, Callable[[World, Obj, Obj, Target, Mapping[str, frozenset[str]]], list[Effect]]] = {
    "NetworkChaos": _network,
    "HTTPChaos": _http,
    "StressChaos": _stress,
    "JVMChaos": _jvm,
    "IOChaos": _disk,
    "DNSChaos": _names,
    "TimeChaos": _clock,
}
