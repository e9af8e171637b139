"""What is wrong, without asking why: the symptoms of a case, and when they began."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from firedrill.agents.sleuth.case import Body, Case, Happening, Symptom, Thing, at, listing, mapping
from firedrill.agents.sleuth.model import Clue

RECENT = timedelta(minutes=15)
LEAD = timedelta(minutes=15)
"""How long before the first alert its first cause may show."""
STARTING = timedelta(minutes=1)
SETTLED = timedelta(minutes=3)
"""A warning that came no more for so long before the first alert is over, where its object is well."""
_WEIGHTS = {"critical": 1.0, "error": 1.0, "page": 1.0, "warning": 0.7, "info": 0.2, "none": 0.0}
UNREACHED = re.compile(
    r"connection refused|no such host|name resolution|unreachable|i/o timeout|no route to host"
    r"|unable ?to ?connect"
    r"|connect(?:ion)? timed out|deadline exceeded|unknown ?host|could not resolve|transport is closing",
    re.IGNORECASE,
)
"""How programs say that they cannot reach another."""
_IDLE = frozenset({"Watchdog", "InfoInhibitor", "DeadMansSwitch"})


def time_of(text: object) -> datetime | None:
    """A Kubernetes time as naive UTC, None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (
        found.replace(tzinfo=None)
        if found.utcoffset() is None
        else (found - (found.utcoffset() or timedelta())).replace(tzinfo=None)
    )


def condition(thing: Thing, name: str) -> Body:
    """The condition of that type, empty when there is none."""
    found = [item for item in listing(thing.status, "conditions") if item.get("type") == name]
    return found[-1] if found else {}


def container_states(pod: Thing) -> Iterator[tuple[str, Body]]:
    """``(name, status)`` of every container of a pod, the initialising ones first."""
    for field in ("initContainerStatuses", "containerStatuses"):
        for status in listing(pod.status, field):
            yield str(status.get("name", "")), status


def unready(pod: Thing) -> str | None:
    """Why a pod does not serve now, None when it serves, is done or says nothing."""
    phase = pod.status.get("phase")
    if phase in ("Succeeded", None) and not condition(pod, "Ready"):
        return None
    if phase == "Succeeded" or at(pod.body, "metadata", "deletionTimestamp"):
        return None
    for name, status in container_states(pod):
        waiting = mapping(status, "state", "waiting")
        if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
            return f"container {name} waits: {waiting['reason']}"
    if phase in ("Pending", "Failed", "Unknown"):
        return f"phase {phase} {pod.status.get('reason') or ''}".strip()
    if condition(pod, "Ready").get("status") == "False":
        return "not ready"
    return None


def last_exit(status: Body) -> Body:
    """How a container ended last, empty when it has not."""
    return mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")


def restarted(case: Case, pod: Thing) -> str | None:
    """Why a pod counts as restarting: a container ended not long before the end of the recording."""
    for name, status in container_states(pod):
        gone = last_exit(status)
        ended = time_of(gone.get("finishedAt"))
        count = status.get("restartCount")
        if ended and case.end and case.end - ended < RECENT and isinstance(count, int) and count > 0:
            return f"container {name} restarted {count} times, last exit code {gone.get('exitCode')}"
    return None


def wanted(thing: Thing) -> int:
    """How many pods a workload should have."""
    count = thing.spec.get("replicas")
    if thing.kind == "DaemonSet":
        count = thing.status.get("desiredNumberScheduled")
    return (
        count
        if isinstance(count, int) and not isinstance(count, bool)
        else (1 if thing.kind != "DaemonSet" else 0)
    )


def ready(thing: Thing) -> int | None:
    """How many ready pods a workload says that it has; None when it does not say."""
    for field in ("readyReplicas", "numberReady", "availableReplicas"):
        if isinstance(thing.status.get(field), int):
            return int(thing.status[field])
    return 0 if thing.status and thing.kind in ("Deployment", "StatefulSet") else None


