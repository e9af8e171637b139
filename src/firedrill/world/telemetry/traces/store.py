"""Questions about traces: which services, which operations, which traces, who calls whom.

Nothing is stored: ticks are made again as they are looked at, the newest first, and only as many as it takes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.traces import ids
from firedrill.world.telemetry.traces.describe import Describer
from firedrill.world.telemetry.traces.requests import Requests, Tick
from firedrill.world.telemetry.traces.spans import ALL, Sampling, Span, Spans, make_spans

_KEPT_TICKS = 64
_LOOKED_AT = 40
_MOST_TICKS = 1_500


@dataclass(frozen=True, slots=True)
class Search:
    """Which traces are wanted. Moments and durations in µs.

    Attributes:
        service: that has a span in it.
        operation: name of that span; empty for any.
        start, end: the span began in between, both included.
        shortest, longest: duration of the span; a longest of 0 is no bound.
        tags: attributes that the span, its events or its process have, as text.
        limit: most traces; the newest are found.
    """

    service: str
    operation: str = ""
    start: int = 0
    end: int = 1 << 62
    shortest: int = 0
    longest: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    limit: int = 20


class Trace(NamedTuple):
    """All spans of one trace, parents before children, and the tick that they belong to."""

    trace_id: str
    spans: tuple[Span, ...]
    tick: Tick


class Link(NamedTuple):
    """How often one service called another."""

    parent: str
    child: str
    calls: int


class Traces:
    """The traces of a world.

    Args:
        requests: of the world.
        sampling: which of them leave traces.
    """

    def __init__(self, requests: Requests, sampling: Sampling = ALL) -> None:
        self._requests = requests
        self._sampling = sampling
        self._names = requests.names
        self.describer = Describer(self._names)
        self._ticks: OrderedDict[int, Spans] = OrderedDict()

    def services(self, start: int, end: int) -> list[str]:
        """Names of services with spans between two moments (ms); of long times a sample is looked at."""
        seen: set[int] = set()
        for spans in self._looked_at(start, end):
            seen |= set(np.unique(spans.service).tolist())
        return sorted(self._names.services[number].name for number in seen)

    def operations(self, service: str, start: int, end: int) -> list[tuple[str, str]]:
        """(name, kind) of the spans of a service between two moments (ms)."""
        wanted = self._service(service)
        found: set[tuple[str, str]] = set()
        known: set[tuple[int, bool]] = set()
        for spans in self._looked_at(start, end):
            mine = np.flatnonzero(spans.service == wanted)
            edges = spans.tick.rows.edge[spans.row[mine]]
            pairs, first = np.unique(edges * 2 + spans.server[mine], return_index=True)
            for pair, place in zip(pairs.tolist(), first.tolist(), strict=True):
                if (pair // 2, bool(pair % 2)) not in known:
                    known.add((pair // 2, bool(pair % 2)))
                    (span,) = self.describer.describe(spans, [int(mine[place])])
                    found.add((span.name, span.kind))
        return sorted(found)

    def trace(self, trace_id: str) -> Trace | None:
        """A trace by its id (up to 32 hex digits); None where there is none.

        Raises:
            ValueError: it is no id.
        """
        place = ids.place_of(self._requests.seed, trace_id)
        if place is None:
            return None
        number, root = place
        if number not in self._requests.ticks(0, 1 << 62):
            return None
        spans = self._spans(number)
        found = (
            np.flatnonzero(spans.tick.rows.root[spans.row] == root) if len(spans) else np.zeros(0, np.intp)
        )
        return self._whole(spans, found) if len(found) else None

    def search(self, wanted: Search) -> list[Trace]:
        """Traces with a span that fits, the newest first; of more than two hours only the last two."""
        out: list[Trace] = []
        numbers = self._requests.ticks(wanted.start // 1000 - 60_000, wanted.end // 1000 + 1)
        for number in reversed(numbers[-_MOST_TICKS:]):
            spans = self._spans(number)
            fitting = self._fitting(spans, wanted)
            if not len(fitting):
                continue
            roots = spans.tick.rows.root[spans.row]
            starts = {int(roots[place]): int(spans.start[place]) for place in reversed(fitting.tolist())}
            for root in sorted(starts, key=lambda one: (-starts[one], one)):
                out.append(self._whole(spans, np.flatnonzero(roots == root)))
                if len(out) >= wanted.limit:
                    return out
        return out

    def dependencies(self, start: int, end: int) -> list[Link]:
        """Calls between services in a time (ms); of long times, by a sample of ticks."""
        counts: dict[tuple[int, int], int] = {}
        numbers = self._requests.ticks(start, end)
        chosen = _spread(numbers)
        for number in chosen:
            spans = self._spans(number)
            order = np.argsort(spans.id)
            place = np.searchsorted(spans.id[order], spans.parent)
            above = order[np.minimum(place, len(order) - 1)] if len(order) else order
            linked = (
                (spans.parent != 0)
                & (spans.id[above] == spans.parent)
                & (spans.service[above] != spans.service)
            )
            pairs = zip(spans.service[above[linked]].tolist(), spans.service[linked].tolist(), strict=True)
            for pair in pairs:
                counts[pair] = counts.get(pair, 0) + 1
        factor = len(numbers) / max(len(chosen), 1)
        services = self._names.services
        return sorted(
            Link(services[parent].name, services[child].name, round(count * factor))
            for (parent, child), count in counts.items()
        )

    def spans(self, start: int, end: int) -> Iterator[Spans]:
        """The spans of all ticks that overlap [start, end), in ms, in order, as columns."""
        for number in self._requests.ticks(start, end):
            yield self._spans(number)

    def _spans(self, number: int) -> Spans:
        found = self._ticks.get(number)
        if found is None:
            tick = self._requests.tick(number)
            found = self._ticks[number] = make_spans(self._names, tick, self._requests.seed, self._sampling)
            if len(self._ticks) > _KEPT_TICKS:
                self._ticks.popitem(last=False)
        else:
            self._ticks.move_to_end(number)
        return found

    def _looked_at(self, start: int, end: int) -> Iterator[Spans]:
        for number in _spread(self._requests.ticks(start, end)):
            yield self._spans(number)

    def _service(self, name: str) -> int:
        return next((n for n, item in enumerate(self._names.services) if item.name == name), -1)

    def _whole(self, spans: Spans, found: NDArray[Any]) -> Trace:
        order = np.lexsort((spans.server[found], spans.row[found], spans.start[found]))
        made = tuple(self.describer.describe(spans, found[order].tolist()))
        return Trace(made[0].trace_id, made, spans.tick)

    def _fitting(self, spans: Spans, wanted: Search) -> NDArray[Any]:
        if not len(spans):
            return np.zeros(0, np.intp)
        mask = spans.service == self._service(wanted.service)
        mask &= (
            (spans.start >= wanted.start) & (spans.start <= wanted.end) & (spans.duration >= wanted.shortest)
        )
        if wanted.longest:
            mask &= spans.duration <= wanted.longest
        rest = dict(wanted.tags)
        if rest.get("error") in {"true", "false"}:
            mask &= (spans.kind != 0) == (rest.pop("error") == "true")
        found = np.flatnonzero(mask)
        if (wanted.operation or rest) and len(found):
            described = self.describer.describe(spans, found.tolist())
            keep = [self._has(span, spans.tick, wanted.operation, rest) for span in described]
            found = found[np.array(keep, np.bool_)]
        return found

    def _has(self, span: Span, tick: Tick, operation: str, tags: Mapping[str, str]) -> bool:
        if operation and span.name != operation:
            return False
        if not tags:
            return True
        known = {key: _text(value) for key, value in self.describer.resource(tick, span.pod, span.service)}
        for event in span.events:
            known |= {key: _text(value) for key, value in event.attributes}
        known |= {key: _text(value) for key, value in span.attributes}
        known |= {"span.kind": span.kind, "otel.status_code": "ERROR" if span.error else ""}
        known |= {"error": "true"} if span.error else {}
        return all(known.get(key) == value for key, value in tags.items())


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spread(numbers: Sequence[int]) -> list[int]:
    """The last ticks, and of those before as many, evenly spread."""
    half = _LOOKED_AT // 2
    if len(numbers) <= _LOOKED_AT:
        return list(numbers)
    early = numbers[:-half]
    return [early[place * len(early) // half] for place in range(half)] + list(numbers[-half:])
