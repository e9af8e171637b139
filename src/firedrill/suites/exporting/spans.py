"""`otel_traces_raw.tsv`: spans gathered as numbers, and written with the texts that these stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from firedrill.snapshot.columns import TRACE_COLUMNS
from firedrill.suites.exporting.columns import (
    beside,
    cut,
    encoded,
    hexadecimal,
    picked,
    stamps,
    write_lines,
)
from firedrill.suites.exporting.texts import Numbered, attributes, cells
from firedrill.world.telemetry.traces import Describer, Sampling, make_spans
from firedrill.world.telemetry.traces.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from firedrill.world.telemetry.traces import Pod, Requests, Spans, Tick

_NO_LINKS = "\t[]\t[]\t[]\t[]"
_NO_EVENTS = "\t[]\t[]\t[]"

Ending = tuple[Failure, bool]
"""What went wrong, and whether the span has it as an exception."""


class _Columns(NamedTuple):
    """Of spans; moments and durations in µs."""

    at: NDArray[Any]
    high: NDArray[Any]
    low: NDArray[Any]
    span: NDArray[Any]
    parent: NDArray[Any]
    lasted: NDArray[Any]
    code: NDArray[Any]
    source: NDArray[Any]
    end: NDArray[Any]

    def take(self, order: NDArray[np.intp]) -> _Columns:
        """In another order."""
        return _Columns(*(column[order] for column in self))


class SpanTable:
    """The spans of some ticks.

    Args:
        requests: of the world.
        start, end: only spans that begin in [start, end) ms.
        share: of traces that are kept, 0 to 1; whole ones.
    """

    def __init__(self, requests: Requests, start: int, end: int, share: float) -> None:
        self._requests = requests
        self._window = (start * 1000, end * 1000)
        self._sampling = Sampling(rate=share)
        self._describer = Describer(requests.names)
        self._sources: Numbered[tuple[int, str, str]] = Numbered()
        self._resources: dict[tuple[int, str, str], str] = {}
        self._ends: Numbered[Ending | None] = Numbered()
        self._ends.number(None)
        self._parts: list[_Columns] = []
        self._known: tuple[Sequence[Pod], NDArray[np.int64]] | None = None

    def add(self, tick: Tick) -> None:
        """Take in the spans of a tick."""
        spans = make_spans(self._requests.names, tick, self._requests.seed, self._sampling)
        low, high = self._window
        inside = np.flatnonzero((spans.start >= low) & (spans.start < high))
        if len(inside) < len(spans):
            spans = spans.take(inside)
        if not len(spans):
            return
        self._parts.append(
            _Columns(
                spans.start,
                spans.trace_high,
                spans.trace_low,
                spans.id,
                spans.parent,
                spans.duration,
                self._describer.codes(spans),
                self._sourced(spans),
                self._ended(spans),
            )
        )

    def _sourced(self, spans: Spans) -> NDArray[np.int64]:
        """The number of what made each span: a pod and the service that it is."""
        services = len(self._requests.names.services)
        keys = (spans.pod.astype(np.int64) + 1) * services + spans.service
        pods = spans.tick.pods
        if self._known is None or self._known[0] is not pods:
            self._known = pods, np.full((len(pods) + 1) * services, -1, np.int64)
        known = self._known[1]
        new = keys[known[keys] < 0]
        for key in np.unique(new).tolist() if len(new) else ():
            pod, service = divmod(key, services)
            known[key] = self._source(spans.tick, pod - 1, service)
        out: NDArray[np.int64] = known[keys]
        return out

    def _source(self, tick: Tick, pod: int, service: int) -> int:
        known: Pod | None = tick.pods[pod] if 0 <= pod < len(tick.pods) else None
        key = (service, known.uid, known.container) if known is not None else (service, "", "")
        if key not in self._resources:
            name = self._requests.names.services[service].name
            found = attributes(self._describer.resource(tick, pod, name))
            self._resources[key] = cells(name, found)
        return self._sources.number(key)

    def _ended(self, spans: Spans) -> NDArray[np.int32]:
        """The number of how each span ended."""
        out = np.zeros(len(spans), np.int32)
        failed = np.flatnonzero(spans.kind)
        if len(failed):
            ending = self._describer.ending
            out[failed] = [self._ends.number(ending(spans, place)) for place in failed.tolist()]
        return out

    def write(self, path: Path) -> int:
        """Write the table; returns the number of spans. Without spans there is no file."""
        if not self._parts:
            return 0
        found = _Columns(*map(np.concatenate, zip(*self._parts, strict=True)))
        self._parts.clear()
        found = found.take(np.lexsort((found.span, found.low, found.high, found.at)))
        begun = stamps(found.at * 1000)
        ids = (hexadecimal(found.high), hexadecimal(found.low), b"\t", hexadecimal(found.span), b"\t")
        columns: list[Sequence[bytes]] = [
            beside(begun, b"\t", *ids),
            _parents(found.parent),
            self._described(found),
            [b"%d000" % lasted for lasted in found.lasted.tolist()],
            _endings(found, self._ends.ordered()),
        ]
        write_lines(path, TRACE_COLUMNS, columns)
        return len(found.at)

    def _described(self, found: _Columns) -> list[bytes]:
        """From the state of the trace to what is before the duration, for each span."""
        codes, code = np.unique(found.code, return_inverse=True)
        count = len(self._sources)
        pairs, pair = np.unique(code * count + found.source, return_inverse=True)
        coded = [self._describer.coded(number) for number in codes.tolist()]
        what = [cells("", name, kind.capitalize()) for name, kind, _, _ in coded]
        how = [cells(scope, "", attributes(made)) for _, _, scope, made in coded]
        who = [self._resources[key] for key in self._sources.ordered()]
        texts = []
        for number in pairs.tolist():
            one, source = divmod(number, count)
            texts.append(f"\t{what[one]}\t{who[source]}\t{how[one]}\t")
        return picked(encoded(texts), pair)


def _parents(words: NDArray[np.uint64]) -> list[bytes]:
    texts = cut(hexadecimal(words))
    for place in np.flatnonzero(words == 0).tolist():
        texts[place] = b""
    return texts


def _endings(found: _Columns, keys: list[Ending | None]) -> list[bytes]:
    """From the status to the end of the line, for each span."""
    plain: list[str] = []
    events: dict[int, tuple[bytes, ...]] = {}
    for number, key in enumerate(keys):
        status = cells("Unset", "") if key is None else cells("Error", key[0].message)
        plain.append(f"\t{status}{_NO_EVENTS}{_NO_LINKS}\n")
        if key is not None and key[1]:
            failure = key[0]
            told = {
                "exception.type": failure.type,
                "exception.message": failure.message,
                "exception.stacktrace": "\n".join(failure.stack),
            }
            told_so = cells(["exception"], [told])
            around = f"\t{status}\t[Timestamp('", f"')]\t{told_so}{_NO_LINKS}\n"
            events[number] = tuple(encoded(around))
    out = picked(encoded(plain), found.end)
    thrown = np.flatnonzero(np.isin(found.end, list(events)))
    moments = cut(stamps((found.at[thrown] + found.lasted[thrown]) * 1000, 6))
    for place, number, moment in zip(thrown.tolist(), found.end[thrown].tolist(), moments, strict=True):
        before, behind = events[number]
        out[place] = before + moment.removesuffix(b".000000") + behind
    return out
