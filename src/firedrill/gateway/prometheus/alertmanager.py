"""The API of an Alertmanager over the alerts that a world's rules fire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from firedrill.gateway.prometheus.params import LONGEST_FORM, Params, time_ms
from firedrill.gateway.prometheus.views import moment
from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.promql import ParseError
from firedrill.world.telemetry.promql.parser import parse_selector
from firedrill.world.telemetry.rules import Silence

if TYPE_CHECKING:
    from firedrill.gateway.prometheus.source import Watched
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.rules import Alert, Rule

VERSION = "0.27.0"
_RECEIVER = "default"
_RESEND_MS = 60_000
_MOST_SILENCES = 10_000
Handler = Callable[["Watched", Request, bytes], Response]


def alertmanager_app(watched: Watched) -> Starlette:
    """The API as an ASGI application: `/api/v2/…`, `/-/healthy` and `/-/ready`."""
    routes = [
        Route(f"/api/v2/{path}", _endpoint(watched, handler), methods=[method])
        for path, handler, method in (
            ("status", _status, "GET"),
            ("receivers", _receivers, "GET"),
            ("alerts", _alerts, "GET"),
            ("alerts/groups", _groups, "GET"),
            ("silences", _silences, "GET"),
            ("silences", _put_silence, "POST"),
            ("silence/{id}", _silence, "GET"),
            ("silence/{id}", _expire, "DELETE"),
        )
    ]
    routes += [Route(f"/-/{word}", _well, methods=["GET"]) for word in ("healthy", "ready")]
    return Starlette(routes=routes)


async def _well(_: Request) -> Response:
    return PlainTextResponse("OK")


def _endpoint(watched: Watched, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = b""
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > LONGEST_FORM:
                    return _problem("http: request body too large")
        except ClientDisconnect:
            return Response(status_code=400)
        watched.refresh()
        try:
            return handler(watched, request, body)
        except _Bad as error:
            return _problem(str(error))

    return answer


class _Bad(Exception):
    """A request that makes no sense."""


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _problem(text: str, status: int = 400) -> Response:
    return _json(text, status)


def _params(request: Request) -> Params:
    return Params(str(request.url.query))


def _flag(params: Params, name: str) -> bool:
    return params.get(name, "true").lower() not in {"false", "0"}


def _matchers(params: Params) -> list[Matcher]:
    out: list[Matcher] = []
    for text in params.all("filter"):
        bare = text.strip()
        bare = bare if bare.startswith("{") else "{" + bare + "}"
        try:
            # a selector has to name something; what it names here is dropped again
            out += parse_selector("any" + bare)[:-1]
        except ParseError as error:
            raise _Bad(f"bad matcher format: {text}: {error.problem}") from None
    return out


def _fits(matchers: list[Matcher], labels: Labels) -> bool:
    found = dict(labels)
    return all(matcher.test()(found.get(matcher.name, "")) for matcher in matchers)


def fingerprint(labels: Labels) -> str:
    """What an Alertmanager knows an alert by: FNV-1a over names and values."""
    code = 0xCBF29CE484222325
    for name, value in labels:
        for byte in (*name.encode(), 0xFF, *value.encode(), 0xFF):
            code = (code ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{code:016x}"


def _shown(watched: Watched, rule: Rule, alert: Alert, interval_ms: int) -> dict[str, Any]:
    now = watched.now_ms
    silenced = watched.monitoring.silences.silencing(alert.labels, now)
    return {
        "annotations": dict(alert.annotations),
        "endsAt": moment(now + 4 * max(interval_ms, _RESEND_MS)),
        "fingerprint": fingerprint(alert.labels),
        "receivers": [{"name": _RECEIVER}],
        "startsAt": moment(alert.fired_ms),
        "status": {
            "inhibitedBy": [],
            "silencedBy": silenced,
            "state": "suppressed" if silenced else "active",
        },
        "updatedAt": moment(now),
        "generatorURL": f"http://prometheus:9090/graph?g0.expr={quote(rule.text, safe='')}&g0.tab=1",
        "labels": dict(alert.labels),
    }


def _found(watched: Watched, params: Params) -> list[dict[str, Any]]:
    book = watched.monitoring.rules
    matchers = _matchers(params)
    active, silenced = _flag(params, "active"), _flag(params, "silenced")
    receiver = params.get("receiver")
    out = []
    for number, group in enumerate(book.groups):
        for index, rule in enumerate(group.rules):
            for alert in book.alerts(number, index):
                if alert.state != "firing" or not _fits(matchers, alert.labels):
                    continue
                shown = _shown(watched, rule, alert, book.interval_of(group))
                if silenced if shown["status"]["silencedBy"] else active:
                    out.append(shown)
    if receiver and receiver not in {_RECEIVER, ".*", ".+"}:
        return []
    return sorted(out, key=lambda one: one["fingerprint"])


def _alerts(watched: Watched, request: Request, _: bytes) -> Response:
    return _json(_found(watched, _params(request)))


def _groups(watched: Watched, request: Request, _: bytes) -> Response:
    found = _found(watched, _params(request))
    group = {"alerts": found, "labels": {}, "receiver": {"name": _RECEIVER}}
    return _json([group] if found else [])


def _receivers(_: Watched, __: Request, ___: bytes) -> Response:
    return _json([{"name": _RECEIVER}])


def _status(watched: Watched, _: Request, __: bytes) -> Response:
    return _json(
        {
            "cluster": {"name": "01JZ0000000000000000000000", "peers": [], "status": "disabled"},
            "config": {"original": f"route:\n  receiver: {_RECEIVER}\nreceivers:\n- name: {_RECEIVER}\n"},
            "uptime": moment(max(watched.monitoring.started_ms, 0)),
            "versionInfo": {
                "branch": "HEAD",
                "buildDate": "20240228-11:51:20",
                "buildUser": "root@buildkitsandbox",
                "goVersion": "go1.21.7",
                "revision": "0aa3c2aad14cff039931923ab16b26b7481783b5",
                "version": VERSION,
            },
        }
    )


# --- silences


def _silence_view(silence: Silence, now_ms: int) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now_ms)},
        "updatedAt": moment(silence.updated_ms),
        "comment": silence.comment,
        "createdBy": silence.author,
        "endsAt": moment(silence.ends_ms),
        "matchers": [
            {
                "isEqual": matcher.op in {"=", "=~"},
                "isRegex": matcher.op in {"=~", "!~"},
                "name": matcher.name,
                "value": matcher.value,
            }
            for matcher in silence.matchers
        ],
        "startsAt": moment(silence.starts_ms),
    }


def _silences(watched: Watched, request: Request, _: bytes) -> Response:
    wanted, now = _matchers(_params(request)), watched.now_ms
    rank = {"active": 0, "pending": 1, "expired": 2}
    found = [
        silence
        for silence in watched.monitoring.silences
        if _fits(wanted, tuple((matcher.name, matcher.value) for matcher in silence.matchers))
    ]
    found.sort(key=lambda silence: (rank[silence.state(now)], silence.ends_ms, silence.id))
    return _json([_silence_view(silence, now) for silence in found])


def _silence(watched: Watched, request: Request, _: bytes) -> Response:
    found = watched.monitoring.silences.get(request.path_params["id"])
    return _json(_silence_view(found, watched.now_ms)) if found is not None else Response(status_code=404)


def _expire(watched: Watched, request: Request, _: bytes) -> Response:
    try:
        ended = watched.monitoring.silences.expire(request.path_params["id"], watched.now_ms)
    except KeyError:
        return Response(status_code=404)
    return Response(status_code=200) if ended else _problem("silence already expired", 500)


def _put_silence(watched: Watched, _: Request, body: bytes) -> Response:
    silences, now = watched.monitoring.silences, watched.now_ms
    silence = _read_silence(body, now)
    if sum(1 for _ in silences) >= _MOST_SILENCES:
        return _problem("exceeded maximum number of silences", 500)
    try:
        return _json({"silenceID": silences.put(silence, now)})
    except KeyError:
        return _problem("silence not found", 404)


def _read_silence(body: bytes, now_ms: int) -> Silence:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _Bad(f"parsing silence body from {error}") from None
    if not isinstance(data, dict):
        raise _Bad("silence in body must be of type object")
    for name in ("comment", "createdBy", "endsAt", "matchers", "startsAt"):
        if data.get(name) is None:
            raise _Bad(f"{name} in body is required")
    matchers = tuple(_read_matcher(one) for one in _list(data["matchers"]))
    if not matchers:
        raise _Bad("matchers in body should have at least 1 items")
    if all(matcher.test()("") for matcher in matchers):
        raise _Bad("invalid silence: at least one matcher must not match the empty string")
    times = []
    for name in ("startsAt", "endsAt"):
        try:
            times.append(time_ms(str(data[name])))
        except ValueError:
            raise _Bad(f"{name} in body must be of type date-time") from None
    if times[1] < times[0]:
        raise _Bad("Failed to create silence: start time must be before end time")
    if times[1] <= now_ms:
        raise _Bad("Failed to create silence: end time can't be in the past")
    return Silence(
        str(data.get("id") or ""), matchers, times[0], times[1], now_ms,
        str(data["createdBy"])[:1000], str(data["comment"])[:10_000],
    )  # fmt: skip


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 100:
        raise _Bad("matchers in body must be of type array")
    return value


def _read_matcher(data: Any) -> Matcher:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str) or not data["name"]:
        raise _Bad("matchers.name in body is required")
    if not isinstance(data.get("value"), str) or not isinstance(data.get("isRegex"), bool):
        raise _Bad("matchers.value and matchers.isRegex in body are required")
    equal = data.get("isEqual", True) is not False
    found = Matcher(
        data["name"],
        ("=~" if equal else "!~") if data["isRegex"] else ("=" if equal else "!="),
        data["value"],
    )
    try:
        found.test()
    except ValueError as error:
        raise _Bad(f"invalid silence: invalid label matcher: {error}") from None
    return found
