"""One engineer's work: the loop of a model that has nothing but tools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from firedrill.agents.base import AgentResult
from firedrill.agents.models import Reply, ToolCall, ToolResult
from firedrill.agents.react.acting import CALLS_LIMIT
from firedrill.agents.react.loop import Loop
from firedrill.agents.react.tools import Query, Refusal, Toolset, read_call
from firedrill.agents.toolbox.serving import ends
from firedrill.core.outcome import Outcome

NOTICE = 5
"""The last messages of a role, before each of which it is told how many are left."""


class Exhausted(Exception):
    """An engineer has used up his messages."""


@dataclass
class RoleLoop(Loop):
    """The loop of one role.

    Attributes:
        role: for the record.
        text: the task.
        iterations: messages that it has.
        ends: the tools that end its work, in words.
        offered: its tools.
    """

    role: str = ""
    text: str = ""
    iterations: int = 20
    ends: str = ""
    offered: Toolset = field(kw_only=True)
    spent: int = 0

    def told(self) -> str:
        """The task, as the model reads it."""
        return self.text

    async def act(self, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], AgentResult | None]:
        """Carry out the calls of one message, one after the other.

        Raises:
            Exhausted: it was the last message of this role.
            LimitReached: a cap was hit.
            InfrastructureError: the machine failed.
        """
        receipt = self.episode.receipt
        results: list[ToolResult] = []
        for call in calls:
            receipt.append("tool_call", id=call.id, name=call.name, arguments=call.arguments)
        for place, call in enumerate(calls):
            text, refused, cut = await self._answer(call, place)
            receipt.append("tool_result", id=call.id, content=text, refused=refused, truncated=cut)
            results.append(ToolResult(call.id, text))
        ending = self.offered.ending
        if ending is None:
            self._check()
        return results, ending

    async def _answer(self, call: ToolCall, place: int) -> tuple[str, bool, bool]:
        if place >= CALLS_LIMIT:
            return f"One message may make {CALLS_LIMIT} calls. This one was not made.", True, False
        if self.offered.ending is not None:
            return "Your work has ended; this call was not made.", True, False
        if call.name not in self.offered.names:
            known = ", ".join(self.offered.names)
            return f"There is no tool {call.name[:60]!r}. The tools are {known}.", True, False
        item = read_call(call, self.offered.names)
        if not isinstance(item, Query):
            assert isinstance(item, Refusal)  # shell and finish are no tools of this role
            return item.text, True, False
        meter = self.episode.meter
        meter.check()
        meter.tool_calls += 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(meter.seconds_left):
                result = await self.offered.call(item.name, item.arguments)
        except TimeoutError:
            minutes = self.episode.limits.minutes or 0
            raise meter.cap(Outcome.TIME_LIMIT, f"the cap of {minutes:g} minutes") from None
        finally:
            meter.tool_seconds += time.monotonic() - started
        return ends(result.text), result.error, result.truncated

    def words(self) -> dict[str, object]:
        """What stands in notices for how to end."""
        return {"ends": self.ends}

    def left(self) -> int:
        """Messages that are left to this role."""
        return min(self.iterations - self.spent, self.episode.meter.turns_left)

    async def _reply(self) -> Reply:
        reply = await super()._reply()
        self.spent += 1
        return reply

    def _nudge(self, reply: Reply) -> None:
        self._check()
        super()._nudge(reply)

    def _turns_left(self) -> str:
        return super()._turns_left() if self.left() <= NOTICE else ""

    def _check(self) -> None:
        if self.spent >= self.iterations:
            raise Exhausted(f"{self.iterations} messages of the {self.role} engineer")
