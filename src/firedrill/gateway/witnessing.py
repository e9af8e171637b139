"""The guard and the witness of a host before the APIs that are not Kubernetes'."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.core.digest import digest_bytes
from firedrill.core.living import Api, RequestLine
from firedrill.gateway.kubernetes.guarding import Asked, Decision
from firedrill.gateway.kubernetes.recording import LONGEST_REASON, asked_path, told

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host

_BODY_LIMIT = 4 * 1024 * 1024
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Witnessed:
    """An application before which the host's guard stands, and whose requests its witness is told.

    What asks for more than to look are silences: made, changed and ended. Everything else is a read: these
    APIs have no other writes, and refuse them.

    Args:
        app: an ASGI application.
        host: whose guard and witness.
        api: which one it is.
    """

    def __init__(self, app: Any, host: Host, api: Api) -> None:
        self._app, self._host, self._api = app, host, api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI 3 has it."""
        host = self._host
        if scope["type"] != "http" or (host.witness is None and host.guard is None):
            await self._app(scope, receive, send)
            return
        asked = self._asked(scope)
        body = await _body(receive) if scope["method"] not in _READS else b""
        if body is None:
            host.arrive(write=False)
            await _say(send, 413, "http: request body too large")
            return
        line = _Line(self._host, self._api, scope, asked, body)
        if host.guard is not None:
            decision = await host.guard.decide(asked if not asked.writes else _with_body(asked, body))
            line.decided(decision)
            if decision.waited_ms:
                host.go_on(decision.waited_ms)
            if decision.effect == "deny":
                await _refuse(line.counting(send), asked, decision)
                line.tell()
                return
        try:
            await self._app(scope, _again(body, receive), line.counting(send))
        finally:
            line.tell()

    def _asked(self, scope: Any) -> Asked:
        parts = [part for part in scope["path"].split("/") if part]
        silences = self._api == "alertmanager" and parts[:2] == ["api", "v2"] and len(parts) > 2
        resource, name, verb = "", "", "get"
        if silences and parts[2] in {"silences", "silence"}:
            resource = "silences"
            name = parts[3] if len(parts) > 3 else ""
            verb = {"POST": "create", "DELETE": "delete"}.get(scope["method"], "get" if name else "list")
        return Asked(
            user="",
            verb=verb,
            resource=resource,
            name=name,
            count=int(verb in {"create", "delete"}),
            api=self._api,
            kind="Silence" if resource else "",
            now_ms=self._host.world.now,
        )


def _with_body(asked: Asked, body: bytes) -> Asked:
    try:
        given = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        given = None  # the application says what is wrong with it
    return replace(asked, body=given)


async def _body(receive: Any) -> bytes | None:
    """The body of a request; None where it is too large."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > _BODY_LIMIT:
            return None
        chunks.append(chunk)
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(chunks)


def _again(body: bytes, receive: Any) -> Any:
    """A way to receive a body that was read already."""
    given = False

    async def received() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


async def _refuse(send: Any, asked: Asked, decision: Decision) -> None:
    rule = f" (rule {decision.rule})" if decision.rule else ""
    text = f"{asked.resource} is forbidden: {decision.reason or 'not within your authority'}{rule}"
    await _say(send, 403, text)


async def _say(send: Any, status: int, text: str) -> None:
    content = orjson.dumps(text)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content})


class _Line:
    """What is known of one request so far."""

    def __init__(self, host: Host, api: Api, scope: Any, asked: Asked, body: bytes) -> None:
        self._host = host
        self._asked = asked
        self._start = b""
        self._fields: dict[str, Any] = {
            "at_ms": host.world.now,
            "api": api,
            "verb": asked.verb,
            "resource": asked.resource,
            "name": asked.name,
            "path": asked_path(scope, scope["path"]),
            "body": digest_bytes(body) if body else "",
            "bytes_out": 0,
        }

    def decided(self, decision: Decision) -> None:
        self._fields |= told(decision)

    def counting(self, send: Any) -> Any:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._fields["code"] = message["status"]
                self._fields["at_ms"] = self._host.world.now - self._fields.get("waited_ms", 0)
            else:
                chunk = message.get("body") or b""
                self._fields["bytes_out"] += len(chunk)
                if self._asked.writes and len(self._start) < LONGEST_REASON:
                    self._start += chunk[:LONGEST_REASON]
            await send(message)

        return counted

    def tell(self) -> None:
        if self._host.witness is None:
            return
        if self._asked.writes and self._fields.get("code", 200) < 300:
            name = self._asked.name or _silence_of(self._start)
            self._fields |= {"name": name, "changed": (f"cluster/Silence/{name}",)}
        self._host.witness(RequestLine(**self._fields))


def _silence_of(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["silenceID"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


__all__ = ["Witnessed"]
