"""The tools over one assessment, for callers of all sorts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.tools.base import ToolResult
from firedrill.tools.compliance.catalog import COMPLIANCE_TOOLS, ENDING_TOOLS
from firedrill.tools.errors import Mistake
from firedrill.tools.live.clients import Refused
from firedrill.tools.live.desk import refusal
from firedrill.tools.render import clean
from firedrill.tools.toolbox import TEXT, build, failure, read_arguments, unknown_tool

if TYPE_CHECKING:
    from firedrill.tools.compliance.base import ComplianceTool
    from firedrill.tools.compliance.bench import Bench

_MOST_TOLD = 6_000


class ComplianceToolbox:
    """The tools that fit an assessment, or some of them. Use it in one event loop.

    Args:
        bench: of the assessment.
        names: of the tools that are offered; by default all that fit, without those that end the work.
    """

    def __init__(self, bench: Bench, names: Collection[str] | None = None) -> None:
        self.bench = bench
        self.tools: Mapping[str, ComplianceTool[Any]] = {
            name: tool
            for name, tool in (*COMPLIANCE_TOOLS.items(), *ENDING_TOOLS.items())
            if bench.kind in tool.kinds and (name in COMPLIANCE_TOOLS if names is None else name in names)
        }

    async def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> ToolResult:
        """Answer one call. A call that makes no sense gets an answer that says how to mend it.

        Raises:
            InfrastructureError: the machine failed, never for what the caller asked.
        """
        tool = self.tools.get(name)
        if tool is None:
            return unknown_tool(name, self.tools)
        params = read_arguments(tool, arguments)
        if isinstance(params, ToolResult):
            return params
        try:
            answer = await tool.run(self.bench, params)
        except Mistake as mistake:
            return failure(clean(str(mistake), _MOST_TOLD))
        except Refused as error:
            return failure(clean(refusal("the cluster", error), _MOST_TOLD))
        return build(answer, params, TEXT)
