"""The producer of what kubelets, cAdvisor and node exporters tell: the use of containers and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet.files import sizes
from firedrill.world.kube.kubelet.reading import usage_of
from firedrill.world.kube.kubelet.state import PARTS, Container, NodeState, PodState, kubelets
from firedrill.world.kube.objects import containers_of, dig, name_of
from firedrill.world.kube.qos import limit_of, qos_class, request_of
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import opencost
from firedrill.world.telemetry.producers.cells import Ints
from firedrill.world.telemetry.producers.gauges import document, gauges, series, write
from firedrill.world.telemetry.producers.state import Metered, Metering

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.world import World

STEP_MS = 5_000
_OWN_CPU, _OWN_MEMORY = 90, 780 * 1024 * 1024
"""What a node uses besides its pods, as `metrics.k8s.io` tells it."""
_DISK = 100 * 1024**3
_DISK_FULL = 0.08
_MEMORY_LEFT = 96 * 1024 * 1024
"""Bytes that are left under memory pressure: just under the kubelet's threshold."""
_PERIOD_MS = 100
_NODES = "nodes"
_Key = tuple[str, str, int]
_Shares = Mapping[tuple[str, str], float]


def offset_of(store: SeriesStore, name: str) -> int:
    """When in the interval something is scraped: at a step, a function of its name."""
    return _offset(store.interval_ms // STEP_MS, name)


@lru_cache(maxsize=4096)
def _offset(steps: int, name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % steps * STEP_MS


def update(world: World) -> None:
    """Write the series of the nodes that are scraped at this moment, and of what runs on them."""
    part, store = world.cluster.part(Metering), world.cluster.part(Monitoring).store
    names = _names(world, part)
    for target in [name for name in part.machines if name.partition("/")[2] not in names]:
        if target.startswith(opencost.TARGET):
            store.retire(part.machines.pop(target).block, world.now)
            continue
        for run in part.runs.pop(target, {}).values():
            if run.cost >= 0:
                store.retire(run.cost, world.now)
        store.remove_target(target, world.now)
        del part.machines[target]
    moment = world.now % store.interval_ms
    due = [
        node
        for name, node in kubelets(world).nodes.items()
        if name in names and offset_of(store, name) == moment
    ]
    if not due:
        return
    pods: dict[str, list[PodState]] = {node.name: [] for node in due}
    for state in kubelets(world).pods.values():
        if state.node in pods:
            pods[state.node].append(state)
    shares = _throttled(world)
    for node in due:
        _health(world, part, store, node)
        used = _containers(world, part, store, node, pods[node.name], shares)
        _claims(world, part, store, node, pods[node.name])
        _node(world, part, store, node, pods[node.name], used)


def _names(world: World, part: Metering) -> frozenset[str]:
    """The nodes that the API server knows."""
    held, version = part.places.get(_NODES), world.cluster.store.rv
    if isinstance(held, tuple) and held[0] == version:
        found: frozenset[str] = held[1]
        return found
    found = frozenset(name_of(obj) for obj in world.cluster.store.list("nodes"))
    part.places[_NODES] = (version, found)
    return found


def _throttled(world: World) -> _Shares:
    """Shares of throttled periods by (pod's uid, container), where requests are simulated."""
    from firedrill.world.app.traffic import Traffic, record_of

    found = world.cluster.part(Traffic) if _has_traffic(world) else None
    if found is None or found.after is None or not len(found.history):
        return {}
    pods = record_of(world, -1).inputs.topology.pods
    shares = found.after.throttled.tolist()
    return {(info.uid, info.container): share for info, share in zip(pods, shares, strict=False)}


def _has_traffic(world: World) -> bool:
    # asking for the part would make it, and move the digest of worlds without traffic
    return any(name == "Traffic" for name, _ in world.cluster.parts())


# --- targets


def _health(world: World, part: Metering, store: SeriesStore, node: NodeState) -> None:
    obj = world.cluster.store.get("nodes", "", node.name)
    cores = _cores(obj)
    opencost.node(world, part, store, node.name, obj)
    for scrape in document()["scrapes"]:
        name = f"{scrape['name']}/{node.name}"
        if name not in part.machines:
            labels = {"job": scrape["job"], "instance": f"{node.ip}:{scrape['port']}", "node": node.name}
            labels |= scrape["labels"]
            store.add_target(name, labels, world.now, offset_ms=offset_of(store, node.name))
            found = gauges(scrape["name"], cores=cores)
            block = store.block(name, series(found, {}), world.now)
            part.machines[name] = Metered(block, cores, node.booted)
        up = node.runs(scrape["part"]) if "part" in scrape else not node.down.issuperset(PARTS)
        store.set_up(name, up, world.now)


def _cores(obj: Any) -> int:
    return max(quantity.value(dig(obj, "status", "capacity", "cpu", default="1")), 1)


# --- containers


def _containers(
    world: World, part: Metering, store: SeriesStore, node: NodeState, pods: list[PodState], shares: _Shares
) -> tuple[int, int]:
    """Write the containers of a node; returns thousandths of a core and bytes that they use together."""
    target = f"cadvisor/{node.name}"
    before = part.runs.get(target, {})
    runs: dict[_Key, Metered] = {}
    cpu, memory, now = _OWN_CPU, _OWN_MEMORY, world.now
    unlimited, limited = _picked(False), _picked(True)
    counted: list[float] = []
    shown: list[float] = []
    given: list[float] = []
    for state in pods:
        for name, (milli, size) in usage_of(world, state).items():
            found = state.containers[name]
            assert found.run is not None
            key = (state.uid, name, found.run.attempt)
            known = before.get(key) or _begin(world, store, target, state, found)
            if known is None:
                continue
            possible = min(milli, known.limit) if known.limit else milli
            cpu, memory = cpu + possible, memory + size
            share = shares.get((state.uid, name), -1.0)
            values = _measured(now, known, found, (possible, size), share)
            counters, gauges_ = limited if known.limit else unlimited
            counted += counters(values)
            shown += gauges_(values)
            given += opencost.given(known, possible, size)
            runs[key] = Metered(known.block, known.limit, now, known.cost, known.requests, known.constants)
    for key, gone in before.items():
        if key not in runs:
            store.retire(gone.block, world.now)
            store.retire(gone.cost, world.now)
    part.runs[target] = runs
    places = _places(part, store, target, runs)
    store.add(places.counters, np.array(counted))
    store.put(places.gauges, np.array(shown))
    store.put(places.costs, np.array(given))
    return cpu, memory


class _Places(NamedTuple):
    """Rows of the store of all runs on a node, and what they hold for."""

    mark: tuple[int, list[int]]
    counters: Ints
    gauges: Ints
    costs: Ints


def _places(part: Metering, store: SeriesStore, target: str, runs: Mapping[_Key, Metered]) -> _Places:
    mark = store.stamp(None), [known.block for known in runs.values()]
    held = part.places.get(target)
    if isinstance(held, _Places) and held.mark == mark:
        return held
    rows: tuple[list[int], list[int], list[int]] = ([], [], [])
    for known in runs.values():
        what, first = gauges("containers", limited=bool(known.limit)), store.first_row(known.block)
        rows[0].extend(range(first, first + what.counters))
        rows[1].extend(range(first + what.counters, first + len(what.items)))
        cost = store.first_row(known.cost)
        rows[2].extend(range(cost, cost + opencost.GIVEN))
    found = part.places[target] = _Places(mark, *(np.array(one, np.int64) for one in rows))
    return found


def _begin(
    world: World, store: SeriesStore, target: str, state: PodState, found: Container
) -> Metered | None:
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    spec = next(
        (one for one in containers_of((pod or {}).get("spec") or {}) if one["name"] == found.name), None
    )
    if pod is None or spec is None or found.run is None:
        return None
    limit = limit_of(spec, "cpu")
    slice_ = f"kubepods-{qos_class(pod['spec']).lower()}-pod{state.uid.replace('-', '_')}.slice"
    common = {
        "namespace": state.namespace,
        "pod": state.name,
        "container": found.name,
        "image": str(spec.get("image") or ""),
        "name": found.run.id,
        "id": f"/kubepods.slice/{slice_}/cri-containerd-{found.run.id}.scope",
    }
    what = gauges("containers", limited=bool(limit))
    block = store.block(target, series(what, common), world.now)
    requests = request_of(spec, "cpu") / 1000, float(request_of(spec, "memory"))
    cost = opencost.begin_container(world, store, common, state.node)
    constants = float(limit_of(spec, "memory")), float(max(request_of(spec, "cpu") * 1024 // 1000, 2))
    return Metered(block, limit, found.run.started, cost, requests, constants)


_MEASURED = (
    *("cpu", "user", "system", "periods", "throttled", "throttled_seconds"),
    *("memory", "rss", "memory_usage", "cache", "memory_limit", "shares", "period"),
    *("quota", "started", "now"),
)


@cache
def _picked(limited: bool) -> tuple[itemgetter[Any], itemgetter[Any]]:
    """What takes counters and gauges out of all that is measured."""
    found = gauges("containers", limited=limited)
    places, count = [_MEASURED.index(source) for source in found.sources], found.counters
    return itemgetter(*places[:count]), itemgetter(*places[count:])


def _measured(
    now: int, known: Metered, found: Container, used: tuple[int, int], share: float
) -> tuple[float, ...]:
    """What is told of a container: what its counters have grown by since the last time, and its gauges."""
    assert found.run is not None
    milli, size = used
    passed = max(now - known.at_ms, 0)
    seconds = milli * passed / 1e6
    limit = known.limit
    if share < 0.0:
        # without requests a program is throttled only as it comes near to its limit
        share = min(max((milli / limit - 0.9) * 10.0, 0.0), 1.0) if limit else 0.0
    periods = float(passed // _PERIOD_MS)
    throttled = float(round(periods * min(share, 1.0))) if share else 0.0
    most, weight = known.constants
    return (
        seconds,
        seconds * 0.75,
        seconds * 0.25,
        periods,
        throttled,
        throttled * _PERIOD_MS / 2000,
        float(size),
        size * 0.92 // 1,
        size * 1.06 // 1,
        size * 0.14 // 1,
        most,
        weight,
        100_000.0,
        limit * 100.0,
        found.run.started / 1000,
        now / 1000,
    )


# --- volumes


def _claims(world: World, part: Metering, store: SeriesStore, node: NodeState, pods: list[PodState]) -> None:
    """Write how full the claims are that are mounted on a node."""
    target = f"kubelet/{node.name}"
    before = part.runs.get(target, {})
    runs: dict[_Key, Metered] = {}
    what = gauges("claims")
    for place, key, volume, capacity in _mounted(world, part, node, pods):
        known = before.get(key)
        if known is None:
            common = {"namespace": key[0], "persistentvolumeclaim": key[1]}
            known = Metered(store.block(target, series(what, common), world.now), 0, world.now)
        idle = int(capacity * (0.02 + 0.1 * world.rng.uniform("volume.used", *key)))
        used = min(idle + sizes(pods[place]).get(volume, 0), capacity)
        values = {"capacity": capacity, "used": used, "available": capacity - used}
        write(store, known.block, what, {name: float(value) for name, value in values.items()})
        runs[key] = known
    for key, gone in before.items():
        if key not in runs:
            store.retire(gone.block, world.now)
    part.runs[target] = runs


class _Mounted(NamedTuple):
    """The claims that the pods of a node have mounted, and what that holds for.

    Attributes:
        mark: version of the objects, and the pods whose volumes are there.
        claims: place of the pod, key of the rows, name of the volume, bytes.
    """

    mark: tuple[int, list[str]]
    claims: list[tuple[int, _Key, str, int]]


def _mounted(
    world: World, part: Metering, node: NodeState, pods: list[PodState]
) -> list[tuple[int, _Key, str, int]]:
    objects, name = world.cluster.store, f"claims/{node.name}"
    mark = objects.rv, [state.uid if state.mounted else "" for state in pods]
    held = part.places.get(name)
    if isinstance(held, _Mounted) and held.mark == mark:
        return held.claims
    out: dict[_Key, tuple[int, _Key, str, int]] = {}
    for place, state in enumerate(pods):
        pod = objects.get("pods", state.namespace, state.name) if state.mounted else None
        for volume in dig(pod, "spec", "volumes", default=()):
            if "persistentVolumeClaim" not in volume:
                continue
            claim = dig(volume, "persistentVolumeClaim", "claimName")
            obj = objects.get("persistentvolumeclaims", state.namespace, str(claim)) if claim else None
            size = dig(obj, "status", "capacity", "storage")
            key = (state.namespace, str(claim), 0)
            if size is not None and key not in out:
                out[key] = (place, key, str(volume.get("name")), quantity.value(size))
    part.places[name] = _Mounted(mark, list(out.values()))
    return list(out.values())


# --- nodes


def _queued(world: World, pods: list[PodState]) -> float:
    """Threads that want a processor and wait for one: those of a group that has used up its share do not."""
    part: Any = next((part for name, part in world.cluster.parts() if name == "Effects"), None)
    rows = (
        [row for row in part.rows if row.parameter == "cpu_steal" and row.detail] if part is not None else []
    )
    if not rows:
        return 0.0
    here = {f"pod/{state.uid}" for state in pods}
    open_ended = [row for row in rows if row.on in here and not int(row.said("bound") or 0)]
    wanted = ((int(row.said("threads") or 0), int(row.said("whole") or 0)) for row in open_ended)
    return sum(max(threads - whole, 0) for threads, whole in wanted) / 1000


def _node(
    world: World,
    part: Metering,
    store: SeriesStore,
    node: NodeState,
    pods: list[PodState],
    used: tuple[int, int],
) -> None:
    obj = world.cluster.store.get("nodes", "", node.name)
    total = quantity.value(dig(obj, "status", "capacity", "memory", default="1Gi"))
    running = [sum([one.running for one in state.containers.values()]) for state in pods]
    left = max(total - used[1], 0)
    fresh = 0.62 - 0.2 * world.rng.uniform("node.disk", node.name)
    exporter = part.machines[f"node-exporter/{node.name}"]
    passed = max(world.now - max(exporter.at_ms, node.booted), 0) / 1000
    busy = min(used[0] / 1000 / exporter.limit, 1.0)
    values: dict[str, float] = {
        "one": 1.0,
        "cores": float(exporter.limit),
        "memory_total": float(total),
        "memory_left": float(min(left, _MEMORY_LEFT) if "memory" in node.pressure else left),
        "disk": float(_DISK),
        "disk_left": float(int(_DISK * (_DISK_FULL if "disk" in node.pressure else fresh))),
        "pods": float(sum(count > 0 for count in running)),
        "containers": float(sum(running)),
        "cpu_user": passed * busy * 0.75,
        "cpu_system": passed * busy * 0.25,
        "cpu_idle": passed * (1.0 - busy),
        "load": used[0] / 1000 + _queued(world, pods),
        "booted": node.booted / 1000,
        "now": world.now / 1000,
    }
    for scrape in document()["scrapes"]:
        name = f"{scrape['name']}/{node.name}"
        known = part.machines[name]
        write(store, known.block, gauges(scrape["name"], cores=known.limit), values)
        part.machines[name] = known._replace(at_ms=world.now)
