"""What the proxies of a mesh and of gateways make of the calls between pods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from firedrill.world import mesh
from firedrill.world.app import rows
from firedrill.world.app.address import Address
from firedrill.world.app.graph import Graph
from firedrill.world.kube import network
from firedrill.world.kube.network import Network, NetworkState, Route
from firedrill.world.kube.network.services import cluster_ips
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.mesh.routing import Backend

if TYPE_CHECKING:
    from firedrill.world.world import World

_TITLE = re.compile(r"([A-Z]{3,7}) (/\S*)")
_PATH = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[^/]*(/.*)?", re.DOTALL)
_CODES: Final = {
    "ok": rows.OK,
    "refused": rows.REFUSED,
    "reset": rows.RESET,
    "denied": rows.DENIED,
    "unrouted": rows.NOT_FOUND,
}
_UNASKED: Final = mesh.Asked("", "", 0)
_BY_GATEWAYS = frozenset({"denied", "unrouted"})
_GRAIN = 20
"""Steps of the weights of a route."""


class Proxies:
    """The proxies of a cluster at a moment.

    Args:
        world: where.
        graph: of the application.
        reached: the network without them.

    Attributes:
        active: there are any.
        direct: the network for those whose proxies know endpoints themselves, and need no kube-proxy.
        notes: why calls were turned away, by (source pod, edge, pod).
        patience: of gateways in µs by edge.
    """

    def __init__(self, world: World, graph: Graph, reached: Network) -> None:
        self._store, self._graph = world.cluster.store, graph
        self._view = mesh.view(world)
        self.active = bool(self._view.root)
        state = NetworkState()
        state.cut = reached.state.cut
        self.direct = reached._replace(state=state, tunnels=self._view.secured)
        self.notes: dict[tuple[int, int, int], str] = {}
        self.patience: dict[int, int] = {}

    def network_of(self, pod: Obj, usual: Network) -> Network:
        """The network as a pod's connections find it."""
        return self.direct if self.active and self._view.captured(pod) else usual

    def asked(self, pod: Obj, edge: int, address: Address, text: str) -> mesh.Asked:
        """The request that a call sends.

        Args:
            pod: that sends it.
            edge: the call.
            address, text: where to, and that as the program was told.
        """
        if not self.active:
            return _UNASKED
        method, path = self._request(edge, text)
        mine = str(dig(pod, "status", "podIP", default=""))
        return mesh.Asked("", mine, address.port, address.host, method, path)

    def _request(self, edge: int, text: str) -> tuple[str, str]:
        graph = self._graph
        op = int(graph.edge_target[edge])
        service, name = graph.op_names[op]
        title = _title(graph, service, name)
        found = _TITLE.fullmatch(title)
        if found:
            return found[1], found[2]
        if graph.edge_call[edge].protocol == "grpc":
            return "POST", f"/{title.lstrip('/')}"
        told = _PATH.fullmatch(text.strip())
        return "GET", (told[1] if told and told[1] else "/")

    def routes(self, pod: Obj, edge: int, asked: mesh.Asked) -> tuple[Route | None, ...] | None:
        """Where a gateway sends a request; None where the pod is none. Entries of None lead nowhere."""
        if not self.active or self._view.gateway_of(pod) is None:
            return None
        rule = self._view.rule_for(pod, asked._replace(port=0))
        if rule is None:
            return (None,)
        if rule.timeout_ms:
            before = self.patience.get(edge, rule.timeout_ms * 1000)
            self.patience[edge] = min(before, rule.timeout_ms * 1000)
        total = sum(item.weight for item in rule.backends)
        out: list[Route | None] = []
        for backend in rule.backends:
            times = max(round(backend.weight / total * _GRAIN), 1) if len(rule.backends) > 1 else 1
            out += self._backend(pod, backend) * times
        return tuple(out) or (None,)

    def _backend(self, pod: Obj, backend: Backend) -> list[Route | None]:
        service = self._store.get("services", backend.namespace, backend.service)
        ports = dig(service, "spec", "ports", default=None) or ()
        if service is None or all(item.get("port") != backend.port for item in ports):
            return [None]
        addresses = cluster_ips(service)
        host = addresses[0] if addresses else f"{backend.service}.{backend.namespace}.svc"
        return list(network.spread(self.direct, pod, host, backend.port))

    def check(
        self,
        source: tuple[int, Obj],
        edge: int,
        target: tuple[int, Obj],
        asked: mesh.Asked,
        service: tuple[str, str],
    ) -> int:
        """The outcome of a call that the network lets through: see `rows.KINDS`.

        Args:
            source, target: number and object of both pods.
            edge: the call.
            asked: what it sends, with the port that it came to.
            service: (namespace, name) of the Service on the way.
        """
        if not self.active:
            return rows.OK
        verdict = self._view.check(source[1], target[1], asked, service)
        if verdict.why:
            told = verdict.result in _BY_GATEWAYS
            note = (
                verdict.why if told else self._connection(source[1], target[1], asked, service, verdict.why)
            )
            self.notes[source[0], edge, target[0]] = note
        return _CODES[verdict.result]

    def _connection(
        self, source: Obj, target: Obj, asked: mesh.Asked, service: tuple[str, str], why: str
    ) -> str:
        """A connection as the proxy of a node notes it, with `{port}` for the caller's."""
        secured = self._view.secured(source, target)
        address = dig(target, "status", "podIP", default="")
        end = f"{address}:{asked.port}"
        parts = [f"src.addr={asked.address}:{{port}}", *_of("src", source)]
        if secured:
            parts.append(f'src.identity="spiffe://{self._view.identity(source)}"')
        parts.append(f"dst.addr={address}:15008 dst.hbone_addr={end}" if secured else f"dst.addr={end}")
        if service[1]:
            parts.append(f'dst.service="{service[1]}.{service[0]}.svc.{self._view.trust}"')
        parts += _of("dst", target)
        if self._view.identity(target):
            parts.append(f'dst.identity="spiffe://{self._view.identity(target)}"')
        parts.append('direction="inbound" bytes_sent=0 bytes_recv=0 duration="0ms"')
        return " ".join([*parts, f'error="{why}"'])


def _of(side: str, pod: Obj) -> list[str]:
    return [f'{side}.workload="{name_of(pod)}"', f'{side}.namespace="{namespace_of(pod)}"']


def _title(graph: Graph, service: str, operation: str) -> str:
    for item in graph.app.services:
        if item.name == service:
            return next((op.title for op in item.operations if op.name == operation), operation)
    return operation
