"""Servers for ASGI applications on sockets of this machine, quiet about what clients do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import traceback
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

GRACE_SECONDS = 2
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_HEADER_BYTES = 64 * 1024
_HEADER_SECONDS = 30

# what clients provoke (broken connections, half requests) must not fill the terminal
_quiet = logging.Logger("firedrill.gateway", level=logging.CRITICAL + 1)


def listener(port: int = 0) -> socket.socket:
    """A socket on 127.0.0.1; port 0 lets the system choose.

    Raises:
        OSError: the port cannot be used.
    """
    # asyncio sends small answers at once only on sockets that say their protocol
    out = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        out.bind(("127.0.0.1", port))
        out.listen(_BACKLOG)
    except OSError:
        out.close()
        raise
    return out


def unix_listener(path: Path) -> socket.socket:
    """A socket in a folder, which whoever may write there may reach.

    Raises:
        OSError: there is something already, or the path is too long.
    """
    out = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        out.bind(str(path))
        out.listen(_BACKLOG)
    except OSError:
        out.close()
        raise
    return out


@contextlib.asynccontextmanager
async def running(app: Any, on: socket.socket, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve an application on a listening socket until the context is left.

    Gives its address, or the path of a Unix socket. The socket is closed at the end.
    """
    server = _server(app, tls)
    task = asyncio.ensure_future(server.serve(sockets=[on]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        place = on.getsockname()
        yield place if isinstance(place, str) else f"{'https' if tls else 'http'}://127.0.0.1:{place[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.close()
        await asyncio.gather(task, return_exceptions=True)
        on.close()


class Guarded:
    """An application whose defects are kept, for whoever serves it.

    Args:
        app: an ASGI application that answers even where it raises.
        defects: where its tracebacks go.
    """

    def __init__(self, app: Any, defects: deque[str]) -> None:
        self._app, self._defects = app, defects

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI 3 has it."""
        try:
            await self._app(scope, receive, send)
        except Exception:  # noqa: BLE001 - the client has its answer, and the owner of the host the defect
            where = f"{scope.get('method', '')} {scope.get('path', '')}"
            self._defects.append(f"{where}\n{traceback.format_exc()}")


def _server(app: Any, tls: ssl.SSLContext | None) -> Any:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

    class Quiet(uvicorn.Server):
        """A server that leaves signals to the program."""

        def capture_signals(self) -> Any:
            return contextlib.nullcontext()

    class Http(H11Protocol):
        """Connections whose troubles are the clients' own."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.logger = self.access_logger = _quiet
            self._late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._late = self.loop.call_later(_HEADER_SECONDS, self._close_if_silent)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._late is not None:
                self._late.cancel()
            super().connection_lost(exc)

        def _close_if_silent(self) -> None:
            if not self.cycle:  # its first request has not come
                self.transport.abort()

    class WebSocket(WSProtocol):
        """The same for WebSockets."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.logger = _quiet

    config = uvicorn.Config(
        app,
        http=Http,
        ws=WebSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        ws_max_size=1024 * 1024,
    )
    config.load()
    if tls is not None:
        config.ssl = tls
    return Quiet(config)


__all__ = ["Guarded", "listener", "running", "unix_listener"]
