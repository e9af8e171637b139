"""Loki's HTTP API as an ASGI application."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.gateway.loki import fields, parameters, views, wire
from firedrill.gateway.loki.source import ClusterLogs, settings
from firedrill.gateway.loki.wire import Asked, Refusal, Reply, reply
from firedrill.world.telemetry.logs import Source, Stream
from firedrill.world.telemetry.logs.logql import Engine, LogQLError, Matrix, Scalar, parse_matchers
from firedrill.world.telemetry.logs.logql.nodes import Matcher, Selector

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.world import World

_MS = 1_000_000
_MINUTE = 60_000 * _MS
_EXACT = 10 * _MINUTE
_SAMPLES = 10
_SIX_HOURS = 6 * 3_600_000 * _MS
_FLAGS = "x-loki-response-encoding-flags"


class Loki:
    """Answers Loki's read API for one world.

    Args:
        host: the served world; each request moves its clock as a read does.
        source: makes the source of lines for a world; by default the logs of all containers.
    """

    def __init__(self, host: Host, source: Callable[[World], Source] = ClusterLogs) -> None:
        self._host = host
        self._make = source
        self._source: tuple[World, Source] | None = None
        self._routes: Mapping[str, Callable[[Asked], Reply]] = {
            "/ready": lambda _: Reply(b"ready\n", media_type=wire.TEXT),
            "/loki/api/v1/status/buildinfo": lambda _: reply(_buildinfo()),
            "/loki/api/v1/query": self._instant,
            "/loki/api/v1/query_range": self._range,
            "/loki/api/v1/labels": self._labels,
            "/loki/api/v1/label": self._labels,
            "/loki/api/v1/series": self._series,
            "/loki/api/v1/index/stats": self._stats,
            "/loki/api/v1/index/volume": lambda asked: self._volume(asked, ranged=False),
            "/loki/api/v1/index/volume_range": lambda asked: self._volume(asked, ranged=True),
            "/loki/api/v1/detected_labels": self._detected,
            "/loki/api/v1/detected_fields": self._fields,
            "/loki/api/v1/patterns": lambda _: reply({"status": "success", "data": []}),
            "/loki/api/v1/tail": _no_tail,
            "/prometheus/api/v1/rules": lambda _: reply({"status": "success", "data": {"groups": []}}),
            "/prometheus/api/v1/alerts": lambda _: reply({"status": "success", "data": {"alerts": []}}),
        }

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        """Answer one request, as ASGI 3 has it."""
        if scope["type"] == "websocket":
            await wire.refuse_socket(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            asked = await wire.read(scope, receive)
            # nothing is awaited from here on until the answer stands: the world is touched by one at a time
            answer = self._answer(scope["method"], asked)
        except Refusal as error:
            answer = wire.refusal(error)
        except Exception:  # noqa: BLE001 - the client gets an answer and the host's owner the defect
            self._host.defects.append(f"{scope['method']} {scope['path']}\n{traceback.format_exc()}")
            answer = wire.refusal(Refusal(500, "the simulated Loki has a defect"))
        await wire.send(send, answer, head=scope["method"] == "HEAD")

    def _answer(self, method: str, asked: Asked) -> Reply:
        if method not in {"GET", "HEAD", "POST"}:
            raise Refusal(405, "method not allowed")
        self._host.arrive(write=False)
        path = asked.path.rstrip("/") or "/"
        route = self._routes.get(path)
        if route is not None:
            return route(asked)
        parts = path.split("/")
        if len(parts) == 7 and path.startswith("/loki/api/v1/label/") and parts[6] == "values":
            return self._values(asked, parts[5])
        raise Refusal(404, "404 page not found")

    @property
    def _now(self) -> int:
        return self._host.world.now * _MS

    def _engine(self) -> Engine:
        world = self._host.world
        if self._source is None or self._source[0] is not world:
            self._source = (world, self._make(world))
        return Engine(self._source[1], self._now)

    def _instant(self, asked: Asked) -> Reply:
        query = parameters.query(asked)
        if isinstance(query, Selector):
            raise Refusal(
                400,
                "log queries are not supported as an instant query type, "
                "please change your query to a range query type",
            )
        at = parameters.moment(asked.first("time"), self._now)
        engine = self._engine()
        return reply(views.instant(_run(lambda: engine.metric(query, at, at, 1)), at, engine.stats))

    def _range(self, asked: Asked) -> Reply:
        wanted = parameters.ranged(asked, self._now)
        engine, query = self._engine(), wanted.query
        if isinstance(query, Selector):
            selector = query
            found = _run(
                lambda: engine.logs(
                    selector,
                    wanted.start,
                    min(wanted.end, self._now + _MS),
                    wanted.limit,
                    backward=wanted.backward,
                    interval=wanted.interval,
                )
            )
            categorize = views.CATEGORIZE in asked.headers.get(_FLAGS, "")
            return reply(views.streams(found, engine.stats, categorize=categorize))
        metric = query
        value: Matrix | Scalar = _run(lambda: engine.metric(metric, wanted.start, wanted.end, wanted.step))
        return reply(views.ranged(value, wanted.start, wanted.end, wanted.step, engine.stats))

    def _chosen(self, asked: Asked, *names: str) -> list[Stream]:
        start, end = parameters.bounds(asked, self._now, _SIX_HOURS)
        engine = self._engine()
        texts = [text for text in asked.all(*names) if text]
        if not texts:
            return engine.streams((), start, end + 1)
        found: dict[tuple[tuple[str, str], ...], Stream] = {}
        for text in texts:
            for item in engine.streams(_matchers(text), start, end + 1):
                found[item.labels] = item
        return [found[labels] for labels in sorted(found)]

    def _labels(self, asked: Asked) -> Reply:
        names = {name for item in self._chosen(asked, "query") for name, _ in item.labels}
        return _list(sorted(names))

    def _values(self, asked: Asked, label: str) -> Reply:
        values = {
            value for item in self._chosen(asked, "query") for name, value in item.labels if name == label
        }
        return _list(sorted(values))

    def _series(self, asked: Asked) -> Reply:
        found = self._chosen(asked, "match[]", "match")
        return reply({"status": "success", "data": [dict(item.labels) for item in found]})

    def _detected(self, asked: Asked) -> Reply:
        known: dict[str, set[str]] = {}
        for item in self._chosen(asked, "query"):
            for name, value in item.labels:
                known.setdefault(name, set()).add(value)
        found = [{"label": name, "cardinality": len(known[name])} for name in sorted(known)]
        return reply({"detectedLabels": found})

    def _volume(self, asked: Asked, *, ranged: bool) -> Reply:
        """Bytes by label set, or by some labels, from samples where the range is long."""
        start, end = parameters.bounds(asked, self._now)
        end = min(end, self._now + _MS)
        step = parameters.ranged_step(asked, start, end) if ranged else max(end - start, 1)
        engine = self._engine()
        wanted = frozenset(name for name in asked.first("targetLabels").split(",") if name)
        totals: dict[tuple[tuple[str, str], ...], dict[int, int]] = {}
        matchers = _matchers(asked.first("query"))
        names = wanted or frozenset(item.name for item in matchers)
        for at in range(start, max(end, start + 1), step):
            for item in engine.streams(matchers, at, min(at + step, end)):
                key = tuple(pair for pair in item.labels if pair[0] in names)
                here = totals.setdefault(key, {})
                size = _size(engine, item, at, min(at + step, end))[1]
                here[at + step] = here.get(at + step, 0) + size
        limit = parameters.limit(asked)
        biggest = sorted(totals, key=lambda key: (-sum(totals[key].values()), key))[:limit]
        return reply(views.volume([(key, totals[key]) for key in biggest], ranged=ranged, end=end))

    def _fields(self, asked: Asked) -> Reply:
        """Names that a parser would find in the newest lines of a query."""
        query = parameters.query(asked)
        if not isinstance(query, Selector):
            raise Refusal(400, "only log queries have fields")
        start, end = parameters.bounds(asked, self._now)
        engine = self._engine()
        limit = min(parameters.limit(asked, 1000), 1000)
        found = _run(lambda: engine.logs(query, start, min(end, self._now + _MS), limit))
        return reply(fields.detect([one.text for one in found], limit))

    def _stats(self, asked: Asked) -> Reply:
        """Sizes as the index knows them: exact for ten minutes, for longer ranges from samples."""
        start, end = parameters.bounds(asked, self._now)
        end = min(end, self._now + _MS)
        engine = self._engine()
        found = engine.streams(_matchers(asked.first("query")), start, end)
        sizes = [_size(engine, item, start, end) for item in found]
        entries, size = sum(one for one, _ in sizes), sum(one for _, one in sizes)
        told_of = {"streams": len(found), "chunks": len(found) * (1 + max(end - start, 0) // _SIX_HOURS)}
        return reply({**told_of, "bytes": size, "entries": entries})


def _size(engine: Engine, stream: Stream, start: int, end: int) -> tuple[int, int]:
    """(lines, bytes) of a stream: exact for ten minutes, for longer from samples unless these are empty."""
    windows, factor = [(start, end)], 1.0
    if end - start > _EXACT:
        step = (end - start) // _SAMPLES
        windows = [(start + n * step, start + n * step + _MINUTE) for n in range(_SAMPLES)]
        factor = step / _MINUTE
    told = [entry for low, high in windows for entry in engine.source.read(stream, low, high)]
    if not told and factor > 1:
        told, factor = list(engine.source.read(stream, start, end)), 1.0
    return int(len(told) * factor), int(sum(len(entry.text) for entry in told) * factor)


def _run(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except LogQLError as error:
        raise Refusal(400, str(error)) from None


def _matchers(text: str) -> tuple[Matcher, ...]:
    try:
        return parse_matchers(text)
    except LogQLError as error:
        raise Refusal(400, str(error)) from None


def _list(items: list[str]) -> Reply:
    return reply({"status": "success", "data": items} if items else {"status": "success"})


def _no_tail(_: Asked) -> Reply:
    raise Refusal(501, "live tailing is not supported here; ask query_range again with a later start")


def _buildinfo() -> dict[str, str]:
    return {
        **{key: str(value) for key, value in settings()["build"].items()},
        "buildUser": "",
        "buildDate": "",
    }
