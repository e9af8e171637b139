"""The gateway without sockets: for tests and built-in agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.app import Gateway
from firedrill.gateway.kubernetes.host import Host, Identity, Pace
from firedrill.world.kube.api.request import ADMIN

if TYPE_CHECKING:
    import httpx

    from firedrill.world.world import World

TOKEN = "in-process-admin"  # noqa: S105 - good inside of this process only
_STILL = Pace(speed=0)


def transport(world: World | Host, *, pace: Pace = _STILL) -> httpx.AsyncBaseTransport:
    """A transport for `httpx.AsyncClient` that reaches the world's API.

    Give the client `base_url="https://world"` and, to be its administrator,
    `headers={"authorization": f"Bearer {TOKEN}"}`. Streams (watch, followed logs) need a real server.

    Args:
        world: a world, or a host with identities and a pace of its own.
        pace: how its clock goes; it stands still unless told otherwise.
    """
    import httpx

    host = world if isinstance(world, Host) else Host(world, [Identity("admin", ADMIN, TOKEN)], pace=pace)
    return httpx.ASGITransport(app=Gateway(host))
