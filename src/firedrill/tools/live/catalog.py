"""Every tool over a living world, in the order in which an engineer would reach for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from firedrill.tools.live.alerts import ALERTS, WAIT
from firedrill.tools.live.base import LiveTool
from firedrill.tools.live.kubectl import KUBECTL
from firedrill.tools.live.logs import LOGS
from firedrill.tools.live.metrics import METRICS
from firedrill.tools.live.reports import DIAGNOSIS, ESCALATE, PLAN, REPORT
from firedrill.tools.live.topology import TOPOLOGY
from firedrill.tools.live.traces import TRACES

_ALL: tuple[LiveTool[Any], ...] = (
    ALERTS,
    KUBECTL,
    TOPOLOGY,
    LOGS,
    TRACES,
    METRICS,
    WAIT,
    DIAGNOSIS,
    PLAN,
    REPORT,
    ESCALATE,
)

LIVE_TOOLS: Mapping[str, LiveTool[Any]] = MappingProxyType({tool.name: tool for tool in _ALL})
