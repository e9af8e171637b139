"""Whether a cause can be seen: what an agent may read at it that differs from a world where nothing broke."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from firedrill.faults._diff import differences, plain
from firedrill.faults.healing.places import Place, place_of
from firedrill.world.kube.api import ApiError
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

Floats = NDArray[np.float64]
DEVIATIONS: Final = 5.0
"""By how many standard deviations of the healthy twin a number has to differ."""
_LEAST = 0.02
"""The least standard deviation that is reckoned with, as a share of the mean."""
_FEW = 8
_MOST_PODS = 4
_MOST_LINES = 400
_LOGS_MS = 5 * 60_000
_TICKS = 6
_STAGGER = 5
_MOMENTS = re.compile(r"(Time|Timestamp|At|UID|uid|IP|IPs|ID|message|resourceVersion|observedGeneration)$")
_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+")
_COUNTERS = ("_total", "_count", "_sum", "_bucket")
_DATES = ("_created", "_time", "_timestamp", "_time_seconds", "_timestamp_seconds", "_info")
_EACH_POD = frozenset({"pod", "uid", "instance", "id", "name", "pod_ip", "container_id", "host_ip"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One record that gives a cause away.

    Attributes:
        entity: of the cause.
        modality: `objects`, `events`, `logs`, `metrics` or `traces`.
        text: what differs, in a few words.
    """

    entity: str
    modality: str
    text: str


@dataclass(frozen=True, slots=True)
class Sides:
    """An incident beside its healthy twin at the same moment.

    Attributes:
        world, twin: the two.
        before: a fork from right before the first injection.
        start: of the baseline, in ms since the Unix epoch.
        fault: when the first injection was.
    """

    world: World
    twin: World
    before: World
    start: int
    fault: int


def visible(sides: Sides, entity: str, modalities: Collection[str], *, every: bool = False) -> list[Seen]:
    """What differs at a cause; the first finding, or one for each modality where all are asked for.

    Args:
        sides: the incident and its twin.
        entity: the cause, as `namespace/Kind/name`.
        modalities: what may be seen; those that are not known here say nothing.
        every: go on after the first finding.
    """
    place = place_of(sides.world, sides.before, entity)
    if place is None:
        return []
    out = []
    for modality, look in _LOOKS.items():
        text = look(sides, place) if modality in modalities else ""
        if text:
            out.append(Seen(entity, modality, text))
            if not every:
                break
    return out


# --- objects


def _objects(sides: Sides, place: Place) -> str:
    now, was = (world.cluster.store.get(*place[:3]) for world in (sides.world, sides.twin))
    if now is None or was is None:
        return "" if now is was else ("it is not there" if now is None else "it is there")
    leaf = next(differences(plain(was), plain(now)), None)
    if leaf is not None:
        path = ".".join(_step(step) for step in leaf.path)
        return f"{path} is {_short(leaf.after)}, not {_short(leaf.before)}"
    leaf = next(differences(_lasting(was.get("status")), _lasting(now.get("status"))), None)
    if leaf is not None:
        return f"status.{'.'.join(_step(step) for step in leaf.path)} is {_short(leaf.after)}"
    return _pods_state(sides, place)


def _step(step: Any) -> str:
    return step if isinstance(step, str) else str(step.name)


def _short(value: Any) -> str:
    text = "absent" if value == () else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _lasting(value: Any) -> Any:
    """A status without moments, addresses and texts."""
    if isinstance(value, dict):
        return {key: _lasting(item) for key, item in value.items() if not _MOMENTS.search(key)}
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    return value


def _pods_state(sides: Sides, place: Place) -> str:
    here, there = (_states(world, sides.before, place) for world in (sides.world, sides.twin))
    new = sorted(here - there)
    return f"a pod of it is {new[0]}" if new else ""


def _states(world: World, before: World, place: Place) -> set[str]:
    out = set()
    for pod in pods_at(world, before, place):
        out.add(str(dig(pod, "status", "phase")))
        for item in dig(pod, "status", "containerStatuses", default=()):
            out.add("ready" if item.get("ready") else "not ready")
            out.update(
                str(state["reason"])
                for kind in ("state", "lastState")
                for state in (item.get(kind) or {}).values()
                if state.get("reason")
            )
    return out


