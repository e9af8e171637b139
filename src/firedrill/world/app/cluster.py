"""What the traffic finds in a cluster at a moment: running programs, routes, and what acts on them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from firedrill.world import mesh
from firedrill.world.app.acting import acting_rules, lasts
from firedrill.world.app.flags import apply_flags, read_flags
from firedrill.world.app.graph import Graph
from firedrill.world.app.routes import Running, find_routes
from firedrill.world.app.rules import Rule
from firedrill.world.app.state import Effects, no_effects
from firedrill.world.app.topology import PodInfo, Topology, make_topology, reach_from
from firedrill.world.kube import effects as kube_effects
from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet import history
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.state import PodState, kubelets
from firedrill.world.kube.network import NetworkState
from firedrill.world.kube.objects import Obj, dig, uid_of
from firedrill.world.kube.programs.model import HEALTHY, Health
from firedrill.world.kube.qos import limit_of
from firedrill.world.kube.store import TooOldError

if TYPE_CHECKING:
    from firedrill.world.world import World

_ROUTED = frozenset({"services", "endpointslices.discovery.k8s.io", "namespaces"})
_POLICIES = "networkpolicies.networking.k8s.io"
_MIB = 1024 * 1024
_NODE_CORES = 8.0
_KILLED = 137
_MOST_USERS = 1_000_000


class Program(NamedTuple):
    """One start of one program, and what callers notice of it."""

    service: int
    uid: str
    attempt: int
    closed: bool
    stopping: bool


class Mark(NamedTuple):
    """What a topology depends on, to tell whether it still holds: see `mark`."""

    programs: tuple[Program, ...]
    proxies: tuple[str, ...]
    cut: frozenset[tuple[str, str]]
    mesh: int


Placed = tuple[tuple[int, str, Obj], ...]
"""(service, container, pod) of all pods of the application, whether or not they run."""


def placed_pods(world: World, graph: Graph) -> Placed:
    """The pods of the application's workloads, in the order of services and creation."""
    load = graph.app.load
    places = [((item.workload, *item.also), item.container) for item in graph.app.services]
    places.append(((load.workload,), load.container))
    out = []
    for service, (workloads, container) in enumerate(places):
        owners = [world.cluster.store.get(kind, graph.app.namespace, name) for kind, name in workloads]
        for owner in owners:
            if owner is not None:
                out += [(service, container, obj) for obj in _pods_of(world, owner)]
    return tuple(out)


class Seen(NamedTuple):
    """The pods whose programs run and have opened their ports, and what that was seen from.

    Attributes:
        placed: the pods of the application; `uids` and `states`, as their kubelets know them, are theirs.
        settled: no program is about to open its ports: as long as the states are the same, so is the rest.
        pods: those that run.
    """

    placed: Placed
    uids: tuple[str, ...]
    states: tuple[PodState | None, ...]
    settled: bool
    pods: tuple[Running, ...]


def see_pods(world: World, placed: Placed, before: Seen | None = None) -> Seen:
    """Those whose programs run and have opened their ports; the same as before where nothing has changed."""
    known, now, out, settled = kubelets(world).pods, world.now, [], True
    if before is not None and before.placed is placed:
        uids, states = before.uids, tuple(map(known.get, before.uids))
        if before.settled and all(map(is_, states, before.states)):
            return before
    else:
        uids = tuple(obj["metadata"]["uid"] for _, _, obj in placed)
        states = tuple(map(known.get, uids))
    for (service, container, obj), state in zip(placed, states, strict=True):
        found = state.containers.get(container) if state is not None else None
        run = found.run if found is not None else None
        if state is None or found is None or run is None or not run.running or state.verdict[0]:
            continue
        if run.started + run.plan.ready_after <= now:
            out.append(Running(service, obj, state, found))
        else:
            settled = False
    return Seen(placed, uids, states, settled, tuple(out))


def _pods_of(world: World, owner: Obj) -> list[Obj]:
    """The pods of a workload, those of its ReplicaSets included."""
    store, out = world.cluster.store, []
    for resource, namespace, name in store.owned_by(uid_of(owner)):
        if resource == "pods":
            found = store.get("pods", namespace, name)
            if found is not None:
                out.append(found)
        elif resource == "replicasets.apps":
            between = store.get(resource, namespace, name)
            if between is not None:
                out += _pods_of(world, between)
    return out


def mark(world: World, pods: tuple[Running, ...], known: tuple[Program, ...] | None = None) -> Mark:
    """What tells a topology of these pods from another one, besides the objects of the network.

    Args:
        world: where.
        pods: of the application.
        known: their programs, where these have been told before.
    """
    part = world.cluster.part(NetworkState)
    programs = known if known is not None else _programs(pods)
    return Mark(programs, tuple(sorted(part.frozen)), part.cut, mesh.sync(world))


