"""The toolbox inside a sandbox: a command, and behind it a port that leads to this episode's tools.

Two paths are answered: ``GET /tools`` tells every tool with its parameters, ``POST /tools/NAME`` takes
arguments as a JSON object and answers with text and rows. Nothing else can be reached through the port.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from firedrill.agents.base import Meter, ReceiptSink, SandboxAdditions
from firedrill.core.errors import InfrastructureError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from firedrill.tools import ToolResult

PORT = 8643
"""Where the tools are, on 127.0.0.1 inside the sandbox."""
PLACE = "/opt/incident"
"""Where the command stands inside; its folder ``bin`` is on the path."""
COMMAND = "incident"
SANDBOX_PATH = "/opt/on-call:/usr/local/bin:/usr/bin:/bin"
"""The path inside; the first folder is there for agents on call."""
REQUEST_LIMIT = 65_536
"""Bytes of the arguments of one call."""
CALLS_LIMIT = 20_000
"""Calls of one episode."""
CONNECTIONS = 32
BODY_SECONDS = 20.0
RECORDED = 20_000
"""Characters of an answer that the receipt keeps."""


class Served(Protocol):
    """The tools of one episode, as programs ask them."""

    def described(self) -> list[dict[str, Any]]:
        """Every tool: name, description, inputSchema."""

    async def call(self, name: str, arguments: Mapping[str, Any] | None, *, wide: bool = False) -> ToolResult:
        """Answer one call; ``wide`` allows more characters.

        Raises:
            InfrastructureError: the machine failed, or the episode is over.
        """


class ToolServer:
    """Serves one episode's tools to what runs in its sandbox, and records every call.

    ``meter`` counts the calls; None where what makes them is counted already (a shell command).
    """

    def __init__(self, tools: Served, receipt: ReceiptSink, meter: Meter | None = None) -> None:
        self._tools = tools
        self._receipt = receipt
        self._meter = meter
        self._number = 0

    @asynccontextmanager
    async def serve(self, env: Mapping[str, str] | None = None) -> AsyncIterator[SandboxAdditions]:
        """Serve until the context is left; gives what the sandbox needs beside ``env``, the agent's own.

        Raises:
            InfrastructureError: the command cannot be written, or the socket not be made.
        """
        from firedrill.agents.proxy.server import served
        from firedrill.agents.proxy.settings import Bounds

        given = dict(env or {})
        given["PATH"] = f"{PLACE}/bin:{given.get('PATH', SANDBOX_PATH)}"
        given["FIREDRILL_TOOLS"] = f"http://127.0.0.1:{PORT}/tools"
        with TemporaryDirectory() as folder:
            place, socket = Path(folder) / "incident", Path(folder) / "socket"
            try:
                await asyncio.to_thread(write_command, place, self._definitions())
                async with served(self.application(), socket, Bounds(connections=CONNECTIONS)):
                    yield SandboxAdditions({PLACE: place}, given, {PORT: socket})
            except OSError as error:
                raise InfrastructureError(f"the toolbox could not be served: {error}") from error

    def application(self) -> ASGIApp:
        """The ASGI application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/tools", self._list, methods=["GET"]),
                Route("/tools/{name}", self._call, methods=["POST"]),
            ],
            exception_handlers={404: _nothing, 405: _nothing, Exception: _failed},
        )

    def _definitions(self) -> bytes:
        """Every tool with its parameters, as JSON."""
        return json.dumps(self._tools.described(), ensure_ascii=False).encode()

    async def _list(self, _request: Request) -> Response:
        from starlette.responses import Response

        return Response(self._definitions(), media_type="application/json")

    async def _call(self, request: Request) -> Response:
        self._number += 1
        if self._number > CALLS_LIMIT:
            return _error(403, f"this episode has made {CALLS_LIMIT} calls; it takes no further ones")
        try:
            arguments = await _arguments(request)
        except _BadRequestError as error:
            return _error(error.status, error.text)
        name = request.path_params["name"][:60]
        call = f"{COMMAND}-{self._number}"
        if self._meter is not None:
            self._meter.tool_calls += 1
        try:
            result = await self._tools.call(name, arguments, wide="wide" in request.query_params)
        except InfrastructureError:
            return _error(503, "the toolbox is not available")
        self._receipt.append("tool_call", id=call, name=f"{COMMAND} {name}", arguments=arguments)
        self._receipt.append("tool_result", id=call, content=ends(result.text), truncated=result.truncated)
        return _json({**result.to_json(), "text": result.text}, 400 if result.error else 200)


def write_command(place: Path, definitions: bytes) -> None:
    """Write the command and the definitions of its tools below ``place``, readable by all."""
    (place / "bin").mkdir(parents=True)
    program = place / "bin" / COMMAND
    program.write_bytes(resources.files("firedrill.agents.toolbox").joinpath("incident.py").read_bytes())
    listed = place / "tools.json"
    listed.write_bytes(definitions)
    listed.chmod(0o644)
    for path in (place, place / "bin", program):
        path.chmod(0o755)


class _BadRequestError(Exception):
    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(text)


async def _arguments(request: Request) -> dict[str, Any]:
    from starlette.requests import ClientDisconnect

    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > REQUEST_LIMIT:
                    raise _BadRequestError(413, f"the arguments are larger than {REQUEST_LIMIT} bytes")
    except TimeoutError:
        raise _BadRequestError(408, "the arguments did not come in time") from None
    except ClientDisconnect:
        raise _BadRequestError(400, "the connection was closed") from None
    try:
        arguments = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _BadRequestError(400, "the arguments are not valid JSON") from None
    if not isinstance(arguments, dict):
        raise _BadRequestError(400, "the arguments must be a JSON object")
    return arguments


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _json(document: Mapping[str, Any], status: int) -> Response:
    from starlette.responses import Response

    # cells are plain JSON, but a lone surrogate in one is no UTF-8
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"text": f"error: {text}", "notes": [text], "error": True}, status)


async def _nothing(_request: Request, _error_: Exception) -> Response:
    return _error(404, "there is nothing here but GET /tools and POST /tools/NAME")


async def _failed(_request: Request, _error_: Exception) -> Response:
    return _error(500, "the toolbox failed")


def ends(text: str) -> str:
    """The head and the tail of a text that is too long for the receipt."""
    if len(text) <= RECORDED:
        return text
    half = RECORDED // 2
    return f"{text[:half]}\n[{len(text) - RECORDED} characters left out]\n{text[-half:]}"
