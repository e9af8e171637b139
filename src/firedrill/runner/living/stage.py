"""A run's end of stages and episodes: processes that hold worlds, and what is asked of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from firedrill.agents.base import Costs, OnCall
from firedrill.core.episode import Limits
from firedrill.core.errors import InfrastructureError
from firedrill.core.living import Facts
from firedrill.core.topology import Topology
from firedrill.runner.living.furnishing import KUBECONFIG, addresses
from firedrill.runner.living.protocol import Closed, EpisodeSpec, Message, pack, raised, read, receive, send
from firedrill.runner.living.standing import Standing
from firedrill.runner.living.withholding import unrecorded
from firedrill.runner.settings import Settings
from firedrill.sandbox.base import HOME
from firedrill.suites.model import SuiteScenario
from firedrill.tools.authority import located, open_policy

if TYPE_CHECKING:
    from firedrill.tools.authority.model import Metadata

APIS = ("kubernetes", "prometheus", "alertmanager", "loki", "jaeger")
"""What an episode serves, by the names of its sockets."""
ANSWER_SECONDS = 600.0
"""Of the wall's clock, until a process that does not answer is given up: all forks together take a few."""
START_SECONDS = 60.0
"""Until a new episode process serves."""
_DAY_MINUTES = 24 * 60.0
"""The most virtual time of an episode."""
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
_OWN = {
    # a pool of threads would make forks unsafe, and gains nothing on arrays as small as ours
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


def process_environment() -> dict[str, str]:
    """The variables that stage processes have."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(("XDG_", "LC_", "FIREDRILL_"))
    }
    return {**kept, **_OWN}


class LivingStage:
    """One scenario that has been simulated up to the moment at which somebody is called.

    Attributes:
        source: the scenario.
        alerts: what somebody is called for: `name`, `labels`, `fired` and `description` of each.
        topology, inventory: of the incident, for grading.
        steps: what mends it.
        hand_over: whether handing over to a person is the best act.
        cpu_seconds: that the simulation took.
        standing: what became of it where nobody did anything.
    """

    def __init__(self, source: SuiteScenario, process: subprocess.Popen[bytes], link: socket.socket) -> None:
        self.source = source
        self.alerts: tuple[Mapping[str, Any], ...] = ()
        self.topology = Topology()
        self.inventory: tuple[str, ...] = ()
        self.hand_over = False
        self.steps: tuple[Mapping[str, Any], ...] = ()
        self.cpu_seconds = 0.0
        self.namespace = "default"
        self._ca = b""
        self._process = process
        self._link = link
        self._turn = threading.Lock()
        self.standing = Standing()

    @classmethod
    async def open(cls, source: SuiteScenario, settings: Settings) -> Self:
        """Simulate a scenario, in a process of its own.

        Raises:
            InputError: it cannot be simulated.
            InfrastructureError: the process broke.
        """
        return await asyncio.to_thread(cls.start, source, settings.without)

    @classmethod
    def start(cls, source: SuiteScenario, without: frozenset[str] = frozenset()) -> Self:
        """The same, blocking: for a thread. Raises what :meth:`open` raises."""
        stage = cls.spawn(source)
        stage.simulate(without)
        return stage

    @classmethod
    def spawn(cls, source: SuiteScenario) -> Self:
        """A stage that has its process, and nothing else yet."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "firedrill.runner.living.hosting", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=process_environment(),
                start_new_session=True,
            )
        return cls(source, process, ours)

    def simulate(self, without: frozenset[str]) -> None:
        """Let its process simulate the scenario. Blocks; :meth:`close` from another thread breaks it off.

        Raises:
            InputError: it cannot be simulated.
            InfrastructureError: the process broke.
        """
        try:
            scenario = self.source.scenario.model_dump(mode="json", by_alias=True)
            self._learn(self._ask({"do": "open", "scenario": scenario, "without": sorted(without)}))
        except BaseException:
            self.close()
            raise

    def _learn(self, told: Message) -> None:
        self.alerts = tuple(told["alerts"])
        self.topology = Topology.from_json(told["topology"])
        self.inventory = tuple(told["inventory"])
        self.steps = tuple(told["steps"])
        self.hand_over = bool(told["hand_over"])
        self.cpu_seconds = float(told["cpu_seconds"])
        self.namespace = str(told["namespace"])
        self._ca = str(told["ca"]).encode("ascii")

    def _ask(self, message: Message, end: int | None = None) -> Message:
        """One question and its answer; blocks."""
        with self._turn:
            try:
                send(self._link, message, end)
                answer, _ = receive(self._link)
            except Closed as error:
                raise InfrastructureError(f"the stage process of {self.source.id} ended: {error}") from error
        if "error" in answer:
            raise raised(answer["error"])
        found: Message = answer["ok"]
        return found

    @property
    def alive(self) -> bool:
        """Whether further episodes can be had of it."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the stage process."""
        return self._process.pid

    async def episode(self, spec: EpisodeSpec | None = None) -> LivingEpisode:
        """A new episode, from the moment at which somebody is called; served at once.

        Args:
            spec: by default what the scenario says. Its folder and token are chosen here.

        Raises:
            InfrastructureError: a process broke.
        """
        folder = Path(tempfile.mkdtemp(prefix="firedrill-"))  # mode 0700
        ours, theirs = socket.socketpair()
        try:
            chosen = spec or spec_of(self.source)
            token = secrets.token_urlsafe(32)
            full = {**chosen.to_json(), "folder": str(folder), "token": token}
            with theirs:
                told = await asyncio.to_thread(self._ask, {"do": "episode", "spec": full}, theirs.fileno())
            return await LivingEpisode.join(self, EpisodeSpec.from_json(full), ours, int(told["pid"]))
        except BaseException:
            ours.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """End the process. Its episodes end by themselves. Safe to call twice."""
        self._process.kill()
        self._process.wait()
        with self._turn:  # whoever waits for an answer has been told by now that there is none
            self._link.close()


