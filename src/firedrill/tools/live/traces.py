"""The tool ``traces``: requests of a service, each with where it failed or spent its time; or one whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field

from firedrill.tools.base import Answer
from firedrill.tools.errors import Mistake
from firedrill.tools.live.base import LiveTool, Span
from firedrill.tools.live.desk import from_ms, to_ms
from firedrill.tools.resolve import near, or_else
from firedrill.tools.times import parse_span

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

_AGE_MS = 10 * 60_000
_LONGEST = timedelta(hours=12)
_DEEP = 60
_FAILED = frozenset({"true", "error", "ERROR", "STATUS_CODE_ERROR"})


class TracesParams(Span):
    """Parameters of ``traces``."""

    limit: int = Field(10, ge=1, le=100, description="Most traces (or spans of one trace).")
    service: str | None = Field(
        None,
        max_length=253,
        description="A service that wrote spans. Without it (and without trace): which services there are,"
        " and who called whom how often.",
    )
    operation: str | None = Field(None, max_length=500, description="Only traces with this operation of it.")
    errors: bool = Field(False, description="Only traces in which a span of the service failed.")
    longer_than: str | None = Field(
        None, max_length=20, description="Only those that took longer: 500ms, 2s."
    )
    tag: str | None = Field(
        None, max_length=300, description="Only those with this tag on a span: key=value, as in"
        " http.status_code=503."
    )  # fmt: skip
    trace: str | None = Field(None, max_length=64, description="The id of one trace, to see all its spans.")


@dataclass(frozen=True, slots=True)
class SpanOf:
    """One span. Times in µs."""

    ident: str
    parent: str
    service: str
    operation: str
    start: int
    duration: int
    tags: Mapping[str, str]

    @property
    def failed(self) -> bool:
        """Whether it says so, or its status does."""
        tags = self.tags
        if tags.get("error", "") in _FAILED or tags.get("otel.status_code", "") in ("ERROR",):
            return True
        code = tags.get("http.status_code") or tags.get("http.response.status_code") or ""
        grpc = tags.get("rpc.grpc.status_code") or tags.get("grpc.status_code") or "0"
        return code.startswith("5") or grpc not in ("0", "")

    @property
    def told(self) -> str:
        """What it says of how it ended."""
        names = ("http.status_code", "http.response.status_code", "rpc.grpc.status_code", "response_flags",
                 "otel.status_description", "error.message", "exception.message", "peer.address")  # fmt: skip
        return ", ".join(f"{name}={self.tags[name]}" for name in names if self.tags.get(name))


async def ask_traces(desk: Desk, params: TracesParams) -> Answer:
    """Answer a question about requests.

    Raises:
        Mistake: there is no such service, operation or trace.
    """
    if params.trace:
        return await _whole(desk, params.trace)
    if not params.service:
        return await _services(desk)
    first, last = await desk.span(params)
    if last - first > _LONGEST:
        raise Mistake("at most twelve hours at once")
    asked = {
        "service": params.service,
        "start": str(to_ms(first) * 1_000),
        "end": str(to_ms(last) * 1_000),
        "limit": str(min(params.offset + params.limit + 1, 200)),
    }
    if params.operation:
        asked["operation"] = params.operation
    if params.longer_than:
        asked["minDuration"] = f"{round(parse_span(params.longer_than).total_seconds() * 1e6)}us"
    if params.errors:
        asked["tag"] = "error:true"
    if params.tag:
        key, equals, value = params.tag.partition("=")
        if not equals:
            raise Mistake(f"`tag` is key=value, not {params.tag!r}")
        asked["tag"] = f"{key.strip()}:{value.strip()}"
    told = await desk.ask("jaeger", "/api/traces", **asked)
    traces = [_spans(one) for one in told.get("data") or ()]
    note = f"traces of {params.service} from {first:%H:%M:%S} to {last:%H:%M:%S} UTC"
    if not traces:
        return Answer(("trace",), [], (note, *await _absent(desk, params)))
    rows = [_row(spans, trace["traceID"]) for spans, trace in zip(traces, told["data"], strict=True)]
    rows.sort(key=lambda row: str(row[1]), reverse=True)
    columns = ("trace", "start", "ms", "spans", "failed", "services", "root", "where")
    return Answer(columns, rows, (note,), width=300)


def _spans(trace: Mapping[str, Any]) -> list[SpanOf]:
    names = {key: str(item.get("serviceName", "?")) for key, item in trace.get("processes", {}).items()}
    found = []
    for span in trace.get("spans", ()):
        parents = [item["spanID"] for item in span.get("references", ()) if item.get("refType") == "CHILD_OF"]
        found.append(
            SpanOf(
                str(span["spanID"]),
                str(parents[0]) if parents else "",
                names.get(span.get("processID", ""), "?"),
                str(span["operationName"]),
                int(span["startTime"]),
                int(span["duration"]),
                {
                    str(tag["key"]): str(tag["value"]).lower()
                    if isinstance(tag["value"], bool)
                    else str(tag["value"])
                    for tag in span.get("tags", ())
                },
            )
        )
    return sorted(found, key=lambda span: (span.start, span.ident))


def _row(spans: Sequence[SpanOf], ident: str) -> tuple[object, ...]:
    ids = {span.ident for span in spans}
    root = next((span for span in spans if span.parent not in ids), spans[0])
    bad = [span for span in spans if span.failed]
    services = dict.fromkeys(span.service for span in spans)
    return (
        ident,
        f"{from_ms(root.start // 1000):%H:%M:%S}",
        round(root.duration / 1000, 1),
        len(spans),
        len(bad),
        " ".join(services),
        f"{root.service}: {root.operation}",
        _where(spans, bad),
    )


def _where(spans: Sequence[SpanOf], bad: Sequence[SpanOf]) -> str:
    """The deepest span that failed; where none did, the one with the most time of its own."""
    if bad:
        parents = {span.parent for span in bad}
        deepest = [span for span in bad if span.ident not in parents] or list(bad)
        return "; ".join(
            f"failed: {span.service} {span.operation}" + (f" ({span.told})" if span.told else "")
            for span in deepest[:3]
        )
    own = {span.ident: span.duration for span in spans}
    for span in spans:
        if span.parent in own:
            own[span.parent] -= span.duration
    slow = max(spans, key=lambda span: (own[span.ident], span.ident))
    return f"{own[slow.ident] / 1000:.1f} ms in {slow.service} {slow.operation}"


async def _whole(desk: Desk, ident: str) -> Answer:
    try:
        told = await desk.ask("jaeger", f"/api/traces/{_hex(ident)}")
    except Mistake as error:
        raise Mistake(f"{error}; ids are in the answer to a call with `service`") from None
    found = told.get("data") or ()
    if not found:
        raise Mistake("there is no such trace; ids are in the answer to a call with `service`")
    spans = _spans(found[0])
    rows = []
    for depth, span in _tree(spans):
        name = f"{'  ' * depth}{span.service}: {span.operation}"
        offset = round((span.start - spans[0].start) / 1000, 1)
        rows.append((name, offset, round(span.duration / 1000, 1), span.failed, span.told))
    at = f"{from_ms(spans[0].start // 1000):%Y-%m-%dT%H:%M:%SZ}"
    return Answer(("span", "after_ms", "ms", "failed", "told"), rows, (f"began {at}",), width=300)


def _hex(ident: str) -> str:
    text = ident.strip().lower()
    if not text or any(letter not in "0123456789abcdef" for letter in text):
        raise Mistake("the id of a trace has hexadecimal digits alone")
    return text


def _tree(spans: Sequence[SpanOf]) -> Iterator[tuple[int, SpanOf]]:
    ids = {span.ident for span in spans}
    children: dict[str, list[SpanOf]] = {}
    for span in spans:
        children.setdefault(span.parent if span.parent in ids else "", []).append(span)
    todo = [(0, span) for span in reversed(children.get("", ()))]
    seen: set[str] = set()
    while todo:
        depth, span = todo.pop()
        if span.ident in seen:
            continue
        seen.add(span.ident)
        yield depth, span
        todo += [(min(depth + 1, _DEEP), child) for child in reversed(children.get(span.ident, ()))]


async def _names(desk: Desk) -> list[str]:
    names: list[str] | None = await desk.known("services", _AGE_MS)
    if names is None:
        told = await desk.ask("jaeger", "/api/services")
        names = sorted(str(name) for name in told.get("data") or ())
        await desk.learn("services", names)
    return names


async def _services(desk: Desk) -> Answer:
    names = await _names(desk)
    told = await desk.ask("jaeger", "/api/dependencies", lookback=str(3_600_000))
    rows: list[tuple[object, ...]] = [
        (item["parent"], item["child"], item["callCount"]) for item in told.get("data") or ()
    ]
    rows.sort(key=lambda row: (str(row[0]), str(row[1])))
    joined = {name for row in rows for name in row[:2]}
    rows += [(name, None, None) for name in names if name not in joined]
    return Answer(("caller", "callee", "calls"), rows, ("calls of the last hour",))


async def _absent(desk: Desk, params: TracesParams) -> list[str]:
    """What to say where no trace fits: which services and operations there are."""
    service = params.service or ""
    names = await _names(desk)
    if service not in names:
        there = f"services: {', '.join(names)}" if names else "no service wrote spans"
        return [f"no service {service!r} wrote spans{or_else(near(service, names, 3)) or ';'} {there}"]
    if params.operation:
        told = await desk.ask("jaeger", f"/api/services/{service}/operations")
        known = [str(name) for name in told.get("data") or ()]
        if params.operation not in known:
            close = or_else(near(params.operation, known, 3)) or "."
            return [f"{service} has no operation {params.operation!r}{close} Operations: {', '.join(known)}"]
    narrow = [name for name in ("operation", "errors", "longer_than", "tag") if getattr(params, name)]
    if narrow:
        return [f"none fits {' and '.join(narrow)}; without that there may be some"]
    return [f"{service} wrote spans before, and none in this time: no requests reached it, or it is down"]


TRACES = LiveTool(
    "traces",
    "Ask Jaeger for requests that went through a service: how long each took, what failed deepest down or"
    " where its time went; one trace with all spans; or who calls whom.",
    TracesParams,
    ask_traces,
)
