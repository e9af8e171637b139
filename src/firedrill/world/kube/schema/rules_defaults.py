"""Defaults that depend on other fields, by type. Each gives a new object."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from firedrill.world.kube.objects import Obj, dig, name_of

RULES: dict[str, Callable[[Obj], Obj]] = {}


def _rule(*types: str) -> Callable[[Callable[[Obj], Obj]], Callable[[Obj], Obj]]:
    def keep(function: Callable[[Obj], Obj]) -> Callable[[Obj], Obj]:
        for name in types:
            RULES[name] = function
        return function

    return keep


def _missing(obj: Obj, key: str, value: Any) -> Obj:
    return obj if obj.get(key) is not None else {**obj, key: value}


def pull_policy(image: str) -> str:
    """`Always` for no tag or `latest`, else `IfNotPresent`. A digest alone counts as `latest` in no way."""
    rest, _, digest = image.partition("@")
    tag = rest.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and not digest) else "IfNotPresent"


@_rule("core.v1.Container", "core.v1.EphemeralContainer")
def _container(obj: Obj) -> Obj:
    if not obj.get("imagePullPolicy"):
        obj = {**obj, "imagePullPolicy": pull_policy(str(obj.get("image") or ""))}
    return obj


@_rule("core.v1.Probe")
def _probe(obj: Obj) -> Obj:
    zero = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    for key, value in zero.items():
        if obj[key] == 0:
            obj = {**obj, key: value}
    if "grpc" in obj and "service" not in obj["grpc"]:
        obj = {**obj, "grpc": {**obj["grpc"], "service": ""}}
    return obj


@_rule("core.v1.Volume")
def _volume(obj: Obj) -> Obj:
    return obj if len(obj) > 1 or "name" not in obj else {**obj, "emptyDir": {}}


@_rule("core.v1.PodSpec")
def _pod_spec(obj: Obj) -> Obj:
    if obj.get("serviceAccountName"):
        obj = {**obj, "serviceAccount": obj["serviceAccountName"]}
    elif obj.get("serviceAccount"):
        obj = {**obj, "serviceAccountName": obj["serviceAccount"]}
    return obj


@_rule("core.v1.Pod")
def _pod(obj: Obj) -> Obj:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj
    spec = dict(spec)
    host = bool(spec.get("hostNetwork"))
    for key in ("initContainers", "containers"):
        if isinstance(spec.get(key), list):
            spec[key] = [_pod_container(item, host) for item in spec[key]]
    return {**obj, "spec": spec}


def _pod_container(container: Obj, host_network: bool) -> Obj:
    """Requests that are missing are the limits; ports on the host's network are the host's ports."""
    limits = dig(container, "resources", "limits")
    if limits:
        given = dig(container, "resources", "requests", default={})
        requests = {**given, **{key: value for key, value in limits.items() if key not in given}}
        container = {**container, "resources": {**container["resources"], "requests": requests}}
    if host_network and container.get("ports"):
        ports = [
            port if port.get("hostPort") else {**port, "hostPort": port.get("containerPort")}
            for port in container["ports"]
        ]
        container = {**container, "ports": ports}
    return container


@_rule("core.v1.ServicePort")
def _service_port(obj: Obj) -> Obj:
    if obj.get("targetPort") in (None, 0, "") and "port" in obj:
        obj = {**obj, "targetPort": obj["port"]}
    return obj


@_rule("core.v1.Service")
def _service(obj: Obj) -> Obj:
    spec = dict(obj["spec"])
    type_ = spec["type"]
    if spec["sessionAffinity"] == "ClientIP" and not dig(
        spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds"
    ):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    if type_ in {"NodePort", "LoadBalancer"} or (type_ == "ClusterIP" and spec.get("externalIPs")):
        spec = _missing(spec, "externalTrafficPolicy", "Cluster")
    if type_ in {"ClusterIP", "NodePort", "LoadBalancer"}:
        spec = _missing(spec, "internalTrafficPolicy", "Cluster")
    if type_ == "LoadBalancer":
        spec = _missing(spec, "allocateLoadBalancerNodePorts", True)
    return {**obj, "spec": spec}


@_rule("core.v1.Secret")
def _secret(obj: Obj) -> Obj:
    """`stringData` is only a way to write: what it holds goes to `data`."""
    texts = obj.get("stringData")
    if not texts:
        return {key: value for key, value in obj.items() if key != "stringData"}
    coded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    out = {key: value for key, value in obj.items() if key != "stringData"}
    return {**out, "data": {**(obj.get("data") or {}), **coded}}


@_rule("core.v1.Namespace")
def _namespace(obj: Obj) -> Obj:
    name = name_of(obj)
    labels = dig(obj, "metadata", "labels", default={})
    if not name or labels.get("kubernetes.io/metadata.name") == name:
        return obj
    labels = {**labels, "kubernetes.io/metadata.name": name}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


@_rule("core.v1.Node")
def _node(obj: Obj) -> Obj:
    status = obj.get("status")
    if not isinstance(status, dict) or not status.get("capacity") or status.get("allocatable"):
        return obj
    return {**obj, "status": {**status, "allocatable": dict(status["capacity"])}}


@_rule("core.v1.LimitRangeItem")
def _limit_range(obj: Obj) -> Obj:
    if obj.get("type") != "Container":
        return obj
    limits = {**(obj.get("max") or {}), **(obj.get("default") or {})}
    requests = {**(obj.get("min") or {}), **limits, **(obj.get("defaultRequest") or {})}
    out = dict(obj)
    if limits:
        out["default"] = limits
    if requests:
        out["defaultRequest"] = requests
    return out


@_rule("core.v1.ReplicationController")
def _replication_controller(obj: Obj) -> Obj:
    labels = dig(obj, "spec", "template", "metadata", "labels")
    if not labels:
        return obj
    out = dict(obj)
    if not dig(obj, "spec", "selector"):
        out["spec"] = {**obj["spec"], "selector": dict(labels)}
    if not dig(obj, "metadata", "labels"):
        out["metadata"] = {**(obj.get("metadata") or {}), "labels": dict(labels)}
    return out


@_rule("apps.v1.DeploymentStrategy")
def _deployment_strategy(obj: Obj) -> Obj:
    if obj.get("type") != "RollingUpdate":
        return obj
    given = obj.get("rollingUpdate") or {}
    return {**obj, "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%", **given}}


@_rule("apps.v1.StatefulSetUpdateStrategy")
def _stateful_strategy(obj: Obj) -> Obj:
    if obj.get("type") != "RollingUpdate":
        return obj
    return {**obj, "rollingUpdate": {"partition": 0, **(obj.get("rollingUpdate") or {})}}


@_rule("apps.v1.DaemonSetUpdateStrategy")
def _daemon_strategy(obj: Obj) -> Obj:
    if obj.get("type") != "RollingUpdate":
        return obj
    given = obj.get("rollingUpdate") or {}
    return {**obj, "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1, **given}}


@_rule("apps.v1.StatefulSetSpec")
def _stateful_spec(obj: Obj) -> Obj:
    claims = obj.get("volumeClaimTemplates")
    if not claims:
        return obj
    kinds = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return {**obj, "volumeClaimTemplates": [{**kinds, **claim} for claim in claims]}


@_rule("batch.v1.Job")
def _job(obj: Obj) -> Obj:
    spec = dict(obj["spec"])
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec = _missing(spec, "parallelism", 1)
    spec = _missing(spec, "backoffLimit", 2147483647 if spec.get("backoffLimitPerIndex") is not None else 6)
    spec = _missing(
        spec, "podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    )
    out = {**obj, "spec": spec}
    labels = dig(spec, "template", "metadata", "labels")
    if labels and not dig(obj, "metadata", "labels"):
        out["metadata"] = {**(obj.get("metadata") or {}), "labels": dict(labels)}
    return out


@_rule("autoscaling.v2.HorizontalPodAutoscaler")
def _autoscaler(obj: Obj) -> Obj:
    spec = dict(obj["spec"])
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if isinstance(behavior, dict):
        spec["behavior"] = {
            "scaleUp": {**_SCALE_UP, **(behavior.get("scaleUp") or {})},
            "scaleDown": {**_SCALE_DOWN, **(behavior.get("scaleDown") or {})},
        }
    return {**obj, "spec": spec}


_SCALE_UP: Mapping[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Mapping[str, Any] = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


@_rule("networking.v1.NetworkPolicySpec")
def _network_policy(obj: Obj) -> Obj:
    if obj.get("policyTypes"):
        return obj
    return {**obj, "policyTypes": ["Ingress", "Egress"] if obj.get("egress") else ["Ingress"]}


@_rule("rbac.v1.Subject")
def _subject(obj: Obj) -> Obj:
    if obj.get("apiGroup") or obj.get("kind") not in {"User", "Group"}:
        return obj
    return {**obj, "apiGroup": "rbac.authorization.k8s.io"}


@_rule("apiextensions.v1.CustomResourceDefinition")
def _definition(obj: Obj) -> Obj:
    spec = dict(obj.get("spec") or {})
    names = dict(spec.get("names") or {})
    if names.get("kind"):
        names.setdefault("singular", str(names["kind"]).lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec["names"] = names
    spec.setdefault("conversion", {"strategy": "None"})
    return {**obj, "spec": spec}


@_rule("apiregistration.v1.APIService")
def _api_service(obj: Obj) -> Obj:
    service = dig(obj, "spec", "service")
    if not isinstance(service, dict) or service.get("port"):
        return obj
    return {**obj, "spec": {**obj["spec"], "service": {**service, "port": 443}}}
