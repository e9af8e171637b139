"""Handing in: what has to stand in the working folder, and the tools by which members of a crew end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.compliance.base import ComplianceTool, lines
from firedrill.tools.compliance.bench import Bench
from firedrill.tools.compliance.linting import lint
from firedrill.tools.errors import Mistake

if TYPE_CHECKING:
    from firedrill.sandbox.base import Workspace

_ALIKE = (
    ("policy.yaml", "policy.yml"),
    ("fetcher.sh", "script.sh", "fetch.sh"),
    ("playbook.yml", "playbook.yaml"),
)
"""Names by which the same artefact may go."""
TAR = "agent_output.data"


class ReportParams(Paged):
    """Parameters of what ends the work of one."""

    summary: str = Field(
        min_length=1,
        max_length=20_000,
        description="What was done, what it was tested on, what it says of what is there, and what is open.",
    )


class SendBackParams(Paged):
    """Parameters of ``SendBack``."""

    reason: str = Field(
        min_length=1,
        max_length=20_000,
        description="What is wrong, with the case on which it shows, and what is to be changed.",
    )


async def lacking(workspace: Workspace, folder: str, files: Sequence[str]) -> str:
    """Which file is missing, in words; empty where everything is there."""
    if await workspace.read_file(f"{folder}/{TAR}", limit=1) is not None:
        return ""
    for wanted in files:
        found = [await workspace.read_file(f"{folder}/{name}", limit=1) for name in _names(wanted)]
        if not any(found):
            what = "is empty" if any(item is not None for item in found) else "does not exist"
            return f"{folder}/{wanted} {what}"
    return ""


def _names(wanted: str) -> Sequence[str]:
    return next((group for group in _ALIKE if wanted in group), (wanted,))


async def _ready(bench: Bench) -> None:
    """Raise Mistake unless everything is in the folder, and well formed."""
    missing = await lacking(bench.workspace, bench.folder, bench.files)
    if missing:
        raise Mistake(f"{missing}; nothing was recorded")
    for wanted in bench.files:
        for name in _names(wanted):
            if await bench.workspace.read_file(f"{bench.folder}/{name}", limit=1) is not None:
                problems, _ = await lint(bench, name)
                if problems:
                    told = "\n".join(problems)
                    raise Mistake(f"{name} would be refused; nothing was recorded:\n{told}")


async def hand_over(bench: Bench, params: ReportParams) -> Answer:
    """End the work of who makes the artefacts.

    Raises:
        Mistake: something is missing or would be refused.
    """
    await _ready(bench)
    bench.made = params.summary
    return lines("recorded; your work has ended")


async def report(bench: Bench, params: ReportParams) -> Answer:
    """End the assessment.

    Raises:
        Mistake: something is missing or would be refused.
    """
    await _ready(bench)
    bench.report = params.summary
    return lines("recorded; the assessment is handed in")


async def send_back(bench: Bench, params: SendBackParams) -> Answer:
    """Give the work back to who made it."""
    bench.sent_back = params.reason
    return lines("recorded; it goes back to who made it")


HAND_OVER = ComplianceTool(
    "HandOver",
    "End your work: everything stands in the working folder, is tested, and, if policies are asked for,"
    " deployed. Somebody else looks at it next.",
    ReportParams,
    hand_over,
)
REPORT = ComplianceTool(
    "Report",
    "End the assessment: what was made is right, and is handed in with this report.",
    ReportParams,
    report,
)
SEND_BACK = ComplianceTool(
    "SendBack", "Give the work back to who made it, since something is wrong.", SendBackParams, send_back
)
