"""Short forms of objects in scenario files: `make: Deployment` instead of forty lines.

`{make: Kind, name:, namespace:, labels:, annotations:, pod:, containers:, initContainers:,
ephemeralContainers:, spec:, …}`. `pod` and `spec` are laid over what a plain object of that kind has;
containers are laid over a plain container each, numbered where they have no name. Other members
(`data`, `rules`, `subjects`, `type` …) go into the object as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.core.errors import InputError

Obj = dict[str, Any]
VERSIONS = {
    "Pod": "v1",
    "Namespace": "v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "ServiceAccount": "v1",
    "PersistentVolume": "v1",
    "PersistentVolumeClaim": "v1",
    "ReplicationController": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}
_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_LISTS = ("containers", "initContainers", "ephemeralContainers")
_OWN = frozenset({"make", "name", "namespace", "labels", "annotations", "pod", "spec", "podLabels", *_LISTS})


def made(item: Mapping[str, Any], source: str) -> Obj:
    """The object that a short form stands for; other objects as they are.

    Raises:
        InputError: the kind has no short form, or the form is wrong.
    """
    if "make" not in item:
        return dict(item)
    kind, name = str(item["make"]), str(item.get("name", ""))
    if kind not in VERSIONS or not name:
        mend = f"kinds are {', '.join(VERSIONS)}"
        raise InputError(f"cannot make a {kind!r} called {name!r}", source=source, field="make", mend=mend)
    metadata: Obj = {"name": name}
    for key in ("namespace", "labels", "annotations"):
        if item.get(key):
            metadata[key] = item[key]
    obj: Obj = {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata}
    spec = _spec(kind, name, item)
    if spec is not None:
        obj["spec"] = merged(spec, item.get("spec") or {})
    elif "spec" in item:
        obj["spec"] = item["spec"]
    return {**obj, **{key: value for key, value in item.items() if key not in _OWN}}


def _spec(kind: str, name: str, item: Mapping[str, Any]) -> Obj | None:
    pod = _pod(kind, name, item)
    labels = {"app": name, **(item.get("podLabels") or {})}
    template = {"metadata": {"labels": labels}, "spec": pod}
    if kind == "Pod":
        return pod
    if kind in _CONTROLLERS:
        spec: Obj = {"selector": {"matchLabels": {"app": name}}, "template": template}
        if kind != "DaemonSet":
            spec = {"replicas": 1, **spec}
        return {**spec, "serviceName": name} if kind == "StatefulSet" else spec
    if kind == "ReplicationController":
        return {"replicas": 1, "selector": {"app": name}, "template": template}
    if kind == "Job":
        return {"template": template}
    if kind == "CronJob":
        return {"schedule": "*/30 * * * *", "jobTemplate": {"spec": {"template": template}}}
    if kind == "Service":
        return {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return None


def _pod(kind: str, name: str, item: Mapping[str, Any]) -> Obj:
    spec: Obj = {}
    if kind in ("Job", "CronJob"):
        spec["restartPolicy"] = "Never"
    for place in _LISTS:
        given = item.get(place)
        if given is None and place == "containers":
            given = [{}]
        if given is not None:
            spec[place] = [_container(one, number, name, place) for number, one in enumerate(_items(given))]
    return merged(spec, item.get("pod") or {})


def _items(given: Any) -> Sequence[Mapping[str, Any]]:
    return given if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _container(given: Mapping[str, Any], number: int, name: str, place: str) -> Obj:
    own = {"containers": name, "initContainers": f"{name}-init", "ephemeralContainers": f"{name}-debug"}[
        place
    ]
    plain: Obj = {
        "name": own if number == 0 else f"{own}-{number + 1}",
        "image": f"registry.example.com/{name}:1.4.2",
    }
    if place != "ephemeralContainers":
        plain["resources"] = {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "128Mi"},
        }
    return merged(plain, given or {})


def merged(value: Obj, change: Mapping[str, Any]) -> Obj:
    """A merge patch laid over an object: null takes a member away, lists are replaced."""
    found: Obj = _merged(value, change)
    return found


def _merged(value: Any, change: Any) -> Any:
    if not isinstance(change, Mapping):
        return change
    base = dict(value) if isinstance(value, Mapping) else {}
    for key, item in change.items():
        if item is None:
            base.pop(key, None)
        else:
            base[key] = _merged(base.get(key), item)
    return base


__all__ = ["VERSIONS", "made", "merged"]