def spec_of(source: SuiteScenario, limits: Limits | None = None) -> EpisodeSpec:
    """What the scenario says of its episodes, with other caps where some were asked for.

    Raises:
        InputError: its authority is no preset, and no policy file beside it.
    """
    own, costs = source.scenario.limits, source.scenario.limits.costs
    minutes = own.minutes if limits is None else limits.minutes
    minutes = _DAY_MINUTES if minutes is None else min(minutes, _DAY_MINUTES)
    return EpisodeSpec(
        folder="",
        token="",
        cap_ms=round(minutes * 60_000),
        read_ms=round(costs.read * 1000),
        write_ms=round(costs.write * 1000),
        token_ms=costs.token_out * 1000,
        authority=located(source.scenario.authority, source.folder),
        without=unrecorded(source.scenario.environment.modalities),
    )


class LivingEpisode:
    """One episode that is under way in a process of its own.

    Attributes:
        spec: what it was made of.
        sockets: paths by API.
        token: with which its Kubernetes API knows the agent.
        pid: of its process.
        over: is set when the agent's virtual time is up.
        put: how a person is asked, where `spec.asks`; without it the answer is no.
    """

    def __init__(self, stage: LivingStage, spec: EpisodeSpec, pid: int) -> None:
        folder = Path(spec.folder)
        self.stage = stage
        self.spec = spec
        self.sockets: Mapping[str, Path] = {name: folder / name for name in APIS}
        self.token = spec.token
        self.pid = pid
        self.over = asyncio.Event()
        self.put: Callable[[str], Awaitable[str]] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._folder = folder
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._defect = ""
        self._abandoned = False
        self._writer: asyncio.StreamWriter
        self._listening: asyncio.Task[None]

    @classmethod
    async def join(cls, stage: LivingStage, spec: EpisodeSpec, link: socket.socket, pid: int) -> Self:
        """Wait until an episode process serves.

        Raises:
            InfrastructureError: it broke.
        """
        episode = cls(stage, spec, pid)
        reader, episode._writer = await asyncio.open_connection(sock=link)
        episode._listening = asyncio.create_task(episode._listen(reader))
        try:
            async with asyncio.timeout(START_SECONDS):
                await episode._ready
        except TimeoutError as error:
            await episode.close()
            raise InfrastructureError("an episode process did not start to serve") from error
        except BaseException:
            await episode.close()
            raise
        return episode

    @property
    def alerts(self) -> tuple[Mapping[str, Any], ...]:
        """What the agent is called for; nothing where alerts are withheld."""
        return () if "alerts" in self.spec.without else self.stage.alerts

    @property
    def namespace(self) -> str:
        """Where the application runs that users are on."""
        return self.stage.namespace

    @property
    def authority(self) -> str:
        """The name of the policy that decides on each request."""
        return self._policy.name

    @property
    def minutes(self) -> float:
        """Of virtual time that the agent has in all."""
        return self.spec.cap_ms / 60_000

    @property
    def costs(self) -> Costs:
        """What requests and thoughts take of them."""
        return Costs(self.spec.read_ms, self.spec.write_ms, self.spec.token_ms)

    @functools.cached_property
    def _policy(self) -> Metadata:
        return open_policy(self.spec.authority).metadata

    @property
    def on_call(self) -> OnCall:
        """What the agent is told."""
        spec = self.spec
        return OnCall(
            alerts=self.alerts,
            namespace=self.namespace,
            addresses=addresses(),
            kubeconfig=f"{HOME}/{KUBECONFIG}",
            authority=self._policy.name,
            authority_title=self._policy.title,
            minutes=self.minutes,
            read_s=spec.read_ms / 1000,
            write_s=spec.write_ms / 1000,
            token_s=spec.token_ms / 1000,
        )

    def kubeconfig(self, address: str = "https://127.0.0.1:6443") -> bytes:
        """A kubeconfig for this episode, whose API the agent reaches at that address."""
        import yaml

        from firedrill.gateway.kubernetes import Identity, kubeconfig
        from firedrill.world.kube.api.request import User

        identity = Identity("on-call", User("on-call"), self.token)
        content = kubeconfig.document(address, self.stage._ca, [identity], self.stage.namespace)
        return yaml.safe_dump(content, sort_keys=False).encode()

    @property
    def ca(self) -> bytes:
        """The certificate of the Kubernetes API, as PEM."""
        return self.stage._ca

    async def spend(self, ms: int) -> None:
        """Let the virtual time pass that thinking takes."""
        await self._ask({"do": "pass", "ms": ms})

    async def wait(self, ms: int) -> int:
        """Let virtual time pass; gives the world's moment then, in ms since the Unix epoch."""
        return int(await self._ask({"do": "pass", "ms": ms}))

    async def now(self) -> int:
        """The world's moment, in ms since the Unix epoch."""
        return int(await self._ask({"do": "now"}))

    async def is_over(self) -> bool:
        """Whether the agent's virtual time is up."""
        return bool(await self._ask({"do": "over"}))

    async def finish(self, entities: Sequence[str]) -> Facts:
        """End the agent's time, run the verification and the forks, and say what all of that showed.

        Args:
            entities: that the agent names as causes, in its order.

        Raises:
            InfrastructureError: the process broke.
        """
        if not await self._ask({"do": "standing"}):
            return Facts.model_validate(await self.finished(entities))

        async def look(known: Message | None) -> Message:
            found: Message = await self._ask({"do": "finish", "entities": list(entities), "known": known})
            return found

        key = repr({**self.spec.to_json(), "folder": "", "token": ""})
        return Facts.model_validate(await self.stage.standing.found(key, look))

    async def finished(self, said: Sequence[str]) -> Any:
        """The same as plain data: what an episode leaves behind is its scene's to say.

        Raises:
            InfrastructureError: the process broke.
        """
        return await self._ask({"do": "finish", "entities": list(said)})

    async def failed(self) -> InfrastructureError:
        """Wait until the process breaks or ends; gives what to raise then."""
        await self._ended.wait()
        return self._error()

    async def close(self) -> None:
        """End the process and forget its folder. Safe to call twice."""
        for task in (self._listening, *self._asking):
            task.cancel()
        await asyncio.gather(self._listening, *self._asking, return_exceptions=True)
        self._defect = self._defect or "it was closed"
        if self._abandoned and not self._ended.is_set():
            # nobody wants what it is at, and it may be at it for ever
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._end()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _ask(self, message: Message) -> Any:
        if self._ended.is_set():
            raise self._error()
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(pack({**message, "id": number}))
            async with asyncio.timeout(ANSWER_SECONDS) as timer:
                return await future
        except TimeoutError as error:
            self._abandoned = True
            if not timer.expired():
                raise
            text = f"the process of an episode of {self.stage.source.id} does not answer"
            raise InfrastructureError(text) from error
        except asyncio.CancelledError:
            self._abandoned = True
            raise
        finally:
            self._waiting.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(await read(reader))
        except Closed:
            self._end()

    def _take(self, message: Message) -> None:
        event = message.get("event")
        if event == "ready" and not self._ready.done():
            self._ready.set_result(None)
        elif event == "time_limit":
            self.over.set()
        elif event == "question":
            task = asyncio.create_task(self._question(int(message["number"]), str(message["text"])))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        elif event == "defect":
            self._defect = str(message["text"])
        future = self._waiting.get(message.get("id", 0))
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(raised(message["error"]))
        else:
            future.set_result(message["ok"])

    async def _question(self, number: int, text: str) -> None:
        answer = "" if self.put is None else await self.put(text)
        with contextlib.suppress(InfrastructureError):  # the episode is over
            await self._ask({"do": "answered", "number": number, "text": answer})

    def _end(self) -> None:
        self._ended.set()
        for future in (self._ready, *self._waiting.values()):
            if not future.done():
                future.set_exception(self._error())
                future.exception()  # nobody may be waiting any more

    def _error(self) -> InfrastructureError:
        why = self._defect.strip() or "it ended (killed, or out of memory)"
        return InfrastructureError(f"the process of an episode of {self.stage.source.id} broke: {why}")


__all__ = ["APIS", "LivingEpisode", "LivingStage", "spec_of"]
