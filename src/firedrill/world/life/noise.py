"""Warnings in logs that mean nothing: now and then, whatever happens. Moments in ns since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from firedrill.world.kube.kubelet import lines
from firedrill.world.life.choosing import graph_of
from firedrill.world.life.state import Life
from firedrill.world.sim.tables import table
from firedrill.world.telemetry.logs import styles

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.history import Record
    from firedrill.world.world import World

_EVERY_S = (0, 1500, 600, 240)
"""Mean seconds between two of them in one container, by level."""
_SECOND = 1_000_000_000


@cache
def _texts() -> Mapping[str, Any]:
    return table("firedrill.world.life", "noise.yaml")  # type: ignore[no-any-return]


def _speak(world: World, record: Record, start: int, end: int) -> Sequence[lines.Line]:
    """See `lines.Speaker`."""
    part, graph = world.cluster.part(Life), graph_of(world)
    if not part.level or graph is None or record.namespace != graph.app.namespace:
        return ()
    begin = max(record.run.started, part.since) * lines.MS
    period = _EVERY_S[part.level] * _SECOND
    out: list[lines.Line] = []
    texts = _texts().get(record.run.plan.style) or _texts()["plain"]
    first = max((start - begin) // period, 0)
    for number in range(first, max((end - begin) // period + 1, 0)):
        mark = crc32(f"{record.uid}/{record.container}/{record.run.attempt}/{number}".encode())
        at = begin + number * period + mark % 9973 * (period // 9973)
        if start <= at < end:
            out.append((at, _filled(str(texts[mark // 7 % len(texts)]), at, mark)))
    return out


def _filled(text: str, at: int, mark: int) -> str:
    values = {"number": 110 + mark % 700, "small": 2 + mark // 3 % 40, "ms": 20 + mark // 5 % 400}
    made = []
    for literal, name in styles.shape(text).parts:
        made.append(literal)
        if name:
            made.append(styles.moment(name, at) if name.startswith("at_") else str(values[name]))
    return "".join(made)


def listen() -> None:
    """Let whoever reads logs in this process see them; `telling.listen` does."""
    lines.on_lines("life", _speak)
