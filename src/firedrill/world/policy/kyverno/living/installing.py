"""The objects of an installation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import programs
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, thaw
from firedrill.world.policy.kyverno.living import admission, scanning, status
from firedrill.world.policy.kyverno.living.state import NAMESPACE, installed
from firedrill.world.policy.kyverno.schemas import definitions
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.world import World

__all__ = ["install", "installed", "own_webhooks"]
_LOOPS = (admission, status)  # importing these modules registers what they do
_PORT = 9443
_READ: Obj = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
_EVENTS: Obj = {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}


@cache
def _facts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = table(__package__, "install.yaml")
    return found


def install(world: World) -> None:
    """Install Kyverno: definitions, namespace `kyverno`, controllers, settings and webhooks.

    Its pods need some seconds to become ready; until then nobody can write policies.

    Raises:
        ApiError: something of that name is there already.
    """
    if installed(world):
        return
    client = Client(world, manager="helm", trusted=True)
    for definition in definitions():
        client.create(thaw(definition))
    manifests = list(_manifests())
    programs.learn(world, manifests)
    for obj in manifests:
        client.create(obj)
    scanning.begin(world)


def _labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": "kyverno",
        "app.kubernetes.io/part-of": "kyverno",
    }


def _manifests() -> list[Obj]:
    facts = _facts()
    out: list[Obj] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kyverno", "namespace": NAMESPACE, "labels": _labels("config")},
            "data": dict(facts["settings"]),
        },
    ]
    for name, component in facts["components"].items():
        out += _component(name, component)
    return [*out, *own_webhooks()]


def _component(name: str, facts: Mapping[str, Any]) -> list[Obj]:
    full, labels = f"kyverno-{name}", _labels(name)
    meta = {"name": full, "namespace": NAMESPACE, "labels": labels}
    image = f"{_facts()['registry']}/{facts['image']}:{_facts()['version']}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"kyverno:{name}"}
    out: list[Obj] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role["name"], "labels": labels},
            "rules": [_READ, *_facts()["grants"][name], _EVENTS],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["name"], "labels": labels},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": full, "namespace": NAMESPACE}],
        },
        _deployment(full, labels, image),
    ]
    if "service" in facts:
        out.append(_service(facts["service"], labels, "https", 443))
    out.append(_service(facts["metrics"], labels, "metrics-port", 8000))
    return out


def _service(name: str, labels: Mapping[str, str], port: str, number: int) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {
            "type": "ClusterIP",
            "selector": dict(labels),
            "ports": [{"name": port, "port": number, "protocol": "TCP", "targetPort": port}],
        },
    }


def _deployment(name: str, labels: Mapping[str, str], image: str) -> Obj:
    probe = {"httpGet": {"path": "/health/readiness", "port": _PORT, "scheme": "HTTPS"}}
    container: Obj = {
        "name": "kyverno" if name.endswith("admission-controller") else "controller",
        "image": image,
        "ports": [
            {"containerPort": _PORT, "name": "https", "protocol": "TCP"},
            {"containerPort": 8000, "name": "metrics-port", "protocol": "TCP"},
        ],
        "resources": {"limits": {"memory": "384Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "readinessProbe": {**probe, "initialDelaySeconds": 5, "periodSeconds": 10},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"serviceAccountName": name, "containers": [container]},
            },
        },
    }


def own_webhooks() -> list[Obj]:
    """The webhook configurations about Kyverno's own objects."""
    by_name: dict[str, list[Obj]] = {}
    for name, hook, path, group, resources in _facts()["own_webhooks"]:
        rule = {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": list(resources),
            "scope": "*",
        }
        by_name.setdefault(name, []).append(admission.webhook(hook, path, [rule], "Fail"))
    return [admission.configuration(name, hooks) for name, hooks in by_name.items()]
