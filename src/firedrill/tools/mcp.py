"""The toolbox over the Model Context Protocol, with the official library (the extra ``mcp``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from firedrill import __version__
from firedrill.core.errors import FiredrillError, InputError
from firedrill.tools.toolbox import Toolbox, failure, schemas

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolResult
    from starlette.applications import Starlette

    from firedrill.tools.base import ToolResult

PATH = "/mcp"
"""Where the tools are on an HTTP server."""
AT_ONCE = 4
"""Calls that are answered at the same time; further ones wait."""
REQUEST_LIMIT = 262_144
"""Bytes of one request over HTTP."""
SESSIONS = 32
INSTRUCTIONS = (
    "Read-only tools over the recording of one incident in a Kubernetes cluster. Times are UTC. Answers are "
    "bounded and say what was left out and how to get it. Begin with onset, alerts and changes."
)


def require() -> None:
    """Check that the official library is installed.

    Raises:
        InputError: it is not, or not in a version that this module knows.
    """
    try:
        import mcp_types  # noqa: F401
        from mcp.server.lowlevel import Server  # noqa: F401
    except ImportError as error:
        raise InputError(
            "this needs the official MCP library, version 2",
            source="mcp",
            mend="install it with `pip install 'firedrill[mcp]'`",
        ) from error


class Answering(Protocol):
    """Tools that answer in the event loop in which they are served."""

    @property
    def instructions(self) -> str:
        """What a client is told of all of them."""

    @property
    def looks_only(self) -> bool:
        """Whether no call changes anything."""

    def described(self) -> list[dict[str, Any]]:
        """Every tool: name, description, inputSchema."""

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        """Answer one call; wrong ones too."""


class _Recorded:
    """The tools over a recording, each call in a thread."""

    instructions = INSTRUCTIONS
    looks_only = True

    def __init__(self, toolbox: Toolbox) -> None:
        import anyio

        self._toolbox = toolbox
        self._gate = anyio.CapacityLimiter(AT_ONCE)

    def described(self) -> list[dict[str, Any]]:
        return schemas("mcp")

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        import anyio

        # a caller that is gone need not be waited for: the query ends by its own bound
        return await anyio.to_thread.run_sync(
            _answer, self._toolbox, name, arguments, limiter=self._gate, abandon_on_cancel=True
        )


def build_server(toolbox: Toolbox | Answering) -> Server[Any]:
    """A server whose tools are those of ``toolbox``: same names, descriptions and parameters."""
    import mcp_types as types
    from mcp.server.lowlevel import Server

    tools: Answering = _Recorded(toolbox) if isinstance(toolbox, Toolbox) else toolbox
    hints = types.ToolAnnotations(
        read_only_hint=tools.looks_only,
        destructive_hint=not tools.looks_only,
        idempotent_hint=tools.looks_only,
        open_world_hint=False,
    )
    listed = [
        types.Tool(
            name=tool["name"],
            description=tool["description"],
            input_schema=tool["inputSchema"],
            annotations=hints,
        )
        for tool in tools.described()
    ]

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return _wire(await tools.call(params.name, params.arguments))

    return Server(
        "firedrill",
        version=__version__,
        instructions=tools.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(toolbox: Toolbox | Answering) -> None:
    """Serve one client over standard input and output until it closes them."""
    from mcp.server.stdio import stdio_server

    server = build_server(toolbox)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def http_application(toolbox: Toolbox | Answering, port: int) -> Starlette:
    """An ASGI application that serves the tools at :data:`PATH` over streamable HTTP.

    Only requests to a loopback name with this ``port`` are answered, and none that a page of another
    origin sends: a web page must not read an incident through the browser of whoever looks at it.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return build_server(toolbox).streamable_http_app(
        streamable_http_path=PATH,
        # no tool has anything to say before it is done
        json_response=True,
        max_request_body_size=REQUEST_LIMIT,
        max_sessions=SESSIONS,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        ),
    )


def _answer(toolbox: Toolbox, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
    try:
        return toolbox.call(name, arguments)
    except (FiredrillError, OSError, MemoryError) as error:
        return failure(f"the tool could not be run: {error}"[:500])
    except Exception as error:  # noqa: BLE001 - hostile evidence and arguments meet here: one call fails, not all
        return failure(f"the tool failed on this evidence ({type(error).__name__}); try other arguments")


def _wire(result: ToolResult) -> CallToolResult:
    import mcp_types as types

    return types.CallToolResult(
        # what is recorded may hold half of a surrogate pair, which is no UTF-8
        content=[types.TextContent(text=result.text.encode("utf-8", "replace").decode())],
        structured_content=None if result.error else result.to_json(),
        is_error=result.error,
    )