def _programs(pods: tuple[Running, ...]) -> tuple[Program, ...]:
    return tuple(
        Program(
            pod.service,
            pod.state.uid,
            pod.container.run.attempt if pod.container.run is not None else 0,
            pod.container.health.closed,
            pod.state.stopping > 0,
        )
        for pod in pods
    )


def network_changed(world: World, since: int) -> bool:
    """Whether objects that routes depend on have changed since that version of the store."""
    if world.cluster.store.rv == since:
        return False
    try:
        for change in world.cluster.store.since(since):
            if change.resource in _ROUTED or change.resource == _POLICIES:
                return True
            if change.resource == "pods" and _pod_moved(change.previous, change.obj):
                return True
    except TooOldError:
        return True
    return False


def _pod_moved(before: Obj | None, after: Obj) -> bool:
    """Whether a pod's address or labels are others."""
    if before is None:
        return False  # a new pod: what runs in it is seen when it runs
    moved = dig(before, "status", "podIP") != dig(after, "status", "podIP")
    return bool(moved or before["metadata"].get("labels") != after["metadata"].get("labels"))


def just_died(world: World, before: Mark, now: Mark) -> dict[int, float]:
    """By service: the share of its pods that have died since, without having been asked to stop."""
    there = {(item.uid, item.attempt) for item in now.programs}
    known = kubelets(world).pods
    count: dict[int, int] = {}
    dead: dict[int, int] = {}
    for program in before.programs:
        count[program.service] = count.get(program.service, 0) + 1
        if (program.uid, program.attempt) in there or program.stopping:
            continue
        state = known.get(program.uid)
        if (state is not None and state.stopping) or (state is None and _left(world, program)):
            continue
        dead[program.service] = dead.get(program.service, 0) + 1
    return {service: gone / count[service] for service, gone in dead.items()}


def _left(world: World, program: Program) -> bool:
    """Whether a program of a pod that is gone came to its end by itself: it was asked to stop, and did."""
    for (uid, _, attempt), record in reversed(history.runs(world).records.items()):
        if (uid, attempt) == (program.uid, program.attempt):
            return record.run.finished >= 0 and record.run.code != _KILLED
    return False


def read_topology(
    world: World, graph: Graph, pods: tuple[Running, ...], cut: Mapping[int, float] | None = None
) -> Topology:
    """Follow all routes and put the topology together; see `find_routes`."""
    nodes = {name: _cores_of_node(world, name) for name in sorted(kubelets(world).nodes)}
    last = len(graph.app.services)
    users = sum(_users(graph, pod) for pod in pods if pod.service == last)
    found = find_routes(world, graph, pods, cut)
    return make_topology(
        graph,
        tuple(_info(pod, nodes) for pod in pods),
        reach_from(graph, found.lists, len(pods)),
        users=min(float(users), _MOST_USERS),
        load_pods=tuple(number for number, pod in enumerate(pods) if pod.service == last),
        node_cores=nodes or {"": _NODE_CORES},
        patience=found.patience,
        notes=found.notes,
    )


def _info(pod: Running, nodes: dict[str, float]) -> PodInfo:
    item = spec_of(pod.obj, pod.container.name) or {}
    limit = limit_of(item, "cpu")
    run = pod.container.run
    return PodInfo(
        service=pod.service,
        namespace=pod.state.namespace,
        name=pod.state.name,
        uid=pod.state.uid,
        attempt=run.attempt if run is not None else 0,
        node=pod.state.node,
        cores=limit / 1000.0 if limit else nodes.get(pod.state.node, _NODE_CORES),
        limit=limit_of(item, "memory"),
        container=pod.container.name,
        ip=pod.state.ip,
    )


def _cores_of_node(world: World, name: str) -> float:
    found = world.cluster.store.get("nodes", "", name)
    text = dig(found, "status", "allocatable", "cpu")
    return quantity.milli(str(text)) / 1000.0 if text is not None else _NODE_CORES


def _users(graph: Graph, pod: Running) -> int:
    load = graph.app.load
    text = pod.env.get(load.users_variable, "") if load.users_variable else ""
    return min(int(text), _MOST_USERS) if text.isdecimal() and len(text) < 9 else load.users


Acting = tuple[int, tuple[float, ...], tuple[Health, ...]]
"""Version of the effects, how much of each flag is on, health of the programs."""


def acting(world: World, graph: Graph, pods: tuple[Running, ...], known: Acting | None = None) -> Acting:
    """What tells the effects of a moment from those of another one; `known` was told of the same pods."""
    version = world.cluster.part(kube_effects.Effects).version
    if known is not None:
        return known if known[0] == version else (version, known[1], known[2])
    health = tuple(pod.container.health for pod in pods)
    return version, read_flags(graph, pods), health


