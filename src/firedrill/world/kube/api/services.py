"""What the API server gives a Service: addresses, node ports and families; and what a new type takes away.

Source: the Service storage of the Kubernetes 1.31 API server (`registry/core/service/storage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api import errors, rules, strategy
from firedrill.world.kube.objects import Obj, dig, name_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_WITH_NODE_PORTS = frozenset({"NodePort", "LoadBalancer"})
_ADDRESS_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
Spec = dict[str, Any]


def prepare(world: World, new: Obj, old: Obj | None) -> Obj:
    """The Service with all that the API server allots.

    Raises:
        ApiError: 422, an address or port that it asks for is taken; 500, nothing is left.
    """
    spec: Spec = dict(new.get("spec") or {})
    before: Mapping[str, Any] = (old or {}).get("spec") or {}
    if old is not None and spec == before:
        return new
    spec.setdefault("type", "ClusterIP")
    if before:
        _keep_allotted(spec, before)
        _drop_with_type(spec, before)
    if spec["type"] != "ExternalName":
        _address(world, new, spec, before)
        _families(spec)
    if _needs_node_ports(spec):
        _node_ports(world, new, spec, before)
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["type"] in _WITH_NODE_PORTS:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    _health_port(world, new, spec)
    out = {**new, "spec": spec}
    if "status" not in out:
        out["status"] = {"loadBalancer": {}}
    return out


def _needs_node_ports(spec: Mapping[str, Any]) -> bool:
    if spec["type"] == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return bool(spec["type"] == "NodePort")


def _keep_allotted(spec: Spec, before: Mapping[str, Any]) -> None:
    """An update that leaves out what was allotted does not give it back."""
    if "ExternalName" not in (spec["type"], before.get("type")):
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(field) and before.get(field):
                spec[field] = before[field]
    if spec["type"] in _WITH_NODE_PORTS and before.get("type") in _WITH_NODE_PORTS:
        known = {
            (item.get("protocol") or "TCP", item.get("port")): item["nodePort"]
            for item in before.get("ports") or ()
            if item.get("nodePort")
        }
        given = {item.get("nodePort") for item in spec.get("ports") or ()}
        ports = []
        for item in spec.get("ports") or ():
            kept = known.get((item.get("protocol") or "TCP", item.get("port")))
            lacks = not item.get("nodePort") and kept is not None and kept not in given
            ports.append({**item, "nodePort": kept} if lacks else item)
        spec["ports"] = ports
    if _needs_health_port(spec) and not spec.get("healthCheckNodePort") and before.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def _drop_with_type(spec: Spec, before: Mapping[str, Any]) -> None:
    """What only the old type had goes, unless the update changes it as well."""
    if spec["type"] == "ExternalName" and before.get("type") != "ExternalName":
        for field in _ADDRESS_FIELDS:
            if spec.get(field) == before.get(field):
                spec.pop(field, None)
    was_outside = spec["type"] != "ExternalName" and before.get("type") == "ExternalName"
    if was_outside and spec.get("externalName") == before.get("externalName"):
        spec.pop("externalName", None)
    if spec["type"] not in _WITH_NODE_PORTS and before.get("type") in _WITH_NODE_PORTS:
        had = {item.get("nodePort") for item in before.get("ports") or ()}
        if {item.get("nodePort") for item in spec.get("ports") or () if item.get("nodePort")} <= had:
            spec["ports"] = [
                {key: value for key, value in item.items() if key != "nodePort"}
                for item in spec.get("ports") or ()
            ]
        if spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy"):
            spec.pop("externalTrafficPolicy", None)
    if spec["type"] != "LoadBalancer" and before.get("type") == "LoadBalancer":
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) == before.get(field):
                spec.pop(field, None)
    if not _needs_health_port(spec) and spec.get("healthCheckNodePort") == before.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)


def _address(world: World, new: Obj, spec: Spec, before: Mapping[str, Any]) -> None:
    from firedrill.world.kube.network.allocate import allocate_cluster_ip, claim_cluster_ip

    asked = spec.get("clusterIP") or dig(spec, "clusterIPs", 0, default="")
    store, cidr = world.cluster.store, world.cluster.settings.service_cidr
    if not asked:
        asked = allocate_cluster_ip(store, world.rng, new, cidr=cidr)
    elif asked not in {"None", before.get("clusterIP")} and (not before or not before.get("clusterIP")):
        problem = claim_cluster_ip(store, new, asked, cidr=cidr)
        if problem is not None and "valid IP address" not in problem:
            shown = f'Invalid value: []string{{"{asked}"}}: {problem}'
            raise _invalid(new, rules.FieldProblem("spec.clusterIPs", "FieldValueInvalid", shown))
    spec["clusterIP"] = asked
    if dig(spec, "clusterIPs", 0) != asked:
        spec["clusterIPs"] = [asked]


def _families(spec: Spec) -> None:
    both = spec["clusterIP"] == "None" and not spec.get("selector")
    spec.setdefault("ipFamilyPolicy", "RequireDualStack" if both else "SingleStack")
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv4", "IPv6"] if both else ["IPv4"]
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("sessionAffinity", "None")


def _node_ports(world: World, new: Obj, spec: Spec, before: Mapping[str, Any]) -> None:
    from firedrill.world.kube.network.allocate import allocate_node_port, used_node_ports

    store = world.cluster.store
    mine = {item.get("nodePort") for item in before.get("ports") or ()} if before else set()
    taken = used_node_ports(store) - mine
    given: dict[int, set[str]] = {}
    ports: list[Obj] = [dict(item) for item in spec.get("ports") or ()]
    for index, item in enumerate(ports):
        number, protocol = item.get("nodePort"), item.get("protocol") or "TCP"
        if not number:
            continue
        if number in taken or protocol in given.get(number, ()):
            place = f"spec.ports[{index}].nodePort"
            raise _invalid(new, rules.invalid_value(place, number, "provided port is already allocated"))
        given.setdefault(number, set()).add(protocol)
    for item in ports:
        if item.get("nodePort"):
            continue
        protocol = item.get("protocol") or "TCP"
        shared = next(
            (
                other["nodePort"]
                for other in ports
                if other.get("port") == item.get("port")
                and other.get("nodePort")
                and protocol not in given[other["nodePort"]]
            ),
            None,
        )
        number = shared or allocate_node_port(store, world.rng, new, also=given)
        item["nodePort"] = number
        given.setdefault(number, set()).add(protocol)
    spec["ports"] = ports


def _needs_health_port(spec: Mapping[str, Any]) -> bool:
    return bool(spec["type"] == "LoadBalancer") and spec.get("externalTrafficPolicy") == "Local"


def _health_port(world: World, new: Obj, spec: Spec) -> None:
    from firedrill.world.kube.network.allocate import allocate_node_port

    if not _needs_health_port(spec) or spec.get("healthCheckNodePort"):
        return
    also = [int(item["nodePort"]) for item in spec.get("ports") or () if item.get("nodePort")]
    spec["healthCheckNodePort"] = allocate_node_port(world.cluster.store, world.rng, new, also=also)


def _invalid(new: Obj, problem: rules.FieldProblem) -> errors.ApiError:
    return errors.invalid("", "Service", name_of(new), [problem])


strategy.on_write("services", prepare)
