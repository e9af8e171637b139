"""Rows of services, their endpoints, and what leads to them."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.printers.texts import (
    NONE,
    UNKNOWN,
    UNSET,
    balancer,
    host_port,
    labels_text,
    selector_text,
    with_more,
)


def service(obj: Obj) -> Obj:
    """Cells of a Service."""
    spec = obj.get("spec") or {}
    ports = (
        f"{item.get('port')}:{item['nodePort']}/{item.get('protocol', 'TCP')}"
        if item.get("nodePort")
        else f"{item.get('port')}/{item.get('protocol', 'TCP')}"
        for item in spec.get("ports") or ()
    )
    return {
        "Type": spec.get("type") or "",
        "Cluster-IP": dig(spec, "clusterIPs", 0) or spec.get("clusterIP") or NONE,
        "External-IP": _external(obj, spec),
        "Port(s)": ",".join(ports) or NONE,
        "Selector": labels_text(spec.get("selector")),
    }


def _external(obj: Obj, spec: Obj) -> str:
    given = ",".join(spec.get("externalIPs") or ())
    type_ = spec.get("type")
    if type_ in ("ClusterIP", "NodePort"):
        return given or NONE
    if type_ == "LoadBalancer":
        return ",".join(part for part in (balancer(obj), given) if part) or "<pending>"
    return str(spec.get("externalName") or "") if type_ == "ExternalName" else UNKNOWN


def endpoints(obj: Obj) -> Obj:
    """Cells of Endpoints: `<none>` without subsets, nothing where none is ready."""
    subsets = obj.get("subsets") or ()
    found = [
        host_port(address.get("ip"), port.get("port")) if port else str(address.get("ip"))
        for subset in subsets
        for port in subset.get("ports") or [None]
        for address in subset.get("addresses") or ()
    ]
    return {"Endpoints": with_more(found, 3, "") if subsets else NONE}


def endpoint_slice(obj: Obj) -> Obj:
    """Cells of an EndpointSlice."""
    ports = [str(item.get("port") or item.get("name") or "*") for item in obj.get("ports") or ()]
    found = [str(one) for item in obj.get("endpoints") or () for one in item.get("addresses") or ()]
    return {"Ports": with_more(ports), "Endpoints": with_more(found)}


def ingress(obj: Obj) -> Obj:
    """Cells of an Ingress."""
    spec = obj.get("spec") or {}
    hosts = [str(rule["host"]) for rule in spec.get("rules") or () if rule.get("host")]
    return {
        "Class": spec.get("ingressClassName") or NONE,
        "Hosts": with_more(hosts, 3, "*"),
        "Address": balancer(obj),
        "Ports": "80, 443" if spec.get("tls") else "80",
    }


def ingress_class(obj: Obj) -> Obj:
    """Cells of an IngressClass."""
    found = dig(obj, "spec", "parameters")
    if not found:
        return {"Parameters": NONE}
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return {"Parameters": f"{found.get('kind')}{group}/{found.get('name')}"}


def network_policy(obj: Obj) -> Obj:
    """Cells of a NetworkPolicy."""
    return {"Pod-Selector": selector_text(dig(obj, "spec", "podSelector"))}


def api_service(obj: Obj) -> Obj:
    """Cells of an APIService."""
    target: Any = dig(obj, "spec", "service")
    available = UNKNOWN
    for item in dig(obj, "status", "conditions", default=()):
        if item.get("type") == "Available":
            status, reason = str(item.get("status")), item.get("reason")
            available = status if status == "True" else f"{status} ({reason})"
    return {
        "Service": f"{target.get('namespace')}/{target.get('name')}" if target else "Local",
        "Available": available,
    }


def webhooks(obj: Obj) -> Obj:
    """Cells of a webhook configuration."""
    return {"Webhooks": len(obj.get("webhooks") or ())}


def admission_policy(obj: Obj) -> Obj:
    """Cells of a ValidatingAdmissionPolicy."""
    kind = dig(obj, "spec", "paramKind")
    return {
        "Validations": len(dig(obj, "spec", "validations", default=())),
        "ParamKind": f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else UNSET,
    }


def admission_binding(obj: Obj) -> Obj:
    """Cells of a ValidatingAdmissionPolicyBinding."""
    found = dig(obj, "spec", "paramRef")
    if not found:
        return {"ParamRef": UNSET}
    name, namespace = found.get("name") or "", found.get("namespace")
    return {"ParamRef": f"{namespace}/{name or '*'}" if namespace else name or "*"}