def read_effects(world: World, graph: Graph, topology: Topology, pods: tuple[Running, ...]) -> Effects:
    """What faults, flags and the health of programs do to the traffic now."""
    made = no_effects(graph, topology)
    by_pod = {
        name: np.zeros(len(pods)) for name in ("delay", "loss", "steal", "io", "error", "ballast", "leak")
    }
    frozen = np.zeros(len(pods), np.bool_)
    nodes = sorted(kubelets(world).nodes) or [""]
    near = {name: np.zeros(len(nodes)) for name in ("delay", "loss")}
    for number, pod in enumerate(pods):
        health = pod.container.health
        if health is not HEALTHY:
            frozen[number] = health.frozen
            by_pod["io"][number] = health.latency
            by_pod["error"][number] = 1.0 if health.status >= 400 else 0.0
        if _lacks(graph, pod):
            by_pod["error"][number] = 1.0
    places = {f"pod/{pod.state.uid}": number for number, pod in enumerate(pods)}
    special = []
    for row in world.cluster.part(kube_effects.Effects).rows:
        place = places.get(row.on)
        if row.container and (place is None or not lasts(row, pods[place])):
            continue
        if row.parameter == "gc_pause_ms" and place is not None:
            by_pod["steal"][place] += row.value * 0.001
        if row.parameter == "cpu_steal" and row.detail and place is not None:
            special.append(row)
        if _is_special(row):
            special.append(row)
            continue
        kind, factor = _ROWS[row.parameter]
        if row.on.startswith("node/"):
            name = row.on[5:]
            if kind in near and name in nodes:
                near[kind][nodes.index(name)] += row.value * factor
            for number, pod in enumerate(pods):
                if kind not in near and kind != "frozen" and pod.state.node == name:
                    by_pod[kind][number] += row.value * factor
        elif place is not None and kind == "frozen":
            frozen[place] = True
        elif place is not None:
            by_pod[kind][place] += row.value * factor
    arrays: dict[str, Any] = {
        "op_io": made.op_io.copy(),
        "op_error": made.op_error.copy(),
        "op_work": made.op_work.copy(),
        "cold": made.cold.copy(),
        "edge_code": made.edge_code.copy(),
        "messages": made.messages.copy(),
        "leak": np.zeros(len(graph.app.services) + 1),
        "flood": np.zeros(graph.entries),
        "delay": np.zeros(len(graph.edge_call)),
    }
    load = apply_flags(graph, read_flags(graph, pods), arrays)
    leak, flood, delay = (arrays.pop(name) for name in ("leak", "flood", "delay"))
    acts = acting_rules(graph, topology, pods, special)
    delays = [Rule("busy", float(value), edge=delay == value) for value in np.unique(delay[delay > 0])]
    return Effects(
        pod_delay=by_pod["delay"],
        pod_loss=np.minimum(by_pod["loss"], 1.0),
        node_delay=near["delay"],
        node_loss=np.minimum(near["loss"], 1.0),
        pod_steal=np.minimum(by_pod["steal"], 0.999),
        pod_io=by_pod["io"],
        pod_frozen=frozen,
        pod_abort=made.pod_abort,
        pod_error=by_pod["error"],
        pod_ballast=by_pod["ballast"],
        pod_leak=by_pod["leak"] + leak[topology.service],
        load=load,
        flood=tuple(flood.tolist()) if flood.any() else (),
        **acts._replace(rules=(*acts.rules, *delays))._asdict(),
        **arrays,
    )


def _is_special(row: kube_effects.Effect) -> bool:
    """Whether a row is about some calls only."""
    partial = bool(row.peers or row.detail or row.container) or row.share < 1000
    return row.parameter not in _ROWS or (partial and row.parameter in _PARTIAL)


def _lacks(graph: Graph, pod: Running) -> bool:
    """Whether the program runs without something that it needs, and fails all that it is asked."""
    if pod.service >= len(graph.app.services):
        return False
    needs = graph.app.services[pod.service].needs
    names = (*needs.env, *needs.secrets, *needs.hosts)
    return needs.without == "errors" and any(not pod.env.get(name) for name in names)


_ROWS: dict[kube_effects.Parameter, tuple[str, float]] = {
    "delay_ms": ("delay", 1.0),
    "loss": ("loss", 0.001),
    "cpu_steal": ("steal", 0.001),
    "mem_ballast_mb": ("ballast", float(_MIB)),
    "mem_leak_mb_s": ("leak", float(_MIB)),
    "io_delay_ms": ("io", 1.0),
    "frozen": ("frozen", 1.0),
}
_PARTIAL = frozenset({"delay_ms", "loss", "io_delay_ms", "mem_ballast_mb"})
