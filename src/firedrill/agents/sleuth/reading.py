"""Reads an incident's evidence once into a :class:`Case`. Odd or hostile data is left out, never raised."""

# ruff: noqa: S608 - what is put into this SQL are constants of this module

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from firedrill.agents.sleuth.case import Alarm, Case, Change, Happening, Line, Thing, ident, listing, mapping
from firedrill.agents.sleuth.symptoms import time_of
from firedrill.core.entity import canonical_kind, is_cluster_scoped
from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.core.topology import Topology
    from firedrill.tools.evidence import Evidence

MAX_OBJECTS = 50_000
MAX_STATES = 5_000
MAX_EVENTS = 20_000
MAX_LINES = 4_000
MAX_BODY = 2_000_000
_POLLED = 0.6
"""Share of objects still recorded at the end above which a recorder lists all of them each time."""
_SAME = timedelta(seconds=60)
"""States recorded within this time belong to one listing."""
_LISTING = timedelta(minutes=15)
"""The most that may lie between two listings."""
_NOISE = frozenset(
    {"resourceVersion", "managedFields", "generation", "uid", "creationTimestamp", "status", "selfLink"}
)
_SETTLED_KINDS = "('Pod', 'ReplicaSet', 'Event', 'Lease', 'EndpointSlice', 'Endpoints', 'Node')"
_SUBJECTS = (
    ("pod", "Pod"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("resourcequota", "ResourceQuota"),
    ("job_name", "Job"),
    ("node", "Node"),
)
_COMPLAINTS = (
    r"permission denied|read-only file system|no space left|access denied|authentication fail|password"
    r"|noauth|wrongpass|unauthori[sz]ed|forbidden|invalid credential|no such host|name resolution"
    r"|connection refused|unreachable|i/o timeout|no route to host|out of memory|too many connections"
    r"|exec format error|no such file|not found|unable ?to ?connect|deadline exceeded|certificate"
)


def read_case(evidence: Evidence) -> Case:
    """Everything but signals, symptoms and onset, which are derived from it."""
    case = Case(evidence=evidence, modalities=frozenset(evidence.modalities), topology=evidence.topology())
    case.objects = _objects(evidence)
    case.events = _events(evidence)
    case.alarms = _alarms(evidence, case.topology)
    case.lines = (*_unit_lines(evidence), *_complaints(evidence))
    case.end = _end(case)
    case.start = _start(case)
    return case


def rows(evidence: Evidence, sql: str, limit: int = 10_000) -> list[tuple[Any, ...]]:
    """The rows of a query, none when it cannot be answered."""
    try:
        return evidence.query(sql, limit=limit).rows
    except InputError:
        # a table too large or too odd for its bounds: the case is read without it
        return []


def _objects(evidence: Evidence) -> dict[str, Thing]:
    latest = rows(
        evidence,
        "SELECT kind, namespace, name, max(seen), arg_max(body, seen), arg_max(file, seen), min(seen),"
        " count(*)"
        " FROM (SELECT *, coalesce(time, TIMESTAMP_NS '1970-01-01 00:00:00') AS seen FROM objects)"
        f" WHERE kind IS NOT NULL AND name IS NOT NULL AND length(body) < {MAX_BODY}"
        " GROUP BY kind, namespace, name ORDER BY kind, namespace, name",
        MAX_OBJECTS,
    )
    states = _states(evidence)
    firsts, lasts = [row[6] for row in latest], [row[3] for row in latest]
    polled = _polled(firsts, lasts)
    things: dict[str, Thing] = {}
    for spelled, namespace, name, last, body, file, first, _ in latest:
        document = parsed(body)
        if document is None:
            continue
        kind = canonical_kind(spelled)
        key = ident(kind, None if is_cluster_scoped(kind) else namespace, name)
        appeared = polled and first - min(firsts) > _SAME
        things[key] = Thing(
            key,
            document,
            file or "",
            last,
            states.get((kind, namespace, name), ()),
            gone=polled and max(lasts) - last > _SAME,
            appeared=appeared,
            first=_since(document, first) if appeared else first,
        )
    return things


def _since(body: Mapping[str, Any], first: datetime) -> datetime:
    """When an object came: what it says itself, where it was first listed no earlier."""
    made = time_of(mapping(body, "metadata").get("creationTimestamp"))
    return made if made is not None and first - _LISTING < made < first else first


def _polled(firsts: list[datetime], lasts: list[datetime]) -> bool:
    """Whether the recorder lists everything again and again, so that what is no longer listed is gone."""
    if not lasts or max(lasts) - min(firsts) <= _SAME:
        return False
    return sum(max(lasts) - last <= _SAME for last in lasts) >= _POLLED * len(lasts)


def parsed(text: object) -> Mapping[str, Any] | None:
    """A JSON object, or None for anything else."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _states(evidence: Evidence) -> dict[tuple[str, str | None, str], tuple[Change, ...]]:
    """For every object with several states, what changed between them, in order."""
    part = "CASE WHEN json_valid(body) THEN {} END"
    keys = ", ".join(
        part.format(f"json_extract(body, '$.{path}')::VARCHAR")
        for path in ("spec", "data", "metadata.labels", "rules", "roleRef", "webhooks")
    )
    table = rows(
        evidence,
        "SELECT kind, namespace, name, min(time) AS since, arg_min(body, time) FROM objects"
        f" WHERE kind NOT IN {_SETTLED_KINDS} AND length(body) < {MAX_BODY} AND (kind, name) IN"
        " (SELECT (kind, name) FROM objects GROUP BY kind, name HAVING count(*) > 1)"
        f" GROUP BY kind, namespace, name, {keys} ORDER BY kind, namespace, name, since",
        MAX_STATES,
    )
    grouped: dict[tuple[str, str | None, str], list[tuple[datetime, Mapping[str, Any]]]] = defaultdict(list)
    for kind, namespace, name, since, body in table:
        if (document := parsed(body)) is not None:
            grouped[canonical_kind(kind), namespace, name].append((since, document))
    return {key: tuple(_changes(seen)) for key, seen in grouped.items() if len(seen) > 1}


def _changes(seen: list[tuple[datetime, Mapping[str, Any]]]) -> Iterable[Change]:
    for (earlier, before), (listed, after) in itertools.pairwise(seen):
        time = _written(after, earlier, listed)
        # a diagnosis is passed around: it says which value of a Secret changed, never what it is
        secret = after.get("kind") == "Secret"
        for path, old, new in sorted(differences(meaning(before), meaning(after))):
            if secret and path.startswith(("data", "stringData")):
                yield Change(time, path, old and "(masked)", new and "(another value)")
            else:
                yield Change(time, path, old, new)


def _written(body: Mapping[str, Any], earlier: datetime, listed: datetime) -> datetime:
    """When a state was written that was listed later: objects are listed every few minutes only."""
    times = [
        time
        for entry in listing(body, "metadata", "managedFields")
        if not entry.get("subresource") and (time := time_of(entry.get("time"))) is not None
    ]
    last = max(times, default=listed)
    return last if max(earlier, listed - _LISTING) < last < listed else listed


def meaning(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object without its status and without the fields that Kubernetes itself keeps turning."""
    kept = {key: value for key, value in body.items() if key not in _NOISE and key != "metadata"}
    return {**kept, "metadata": {"labels": mapping(body, "metadata", "labels")}}


def differences(before: object, after: object, path: str = "") -> Iterable[tuple[str, str, str]]:
    """``(path, before, after)`` of every leaf that differs, as short texts."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping) and path.count(".") < 24:
        for key in {*before, *after}:
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) < 200:
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{number}]")
    else:
        yield path, _short(before), _short(after)


def _short(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _events(evidence: Evidence) -> tuple[Happening, ...]:
    table = rows(
        evidence,
        "SELECT object_kind, object_namespace, object_name, type, reason, message,"
        " min(coalesce(first_time::TIMESTAMP_NS, last_time::TIMESTAMP_NS, time)) AS first,"
        " max(coalesce(last_time::TIMESTAMP_NS, time)), sum(count), any_value(file), any_value(host)"
        " FROM (SELECT object_kind, object_namespace, object_name, type, reason, message, name,"
        "  min(first_time) AS first_time, max(last_time) AS last_time, min(time) AS time,"
        "  max(coalesce(count, 1)) AS count, min(file) AS file, min(host) AS host FROM events GROUP BY ALL)"
        " WHERE object_kind IS NOT NULL AND object_name IS NOT NULL"
        " GROUP BY object_kind, object_namespace, object_name, type, reason, message"
        " ORDER BY type = 'Normal', first, object_kind, object_namespace, object_name, reason, message",
        MAX_EVENTS,
    )
    found = []
    for spelled, namespace, name, type_, reason, message, first, last, count, file, host in table:
        kind = canonical_kind(spelled)
        entity = ident(kind, None if is_cluster_scoped(kind) else namespace, name)
        found.append(
            Happening(
                entity,
                type_ or "",
                reason or "",
                (message or "")[:2000],
                first,
                last,
                int(count or 1),
                file or "",
                host or "",
            )
        )
    return tuple(found)


def _alarms(evidence: Evidence, topology: Topology) -> tuple[Alarm, ...]:
    table = rows(
        evidence,
        "SELECT name, min(coalesce(active_at, time)) AS since, any_value(severity), namespace, service, pod,"
        " min(description), labels, min(file) FROM alerts WHERE coalesce(state, 'firing') = 'firing'"
        " GROUP BY name, namespace, service, pod, labels ORDER BY since, name, labels",
        5_000,
    )
    known = frozenset(topology.nodes)
    found = []
    for name, since, severity, namespace, service, pod, text, labels, file in table:
        marks = parsed(labels) or {}
        entity = _subject(marks, namespace, service, pod, known)
        found.append(Alarm(name or "", entity, since, severity or "", (text or "")[:500], file or "", marks))
    return tuple(found)


def _subject(
    labels: Mapping[str, Any],
    namespace: str | None,
    service: str | None,
    pod: str | None,
    known: frozenset[str],
) -> str | None:
    for label, kind in _SUBJECTS:
        name = labels.get(label)
        if isinstance(name, str) and name and (namespace or is_cluster_scoped(kind)):
            return ident(kind, None if is_cluster_scoped(kind) else namespace, name)
    if pod and namespace:
        return ident("Pod", namespace, pod)
    for label in ("service_name", "service", "destination_canonical_service", "destination_app", "app"):
        name = labels.get(label) if label != "service" else service or labels.get(label)
        if isinstance(name, str) and name and namespace:
            for kind in ("Service", "Deployment", "StatefulSet", "DaemonSet"):
                if ident(kind, namespace, name) in known:
                    return ident(kind, namespace, name)
            return ident("Service", namespace, name)
    return None


def _unit_lines(evidence: Evidence) -> Iterable[Line]:
    """What service managers of nodes say about their units."""
    table = rows(
        evidence,
        "SELECT time, namespace, pod, service, node, body, file FROM logs"
        " WHERE pod IS NULL AND node IS NOT NULL AND length(body) < 20000"
        " AND (body LIKE '%Active: %' OR body LIKE '%systemd[1]: %')"
        " ORDER BY time, node, service, body",
        MAX_LINES,
    )
    for time, _, _, service, node, body, file in table:
        yield Line(time, f"cluster/Node/{node}", service or "", node, body, file or "")


def _complaints(evidence: Evidence) -> Iterable[Line]:
    """Lines in which a program says what it lacks: one sample per program and pattern, with the last time."""
    table = rows(
        evidence,
        "SELECT max(time), namespace, pod, service, node, arg_max(body, time), arg_max(file, time)"
        " FROM (SELECT *, regexp_replace(body, '[0-9a-f.:]*[0-9][0-9a-fA-F.:-]*', '#', 'g') AS shape"
        " FROM logs"
        f" WHERE length(body) < 8000 AND regexp_matches(body, '{_COMPLAINTS}', 'i')"
        " AND NOT (pod IS NULL AND node IS NOT NULL AND body LIKE '%systemd%') LIMIT 200000)"
        " GROUP BY namespace, pod, service, node, left(shape, 160) ORDER BY ALL",
        MAX_LINES,
    )
    for time, namespace, pod, service, node, body, file in table:
        entity = ident("Pod", namespace, pod) if namespace and pod else None
        if entity is None and node:
            entity = f"cluster/Node/{node}" if not namespace else None
        if entity is None and namespace and service:
            entity = ident("Service", namespace, service)
        yield Line(time, entity, service or "", node or "", body, file or "")


def _start(case: Case) -> datetime | None:
    firsts = [thing.first for thing in case.objects.values() if thing.first and thing.first.year > 1970]
    lasts = [thing.time for thing in case.objects.values() if thing.time]
    return min(firsts) if firsts and _polled(firsts, lasts) else None


def _end(case: Case) -> datetime | None:
    times = [thing.time for thing in case.objects.values() if thing.time is not None]
    times += [event.last for event in case.events if event.last is not None]
    times = [time for time in times if time.year > 1970]
    return max(times, default=None)
