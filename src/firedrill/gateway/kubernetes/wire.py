"""HTTP as the gateway speaks it: answers, bounded bodies, and the headers that every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from firedrill.world.kube.api import ApiError, errors

BODY_LIMIT = 3 * 1024 * 1024
"""What an API server takes at most, in bytes."""
BODY_SECONDS = 60.0
JSON = b"application/json"
_NO_PATH = errors.no_such_path().message
"""A client makes this of a bare 404, which is what a server sends."""
Headers = tuple[tuple[bytes, bytes], ...]

Scope = Any
Receive = Any
Send = Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole HTTP response."""

    status: int
    body: bytes
    media_type: bytes = JSON
    headers: Headers = ()


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower-case) name, or an empty string."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def headers_named(scope: Scope, name: bytes) -> list[str]:
    """All headers of that (lower-case) name, in order."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def failure(refusal: ApiError) -> Answer:
    """The answer to a request that is refused."""
    if refusal.code == 404 and refusal.message == _NO_PATH:
        return Answer(404, b"404 page not found\n", b"text/plain; charset=utf-8")
    more: list[tuple[bytes, bytes]] = []
    if refusal.code == 401:
        more.append((b"www-authenticate", b'Basic realm="kubernetes-master"'))
    wait = (refusal.details or {}).get("retryAfterSeconds")
    if wait:
        more.append((b"retry-after", str(wait).encode()))
    return Answer(refusal.code, dumps(refusal.status()) + b"\n", JSON, tuple(more))


def dumps(obj: object, *, pretty: bool = False) -> bytes:
    """JSON as it goes over the wire."""
    return orjson.dumps(obj, option=orjson.OPT_INDENT_2 if pretty else None)


def warning_headers(texts: Iterable[str]) -> Headers:
    """`Warning: 299 - "…"` for each text, without repetition."""
    out = []
    for text in dict.fromkeys(texts):
        clean = "".join(char if char.isprintable() else " " for char in text)[:1024]
        quoted = clean.replace("\\", "\\\\").replace('"', '\\"')
        out.append((b"warning", f'299 - "{quoted}"'.encode("utf-8", "replace")))
    return tuple(out)


def started(
    status: int, media_type: bytes, audit_id: bytes, more: Headers = (), size: int | None = None
) -> Any:
    """The ASGI message that opens a response; without a size it is a stream."""
    headers = [
        (b"audit-id", audit_id),
        (b"cache-control", b"no-cache, private"),
        (b"content-type", media_type),
        *more,
    ]
    if any(name == b"cache-control" for name, _ in more):
        del headers[1]
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    return {"type": "http.response.start", "status": status, "headers": headers}


async def send_answer(send: Send, answer: Answer, audit_id: bytes, *, head: bool = False) -> None:
    """Send a whole response; only its headers where `head` is set."""
    size = None if answer.status == 304 else len(answer.body)
    await send(started(answer.status, answer.media_type, audit_id, answer.headers, size))
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        ApiError: 413, it is larger than a server takes; 408, it does not come.
    """
    too_large = ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}", {})
    announced = header(scope, b"content-length")
    if announced.isdecimal() and int(announced[:20]) > BODY_LIMIT:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message: Mapping[str, Any] = await receive()
                if message["type"] != "http.request":
                    raise ApiError(408, "Timeout", "the client went away before its request was complete", {})
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise too_large
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise ApiError(408, "Timeout", "the request did not complete within the allotted time", {}) from None
