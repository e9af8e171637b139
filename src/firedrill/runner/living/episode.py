"""The process of one episode: its world, served on sockets of a folder, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import socket
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import FiredrillError, InfrastructureError
from firedrill.gateway.kubernetes import Identity, Pace
from firedrill.gateway.servers import running, unix_listener
from firedrill.runner.living.clock import Bounded, ClockFace, EpisodeHost
from firedrill.runner.living.pricing import Pricing
from firedrill.runner.living.protocol import CLOCK, Closed, EpisodeSpec, pack, read, told
from firedrill.runner.living.withholding import Withheld, apps
from firedrill.tools.authority import Authority, open_policy
from firedrill.tools.authority.model import ApproverSpec
from firedrill.world.kube.api.request import User

if TYPE_CHECKING:
    import ssl

    from firedrill.core.living import RequestLine
    from firedrill.runner.living.scene import Scene

APIS = ("kubernetes", "prometheus", "alertmanager", "loki", "jaeger")
"""What is served, by the names of the sockets."""
PERSON = ApproverSpec(kind="person", name="person", timeout=600)
"""Who is asked where the run's terminal is the approver."""
_MOST_MS = 24 * 60 * 60_000


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    # an agent has opened all connections that there are: its own trouble, and nothing for the terminal
    if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
        loop.default_exception_handler(context)


class EpisodeProcess:
    """One episode, from its fork to the facts that it leaves.

    Args:
        scene: what all episodes of the scenario share.
        spec: what is this one's own.
        channel: to the run that asked for it.
    """

    def __init__(self, scene: Scene, spec: EpisodeSpec, channel: socket.socket) -> None:
        self._scene = scene
        self._spec = spec
        self._channel = channel
        self._writer: asyncio.StreamWriter
        world = scene.incident.noticed.fork()
        self._started_ms = world.now
        identity = Identity(spec.user, User(spec.user, ("system:masters",)), spec.token)
        pace = Pace(speed=0, read_ms=spec.read_ms, write_ms=spec.write_ms)
        if spec.speed:
            pace = Pace(speed=spec.speed)
        self._host = EpisodeHost(world, (identity,), pace, spec.cap_ms, self._time_is_up)
        self._lines: list[RequestLine] = []
        self._host.witness = self._lines.append
        self._questions: dict[int, asyncio.Future[str]] = {}
        self._host.guard = self._authority()
        self._pricing = Pricing(self._host) if spec.ledger else None
        self._ways: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "answered": self._answered,
            "now": self._now,
            "over": self._over,
            "pass": self._pass,
            "standing": self._standing,
            "finish": self._finish,
        }

    async def run(self) -> None:
        """Serve until the channel is closed."""
        asyncio.get_running_loop().set_exception_handler(_quiet)
        async with contextlib.AsyncExitStack() as stack:
            for name, app in apps(self._host, Withheld.parse(self._spec.without)).items():
                tls: ssl.SSLContext | None = self._scene.tls if name == "kubernetes" else None
                on = unix_listener(Path(self._spec.folder) / name)
                await stack.enter_async_context(running(Bounded(app, self._host), on, tls))
            face = Bounded(ClockFace(self._host), self._host)
            await stack.enter_async_context(running(face, unix_listener(Path(self._spec.folder) / CLOCK)))
            reader, self._writer = await asyncio.open_connection(sock=self._channel)
            self._tell({"event": "ready"})
            following = asyncio.create_task(self._host.follow())
            with contextlib.suppress(Closed, OSError):
                while True:
                    await self._answer(await read(reader))
                    await self._writer.drain()
            following.cancel()
        # the run removes it too, unless it was killed
        shutil.rmtree(self._spec.folder, ignore_errors=True)

    async def _answer(self, asked: Mapping[str, Any]) -> None:
        try:
            reply = {"ok": await self._ways[str(asked["do"])](asked)}
        except FiredrillError as error:
            reply = {"error": told(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is ours, and the run has to know it
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
            reply = {"error": told(InfrastructureError(text))}
        self._tell({"id": asked["id"], **reply})

    def _authority(self) -> Authority:
        policy = open_policy(self._spec.authority)
        if self._spec.asks:
            policy = policy.model_copy(update={"approver": PERSON})
        if self._spec.brief and policy.approver is not None:
            policy = policy.model_copy(
                update={"approver": policy.approver.model_copy(update={"minutes": 0.0})}
            )
        return Authority(policy, put=self._put)

    async def _put(self, question: str) -> str:
        """Have whoever sits at the run's terminal asked, and wait for what he types."""
        number = len(self._questions) + 1
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        self._tell({"event": "question", "number": number, "text": question})
        return await answer

    async def _answered(self, asked: Mapping[str, Any]) -> None:
        future = self._questions.get(int(asked["number"]))
        if future is not None and not future.done():
            future.set_result(str(asked["text"]))

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._writer.write(pack(message))

    def _time_is_up(self) -> None:
        self._tell({"event": "time_limit", "at_ms": self._host.world.now})

    async def _now(self, _: Mapping[str, Any]) -> int:
        return self._host.world.now

    async def _over(self, _: Mapping[str, Any]) -> bool:
        return self._host.over

    async def _pass(self, asked: Mapping[str, Any]) -> int:
        """Let virtual time pass without a request."""
        self._host.go_on(max(0, min(int(asked["ms"]), _MOST_MS)))
        return self._host.world.now

    async def _standing(self, _: Mapping[str, Any]) -> bool:
        """Whether the world is the one that the agent found: nothing was asked of it, and no time passed."""
        return not (self._lines or self._spec.speed) and self._host.world.now == self._started_ms

    async def _finish(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Stop answering, run the verification and the forks, and say what they showed."""
        await self._host.close()
        if self._host.defects:
            raise InfrastructureError(f"the gateway has a defect: {self._host.defects[0]}")
        named = [str(name) for name in asked["entities"]]
        if asked.get("known"):
            return self._scene.renamed(asked["known"], named).model_dump(mode="json")
        requests = sorted(self._lines, key=lambda line: line.at_ms)
        facts = self._scene.facts(
            self._host.world,
            started_ms=self._started_ms,
            limit_ms=self._spec.cap_ms,
            requests=requests,
            prediction=named,
            brief=self._spec.brief,
        )
        if self._pricing is not None:
            prices = self._pricing.prices(self._scene.yard.baseline, requests)
            facts = facts.model_copy(update={"prices": prices})
        return facts.model_dump(mode="json")


__all__ = ["APIS", "EpisodeProcess"]