def find_symptoms(case: Case) -> Iterable[Symptom]:
    """Everything that is wrong at the end of the recording, or was alerted."""
    yield from _pods(case)
    for thing in case.all("Deployment", "StatefulSet", "DaemonSet"):
        have = ready(thing)
        if have is not None and have < wanted(thing):
            yield Symptom(thing.id, f"{have} of {wanted(thing)} pods ready", None)
    for claim in case.all("PersistentVolumeClaim"):
        if claim.status.get("phase") in ("Pending", "Lost"):
            yield Symptom(claim.id, f"claim is {claim.status['phase']}", None, 0.6)
    for node in case.all("Node"):
        if condition(node, "Ready").get("status") in ("False", "Unknown"):
            since = time_of(condition(node, "Ready").get("lastTransitionTime"))
            yield Symptom(node.id, f"node is not ready: {condition(node, 'Ready').get('reason')}", since)
    for alarm in case.alarms:
        weight = _WEIGHTS.get(alarm.severity.lower(), 0.7) * (0.1 if stood(case, alarm.time) else 1.0)
        if alarm.entity and weight and alarm.name not in _IDLE:
            yield Symptom(case.top(alarm.entity), f"alert {alarm.name}", alarm.time, weight)
    for signal in case.signals:
        if signal.kind in ("errors", "latency", "traffic") and signal.strength >= 0.5:
            yield Symptom(case.top(signal.entity), signal.text, signal.time, 0.5 * signal.strength)
    for line in case.lines:
        if line.entity and not line.entity.startswith("cluster/") and UNREACHED.search(line.text):
            yield Symptom(case.top(line.entity), f"it says: {line.text.strip()[:160]}", line.time, 0.3)


def _pods(case: Case) -> Iterator[Symptom]:
    for top, pods in sorted(case.pods_of.items()):
        for pod in pods:
            why = unready(pod) or restarted(case, pod)
            if why is not None:
                yield Symptom(top, f"{pod.name}: {why}", None, 1.0 if unready(pod) else 0.7)


def failing(case: Case) -> dict[str, float]:
    """Entity -> the weight of its worst symptom."""
    table: dict[str, float] = {}
    for symptom in case.symptoms:
        table[symptom.entity] = max(table.get(symptom.entity, 0.0), symptom.weight)
    return table


def stood(case: Case, when: datetime | None) -> bool:
    """Whether something was already so when the recording began: then it is not what happened in it."""
    return when is not None and case.start is not None and when < case.start - timedelta(minutes=2)


def _passed(case: Case, event: Happening, alerted: datetime) -> bool:
    """Whether a warning was over before anything failed, such as that of a probe while a pod started."""
    pod = case.objects.get(event.entity)
    if pod is None or pod.kind != "Pod" or event.first is None or event.last is None:
        return False
    made = time_of(mapping(pod.body, "metadata").get("creationTimestamp"))
    if event.reason == "Unhealthy" and made is not None and event.first - made < STARTING:
        # what came later with the same words is folded into it
        return alerted - event.first >= SETTLED
    well = pod.gone or (unready(pod) is None and restarted(case, pod) is None)
    return well and alerted - event.last >= SETTLED


def find_onset(case: Case) -> tuple[datetime | None, Clue | None]:
    """When the incident began, and what says so: the first alert, or a first warning of what fails."""
    hurt = failing(case)
    alerts = [
        (alarm.time, Clue(alarm.file, alarm.time, f"alert {alarm.name}: {alarm.text}"))
        for alarm in case.alarms
        if alarm.time is not None
        and alarm.name not in _IDLE
        and not stood(case, alarm.time)
        and _WEIGHTS.get(alarm.severity.lower(), 0.7) > 0.2
    ]
    first = min(alerts, key=lambda item: item[0], default=None)
    warnings = [
        (event.first, event.clue())
        for event in case.events
        if event.type == "Warning"
        and event.first is not None
        and case.top(event.entity) in hurt
        and (first is None or first[0] - LEAD <= event.first <= first[0])
        and not (first is not None and _passed(case, event, first[0]))
    ]
    signals = [
        (signal.time, Clue(signal.source, signal.time, signal.text))
        for signal in case.signals
        if signal.time is not None and signal.strength >= 0.7
    ]
    candidates = warnings or ([first] if first else []) or signals
    best = min(candidates, key=lambda item: (item[0], item[1].text), default=None)
    return best if best else (None, None)
