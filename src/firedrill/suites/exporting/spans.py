"""`otel_traces_raw.tsv`: spans gathered as columns of numbers, and written by joining them with texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firedrill.snapshot.columns import TRACE_COLUMNS
from firedrill.suites.exporting.texts import Numbered, attributes, cells
from firedrill.world.telemetry.traces import Describer, Sampling, make_spans
from firedrill.world.telemetry.traces.failures import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firedrill.suites.exporting.database import Database
    from firedrill.world.telemetry.traces import Pod, Requests, Spans, Tick

_COLUMNS = ("at", "high", "low", "span", "parent", "lasted", "code", "source", "end_code")
_NO_LINKS = "\t[]\t[]\t[]\t[]"
_LINES = """
select strftime(make_timestamp(s.at), '%Y-%m-%d %H:%M:%S.%f') || '000' || chr(9)
    || printf('%016x%016x', s.high, s.low) || chr(9) || printf('%016x', s.span) || chr(9)
    || case when s.parent = 0 then '' else printf('%016x', s.parent) end || chr(9) || chr(9)
    || c.what || chr(9) || p.who || chr(9) || c.how || chr(9) || s.lasted || '000' || chr(9)
    || e.status || chr(9)
    || case when coalesce(e.events, '') = '' then '[]' || chr(9) || '[]' || chr(9) || '[]' else
        '[Timestamp(''' ||
        replace(strftime(make_timestamp(s.at + s.lasted), '%Y-%m-%d %H:%M:%S.%f'), '.000000', '')
        || ''')]' || chr(9) || e.events end
    || e.links as line
from spans s join codes c on s.code = c.id join sources p on s.source = p.id join ends e on s.end_code = e.id
order by s.at, s.high, s.low, s.span
"""

Ending = tuple[Failure, bool]
"""What went wrong, and whether the span has it as an exception."""


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
        self._codes: Numbered[int] = Numbered()
        self._sources: Numbered[tuple[int, str, str]] = Numbered()
        self._resources: dict[tuple[int, str, str], str] = {}
        self._ends: Numbered[Ending | None] = Numbered()
        self._ends.number(None)
        self._parts: list[tuple[NDArray[Any], ...]] = []

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
            (
                spans.start,
                spans.trace_high,
                spans.trace_low,
                spans.id,
                spans.parent,
                spans.duration,
                self._numbered(self._describer.codes(spans)),
                self._sourced(spans),
                self._ended(spans),
            )
        )

    def _numbered(self, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        found, back = np.unique(codes, return_inverse=True)
        mine = np.array([self._codes.number(code) for code in found.tolist()], np.int32)
        return mine[back]

    def _sourced(self, spans: Spans) -> NDArray[np.int32]:
        """The number of what made each span: a pod and the service that it is."""
        services = len(self._requests.names.services)
        keys = (spans.pod.astype(np.int64) + 1) * services + spans.service
        found, back = np.unique(keys, return_inverse=True)
        mine = []
        for key in found.tolist():
            pod, service = divmod(key, services)
            mine.append(self._source(spans.tick, pod - 1, service))
        return np.array(mine, np.int32)[back]

    def _source(self, tick: Tick, pod: int, service: int) -> int:
        name = self._requests.names.services[service].name
        known: Pod | None = tick.pods[pod] if 0 <= pod < len(tick.pods) else None
        key = (service, known.uid, known.container) if known is not None else (service, "", "")
        if key not in self._resources:
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

    def write(self, database: Database, path: Path) -> int:
        """Write the table; returns the number of spans. Without spans there is no file."""
        if not self._parts:
            return 0
        columns = dict(zip(_COLUMNS, map(np.concatenate, zip(*self._parts, strict=True)), strict=True))
        self._parts.clear()
        database.numbers("spans", columns)
        what, how = [], []
        for code in self._codes.ordered():
            name, kind, scope, found = self._describer.coded(code)
            what.append(cells(name, kind.capitalize()))
            how.append(cells(scope, "", attributes(found)))
        database.texts("codes", {"what": what, "how": how})
        database.texts("sources", {"who": [self._resources[key] for key in self._sources.ordered()]})
        database.texts("ends", _endings(self._ends.ordered()))
        database.write(path, TRACE_COLUMNS, _LINES)
        return len(columns["at"])


def _endings(keys: list[Ending | None]) -> Mapping[str, list[str]]:
    status, events = [], []
    for key in keys:
        if key is None:
            status.append(cells("Unset", ""))
            events.append("")
            continue
        failure, thrown = key
        status.append(cells("Error", failure.message))
        told = {
            "exception.type": failure.type,
            "exception.message": failure.message,
            "exception.stacktrace": "\n".join(failure.stack),
        }
        events.append(cells(["exception"], [told]) if thrown else "")
    return {"status": status, "events": events, "links": [_NO_LINKS] * len(keys)}
