"""Plausible mistakes, drawn by the names of what they are made in: the same in every fork of a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from firedrill.faults.fitting import entity, pods_of
from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet import usage
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world import World

T = TypeVar("T")
_PORTS = (8081, 8090, 9090, 3001, 5001, 8443, 50052, 9100, 7001, 8888, 4000, 9999)
_FELT_SHARE = 0.75
_STOLEN = (90, 95, 98, 99)
_LEAST_MIB, _SYSTEM_ROOM, _SYSTEM_PRIORITY = 8, 200, 1_000_000_000
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def one_of(world: World, fault: str, about: Obj | str, options: Sequence[T]) -> T:
    """One of the options, drawn for this mechanism and target."""
    name = about if isinstance(about, str) else entity(about)
    return world.rng.choice(options, "faults", fault, name)


def wrong_image(world: World, fault: str, owner: Obj, image: str) -> str:
    """An image that its registry does not have: a slip in its tag or in its name."""
    head, _, tail = image.partition("@")[0].rpartition("/")
    name, _, tag = tail.partition(":")
    prefix = f"{head}/" if head else ""
    slips = [f"{prefix}{name}:{text}" for text in _slips(tag or "latest")]
    if len(name) > 4:
        place = world.rng.integer(1, len(name) - 3, "faults", fault, entity(owner), "place")
        swapped = f"{name[:place]}{name[place + 1]}{name[place]}{name[place + 2 :]}"
        if swapped != name and not swapped.startswith("-"):
            slips.append(f"{prefix}{swapped}:{tag or 'latest'}")
    missing = [text for text in slips if not _exists(world, text)]
    return one_of(world, fault, owner, missing or [f"{prefix}{name}:{tag or 'latest'}-rc.1"])


def _slips(tag: str) -> list[str]:
    """Tags like this one that nobody may have pushed."""
    out = [f"{tag}-hotfix", f"{tag}-rc.1", f"release-{tag}", f"{tag}.1"]
    head, dot, last = tag.rpartition(".")
    digits = "".join(char for char in last if char.isdigit())
    if dot and digits:
        out += [f"{head}.{last.replace(digits, digits + digits[-1], 1)}", f"{head}{last}"]
        out.append(f"{head}.{last.replace(digits, str(int(digits) + 9), 1)}")
    if tag.startswith("v"):
        out.append(tag[1:])
    return out


def _exists(world: World, image: str) -> bool:
    reference = parse_reference(image)
    if reference is None:
        return True  # no image at all: not what this is about
    found = catalogue.find(world, reference)
    return found is not None and catalogue.has_tag(found, reference)


def wrong_port(world: World, fault: str, owner: Obj, container: Obj) -> int:
    """A port that people mistake for the right one, and that the container does not name."""
    named = {int(item["containerPort"]) for item in container.get("ports") or ()}
    numbers = {int(item["value"]) for item in container.get("env") or () if _is_port(item.get("value"))}
    near = [port + 1 for port in sorted(named)]
    return one_of(world, fault, owner, [port for port in (*near, *_PORTS) if port not in named | numbers])


def _is_port(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal() and len(value) < 6


def too_much(world: World, fault: str, owner: Obj, resource: str) -> str:
    """More of a resource than any node has."""
    read: Callable[[str], int] = quantity.milli if resource == "cpu" else quantity.value
    most = max(
        (
            read(str(dig(node, "status", "allocatable", resource)))
            for node in world.cluster.store.list("nodes")
            if dig(node, "status", "allocatable", resource) is not None
        ),
        default=0,
    )
    whole = most // 1000 if resource == "cpu" else most >> 30
    unit = "" if resource == "cpu" else "Gi"
    return f"{one_of(world, fault, owner, [2, 3, 4, 8]) * max(whole, 1)}{unit}"


def too_little(world: World, fault: str, owner: Obj, container: str) -> str:
    """A memory limit that is less than what the container uses now; empty where it uses next to nothing.

    Runtimes refuse to start anything with less than a few MiB: that would be another mechanism.
    """
    most = 0
    for pod in pods_of(world, owner):
        used = usage(world, namespace_of(pod), name_of(pod)).get(container, (0, 0))[1]
        most = max(most, used)
    share = one_of(world, fault, owner, (30, 40, 50))
    wanted = max(most * share // 100 >> 20, _LEAST_MIB)
    return f"{wanted}Mi" if wanted << 20 < most * _FELT_SHARE else ""


def busy_share(world: World, fault: str, owner: Obj) -> int:
    """The share of its processor time, in per cent, that a workload cannot do without; 0 where it idles."""
    found = []
    for pod in pods_of(world, owner):
        for item in pod["spec"]["containers"]:
            limit = dig(item, "resources", "limits", "cpu")
            used = usage(world, namespace_of(pod), name_of(pod)).get(item["name"], (0, 0))[0]
            if limit is not None:
                found += [
                    share for share in _STOLEN if quantity.milli(str(limit)) * (100 - share) <= used * 100
                ]
    return one_of(world, fault, owner, sorted(set(found))) if found else 0


def start_ms(world: World, owner: Obj, container: str) -> int:
    """How long the slowest of a workload's programs took until it answered, in ms; 0 where none runs."""
    most = 0
    for pod in pods_of(world, owner):
        state = find_pod(world, namespace_of(pod), name_of(pod))
        found = state.containers.get(container) if state is not None else None
        if found is not None and found.run is not None:
            most = max(most, found.run.plan.ready_after)
    return most


