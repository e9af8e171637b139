"""The tools: what the model is told of them, and how its calls are read.

A call is refused with a sentence that says what to write instead; nothing of it is guessed.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from firedrill.agents.models.neutral import ToolCall, ToolSpec, clean
from firedrill.agents.react.prompts import Prompts
from firedrill.core.errors import InfrastructureError
from firedrill.sandbox.base import CommandResult

if TYPE_CHECKING:
    from firedrill.agents.base import AgentResult, Episode
    from firedrill.agents.models import ModelClient, Settings
    from firedrill.tools import ToolResult

SHELL = "run_shell"
FINISH = "finish"
COMMAND_LIMIT = 100_000
PATHS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Shell:
    """A well-formed call of the shell tool."""

    command: str
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Finish:
    """A well-formed call of the finish tool; the paths are as the model wrote them."""

    reason: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A call of a tool of the toolbox, which checks the arguments itself."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that is not carried out, and what the model is told."""

    text: str


class Toolset(Protocol):
    """The function tools of one episode beside shell and finish; calls of one name may come at once."""

    @property
    def fault(self) -> InfrastructureError | None:
        """Why a call could not be answered, when that was the machine's doing."""

    @property
    def ending(self) -> AgentResult | None:
        """What a call handed in: the episode ends with it once the other calls of its message are done."""

    @property
    def names(self) -> Collection[str]:
        """Every tool."""

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        """Answer one call; a wrong one gets an error that says what to write instead.

        Raises:
            InfrastructureError: the machine failed.
        """

    def notes(self) -> dict[str, Any]:
        """What the episode's record says of them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a model is offered beside shell and finish."""

    tools: Toolset
    specs: tuple[ToolSpec, ...]


@asynccontextmanager
async def live_offer(
    episode: Episode, toolbox: str, client: ModelClient, settings: Settings
) -> AsyncIterator[Offer | None]:
    """The function tools over an episode's living world, open as long as the context lasts.

    ``toolbox`` is the agent's option; with ``shell`` there are none. ``client`` is asked, with
    ``settings``, to translate where tools are in natural language.
    """
    if toolbox == "shell":
        yield None
        return
    from firedrill.agents.live import live_tools

    async with live_tools(episode, toolbox, client, settings) as tools:
        yield Offer(tools, tools.specs)


@asynccontextmanager
async def assessing_offer(
    episode: Episode, toolbox: str, client: ModelClient, settings: Settings
) -> AsyncIterator[Offer | None]:
    """The function tools of an assessment, open as long as the context lasts.

    ``toolbox`` is the agent's option: ``live`` and ``nl`` are the same here, ``shell`` gives none, and
    ``full``, which is about recordings, neither. ``client`` is asked, with ``settings``, for what is to be
    written.
    """
    if toolbox not in ("live", "nl"):
        yield None
        return
    from firedrill.agents.assessing import assessing_tools

    async with assessing_tools(episode, client, settings) as tools:
        yield Offer(tools, tools.specs)


def toolbox_specs() -> tuple[ToolSpec, ...]:
    """The tools of the toolbox with their schemas."""
    from firedrill.tools import schemas

    return tuple(ToolSpec(tool["name"], tool["description"], tool["inputSchema"]) for tool in schemas("mcp"))


def specs(prompts: Prompts) -> tuple[ToolSpec, ...]:
    """The shell and the finish tool with their schemas."""
    shell, finish = prompts.tools[SHELL], prompts.tools[FINISH]
    return (
        ToolSpec(
            SHELL,
            shell["description"],
            {
                "type": "object",
                "properties": {
                    "command": {"type": "string", "description": shell["command"]},
                    "timeout": {"type": "number", "description": shell["timeout"]},
                },
                "required": ["command"],
            },
        ),
        ToolSpec(
            FINISH,
            finish["description"],
            {
                "type": "object",
                "properties": {
                    "reason": {"type": "string", "description": finish["reason"]},
                    "paths": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": finish["paths"],
                    },
                },
                "required": ["reason", "paths"],
            },
        ),
    )


