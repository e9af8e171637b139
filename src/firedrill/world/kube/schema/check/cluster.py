"""The rules of Endpoints, EndpointSlices, Events, nodes' taints, topologies, quotas' scopes and sysctls.

Source: Kubernetes 1.31, `pkg/apis/core/validation` and `pkg/apis/discovery/validation`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, dig, namespace_of
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors, FieldError, Go, quote

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"({_SEGMENT}[\./])*{_SEGMENT}"
_SYSCTL_NAME = re.compile(r"[a-z0-9][-_a-z0-9./]*", re.ASCII)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_COMPUTE = frozenset(
    {"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory", "pods"}
)
_COUNTED = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    }
)
_MEASURED = frozenset(
    {"ephemeral-storage", "limits.ephemeral-storage", "requests.ephemeral-storage", "requests.storage"}
)
_SCOPES = frozenset(
    {
        "BestEffort",
        "CrossNamespacePodAffinity",
        "NotBestEffort",
        "NotTerminating",
        "PriorityClass",
        "Terminating",
    }
)


def _check_address(errors: Errors, path: str, address: str) -> None:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        errors.invalid(path, address, _NOT_AN_IP)
        errors.invalid(path, address, "must be a valid IP address")
        return
    if known.is_unspecified:
        errors.invalid(path, address, f"may not be unspecified ({address})")
    if known.is_loopback:
        errors.invalid(path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if known.is_link_local:
        errors.invalid(path, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")


def _check_name(errors: Errors, path: str, format_: str, text: Any) -> None:
    for problem in names.problems(format_, str(text)):
        errors.invalid(path, text, problem)


def check_endpoints(errors: Errors, obj: Obj) -> None:
    """Endpoints."""
    for index, subset in enumerate(obj.get("subsets") or ()):
        here = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.required(here, "must specify `addresses` or `notReadyAddresses`")
        for key in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(key) or ()):
                at = f"{here}.{key}[{number}]"
                if address.get("hostname"):
                    _check_name(errors, f"{at}.hostname", "label", address["hostname"])
                if address.get("nodeName") is not None:
                    _check_name(errors, f"{at}.nodeName", "subdomain", address["nodeName"])
                _check_address(errors, f"{at}.ip", str(address.get("ip") or ""))
        ports = subset.get("ports") or ()
        for number, port in enumerate(ports):
            at = f"{here}.ports[{number}]"
            if not port.get("name") and len(ports) > 1:
                errors.required(f"{at}.name")
            elif port.get("name"):
                _check_name(errors, f"{at}.name", "label", port["name"])
            if problem := names.port_number(port.get("port") or 0):
                errors.invalid(f"{at}.port", port.get("port") or 0, problem)
            errors.one_of(f"{at}.protocol", port.get("protocol"), _PROTOCOLS)


def check_endpoint_slice(errors: Errors, obj: Obj) -> None:
    """An EndpointSlice."""
    type_ = obj.get("addressType")
    errors.one_of("addressType", type_, ("FQDN", "IPv4", "IPv6"))
    endpoints, ports = obj.get("endpoints") or (), obj.get("ports") or ()
    if len(endpoints) > 1000:
        errors.too_many("endpoints", len(endpoints), 1000)
        endpoints = ()
    for index, endpoint in enumerate(endpoints):
        _check_endpoint(errors, f"endpoints[{index}]", endpoint, str(type_))
    if len(ports) > 100:
        errors.too_many("ports", len(ports), 100)
        return
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here, name = f"ports[{index}]", str(port.get("name") or "")
        if name:
            _check_name(errors, f"{here}.name", "label", name)
        if name in seen:
            errors.duplicate(f"{here}.name", name)
        seen.add(name)
        errors.one_of(f"{here}.protocol", port.get("protocol"), _PROTOCOLS)


def _check_endpoint(errors: Errors, path: str, endpoint: Mapping[str, Any], type_: str) -> None:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        errors.required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > 100:
        errors.too_many(f"{path}.addresses", len(addresses), 100)
    for number, address in enumerate(addresses[:100]):
        at = f"{path}.addresses[{number}]"
        if type_ in ("IPv4", "IPv6"):
            wanted = 4 if type_ == "IPv4" else 6
            if names.is_ip(address) and ipaddress.ip_address(address).version != wanted:
                errors.invalid(at, address, f"must be an {type_} address")
            else:
                _check_address(errors, at, str(address))
    if endpoint.get("nodeName") is not None:
        _check_name(errors, f"{path}.nodeName", "subdomain", endpoint["nodeName"])
    if endpoint.get("hostname") is not None:
        _check_name(errors, f"{path}.hostname", "label", endpoint["hostname"])


def endpoint_slice_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The type of a slice's addresses stays."""
    errors.immutable("addressType", new.get("addressType"), old.get("addressType"))


def check_event(errors: Errors, obj: Obj) -> None:
    """An Event, which lies where its object does."""
    about = dig(obj, "involvedObject", "namespace") or ""
    if about and about != namespace_of(obj):
        errors.invalid("involvedObject.namespace", about, "does not match event.namespace")


