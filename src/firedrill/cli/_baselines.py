"""The agents that need no model of anybody's: what verbs run where none is named."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from firedrill.core.errors import InfrastructureError

if TYPE_CHECKING:
    from firedrill.agents import AgentRequest

PLAIN = ("null", "oracle", "shotgun", "sleuth")
_SCRIPTED = "scripted/"


def _nobody(_: str) -> None:
    """Nobody is told."""


@contextlib.asynccontextmanager
async def baselines(note: Callable[[str], None] = _nobody) -> AsyncIterator[list[AgentRequest]]:
    """The plain ones, and the model loop with a scripted endpoint, which is there as long as the context.

    Args:
        note: is told where something lacks on this machine that the model loop needs.
    """
    from firedrill.agents import AgentRequest
    from firedrill.agents.scripted import Investigator, ScriptedServer
    from firedrill.agents.scripted.investigator import NAME
    from firedrill.gateway.kubernetes.kubectl import find_kubectl

    plain = [AgentRequest(name) for name in PLAIN]
    if not find_kubectl():
        note("react is left out: it needs kubectl 1.30 or newer, which `make tools` gets")
        yield plain
        return
    async with ScriptedServer(Investigator()) as server:
        model = f"{_SCRIPTED}{NAME}"
        yield [*plain, AgentRequest("react", model, {"base_url": server.base_url})]


@contextlib.asynccontextmanager
async def taken_up(run: Path) -> AsyncIterator[None]:
    """Serve the scripted endpoint of a run again, where it had one, at the same address.

    Raises:
        InfrastructureError: its port is taken.
    """
    from firedrill.agents.scripted import Investigator, ScriptedServer
    from firedrill.records import RunFolder

    ports = {port for entry in RunFolder(run).manifest.agents.values() if (port := _port(entry.request))}
    async with contextlib.AsyncExitStack() as stack:
        for port in sorted(ports):
            try:
                await stack.enter_async_context(ScriptedServer(Investigator(), port=port))
            except (OSError, InfrastructureError) as error:
                problem = f"the scripted endpoint of this run was at port {port}, which cannot be used now"
                raise InfrastructureError(f"{problem}: {error}") from error
        yield


def _port(request: dict[str, Any]) -> int | None:
    if not str(request.get("model") or "").startswith(_SCRIPTED):
        return None
    url = urlsplit(str((request.get("options") or {}).get("base_url") or ""))
    return url.port if url.hostname == "127.0.0.1" else None
