"""What a run, its stage processes and their episode processes say to each other: JSON behind its length."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from firedrill.core.errors import FiredrillError, InfrastructureError, InputError

LENGTH = 4
CLOCK = "clock"
"""The socket of an episode's clock."""
MAX_FRAME = 512 * 1024 * 1024
"""Bytes of one message; both ends are ours, so that a longer one is a defect."""

Message = Mapping[str, Any]


class Closed(Exception):
    """The other end is gone."""


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """What an episode process has to know beside the incident that it is forked from.

    Attributes:
        folder: where its sockets are made; empty, private, and with a short path.
        token: of the agent's identity.
        cap_ms: virtual time that the agent has.
        read_ms, write_ms: virtual time that each read and each write takes.
        token_ms: that each token takes which a model writes.
        authority: preset or file of the policy that its requests pass.
        user: whom the agent is for the API.
        without: kinds of evidence that are withheld.
        speed: virtual seconds for each second of the wall's clock, where the world follows that; requests
            take no time of their own then.
        asks: whether a person is asked instead of the policy's own approver.
        ledger: whether each write is priced on forks of its own.
        brief: whether nothing but its verdict is wanted: approvers answer at once, and what it left is looked
            at no longer than needed.
    """

    folder: str
    token: str
    cap_ms: int
    read_ms: int
    write_ms: int
    authority: str = "operator"
    user: str = "on-call"
    without: tuple[str, ...] = ()
    token_ms: float = 0.0
    speed: float = 0.0
    asks: bool = False
    ledger: bool = False
    brief: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Message) -> EpisodeSpec:
        """The inverse of :meth:`to_json`."""
        return cls(**{**data, "without": tuple(data["without"])})


def pack(message: Message) -> bytes:
    """A message with its length before it."""
    body = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    return len(body).to_bytes(LENGTH, "big") + body


def send(link: socket.socket, message: Message, end: int | None = None) -> None:
    """Send a message, and with it a descriptor. Blocks.

    Raises:
        Closed: the other end is gone.
    """
    data = pack(message)
    try:
        if end is None:
            link.sendall(data)
        else:
            socket.send_fds(link, [data[:1]], [end])
            link.sendall(data[1:])
    except OSError as error:
        raise Closed(str(error)) from error


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message, and the descriptors that came with it. Blocks.

    Raises:
        Closed: the other end is gone, or says what no other end says.
    """
    try:
        first, ends, _, _ = socket.recv_fds(link, 1, 1)
        size = int.from_bytes(first + _exactly(link, LENGTH - 1), "big") if first else 0
        if not first or size > MAX_FRAME:
            raise Closed("it ended" if not first else "a message is too long")
        return orjson.loads(_exactly(link, size)), list(ends)
    except (OSError, orjson.JSONDecodeError) as error:
        raise Closed(str(error)) from error


def _exactly(link: socket.socket, size: int) -> bytes:
    chunks = []
    while size > 0:
        chunk = link.recv(min(size, 1 << 20))
        if not chunk:
            raise Closed("it ended")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message.

    Raises:
        Closed: the other end is gone.
    """
    try:
        size = int.from_bytes(await reader.readexactly(LENGTH), "big")
        if size > MAX_FRAME:
            raise Closed("a message is too long")
        found: dict[str, Any] = orjson.loads(await reader.readexactly(size))
    except (OSError, asyncio.IncompleteReadError, orjson.JSONDecodeError) as error:
        raise Closed(str(error)) from error
    return found


def told(error: FiredrillError) -> dict[str, Any]:
    """An error as a message, for the other end to raise; see :func:`raised`."""
    if isinstance(error, InputError):
        more = {"source": error.source, "field": error.field, "line": error.line, "mend": error.mend}
        return {"kind": "input", "problem": error.problem, **more}
    return {"kind": "infrastructure", "problem": str(error)}


def raised(message: Message) -> FiredrillError:
    """The error that a message tells of."""
    if message.get("kind") != "input":
        return InfrastructureError(str(message.get("problem", "unknown")))
    return InputError(
        str(message["problem"]),
        source=message.get("source"),
        field=message.get("field"),
        line=message.get("line"),
        mend=message.get("mend"),
    )


__all__ = [
    "CLOCK",
    "LENGTH",
    "MAX_FRAME",
    "Closed",
    "EpisodeSpec",
    "Message",
    "pack",
    "raised",
    "read",
    "receive",
    "send",
    "told",
]
