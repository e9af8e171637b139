"""Reading what kubectl prints, and taking out what cannot be equal: names, times, addresses, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_EVENT = re.compile(
    r"\s+(Normal|Warning)\s+(\S+)\s+(\S+(?: \(x\d+ over [^)]*\))?|<unknown>)\s\s+(\S+(?:, \S+)?)\s+(.*)"
)
_HASH = r"[bcdfghjklmnpqrstvwxz2456789]{5}"
_SUFFIXES = (
    re.compile(rf"-[a-z0-9]{{6,10}}-{_HASH}$"),
    re.compile(rf"-{_HASH}$"),
    re.compile(r"-[a-f0-9]{8,10}$"),
)
_SET = re.compile(r"-(?=[a-z0-9]*\d)[a-z0-9]{6,10}$")


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it was printed: about what, of which kind, in what shape of words."""

    kind: str
    about: str
    type: str
    reason: str
    shape: str


def table(text: str) -> list[dict[str, str]]:
    """The rows of a `kubectl get`, by column; empty where nothing was found."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not re.match(r"[A-Z]", lines[0]) or "NAME" not in lines[0]:
        return []
    starts = [match.start() for match in re.finditer(r"(?<!\S)(?<!\S )\S+(?: \S+)*", lines[0])]
    names = [lines[0][start:end].strip() for start, end in _spans(starts, len(lines[0]))]
    return [
        {
            name: line[start:end].strip()
            for name, (start, end) in zip(names, _spans(starts, 10_000), strict=True)
        }
        for line in lines[1:]
    ]


def _spans(starts: Sequence[int], last: int) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts[1:], last], strict=True))


def workload(name: str) -> str:
    """What a pod or ReplicaSet belongs to, by its name."""
    for pattern in _SUFFIXES:
        if pattern.search(name):
            return pattern.sub("", name)
    return name


def set_owner(name: str) -> str:
    """What a ReplicaSet belongs to, by its name."""
    return _SET.sub("", name)


def owner(kind: str, name: str) -> str:
    """The name without what differs from cluster to cluster."""
    if kind in {"pod", "pods"}:
        return workload(name)
    if kind in {"replicaset", "replicasets"}:
        return set_owner(name)
    return name


_NODE = re.compile(r"\b(?:master|control-plane|worker-\d+)\b")
_RULES = (
    (re.compile(r"https?://[^\s\"]+"), "<url>"),
    (re.compile(r"\"[a-z0-9.-]+(?::\d+)?/[^\s\"]+\"|\"(?:redis|busybox|nginx):[^\s\"]+\""), "<image>"),
    (re.compile(r"[a-z0-9.-]+\.[a-z]+(?::\d+)?/[\w./-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?"), "<image>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\\x[0-9a-f]{2}[^\"]*"), "<bytes>"),
    (re.compile(r"\b[0-9a-f]{24,}\b"), "<id>"),
    (_NODE, "<node>"),
    (re.compile(r"\{[\w./-]+: ?[\w.-]*\}"), "<taint>"),
    (re.compile(r"\b\d[\d.]*(?:[mun]?s|[KMGT]i?|m)?\b"), "<n>"),
)
_NAMED = re.compile(
    r"(?<=replica set )\S+|(?<=Created pod: )\S+|(?<=assigned )\S+|(?<=container )[\w-]+|"
    r"(?<=Container )[\w-]+(?= failed)|(?<=in pod )\S+|(?<=pods )\"[^\"]+\"|(?<=quota: )[\w-]+|"
    r"(?<=account )\S+/\S+|"
    r"(?<=serviceaccount )\"[^\"]+\"|(?<=storageclass.storage.k8s.io )\"[^\"]+\"|\([\w-]+\)(?=; attempting)|"
    r"(?<=volume )\"[^\"]+\"|(?<=configmap )\"[^\"]+\"|(?<=secret )\"[^\"]+\""
)


def shape(message: str) -> str:
    """The message with every name, number, address and time taken out."""
    out = _NAMED.sub("<name>", message.strip())
    for pattern, mark in _RULES:
        out = pattern.sub(mark, out)
    return re.sub(r"(<n>[\w-]*)+", "<n>", out)


def described_events(kind: str, name: str, text: str, oldest: int = 1 << 40) -> Iterator[Seen]:
    """The events that `kubectl describe` lists below an object, the last seen not `oldest` seconds ago."""
    _, found, tail = text.partition("\nEvents:")
    for line in tail.splitlines() if found else ():
        match = _EVENT.match(line)
        if match is not None and age_seconds(match[3].partition(" ")[0]) < oldest:
            yield Seen(kind.removesuffix("s"), owner(kind, name), match[1], match[2], shape(match[5]))


def listed_events(text: str, oldest: int = 1 << 40) -> Iterator[Seen]:
    """The events of `kubectl get events`, the last seen not `oldest` seconds ago.

    The header may have been cut off.
    """
    for line in text.splitlines():
        parts = re.split(r"\s{2,}", line.strip(), maxsplit=4)
        if len(parts) < 4 or parts[1] not in {"Normal", "Warning"} or age_seconds(parts[0]) >= oldest:
            continue
        kind, _, name = parts[3].partition("/")
        message = parts[4] if len(parts) > 4 else ""
        yield Seen(kind, owner(kind, name), parts[1], parts[2], shape(message))


def states(text: str) -> set[str]:
    """Conditions with their status, and the states of containers, as `describe` prints them."""
    out: set[str] = set()
    section = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            section = line.partition(":")[0]
        if section == "Conditions" and (match := re.match(r"\s{2}(\w+)\s+(True|False|Unknown)\b", line)):
            out.add(f"condition {match[1]}={match[2]}")
        if section in {"Containers", "Init Containers"} and (
            match := re.match(r"\s+(State|Last State|Reason|Exit Code|Ready):\s+(\S.*)", line)
        ):
            out.add(f"container {match[1]}={match[2].strip()}")
        if section in {"Status", "Replicas", "Unschedulable", "Taints"} and line.startswith(section):
            out.add(re.sub(r"\s+", " ", _NODE.sub("<node>", line)))
    return out


def rows(resource: str, text: str) -> dict[str, str]:
    """The columns of a `kubectl get` that tell a state, by the name without what differs from run to run."""
    wanted = _STATE_COLUMNS.get(resource, ())
    out: dict[str, list[str]] = {}
    for row in table(text):
        name = owner(resource, row.get("NAME", ""))
        out.setdefault(name, []).append(" ".join(_state(column, row) for column in wanted if column in row))
    return {name: " | ".join(sorted(texts)) for name, texts in sorted(out.items())}


def _state(column: str, row: Mapping[str, str]) -> str:
    value = row[column]
    if column == "RESTARTS":
        return "restarted" if not value.startswith("0") else "0"
    if column == "ENDPOINTS":
        return value if value == "<none>" else re.sub(r"\d+(?:\.\d+){3}", "<ip>", value)
    if column == "PORT(S)":
        return re.sub(r":\d{5}", "", value)
    return value


_STATE_COLUMNS = {
    "pods": ("READY", "STATUS", "RESTARTS"),
    "deployments": ("READY", "UP-TO-DATE", "AVAILABLE"),
    "replicasets": ("DESIRED", "CURRENT", "READY"),
    "services": ("TYPE", "PORT(S)"),
    "endpoints": ("ENDPOINTS",),
    "nodes": ("STATUS",),
    "persistentvolumeclaims": ("STATUS", "CAPACITY", "ACCESS MODES", "STORAGECLASS"),
    "persistentvolumes": ("CAPACITY", "ACCESS MODES", "RECLAIM POLICY", "STATUS", "CLAIM"),
    "resourcequota": ("REQUEST", "LIMIT"),
}


def age_seconds(text: str) -> int:
    """The seconds of an age such as `98s`, `2m3s`, `4d11h`."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 31_536_000}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhdy])", text))
