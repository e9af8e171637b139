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


def _root(spec: Obj) -> bool:
    whole = spec.get("securityContext") or {}

    def runs(container: Obj) -> bool:
        own = security(container)
        user = own.get("runAsUser", whole.get("runAsUser"))
        if user is not None:
            return bool(user == 0)
        return own.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True

    return any(runs(item) for item in containers(spec))


def _capabilities(container: Obj, which: str) -> set[str]:
    return set((security(container).get("capabilities") or {}).get(which) or ())


def _forges(container: Obj) -> bool:
    raw = {"ALL", "NET_RAW"}
    return not raw & _capabilities(container, "drop") or bool(raw & _capabilities(container, "add"))


def _host_path(spec: Obj) -> bool:
    return any(volume.get("hostPath") is not None for volume in spec.get("volumes") or ())


def _host_port(container: Obj) -> bool:
    return any(port.get("hostPort") for port in container.get("ports") or ())


def _unconfined(spec: Obj) -> bool:
    whole = (spec.get("securityContext") or {}).get("seccompProfile") or {}

    def profile(container: Obj) -> Any:
        return (security(container).get("seccompProfile") or whole).get("type")

    return any(profile(item) not in ("RuntimeDefault", "Localhost") for item in containers(spec))


_LIVES = frozenset(
    {
        *_TEMPLATES,
        "Pod",
        "CronJob",
        "Service",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "PersistentVolumeClaim",
    }
)
_OWN = frozenset(
    {("Service", "kubernetes"), ("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
)


def _in_default(objects: Objects) -> set[str]:
    found = set()
    for obj in objects:
        kind, about = str(obj["kind"]), obj["metadata"]
        at_home = about.get("namespace", "default") == "default" and kind in _LIVES
        if at_home and (kind, about["name"]) not in _OWN:
            found.add(f"default/{kind}/{about['name']}")
    return found


JUDGES = {
    "kg-01": pods(lambda spec: bool(spec.get("hostNetwork"))),
    "kg-02": pods(lambda spec: bool(spec.get("hostPID"))),
    "kg-03": pods(lambda spec: bool(spec.get("hostIPC"))),
    "kg-04": each(_privileged),
    "kg-05": each(lambda item: security(item).get("allowPrivilegeEscalation") is not False),
    "kg-06": pods(_root),
    "kg-07": each(_forges),
    "kg-08": each(lambda item: bool(_capabilities(item, "add") - {"NET_BIND_SERVICE"})),
    "kg-09": pods(_host_path),
    "kg-10": each(_host_port),
    "kg-11": pods(_unconfined),
    "kg-12": _in_default,
}
