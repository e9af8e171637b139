"""Commands in containers over WebSocket.

Source: the remote command subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.gateway.kubernetes import containers, node
from firedrill.gateway.kubernetes.query import Query
from firedrill.gateway.kubernetes.wire import Receive, Scope, Send
from firedrill.world.kube.api import ApiError, errors
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 32 * 1024
_SETTLE_SECONDS = 0.03
"""Clients open their streams after the handshake, and throw away what comes before."""
_INPUT_LIMIT = 1024 * 1024
_TRUE = {"true", "1", "True", "t", "T", "TRUE"}
_NOT_STARTED = "OCI runtime exec failed"
_READERS = {"cat", "tee", "grep", "wc", "head", "tail", "sort", "uniq", "cut", "tr", "sed", "awk", "xargs"}
_IDLE_SECONDS = 0.3
"""How long a command that may not read its input waits for a client that neither writes nor closes it."""
_SHELLS = {"sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash"}


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be carried out, and where.

    Attributes:
        argv: program and arguments; empty for an attach.
        stdin, stdout, stderr: which streams the client has asked for.
    """

    namespace: str
    pod: str
    container: str
    argv: tuple[str, ...]
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def plan(host: Host, pod: Obj, subresource: str, query: Query) -> Command:
    """Read the request for a command.

    Raises:
        ApiError: the pod has no such container or is over, or nothing is asked for.
    """
    first = query.first
    container = containers.choose(pod, first.get("container", ""), verb=subresource)
    argv = query.every.get("command", ()) if subresource == "exec" else ()
    flags = {name: first.get(name, "") in _TRUE for name in ("stdin", "stdout", "stderr", "tty")}
    options = "PodExecOptions" if subresource == "exec" else "PodAttachOptions"
    if subresource == "exec" and not argv:
        raise errors.invalid("", options, name_of(pod), ["command: Required value"])
    if not any(flags[name] for name in ("stdin", "stdout", "stderr")):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if not dig(pod, "spec", "nodeName"):
        raise errors.bad_request(f"pod {name_of(pod)} does not have a host assigned")
    if dig(pod, "status", "phase") in {"Succeeded", "Failed"}:
        raise errors.bad_request(
            f"cannot exec into a container in a completed pod; current phase is {dig(pod, 'status', 'phase')}"
        )
    return Command(namespace_of(pod), name_of(pod), container, argv, **flags)


