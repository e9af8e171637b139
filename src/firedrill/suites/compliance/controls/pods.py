"""What breaks requirements on pods, whatever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from firedrill.suites.compliance.patching import entity

Obj = Mapping[str, Any]
Objects = Sequence[Obj]
_TEMPLATES = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"}
)
LISTS = ("containers", "initContainers", "ephemeralContainers")


def pod_of(obj: Obj) -> Obj | None:
    """The pod that an object is or makes, with metadata and spec; None for other objects."""
    kind, spec = obj.get("kind"), obj.get("spec") or {}
    if kind == "Pod":
        return obj
    if kind in _TEMPLATES:
        return spec.get("template") or {}
    if kind == "CronJob":
        return (spec.get("jobTemplate") or {}).get("spec", {}).get("template") or {}
    return None


def containers(spec: Obj) -> Iterator[Obj]:
    """All containers of a pod's spec, of the three kinds."""
    for name in LISTS:
        yield from spec.get(name) or ()


def security(container: Obj) -> Obj:
    """A container's own security context, empty where it has none."""
    return container.get("securityContext") or {}


def pods(breaks: Callable[[Obj], bool]) -> Callable[[Objects], set[str]]:
    """A procedure that names the objects whose pod's spec breaks something."""

    def judge(objects: Objects) -> set[str]:
        found = set()
        for obj in objects:
            pod = pod_of(obj)
            if pod is not None and breaks(pod.get("spec") or {}):
                found.add(entity(obj))
        return found

    return judge


def each(breaks: Callable[[Obj], bool]) -> Callable[[Objects], set[str]]:
    """A procedure that names the objects one of whose containers breaks something."""
    return pods(lambda spec: any(breaks(item) for item in containers(spec)))


def _privileged(container: Obj) -> bool:
    return bool(security(container).get("privileged"))


JUDGES = {
    "kg-01": pods(lambda spec: bool(spec.get("hostNetwork"))),
    "kg-02": pods(lambda spec: bool(spec.get("hostPID"))),
    "kg-03": pods(lambda spec: bool(spec.get("hostIPC"))),
    "kg-04": each(_privileged),
}