def read_call(call: ToolCall, others: Collection[str] = ()) -> Shell | Finish | Query | Refusal:
    """Check a call. Never raises, whatever the model wrote. ``others`` are tools beside shell and finish."""
    if call.name not in (SHELL, FINISH) and call.name not in others:
        named = f"There is no tool {call.name[:60]!r}." if call.name else "The call names no tool."
        *first, last = (*others, SHELL, FINISH)
        return Refusal(f"{named} The tools are {', '.join(first)} and {last}.")
    try:
        arguments = json.loads(call.arguments) if call.arguments.strip() else {}
    except (ValueError, RecursionError) as error:
        place = f" ({error.msg} at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        return Refusal(
            f"The arguments of {call.name} are not valid JSON{place}. Nothing was run. "
            "Send the call again; quotes, backslashes and line breaks inside strings must be escaped."
        )
    if not isinstance(arguments, dict):
        return Refusal(f"The arguments of {call.name} must be a JSON object. Nothing was run.")
    if call.name in others:
        return Query(call.name, arguments)
    return _shell(arguments) if call.name == SHELL else _finish(arguments)


def _shell(arguments: Mapping[str, Any]) -> Shell | Refusal:
    command = arguments.get("command")
    if not isinstance(command, str):
        given = "is missing" if command is None else f"must be a string, not {_kind(command)}"
        return Refusal(f"`command` of {SHELL} {given}. Nothing was run.")
    command = clean(command)
    if not command.strip():
        return Refusal(f"`command` of {SHELL} is empty. Nothing was run.")
    if "\0" in command:
        return Refusal(f"`command` of {SHELL} holds a NUL character. Nothing was run.")
    if len(command) > COMMAND_LIMIT:
        return Refusal(
            f"`command` of {SHELL} is longer than {COMMAND_LIMIT} characters. Nothing was run. "
            "Write long texts to files in several calls."
        )
    timeout = arguments.get("timeout")
    if timeout is None:
        return Shell(command, None)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return Refusal(
            f"`timeout` of {SHELL} must be a number of seconds, not {_kind(timeout)}. Nothing was run."
        )
    if not 0 < timeout < 1e9:
        return Refusal(f"`timeout` of {SHELL} must be above 0. Nothing was run.")
    return Shell(command, float(timeout))


def _finish(arguments: Mapping[str, Any]) -> Finish | Refusal:
    reason, paths = arguments.get("reason"), arguments.get("paths")
    if not isinstance(reason, str):
        given = "is missing" if reason is None else f"must be a string, not {_kind(reason)}"
        return Refusal(f"`reason` of {FINISH} {given}. Nothing was handed in.")
    if not isinstance(paths, list) or not all(isinstance(path, str) and path for path in paths):
        given = "is missing" if paths is None else "must be a list of file names"
        return Refusal(f"`paths` of {FINISH} {given}. Nothing was handed in.")
    if len(paths) > PATHS_LIMIT:
        return Refusal(f"`paths` of {FINISH} names more than {PATHS_LIMIT} files. Nothing was handed in.")
    return Finish(clean(reason), tuple(clean(path) for path in paths))


def absolute(path: str, home: str) -> str:
    """``path`` as the shell in ``home`` would take it, without ``.`` and ``..``."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return posixpath.normpath(posixpath.join(home, path))


def render(result: CommandResult) -> str:
    """What a command did, for the model to read."""
    parts = [result.stdout.rstrip("\n")] if result.stdout else []
    if result.stderr:
        parts.append("[stderr]\n" + result.stderr.rstrip("\n"))
    if result.timed_out:
        parts.append("[the command was ended: it ran out of time]")
    parts.append(f"[exit code {result.exit_code}]")
    return "\n".join(parts)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
