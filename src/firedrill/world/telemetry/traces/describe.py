"""Spans with their names, attributes and events, made of rows when somebody looks at them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from firedrill.world.sim.tables import table
from firedrill.world.telemetry.traces import failures, ids
from firedrill.world.telemetry.traces.failures import Failure
from firedrill.world.telemetry.traces.requests import Call, Ints, Names, Pod, Tick
from firedrill.world.telemetry.traces.spans import CLIENT, CONSUMER, PRODUCER, SERVER, Event, Span, Spans

Value = str | int | bool
Attributes = tuple[tuple[str, Value], ...]
_HTTP = re.compile(r"([A-Z]+) (/\S*)")
_VARIABLE = re.compile(r"\{[^}]*\}|:\w+")
_MOST_ADDRESSES = 4096
VARIANTS = 64
"""How many different paths an operation with a variable in its path has."""
_TEXTS = frozenset(("network.protocol.version",))


@cache
def tables() -> Mapping[str, Any]:
    """Attributes by protocol and side, and names of libraries."""
    return table("firedrill.world.telemetry.traces", "spans.yaml")  # type: ignore[no-any-return]


class Describer:
    """Makes spans of columns, for one application.

    Args:
        names: what the numbers in rows mean.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self._known: dict[tuple[object, ...], Attributes] = {}
        titles = [names.operations[call.target].title for call in names.calls]
        self._named: dict[tuple[int, int, bool], str] = {}
        self._varied = np.array([bool(_VARIABLE.search(title)) for title in titles], np.bool_)
        self._numbers: dict[tuple[str, str], int] = {}
        self._order: tuple[Ints, list[int], list[int]] | None = None
        self._told: tuple[Sequence[Pod], NDArray[np.int64]] | None = None

    def describe(self, spans: Spans, chosen: Iterable[int] | None = None) -> list[Span]:
        """The spans, or the chosen ones of them, in their order."""
        picked = list(range(len(spans)) if chosen is None else chosen)
        highs, lows = ids.hexadecimal(spans.trace_high[picked]), ids.hexadecimal(spans.trace_low[picked])
        own, parents = ids.hexadecimal(spans.id[picked]), ids.hexadecimal(spans.parent[picked])
        out = []
        for place, high, low, span_id, parent in zip(picked, highs, lows, own, parents, strict=True):
            parent_id = "" if parent == "0" * 16 else parent
            out.append(self._one(spans, place, high + low, span_id, parent_id))
        return out

    def _one(self, spans: Spans, place: int, trace_id: str, span_id: str, parent_id: str) -> Span:
        rows, row = spans.tick.rows, int(spans.row[place])
        server = bool(spans.server[place])
        edge = int(rows.edge[row])
        call = self.names.calls[edge]
        outcome = self.names.outcomes[int(spans.kind[place])]
        service = self.names.services[int(spans.service[place])]
        variant = self._variant(edge, int(spans.id[place]))
        attributes = self._attributes(edge, server, outcome, variant, self.address(spans.tick, row))
        name = self.span_name(edge, int(spans.service[place]), server=server)
        start, duration = int(spans.start[place]), int(spans.duration[place])
        failed, message, events = self._failed(spans, place, start + duration)
        kind = _kind(call, server)
        return Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_id=parent_id,
            name=name,
            kind=kind,
            service=service.name,
            pod=int(spans.pod[place]),
            tick=spans.tick.number,
            start=start,
            duration=duration,
            error=failed,
            message=message,
            scope=self._scope(edge, int(spans.service[place])),
            attributes=attributes,
            events=events,
        )

    def _failed(self, spans: Spans, place: int, end: int) -> tuple[bool, str, tuple[Event, ...]]:
        if int(spans.kind[place]) == 0:
            return False, "", ()
        failure, thrown = self.ending(spans, place)
        events: tuple[Event, ...] = ()
        if thrown:
            stack = "\n".join(failure.stack)
            pairs = (
                ("exception.type", failure.type),
                ("exception.message", failure.message),
                ("exception.stacktrace", stack),
            )
            events = (Event(end, "exception", pairs),)
        return True, failure.message, events

    def ending(self, spans: Spans, place: int) -> tuple[Failure, bool]:
        """What a span that failed says went wrong, and whether it has that as an exception with a stack."""
        server = bool(spans.server[place])
        failure = self.failure(spans.tick, int(spans.row[place]), server=server)
        outcome = self.names.outcomes[int(spans.kind[place])]
        # callers note that a call failed; the exception itself is recorded where it was thrown
        thrown = server or outcome not in {"failed", "upstream"}
        return failure, thrown and bool(failure.stack)

    def failure(self, tick: Tick, row: int, *, server: bool) -> Failure:
        """What one side of a failed row says went wrong."""
        rows, names = tick.rows, self.names
        op, edge = int(rows.op[row]), int(rows.edge[row])
        if server:
            if names.outcomes[int(rows.server_kind[row])] != "upstream":
                thrown = tick.thrown.get((int(rows.pod[row]), op)) if tick.thrown else None
                return failures.own(names, op) if thrown is None else failures.thrown(names, op, *thrown)
            failed = [call for call in self.calls_of(tick, row) if rows.kind[call]]
            if not failed:
                return failures.own(names, op)
            return failures.caused(names, op, self.failure(tick, failed[-1], server=False))
        above = int(rows.parent[row])
        operation = int(rows.op[above]) if above >= 0 else -1
        caller = names.operations[operation].service if operation >= 0 else len(names.services) - 1
        outcome = names.outcomes[int(rows.kind[row])]
        return failures.called(names, caller, operation, edge, outcome, self.address(tick, row))

    def address(self, tick: Tick, row: int) -> tuple[str, str]:
        """Host and port that a call was made to, as the caller's variables said or as it knows itself."""
        edge, source = int(tick.rows.edge[row]), int(tick.rows.source[row])
        call = self.names.calls[edge]
        callee = self.names.services[self.names.operations[call.target].service]
        env = tick.pods[source].env if source >= 0 else None
        told = env.get(call.address, "") if env and call.address else ""
        host, port = _split(told)
        return host or call.host or callee.workload, port or str(callee.port or "")

    def _variant(self, edge: int, span: int) -> int:
        return span % VARIANTS if self._varied[edge] else 0

    def codes(self, spans: Spans) -> NDArray[np.int64]:
        """A number for each span, the same one for spans of equal name, kind, library and attributes.

        For those who write many spans down: `coded` of the same describer tells what a number stands for.
        """
        rows, outcomes = spans.tick.rows, len(self.names.outcomes)
        edges = rows.edge[spans.row].astype(np.int64)
        variants = np.where(self._varied[edges], (spans.id % np.uint64(VARIANTS)).astype(np.int64), 0)
        made = ((edges * 2 + spans.server) * outcomes + spans.kind) * VARIANTS + variants
        made = made * len(self.names.services) + spans.service
        out: NDArray[np.int64] = made * _MOST_ADDRESSES + self._addressed(spans.tick, spans.row, edges)
        return out

    def _addressed(self, tick: Tick, chosen: Ints, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of the addresses that the calls of some rows were made to."""
        count = len(self.names.calls)
        pairs = (tick.rows.source[chosen].astype(np.int64) + 1) * count + edges
        if self._told is None or self._told[0] is not tick.pods:
            self._told = tick.pods, np.full((len(tick.pods) + 1) * count, -1, np.int64)
        known = self._told[1]
        new = np.flatnonzero(known[pairs] < 0)
        if len(new):
            missing, first = np.unique(pairs[new], return_index=True)
            found = [self._number(self.address(tick, int(row))) for row in chosen[new[first]].tolist()]
            known[missing] = found
        out: NDArray[np.int64] = known[pairs]
        return out

    def _number(self, address: tuple[str, str]) -> int:
        if len(self._numbers) >= _MOST_ADDRESSES:
            return self._numbers.get(address, 0)
        return self._numbers.setdefault(address, len(self._numbers))

    def coded(self, code: int) -> tuple[str, str, str, Attributes]:
        """(name, kind, library, attributes) that a number of `codes` stands for."""
        rest, number = divmod(code, _MOST_ADDRESSES)
        rest, service = divmod(rest, len(self.names.services))
        rest, variant = divmod(rest, VARIANTS)
        rest, outcome = divmod(rest, len(self.names.outcomes))
        edge, server = divmod(rest, 2)
        address = list(self._numbers)[number]
        attributes = self._attributes(edge, bool(server), self.names.outcomes[outcome], variant, address)
        name = self.span_name(edge, service, server=bool(server))
        return name, self.span_kind(edge, server=bool(server)), self._scope(edge, service), attributes

    def span_name(self, edge: int, service: int, *, server: bool) -> str:
        """How a service names its span of a call, at either end of it."""
        found = self._named.get((edge, service, server))
        if found is None:
            found = self._named[edge, service, server] = self._name(edge, service, server=server)
        return found

    def _name(self, edge: int, service: int, *, server: bool) -> str:
        call, words = self.names.calls[edge], self._words(edge)
        if server:
            shapes = tables().get(call.protocol) or tables()["tcp"]
            return str(shapes["server"]["name"]).format(**words)
        return _client_name(self.names.services[service].language, call.protocol, words)

    def span_kind(self, edge: int, *, server: bool) -> str:
        """The kind of the span of a call, at either end of it."""
        return _kind(self.names.calls[edge], server)

    def _scope(self, edge: int, service: int) -> str:
        """The library by which a service makes its spans of a call."""
        language = self.names.services[service].language
        known = tables()["scopes"][failures.family(language)]
        return str(known.get(self.names.calls[edge].protocol, "tracer"))

    def calls_of(self, tick: Tick, row: int) -> list[int]:
        """The rows of the calls that a request made, in order."""
        parent = tick.rows.parent
        if self._order is None or self._order[0] is not parent:
            order = np.argsort(parent, kind="stable")
            bounds = np.searchsorted(parent[order], np.arange(len(parent) + 1))
            self._order = (parent, order.tolist(), bounds.tolist())
        _, rows, first = self._order
        return rows[first[row] : first[row + 1]]

    def _attributes(
        self, edge: int, server: bool, outcome: str, variant: int, address: tuple[str, str]
    ) -> Attributes:
        key = (edge, server, outcome, variant, address)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > 20_000:
                self._known.clear()
            found = self._known[key] = self._made(edge, server, outcome, variant, address)
        return found

    def _made(
        self, edge: int, server: bool, outcome: str, variant: int, address: tuple[str, str]
    ) -> Attributes:
        words, good = self._words(edge), outcome == self.names.outcomes[0]
        status = 200 if good else failures.http_status(outcome)
        values: dict[str, object] = {
            **words,
            "path": concrete_path(words["route"], variant) or "/",
            "status": status or "",
            "host": address[0],
            "port": address[1],
            "code": 0 if good else failures.grpc_status(outcome)[1],
        }
        shapes = tables().get(self.names.calls[edge].protocol) or tables()["tcp"]
        pairs: list[tuple[str, Value]] = []
        for attribute, shape in shapes["server" if server else "client"].items():
            text = "" if attribute == "name" else str(shape).format(**values)
            if text:
                number = text.isdecimal() and attribute not in _TEXTS
                pairs.append((attribute, int(text) if number else text))
        return tuple(pairs)

    def _words(self, edge: int) -> dict[str, str]:
        call = self.names.calls[edge]
        target = self.names.operations[call.target]
        system = self.names.services[target.service].database
        return _words(call.protocol, target.title, system, call.queue)

    def resource(self, tick: Tick, pod: int, service: str) -> Attributes:
        """Attributes of what made a span: program, pod and node."""
        found = tick.pods[pod] if 0 <= pod < len(tick.pods) else None
        known = next((item for item in self.names.services if item.name == service), None)
        sdk = tables()["scopes"][failures.family(known.language if known else "")]["sdk"]
        out: list[tuple[str, Value]] = [
            ("service.name", service),
            ("service.namespace", self.names.application),
        ]
        if known is not None and known.version:
            out.append(("service.version", known.version))
        if found is not None:
            out += [
                ("service.instance.id", found.uid),
                ("host.name", found.name),
                ("k8s.namespace.name", found.namespace),
                ("k8s.node.name", found.node),
                ("k8s.pod.name", found.name),
                ("k8s.pod.uid", found.uid),
                ("k8s.container.name", found.container),
            ]
        if known is not None and known.workload:
            out.append(("k8s.deployment.name", known.workload))
        version = tables()["sdk_version"].get(sdk, "1.0.0")
        out += [
            ("telemetry.sdk.language", sdk),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.version", version),
        ]
        return tuple(out)


def client_span_name(language: str, protocol: str, title: str, system: str) -> str:
    """How a program names its spans of calls to a data store.

    Args:
        language: of the caller.
        protocol: of the call.
        title: of the operation that is called.
        system: kind of data store.
    """
    return _client_name(language, protocol, _words(protocol, title, system, ""))


def _client_name(language: str, protocol: str, words: Mapping[str, str]) -> str:
    shapes = tables().get(protocol) or tables()["tcp"]
    own = tables()["names"].get(failures.family(language), {}).get(protocol)
    return str(own or shapes["client"]["name"]).format(**words)


def _words(protocol: str, title: str, system: str, queue: str) -> dict[str, str]:
    """What names and attributes of the spans of a call are made of, whatever became of it."""
    http = _HTTP.fullmatch(title)
    method, route = (http[1], http[2]) if http else (title.rpartition("/")[2].split(" ")[0], "")
    called = http[2].lstrip("/") if http else title
    rpc = called.rpartition("/")
    return {
        "method": method if http or protocol != "http" else "POST",
        "route": route,
        "rpc_service": rpc[0],
        "rpc_method": rpc[2],
        "system": system or protocol,
        "statement": title,
        "queue": queue,
        "target": title,
        "rpc": called,
    }


@lru_cache(maxsize=4096)
def _split(address: str) -> tuple[str, str]:
    """Host and port of `host:port`, with or without scheme, user and path."""
    rest = address.rpartition("://")[2].partition("/")[0].partition(",")[0].rpartition("@")[2]
    host, colon, port = rest.rpartition(":")
    return (host, port) if colon and port.isdecimal() else (rest, "")


def _kind(call: Call, server: bool) -> str:
    if call.queue:
        return CONSUMER if server else PRODUCER
    return SERVER if server else CLIENT


def concrete_path(route: str, variant: int) -> str:
    """A path as a client would ask for it: variables of the route filled in with one of 64 values."""
    return _VARIABLE.sub(lambda _: _ITEMS[variant % len(_ITEMS)], route)


_ITEMS = tuple(f"{crc32(f'item {number}'.encode()):08X}" for number in range(VARIANTS))
