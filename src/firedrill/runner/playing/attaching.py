"""The tools over a world that somebody has on, for programs outside of any sandbox (`firedrill mcp`)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import FiredrillError, InfrastructureError, InputError
from firedrill.sandbox.base import HOME, SandboxSpec, View
from firedrill.tools.toolbox import described, failure

if TYPE_CHECKING:
    from firedrill.runner.playing.sessions import Session
    from firedrill.sandbox.base import Workspace
    from firedrill.tools.base import ToolResult
    from firedrill.tools.live.desk import Desk

_ERROR_SECONDS = 0.5
"""In which a desk says that it takes no answer; a grade takes longer."""
_LONGEST = 4_000_000


class Attached:
    """A world that is being played, as tools reach it (a `Site`).

    Args:
        session: which one.

    Raises:
        InputError: its kubeconfig is gone, or is none.
    """

    def __init__(self, session: Session) -> None:
        from firedrill.runner.living.protocol import CLOCK
        from firedrill.tools.live.clients import APIS

        folder = Path(session.sockets)
        self.sockets: Mapping[str, Path] = {name: folder / name for name in APIS}
        self.alerts = session.alerts
        self.namespace = session.namespace
        self.authority = session.authority
        self._clock = folder / CLOCK
        self._kubeconfig = _read(Path(session.kubeconfig))

    @property
    def token(self) -> str:
        """The bearer token of whoever plays."""
        return str(self._kubeconfig["users"][0]["user"]["token"])

    @property
    def ca(self) -> bytes:
        """The certificate of the Kubernetes API, as PEM."""
        return base64.b64decode(self._kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"])

    async def now(self) -> int:
        """The world's moment, in ms since the Unix epoch; takes no time."""
        return int(await self._tell("GET", "/now")) * 1000

    async def wait(self, ms: int) -> int:
        """Let virtual time pass; gives the world's moment then."""
        await self._tell("POST", "/wait", f"{ms / 1000:.3f}")
        return await self.now()

    async def _tell(self, verb: str, path: str, body: str = "") -> str:
        import httpx

        way = httpx.AsyncHTTPTransport(uds=str(self._clock), trust_env=False)
        try:
            async with httpx.AsyncClient(transport=way, base_url="http://clock", timeout=120) as http:
                return (await http.request(verb, path, content=body)).raise_for_status().text
        except httpx.HTTPError as error:
            raise InfrastructureError("the incident has ended") from error

    def workspace(self) -> Workspace:
        """A sandbox in which kubectl runs, and from which nothing but this world is reached.

        Raises:
            FiredrillError: there is no sandbox here, or no kubectl.
        """
        import yaml

        from firedrill.runner.living import furnishing
        from firedrill.sandbox.opening import open_workspace

        config = json.loads(json.dumps(self._kubeconfig))
        port = next(port for port, name in furnishing.PORTS.items() if name == "kubernetes")
        config["clusters"][0]["cluster"]["server"] = furnishing.addresses()["kubernetes"]
        spec = SandboxSpec(
            mounts={f"{furnishing.TOOLS}/kubectl": furnishing.kubectl()},
            forwards={port: self.sockets["kubernetes"]},
            env={
                "PATH": f"{furnishing.TOOLS}:/usr/local/bin:/usr/bin:/bin",
                "KUBECONFIG": f"{HOME}/{furnishing.KUBECONFIG}",
            },
        )
        return open_workspace(View(texts={furnishing.KUBECONFIG: yaml.safe_dump(config)}), spec)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_bytes())
        assert found["users"][0]["user"]["token"]
        assert found["clusters"][0]["cluster"]["certificate-authority-data"]
    except (OSError, yaml.YAMLError, LookupError, TypeError, AssertionError) as error:
        raise InputError("is not the kubeconfig that was written", source=str(path)) from error
    return dict(found)


class PlayedTools:
    """What a client is offered; a report or an escalation hands the answer in, as `firedrill answer` does.

    Args:
        desk: over the attached world.
        session: where the answer goes.
    """

    instructions = (
        "You are on call: tools over a Kubernetes cluster in which something is broken. Some change it; each "
        "request passes an authority. Begin with alerts, then find the cause, mend it, wait until the alerts "
        "are over, call diagnosis, and end with mitigation_report, or escalate."
    )
    looks_only = False

    def __init__(self, desk: Desk, session: Session) -> None:
        from firedrill.tools.live.toolbox import LiveToolbox

        self._desk, self._session = desk, session
        self._box = LiveToolbox(desk)
        self._turn = asyncio.Lock()
        self._handed: asyncio.Task[bytes] | None = None

    def described(self) -> list[dict[str, Any]]:
        """Every tool: name, description, inputSchema."""
        return described(self._box.tools.values(), "mcp")

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        """Answer one call; they wait for one another, since each takes its time of the incident's."""
        async with self._turn:
            if self._handed is not None:
                return failure("the answer was handed in: your work here has ended")
            try:
                result = await self._box.call(name, arguments)
                if self._desk.ending is not None:
                    await self._hand_in(self._desk.ending.document)
            except (FiredrillError, OSError) as error:
                self._desk.ending = None
                return failure(f"the tool could not be run: {error}"[:500])
            return result

    async def _hand_in(self, document: Mapping[str, Any]) -> None:
        """Hand an answer in; raises InfrastructureError where it is not taken."""
        reader, writer = await asyncio.open_unix_connection(self._session.control, limit=_LONGEST)
        answer = {
            "text": json.dumps(document, ensure_ascii=False),
            "escalate": bool(document.get("escalate")),
            "reason": str(document.get("escalate_reason") or ""),
        }
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        grade = asyncio.create_task(reader.readline())
        done, _ = await asyncio.wait({grade}, timeout=_ERROR_SECONDS)
        if done:
            said = json.loads(grade.result() or b"null") or {}
            if "error" in said:
                raise InfrastructureError(str(said["error"]))
        self._handed = grade

    def close(self) -> None:
        """Wait for no grade any more."""
        if self._handed is not None:
            self._handed.cancel()


@contextlib.asynccontextmanager
async def attached(session: Session) -> AsyncIterator[PlayedTools]:
    """The tools over a world that is being played, as long as the context lasts.

    Raises:
        FiredrillError: it cannot be reached, or kubectl cannot be run here.
    """
    from firedrill.tools.live.desk import Desk

    site = Attached(session)
    workspace = site.workspace()
    try:
        async with Desk(site, workspace) as desk:
            await desk.site.now()
            tools = PlayedTools(desk, session)
            try:
                yield tools
            finally:
                tools.close()
    finally:
        await workspace.close()


__all__ = ["Attached", "PlayedTools", "attached"]
