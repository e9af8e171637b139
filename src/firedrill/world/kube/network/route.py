"""From a program in a pod to whatever answers at a host and port, and what happens where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from firedrill.world.kube.network import dns
from firedrill.world.kube.network.policy import End, blocking
from firedrill.world.kube.network.services import cluster_ips, frontend, service_by_ip, usable
from firedrill.world.kube.network.state import Backend, Frontend, NetworkState
from firedrill.world.kube.objects import Obj, containers_of, dig, name_of, namespace_of
from firedrill.world.kube.store import Store
from firedrill.world.sim.rng import Rng

Result = Literal[
    "ok", "external", "no_dns", "dns_timeout", "no_endpoints", "refused", "dropped", "wrong_protocol"
]
"""`ok` reached something that listens; `external` left the cluster; `no_dns` no such name; `dns_timeout`
nobody answers names; `no_endpoints` a service without any (refused at once); `refused` nothing listens there;
`dropped` packets vanish until a timeout; `wrong_protocol` the port exists for another protocol only."""

Listens = Callable[[Obj, int, str], bool]
"""Called as `listens(pod, port, protocol)`: whether a program in the pod answers there."""

_TUNNEL = 15008
"""Where the proxies of an ambient mesh take encrypted connections (HBONE)."""


class Route(NamedTuple):
    """Where a connection ends.

    Attributes:
        result: see `Result`.
        pod: (namespace, name) of the pod that answers or refuses; empty where there is none.
        address: the address reached in the end.
        port: the port there.
        service: (namespace, name) of the service on the way.
        detail: what a person reads, as a client would tell it.
    """

    result: Result
    pod: tuple[str, str] = ("", "")
    address: str = ""
    port: int = 0
    service: tuple[str, str] = ("", "")
    detail: str = ""


def declared(pod: Obj, port: int, protocol: str) -> bool:
    """The usual guess at what listens: a running, undeleted pod with that port among its container ports.

    A pod that declares no port of the protocol is taken to listen on any.
    """
    if dig(pod, "status", "phase") != "Running":
        return False
    ports = [
        int(item["containerPort"])
        for container in containers_of(dig(pod, "spec", default={}))
        for item in container.get("ports") or ()
        if (item.get("protocol") or "TCP") == protocol
    ]
    return port in ports or not ports


class Network(NamedTuple):
    """What routes are computed from.

    Attributes:
        store: the cluster.
        rng: draws of endpoints.
        state: faults of the network itself.
        listens: what programs answer.
        domain: of the cluster's DNS.
        tunnels: whether a mesh carries what passes between two pods, which policies then see as connections
            to port 15008; None without a mesh.
    """

    store: Store
    rng: Rng
    state: NetworkState
    listens: Listens = declared
    domain: str = "cluster.local"
    tunnels: Callable[[Obj, Obj], bool] | None = None

    def route(self, source: Obj, host: str, port: int, protocol: str = "TCP", draw: object = 0) -> Route:
        """Follow a connection.

        Args:
            source: the pod that connects.
            host: a name or an address.
            port: a number.
            protocol: `TCP`, `UDP` or `SCTP`.
            draw: names this connection: another one may get another endpoint of the service.
        """
        if not dns.is_address(host) and dns.hosts_entry(source, host) is None:
            lost = self._ask_dns(source, host, draw)
            if lost is not None:
                return lost
        return self.after_names(source, host, port, protocol, draw)

    def after_names(self, source: Obj, host: str, port: int, protocol: str, draw: object) -> Route:
        """The same once a server has answered for the name."""
        answer = dns.resolve(self.store, source, host, domain=self.domain)
        refused = _unresolved(answer, host)
        if refused is not None:
            return refused
        if answer.addresses[0].startswith("127."):
            return self._to_pod(source, source, answer.addresses[0], port, protocol, ("", ""))
        # Several addresses: a headless service. Clients begin with any of them.
        address = self.rng.choice(answer.addresses, "dns", host, draw)
        return self._to_address(source, address, port, protocol, draw, answer.service)

    def _ask_dns(self, source: Obj, host: str, draw: object) -> Route | None:
        """Why the question itself does not reach the cluster's DNS; None where it does."""
        service = self.store.get("services", "kube-system", "kube-dns")
        addresses = cluster_ips(service) if service is not None else []
        if not addresses or not dns.uses_cluster_dns(source):
            return None
        asked = self._to_address(source, addresses[0], 53, "UDP", draw, ("kube-system", "kube-dns"))
        if asked.result == "ok":
            return None
        detail = f"lookup {host} on {addresses[0]}:53: i/o timeout"
        return Route("dns_timeout", service=("kube-system", "kube-dns"), detail=detail)

    def _to_address(
        self, source: Obj, address: str, port: int, protocol: str, draw: object, via: tuple[str, str]
    ) -> Route:
        node = str(dig(source, "spec", "nodeName", default=""))
        frozen = self.state.frozen.get(node)
        service = self.store.get("services", *via) if via[1] else None
        if service is None or address not in cluster_ips(service):
            service = service_by_ip(self.store, address)
        if frozen is not None and (service is not None or any(key[0] == address for key in frozen)):
            front = frozen.get((address, port, protocol))
            if front is None:
                return _dropped(address, port, via, f"node {node} has no rule for this service")
            return self._to_service(source, service, front, address, port, draw)
        if service is not None:
            return self._via_service(source, service, address, port, protocol, draw)
        target = self._owner(address)
        if target is None:
            at_node = self._node_port(source, address, port, protocol, draw)
            if at_node is not None:
                return at_node
            if _is_pod_address(self.store, address):
                return _dropped(address, port, via, "no pod has this address")
            return self._outside(source, address, port, protocol)
        return self._to_pod(source, target, address, port, protocol, via)

    def _via_service(
        self, source: Obj, service: Obj, address: str, port: int, protocol: str, draw: object
    ) -> Route:
        key = (namespace_of(service), name_of(service))
        ports = dig(service, "spec", "ports", default=())
        same = [item for item in ports if int(item["port"]) == port]
        for item in same:
            if (item.get("protocol") or "TCP") == protocol:
                front = frontend(self.store, service, item)
                return self._to_service(source, service, front, address, port, draw)
        if same:
            other = same[0].get("protocol") or "TCP"
            text = f"service {key[0]}/{key[1]} has port {port} for {other} only"
            return Route("wrong_protocol", address=address, port=port, service=key, detail=text)
        # Nothing in the proxy's rules: a cluster address belongs to no interface.
        return _dropped(address, port, key, f"service {key[0]}/{key[1]} has no port {port}")

    def _to_service(
        self, source: Obj, service: Obj | None, front: Frontend, address: str, port: int, draw: object
    ) -> Route:
        key = (front.namespace, front.service)
        node = str(dig(source, "spec", "nodeName", default=""))
        policy = str(dig(service, "spec", "internalTrafficPolicy", default="Cluster"))
        chosen = usable(front.backends, policy, node)
        if not chosen:
            if policy == "Local" and usable(front.backends, "Cluster", node):
                return _dropped(address, port, key, f"no endpoint of this service is on node {node}")
            text = f"connect to {address}:{port}: connection refused"
            return Route("no_endpoints", address=address, port=port, service=key, detail=text)
        backend = self._choose(chosen, source, service, front, draw)
        return self._to_backend(source, backend, front.protocol, key)

    def _to_backend(self, source: Obj, backend: Backend, protocol: str, via: tuple[str, str]) -> Route:
        target = self._owner(backend.address, backend.pod)
        if target is not None:
            return self._to_pod(source, target, backend.address, backend.port, protocol, via)
        if backend.pod[1] or _is_pod_address(self.store, backend.address):
            return _dropped(backend.address, backend.port, via, "the endpoint is gone")
        # An endpoint that somebody wrote by hand: the API server, or a machine outside of the cluster.
        return self._outside(source, backend.address, backend.port, protocol)._replace(service=via)

    def _choose(
        self, chosen: tuple[Backend, ...], source: Obj, service: Obj | None, front: Frontend, draw: object
    ) -> Backend:
        if dig(service, "spec", "sessionAffinity") == "ClientIP":
            draw = dig(source, "status", "podIP", default="")
        return self.rng.choice(chosen, "endpoint", front.namespace, front.service, front.port_name, draw)

    def _owner(self, address: str, hint: tuple[str, str] = ("", "")) -> Obj | None:
        """The pod that has the address now; `hint` is where an endpoint says it is."""
        named = self.store.get("pods", *hint) if hint[1] else None
        if named is not None and dig(named, "status", "podIP") == address and not _is_over(named):
            return named
        for pod in self.store.list("pods"):
            own = dig(pod, "status", "podIP") == address and not dig(pod, "spec", "hostNetwork")
            if own and not _is_over(pod):
                return pod
        return None

    def _node_port(self, source: Obj, address: str, port: int, protocol: str, draw: object) -> Route | None:
        node = next((item for item in self.store.list("nodes") if address in _addresses(item)), None)
        if node is None:
            return None
        for service in self.store.list("services"):
            for item in dig(service, "spec", "ports", default=()):
                if item.get("nodePort") != port or (item.get("protocol") or "TCP") != protocol:
                    continue
                return self._via_node(source, service, item, name_of(node), address, draw)
        for pod in self.store.pods_on(name_of(node)):
            if dig(pod, "spec", "hostNetwork") and self.listens(pod, port, protocol):
                return self._to_pod(source, pod, address, port, protocol, ("", ""))
        text = f"connect to {address}:{port}: connection refused"
        return Route("refused", address=address, port=port, detail=text)

    def _via_node(self, source: Obj, service: Obj, port: Obj, node: str, address: str, draw: object) -> Route:
        key = (namespace_of(service), name_of(service))
        if not self.state.reaches(str(dig(source, "spec", "nodeName", default="")), node):
            return _dropped(address, int(port["nodePort"]), key, f"node {node} cannot be reached")
        front = frontend(self.store, service, port)
        if node in self.state.frozen:
            known = self.state.frozen[node]
            front = next(
                (item for item in known.values() if item[:4] == front[:4]), front._replace(backends=())
            )
        policy = str(dig(service, "spec", "externalTrafficPolicy", default="Cluster"))
        chosen = usable(front.backends, policy, node)
        if not chosen:
            if policy == "Local":
                return _dropped(address, int(port["nodePort"]), key, f"no endpoint is on node {node}")
            text = f"connect to {address}:{port['nodePort']}: connection refused"
            return Route(
                "no_endpoints", address=address, port=int(port["nodePort"]), service=key, detail=text
            )
        backend = self._choose(chosen, source, service, front, draw)
        return self._to_backend(source, backend, front.protocol, key)

    def _to_pod(
        self, source: Obj, target: Obj, address: str, port: int, protocol: str, via: tuple[str, str]
    ) -> Route:
        here, there = (str(dig(pod, "spec", "nodeName", default="")) for pod in (source, target))
        if not self.state.reaches(here, there):
            return _dropped(address, port, via, f"nodes {here} and {there} cannot reach each other")
        start = End(source, str(dig(source, "status", "podIP", default="")))
        seen = port
        if self.tunnels is not None and protocol == "TCP" and self.tunnels(source, target):
            seen = _TUNNEL
        denied = blocking(self.store, start, End(target, address), seen, protocol)
        if denied is not None:
            text = f"{denied[0].lower()} is isolated by {', '.join(denied[1])}"
            return _dropped(address, port, via, text)
        pod = (namespace_of(target), name_of(target))
        if self.listens(target, port, protocol):
            return Route("ok", pod, address, port, via)
        text = f"connect to {address}:{port}: connection refused"
        return Route("refused", pod, address, port, via, text)

    def _outside(self, source: Obj, address: str, port: int, protocol: str) -> Route:
        start = End(source, str(dig(source, "status", "podIP", default="")))
        denied = blocking(self.store, start, End(None, address), port, protocol)
        if denied is not None:
            return _dropped(address, port, ("", ""), f"egress is isolated by {', '.join(denied[1])}")
        return Route("external", address=address, port=port)


