"""Addresses and ports that are given out: functions of what is in use, so that nothing has to be kept.

Source: Kubernetes 1.31: the API server draws cluster addresses from the upper part of its range (the lower
part is for addresses that people choose) and node ports from 30000-32767; each node numbers its own pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from firedrill.world.kube.api.errors import internal
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.store import Store
from firedrill.world.sim.rng import Rng

NODE_PORTS = (30_000, 32_767)
_TRIES = 64


class RangeFullError(Exception):
    """Every address of a range is in use."""


def used_cluster_ips(store: Store) -> frozenset[str]:
    """The cluster addresses in use."""
    return frozenset(
        str(address)
        for service in store.list("services")
        for address in dig(service, "spec", "clusterIPs", default=[dig(service, "spec", "clusterIP")])
        if address and address != "None"
    )


def used_node_ports(store: Store) -> frozenset[int]:
    """The node ports in use, those for health checks included."""
    out: set[int] = set()
    for service in store.list("services"):
        out.update(
            int(port["nodePort"])
            for port in dig(service, "spec", "ports", default=())
            if port.get("nodePort")
        )
        if health := dig(service, "spec", "healthCheckNodePort"):
            out.add(int(health))
    return frozenset(out)


def allocate_cluster_ip(store: Store, rng: Rng, service: Obj, *, cidr: str = "10.96.0.0/12") -> str:
    """A free cluster address for a new service, drawn by its name.

    Raises:
        ApiError: 500, the range is full.
    """
    network = ip_network(cidr)
    size = network.num_addresses
    # The lower band: between 16 and 256 addresses, a sixteenth of the range.
    band = min(max(16, size // 16), 256) if size > 32 else 0
    used = used_cluster_ips(store)
    name = f"{namespace_of(service)}/{name_of(service)}"
    for attempt in range(_TRIES):
        chosen = str(network[rng.integer(band + 1, size - 2, "clusterIP", name, len(used), attempt)])
        if chosen not in used:
            return chosen
    for number in [*range(band + 1, size - 1), *range(1, band + 1)]:
        if str(network[number]) not in used:
            return str(network[number])
    raise internal("failed to allocate a serviceIP: range is full")


def claim_cluster_ip(store: Store, service: Obj, address: str, *, cidr: str = "10.96.0.0/12") -> str | None:
    """What speaks against an address that a service asks for, in the API server's words; None if nothing."""
    try:
        inside = ip_address(address) in ip_network(cidr)
    except ValueError:
        return "must be empty, 'None', or a valid IP address"
    if not inside:
        return f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. " + (
            f"The range of valid IPs is {cidr}"
        )
    if address in used_cluster_ips(store):
        return f"failed to allocate IP {address}: provided IP is already allocated"
    return None


def allocate_node_port(store: Store, rng: Rng, service: Obj, *, also: Iterable[int] = ()) -> int:
    """A free node port for one port of a service; `also` names those given to its other ports just now.

    Raises:
        ApiError: 500, the range is full.
    """
    low, high = NODE_PORTS
    used = used_node_ports(store) | set(also)
    name = f"{namespace_of(service)}/{name_of(service)}"
    for attempt in range(_TRIES):
        chosen = rng.integer(low, high, "nodePort", name, len(used), attempt)
        if chosen not in used:
            return chosen
    for chosen in range(low, high + 1):
        if chosen not in used:
            return chosen
    raise internal("failed to allocate a nodePort: range is full")


def next_pod_ip(cidr: str, used: Iterable[str], last: str = "") -> str:
    """The next free address of a node's pod range; the first two are the network's and the bridge's.

    Args:
        cidr: as in the node's `spec.podCIDR`.
        used: addresses of the pods on the node.
        last: the address given out before: freed ones are used again only after the range has gone round.

    Raises:
        RangeFullError: none is free.
    """
    network = ip_network(cidr)
    base, size = int(network.network_address), network.num_addresses
    taken = set(used)
    start = int(ip_address(last)) - base + 1 if last else 2
    for offset in range(size):
        number = 2 + (start - 2 + offset) % max(size - 3, 1)
        address = str(network[number])
        if address not in taken:
            return address
    raise RangeFullError(cidr)
