"""On call: looks at a living world through its APIs, and mends what it finds by careful steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firedrill.agents.base import Living
    from firedrill.agents.oncall.duty import Shift


async def work_shift(site: Living, say: Callable[[str, str], Awaitable[None]]) -> Shift:
    """Work on an incident from the alert to the end.

    Args:
        site: the living world, with what somebody is called for.
        say: is told what is done and why, as title and text.
    """
    from firedrill.agents.oncall.asking import Asker
    from firedrill.agents.oncall.duty import Shift

    async with Asker(site) as asker:
        shift = Shift(asker, say)
        await shift.work()
    return shift
