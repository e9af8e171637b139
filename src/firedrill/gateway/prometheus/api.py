"""The HTTP API of Prometheus over a world's series and rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from firedrill.gateway.prometheus import views
from firedrill.gateway.prometheus.params import FAR_MS, LONGEST_FORM, Params, Refused, bad, known, of_query
from firedrill.world.telemetry import promql
from firedrill.world.telemetry.labels import NAME, Labels
from firedrill.world.telemetry.promql.aggregation import is_label
from firedrill.world.telemetry.promql.engine import steps_of
from firedrill.world.telemetry.promql.printer import pretty

if TYPE_CHECKING:
    from firedrill.gateway.prometheus.source import Watched

VERSION = "2.53.3"
_FREE = frozenset({"status/buildinfo", "status/flags"})
"""What clients ask of any server; it takes no time."""
Handler = Callable[["Watched", Params, Request], Any]


def prometheus_app(watched: Watched) -> Starlette:
    """The API as an ASGI application: `/api/v1/…`, `/-/healthy` and `/-/ready`."""
    routes = [
        Route(f"/api/v1/{path}", _endpoint(watched, handler, free=path in _FREE), methods=methods)
        for path, handler, methods in _ROUTES
    ]
    routes += [Route(f"/-/{word}", _well(word), methods=["GET"]) for word in ("healthy", "ready")]
    return Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _not_so})


def _well(word: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return PlainTextResponse(f"Prometheus Server is {word.capitalize()}.\n")

    return answer


async def _nowhere(_: Request, __: Exception) -> Response:
    return PlainTextResponse("404 page not found\n", 404)


async def _not_so(_: Request, __: Exception) -> Response:
    return PlainTextResponse("Method Not Allowed\n", 405)


def _endpoint(watched: Watched, handler: Handler, *, free: bool) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            # the form comes before the address, as in Go
            params = Params(await _form(request), str(request.url.query))
            watched.refresh(free=free)
            found = handler(watched, params, request)
        except Refused as error:
            content = {"status": "error", "errorType": error.kind, "error": error.text}
            return _json(content, error.status)
        except promql.PromQLError as error:
            refusal = of_query(error)
            return _json(
                {"status": "error", "errorType": refusal.kind, "error": refusal.text}, refusal.status
            )
        if isinstance(found, _Hinted):
            return _json({"status": "success", "data": found.data, **found.hints}, 200)
        return _json({"status": "success", "data": found}, 200)

    return answer


@dataclass(frozen=True, slots=True)
class _Hinted:
    """Data, and remarks on the query that gave it."""

    data: Any
    hints: dict[str, list[str]]


def _hinted(data: Any, hints: promql.Hints, options: promql.Options) -> _Hinted:
    if options.hints == "none":
        return _Hinted(data, {})
    if options.hints == "mixed":
        kinds = {"warnings": [*hints.warnings, *hints.infos]}
    else:
        kinds = {"warnings": list(hints.warnings), "infos": list(hints.infos)}
    return _Hinted(data, {kind: sorted(texts)[:10] for kind, texts in kinds.items() if texts})


def _json(content: Any, status: int) -> Response:
    # a label may hold half of a surrogate pair, which orjson refuses
    try:
        body = orjson.dumps(content)
    except TypeError:
        import json

        body = json.dumps(content).encode()
    return Response(body, status, media_type="application/json")


async def _form(request: Request) -> str:
    if request.method != "POST":
        return ""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LONGEST_FORM:
                raise bad("error parsing form values: http: POST too large")
    except ClientDisconnect:
        return ""
    return body.decode("utf-8", "replace") if kind == "application/x-www-form-urlencoded" else ""


# --- queries


def _options(watched: Watched, params: Params) -> promql.Options:
    options = watched.monitoring.rules.options
    if params.get("timeout"):
        params.length("timeout")
    if params.get("lookback_delta"):
        try:
            delta = params.length("lookback_delta")
        except Refused as error:
            told = error.text.partition(": ")[2]
            raise bad(f"error parsing lookback delta duration: {told}") from None
        if delta > 0:
            options = replace(options, lookback_ms=delta)
    return options


def _query(watched: Watched, params: Params, _: Request) -> Any:
    at = params.moment("time", watched.now_ms)
    options = _options(watched, params)
    text, store = params.get("query"), watched.monitoring.store
    hints = promql.Hints(text)
    found = views.answer(promql.instant(store, text, at, options, hints=hints))
    limit = params.limit()
    if limit and isinstance(found["result"], list) and found["resultType"] in {"vector", "matrix"}:
        found["result"] = found["result"][:limit]
    return _hinted(found, hints, options)


def _query_range(watched: Watched, params: Params, _: Request) -> Any:
    start, end = params.moment("start"), params.moment("end")
    if end < start:
        raise bad("end timestamp must not be before start time", "end")
    step = params.length("step")
    if step <= 0:
        text = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise bad(text, "step")
    steps_of(start, end, step)
    options = _options(watched, params)
    text, store = params.get("query"), watched.monitoring.store
    hints = promql.Hints(text)
    found = promql.over_range(store, text, start, end, step, options, hints)
    return _hinted(views.answer(found), hints, options)


def _format(_: Watched, params: Params, __: Request) -> Any:
    return pretty(promql.parse(params.get("query")))


# --- series


def _found(watched: Watched, params: Params, *, needed: bool) -> Iterable[Labels]:
    """Labels of the series that match and have samples in the time asked for."""
    store = watched.monitoring.store
    start, end = params.moment("start", -FAR_MS), params.moment("end", FAR_MS)
    asked = params.matchers()
    if not asked and needed:
        raise bad("no match[] parameter provided")
    whole = start <= -FAR_MS and end >= FAR_MS
    if not asked and whole:
        return [store.labels(number) for number in store.numbers(None)]
    seen: dict[Labels, None] = {}
    for matchers in asked or [()]:
        for labels in store.present(matchers, start, end):
            seen[labels] = None
    return seen


def _cut(items: list[Any], limit: int) -> list[Any]:
    return items[:limit] if limit else items


def _series(watched: Watched, params: Params, _: Request) -> Any:
    limit = params.limit()
    return _cut([dict(labels) for labels in sorted(_found(watched, params, needed=True))], limit)


def _labels(watched: Watched, params: Params, _: Request) -> Any:
    limit = params.limit()
    return _cut(sorted({key for one in _found(watched, params, needed=False) for key, _ in one}), limit)


def _values(watched: Watched, params: Params, request: Request) -> Any:
    name = request.path_params["name"]
    if not is_label(name):
        raise bad(f'invalid label name: "{name}"')
    limit = params.limit()
    found = {value for one in _found(watched, params, needed=False) for key, value in one if key == name}
    return _cut(sorted(found), limit)


def _metadata(watched: Watched, params: Params, _: Request) -> Any:
    text = params.get("limit")
    if text and not text.lstrip("-").isdecimal():
        raise bad("limit must be a number")
    limit, wanted = int(text or -1), params.get("metric")
    about = watched.monitoring.store.about()
    names = [wanted] if wanted else list(about)
    out = {}
    for name in names if limit < 0 else names[:limit]:
        if name in about:
            kind, words = about[name]
            out[name] = [{"type": kind, "help": words, "unit": ""}]
    return out


# --- rules and targets


def _rules(watched: Watched, params: Params, _: Request) -> Any:
    watch = watched.monitoring
    kind = known(params, "type", {"alert": "alert", "record": "record", "": ""})
    names, groups = params.all("rule_name[]"), params.all("rule_group[]")
    files, quiet = params.all("file[]"), params.get("exclude_alerts").lower() in {"1", "t", "true"}
    out = []
    for number, group in enumerate(watch.rules.groups):
        if (groups and group.name not in groups) or (files and group.file not in files):
            continue
        rules = [
            views.rule(watch, (number, index), rule, alerts=not quiet)
            for index, rule in enumerate(group.rules)
            if (not kind or bool(rule.alert) is (kind == "alert")) and (not names or rule.name in names)
        ]
        if rules or not (names or kind):
            out.append(views.group(watch, number, group, rules))
    return {"groups": out}


def _alerts(watched: Watched, _: Params, __: Request) -> Any:
    return {"alerts": [views.alert(found) for found in watched.monitoring.rules.all_alerts()]}


def _targets(watched: Watched, params: Params, _: Request) -> Any:
    watch, pool = watched.monitoring, params.get("scrapePool")
    state = params.get("state").lower()
    active = [views.target(watch, found) for found in watch.store.targets()] if state != "dropped" else []
    active = [found for found in active if not pool or found["scrapePool"] == pool]
    return {"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {}}


# --- status


def _build(_: Watched, __: Params, ___: Request) -> Any:
    return {
        "version": VERSION,
        "revision": "2e6b9b1f3d0a5c7d8e4f6a1b2c3d4e5f60718293",
        "branch": "HEAD",
        "buildUser": "root@buildkitsandbox",
        "buildDate": "20241105-10:00:00",
        "goVersion": "go1.22.8",
    }


def _runtime(watched: Watched, _: Params, __: Request) -> Any:
    watch = watched.monitoring
    started = views.moment(watch.started_ms)
    return {
        "startTime": started,
        "CWD": "/prometheus",
        "reloadConfigSuccess": True,
        "lastConfigTime": started,
        "corruptionCount": 0,
        "goroutineCount": 60,
        "GOMAXPROCS": 4,
        "GOMEMLIMIT": 9_223_372_036_854_775_807,
        "GOGC": "75",
        "GODEBUG": "",
        "storageRetention": f"{watch.store.retention_ms // 3_600_000}h",
    }


def _config(watched: Watched, _: Params, __: Request) -> Any:
    watch = watched.monitoring
    lines = [
        "global:",
        f"  scrape_interval: {watch.store.interval_ms // 1000}s",
        "  scrape_timeout: 10s",
        f"  evaluation_interval: {watch.rules.interval_ms // 1000}s",
    ]
    files = sorted({group.file for group in watch.rules.groups})
    if files:
        lines += ["rule_files:", *(f"- {name}" for name in files)]
    return {"yaml": "\n".join(lines) + "\n"}


def _flags(watched: Watched, _: Params, __: Request) -> Any:
    hours = watched.monitoring.store.retention_ms // 3_600_000
    return {
        "query.lookback-delta": "5m",
        "query.max-samples": str(watched.monitoring.rules.options.most_cells),
        "query.timeout": "2m",
        "storage.tsdb.retention.time": f"{hours}h",
        "web.enable-admin-api": "false",
        "web.enable-lifecycle": "false",
    }


def _tsdb(watched: Watched, params: Params, _: Request) -> Any:
    store, limit = watched.monitoring.store, params.limit() or 10
    names: dict[str, int] = {}
    pairs: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for number in store.numbers(None):
        for key, value in store.labels(number):
            values.setdefault(key, set()).add(value)
            pairs[f"{key}={value}"] = pairs.get(f"{key}={value}", 0) + 1
            if key == NAME:
                names[value] = names.get(value, 0) + 1

    def top(found: dict[str, int]) -> list[dict[str, Any]]:
        order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [{"name": name, "value": count} for name, count in order[:limit]]

    head = {
        "numSeries": len(store.numbers(None)),
        "numLabelPairs": len(pairs),
        "chunkCount": len(store.numbers(None)),
        "minTime": max(watched.monitoring.started_ms, watched.now_ms - store.retention_ms),
        "maxTime": watched.now_ms,
    }
    return {
        "headStats": head,
        "seriesCountByMetricName": top(names),
        "labelValueCountByLabelName": top({key: len(found) for key, found in values.items()}),
        "memoryInBytesByLabelName": top({key: sum(map(len, found)) for key, found in values.items()}),
        "seriesCountByLabelValuePair": top(pairs),
    }


def _alertmanagers(_: Watched, __: Params, ___: Request) -> Any:
    url = "http://alertmanager:9093/api/v2/alerts"
    return {"activeAlertmanagers": [{"url": url}], "droppedAlertmanagers": []}


def _nothing(_: Watched, __: Params, ___: Request) -> Any:
    return []


_READ, _BOTH = ["GET"], ["GET", "POST"]
_ROUTES: list[tuple[str, Handler, list[str]]] = [
    ("query", _query, _BOTH),
    ("query_range", _query_range, _BOTH),
    ("query_exemplars", _nothing, _BOTH),
    ("format_query", _format, _BOTH),
    ("series", _series, _BOTH),
    ("labels", _labels, _BOTH),
    ("label/{name}/values", _values, _READ),
    ("metadata", _metadata, _READ),
    ("rules", _rules, _READ),
    ("alerts", _alerts, _READ),
    ("targets", _targets, _READ),
    ("targets/metadata", _nothing, _READ),
    ("alertmanagers", _alertmanagers, _READ),
    ("status/buildinfo", _build, _READ),
    ("status/runtimeinfo", _runtime, _READ),
    ("status/config", _config, _READ),
    ("status/flags", _flags, _READ),
    ("status/tsdb", _tsdb, _READ),
]
