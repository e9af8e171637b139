"""One episode of the loop: ask the model, do what it calls, until it finishes or hits a cap.

A turn is one assistant message. Notes that the model takes when the history outgrows its window cost
tokens and money but no turn, for they do no work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from firedrill.agents.base import AgentError, AgentResult, Episode
from firedrill.agents.models import (
    ContextOverflow,
    Conversation,
    Refused,
    Reply,
    Session,
    ToolCall,
    ToolResult,
    Wire,
)
from firedrill.agents.react.acting import act
from firedrill.agents.react.prompts import Prompts
from firedrill.agents.react.tools import Toolset
from firedrill.agents.task import answer_section, assessment_text, situation

NOTICE_TURNS = 20
"""The last turns, in which every message says how many are left."""
SUMMARISE_AT = 0.7
"""Share of the context window at which the history is replaced by notes."""
_BYTES_PER_TOKEN = 3.0
"""Rather few, so that the estimate of what was added since the last count errs on the safe side."""


@dataclass
class Loop:
    """The state of one episode."""

    session: Session
    wire: Wire
    prompts: Prompts
    episode: Episode
    window: int
    tools: Toolset | None = None
    conversation: Conversation = field(init=False)
    task: str = field(init=False)
    proven: bool = False
    summaries: int = 0
    unreported: int = 0
    served: set[str] = field(default_factory=set)
    _counted: int = 0
    """Tokens of the history when it was last counted by the endpoint, 0 when it never was."""
    _counted_size: int = 0
    _fresh_notes: bool = False
    _opening: str = ""
    """The first message of the history: the task, and notes once there are some."""

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.wire)
        self.task = self.told()

    def told(self) -> str:
        """The task, as the model reads it."""
        task = self.episode.task
        known: dict[str, object] = {
            "home": task.home,
            "answer": task.answer,
            "turns": self.episode.limits.turns,
            "files": "\n".join(f"- `{name}`" for name in task.files) or "- (nothing)",
        }
        if task.assessment is not None:
            text = assessment_text(task, self.episode.limits)
            known |= {"brief": text, "folder": task.assessment.folder}
        elif task.living is not None:
            known |= {"situation": situation(task.living).strip(), "handing_in": answer_section(task).strip()}
        return self.prompts.text("task", **known)

    def words(self) -> dict[str, object]:
        """What stands in notices for how to hand in."""
        task = self.episode.task
        folder = task.assessment.folder if task.assessment is not None else task.home
        return {"answer": task.answer, "folder": folder}

    def left(self) -> int:
        """Messages that are left."""
        return self.episode.meter.turns_left

    async def act(self, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], AgentResult | None]:
        """Carry out the calls of one message; gives the result that ends the work, if one does."""
        return await act(self.episode, calls, self.tools)

    async def run(self) -> AgentResult:
        """Work until the model finishes.

        Raises:
            LimitReached: a cap was hit.
            AgentError: the conversation cannot go on.
            InfrastructureError: the endpoint or the sandbox failed.
        """
        meter, receipt = self.episode.meter, self.episode.receipt
        receipt.append("task", text=self.task, system=self.prompts.text("system"))
        self._opening = self.task
        self.conversation.user(self.task)
        while True:
            if not self._fresh_notes and self._size() > SUMMARISE_AT * self.window:
                await self._summarise()
            meter.take_turn()
            reply = await self._reply()
            self._fresh_notes = False
            if not reply.calls:
                self._nudge(reply)
                continue
            results, answer = await self.act(reply.calls)
            if answer is not None:
                return answer
            if notice := self._turns_left():
                receipt.append("notice", text=notice)
                last = results[-1]
                # Beside a tool's output, because some endpoints take no user message there.
                results[-1] = ToolResult(last.id, f"{last.text}\n\n[{notice}]")
            self.conversation.results(results)

    async def _reply(self) -> Reply:
        """The next assistant message, recorded and kept; a history that is too long is cut first."""
        # Ends at the latest with an error of _recover: once cut there is nothing more to drop.
        while True:
            try:
                reply = await self._ask(self.conversation.body())
            except ContextOverflow as overflow:
                await self._recover(overflow)
                continue
            self._record(reply, await self._moment())
            self.conversation.reply(reply)
            if reply.reading.reported:
                self._counted = reply.reading.tokens.input + reply.reading.tokens.output
                self._counted_size = self.conversation.size
            return reply

    async def _ask(self, body: bytes) -> Reply:
        episode = self.episode
        salt = f"{episode.seed}:{episode.meter.model_calls}"
        try:
            reply = await self.session.ask(
                self.wire,
                body,
                meter=episode.meter,
                receipt=episode.receipt,
                salt=salt,
                proven=self.proven,
            )
        except Refused as refused:
            raise AgentError(f"the endpoint refused the conversation ({refused})") from None
        await episode.meter.settle()
        self.proven = True
        self.unreported += not reply.reading.reported
        if reply.model:
            self.served.add(reply.model)
        return reply

    async def _moment(self) -> dict[str, int]:
        """When it is by the clock of the episode's world, where there is one."""
        living = self.episode.living
        return {} if living is None else {"at_ms": await living.now()}

    def _record(self, reply: Reply, moment: dict[str, int]) -> None:
        tokens = reply.reading.tokens
        self.episode.receipt.append(
            "message",
            **moment,
            role="assistant",
            content=reply.text,
            tool_calls=[
                {"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.calls
            ],
            **({"thinking": reply.thinking} if reply.thinking else {}),
            stop=reply.stop,
            usage=tokens.model_dump(),
        )

    def _nudge(self, reply: Reply) -> None:
        name = "cut" if reply.stop == "length" else "continue"
        text = self.prompts.text(name, **self.words())
        if notice := self._turns_left():
            text = f"{text}\n\n{notice}"
        self.episode.receipt.append("notice", text=text)
        self.conversation.user(text)

    def _turns_left(self) -> str:
        left = self.left()
        if not 0 < left <= NOTICE_TURNS:
            return ""
        return self.prompts.text("turns_left", turns=left, **self.words())

    def _size(self) -> float:
        """About how many tokens the history has: what was counted last, and an estimate of the rest."""
        return self._counted + (self.conversation.size - self._counted_size) / _BYTES_PER_TOKEN

    async def _summarise(self, extra: str = "") -> None:
        """Replace the history by the task and the model's own notes."""
        closing = self.prompts.text("summarise")
        while True:
            try:
                reply = await self._ask(self.conversation.body(tools=False, closing=closing))
                break
            except ContextOverflow:
                if not self._drop_newest():
                    raise AgentError("the task does not fit the context window") from None
                extra = self.prompts.text("dropped")
        self.summaries += 1
        notes = reply.text.strip() or "(no notes were taken)"
        self.episode.receipt.append("summary", text=notes, usage=reply.reading.tokens.model_dump())
        self._restart(self.prompts.text("summary", task=self.task, summary=notes), extra)

    async def _recover(self, overflow: ContextOverflow) -> None:
        """The endpoint says that the history is too long: drop its newest part, then take notes."""
        if overflow.window:
            self.window = min(self.window, overflow.window)
        if not self._drop_newest():
            raise AgentError(f"the task does not fit the context window ({overflow})")
        dropped = self.prompts.text("dropped")
        if any(kind == "reply" for kind, _ in self.conversation.messages):
            await self._summarise(dropped)
        else:
            # All that is left is the task, perhaps with notes that are there already.
            self._restart(self._opening, dropped)

    def _drop_newest(self) -> bool:
        if not self.conversation.drop_newest():
            return False
        self.episode.receipt.append("notice", text=self.prompts.text("dropped"))
        return True

    def _restart(self, text: str, extra: str) -> None:
        self._opening = text
        self.conversation.restart(f"{text}\n\n{extra}" if extra else text)
        self._counted = self._counted_size = 0
        self._fresh_notes = True
