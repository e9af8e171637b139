"""HTTP for the query APIs: what is asked, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

Scope = Any
Receive = Any
Send = Any
_BODY_LIMIT = 1024 * 1024
_BODY_SECONDS = 30.0
_MOST_FIELDS = 200
JSON = b"application/json; charset=UTF-8"
TEXT = b"text/plain; charset=utf-8"


class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        status: of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole response."""

    body: bytes
    status: int = 200
    media_type: bytes = JSON


def reply(value: Any, status: int = 200) -> Reply:
    """A JSON response."""
    return Reply(orjson.dumps(value) + b"\n", status)


def refusal(error: Refusal) -> Reply:
    """The plain text of a refusal."""
    return Reply(f"{error}\n".encode("utf-8", "replace"), error.status, TEXT)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        path: decoded.
        fields: of the query and of a form, in order.
        headers: by lower-case name.
    """

    path: str
    fields: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def first(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        return next((value for key, value in self.fields if key == name), default)

    def all(self, *names: str) -> list[str]:
        """All values of some fields."""
        return [value for key, value in self.fields if key in names]


async def read(scope: Scope, receive: Receive) -> Asked:
    """What a request asks for.

    Raises:
        Refusal: its body is too large, does not come, or is no form.
    """
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    raw: bytes = scope.get("query_string", b"")
    body = await _body(receive) if scope["method"] == "POST" else b""
    try:
        fields = [
            pair
            for part in (raw, body)
            for pair in parse_qsl(part.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        ]
    except ValueError:
        raise Refusal(400, "the parameters of the request cannot be read") from None
    return Asked(scope["path"], tuple(fields), headers)


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refusal(408, "the client went away before its request was complete")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > _BODY_LIMIT:
                    raise Refusal(413, "http: request body too large")
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise Refusal(408, "the request did not complete within the allotted time") from None


async def send(sender: Send, answer: Reply, *, head: bool = False) -> None:
    """Send a whole response; only its headers where `head` is set."""
    headers = [(b"content-type", answer.media_type), (b"content-length", b"%d" % len(answer.body))]
    await sender({"type": "http.response.start", "status": answer.status, "headers": headers})
    await sender({"type": "http.response.body", "body": b"" if head else answer.body})


async def refuse_socket(receive: Receive, sender: Send) -> None:
    """Turn a WebSocket away before it is open, which clients see as 403."""
    await receive()
    await sender({"type": "websocket.close", "code": 1000})
