"""Which pods each call gets to in a cluster as it is now, and what becomes of those that get to none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from firedrill.world import mesh
from firedrill.world.app import rows
from firedrill.world.app.address import parse_address
from firedrill.world.app.graph import Graph
from firedrill.world.app.model import Call
from firedrill.world.app.proxies import Proxies
from firedrill.world.kube import network
from firedrill.world.kube.kubelet.checks import listening
from firedrill.world.kube.kubelet.nettools import listens
from firedrill.world.kube.kubelet.state import Container, PodState, find_pod
from firedrill.world.kube.network import Network, NetworkState, Route
from firedrill.world.kube.objects import Obj, dig, labels_of, namespace_of
from firedrill.world.kube.programs.scripts import expand

if TYPE_CHECKING:
    from firedrill.world.world import World

_CODES: Final[Mapping[str, int]] = {
    "no_dns": rows.NO_DNS,
    "dns_timeout": rows.DNS_TIMEOUT,
    "no_endpoints": rows.REFUSED,
    "refused": rows.REFUSED,
    "dropped": rows.DROPPED,
    "wrong_protocol": rows.DROPPED,
    "external": rows.DROPPED,
}
_HTTP = frozenset({"http", "https"})
_STEPS = 8
_GRAIN = 20
"""Steps of the share of connections that break."""


class Running(NamedTuple):
    """A pod that runs a program of the application.

    Attributes:
        service: index in the graph; the number of services for the load generator.
        obj: the pod.
        state: as its kubelet knows it.
        container: that runs the program.
    """

    service: int
    obj: Obj
    state: PodState
    container: Container

    @property
    def env(self) -> Mapping[str, str]:
        """The variables that its program was started with."""
        run = self.container.run
        return run.env if run is not None else {}


Lists = dict[tuple[int, int], list[tuple[int, int]]]
"""(target, code) of equally likely ends, by (source pod, edge); see `topology.reach_from`."""


class Found(NamedTuple):
    """What calls come to.

    Attributes:
        lists: the ends.
        notes: why proxies turn calls away, by (source pod, edge, pod).
        patience: how long gateways wait for answers, in µs by edge.
    """

    lists: Lists
    notes: Mapping[tuple[int, int, int], str]
    patience: Mapping[int, int]


def find_routes(
    world: World, graph: Graph, pods: tuple[Running, ...], cut: Mapping[int, float] | None = None
) -> Found:
    """Follow every call of every pod.

    Args:
        world: where.
        graph: of the application.
        pods: that run.
        cut: by service: share of calls that were under way to pods which have just died.
    """
    finder = _Finder(world, graph, pods)
    by_service: dict[int, list[int]] = {}
    for edge, service in enumerate(graph.edge_service):
        by_service.setdefault(int(service), []).append(edge)
    out: Lists = {}
    for number, pod in enumerate(pods):
        for edge in by_service.get(pod.service, ()):
            found = finder.ends(number, pod, edge)
            share = cut.get(finder.names[graph.edge_call[edge].service], 0.0) if cut else 0.0
            out[number, edge] = _with_resets(found, share) if share and found else found
    return Found(out, finder.proxies.notes, finder.proxies.patience)


def _with_resets(ends: list[tuple[int, int]], share: float) -> list[tuple[int, int]]:
    """The same ends, but for a share of connections that break."""
    broken = round(share * _GRAIN * len(ends))
    return [*ends * (_GRAIN - round(share * _GRAIN)), *[(-1, rows.RESET)] * broken]


class _Finder:
    """Follows calls; remembers what it found for sources that are alike."""

    def __init__(self, world: World, graph: Graph, pods: tuple[Running, ...]) -> None:
        self.world, self.graph, self.pods = world, graph, pods
        self.place = {(pod.state.namespace, pod.state.name): number for number, pod in enumerate(pods)}
        self.names = {service.name: number for number, service in enumerate(graph.app.services)}
        self.seen: dict[tuple[object, ...], tuple[Route, ...]] = {}
        self.lost: dict[tuple[object, ...], float] = {}
        cluster = world.cluster
        self.network = Network(
            cluster.store,
            world.rng,
            cluster.part(NetworkState),
            self._listens,
            cluster.settings.cluster_domain,
        )
        self.proxies = Proxies(world, graph, self.network)

    def _listens(self, pod: Obj, port: int, protocol: str) -> bool:
        return listens(self.world, pod, port, protocol)

    def ends(self, number: int, pod: Running, edge: int) -> list[tuple[int, int]]:
        """(target, code) of the ends that one pod's call may come to."""
        call = self.graph.edge_call[edge]
        wanted = self.names[call.service]
        consumes = self.graph.entries <= edge < self.graph.roots
        default = self.graph.app.services[wanted].port
        text = call.host or pod.env.get(call.address, "")
        address = parse_address(text, default) if text else parse_address("", default)
        if not address.host:
            return [] if consumes else [(-1, rows.NO_DNS)]
        alike = self._alike(pod)
        asked = self.proxies.asked(pod.obj, edge, address, text)
        chosen = self.proxies.routes(pod.obj, edge, asked)
        if chosen is not None:
            return [self._end(number, pod, edge, route, asked) for route in chosen]
        routes = self._routes(alike, pod, address.host, address.port)
        if consumes:
            # Whoever takes messages out of a queue does its work itself: all that counts is the broker.
            reached = any(route.result == "ok" for route in routes)
            return [(number, rows.OK)] if reached else []
        found = [self._end(number, pod, edge, route, asked) for route in routes]
        unanswered = self._lost(alike, pod) if any(char.isalpha() for char in address.host) else 0.0
        if unanswered > 0:
            # Resolvers ask twice: a look-up fails where neither question is answered.
            lost = round(unanswered * unanswered * _STEPS)
            keep = [found[step % len(found)] for step in range(_STEPS * len(found))]
            found = [(-1, rows.DNS_TIMEOUT)] * (lost * len(found)) + keep[lost * len(found) :]
        return found

    def _alike(self, pod: Running) -> tuple[object, ...]:
        spec = pod.obj["spec"]
        labels = tuple(sorted(labels_of(pod.obj).items()))
        names = (spec.get("dnsPolicy"), spec.get("hostNetwork"), repr(spec.get("hostAliases")))
        config = repr(spec.get("dnsConfig"))
        return (spec.get("nodeName"), namespace_of(pod.obj), labels, *names, config)

    def _routes(self, alike: tuple[object, ...], pod: Running, host: str, port: int) -> tuple[Route, ...]:
        key = (*alike, host, port)
        found = self.seen.get(key)
        if found is None:
            found = network.spread(self.proxies.network_of(pod.obj, self.network), pod.obj, host, port)
            if not self._sticky(found):
                self.seen[key] = found
        return found

    def _sticky(self, routes: tuple[Route, ...]) -> bool:
        """Whether a service on the way gives each client an endpoint of its own."""
        services = {route.service for route in routes if route.service[1]}
        found = (self.world.cluster.store.get("services", *key) for key in sorted(services))
        return any(dig(item, "spec", "sessionAffinity") == "ClientIP" for item in found)

    def _lost(self, alike: tuple[object, ...], pod: Running) -> float:
        if alike not in self.lost:
            self.lost[alike] = network.lost_names(self.network, pod.obj)
        return self.lost[alike]

    def _end(
        self, source: int, pod: Running, edge: int, route: Route | None, asked: mesh.Asked
    ) -> tuple[int, int]:
        if route is None:
            return -1, rows.NO_BACKEND
        if route.result != "ok":
            return -1, _CODES[route.result]
        call = self.graph.edge_call[edge]
        number = self.place.get(route.pod)
        target = self.pods[number] if number is not None else None
        state = find_pod(self.world, *route.pod)
        if target is None or number is None or state is None:
            return -1, rows.PROTOCOL
        passed = self.proxies.check(
            (source, pod.obj), edge, (number, target.obj), asked._replace(port=route.port), route.service
        )
        other = target.service != self.names[call.service]
        if passed != rows.OK:
            return -1 if other else number, passed
        return self._answer(pod, call, number, state, route.port)

    def _answer(self, pod: Running, call: Call, number: int, state: PodState, port: int) -> tuple[int, int]:
        """What the program does that a call comes to."""
        target = self.pods[number]
        there = listening(self.world, state, port)
        if there is None or there[3].name != target.container.name:
            return -1, rows.PROTOCOL
        spoken = there[0]
        asked = "http" if call.protocol == "http" else "grpc" if call.protocol == "grpc" else "tcp"
        if target.service != self.names[call.service]:
            return -1, rows.NOT_FOUND if asked == "http" and spoken in _HTTP else rows.PROTOCOL
        if spoken != "tcp" and asked != "tcp" and (spoken in _HTTP) != (asked == "http"):
            return number, rows.PROTOCOL
        return number, rows.OK if self._knows(pod, call, target) else rows.AUTH

    def _knows(self, pod: Running, call: Call, target: Running) -> bool:
        """Whether the caller's password is the callee's; a callee without one lets everybody in."""
        if call.credential is None:
            return True
        wanted = _secret(target, call.credential.server)
        return not wanted or _secret(pod, call.credential.client) == wanted


def _secret(pod: Running, where: str) -> str:
    """The password that a variable or a command-line option (`--requirepass`) of a program holds."""
    if where.startswith("-"):
        items = pod.obj["spec"].get("containers") or ()
        item: Obj = next((found for found in items if found.get("name") == pod.container.name), {})
        told = (*(item.get("command") or ()), *(item.get("args") or ()))
        words = [expand(str(word), pod.env) for word in told]
        for number, word in enumerate(words):
            if word == where and number + 1 < len(words):
                return words[number + 1]
            if word.startswith(f"{where}="):
                return word.partition("=")[2]
        return ""
    text = pod.env.get(where, "")
    return parse_address(text, 1).secret or text
