"""The agent ``command:…``: any program, inside the sandbox, on its own until it exits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from firedrill.agents.base import (
    AgentResult,
    Episode,
    Meter,
    ReceiptSink,
    SandboxAdditions,
    Task,
)
from firedrill.agents.command.description import AGENT_DIR
from firedrill.agents.command.folder import Copy
from firedrill.agents.live.serving import LiveEpisodeTools
from firedrill.agents.proxy.app import EpisodeProxy
from firedrill.agents.proxy.settings import ProxySettings
from firedrill.agents.task import VERSION, task_digest, task_document, task_text
from firedrill.agents.toolbox import EpisodeTools, ToolServer, task_section, toolbox_config
from firedrill.core.digest import digest_of
from firedrill.core.errors import FiredrillError, InfrastructureError
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission
from firedrill.sandbox.base import CommandResult

PORT = 8642
"""Where the models are, on 127.0.0.1 inside the sandbox."""
PLACEHOLDER = "firedrill"
"""What stands for a key inside: the proxy puts the real one in its place."""
_GRACE_SECONDS = 2.0
_SETTLE_SECONDS = 10.0
_NO_CAP_SECONDS = 7 * 86_400.0
_TEXT = 20_000


@dataclass(frozen=True)
class CommandAgent:
    """Runs one program per episode. ``proxy`` is None for a program that needs no model."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    copy: Copy | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of the agent's folder and of what is mounted beside it, by the path inside."""
    proxy: ProxySettings | None = None
    minutes: float | None = None
    toolbox: str = "shell"
    """``shell``; ``full``, and on living worlds ``live``: the command ``incident`` too."""
    privileged: bool = False
    _tools: dict[int, EpisodeTools | LiveEpisodeTools] = field(
        default_factory=dict, repr=False, compare=False
    )
    _proxies: dict[int, EpisodeProxy] = field(default_factory=dict, repr=False, compare=False)
    """The proxy of each open episode, by the identity of its meter."""

    @property
    def _equipped(self) -> bool:
        return self.toolbox != "shell"

    @property
    def acts(self) -> bool:
        """Whether it can be put on living worlds, where the toolbox of recordings has nothing to read."""
        return self.toolbox != "full"

    @property
    def works_on(self) -> str:
        """The tools of the command ``incident`` are about incidents; without them it can assess, too."""
        return "incidents" if self._equipped else ""

    @property
    def looks_back(self) -> bool:
        """Whether it can be put on recorded incidents, where the tools of worlds have nothing to ask."""
        return self.toolbox != "live"

    def config(self) -> dict[str, Any]:
        """Everything that shapes its behaviour, without keys."""
        models = {}
        for name, upstream in self.proxy.models.items() if self.proxy else ():
            endpoint = upstream.endpoint
            models[name] = {
                "model": endpoint.model,
                "endpoint": endpoint.public_url,
                "protocol": endpoint.protocol,
            }
        return {
            "agent": "command",
            "argv": list(self.argv),
            "files": dict(self.digests),
            "env": dict(self.env),
            "models": models,
            "default_model": self.proxy.default if self.proxy else None,
            "minutes": self.minutes,
            "task": {"version": VERSION, "digest": task_digest()},
            "toolbox": self._toolbox_config(),
        }

    def _toolbox_config(self) -> dict[str, Any]:
        config = toolbox_config(self.toolbox)
        return {**config, "task": digest_of(task_section(self.toolbox))} if self._equipped else config

    def _new_tools(self) -> EpisodeTools | LiveEpisodeTools:
        return LiveEpisodeTools() if self.toolbox == "live" else EpisodeTools()

    @asynccontextmanager
    async def prepare(self, meter: Meter, receipt: ReceiptSink) -> AsyncIterator[SandboxAdditions]:
        """Bring the agent's folder in, and start the proxy of its models and its toolbox if it has them.

        Raises:
            InfrastructureError: the folder cannot be copied, or a socket not be made.
        """
        mounts, env, forwards = dict(self.mounts), dict(self.env), dict[int, Path]()
        if self.copy is not None:
            mounts[AGENT_DIR] = await asyncio.to_thread(self.copy.path)
        async with AsyncExitStack() as stack:
            if self._equipped:
                tools = self._new_tools()
                await stack.enter_async_context(tools)
                self._tools[id(meter)] = tools
                stack.callback(self._tools.pop, id(meter))
                served = ToolServer(tools, receipt, meter).serve(env)
                more = await stack.enter_async_context(served)
                mounts.update(more.mounts)
                forwards.update(more.forwards)
                env = dict(more.env)
            if self.proxy is not None:
                proxy = EpisodeProxy(self.proxy, meter, receipt)
                try:
                    forwards[PORT] = await stack.enter_async_context(proxy.serve())
                except OSError as error:
                    raise InfrastructureError(f"the model proxy could not be started: {error}") from error
                self._proxies[id(meter)] = proxy
                stack.callback(self._proxies.pop, id(meter))
                env |= self._model_env()
            yield SandboxAdditions(mounts, env, forwards)

    async def solve(self, episode: Episode) -> AgentResult:
        """Run the program until it exits by itself.

        Raises:
            LimitReached: a cap was hit, whatever the program has written by then.
            InputError: the configured model cannot be used (key, account, name, price).
            InfrastructureError: the sandbox, the proxy or the model's endpoint failed.
        """
        proxy, tools = self._proxies.get(id(episode.meter)), self._tools.get(id(episode.meter))
        if isinstance(tools, LiveEpisodeTools):
            tools.attach(episode)
        elif tools is not None:
            tools.attach(episode.open_evidence)
        episode = replace(episode, task=_at_home(episode.task, episode.workspace.home))
        await self._write_task(episode)
        call = {"id": "program", "name": "program", "arguments": {"argv": list(self.argv)}}
        episode.receipt.append("tool_call", **call)
        fault: FiredrillError | None = None
        result: CommandResult | None = None
        try:
            result, fault = await self._run(episode, proxy)
        finally:
            if proxy is not None:
                left = episode.meter.seconds_left
                await proxy.settle(_SETTLE_SECONDS if left is None else min(left, _SETTLE_SECONDS))
        self._record(episode, result)
        if result is not None and result.timed_out:
            raise episode.meter.cap(Outcome.TIME_LIMIT, self._time_cap(episode))
        if episode.meter.reached is not None:
            raise episode.meter.reached
        fault = fault or (tools.fault if tools is not None else None)
        if fault is not None:
            raise fault
        assert result is not None  # it is missing only when a cap or a fault stopped the program
        return await self._conclude(episode, proxy, result)

    async def _write_task(self, episode: Episode) -> None:
        task, limits = episode.task, episode.limits
        models = tuple(self.proxy.models) if self.proxy else ()
        text = task_text(task, limits)
        if self._equipped:
            text = f"{text.rstrip()}\n\n{task_section(self.toolbox)}"
        document = json.dumps(task_document(task, limits, models=models), indent=2, sort_keys=True)
        await episode.workspace.write_file(f"{task.home}/TASK.md", text.encode("utf-8", "replace"))
        await episode.workspace.write_file(f"{task.home}/task.json", document.encode())
        episode.receipt.append("task", text=text)

    async def _run(
        self, episode: Episode, proxy: EpisodeProxy | None
    ) -> tuple[CommandResult | None, FiredrillError | None]:
        """Run the program beside whatever may end it early: a cap, or a model that cannot be used."""
        work = asyncio.create_task(
            episode.workspace.run_argv(
                list(self.argv), timeout=self._seconds(episode.meter), env=self._task_env(episode)
            )
        )
        capped = asyncio.create_task(episode.meter.capped())
        halted = asyncio.create_task(proxy.halted()) if proxy is not None else None
        watching = {task for task in (capped, halted) if task is not None}
        try:
            await asyncio.wait({work, *watching}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                # It has been told; a program that leaves now can still say why.
                await asyncio.wait({work}, timeout=_GRACE_SECONDS)
            fault = halted.result() if halted is not None and halted.done() else None
            return (work.result() if work.done() else None), fault
        finally:
            for task in (work, *watching):
                task.cancel()
            await asyncio.gather(work, *watching, return_exceptions=True)

    async def _conclude(
        self, episode: Episode, proxy: EpisodeProxy | None, result: CommandResult
    ) -> AgentResult:
        data = await episode.workspace.read_file(episode.task.answer)
        text = data.decode("utf-8", "replace") if data is not None else ""
        notes = self._notes(episode, proxy, result)
        if text.strip():
            submission = parse_submission(text)
            outcome = Outcome.ESCALATED if submission.escalate else Outcome.SUBMITTED
            reason = "" if result.exit_code == 0 else f"the program exited with code {result.exit_code}"
            return AgentResult(outcome, text, submission.escalate_reason or reason, notes)
        if proxy is not None and proxy.fault is not None:
            raise proxy.fault
        if result.exit_code != 0:
            last = result.stderr.strip().rpartition("\n")[2][:500]
            reason = f"the program exited with code {result.exit_code} and left no answer"
            return AgentResult(Outcome.AGENT_ERROR, None, f"{reason}: {last}" if last else reason, notes)
        return AgentResult(Outcome.NO_SUBMISSION, None, "the program left no answer", notes)

    def _notes(self, episode: Episode, proxy: EpisodeProxy | None, result: CommandResult) -> dict[str, Any]:
        notes: dict[str, Any] = {"exit_code": result.exit_code}
        if (tools := self._tools.get(id(episode.meter))) is not None:
            notes["toolbox"] = tools.notes()
        if proxy is None or self.proxy is None:
            return notes
        if proxy.estimated:
            notes["calls_with_estimated_usage"] = proxy.estimated
        if episode.meter.model_calls:
            prices = self.proxy.prices
            known = any(prices.find(upstream.label) for upstream in self.proxy.models.values())
            notes["prices"] = {"as_of": prices.as_of, "sources": list(prices.sources)} if known else None
            if episode.meter.cost is None:
                notes["cost"] = "unknown: neither the endpoint nor the price table says"
        return notes

    def _record(self, episode: Episode, result: CommandResult | None) -> None:
        if result is None:
            episode.receipt.append("tool_result", id="program", content="stopped by Firedrill", refused=False)
            return
        episode.receipt.append(
            "tool_result",
            id="program",
            stdout=_ends(result.stdout),
            stderr=_ends(result.stderr),
            exit_code=result.exit_code,
            timed_out=result.timed_out,
            truncated=result.truncated,
        )

    def _seconds(self, meter: Meter) -> float:
        bounds = [meter.seconds_left, None if self.minutes is None else self.minutes * 60]
        return min((bound for bound in bounds if bound is not None), default=_NO_CAP_SECONDS)

    def _time_cap(self, episode: Episode) -> str:
        left = episode.meter.seconds_left
        if left is not None and left < 1.0:
            return f"the cap of {episode.limits.minutes:g} minutes"
        return f"the cap of {self.minutes or 0:g} minutes in the agent's own file"

    def _task_env(self, episode: Episode) -> dict[str, str]:
        task, limits = episode.task, episode.limits
        minutes = min(filter(None, (limits.minutes, self.minutes)), default=None)
        env = {
            "FIREDRILL_TASK": f"{task.home}/TASK.md",
            "FIREDRILL_TASK_JSON": f"{task.home}/task.json",
            "FIREDRILL_HOME": task.home,
            "FIREDRILL_ANSWER": task.answer,
            "FIREDRILL_AGENT": AGENT_DIR,
            "FIREDRILL_SEED": str(episode.seed),
            "FIREDRILL_TURNS": str(limits.turns),
            "HOME": task.home,
        }
        if task.living is not None:
            env |= {f"{name.upper()}_URL": url for name, url in task.living.addresses.items()}
            env |= {"KUBECONFIG": task.living.kubeconfig, "FIREDRILL_NAMESPACE": task.living.namespace}
        if minutes is not None:
            env["FIREDRILL_MINUTES"] = f"{minutes:g}"
        if limits.cost is not None:
            env["FIREDRILL_COST"] = f"{limits.cost:g}"
        return env

    def _model_env(self) -> dict[str, str]:
        assert self.proxy is not None
        root = f"http://127.0.0.1:{PORT}"
        names = list(self.proxy.models)
        return {
            "OPENAI_BASE_URL": f"{root}/v1",
            "OPENAI_API_BASE": f"{root}/v1",
            "OPENAI_API_KEY": PLACEHOLDER,
            "ANTHROPIC_BASE_URL": root,
            "ANTHROPIC_API_KEY": PLACEHOLDER,
            "FIREDRILL_MODEL": self.proxy.default or names[0],
            "FIREDRILL_MODELS": ",".join(names),
        }


def _at_home(task: Task, home: str) -> Task:
    """The task with the paths of this workspace: without a sandbox the home folder is another one."""
    answer = PurePosixPath(task.answer).relative_to(task.home)
    living = task.living
    if living is not None:
        kubeconfig = PurePosixPath(living.kubeconfig).relative_to(task.home)
        living = replace(living, kubeconfig=f"{home}/{kubeconfig}")
    return replace(task, home=home, answer=f"{home}/{answer}", living=living)


def _ends(text: str) -> str:
    """The head and the tail of an output that is too long for the receipt."""
    if len(text) <= _TEXT:
        return text
    half = _TEXT // 2
    return f"{text[:half]}\n[{len(text) - _TEXT} characters left out]\n{text[-half:]}"