def check_node(errors: Errors, obj: Obj) -> None:
    """A Node: its taints, which errors of the real server tell below `metadata`."""
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(dig(obj, "spec", "taints", default=()) or ()):
        here = f"metadata.taints[{index}]"
        key, text, effect = (str(taint.get(part) or "") for part in ("key", "value", "effect"))
        for problem in names.qualified(key):
            errors.invalid(f"{here}.key", key, problem)
        if text and (problems := names.problems("label_value", text)):
            errors.invalid(f"{here}.value", text, ";".join(problems))
        errors.one_of(f"{here}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            shown = f"Key:{quote(key)}, Value:{quote(text)}, Effect:{quote(effect)}, TimeAdded:<nil>"
            detail = "taints must be unique by key and effect pair"
            errors.found.append(FieldError("Duplicate", here, Go(f"core.Taint{{{shown}}}"), detail))
        seen.add((key, effect))


def check_topologies(errors: Errors, terms: Sequence[Mapping[str, Any]]) -> None:
    """The `allowedTopologies` of a StorageClass."""
    for index, term in enumerate(terms):
        for number, row in enumerate(term.get("matchLabelExpressions") or ()):
            here = f"allowedTopologies[{index}].matchLabelExpressions[{number}]"
            for problem in names.qualified(str(row.get("key") or "")):
                errors.invalid(f"{here}.key", row.get("key") or "", problem)
            values = row.get("values") or ()
            if not values:
                errors.required(f"{here}.values")
            for place, value in enumerate(values):
                if value in values[:place]:
                    errors.duplicate(f"{here}.values[{place}]", value)


def check_quota_resource(errors: Errors, name: str, amount: Any) -> None:
    """One limit of a ResourceQuota: what is counted, and that objects are counted in whole numbers."""
    here = f"spec.hard[{name}]"
    problems = names.qualified(name)
    for problem in problems:
        errors.invalid(here, name, problem)
    known = _COMPUTE | _COUNTED | _MEASURED
    huge = name.startswith(("hugepages-", "requests.hugepages-"))
    if not problems and "/" not in name and name not in known and not huge:
        errors.invalid(here, name, "must be a standard resource for quota")
    number = quantity.parse(amount)
    if number < 0:
        errors.invalid(here, amount, "must be greater than or equal to 0")
    if name in _COUNTED and number.denominator != 1:
        errors.invalid(here, Go(str(amount)), "must be an integer")


def check_quota_scopes(errors: Errors, spec: Mapping[str, Any]) -> None:
    """The `scopes` of a ResourceQuota, and whether they fit what it limits."""
    scopes = [str(scope) for scope in spec.get("scopes") or ()]
    shown = Go("[]core.ResourceQuotaScope{" + ", ".join(map(quote, scopes)) + "}")
    for scope in scopes:
        if scope not in _SCOPES:
            errors.invalid("spec.scopes", shown, "unsupported scope")
        fits = {"pods"} if scope == "BestEffort" else _COMPUTE
        for name in sorted(spec.get("hard") or ()):
            standard = name in _COMPUTE | _COUNTED | _MEASURED
            if scope in _SCOPES and standard and name not in fits:
                errors.invalid("spec.scopes", shown, "unsupported scope applied to resource")
    for pair in ({"BestEffort", "NotBestEffort"}, {"NotTerminating", "Terminating"}):
        if pair <= set(scopes):
            errors.invalid("spec.scopes", shown, "conflicting scopes")


def check_ratio(errors: Errors, path: str, limit: Mapping[str, Any]) -> None:
    """The `maxLimitRequestRatio` of an entry of a LimitRange."""
    for name, amount in (limit.get("maxLimitRequestRatio") or {}).items():
        here, ratio = f"{path}.maxLimitRequestRatio[{name}]", quantity.parse(amount)
        if ratio < 1:
            errors.invalid(here, amount, f"ratio {amount} is less than 1")
        least, most = (limit.get("min") or {}).get(name), (limit.get("max") or {}).get(name)
        if least is None or most is None or quantity.parse(least) <= 0:
            continue
        widest = quantity.parse(most) / quantity.parse(least)
        if ratio > widest:
            errors.invalid(here, amount, f"ratio {amount} is greater than max/min = {float(widest):f}")


def check_sysctls(errors: Errors, path: str, sysctls: Sequence[Mapping[str, Any]]) -> None:
    """The sysctls of a pod."""
    seen: set[str] = set()
    for index, item in enumerate(sysctls):
        here, name = f"{path}[{index}].name", str(item.get("name") or "")
        if not name:
            errors.required(here)
        elif len(name) > 253 or not _is_sysctl(name):
            errors.invalid(here, name, f"must have at most 253 characters and match regex {_SYSCTL}")
        elif name in seen:
            errors.duplicate(here, name)
        seen.add(name)


def _is_sysctl(name: str) -> bool:
    if _SYSCTL_NAME.fullmatch(name) is None:
        return False
    return all(part and part[0] not in "-_" and part[-1] not in "-_" for part in re.split(r"[./]", name))