def quota_below(world: World, namespace: str, resource: str) -> str:
    """A quota that is lower than what the namespace needs; empty where it needs nothing.

    Args:
        world: where.
        namespace: whose need counts.
        resource: `cpu`, `memory`, `pods`, `services` or `requests.storage`.
    """
    store = world.cluster.store
    share = one_of(world, f"quota/{resource}", namespace, (40, 60, 80))
    if resource == "services":
        need = len(store.list("services", namespace))
        return str(need - 1) if need > 1 else ""
    if resource == "requests.storage":
        claims = store.list("persistentvolumeclaims", namespace)
        need = sum(quantity.value(str(dig(c, "spec", "resources", "requests", "storage"))) for c in claims)
        return f"{max(need * share // 100 >> 20, 1)}Mi" if need else ""
    pods = [p for p in store.list("pods", namespace) if dig(p, "status", "phase") == "Running"]
    if resource == "pods":
        return str(max(len(pods) * share // 100, 1)) if len(pods) > 1 else ""
    read = quantity.milli if resource == "cpu" else quantity.value
    asked = [dig(c, "resources", "requests", resource) for pod in pods for c in pod["spec"]["containers"]]
    need = sum(read(str(text)) for text in asked if text is not None)
    part = need * share // 100
    if resource == "cpu":
        return f"{part}m" if part else ""
    return f"{part >> 20}Mi" if part >> 20 else ""


def whole_node(world: World) -> str:
    """The CPU that the largest worker has left beside what belongs to Kubernetes; empty without workers."""
    free = []
    names = set(workers(world))
    for node in world.cluster.store.list("nodes"):
        if node["metadata"]["name"] in names:
            pods = world.cluster.store.pods_on(node["metadata"]["name"])
            system = [pod for pod in pods if dig(pod, "spec", "priority", default=0) > _SYSTEM_PRIORITY]
            taken = sum(_requests(pod) for pod in system)
            free.append(quantity.milli(str(dig(node, "status", "allocatable", "cpu"))) - taken)
    return f"{max(free) - 50}m" if free and max(free) > _SYSTEM_ROOM else ""


def _requests(pod: Obj) -> int:
    asked = [dig(item, "resources", "requests", "cpu") for item in pod["spec"]["containers"]]
    return sum(quantity.milli(str(text)) for text in asked if text is not None)


def most_cores(world: World) -> int:
    """The processors of the largest worker."""
    nodes = [node for node in world.cluster.store.list("nodes") if _CONTROL_PLANE not in labels_of(node)]
    found = [quantity.milli(str(dig(node, "status", "capacity", "cpu", default="0"))) for node in nodes]
    return max(found, default=0) // 1000


def workers(world: World) -> list[str]:
    """The names of the nodes that take pods of applications."""
    nodes = world.cluster.store.list("nodes")
    return [node["metadata"]["name"] for node in nodes if _CONTROL_PLANE not in labels_of(node)]
