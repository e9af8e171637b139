"""What a scripted model says: steps, faults, and the scripts that line them up."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from firedrill.agents.models.usage import Protocol as Wire


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as the model would write it: ``arguments`` is text, JSON or not."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a request: ``role`` is ``user``, ``assistant`` or ``tool``."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str = ""


@dataclass(frozen=True)
class Turn:
    """A request, in one form for all protocols."""

    protocol: Wire
    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...]
    wordy: bool = False
    """Tools are not to be called: the answer is to be words."""
    stream: bool = False
    size: int = 0
    """Characters of the request."""

    @property
    def number(self) -> int:
        """How many assistant messages there have been, those behind a summary included."""
        before = _MARK.findall(self.messages[0].text) if self.messages else []
        said = sum(message.role == "assistant" for message in self.messages)
        return said + (int(before[-1]) if before else 0)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the tools gave, oldest first."""
        return tuple(message.text for message in self.messages if message.role == "tool")

    @property
    def fact_lines(self) -> list[str]:
        """The lines in which the policy's own commands told something, those behind a summary included."""
        texts = [message.text for message in self.messages if message.role in ("tool", "user")]
        return [line for text in texts for line in text.splitlines() if line.startswith('{"fact":')]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What these lines say; one in the middle of which the output was cut says nothing."""
        found = []
        for line in self.fact_lines:
            try:
                fact = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(fact, dict) and isinstance(fact.get("id"), str):
                found.append(fact)
        return found


_MARK = re.compile(r"\[(\d+) steps are done\]")


def mark(number: int) -> str:
    """A mark for notes that lets a script go on where it was: see :attr:`Turn.number`."""
    return f"[{number} steps are done]"


@dataclass(frozen=True)
class Say:
    """An assistant message. ``usage`` replaces the figures made up from the lengths."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    stop: str | None = None
    """The protocol's own word, instead of the fitting one."""
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fail:
    """An error answer, so many times."""

    status: int
    message: str = "the endpoint is in trouble"
    code: str = "error"
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True)
class Raw:
    """An answer that is whatever it is, so many times."""

    body: bytes
    status: int = 200
    times: int = 1


@dataclass(frozen=True)
class Cut:
    """A connection that ends in the middle of an answer, so many times."""

    times: int = 1


@dataclass(frozen=True)
class Slow:
    """A pause before what comes next, in seconds."""

    seconds: float
    times: int = 1


Fault = Fail | Raw | Cut | Slow
Step = Say | Fault


class Policy(Protocol):
    """What stands where a model would. Called from one thread at a time."""

    def reply(self, turn: Turn) -> Step:
        """The next step; after a fault the same turn comes again."""


class Script:
    """Says its steps in order, each after the faults that stand before it; then the last one for ever.

    Which step is next is read from the conversation, so any number of conversations may share a script.
    Faults are counted per conversation, told apart by what they begin with.
    """

    def __init__(self, steps: Iterable[Step], *, notes: str = "Notes.") -> None:
        self._says: list[Say] = []
        self._faults: dict[int, list[Fault]] = {}
        self._notes = notes
        self._done: Counter[tuple[str, int, int]] = Counter()
        for step in steps:
            if isinstance(step, Say):
                self._says.append(step)
            else:
                self._faults.setdefault(len(self._says), []).append(step)

    def reply(self, turn: Turn) -> Step:
        """The step of this turn, or notes when the model is asked for words."""
        number = turn.number
        first = turn.messages[0].text if turn.messages else ""
        for index, fault in enumerate(self._faults.get(number, ())):
            key = (first, number, index)
            if self._done[key] < fault.times:
                self._done[key] += 1
                return fault
        if turn.wordy:
            return Say(f"{self._notes} {mark(number)}")
        return self._says[min(number, len(self._says) - 1)] if self._says else Say()


def shell(command: str, timeout: float | None = None, *, call_id: str = "") -> Call:
    """A call of ``run_shell``."""
    arguments: dict[str, Any] = {"command": command}
    if timeout is not None:
        arguments["timeout"] = timeout
    return Call("run_shell", json.dumps(arguments), call_id)


def finish(
    reason: str = "done", paths: Sequence[str] = ("/home/user/agent_output.json",), *, call_id: str = ""
) -> Call:
    """A call of ``finish``."""
    return Call("finish", json.dumps({"reason": reason, "paths": list(paths)}), call_id)
