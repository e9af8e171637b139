"""Pods of the cluster's own components that are targets: whether they can be scraped is their health."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from firedrill.world.kube.kubelet.state import NodeState, PodState, find_pod, kubelets, node_of
from firedrill.world.kube.objects import dig, name_of, namespace_of
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.gauges import document
from firedrill.world.telemetry.producers.machines import offset_of
from firedrill.world.telemetry.producers.state import Metering

if TYPE_CHECKING:
    from firedrill.world.kube.objects import Obj
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.world import World

_NAMESPACE = "kube-system"
_HERE = "pods"


class _Seen(NamedTuple):
    """What the last look went by: where all of it is the same, so is what it found.

    Attributes:
        rv: of the objects.
        found: what `Metering.pods` was set to.
        keys: of the pods, by namespace and name.
        states: of the pods and of all nodes, as their kubelets know them.
    """

    rv: int
    found: dict[tuple[str, str, str], str]
    keys: list[tuple[str, str]]
    states: list[PodState | NodeState | None]


def update(world: World) -> None:
    """Find the pods anew, and say which of them answer."""
    part, store = world.cluster.part(Metering), world.cluster.part(Monitoring).store
    seen = part.places.get(_HERE)
    if isinstance(seen, _Seen) and seen.rv == world.cluster.store.rv and seen.found is part.pods:
        states = _states(world, seen.keys)
        if len(states) == len(seen.states) and all(map(is_, states, seen.states)):
            return
    found: dict[tuple[str, str, str], str] = {}
    for entry in document()["pods"]:
        for pod in world.cluster.store.pods_labelled(_NAMESPACE, *entry["label"]):
            address = (pod.get("status") or {}).get("podIP")
            if not address:
                continue
            key = (entry["job"], _NAMESPACE, pod["metadata"]["name"])
            found[key] = str(address)
            name = "/".join(key)
            if part.pods.get(key) != address:
                if key in part.pods:
                    store.remove_target(name, world.now)
                _add(world, store, entry, pod, name)
            store.set_up(name, _answers(world, pod, entry), world.now)
    for key in [key for key in part.pods if key not in found]:
        store.remove_target("/".join(key), world.now)
    part.pods = found
    keys = [key[1:] for key in found]
    part.places[_HERE] = _Seen(world.cluster.store.rv, found, keys, _states(world, keys))


def _states(world: World, keys: list[tuple[str, str]]) -> list[PodState | NodeState | None]:
    known = kubelets(world)
    pods, names = known.pods, known.names
    out: list[PodState | NodeState | None] = [pods.get(names.get(key, "")) for key in keys]
    out += known.nodes.values()
    return out


def _add(world: World, store: SeriesStore, entry: Any, pod: Obj, name: str) -> None:
    labels = {
        "job": entry["job"],
        "instance": f"{dig(pod, 'status', 'podIP')}:{entry['port']}",
        "namespace": namespace_of(pod),
        "endpoint": entry.get("endpoint", "http-metrics"),
    }
    if entry["job"] != "apiserver":  # found through its Service, which has no pods behind it
        labels |= {"pod": name_of(pod), "container": entry["container"], "service": entry["job"]}
    else:
        labels |= {"namespace": "default", "service": "kubernetes"}
    store.add_target(name, labels, world.now, offset_ms=offset_of(store, name))


def _answers(world: World, pod: Obj, entry: Any) -> bool:
    state = find_pod(world, namespace_of(pod), name_of(pod))
    container = state.containers.get(entry["container"]) if state is not None else None
    node = node_of(world, state.node) if state is not None else None
    if container is None or node is None or not container.running:
        return False
    return node.runs(entry["part"]) if "part" in entry else True
