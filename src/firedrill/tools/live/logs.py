"""The tool ``logs``: lines by workload and pattern, or by LogQL; many alike lines become one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from firedrill.tools.base import Answer
from firedrill.tools.errors import Mistake
from firedrill.tools.live.base import LiveTool, Span
from firedrill.tools.live.desk import from_ms, to_ms
from firedrill.tools.mining import Masker, merge
from firedrill.tools.resolve import near, or_else

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

_MOST = 1_000
"""Lines that are asked for at once, the newest."""
_AGE_MS = 10 * 60_000
_LABELS = ("namespace", "app", "container", "service_name")


class LogsParams(Span):
    """Parameters of ``logs``."""

    limit: int = Field(50, ge=1, le=1000, description="Most rows to return.")
    query: str | None = Field(
        None, max_length=8_000, description='LogQL, as in {namespace="shop",app="cart"} |~ "timeout".'
    )
    workload: str | None = Field(
        None, max_length=253, description="Instead: a workload, pod or app, by its name without a kind."
    )
    namespace: str | None = Field(
        None, max_length=253, description="With workload; by default the application's namespace."
    )
    container: str | None = Field(None, max_length=253, description="With workload: only this container.")
    pattern: str | None = Field(
        None, max_length=500, description="With workload: only lines that match this regular expression."
    )
    level: Literal["error", "warn", "info", "debug"] | None = Field(
        None, description="With workload: only lines of this level (as Loki detected it)."
    )
    show: Literal["lines", "patterns"] = Field(
        "lines",
        description="lines: the newest first. patterns: lines that say the same with other numbers are"
        " counted together, with the first and last time and an example.",
    )


async def ask_logs(desk: Desk, params: LogsParams) -> Answer:
    """Answer a query.

    Raises:
        Mistake: it is none, or the server refuses it.
    """
    query = params.query or _built(desk, params)
    kind = _kind(query)
    first, last = await desk.span(params)
    if kind == "metric":
        return await _numbers(desk, query, first, last)
    told = await desk.ask(
        "loki",
        "/loki/api/v1/query_range",
        query=query,
        start=str(to_ms(first) * 1_000_000),
        end=str(to_ms(last) * 1_000_000 + 1),
        limit=str(_MOST),
    )
    lines = _lines(told["data"]["result"])
    notes = [f"{query}, from {first:%H:%M:%S} to {last:%H:%M:%S} UTC"]
    if not lines:
        return Answer(("time",), [], (*notes, *await _absent(desk, query, first)))
    if len(lines) >= _MOST:
        notes.append(f"the newest {_MOST} lines: for older ones set until, or ask for fewer")
    if params.show == "patterns":
        return Answer(("count", "first", "last", "pod", "level", "example"), _patterns(lines), tuple(notes))
    rows = [(_clock(at), labels.get("pod", ""), _level(labels), text) for at, labels, text in lines]
    return Answer(("time", "pod", "level", "line"), rows, tuple(notes), width=600)


def _built(desk: Desk, params: LogsParams) -> str:
    """LogQL for a workload and a pattern."""
    namespace = params.namespace or desk.site.namespace
    if "/" in (params.workload or ""):
        kind = params.workload.rpartition("/")[2]  # type: ignore[union-attr]  # it holds a slash
        raise Mistake(f"`workload` is a name alone: write {kind!r}, and its namespace in `namespace`")
    parts = [f'namespace="{_quoted(namespace)}"']
    if params.workload:
        parts.append(f'pod=~"{_quoted(re.escape(params.workload))}(-.+)?"')
    if params.container:
        parts.append(f'container="{_quoted(params.container)}"')
    stages = []
    if params.pattern:
        stages.append(f'|~ "{_quoted(params.pattern)}"')
    if params.level:
        stages.append(f'| detected_level="{params.level}"')
    return " ".join([f"{{{', '.join(parts)}}}", *stages])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _kind(query: str) -> Literal["lines", "metric"]:
    """Whether a query asks for lines or numbers.

    Raises:
        Mistake: it is no LogQL; says where.
    """
    from firedrill.world.telemetry.logs.logql import LogQLError, parse
    from firedrill.world.telemetry.logs.logql.nodes import Selector

    try:
        tree = parse(query)
    except (LogQLError, RecursionError) as error:
        mend = "" if query.lstrip().startswith(("{", "(")) or "(" in query else (
            '; a query begins with labels in braces, as in {namespace="shop"} |= "error"'
        )  # fmt: skip
        raise Mistake(f"no LogQL: {str(error) or 'it is nested too deeply'}{mend}") from None
    return "lines" if isinstance(tree, Selector) else "metric"


Line = tuple[int, Mapping[str, str], str]
"""Time in ns, labels of the stream, text."""


def _lines(streams: Sequence[Mapping[str, Any]]) -> list[Line]:
    """All lines, newest first."""
    found = [(int(at), stream["stream"], text) for stream in streams for at, text, *_ in stream["values"]]
    found.sort(key=lambda line: (-line[0], line[1].get("pod", ""), line[2]))
    return found


def _patterns(lines: Sequence[Line]) -> list[tuple[object, ...]]:
    masker = Masker()
    masked = [(labels.get("app", ""), masker.mask(text)) for _, labels, text in lines]
    templates = merge(dict.fromkeys(masked))
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line, key in zip(lines, masked, strict=True):
        groups.setdefault((key[0], templates[key], _level(line[1])), []).append(line)
    rows: list[tuple[object, ...]] = []
    for (_, _, level), found in groups.items():
        pods = {labels.get("pod", "") for _, labels, _ in found}
        pod = next(iter(pods)) if len(pods) == 1 else f"{len(pods)} pods of {found[0][1].get('app', '?')}"
        rows.append((len(found), _clock(found[-1][0]), _clock(found[0][0]), pod, level, found[0][2]))
    rows.sort(key=lambda row: (-int(str(row[0])), str(row[5])))
    return rows


def _level(labels: Mapping[str, str]) -> str:
    return labels.get("detected_level") or labels.get("level") or ""


def _clock(ns: int) -> str:
    at: datetime = from_ms(ns // 1_000_000)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


async def _numbers(desk: Desk, query: str, first: datetime, last: datetime) -> Answer:
    """The value of a metric query at the end of the window."""
    told = await desk.ask("loki", "/loki/api/v1/query", query=query, time=str(to_ms(last) * 1_000_000))
    data = told["data"]
    if data["resultType"] == "scalar":
        return Answer(("value",), [(float(data["result"][1]),)])
    found = data["result"]
    names = sorted({name for item in found for name in item["metric"]})
    rows = [(*(item["metric"].get(name, "") for name in names), float(item["value"][1])) for item in found]
    rows.sort(key=lambda row: -float(str(row[-1])))
    return Answer((*names, "value"), rows, (f"at {last:%H:%M:%S} UTC; ranges are those of the query",))


async def _absent(desk: Desk, query: str, first: datetime) -> list[str]:
    """What to say where there are no lines: which label values there are not."""
    from firedrill.world.telemetry.logs.logql import parse
    from firedrill.world.telemetry.logs.logql.nodes import Selector

    tree = parse(query)
    assert isinstance(tree, Selector)
    names: Mapping[str, list[str]] | None = await desk.known("labels", _AGE_MS)
    if names is None:
        told = await desk.ask("loki", "/loki/api/v1/series", start=str(to_ms(first) * 1_000_000))
        values: dict[str, set[str]] = {}
        for labels in told.get("data") or ():
            for key, value in labels.items():
                values.setdefault(key, set()).add(value)
        names = {key: sorted(found) for key, found in sorted(values.items())}
        await desk.learn("labels", names)
    if not names:
        return ["nothing of this cluster is in Loki"]
    notes = []
    for matcher in tree.matchers:
        there = names.get(matcher.name)
        if there is None:
            notes.append(f"no stream has the label {matcher.name!r}; labels: {', '.join(names)}")
        elif str(getattr(matcher, "op", "=")) == "=" and matcher.value not in there:
            shown = f" There are: {', '.join(there[:20])}" if len(there) <= 20 else ""
            close = or_else(near(matcher.value, there, 4)) or "."
            notes.append(f"no stream has {matcher.name}={matcher.value!r}{close}{shown}")
    return notes or ["there are such streams, and no line of them fits in this time"]


LOGS = LiveTool(
    "logs",
    "Ask Loki for log lines of a workload, by a pattern or level, or with LogQL; with show=patterns the lines"
    " are counted by what they say.",
    LogsParams,
    ask_logs,
)
