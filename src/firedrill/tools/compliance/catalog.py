"""Every tool of assessments, in the order in which an assessor would reach for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from firedrill.tools.compliance.base import ComplianceTool
from firedrill.tools.compliance.generating import GENERATE_KYVERNO, GENERATE_PLAYBOOK, GENERATE_REGO
from firedrill.tools.compliance.handing import HAND_OVER, REPORT, SEND_BACK
from firedrill.tools.compliance.linting import LINT
from firedrill.tools.compliance.running import RUN_KUBECTL, RUN_PLAYBOOK
from firedrill.tools.compliance.trying import EXPLAIN, RUN_REGO, TRY

_ALL: tuple[ComplianceTool[Any], ...] = (
    RUN_KUBECTL,
    RUN_PLAYBOOK,
    GENERATE_KYVERNO,
    GENERATE_PLAYBOOK,
    GENERATE_REGO,
    RUN_REGO,
    LINT,
    TRY,
    EXPLAIN,
)

COMPLIANCE_TOOLS: Mapping[str, ComplianceTool[Any]] = MappingProxyType({tool.name: tool for tool in _ALL})
ENDING_TOOLS: Mapping[str, ComplianceTool[Any]] = MappingProxyType(
    {tool.name: tool for tool in (HAND_OVER, REPORT, SEND_BACK)}
)
"""Those by which the members of a crew end; whoever works alone has none of them."""
