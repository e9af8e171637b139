"""What the ways to the toolbox cost beside the tool's own work: Python, the sandbox's command, MCP."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

import recorded
from firedrill.agents.base import Meter
from firedrill.agents.toolbox import EpisodeTools, ToolServer
from firedrill.cli._listening import listen
from firedrill.core.episode import Limits
from firedrill.sandbox import SandboxSpec, View, open_workspace
from firedrill.snapshot import open_incident
from firedrill.tools import RecordedEvidence, Toolbox
from firedrill.tools.mcp import PATH, http_application
from table import show

CALLS = 40
TOOL, ARGUMENTS = "alerts", {"limit": 5}


class Silent:
    def append(self, kind: str, /, **payload: Any) -> None:
        """Keep nothing."""


async def median_ms(call: Callable[[], Awaitable[Any]]) -> float:
    """Median milliseconds of a call, once warm."""
    await call()
    walls = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        walls.append(time.perf_counter() - began)
    return statistics.median(walls) * 1e3


async def python(folder: Path) -> float:
    with RecordedEvidence(open_incident(folder)) as evidence:
        toolbox = Toolbox(evidence)

        async def call() -> None:
            assert not toolbox.call(TOOL, ARGUMENTS).error

        return await median_ms(call)


async def sandbox(folder: Path) -> tuple[float, float]:
    async with EpisodeTools() as tools:
        tools.attach(lambda: RecordedEvidence(open_incident(folder)))

        async def thread() -> None:
            assert not (await tools.call(TOOL, ARGUMENTS)).error

        inside = await median_ms(thread)
        async with ToolServer(tools, Silent(), Meter(Limits())).serve() as more:
            spec = SandboxSpec(mounts=more.mounts, env=more.env, forwards=more.forwards)
            async with open_workspace(View(), spec) as workspace:

                async def command() -> None:
                    result = await workspace.run(f"incident {TOOL} --limit 5")
                    assert result.exit_code == 0, result.stderr

                return inside, await median_ms(command)


async def over_mcp(client: Any) -> float:
    async with client as session:

        async def call() -> None:
            assert not (await session.call_tool(TOOL, ARGUMENTS)).is_error

        return await median_ms(call)


async def http(folder: Path) -> float:
    with RecordedEvidence(open_incident(folder)) as evidence:
        listener = listen(0)
        port = listener.getsockname()[1]
        app = http_application(Toolbox(evidence), port)
        config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            return await over_mcp(Client(f"http://127.0.0.1:{port}{PATH}"))
        finally:
            server.should_exit = True
            thread.join()


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = recorded.incident(Path(place) / "incident")
        plain = await python(folder)
        inside, command = await sandbox(folder)
        words = ["-m", "firedrill", "mcp", str(folder)]
        stdio = await over_mcp(
            Client(stdio_client(StdioServerParameters(command=sys.executable, args=words)))
        )
        wire = await http(folder)
    show(
        f"one call of `{TOOL}`, {CALLS} times, median",
        [
            ("Python", "", f"{plain:.1f} ms"),
            ("an episode's thread, beside", "under 5 ms", f"{inside - plain:.1f} ms"),
            ("the command in the sandbox, beside", "under 150 ms", f"{command - plain:.1f} ms"),
            ("MCP over stdio, beside", "under 20 ms", f"{stdio - plain:.1f} ms"),
            ("MCP over HTTP, beside", "under 20 ms", f"{wire - plain:.1f} ms"),
        ],
    )


if __name__ == "__main__":
    asyncio.run(main())
