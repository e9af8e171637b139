"""Traces as Jaeger's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firedrill.world.telemetry.traces import Describer, Link, Span, Trace

Value = str | int | bool


def structured(data: Any, total: int = 0) -> dict[str, Any]:
    """An answer as the interface expects it."""
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": None}


def refused(code: int, message: str) -> dict[str, Any]:
    """A refusal."""
    return {**structured(None), "errors": [{"code": code, "msg": message}]}


def trace(found: Trace, describer: Describer) -> dict[str, Any]:
    """One trace; programs are listed apart, in the order in which they appear."""
    processes: dict[tuple[str, int], str] = {}
    spans = [
        _span(span, processes.setdefault((span.service, span.pod), f"p{len(processes) + 1}"))
        for span in found.spans
    ]
    told = {}
    for (service, pod), name in processes.items():
        tags = [pair for pair in describer.resource(found.tick, pod, service) if pair[0] != "service.name"]
        told[name] = {"serviceName": service, "tags": [_tag(*pair) for pair in tags]}
    return {"traceID": found.trace_id, "spans": spans, "processes": told, "warnings": None}


def _span(span: Span, process: str) -> dict[str, Any]:
    references = []
    if span.parent_id:
        references.append({"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id})
    tags = [_tag("otel.scope.name", span.scope), *(_tag(*pair) for pair in span.attributes)]
    tags.append(_tag("span.kind", span.kind))
    if span.error:
        tags += [_tag("otel.status_code", "ERROR"), _tag("error", True)]
        if span.message:
            tags.append(_tag("otel.status_description", span.message))
    logs = [
        {
            "timestamp": event.at,
            "fields": [_tag("event", event.name), *(_tag(*pair) for pair in event.attributes)],
        }
        for event in span.events
    ]
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start,
        "duration": span.duration,
        "tags": tags,
        "logs": logs,
        "processID": process,
        "warnings": None,
    }


def _tag(key: str, value: Value) -> dict[str, Any]:
    kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "string"
    return {"key": key, "type": kind, "value": value}


def links(found: Sequence[Link]) -> list[dict[str, Any]]:
    """Who calls whom."""
    return [{"parent": item.parent, "child": item.child, "callCount": item.calls} for item in found]


def otlp(found: Sequence[Trace], describer: Describer) -> dict[str, Any]:
    """Traces in OpenTelemetry's own JSON, as the third version of the API has them."""
    out = []
    for one in found:
        groups: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}
        for span in one.spans:
            scopes = groups.setdefault((span.service, span.pod), {})
            scopes.setdefault(span.scope, []).append(_otlp_span(span))
        for (service, pod), scopes in groups.items():
            attributes = [_otlp_pair(*pair) for pair in describer.resource(one.tick, pod, service)]
            spans = [{"scope": {"name": scope}, "spans": spans} for scope, spans in scopes.items()]
            out.append({"resource": {"attributes": attributes}, "scopeSpans": spans})
    return {"result": {"resourceSpans": out}}


_KINDS = {"server": 2, "client": 3, "producer": 4, "consumer": 5}


def _otlp_span(span: Span) -> dict[str, Any]:
    out: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start * 1000),
        "endTimeUnixNano": str((span.start + span.duration) * 1000),
        "attributes": [_otlp_pair(*pair) for pair in span.attributes],
        "status": {"message": span.message, "code": 2} if span.error else {},
    }
    if span.events:
        out["events"] = [
            {
                "timeUnixNano": str(event.at * 1000),
                "name": event.name,
                "attributes": [_otlp_pair(*pair) for pair in event.attributes],
            }
            for event in span.events
        ]
    return out


def _otlp_pair(key: str, value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    return {
        "key": key,
        "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
    }
