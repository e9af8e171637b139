"""Traces of a world: spans that are made of the traffic's requests when somebody looks at them."""

from firedrill.world.telemetry.traces.describe import Describer
from firedrill.world.telemetry.traces.fixed import Fixed, Table, table
from firedrill.world.telemetry.traces.requests import (
    Call,
    Names,
    Operation,
    Pod,
    Requests,
    Rows,
    Service,
    Tick,
)
from firedrill.world.telemetry.traces.spans import Event, Sampling, Span, Spans, make_spans
from firedrill.world.telemetry.traces.store import Link, Search, Trace, Traces

__all__ = [
    "Call",
    "Describer",
    "Event",
    "Fixed",
    "Link",
    "Names",
    "Operation",
    "Pod",
    "Requests",
    "Rows",
    "Sampling",
    "Search",
    "Service",
    "Span",
    "Spans",
    "Table",
    "Tick",
    "Trace",
    "Traces",
    "make_spans",
    "table",
]
