"""What containers write, made when it is read. Times in ns since the Unix epoch, as runtimes stamp lines.

A program's own lines follow from its plan. What it writes about the requests it serves comes from speakers,
which other rooms register; everybody who reads a log reads it here, so that `kubectl logs` and log collectors
see the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from zlib import crc32

from firedrill.world.kube.kubelet.history import Record
from firedrill.world.kube.kubelet.state import Run
from firedrill.world.sim.stamps import stamped

if TYPE_CHECKING:
    from firedrill.world.world import World

MS: Final = 1_000_000
Line = tuple[int, str]
Speaker = Callable[["World", Record, int, int], Sequence[Line]]
"""Given a run, the (ns, text) of [start, end) by time: the same lines however often it is asked."""

_SPEAKERS: dict[str, Speaker] = {}
_KEPT = 10_000
_FIRST_WINDOW = 60_000 * MS


def on_lines(name: str, speaker: Speaker) -> None:
    """Let a speaker add lines to every run; one of the same name is replaced."""
    _SPEAKERS[name] = speaker


def lines_of(world: World, record: Record, start: int, end: int, *, without: str = "") -> list[Line]:
    """What a run has written in [start, end), up to now, by time; leaving out what one speaker adds."""
    run = record.run
    if run.started < 0:
        return []
    last = world.now if run.finished < 0 else min(run.finished, world.now)
    end = min(end, (last + 1) * MS)
    start = max(start, run.started * MS)
    if start >= end:
        return []
    out = _own(run, record.pod, start, end)
    for name in sorted(_SPEAKERS):
        if name == without:
            continue
        out += _SPEAKERS[name](world, record, start, end)
    out.sort(key=_time)
    return out


def last_lines(world: World, record: Record, count: int) -> list[Line]:
    """The last lines of a run until now, at most `count` and never more than 10 000."""
    count = min(count, _KEPT)
    run = record.run
    if run.started < 0 or count <= 0:
        return []
    begin, end = run.started * MS, (world.now + 1) * MS
    if run.finished >= 0:
        end = min(end, (run.finished + 1) * MS)
    out: list[Line] = []
    width = _FIRST_WINDOW
    while end > begin and len(out) < count:
        start = max(begin, end - width)
        out = lines_of(world, record, start, end) + out
        end, width = start, width * 4
    return out[-count:]


def _time(line: Line) -> int:
    return line[0]


def _own(run: Run, host: str, start: int, end: int) -> list[Line]:
    plan = run.plan
    low, high = start // MS - 1, end // MS + 1
    told = [(run.started + at, text) for at, text in (*plan.lines, *run.said)]
    told.sort(key=_time)
    if plan.loop and plan.loop_ms:
        begin = run.started + (plan.lines[-1][0] if plan.lines else 0)
        first = max((low - begin) // plan.loop_ms, 0)
        for number in range(first, (high - begin) // plan.loop_ms + 1):
            told += [(begin + number * plan.loop_ms, text) for text in plan.loop]
    out: list[Line] = []
    before, number = -1, 0
    for at, text in told:
        number = number + 1 if at == before else 0
        before = at
        exact = at * MS + _digits(run.id, at) + number * 211
        if start <= exact < end:
            out.append((exact, stamped(text, exact, host)))
    return out


def _digits(run: str, ms: int) -> int:
    """The part of a stamp below a millisecond: any, but always the same."""
    return crc32(f"{run}/{ms}".encode()) % 700_000
