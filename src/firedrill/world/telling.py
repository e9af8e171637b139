"""Where what a world tells comes together: its requests, as programs write about them in their logs.

The traffic knows no logs, and logs know no traffic: here they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import history, lines

if TYPE_CHECKING:
    from firedrill.world.telemetry.traces import Requests
    from firedrill.world.world import World


def requests_of(world: World) -> Requests | None:
    """The requests of a world; None where no application is used by anybody."""
    from firedrill.world.app.requests import WorldRequests
    from firedrill.world.app.traffic import Traffic

    return WorldRequests(world) if world.cluster.part(Traffic).graph is not None else None


def _speak(world: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """The lines of a container about its requests; see `lines.Speaker`."""
    scratch = history.runs(world).scratch
    made = scratch.get("requests")
    if made is None:
        requests = requests_of(world)
        if requests is None:
            return ()
        from firedrill.world.telemetry.logs.requests import RequestLines

        made = scratch["requests"] = RequestLines(requests)
    out: Sequence[lines.Line] = made.lines(record.uid, record.container, record.run.attempt, start, end)
    return out


def _murmur(_: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """What a program writes by itself; see `lines.Speaker`."""
    from firedrill.world.telemetry.logs.background import background

    run = record.run
    return background(run.plan.style, f"{record.uid}/{record.container}", run.started * lines.MS, start, end)


def listen() -> None:
    """Let whoever reads logs in this process see what programs write about requests and by themselves."""
    lines.on_lines("requests", _speak)
    lines.on_lines("background", _murmur)