def pods_at(world: World, before: World, place: Place) -> list[Obj]:
    """The pods that belong to an entity: owned, selected, on the node, or using it."""
    if place.resource == "pods":
        found = world.cluster.store.get(*place[:3])
        return [found] if found is not None else []
    if place.resource == "nodes":
        return world.cluster.store.pods_on(place.name)
    pods = world.cluster.store.list("pods", place.namespace) if place.namespace else []
    version = before.cluster.store.get(*place[:3]) or world.cluster.store.get(*place[:3])
    wanted = dig(version, "spec", "selector")
    if place.resource == "services" and wanted:
        return [pod for pod in pods if selects({"matchLabels": dict(wanted)}, labels_of(pod))]
    if isinstance(wanted, dict) and place.resource.endswith(".apps"):
        return [pod for pod in pods if selects(wanted, labels_of(pod))]
    wanted = dig(version, "spec", "podSelector")
    if isinstance(wanted, dict):
        return [pod for pod in pods if selects(wanted, labels_of(pod))]
    return [pod for pod in pods if _uses(pod["spec"], place.name)]


def _uses(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        keys = ("claimName", "secretName", "serviceAccountName")
        refs = ("configMap", "configMapRef", "configMapKeyRef", "secretRef", "secretKeyRef")
        if any(value.get(key) == name for key in keys):
            return True
        if any(isinstance(value.get(key), dict) and value[key].get("name") == name for key in refs):
            return True
        return any(_uses(item, name) for item in value.values())
    return isinstance(value, list | tuple) and any(_uses(item, name) for item in value)


# --- events


def _events(sides: Sides, place: Place) -> str:
    here, there = (_reasons(world, sides.before, place) for world in (sides.world, sides.twin))
    new = sorted(here - there)
    return f"event {new[0][1]} about a {new[0][0]}" if new else ""


def _reasons(world: World, before: World, place: Place) -> set[tuple[str, str]]:
    about = {(place.kind, place.namespace, place.name)}
    about |= {("Pod", namespace_of(pod), name_of(pod)) for pod in pods_at(world, before, place)}
    out = set()
    for event in world.cluster.store.list("events"):
        ref = event.get("involvedObject") or {}
        key = (str(ref.get("kind")), str(ref.get("namespace") or ""), str(ref.get("name")))
        owned = key[0] in {"Pod", "ReplicaSet"} and key[1] == place.namespace
        if key in about or (owned and key[2].startswith(f"{place.name}-")):
            out.add((key[0], str(event.get("reason"))))
    return out


# --- logs


def _logs(sides: Sides, place: Place) -> str:
    known = _templates(sides.twin, sides, place) | _templates(sides.before, sides, place)
    new = sorted(_templates(sides.world, sides, place) - known)
    return f"a line such as {_short(new[0])}" if new else ""


def _templates(world: World, sides: Sides, place: Place) -> set[str]:
    """Lines of the last minutes without their numbers."""
    out = set()
    since = max(world.now - _LOGS_MS, sides.start)
    for pod in pods_at(world, sides.before, place)[:_MOST_PODS]:
        for container in pod["spec"]["containers"]:
            for line in _lines(world, pod, str(container["name"]), since):
                out.add(_NUMBERS.sub("#", line)[:200])
    return out


def _lines(world: World, pod: Obj, container: str, since: int) -> Iterator[str]:
    from firedrill.world.kube.kubelet import read_log

    for previous in (False, True):
        try:
            yield from read_log(
                world,
                namespace_of(pod),
                name_of(pod),
                container,
                previous=previous,
                since_ms=since,
                tail=_MOST_LINES,
            )
        except ApiError:
            continue  # it never ran, or not twice: there is nothing to read


# --- metrics


def _metrics(sides: Sides, place: Place) -> str:
    start = sides.fault + (sides.world.now - sides.fault) // _STAGGER
    here, there = (_series(world, sides.before, place, start) for world in (sides.world, sides.twin))
    for key in sorted(there):
        other = here.get(key)
        if other is not None and _differ(other, there[key]):
            return f"{key[0]} is {other.mean():.4g}, not {there[key].mean():.4g}"
    return ""


Key = tuple[str, tuple[tuple[str, str], ...]]


def _series(world: World, before: World, place: Place, start: int) -> dict[Key, Floats]:
    """Values of all series of an entity and its pods; of counters, their growth; pods taken together."""
    from firedrill.world.telemetry.labels import NAME
    from firedrill.world.telemetry.matching import Matcher
    from firedrill.world.telemetry.monitoring import Monitoring

    store = world.cluster.part(Monitoring).store
    space = [Matcher("namespace", "=", place.namespace)] if place.namespace else []
    names = "|".join(sorted(name_of(pod) for pod in pods_at(world, before, place)[:_MOST_PODS]))
    wanted = [[*space, Matcher(place.kind.lower(), "=", place.name)]]
    if names and place.resource != "nodes":
        wanted.append([*space, Matcher("pod", "=~", names)])
    found: dict[Key, list[Floats]] = {}
    for matchers in wanted:
        for labels, _, values in store.select(matchers, start, world.now):
            name = dict(labels)[NAME]
            if name.endswith(_DATES) or name.startswith("ALERTS") or len(values) < _FEW:
                continue
            kept = tuple(pair for pair in labels if pair[0] not in _EACH_POD and pair[0] != NAME)
            grown = np.maximum(np.diff(values), 0.0) if name.endswith(_COUNTERS) else values
            found.setdefault((name, kept), []).append(grown)
    return {key: _together(parts) for key, parts in found.items()}


def _together(parts: Sequence[Floats]) -> Floats:
    shortest = min(len(part) for part in parts)
    out: Floats = np.mean([part[-shortest:] for part in parts], axis=0)
    return out


def _differ(here: Floats, there: Floats) -> bool:
    if not (np.isfinite(here).all() and np.isfinite(there).all()):
        return False
    mean = float(there.mean())
    noise = max(float(there.std()), _LEAST * abs(mean), 1e-9)
    return abs(float(here.mean()) - mean) > DEVIATIONS * noise


# --- traces


def _traces(sides: Sides, place: Place) -> str:
    here, there = (_requests(world, sides, place) for world in (sides.world, sides.twin))
    for name in ("errors", "duration", "requests"):
        if name in here and name in there and _differ(here[name], there[name]):
            return f"{name} of its spans: {here[name].mean():.4g}, not {there[name].mean():.4g}"
    return ""


def _requests(world: World, sides: Sides, place: Place) -> dict[str, Floats]:
    """Share of errors, mean duration in ms and number of the requests to an entity, in some ticks."""
    from firedrill.world.app import rows as kinds
    from firedrill.world.app.traffic import TICK_MS, Traffic, record_of, rows_of

    part = world.cluster.part(Traffic)
    pods = {name_of(pod) for pod in pods_at(world, sides.before, place)}
    if part.graph is None or not pods:
        return {}
    usual = {name_of(pod) for pod in pods_at(sides.before, sides.before, place)} | pods
    count = len(part.history)
    first = max(count - (world.now - sides.fault) // TICK_MS + _TICKS, 0)
    out: dict[str, list[float]] = {"errors": [], "duration": [], "requests": []}
    for number in range(first, count, _TICKS):
        rows, topology = rows_of(world, number), record_of(world, number).inputs.topology
        here = [n for n, pod in enumerate(topology.pods) if pod.name in usual]
        if place.resource == "nodes":
            mask = np.isin(rows.pod, here) | np.isin(rows.source, here)
        else:
            mask = np.isin(part.graph.op_service[rows.op], sorted({topology.pods[n].service for n in here}))
        asked = int(mask.sum())
        out["requests"].append(float(asked * rows.weight))
        if asked:
            out["errors"].append(float((rows.kind[mask] != kinds.OK).mean()))
            out["duration"].append(float(rows.duration[mask].mean()) / 1000.0)
    return {name: np.array(values) for name, values in out.items() if len(values) >= _FEW}


_LOOKS: dict[str, Callable[[Sides, Place], str]] = {
    "objects": _objects,
    "events": _events,
    "metrics": _metrics,
    "traces": _traces,
    "logs": _logs,
}
