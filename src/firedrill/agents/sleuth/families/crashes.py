"""Containers that do not start, or end by themselves: command, exit codes, memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from firedrill.agents.sleuth.case import Body, Case, Line, Thing, at, listing, mapping
from firedrill.agents.sleuth.families.common import clues, kubectl, last_event, troubled_pods, undo
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import container_states, last_exit, restarted, time_of, unready

_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
        "PreStartHookError",
        "PostStartHookError",
    }
)
_CODES = {
    126: "its command cannot be executed",
    127: "its command was not found",
    128: "its command could not be started",
    132: "illegal instruction: it may be built for another processor",
    134: "it aborted",
    139: "it crashed with a segmentation fault",
}
_PREPARED = timedelta(minutes=3)
_TELLING = re.compile(
    r"permission denied|exec format error|no such file|not found|cannot|denied|fatal|panic|exception|error"
    r"|invalid|refused|failed",
    re.IGNORECASE,
)


def crashes(case: Case) -> Iterator[Hypothesis]:
    """A container is refused by its runtime, is killed for its memory, or ends by itself again and again."""
    for top, pod, _ in troubled_pods(case):
        for name, status in container_states(pod):
            found = _container(case, top, pod, name, status)
            if found is not None:
                yield found


def hanging(case: Case) -> Iterator[Hypothesis]:
    """A pod has waited for minutes for a container that prepares it and does not end."""
    for top, pod, _ in troubled_pods(case):
        for status in listing(pod.status, "initContainerStatuses"):
            since = time_of(mapping(status, "state", "running").get("startedAt"))
            if since is None or case.end is None or case.end - since < _PREPARED or _sidecar(pod, status):
                continue
            name = status.get("name")
            text = f"init container {name} has been running since {since}, and the pod waits for it"
            yield Hypothesis(
                top,
                "crashes",
                Ground.FAILURE,
                text,
                time=since,
                evidence=clues(pod.clue(text)),
                fix=(kubectl(pod.id, "logs", f"-c {name}"), undo(top)),
            )


def _sidecar(pod: Thing, status: Body) -> bool:
    """Whether an init container is meant to go on beside the others."""
    return any(
        item.get("name") == status.get("name") and item.get("restartPolicy") == "Always"
        for item in listing(pod.spec, "initContainers")
    )


def _container(case: Case, top: str, pod: Thing, name: str, status: Body) -> Hypothesis | None:
    waits = mapping(status, "state", "waiting")
    reason, message = str(waits.get("reason") or ""), str(waits.get("message") or "")
    gone = last_exit(status)
    code, ended = gone.get("exitCode"), str(gone.get("reason") or "")
    if reason in _START or ended in ("StartError", "ContainerCannotRun"):
        event = last_event(case, pod.id, "Failed")
        text = str(message or gone.get("message") or (event.message if event else ""))[:300]
        return Hypothesis(
            top,
            "crashes",
            Ground.REFUSAL,
            f"container {name} cannot be started: {reason or ended} {text}",
            time=event.first if event else None,
            fix=(undo(top), kubectl(top, "edit")),
            evidence=clues(pod.clue(f"container {name}: {reason or ended} {text}"), event),
        )
    if ended == "OOMKilled" and (unready(pod) or restarted(case, pod)):
        limit = _limit(pod, name)
        return Hypothesis(
            top,
            "crashes",
            Ground.REFUSAL,
            f"container {name} is killed for its memory (limit {limit or 'none; the node ran out'}),"
            f" {status.get('restartCount')} restarts",
            evidence=clues(pod.clue(f"container {name}: OOMKilled, exit code {code}, limit {limit}")),
            fix=(kubectl(top, "set resources", f"-c {name} --limits=memory=MORE"), undo(top)),
            strength=1.0 if unready(pod) else 0.8,
        )
    loops = reason == "CrashLoopBackOff" or (code not in (None, 0) and status.get("ready") is False)
    if not loops:
        return None
    said = _said(case, pod, top)
    probes = [e for e in case.events_of(pod.id) if e.reason == "Killing" and "probe" in e.message]
    known = isinstance(code, int) and code in _CODES
    text = f"container {name} ends again and again with exit code {code}"
    text += f": {_CODES[code]}" if isinstance(code, int) and known else ""
    back = last_event(case, pod.id, "BackOff")
    told = str(gone.get("message") or "")[:200]
    words = told or (said.text.strip()[:200] if said else "")
    return Hypothesis(
        top,
        "crashes",
        Ground.REFUSAL if known else Ground.FAILURE,
        f"{text}{f'; it says: {words}' if words else ''}",
        strength=0.5 if probes else (1.0 if known or said or told else 0.8),
        time=back.first if back else None,
        evidence=clues(pod.clue(text), back, said.clue() if said else None),
        fix=(kubectl(pod.id, "logs --previous", f"-c {name}"), undo(top)),
    )


def _limit(pod: Thing, name: str) -> str:
    for container in pod.containers:
        if container.get("name") == name:
            return str(at(container, "resources", "limits", "memory") or "")
    return ""


def _said(case: Case, pod: Thing, top: str) -> Line | None:
    lines = [
        line
        for line in case.lines
        if line.entity is not None
        and (line.entity == pod.id or case.top(line.entity) == top)
        and _TELLING.search(line.text)
    ]
    return lines[-1] if lines else None
