"""Carrying out the calls of one message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from firedrill.agents.base import AgentResult, Episode
from firedrill.agents.models import ToolCall, ToolResult
from firedrill.agents.react.tools import (
    FINISH,
    Finish,
    Query,
    Refusal,
    Shell,
    Toolset,
    absolute,
    read_call,
    render,
)
from firedrill.agents.toolbox.serving import ends
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission
from firedrill.sandbox.base import CommandResult

if TYPE_CHECKING:
    from firedrill.tools import ToolResult as Answer

CALLS_LIMIT = 16
"""Commands and questions of one message that are carried out."""
AT_ONCE = 8
"""Those of one episode that run at the same time, on recorded incidents. On living worlds they run one after
the other, as they were written: each takes its time of the incident's."""
ANSWER_LIMIT = 1_000_000
"""Bytes of an answer file."""


async def act(
    episode: Episode, calls: Sequence[ToolCall], tools: Toolset | None = None
) -> tuple[list[ToolResult], AgentResult | None]:
    """Carry out all calls: commands and questions at the same time, then finish. Results keep their order.

    ``tools`` is the toolbox, for a model that has one.

    Raises:
        LimitReached: the time cap was hit before a command.
        InfrastructureError: the sandbox or the toolbox failed.
    """
    receipt = episode.receipt
    items = _read(calls, tools.names if tools is not None else ())
    for call in calls:
        receipt.append("tool_call", id=call.id, name=call.name, arguments=call.arguments)
    work = {index: item for index, item in enumerate(items) if isinstance(item, Shell | Query)}
    outputs = await _work(episode, work, tools)
    answer = tools.ending if tools is not None else None
    results: list[ToolResult] = []
    for index, (call, item) in enumerate(zip(calls, items, strict=True)):
        output = outputs.get(index)
        if isinstance(output, CommandResult):
            text = render(output)
            receipt.append(
                "tool_result",
                id=call.id,
                stdout=output.stdout,
                stderr=output.stderr,
                exit_code=output.exit_code,
                timed_out=output.timed_out,
                truncated=output.truncated,
            )
        elif output is not None:
            text = ends(output.text)
            receipt.append(
                "tool_result", id=call.id, content=text, refused=output.error, truncated=output.truncated
            )
        else:
            if isinstance(item, Finish):
                found, text = await _finish(episode, item)
                refused, answer = found is None, found or answer
            else:
                refused, text = True, item.text if isinstance(item, Refusal) else ""
            receipt.append("tool_result", id=call.id, content=text, refused=refused)
        results.append(ToolResult(call.id, text))
    return results, answer


def _read(calls: Sequence[ToolCall], names: Collection[str]) -> list[Shell | Finish | Query | Refusal]:
    items = [read_call(call, names) for call in calls]
    if sum(isinstance(item, Finish) for item in items) > 1:
        refusal = Refusal(f"Call {FINISH} once in a message. Nothing was handed in.")
        items = [refusal if isinstance(item, Finish) else item for item in items]
    work = [index for index, item in enumerate(items) if isinstance(item, Shell | Query)]
    for index in work[CALLS_LIMIT:]:
        items[index] = Refusal(f"One message may run {CALLS_LIMIT} commands. This one was not run.")
    return items


async def _work(
    episode: Episode, work: Mapping[int, Shell | Query], tools: Toolset | None
) -> dict[int, CommandResult | Answer]:
    """What commands and questions gave, by the index of their call."""
    meter, gate = episode.meter, asyncio.Semaphore(AT_ONCE if episode.living is None else 1)

    async def run(item: Shell | Query) -> CommandResult | Answer:
        async with gate:
            meter.check()
            if isinstance(item, Query):
                assert tools is not None  # no call is read as a question without a toolbox
                return await _ask(episode, tools, item)
            bounds = [bound for bound in (item.timeout, meter.seconds_left) if bound is not None]
            result = await episode.workspace.run(item.command, timeout=min(bounds, default=None))
            meter.tool_seconds += result.seconds
            return result

    meter.tool_calls += len(work)
    done = await asyncio.gather(*(run(item) for item in work.values()), return_exceptions=True)
    outputs: dict[int, CommandResult | Answer] = {}
    for index, output in zip(work, done, strict=True):
        if isinstance(output, BaseException):
            raise output
        outputs[index] = output
    return outputs


async def _ask(episode: Episode, tools: Toolset, query: Query) -> Answer:
    meter, started = episode.meter, time.monotonic()
    try:
        async with asyncio.timeout(meter.seconds_left):
            return await tools.call(query.name, query.arguments)
    except TimeoutError:
        raise meter.cap(Outcome.TIME_LIMIT, f"the cap of {episode.limits.minutes or 0:g} minutes") from None
    finally:
        meter.tool_seconds += time.monotonic() - started


async def _finish(episode: Episode, finish: Finish) -> tuple[AgentResult | None, str]:
    """The result that ends the episode, or None and what is missing."""
    episode.meter.tool_calls += 1
    task, workspace = episode.task, episode.workspace
    paths = list(dict.fromkeys(absolute(path, task.home) for path in finish.paths))
    if task.assessment is not None:
        from firedrill.tools.compliance.handing import lacking

        missing = await lacking(workspace, task.assessment.folder, task.assessment.files)
        if missing:
            return None, f"{missing}. Nothing was handed in."
        return AgentResult(Outcome.SUBMITTED, None, finish.reason), "It was handed in."
    if task.answer not in paths:
        return None, f"`paths` must include {task.answer}. Nothing was handed in."
    for path in paths:
        if not path.startswith(task.home + "/"):
            return None, f"{path} is not below {task.home}. Nothing was handed in."
        if await workspace.read_file(path, limit=1) is None:
            return None, f"{path} does not exist or is not a regular file. Nothing was handed in."
    data = await workspace.read_file(task.answer, limit=ANSWER_LIMIT + 1) or b""
    if len(data) > ANSWER_LIMIT:
        return None, f"{task.answer} is larger than {ANSWER_LIMIT} bytes. Nothing was handed in."
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, f"{task.answer} is not UTF-8 text (byte {error.start}). Nothing was handed in."
    if not text.strip():
        return None, f"{task.answer} is empty. Nothing was handed in."
    submission = parse_submission(text)
    if submission.escalate:
        reason = submission.escalate_reason or finish.reason
        return AgentResult(Outcome.ESCALATED, text, reason), "The incident was handed over."
    return AgentResult(Outcome.SUBMITTED, text, finish.reason), "The answer was handed in."