def route(
    store: Store,
    source: Obj,
    host: str,
    port: int,
    protocol: str = "TCP",
    *,
    rng: Rng,
    state: NetworkState | None = None,
    listens: Listens = declared,
    draw: object = 0,
    domain: str = "cluster.local",
) -> Route:
    """Follow one connection from a pod; see `Network.route`."""
    network = Network(store, rng, state or NetworkState(), listens, domain)
    return network.route(source, host, port, protocol, draw)


def _unresolved(answer: dns.Answer, host: str) -> Route | None:
    if answer.code == "ok" and answer.addresses:
        return None
    if answer.code == "external":
        return Route("external", detail=answer.name, service=answer.service)
    if answer.code == "timeout":
        return Route("dns_timeout", detail=f"lookup {host}: i/o timeout")
    return Route("no_dns", detail=f"lookup {host}: no such host", service=answer.service)


def _dropped(address: str, port: int, via: tuple[str, str], why: str) -> Route:
    return Route("dropped", address=address, port=port, service=via, detail=f"timeout: {why}")


def _is_over(pod: Obj) -> bool:
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


def _addresses(node: Obj) -> list[str]:
    return [str(item.get("address")) for item in dig(node, "status", "addresses", default=())]


def _is_pod_address(store: Store, address: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        here = ip_address(address)
    except ValueError:
        return False
    ranges = (dig(node, "spec", "podCIDR") for node in store.list("nodes"))
    return any(here in ip_network(str(item)) for item in ranges if item)


__all__ = ["Listens", "Network", "Result", "Route", "declared", "route"]
