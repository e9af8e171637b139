"""A world on a port of this machine: TLS, identities, and a clock that follows the wall."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, certificates, kubeconfig
from firedrill.world.kube.api.request import ADMIN, User

if TYPE_CHECKING:
    from firedrill.world.world import World

TICK_SECONDS = 0.1
_GRACE_SECONDS = 2
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_HEADER_BYTES = 64 * 1024
_HEADER_SECONDS = 30

# what clients provoke (broken connections, half requests) must not fill the terminal
_quiet = logging.Logger("firedrill.gateway", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Served:
    """A world that is being served.

    Attributes:
        host: the world with its identities.
        server: its address, as in `https://127.0.0.1:41234`.
        ca: the certificate to trust, as PEM.
    """

    host: Host
    server: str
    ca: bytes

    def kubeconfig(self, identities: Sequence[Identity] = (), namespace: str = "default") -> dict[str, Any]:
        """The content of a kubeconfig for these identities, or for all."""
        return kubeconfig.document(self.server, self.ca, identities or self.host.identities, namespace)


def identity(name: str, user: User | None = None) -> Identity:
    """An identity with a new secret token; the user is the cluster's administrator unless given."""
    return Identity(name, user or ADMIN, secrets.token_urlsafe(32))


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


@contextlib.asynccontextmanager
async def served(
    world: World, identities: Sequence[Identity], pace: Pace, *, on: socket.socket | None = None
) -> AsyncIterator[Served]:
    """Serve a world over HTTPS until the context is left. Nobody else may touch it meanwhile.

    Args:
        world: whose clock follows the wall from now on.
        identities: who may ask.
        pace: how its clock goes.
        on: a listening socket; by default one on a port that the system chooses.

    Raises:
        OSError: no port can be had.
    """
    certificate, key = certificates.make()
    here = on or listener()
    host = Host(world, identities, pace=pace)
    server = _server(Gateway(host), certificate, key)
    running = asyncio.ensure_future(server.serve(sockets=[here]))
    ticking = asyncio.ensure_future(_follow(host))
    try:
        while not server.started and not running.done():
            await asyncio.sleep(0.005)
        yield Served(host, f"https://127.0.0.1:{here.getsockname()[1]}", certificate)
    finally:
        ticking.cancel()
        server.should_exit = True
        server.force_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.close()
        await asyncio.gather(running, ticking, return_exceptions=True)
        here.close()


def _server(app: Gateway, certificate: bytes, key: bytes) -> Any:
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
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        ws_max_size=1024 * 1024,
    )
    config.load()
    config.ssl = certificates.context(certificate, key)
    return Quiet(config)


async def _follow(host: Host) -> None:
    """Let the world's clock follow the wall's."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        host.catch_up()
