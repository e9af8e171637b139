"""From a service to its endpoints: what kube-proxy makes of EndpointSlices.

Source: kube-proxy 1.31 (`CategorizeEndpoints`): ready endpoints, or terminating ones that still serve where
there are no others; traffic policies; session affinity.
"""

from __future__ import annotations

from collections.abc import Sequence

from firedrill.world.kube.network.state import Backend, Frontend, Rules
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.store import Store

_SLICES = "endpointslices.discovery.k8s.io"
_SERVICE = "kubernetes.io/service-name"


def backends_of(store: Store, service: Obj, port_name: str, protocol: str) -> tuple[Backend, ...]:
    """The endpoints of one port of a service, ordered by address and port."""
    out = []
    for item in store.list(_SLICES, namespace_of(service)):
        if labels_of(item).get(_SERVICE) != name_of(service):
            continue
        for port in item.get("ports") or ():
            if (port.get("name") or "") != port_name or (port.get("protocol") or "TCP") != protocol:
                continue
            if port.get("port") is None:
                continue
            out += [_backend(endpoint, int(port["port"])) for endpoint in item.get("endpoints") or ()]
    return tuple(sorted(set(out)))


def _backend(endpoint: Obj, port: int) -> Backend:
    state = endpoint.get("conditions") or {}
    target = endpoint.get("targetRef") or {}
    ready = state.get("ready") is not False
    serving = state.get("serving")
    return Backend(
        address=str((endpoint.get("addresses") or [""])[0]),
        port=port,
        node=str(endpoint.get("nodeName") or ""),
        ready=ready,
        serving=ready if serving is None else bool(serving),
        terminating=bool(state.get("terminating")),
        pod=(str(target.get("namespace") or ""), str(target.get("name") or "")),
    )


def usable(backends: Sequence[Backend], policy: str, node: str) -> tuple[Backend, ...]:
    """The endpoints that a proxy on the node sends traffic to.

    Args:
        backends: all endpoints of the port.
        policy: `Cluster` or `Local`.
        node: where the proxy runs.
    """
    if policy == "Local":
        backends = [item for item in backends if item.node == node]
    ready = tuple(item for item in backends if item.ready)
    return ready or tuple(item for item in backends if item.serving and item.terminating)


def frontend(store: Store, service: Obj, port: Obj) -> Frontend:
    """One port of a service with its endpoints."""
    protocol = str(port.get("protocol") or "TCP")
    name = str(port.get("name") or "")
    return Frontend(
        namespace_of(service), name_of(service), name, protocol, backends_of(store, service, name, protocol)
    )


def rules_of(store: Store) -> Rules:
    """The rules that every healthy proxy has now."""
    out: dict[tuple[str, int, str], Frontend] = {}
    for service in store.list("services"):
        for port in dig(service, "spec", "ports", default=()):
            front = frontend(store, service, port)
            for address in cluster_ips(service):
                out[address, int(port["port"]), front.protocol] = front
    return out


def cluster_ips(service: Obj) -> list[str]:
    """The cluster addresses of a service; none for a headless or external one."""
    if dig(service, "spec", "type") == "ExternalName":
        return []
    found = dig(service, "spec", "clusterIPs") or [dig(service, "spec", "clusterIP")]
    return [str(address) for address in found if address and address != "None"]


def service_by_ip(store: Store, address: str) -> Obj | None:
    """The service that has the address as a cluster, external or load balancer address."""
    for service in store.list("services"):
        outside = [str(item) for item in dig(service, "spec", "externalIPs", default=())]
        outside += [
            str(item.get("ip")) for item in dig(service, "status", "loadBalancer", "ingress", default=())
        ]
        if address in cluster_ips(service) or address in outside:
            return service
    return None
