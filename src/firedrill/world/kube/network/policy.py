"""NetworkPolicy: which connections may be made.

Source: the API documentation of networking.k8s.io/v1. Policies only ever allow: a pod that no policy of a
direction selects is open in it; otherwise one rule of one policy has to let the connection through. Both
ends have to allow it. Answers to an allowed connection always pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, NamedTuple

from firedrill.world.kube import selectors
from firedrill.world.kube.objects import Obj, containers_of, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.store import Store

Direction = Literal["Ingress", "Egress"]
_POLICIES = "networkpolicies.networking.k8s.io"


class End(NamedTuple):
    """One end of a connection.

    Attributes:
        pod: the pod, or None for something outside of the pods' network.
        address: its address.
    """

    pod: Obj | None
    address: str


def policies_for(store: Store, pod: Obj, direction: Direction) -> list[Obj]:
    """The policies that isolate the pod in a direction."""
    out = []
    for policy in store.list(_POLICIES, namespace_of(pod)):
        if direction not in types_of(policy):
            continue
        if selectors.selects(dig(policy, "spec", "podSelector", default={}), labels_of(pod)):
            out.append(policy)
    return out


def types_of(policy: Obj) -> tuple[str, ...]:
    """The directions that a policy is about: ingress where none is given, and egress if it has such rules."""
    given = dig(policy, "spec", "policyTypes")
    if given:
        return tuple(given)
    return ("Ingress", "Egress") if dig(policy, "spec", "egress") else ("Ingress",)


def blocking(
    store: Store, source: End, target: End, port: int, protocol: str
) -> tuple[str, list[str]] | None:
    """Why a connection is not allowed: the direction and the policies that isolate; None where it is.

    Args:
        store: the cluster.
        source: who connects.
        target: to whom, after the service's address was replaced by an endpoint's.
        port: of the target, a number.
        protocol: `TCP`, `UDP` or `SCTP`.
    """
    ends: list[tuple[Direction, End, End]] = [("Egress", source, target), ("Ingress", target, source)]
    for direction, end, peer in ends:
        if end.pod is None or dig(end.pod, "spec", "hostNetwork"):
            continue  # policies are about pods with an address of their own
        if source.pod is not None and target.pod is not None and _same(source.pod, target.pod):
            continue  # a pod always reaches itself
        isolating = policies_for(store, end.pod, direction)
        if not isolating:
            continue
        if not any(_allows(store, item, direction, peer, target, port, protocol) for item in isolating):
            return direction, [name_of(item) for item in isolating]
    return None


def _same(one: Obj, other: Obj) -> bool:
    return (namespace_of(one), name_of(one)) == (namespace_of(other), name_of(other))


def _allows(
    store: Store, policy: Obj, direction: Direction, peer: End, target: End, port: int, protocol: str
) -> bool:
    inbound = direction == "Ingress"
    for rule in dig(policy, "spec", direction.lower(), default=()) or ():
        peers = rule.get("from" if inbound else "to") or ()
        if not _port_allowed(rule.get("ports") or (), target, port, protocol):
            continue
        if not peers or any(_peer_matches(store, item, namespace_of(policy), peer) for item in peers):
            return True
    return False


def _port_allowed(ports: Sequence[Mapping[str, Any]], target: End, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for item in ports:
        if (item.get("protocol") or "TCP") != protocol:
            continue
        wanted = item.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, str) and not wanted.isdigit():
            if port in _named(target.pod, wanted, protocol):
                return True
            continue
        if int(wanted) <= port <= int(item.get("endPort") or wanted):
            return True
    return False


def _named(pod: Obj | None, name: str, protocol: str) -> set[int]:
    return {
        int(item["containerPort"])
        for container in containers_of(dig(pod, "spec", default={}))
        for item in container.get("ports") or ()
        if item.get("name") == name and (item.get("protocol") or "TCP") == protocol
    }


def _peer_matches(store: Store, peer: Mapping[str, Any], namespace: str, end: End) -> bool:
    block = peer.get("ipBlock")
    if block is not None:
        return _in_block(block, end.address)
    if end.pod is None or dig(end.pod, "spec", "hostNetwork"):
        return False
    chosen = peer.get("namespaceSelector")
    if chosen is None:
        if namespace_of(end.pod) != namespace:
            return False
    else:
        found = store.get("namespaces", "", namespace_of(end.pod))
        if not selectors.selects(chosen, labels_of(found or {})):
            return False
    pods = peer.get("podSelector")
    return pods is None or selectors.selects(pods, labels_of(end.pod))


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    try:
        here = ip_address(address)
        if here not in ip_network(str(block.get("cidr")), strict=False):
            return False
        return not any(here in ip_network(str(item), strict=False) for item in block.get("except") or ())
    except ValueError:
        return False
