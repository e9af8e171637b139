"""A world on ports of this machine: its API with identities, what watches it, and a clock that goes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, certificates, kubeconfig
from firedrill.gateway.servers import Guarded, listener, running
from firedrill.gateway.witnessing import Witnessed
from firedrill.world.kube.api.request import ADMIN, User

if TYPE_CHECKING:
    from firedrill.core.living import Api
    from firedrill.world.world import World

TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Served:
    """A world that is being served.

    Attributes:
        host: the world with its identities.
        server: its address, as in `https://127.0.0.1:41234`.
        ca: the certificate to trust, as PEM.
        telemetry: addresses of `prometheus`, `alertmanager`, `loki` and `jaeger`; empty where nobody watches.
    """

    host: Host
    server: str
    ca: bytes
    telemetry: Mapping[str, str] = field(default_factory=dict)

    def kubeconfig(self, identities: Sequence[Identity] = (), namespace: str = "default") -> dict[str, Any]:
        """The content of a kubeconfig for these identities, or for all."""
        return kubeconfig.document(self.server, self.ca, identities or self.host.identities, namespace)


def addresses(served: Served) -> dict[str, str]:
    """All addresses of a served world: `kubernetes`, and what watches it where it is watched."""
    return {"kubernetes": served.server, **served.telemetry}


def identity(name: str, user: User | None = None) -> Identity:
    """An identity with a new secret token; the user is the cluster's administrator unless given."""
    return Identity(name, user or ADMIN, secrets.token_urlsafe(32))


@contextlib.asynccontextmanager
async def served(
    world: World,
    identities: Sequence[Identity],
    pace: Pace,
    *,
    on: socket.socket | None = None,
    telemetry: bool | None = None,
) -> AsyncIterator[Served]:
    """Serve a world until the context is left. Nobody else may touch it meanwhile.

    Its API is there over HTTPS; Prometheus, Alertmanager, Loki and Jaeger over HTTP, each on its own port.
    All of them share one clock, and only this machine reaches them.

    Args:
        world: whose clock follows the wall from now on.
        identities: who may ask the API.
        pace: how its clock goes.
        on: a listening socket for the API; by default one on a port that the system chooses.
        telemetry: whether what watches it is served too; by default where the world is watched.

    Raises:
        OSError: no port can be had.
    """
    certificate, key = certificates.make()
    host = Host(world, identities, pace=pace)
    host.wall = time.time
    async with contextlib.AsyncExitStack() as stack:
        tls = certificates.context(certificate, key)
        server = await stack.enter_async_context(running(Gateway(host), on or listener(), tls))
        told = {}
        if telemetry or (telemetry is None and is_watched(world)):
            for name, app in watchers(host).items():
                told[name] = await stack.enter_async_context(running(app, listener()))
        ticking = asyncio.ensure_future(_follow(host))
        try:
            yield Served(host, server, certificate, told)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


def is_watched(world: World) -> bool:
    """Whether the world has series."""
    from firedrill.world.telemetry.producers import Metering

    # asking for the part would make it
    return any(name == "Metering" for name, _ in world.cluster.parts()) and world.cluster.part(Metering).on


def watchers(host: Host, instead: Mapping[Api, Any] | None = None) -> dict[str, Any]:
    """Prometheus, Alertmanager, Loki and Jaeger of a host, with its guard and witness before them.

    Args:
        instead: applications that stand in for some of them.
    """
    from firedrill.gateway.jaeger import Jaeger
    from firedrill.gateway.loki import Loki
    from firedrill.gateway.prometheus import HostWatched, alertmanager_app, prometheus_app

    watched = HostWatched(host)
    apps: dict[Api, Any] = {
        "prometheus": prometheus_app(watched),
        "alertmanager": alertmanager_app(watched),
        "loki": Loki(host),
        "jaeger": Jaeger(host),
        **(instead or {}),
    }
    return {name: Witnessed(Guarded(app, host.defects), host, name) for name, app in apps.items()}


async def _follow(host: Host) -> None:
    """Let the world's clock follow the wall's."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        host.catch_up()


__all__ = ["Served", "addresses", "identity", "is_watched", "listener", "served", "watchers"]
