"""Effects on pods as rules about calls: what a row means for the requests of an application."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.address import parse_address
from firedrill.world.app.graph import Graph
from firedrill.world.app.routes import Running
from firedrill.world.app.rules import ANSWER_BYTES, REQUEST_BYTES, Rule, Thrown
from firedrill.world.app.topology import Topology
from firedrill.world.kube.effects import Effect, like, touches

Bools = NDArray[np.bool_]
_JVM = frozenset({"java", "kotlin", "scala", "groovy", "jvm"})
_ROUTE = re.compile(r"([A-Z]+) (/\S*)")
_WORD = re.compile(r"[^a-z0-9]+")
_CUT = 999
_PERIOD = 100.0
"""ms after which a container that has used up its quota may go on."""
_CODES: Final[Mapping[int, int]] = {401: kinds.AUTH, 404: kinds.NOT_FOUND}
_PACKETS = frozenset({"delay_ms", "jitter_ms", "loss", "rate"})


class Acting(NamedTuple):
    """What rows mean for calls.

    Attributes:
        rules: in the order of the rows.
        thrown: what programs say of failures that rows cause.
        silent: by pod: it takes no messages out of queues, since it does not reach who holds them.
        skew: by pod: ms by which its clock is ahead.
    """

    rules: tuple[Rule, ...]
    thrown: tuple[Thrown, ...]
    silent: Bools | None
    skew: Mapping[int, int]


def acting_rules(
    graph: Graph, topology: Topology, pods: tuple[Running, ...], rows: Iterable[Effect]
) -> Acting:
    """What these rows mean; rows about what pods do not run any more mean nothing."""
    maker = _Maker(graph, topology, pods)
    for row in rows:
        place = maker.places.get(row.on)
        if place is not None and lasts(row, pods[place]):
            maker.take(row, place)
    return Acting(tuple(maker.rules), tuple(maker.thrown), maker.silent(), maker.skew)


def lasts(row: Effect, pod: Running) -> bool:
    """Whether the run of a container that the row is about still goes on."""
    if not row.container:
        return True
    run = pod.container.run
    return row.container == pod.container.name and run is not None and row.attempt in (-1, run.attempt)


class _Maker:
    def __init__(self, graph: Graph, topology: Topology, pods: tuple[Running, ...]) -> None:
        self.graph, self.topology, self.pods = graph, topology, pods
        self.places = {f"pod/{pod.state.uid}": number for number, pod in enumerate(pods)}
        self.rules: list[Rule] = []
        self.thrown: list[Thrown] = []
        self.skew: dict[int, int] = {}
        self._cut: list[tuple[int, Bools | None]] = []
        number = np.arange(len(graph.edge_call))
        self._between = (number < graph.entries) | (number >= graph.roots)

    def take(self, row: Effect, place: int) -> None:
        """Add what one row means."""
        name = row.parameter
        if name in _PACKETS:
            self._packets(row, place)
        elif name.startswith("http_"):
            self._http(row, place)
        elif name in ("jvm_error", "jvm_delay_ms"):
            self._method(row, place)
        elif name == "cpu_steal":
            self._threads(row, place)
        elif name == "gc_pause_ms":
            share = min(row.value / 1000.0, 0.95)
            self.rules.append(Rule("pause", float(row.value), share, pod=self._pod(place)))
        elif name in ("dns_error", "dns_random"):
            self._names(row, place)
        elif name == "clock_skew_ms":
            self._clock(row, place)
        elif name == "io_error":
            self._disk(row, place)
        elif name == "io_delay_ms":
            self.rules.append(Rule("busy", float(row.value), row.share / 1000.0, pod=self._pod(place)))

    def _threads(self, row: Effect, place: int) -> None:
        """Threads that compute in the same container: turns come late, and a used-up quota stops them all."""
        busy, bound, whole = (int(row.said(name) or 0) for name in ("threads", "bound", "whole"))
        pod = self._pod(place)
        crowd = (busy + 1000) / max(whole, 1000)
        if crowd > 1.0:
            self.rules.append(Rule("stretch", min(crowd, 100.0), pod=pod))
        runs = bound / max(min(busy + 1000, whole), 1)
        if bound and runs < 1.0:
            self.rules.append(Rule("pause", _PERIOD * (1.0 - runs), 1.0 - runs, pod=pod))

    def _pod(self, *places: int) -> Bools:
        out = np.zeros(len(self.pods), np.bool_)
        out[list(places)] = True
        return out

    def _packets(self, row: Effect, place: int) -> None:
        peers = None
        if row.peers:
            peers = np.array([pod.state.uid in row.peers for pod in self.pods], np.bool_)
        own = self._pod(place)
        for source, pod, size in ((own, peers, REQUEST_BYTES), (peers, own, ANSWER_BYTES)):
            on = Rule("far", float(row.value), 1.0, source, pod, self._between)
            if row.parameter == "jitter_ms":
                on = on._replace(value=0.0, more=float(row.value))
            elif row.parameter == "rate":
                on = on._replace(what="rate", more=float(row.said("limit") or 0), bytes=size)
            elif row.parameter == "loss" and row.value >= _CUT:
                on = on._replace(what="code", value=kinds.DROPPED)
            elif row.parameter == "loss":
                on = on._replace(what="loss", value=row.value / 1000.0)
            self.rules.append(on)
        if row.parameter == "loss" and row.value >= _CUT:
            self._cut.append((place, peers))

    def silent(self) -> Bools | None:
        """Consumers that reach none of the pods which hold their messages."""
        graph = self.graph
        if not self._cut or not graph.app.queues:
            return None
        count = len(self.pods)
        apart = np.zeros((count, count), np.bool_)
        for place, peers in self._cut:
            reached = np.ones(count, np.bool_) if peers is None else peers
            apart[place, reached] = apart[reached, place] = True
        out = np.zeros(count, np.bool_)
        for edge in range(graph.entries, graph.roots):
            queue = graph.consumer_queue[edge - graph.entries]
            holders = graph.op_service[graph.edge_target[graph.edge_publishes == queue]]
            here = np.isin(self.topology.service, holders)
            own = np.flatnonzero(self.topology.service == graph.edge_service[edge])
            out[own] |= bool(here.any()) & apart[np.ix_(own, np.flatnonzero(here))].all(axis=1)
        return out

    def _http(self, row: Effect, place: int) -> None:
        edges = self._asked(row, self.pods[place])
        if not edges.any():
            return
        pod, value = self._pod(place), float(row.value)
        if row.parameter == "http_delay_ms":
            self.rules.append(Rule("far", value, pod=pod, edge=edges))
        elif row.parameter == "http_abort":
            self.rules.append(Rule("code", kinds.RESET, pod=pod, edge=edges))
        elif row.parameter == "http_code":
            if row.value >= 400:
                seen = _CODES.get(row.value, kinds.ABORTED)
                self.rules.append(Rule("answer", seen, pod=pod, edge=edges))
        elif row.said("target") == "Response":
            self.rules.append(Rule("answer", kinds.UNREADABLE, pod=pod, edge=edges))
        else:
            self.rules.append(Rule("fail", 1.0, pod=pod, edge=edges))

    def _asked(self, row: Effect, pod: Running) -> Bools:
        """The calls that come to a port, method and path of a pod."""
        graph, out = self.graph, np.zeros(len(self.graph.edge_call), np.bool_)
        if pod.service >= len(graph.app.services):
            return out
        port = graph.app.services[pod.service].port
        for edge, call in enumerate(graph.edge_call):
            op = int(graph.edge_target[edge])
            if graph.op_service[op] == pod.service and call.protocol in ("http", "grpc"):
                method, path = route_of(graph, op)
                out[edge] = touches(row, port, method, path)
        return out

    def _method(self, row: Effect, place: int) -> None:
        ops = methods_of(self.graph, self.pods[place].service, row.said("class"), row.said("method"))
        if not ops:
            return
        edges = np.isin(self.graph.edge_target, ops)
        share, pod = row.share / 1000.0, self._pod(place)
        if row.parameter == "jvm_delay_ms":
            self.rules.append(Rule("busy", float(row.value), share, pod=pod, edge=edges))
            return
        self.rules.append(Rule("fail", 1.0, share * row.value / 1000.0, pod=pod, edge=edges))
        if row.said("exception"):
            self.thrown += [Thrown(place, op, row.said("exception"), row.said("message")) for op in ops]

    def _names(self, row: Effect, place: int) -> None:
        pod, graph = self.pods[place], self.graph
        patterns = [item.rstrip(".") for item in row.said("patterns").split(",") if item]
        edges = np.zeros(len(graph.edge_call), np.bool_)
        for edge, call in enumerate(graph.edge_call):
            if graph.edge_service[edge] != pod.service:
                continue
            text = call.host or pod.env.get(call.address, "")
            host = parse_address(text, 1).host.rstrip(".") if text else ""
            if any(char.isalpha() for char in host):
                edges[edge] = _named(host, pod.state.namespace, patterns)
        if edges.any():
            outcome = kinds.NO_DNS if row.parameter == "dns_error" else kinds.DROPPED
            self.rules.append(Rule("name", outcome, source=self._pod(place), edge=edges))

    def _clock(self, row: Effect, place: int) -> None:
        self.skew[place] = self.skew.get(place, 0) + row.value
        bounds = _bounds(self.graph)
        ops = [
            op
            for op, bound in enumerate(bounds)
            if bound and abs(row.value) > bound and self.graph.op_service[op] == self.pods[place].service
        ]
        if ops:
            edges = np.isin(self.graph.edge_target, ops)
            self.rules.append(Rule("fail", 1.0, pod=self._pod(place), edge=edges))

    def _disk(self, row: Effect, place: int) -> None:
        self.rules.append(Rule("fail", 1.0, row.share / 1000.0, pod=self._pod(place)))
        service = self.pods[place].service
        text = _DISK.get(row.said("error"), "Input/output error")
        for op in np.flatnonzero(self.graph.op_service == service):
            self.thrown.append(Thrown(place, int(op), "", f"{row.said('error')}: {text}"))


_DISK: Final[Mapping[str, str]] = {
    "EPERM": "operation not permitted",
    "ENOENT": "no such file or directory",
    "EIO": "input/output error",
    "ENOMEM": "cannot allocate memory",
    "EACCES": "permission denied",
    "ENOSPC": "no space left on device",
    "EROFS": "read-only file system",
    "EBADMSG": "bad message",
}


def _named(host: str, namespace: str, patterns: list[str]) -> bool:
    """Whether a look-up of the host asks for a name that is like one of the patterns."""
    parts = host.split(".")
    full = host if len(parts) > 3 else ".".join([*parts, namespace][:2]) + ".svc.cluster.local"
    return any(like(pattern, host) or like(pattern, full) for pattern in patterns)


@lru_cache(maxsize=4096)
def route_of(graph: Graph, op: int) -> tuple[str, str]:
    """(method, path) by which an operation is asked for; of a proxy, those that it passes on."""
    for _ in range(4):
        title = _titles(graph)[op]
        found = _ROUTE.fullmatch(title)
        if found:
            return found[1], found[2]
        if "/" in title:
            return "POST", "/" + title.split(" ")[-1].lstrip("/")
        below = np.flatnonzero(graph.edge_source == op)
        if not len(below):
            return "POST", "/" + title
        op = int(graph.edge_target[below[0]])
    return "POST", "/"


@lru_cache(maxsize=64)
def _titles(graph: Graph) -> tuple[str, ...]:
    return tuple(op.title for service in graph.app.services for op in service.operations)


@lru_cache(maxsize=64)
def _bounds(graph: Graph) -> tuple[int, ...]:
    return tuple(op.clock_ms for service in graph.app.services for op in service.operations)


def methods_of(graph: Graph, service: int, class_: str, method: str) -> list[int]:
    """The operations of a service that run through a method of a class; none where it has no such class.

    Classes are known by the names of services and of their interfaces, methods by those of operations; a
    method of such a class that is no operation is taken to be on the way of all of them.
    """
    if service >= len(graph.app.services):
        return []
    known = graph.app.services[service]
    if known.language.lower() not in _JVM and known.framework.lower() not in ("spring", "spring-boot"):
        return []
    titles = _titles(graph)
    own = [int(op) for op in np.flatnonzero(graph.op_service == service)]
    wanted, name = _plain(class_.rpartition(".")[2].partition("$")[0]), _plain(method)
    named = [op for op in own if name and name in _spoken(graph, op, titles[op])]
    if named:
        return named
    stems = {
        _plain(known.name),
        *(_plain(titles[op].rpartition("/")[0].rpartition(".")[2]) for op in own),
    } - {""}
    if not wanted or any(stem in wanted or wanted in stem for stem in stems):
        return own
    return []


def _plain(text: str) -> str:
    return _WORD.sub("", text.lower())


def _spoken(graph: Graph, op: int, title: str) -> set[str]:
    """The names by which a program may call an operation."""
    last = title.rpartition("/")[2].rpartition(" ")[2]
    return {_plain(graph.op_names[op][1]), _plain(last)}
