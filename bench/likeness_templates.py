"""Pod templates as the recorded cluster had them: by the hash in a pod's name, and with the mesh's sidecar.

The hash in the name of a pod is that of its template: a pod that one recording only lists may be described
in another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from firedrill.world.kube.objects import Obj
from likeness_text import table

PROXY = "docker.io/istio/proxyv2:1.27.3-distroless"
_PROXY_RESOURCES = {
    "limits": {"cpu": "2", "memory": "1Gi"},
    "requests": {"cpu": "100m", "memory": "128Mi"},
}
_MOUNTS = {"istio-envoy": "/etc/istio/proxy", "istio-data": "/var/lib/istio/data"}

# Templates that no recording describes. The experiments with probe timing changed the liveness probe alone:
# their readiness probes are those that the application of those days was deployed with.
_KNOWN: Mapping[tuple[str, str], Obj] = {
    ("paymentservice", "64b6c744b5"): {
        "readinessProbe": {"grpc": {"port": 50051}, "timeoutSeconds": 1, "periodSeconds": 10}
    },
}


def hashes(texts: Mapping[str, str]) -> dict[str, str]:
    """The hash of each workload's template, from the names of the pods that a recording lists."""
    out = {}
    for row in table(texts.get("get-pods-wide", "")):
        if match := re.fullmatch(r"(.+)-([a-z0-9]{6,10})-[a-z0-9]{5}", row["NAME"]):
            out[match[1]] = match[2]
    return out


def described_pods(every: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], str]:
    """The described pods of all recordings, by workload and hash of the template."""
    out: dict[tuple[str, str], str] = {}
    for texts in every:
        for file, text in texts.items():
            match = re.fullmatch(r"describe-pods-(.+)-([a-z0-9]{6,10})-[a-z0-9]{5}", file)
            if match:
                out.setdefault((match[1], match[2]), text)
    return out


def known(workload: str, digest: str) -> Obj:
    """Fields of the container of a template that no recording describes, where they are known otherwise."""
    return deepcopy(dict(_KNOWN.get((workload, digest), {})))


def is_meshed(texts: Mapping[str, str]) -> bool:
    """Whether the pods of a recording carried the mesh's sidecar."""
    rows = table(texts.get("get-pods-wide", ""))
    return any(row["READY"].endswith("/2") for row in rows)


def mesh(deployment: Obj) -> None:
    """Give the pods of a Deployment what the mesh's webhook injects: a check first, a proxy beside."""
    spec = deployment["spec"]["template"]["spec"]
    metadata = deployment["spec"]["template"]["metadata"]
    first = spec["containers"][0]
    metadata.setdefault("annotations", {})["kubectl.kubernetes.io/default-container"] = first["name"]
    probers: dict[str, Any] = {}
    for container in spec["containers"]:
        for key, path in (("livenessProbe", "livez"), ("readinessProbe", "readyz")):
            probe = container.get(key)
            if probe and "tcpSocket" not in probe:
                where = f"/app-health/{container['name']}/{path}"
                probers[where] = {name: probe.pop(name) for name in ("httpGet", "grpc") if name in probe}
                probers[where]["timeoutSeconds"] = probe.get("timeoutSeconds", 1)
                probe["httpGet"] = {"path": where, "port": 15020}
    spec["initContainers"] = [
        {
            "name": "istio-validation",
            "image": PROXY,
            "args": ["istio-iptables", "-p", "15001", "-z", "15006", "--run-validation", "--skip-rule-apply"],
            "resources": _PROXY_RESOURCES,
        }
    ]
    ready = {"path": "/healthz/ready", "port": 15021}
    spec["containers"].append(
        {
            "name": "istio-proxy",
            "image": PROXY,
            "args": ["proxy", "sidecar", "--log_output_level=default:info"],
            "ports": [{"name": "http-envoy-prom", "containerPort": 15090}],
            "env": [{"name": "ISTIO_KUBE_APP_PROBERS", "value": json.dumps(probers)}],
            "resources": _PROXY_RESOURCES,
            "readinessProbe": {
                "httpGet": ready,
                "timeoutSeconds": 3,
                "periodSeconds": 15,
                "failureThreshold": 4,
            },
            "startupProbe": {
                "httpGet": ready,
                "timeoutSeconds": 3,
                "periodSeconds": 1,
                "failureThreshold": 600,
            },
            "volumeMounts": [{"name": name, "mountPath": path} for name, path in _MOUNTS.items()],
        }
    )
    spec.setdefault("volumes", []).extend({"name": name, "emptyDir": {}} for name in _MOUNTS)
