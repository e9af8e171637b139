"""The tool ``metrics``: a PromQL expression, looked at, asked, and condensed to a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
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
    from firedrill.world.telemetry.promql.nodes import Node

_NAMES_AGE_MS = 15 * 60_000
_POINTS = 60
"""Steps of a range, unless a call says otherwise."""
_COLUMNS = 12
"""Series whose points are shown side by side."""
_RANGE = timedelta(minutes=30)


class MetricsParams(Span):
    """Parameters of ``metrics``."""

    query: str = Field(
        "",
        max_length=8_000,
        description="A PromQL expression. Empty, with `names`: list names of metrics.",
    )
    names: str | None = Field(
        None, max_length=200, description="List the names of metrics that hold this text, instead of asking."
    )
    step: str | None = Field(
        None,
        max_length=20,
        description="Ask over the window from since to until, with this step (15s, 1m): each series becomes"
        " one row of first, least, mean, most, last. Given since alone, a fitting step is chosen.",
    )
    points: bool = Field(
        False, description="Over a window: show each point, times downwards and series side by side."
    )


async def ask_metrics(desk: Desk, params: MetricsParams) -> Answer:
    """Answer an expression.

    Raises:
        Mistake: it is none, or the server refuses it.
    """
    if params.names is not None or not params.query.strip():
        return await _listed(desk, params.names or "")
    wanted = metric_names(params.query)
    if params.step is None and params.since is None:
        return await _instant(desk, params, wanted)
    return await _range(desk, params, wanted)


def metric_names(query: str) -> tuple[str, ...]:
    """The names of the metrics that an expression selects, in order.

    Raises:
        Mistake: it is no expression; says where.
    """
    from firedrill.world.telemetry import promql

    try:
        tree = promql.parse(query)
    except (promql.PromQLError, RecursionError) as error:
        told = str(error) or "it is nested too deeply"
        raise Mistake(f"no PromQL: {told}{_pointer(query, told)}{_mend(query, told)}") from None
    return tuple(dict.fromkeys(_selected(tree)))


def _selected(node: Node) -> Iterator[str]:
    """Names in selectors, wherever they stand in the tree."""
    from firedrill.world.telemetry.promql.nodes import Node, Vector

    if isinstance(node, Vector) and node.name:
        yield node.name
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Node):
                yield from _selected(item)


def _pointer(query: str, told: str) -> str:
    line, _, rest = told.partition(":")
    column = rest.partition(":")[0]
    if not (line.isdigit() and column.isdigit()):
        return ""
    lines = query.split("\n")
    if not 0 < int(line) <= len(lines):
        return ""
    text, place = lines[int(line) - 1], int(column) - 1
    first = max(0, place - 40)
    return f"\n  {text[first : place + 40]}\n  {' ' * (place - first)}^"


def _mend(query: str, told: str) -> str:
    if "'" in query and '"' in query:
        return ""
    if "unclosed" in told or "unexpected end" in told:
        return "\nEvery bracket and quote has to be closed."
    if "SELECT" in query.upper():
        return (
            '\nThis asks in PromQL, not in SQL: METRIC{label="value"}, rate(METRIC[5m]), sum by (label) (…).'
        )
    return ""


async def _listed(desk: Desk, text: str) -> Answer:
    names = await _names(desk)
    found = [name for name in names if text.lower() in name.lower()] or near(text, names, 20)
    note = f"{len(names)} metrics in all" if text else "give `names` a text to narrow this down"
    return Answer(("metric",), [(name,) for name in found], (note,))


async def _names(desk: Desk) -> list[str]:
    names: list[str] | None = await desk.known("metrics", _NAMES_AGE_MS)
    if names is None:
        told = await desk.ask("prometheus", "/api/v1/label/__name__/values")
        names = [str(name) for name in told.get("data") or ()]
        await desk.learn("metrics", names)
    return names


async def _absent(desk: Desk, wanted: Sequence[str]) -> list[str]:
    """What to say of an empty answer: which metrics there are not, and what is called alike."""
    known = set(names := await _names(desk))
    if not known:
        return ["nothing of this cluster is in Prometheus"]
    notes = [
        f"there is no metric {name!r}{or_else(near(name, names, 5)) or '.'}"
        for name in wanted
        if name not in known
    ]
    if not notes and wanted:
        notes.append("the metrics exist, and no series of them fits: look at labels with `NAME` alone")
    return notes


async def _instant(desk: Desk, params: MetricsParams, wanted: Sequence[str]) -> Answer:
    more = {}
    if params.until:
        _, last = await desk.span(params)
        more = {"time": f"{to_ms(last) / 1000:.3f}"}
    told = await desk.ask("prometheus", "/api/v1/query", query=params.query, **more)
    notes = _said(told)
    data = told["data"]
    if data["resultType"] in ("scalar", "string"):
        return Answer(("value",), [(_number(data["result"][1]),)], tuple(notes))
    if data["resultType"] == "matrix":
        return _summary(data["result"], notes)
    if not data["result"]:
        return Answer(("value",), [], (*notes, *await _absent(desk, wanted)))
    labels, same = _labels([item["metric"] for item in data["result"]])
    rows = [
        (*(item["metric"].get(name, "") for name in labels), _number(item["value"][1]))
        for item in data["result"]
    ]
    rows.sort(key=lambda row: -row[-1] if isinstance(row[-1], float) else math.inf)
    return Answer((*labels, "value"), rows, (*notes, *same))


async def _range(desk: Desk, params: MetricsParams, wanted: Sequence[str]) -> Answer:
    first, last = await desk.span(params, _RANGE)
    length = (last - first).total_seconds()
    step = parse_span(params.step).total_seconds() if params.step else max(15.0, length // _POINTS)
    if step <= 0 or length / step > 2_000:
        raise Mistake(f"a step of {step:g} s over {length:g} s gives too many points; at most 2000")
    told = await desk.ask(
        "prometheus",
        "/api/v1/query_range",
        query=params.query,
        start=f"{to_ms(first) / 1000:.3f}",
        end=f"{to_ms(last) / 1000:.3f}",
        step=f"{step:g}",
    )
    notes = [f"from {first:%H:%M:%S} to {last:%H:%M:%S} UTC, every {step:g} s", *_said(told)]
    found = told["data"]["result"]
    if not found:
        return Answer(("value",), [], (*notes, *await _absent(desk, wanted)))
    return _side_by_side(found, notes) if params.points else _summary(found, notes)


def _summary(found: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> Answer:
    labels, same = _labels([item["metric"] for item in found])
    rows = []
    for item in found:
        values = [float(text) for _, text in item["values"]]
        finite = [value for value in values if math.isfinite(value)]
        named = [item["metric"].get(name, "") for name in labels]
        if not finite:
            rows.append((*named, len(values), None, None, None, None, None, ""))
            continue
        most = max(finite)
        at = next(stamp for stamp, text in item["values"] if float(text) == most)
        rows.append(
            (
                *named,
                len(values),
                _number(finite[0]),
                _number(min(finite)),
                _number(sum(finite) / len(finite)),
                _number(most),
                _number(finite[-1]),
                f"{from_ms(round(float(at) * 1000)):%H:%M:%S}",
            )
        )
    columns = (*labels, "points", "first", "least", "mean", "most", "last", "most_at")
    return Answer(columns, rows, (*notes, *same))


def _side_by_side(found: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> Answer:
    labels, same = _labels([item["metric"] for item in found])
    shown = found[:_COLUMNS]
    short = _telling(labels, [item["metric"] for item in shown])
    names = [" ".join(str(item["metric"].get(name, "-")) for name in short) or "value" for item in shown]
    series = [{float(at): _number(text) for at, text in item["values"]} for item in shown]
    moments = sorted({at for points in series for at in points})
    rows = [
        (f"{from_ms(round(at * 1000)):%H:%M:%S}", *(points.get(at) for points in series)) for at in moments
    ]
    left = [f"{len(found) - _COLUMNS} further series are left out"] if len(found) > _COLUMNS else []
    return Answer(("time", *names), rows, (*notes, *same, *left))


def _labels(found: Sequence[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    """The labels that tell series apart, and a note on those that all share."""
    names = sorted({name for one in found for name in one})
    values = {name: {one.get(name, "") for one in found} for name in names}
    apart = [name for name in names if len(values[name]) > 1]
    if len(found) > 1:
        shared = {name: next(iter(values[name])) for name in names if name not in apart}
    else:
        apart = [name for name in names if name not in ("__name__", "instance", "job")]
        shared = {name: next(iter(values[name])) for name in names if name not in apart}
    note = ", ".join(f"{name}={value}" for name, value in shared.items())
    return apart, [f"all have {note}"] if note else []


def _telling(labels: Sequence[str], found: Sequence[Mapping[str, str]]) -> Sequence[str]:
    """One label that tells series apart, where there is one; a pod or a service before others."""
    ordered = sorted(labels, key=lambda name: (name not in ("pod", "service_name", "service"), name))
    for name in ordered:
        if len({one.get(name) for one in found}) == len(found):
            return [name]
    return labels


def _number(value: object) -> float | str:
    number = float(str(value))
    return float(f"{number:.6g}") if math.isfinite(number) else str(value)


def _said(told: Mapping[str, Any]) -> list[str]:
    return [str(text) for kind in ("warnings", "infos") for text in told.get(kind) or ()][:5]


METRICS = LiveTool(
    "metrics",
    "Ask Prometheus: a PromQL expression now, or over a window. A slip of the pen is pointed out before it"
    " is sent; names of metrics that there are not are answered with the nearest.",
    MetricsParams,
    ask_metrics,
)