async def run(host: Host, command: Command, scope: Scope, receive: Receive, send: Send) -> None:
    """Speak the subprotocol: carry the command out, send what it prints and how it ended."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    offered = scope.get("subprotocols") or []
    protocol = next((item for item in PROTOCOLS if item in offered), None)
    if offered and protocol is None:
        await send({"type": "websocket.close", "code": 1002})
        return
    await send({"type": "websocket.accept", "subprotocol": protocol})
    channels = _Channels(receive, send)
    await asyncio.sleep(_SETTLE_SECONDS)
    pod = host.world.cluster.store.get("pods", command.namespace, command.pod)
    if pod is None or not containers.running(pod, command.container):
        refusal = errors.internal(
            f'unable to upgrade connection: container not found ("{command.container}")'
        )
        await channels.end({**refusal.status()})
    elif command.argv and command.stdin and command.argv[0] in _SHELLS and len(command.argv) == 1:
        await _shell(host, command, channels)
    elif command.argv:
        given = await _given(command, channels)
        await _once(host, command, command.argv, channels, finish=True, given=given)
    else:
        await _attach(host, command, channels)
    await send({"type": "websocket.close", "code": 1000})


class _Channels:
    """The streams of one command, told apart by the first byte of each message."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def write(self, channel: int, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            chunk = bytes([channel]) + data[start : start + _CHUNK]
            await self._send({"type": "websocket.send", "bytes": chunk})

    async def read(self) -> bytes | None:
        """The next piece of standard input; None at its end."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return None
            data = message.get("bytes") or (message.get("text") or "").encode()
            if data[:1] == bytes([_STDIN]):
                return bytes(data[1:])
            if data[:1] == bytes([_CLOSE]) and data[1:2] == bytes([_STDIN]):
                return None

    async def end(self, status: dict[str, Any]) -> None:
        await self._send({"type": "websocket.send", "bytes": bytes([_ERROR]) + orjson.dumps(status)})


async def _given(command: Command, channels: _Channels) -> str:
    """What the client writes for the command to read, up to its end; nothing where it reads nothing."""
    argv = command.argv
    if not command.stdin or command.tty:
        return ""
    shell = argv[0] in _SHELLS
    if argv[0] not in _READERS and not (shell and _READERS & set(" ".join(argv).split())):
        return ""
    certain = not shell and all(word.startswith("-") for word in argv[1:])
    out = bytearray()
    while len(out) < _INPUT_LIMIT:
        try:
            async with asyncio.timeout(None if certain or out else _IDLE_SECONDS):
                piece = await channels.read()
        except TimeoutError:
            break
        if piece is None:
            break
        out += piece
    return out[:_INPUT_LIMIT].decode("utf-8", "replace")


async def _once(
    host: Host,
    command: Command,
    argv: tuple[str, ...],
    channels: _Channels,
    *,
    finish: bool,
    given: str = "",
) -> int:
    host.catch_up()
    if argv[0] == "tar":
        await channels.write(_STDERR, b"copying files into and out of containers is not simulated\n")
        await channels.end(_status(argv, 1))
        return 1
    try:
        done = node.execute(host.world, command.namespace, command.pod, command.container, argv, given)
    except ApiError as refusal:
        await channels.end({**refusal.status()})
        return 1
    host.hub.publish()
    if finish and done.stderr.startswith(_NOT_STARTED):
        await channels.end(_not_started(host, command, done.stderr))
        return int(done.code)
    if command.stdout:
        await channels.write(_STDOUT, _terminal(done.stdout, command.tty))
    if command.stderr or command.tty:
        await channels.write(_STDOUT if command.tty else _STDERR, _terminal(done.stderr, command.tty))
    if finish:
        await channels.end(_status(argv, done.code))
    return int(done.code)


def _not_started(host: Host, command: Command, why: str) -> dict[str, Any]:
    """The status of a command that the container runtime could not start."""
    place = f"{command.namespace}/{command.pod}/{command.container}/{host.world.now}/{command.argv}"
    number = blake2b(place.encode(), digest_size=32).hexdigest()
    return errors.internal(
        "error executing command in container: failed to exec in container: "
        f'failed to start exec "{number}": {why.strip()}'
    ).status()


def _terminal(text: str, tty: bool) -> bytes:
    data = text.encode("utf-8", "replace")
    return data.replace(b"\n", b"\r\n") if tty else data


def _status(argv: tuple[str, ...], code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: error executing command [{' '.join(argv)}], "
        f"exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def _shell(host: Host, command: Command, channels: _Channels) -> None:
    """A shell that carries out one line after the other."""
    code, waiting = 0, b""
    prompt = b"/ # " if command.tty else b""
    await channels.write(_STDOUT, prompt)
    while (data := await channels.read()) is not None and b"\x04" not in data:
        if command.tty:
            await channels.write(_STDOUT, data.replace(b"\r", b"\r\n"))
        waiting += data.replace(b"\r", b"\n")
        if len(waiting) > _INPUT_LIMIT:
            break
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            code, over = await _line(host, command, channels, line.decode("utf-8", "replace"), code)
            if over:
                await channels.end(_status(command.argv, code))
                return
            await channels.write(_STDOUT, prompt)
    if waiting.strip() and b"\x04" not in waiting:
        code, _ = await _line(host, command, channels, waiting.decode("utf-8", "replace"), code)
    await channels.end(_status(command.argv, code))


async def _line(host: Host, command: Command, channels: _Channels, line: str, code: int) -> tuple[int, bool]:
    words = line.split()
    if not words:
        return code, False
    if words[0] == "exit":
        given = words[1] if len(words) > 1 else ""
        return (int(given) & 0xFF if given.isdecimal() and len(given) < 10 else code), True
    argv = (command.argv[0], "-c", line)
    return await _once(host, command, argv, channels, finish=False), False


async def _attach(host: Host, command: Command, channels: _Channels) -> None:
    """What the container prints from now on; ends when the client goes away or the container ends."""
    from firedrill.gateway.kubernetes.watching import until_first

    async def follow() -> None:
        since = host.world.now
        while True:
            await asyncio.sleep(0.2)
            host.catch_up()
            pod = host.world.cluster.store.get("pods", command.namespace, command.pod)
            if pod is None or not containers.running(pod, command.container):
                break
            now = host.world.now
            if now > since:
                lines = node.read_log(
                    host.world, command.namespace, command.pod, command.container, since_ms=since + 1
                )
                since = now
                text = "".join(f"{line}\n" for line in lines)
                await channels.write(_STDOUT, _terminal(text, command.tty))
        await channels.end(_status((), 0))

    async def listen() -> None:
        while await channels.read() is not None:
            pass

    host.waiting += 1
    try:
        await until_first(follow(), listen())
    finally:
        host.waiting -= 1
