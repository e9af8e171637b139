"""The rules of Services, Ingresses and NetworkPolicies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.containers import check_port
from firedrill.world.kube.schema.check.fields import Errors, Go, go_text
from firedrill.world.kube.schema.check.metadata import check_labels, check_selector

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
NODE_PORTS = (30000, 32767)
_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def check_service(errors: Errors, obj: Obj) -> None:
    """A Service."""
    spec = obj.get("spec") or {}
    type_, cluster = spec.get("type"), spec.get("clusterIP")
    ports = spec.get("ports") or ()
    if not ports and cluster != "None" and type_ != "ExternalName":
        errors.required("spec.ports")
    if type_ == "LoadBalancer" and cluster == "None":
        errors.invalid("spec.clusterIPs[0]", cluster, "may not be set to 'None' for LoadBalancer services")
    if type_ == "NodePort" and cluster == "None":
        errors.invalid("spec.clusterIPs[0]", cluster, "may not be set to 'None' for NodePort services")
    if type_ == "ExternalName":
        _check_external_name(errors, spec)
    _check_service_ports(errors, ports, type_)
    check_labels(errors, "spec.selector", spec.get("selector"))
    if not spec.get("sessionAffinity"):
        errors.required("spec.sessionAffinity")
    elif spec["sessionAffinity"] not in {"ClientIP", "None"}:
        errors.unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    errors.one_of("spec.type", type_, _TYPES)
    if cluster and cluster != "None" and not names.is_ip(str(cluster)):
        errors.invalid("spec.clusterIPs[0]", cluster, _IP)
    for index, text in enumerate(spec.get("externalIPs") or ()):
        if not names.is_ip(str(text)):
            errors.invalid(f"spec.externalIPs[{index}]", text, _IP)
    policy = spec.get("externalTrafficPolicy")
    if policy and type_ == "ClusterIP" and not spec.get("externalIPs"):
        errors.invalid(
            "spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services"
        )
    errors.one_of("spec.externalTrafficPolicy", policy, ("Cluster", "Local"), required=False)
    errors.one_of(
        "spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"), required=False
    )


def _check_external_name(errors: Errors, spec: Obj) -> None:
    if spec.get("clusterIP"):
        errors.forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")
    name = str(spec.get("externalName") or "").rstrip(".")
    if not name:
        errors.required("spec.externalName")
        return
    for problem in names.problems("subdomain", name):
        errors.invalid("spec.externalName", spec["externalName"], problem)


def _check_service_ports(errors: Errors, ports: Sequence[Obj], type_: Any) -> None:
    seen: set[str] = set()
    taken: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name")
        if not name and len(ports) > 1:
            errors.required(f"{here}.name")
        elif name:
            for problem in names.problems("label", name):
                errors.invalid(f"{here}.name", name, problem)
            if name in seen:
                errors.duplicate(f"{here}.name", name)
            seen.add(name)
        if problem := names.port_number(port.get("port")):
            errors.invalid(f"{here}.port", port.get("port") or 0, problem)
        errors.one_of(f"{here}.protocol", port.get("protocol"), _PROTOCOLS)
        check_port(errors, f"{here}.targetPort", port.get("targetPort"))
        node = port.get("nodePort")
        if node and type_ in {"ClusterIP", "ExternalName"}:
            errors.forbidden(f"{here}.nodePort", f"may not be used when `type` is '{type_}'")
        elif node and not NODE_PORTS[0] <= node <= NODE_PORTS[1]:
            errors.invalid(
                f"{here}.nodePort",
                node,
                "provided port is not in the valid range. "
                f"The range of valid ports is {NODE_PORTS[0]}-{NODE_PORTS[1]}",
            )
        key = (port.get("protocol"), port.get("port"))
        if key in taken:
            shown = (
                f'core.ServicePort{{Name:"", Protocol:"{key[0]}", AppProtocol:(*string)(nil), Port:{key[1]}, '
            )
            shown += f'TargetPort:intstr.IntOrString{{Type:0, IntVal:0, StrVal:""}}, NodePort:{node or 0}}}'
            errors.duplicate(here, Go(shown))
        taken.add(key)


def service_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The address of a Service stays, unless it becomes or was an ExternalName."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" in (after.get("type"), before.get("type")):
        return
    was, now = before.get("clusterIP"), after.get("clusterIP")
    if was and now != was:
        errors.invalid(
            "spec.clusterIPs[0]", after.get("clusterIPs") or [now or ""], "may not change once set"
        )


def check_ingress(errors: Errors, obj: Obj) -> None:
    """An Ingress."""
    spec = obj.get("spec") or {}
    rules = spec.get("rules") or ()
    if not rules and spec.get("defaultBackend") is None:
        errors.invalid(
            "spec",
            Go("[]networking.IngressRule(nil)"),
            "either `defaultBackend` or `rules` must be specified",
        )
    if spec.get("defaultBackend") is not None:
        _check_backend(errors, "spec.defaultBackend", spec["defaultBackend"])
    for index, rule in enumerate(rules):
        here = f"spec.rules[{index}]"
        _check_host(errors, f"{here}.host", rule.get("host"))
        if rule.get("http") is None:
            continue
        if not rule["http"].get("paths"):
            errors.required(f"{here}.http.paths")
        for at, path in enumerate(rule["http"].get("paths") or ()):
            _check_path(errors, f"{here}.http.paths[{at}]", path)
    for index, item in enumerate(spec.get("tls") or ()):
        for at, host in enumerate(item.get("hosts") or ()):
            _check_host(errors, f"spec.tls[{index}].hosts[{at}]", host)
        if secret := str(item.get("secretName") or ""):
            for problem in names.problems("subdomain", secret):
                errors.invalid(f"spec.tls[{index}].secretName", secret, problem)
    if (class_ := spec.get("ingressClassName")) is not None:
        for problem in names.problems("subdomain", str(class_)):
            errors.invalid("spec.ingressClassName", class_, problem)


def _check_host(errors: Errors, path: str, host: Any) -> None:
    if not host:
        return
    if names.is_ip(str(host)):
        errors.invalid(path, host, "must be a DNS name, not an IP address")
        return
    for problem in names.problems("wildcard" if "*" in str(host) else "subdomain", str(host)):
        errors.invalid(path, host, problem)


def _check_path(errors: Errors, path: str, item: Obj) -> None:
    kind = item.get("pathType")
    if kind is None:
        errors.required(f"{path}.pathType", "pathType must be specified")
    elif kind not in {"Exact", "ImplementationSpecific", "Prefix"}:
        errors.unsupported(f"{path}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix"))
    elif kind != "ImplementationSpecific" or item.get("path"):
        text = str(item.get("path") or "")
        if not text.startswith("/"):
            errors.invalid(f"{path}.path", text, "must be an absolute path")
        if kind != "ImplementationSpecific":
            for mark in ("//", "/./", "/../", "%2f", "%2F"):
                if mark in text:
                    errors.invalid(f"{path}.path", text, f"must not contain '{mark}'")
    _check_backend(errors, f"{path}.backend", item.get("backend") or {})


def _check_backend(errors: Errors, path: str, backend: Obj) -> None:
    service, other = backend.get("service"), backend.get("resource")
    if service is not None and other is not None:
        errors.invalid(path, "", "cannot set both resource and service backends")
        return
    if service is None and other is None:
        errors.required(path, "resource or service backend is required")
        return
    if service is None:
        return
    if not service.get("name"):
        errors.required(f"{path}.service.name")
    else:
        for problem in names.problems("label1035", service["name"]):
            errors.invalid(f"{path}.service.name", service["name"], problem)
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        errors.invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        for problem in names.port_name(port["name"]):
            errors.invalid(f"{path}.service.port.name", port["name"], problem)
    elif not port.get("number"):
        errors.required(path, "port name or number is required")
    elif problem := names.port_number(port["number"]):
        errors.invalid(f"{path}.service.port.number", port["number"], problem)


def check_network_policy(errors: Errors, obj: Obj) -> None:
    """A NetworkPolicy."""
    spec = obj.get("spec") or {}
    check_selector(errors, "spec.podSelector", spec.get("podSelector") or {})
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(side) or ()):
            here = f"spec.{side}[{index}]"
            for at, port in enumerate(rule.get("ports") or ()):
                _check_policy_port(errors, f"{here}.ports[{at}]", port)
            for at, peer in enumerate(rule.get(peers) or ()):
                _check_peer(errors, f"{here}.{peers}[{at}]", peer)
    types = spec.get("policyTypes") or ()
    if len(types) > 2:
        errors.invalid(
            "spec.policyTypes",
            Go(go_text(list(types)).replace("[]string", "[]networking.PolicyType", 1)),
            "may not specify more than two policyTypes",
        )
        return
    for index, item in enumerate(types):
        errors.one_of(f"spec.policyTypes[{index}]", item, ("Egress", "Ingress"))


def _check_policy_port(errors: Errors, path: str, port: Obj) -> None:
    errors.one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS, required=False)
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        check_port(errors, f"{path}.port", number)
    if end is None:
        return
    if number is None:
        errors.required(f"{path}.port", "must be specified when `endPort` is specified")
    elif isinstance(number, str):
        errors.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
    elif end < number:
        errors.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")


def _check_peer(errors: Errors, path: str, peer: Obj) -> None:
    if not peer:
        errors.required(path, "must specify a peer")
    for key in ("podSelector", "namespaceSelector"):
        if peer.get(key) is not None:
            check_selector(errors, f"{path}.{key}", peer[key])
    block = peer.get("ipBlock")
    if block is None:
        return
    _check_cidr(errors, f"{path}.ipBlock.cidr", block.get("cidr"))
    outer = str(block.get("cidr") or "")
    for index, text in enumerate(block.get("except") or ()):
        here = f"{path}.ipBlock.except[{index}]"
        if _check_cidr(errors, here, text) and not _inside(str(text), outer):
            errors.invalid(here, text, "must be a strict subset of `cidr`")
    if len(peer) > 1:
        errors.forbidden(path, "may not specify both ipBlock and another peer")


def _check_cidr(errors: Errors, path: str, text: Any) -> bool:
    if not text:
        errors.required(path)
        return False
    try:
        ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        errors.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        return False
    return "/" in str(text)


def _inside(inner: str, outer: str) -> bool:
    try:
        small, large = ipaddress.ip_network(inner, strict=False), ipaddress.ip_network(outer, strict=False)
    except ValueError:
        return False
    same = small.version == large.version
    return same and small != large and small.subnet_of(large)  # type: ignore[arg-type]
